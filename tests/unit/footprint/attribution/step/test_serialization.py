"""Statistics of a day as text: bit for bit, one line, arrays as compressed little-endian doubles."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.day_statistics import DayStatistics
from footprint.attribution.step.features import REQUEST_FEATURES
from footprint.attribution.step.regression import AWAKE_TAUS_S, FitWindows
from footprint.attribution.step.serialization import dump_statistics, load_statistics

FEATURES = len(REQUEST_FEATURES) + len(COUNT_FEATURES)
ARRAYS = "start_s", "length_s", "energy_j", "features", "awake_s", "reading", "held_s", "size"


def statistics(size: int, keys: tuple[str, ...] = ("é", "b")) -> DayStatistics:
    luck = np.random.default_rng(1)
    windows = FitWindows(
        luck.random(size), luck.random(size), luck.random(size), luck.random((size, FEATURES)), luck.random((size, len(AWAKE_TAUS_S))),
        luck.random((size, len(keys))), luck.random((size, len(keys))), keys, luck.random(size),
    )  # fmt: skip
    return DayStatistics(windows, 400, 1.5, 0.8, 0.001, 3, 0.02, True, False, 0.5, False)


@pytest.mark.parametrize(("size", "keys"), [(0, ("a",)), (1, ("",)), (5, ("é", "b")), (2, ("a", "b", "c"))])
def test_a_day_is_kept_bit_for_bit(size: int, keys: tuple[str, ...]) -> None:
    day = statistics(size, keys)
    text = dump_statistics(day)
    back = load_statistics(text)
    assert back is not None
    assert replace(back, windows=day.windows) == day
    assert back.windows.keys == keys
    for name in ARRAYS:
        array = getattr(back.windows, name)
        assert array.shape == getattr(day.windows, name).shape
        assert np.array_equal(array, getattr(day.windows, name))
        array += 1  # a copy that can be written to
    assert dump_statistics(day) == text


def test_text_is_one_line_of_plain_json() -> None:
    text = dump_statistics(statistics(3))
    assert "\n" not in text
    assert ": " not in text
    assert '"keys":["é","b"]' in text
    content = json.loads(text)
    assert content["size"] == 3
    assert content["layout"] == [*REQUEST_FEATURES, *COUNT_FEATURES, *map(str, AWAKE_TAUS_S)]


def test_arrays_are_compressed_little_endian_doubles() -> None:
    day = statistics(2)
    content = json.loads(dump_statistics(day))
    packed = [value for value in content.values() if isinstance(value, str)]
    assert len(packed) == len(ARRAYS)
    doubles = [zlib.decompress(base64.b64decode(value)) for value in packed]
    assert struct.pack("<2d", *day.windows.energy_j) in doubles
    assert struct.pack("<4d", *day.windows.reading.ravel()) in doubles


def test_statistics_of_other_features_are_not_read() -> None:
    content = json.loads(dump_statistics(statistics(2)))
    assert load_statistics(json.dumps(content)) is not None
    assert load_statistics(json.dumps({**content, "layout": content["layout"][:-1]})) is None
    assert load_statistics(json.dumps({**content, "layout": ["other", *content["layout"][1:]]})) is None
    assert load_statistics("{}") is None
