"""Sphinx configuration of the documentation; ``make docs`` builds it with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from footprint.core.version import VERSION

project = "Footprint"
author = "The Footprint authors"
release = version = VERSION
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_theme_options = {
    "description": "What AI services consume, how sure it is, and where each figure comes from",
    "fixed_sidebar": True,
}
html_static_path: list[str] = []
html_show_sourcelink = False
