"""Window counts: requests and tokens of a window of several requests, divided over the slots that it crosses."""

from __future__ import annotations

import numpy as np

from footprint.attribution.array_types import Ints
from footprint.attribution.largest_remainder import split_integers


def divide_windows(start_us: Ints, end_us: Ints, counts: Ints, slot_us: int) -> tuple[Ints, Ints, Ints]:
    """Counts of windows by slot, in proportion to time and in integers by largest remainder.

    Parameters
    ----------
    start_us, end_us
        Windows [start, end) [µs], shape (n,).
    counts
        Counts of each window, shape (n, k); -1 is unknown and stays unknown in every slot.
    slot_us
        Length of a slot [µs].

    Returns
    -------
    window, slot_us, counts
        Index of the window, start of the slot [µs] and counts, shapes (m,), (m,) and (m, k), window by window in order of time.
        The counts of a window sum to its own.

    Examples
    --------
    >>> window, slot, counts = divide_windows(np.array([50]), np.array([300]), np.array([[5, -1]]), 100)
    >>> slot.tolist(), counts.tolist()
    ([0, 100, 200], [[1, -1], [2, -1], [2, -1]])
    """
    first = start_us // slot_us
    last = np.maximum(end_us - 1, start_us) // slot_us
    sizes = last - first + 1
    window = np.repeat(np.arange(len(start_us)), sizes)
    position = np.arange(len(window)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    slot = (first[window] + position) * slot_us
    inside = np.minimum(slot + slot_us, end_us[window]) - np.maximum(slot, start_us[window])
    weights = np.maximum(inside, 0).astype(np.float64)
    divided = [split_integers(np.maximum(column, 0), weights, window) for column in counts.T]
    parts = np.stack(divided, axis=1) if divided else np.zeros((len(window), 0), dtype=np.int64)
    return window, slot, np.where(counts[window] < 0, -1, parts)
