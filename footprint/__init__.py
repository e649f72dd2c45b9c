"""Footprint: what AI services consume, how sure that is, and from which readings it comes.

For notebooks and programs, each loaded when it is first asked for, so that the agent loads none of it:

query(...)             figures as a pandas DataFrame, as ``footprint query`` prints them
compare(a, b)          how many times the energy of one model, service, use case or period another takes
models(...)            energy a response, response time and score of models
tokens_by_step(...)    energy per token by how many are written together
phases(...)            a mean request: reading, writing, idle, host, building
avoidable(...)         energy that served nobody, and who does what about it
uncertainty(...)       what makes a figure uncertain
sensitivity(...)       figures under other factors and other lives of servers
splits(...)            how the energy of each service was divided
raw_readings(...)      what every figure rests on
factors_diff(file)     what another set of factors would change
measure("job")         energy of a stretch of this program on this host
attribute_frames(...)  attribution over frames of one's own
pictures               drawings of these frames, as SVG
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from footprint.notebook.attribution_frames import attribute_frames
    from footprint.notebook.efficiency import avoidable, compare, models, phases, tokens_by_step
    from footprint.notebook.frames import factors_diff, query, raw_readings, sensitivity, splits, uncertainty
    from footprint.notebook.measurement import measure

__all__ = [
    "attribute_frames",
    "avoidable",
    "compare",
    "factors_diff",
    "measure",
    "models",
    "phases",
    "query",
    "raw_readings",
    "sensitivity",
    "splits",
    "tokens_by_step",
    "uncertainty",
]

_FOUND_IN = {
    **dict.fromkeys(
        ("query", "uncertainty", "splits", "raw_readings", "factors_diff", "sensitivity"), "footprint.notebook.frames"
    ),
    **dict.fromkeys(("compare", "models", "tokens_by_step", "phases", "avoidable"), "footprint.notebook.efficiency"),
    "measure": "footprint.notebook.measurement",
    "attribute_frames": "footprint.notebook.attribution_frames",
}


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - the agent needs none of this

    return getattr(importlib.import_module(_FOUND_IN[name]), name)
