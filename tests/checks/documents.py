"""Check of the documents: relative links and quoted paths exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
HISTORY = {"CHANGELOG.md"}  # keeps the names of past releases
LINK = re.compile(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:footprint|collectors|dashboards|tests|data|docs|deploy|notebooks)/[A-Za-z0-9_./*-]+)`")


def findings() -> list[str]:
    """Broken relative links, and paths in backticks that do not exist."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = []
    for name in listed.stdout.split():
        if name in HISTORY or name.startswith("tests/fixtures"):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in LINK.findall(text):
            if "://" not in link and not link.startswith("mailto:") and not (ROOT / name).parent.joinpath(link).exists():
                missing.append(f"{name}: the link {link} is broken")
        for path in PATH.findall(text):
            if not any(mark in path for mark in ("*", "…", "NAME")) and not (ROOT / path).exists():
                missing.append(f"{name}: {path} does not exist")
    return missing
