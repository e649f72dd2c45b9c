"""One source of colours: pages, charts, editions and print have those of data/tokens.json, and none of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from footprint.charts.canvas import COLOURS
from footprint.charts.palette import colours, css_declarations
from footprint.editions.forms.charts import strip
from footprint.editions.forms.html import style_sheet
from footprint.editions.forms.pdf import MARK_SVG, badge_svg
from tests.unit.dashboards.test_tokens import tokens

FORMS = Path(__file__).parents[4] / "footprint" / "editions" / "forms"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_style_sheet_of_the_dashboard_holds_them(theme: str) -> None:
    assert tokens()[theme] == dict(colours(theme))  # type: ignore[arg-type]


def test_the_forms_of_an_edition_write_no_colour_themselves() -> None:
    files = [*FORMS.rglob("*.py"), FORMS / "edition.typ", FORMS / "page.css"]
    assert len(files) > 15
    written = {path.name: re.findall(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{3}\b", path.read_text(encoding="utf-8")) for path in files}
    assert not {name: colours for name, colours in written.items() if colours}


def test_pages_set_both_themes_and_each_class_that_charts_use() -> None:
    css = style_sheet()
    for theme in ("light", "dark"):
        assert css_declarations(theme) in css  # type: ignore[arg-type]
    classes = set(
        re.findall(r'colour="([\w-]+)"', "".join(path.read_text(encoding="utf-8") for path in (FORMS / "charts").glob("*.py")))
    )
    assert len(classes) > 8
    assert classes <= set(COLOURS)
    for name in classes:
        assert f"svg .{name}{{fill:var(--{name})}}" in css
        assert f"svg .s-{name}{{stroke:var(--{name})}}" in css
    used = set(re.findall(r"var\(--([\w-]+)\)", css))
    assert used <= set(colours())


def test_small_drawings_take_the_colours_of_paper() -> None:
    assert COLOURS["ink"] in MARK_SVG
    assert COLOURS["data"] in badge_svg("A")
    assert strip.draw([], "t", "d").svg()
    assert COLOURS["paper"] == "#FFFFFF"
