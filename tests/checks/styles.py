"""Style sheets, scripts and charts take every colour from the palette and nothing from another host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from footprint.charts.canvas import COLOURS
from footprint.charts.palette import Theme, colours

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "dashboards" / "assets"
FORMS = ROOT / "footprint" / "editions" / "forms"
# Selectors of the dashboard's style sheet, by theme; the dark theme is chosen by the reader or preferred by the system.
SELECTORS = {
    "light": (r":root, :root\[data-theme=light\]",),
    "dark": (r":root\[data-theme=dark\]", r":root:not\(\[data-theme=light\]\)"),
}


def findings() -> list[str]:
    """One line a finding, with its file."""
    return [*dashboard_palette(), *foreign_colours(), *unknown_classes(), *other_hosts()]


def dashboard_palette() -> list[str]:
    """Themes of the dashboard that differ from data/tokens.json."""
    path = ASSETS / "1-tokens.css"
    text = path.read_text(encoding="utf-8")
    differing = []
    for theme in get_args(Theme):
        for selector in SELECTORS[theme]:
            block = re.search(selector + r" {(.*?)}", text, re.DOTALL)
            if block is None or dict(re.findall(r"--([\w-]+): (#[0-9A-F]{6});", block[1])) != dict(colours(theme)):
                differing.append(f"{path.relative_to(ROOT)}: {selector} does not have the {theme} colours of data/tokens.json")
    return differing


def foreign_colours() -> list[str]:
    """Forms of an edition that write a colour instead of naming one."""
    return [
        f"{path.relative_to(ROOT)}: {colour} is not named in data/tokens.json"
        for path in (*FORMS.rglob("*.py"), FORMS / "edition.typ", FORMS / "page.css")
        for colour in re.findall(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{3}\b", path.read_text(encoding="utf-8"))
    ]


def unknown_classes() -> list[str]:
    """Colours that charts of an edition name and the palette does not have."""
    return [
        f"{path.relative_to(ROOT)}: no colour {name}"
        for path in (FORMS / "charts").glob("*.py")
        for name in re.findall(r'colour="([\w-]+)"', path.read_text(encoding="utf-8"))
        if name not in COLOURS
    ]


def other_hosts() -> list[str]:
    """Style sheets and scripts that load from another host."""
    return [
        f"{path.relative_to(ROOT)}: loads from another host"
        for path in ASSETS.rglob("*")
        if path.suffix in (".css", ".js")
        and re.search("https?:", path.read_text(encoding="utf-8").replace("http://www.w3.org/", ""))
    ]
