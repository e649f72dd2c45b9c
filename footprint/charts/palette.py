"""Colour palette of charts, pages and print, from ``data/tokens.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Literal

from footprint.core.resources import data_path

Theme = Literal["light", "dark"]


@cache
def colours(theme: Theme = "light") -> Mapping[str, str]:
    """Colours (#RRGGBB) of a theme, by their names in the style sheets."""
    by_name: dict[str, str] = json.loads(data_path("tokens.json").read_text(encoding="utf-8"))[theme]
    return by_name


def css_declarations(theme: Theme = "light") -> str:
    """Colours of a theme as CSS custom properties: ``--ink:#16202E;…``."""
    return "".join(f"--{name}:{colour};" for name, colour in colours(theme).items())
