"""Footprint: what AI services consume, how sure that is, and from which readings it comes.

For notebooks and programs, each loaded when it is first asked for, so that the agent loads none of it:

query(...)             figures as a pandas DataFrame, as ``footprint query`` prints them
measure("job")         energy of a stretch of this program on this host
attribute_frames(...)  attribution over frames of one's own
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from footprint.attribution.frames import attribute_frames
    from footprint.measuring import measure
    from footprint.tabling import query

__all__ = ["attribute_frames", "measure", "query"]

_FOUND_IN = {"query": "footprint.tabling", "measure": "footprint.measuring", "attribute_frames": "footprint.attribution.frames"}


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - the agent needs none of this

    return getattr(importlib.import_module(_FOUND_IN[name]), name)
