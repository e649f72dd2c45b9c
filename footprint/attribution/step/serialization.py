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
from footprint.core.stored_forms import from_plain, keys_of

# Statistics of another set of features are not readable.
_LAYOUT = [*REQUEST_FEATURES, *COUNT_FEATURES, *(str(tau) for tau in AWAKE_TAUS_S)]


def dump_statistics(statistics: DayStatistics) -> str:
    """One line of JSON; arrays as compressed little-endian doubles."""
    windows = statistics.windows
    arrays = {
        key: base64.b64encode(zlib.compress(getattr(windows, name).astype("<f8").tobytes(), 6)).decode()
        for name, key in keys_of(FitWindows)
        if key != "keys"
    }
    scalars = {key: getattr(statistics, name) for name, key in keys_of(DayStatistics) if key != "windows"}
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
    columns: dict[str, object] = {"keys": keys}
    for _, key in keys_of(FitWindows):
        if key not in columns:
            raw = np.frombuffer(zlib.decompress(base64.b64decode(content[key])), dtype="<f8")
            columns[key] = raw.reshape(shapes.get(key, (size,))).astype(np.float64)
    plain = {key: content[key] for _, key in keys_of(DayStatistics) if key != "windows"}
    return from_plain(DayStatistics, {**plain, "windows": from_plain(FitWindows, columns)})
