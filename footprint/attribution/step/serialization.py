"""Statistics of a day as one line of text, bit for bit."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np

from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.day_statistics import DayStatistics
from footprint.attribution.step.features import REQUEST_FEATURES
from footprint.attribution.step.regression import AWAKE_TAUS_S, FitWindows

_ARRAYS = ("start_s", "length_s", "energy_j", "features", "awake_s", "reading", "held_s")
# Statistics of another set of features are of no use to this program.
_LAYOUT = [*REQUEST_FEATURES, *COUNT_FEATURES, *(str(tau) for tau in AWAKE_TAUS_S)]
_SCALARS = ("requests", "lag_s", "lag_gain", "prefill_s", "slots", "misfit", "logged_first", "whole_seconds", "late_s", "counted")


def dump_statistics(statistics: DayStatistics) -> str:
    """One line of JSON; arrays as compressed little-endian doubles."""
    windows = statistics.windows
    arrays = {
        name: base64.b64encode(zlib.compress(getattr(windows, name).astype("<f8").tobytes(), 6)).decode() for name in _ARRAYS
    }
    scalars = {name: getattr(statistics, name) for name in _SCALARS}
    content = {"layout": _LAYOUT, "size": len(windows), "keys": list(windows.keys), **scalars, **arrays}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def load_statistics(text: str) -> DayStatistics | None:
    """Statistics from the output of ``dump_statistics``; None where another set of features wrote it."""
    content = json.loads(text)
    if content.get("layout") != _LAYOUT:
        return None
    size, keys = content["size"], tuple(content["keys"])
    shapes = {
        "features": (size, len(REQUEST_FEATURES) + len(COUNT_FEATURES)),
        "awake_s": (size, len(AWAKE_TAUS_S)),
        "reading": (size, len(keys)),
        "held_s": (size, len(keys)),
    }
    arrays = {}
    for name in _ARRAYS:
        raw = np.frombuffer(zlib.decompress(base64.b64decode(content[name])), dtype="<f8")
        arrays[name] = raw.reshape(shapes.get(name, (size,))).astype(np.float64)
    return DayStatistics(FitWindows(**arrays, keys=keys), **{name: content[name] for name in _SCALARS})
