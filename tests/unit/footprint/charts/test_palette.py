"""Colours of pages, charts, editions and print: readable contrast, categories told apart by everyone, one palette."""

from __future__ import annotations

import re
from itertools import combinations
from typing import get_args

import numpy as np
import pytest

from dashboards import plotly_figures
from footprint.charts.canvas import COLOURS
from footprint.charts.palette import Theme, colours, css_declarations
from footprint.editions.forms.charts import strip
from footprint.editions.forms.html import style_sheet
from footprint.editions.forms.pdf import MARK_SVG, badge_svg

THEMES = get_args(Theme)
TEXT = ("ink", "ink-2", "ink-3", "link", "increase-text")
MARKS = ("data", "data-2", "increase", "decrease", "idle", "facility", "rule-strong")
PARTS = ("data", "idle", "data-2", "facility")
# Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009) 1291-1298, severity 1.
VISION = {
    "normal": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    lights = sorted(float(linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def lab(colour: str, vision: np.ndarray) -> np.ndarray:
    xyz = _XYZ @ np.clip(vision @ linear(colour), 0, 1) / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_marks_can_be_seen_on_their_paper(theme: Theme) -> None:
    palette = colours(theme)
    for name in TEXT:
        for paper in ("paper", "wash", "surface"):
            assert contrast(palette[name], palette[paper]) >= 4.5, (name, paper)
    for name in MARKS:
        assert contrast(palette[name], palette["paper"]) >= 3, name


@pytest.mark.parametrize("theme", THEMES)
def test_parts_of_energy_and_directions_are_told_apart_by_every_eye(theme: Theme) -> None:
    palette = colours(theme)
    for pair in (*combinations(PARTS, 2), ("increase", "decrease")):
        for name, vision in VISION.items():
            one, other = (lab(palette[each], vision) for each in pair)
            assert float(np.linalg.norm(one - other)) >= 20, (pair, name)


def test_marks_that_plotly_draws_hold_on_both_papers() -> None:
    for colour in (plotly_figures.DATA, plotly_figures.IDLE, plotly_figures.FACILITY, plotly_figures.PREFILL):
        assert all(contrast(colour, palette["paper"]) >= 3 for palette in map(colours, THEMES)), colour


def test_editions_set_both_themes_and_a_class_for_each_colour() -> None:
    css = style_sheet()
    for theme in THEMES:
        assert css_declarations(theme) in css
    for name in colours():
        assert f"svg .{name}{{fill:var(--{name})}}" in css
        assert f"svg .s-{name}{{stroke:var(--{name})}}" in css
    used = set(re.findall(r"var\(--([\w-]+)\)", css))
    assert used <= set(colours())


def test_small_drawings_take_the_colours_of_paper() -> None:
    assert COLOURS["ink"] in MARK_SVG
    assert COLOURS["data"] in badge_svg("A")
    assert strip.draw([], "t", "d").svg()
    assert COLOURS["paper"] == "#FFFFFF"
