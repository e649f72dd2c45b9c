"""This file writes the comparison of two benchmarks for a merge request: Markdown, and a badge."""

from __future__ import annotations

from typing import Any

from footprint.benchmark.compare import Contrast
from footprint.charts.badge import draw_badge


def markdown(found: Contrast) -> str:
    """The finding, and the table below it."""
    lines = [f"**{found.sentence()}**", "", f"| | {_cell(found.a)} | {_cell(found.b)} | |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_line(row) for row in found.rows)]) + "\n"


def _line(row: dict[str, Any]) -> str:
    said = "" if row["ratio"] is None else f"{row['ratio']:.3g} x"
    if row["low"] is not None:
        said += f" [{row['low']:.3g} ; {row['high']:.3g}]"
    said = f"{said} {row['difference']}".strip()
    return f"| {row['what']} | {_cell(row['a'])} | {_cell(row['b'])} | {said} |"


def _cell(value: Any) -> str:
    """A model's name may hold what would end a cell."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def badge(found: Contrast) -> str:
    """A small SVG: the ratio with its interval."""
    ratio = found.per_request
    text = f"{ratio.value:.3g} x [{ratio.low:.3g} ; {ratio.high:.3g}]" if found.different else "no difference shown"
    return draw_badge("J per request", text)
