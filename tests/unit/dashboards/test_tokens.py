"""The colours of the style sheet hold what they promise: text 4.5, marks 3, categories told apart by everyone."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

ASSETS = Path(__file__).parents[3] / "dashboards" / "assets"
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


def tokens() -> dict[str, dict[str, str]]:
    text = (ASSETS / "1-tokens.css").read_text()
    light = re.search(r":root, :root\[data-theme=light\] {(.*?)}", text, re.DOTALL)
    darks = re.findall(r":root(?:\[data-theme=dark\]|:not\(\[data-theme=light\]\)) {(.*?)}", text, re.DOTALL)
    assert light is not None
    themes = [dict(re.findall(r"--([\w-]+): (#[0-9A-F]{6});", part)) for part in (light[1], *darks)]
    assert themes[1] == themes[2]  # chosen, and preferred by the system
    return {"light": themes[0], "dark": themes[1]}


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_can_be_seen_on_their_paper(theme: str) -> None:
    found = tokens()[theme]
    for name in TEXT:
        for paper in ("paper", "wash", "surface"):
            assert contrast(found[name], found[paper]) >= 4.5, (name, paper)
    for name in MARKS:
        assert contrast(found[name], found["paper"]) >= 3, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_parts_of_energy_and_directions_are_told_apart_by_every_eye(theme: str) -> None:
    found = tokens()[theme]
    for pair in (*combinations(PARTS, 2), ("increase", "decrease")):
        for name, vision in VISION.items():
            one, other = (lab(found[each], vision) for each in pair)
            assert float(np.linalg.norm(one - other)) >= 20, (pair, name)


def test_marks_that_plotly_draws_hold_on_both_papers() -> None:
    from dashboards import plotly_figures

    for colour in (plotly_figures.DATA, plotly_figures.IDLE, plotly_figures.FACILITY, plotly_figures.PREFILL):
        assert all(contrast(colour, theme["paper"]) >= 3 for theme in tokens().values()), colour


def test_no_style_and_no_script_asks_another_host() -> None:
    for path in ASSETS.rglob("*"):
        if path.suffix in (".css", ".js"):
            told = path.read_text().replace("http://www.w3.org/", "")
            assert "http:" not in told, path
            assert "https:" not in told, path
