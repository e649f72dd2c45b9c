"""Footprint: energy and emissions of AI services, with their uncertainty and the readings behind them.

Python API for notebooks and programs. Names load on first use, so that the agent imports none of it.

query(...)             figures as a pandas DataFrame, as ``footprint query`` prints them
compare(a, b)          ratio of the energy per request of two models, services, use cases or periods
models(...)            energy per response, response time and score of models
tokens_by_step(...)    energy per output token by tokens per decode step
phases(...)            energy of a mean request by phase: prefill, decode, idle, host, building
avoidable(...)         energy that served no request, by cause, with its owner
uncertainty(...)       uncertainty budget of a figure
sensitivity(...)       figures under other factors and server lifetimes
splits(...)            how the energy of each service was divided over its use cases
raw_readings(...)      stored readings of one device
factors_diff(file)     changes that another set of factors would make
measure("job")         energy of a block of code on this host
attribute_frames(...)  attribution over your own frames
charts                 charts of these frames, as SVG
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from footprint import charts
    from footprint.notebook.attribution_frames import attribute_frames
    from footprint.notebook.efficiency import avoidable, compare, models, phases, tokens_by_step
    from footprint.notebook.frames import factors_diff, query, raw_readings, sensitivity, splits, uncertainty
    from footprint.notebook.measurement import measure

__all__ = [
    "attribute_frames",
    "avoidable",
    "charts",
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

_MODULES = {
    **dict.fromkeys(
        ("query", "uncertainty", "splits", "raw_readings", "factors_diff", "sensitivity"), "footprint.notebook.frames"
    ),
    **dict.fromkeys(("compare", "models", "tokens_by_step", "phases", "avoidable"), "footprint.notebook.efficiency"),
    "measure": "footprint.notebook.measurement",
    "attribute_frames": "footprint.notebook.attribution_frames",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - the agent needs none of this

    if name not in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
