"""Windows of counts: which records count, and their features by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from footprint.attribution.request_log import RequestLog
from footprint.attribution.step.count_windows import COUNT_FEATURES, SATURATION_RATES, count_features, window_counts
from footprint.attribution.token_weights import token_weight

S = 1_000_000


def log(*rows: tuple[float, float, int, float, int, int, int, bool]) -> RequestLog:
    """From start and end in seconds, key, requests, input, cached and output tokens, arrival."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    start, end = ((column * S).astype(np.int64) for column in columns[:2])
    key, weight, given, cached, output, arrival = columns[2:]
    return RequestLog(start, end, key, weight.astype(float), given, cached, output, np.full(len(rows), -1), arrival)


def test_records_of_several_requests_or_of_unknown_duration_count() -> None:
    found = window_counts(
        log(
            (0, 60, 0, 1, 9, -1, 9, False),
            (0, 60, 1, 2, 9, -1, -1, False),
            (0, 60, 2, 1, -1, -1, 0, True),
            (0, 60, 3, 2, -1, -1, -1, False),
            (0, 60, 4, 0.5, 0, -1, -1, False),
        ),
        0,
    )
    assert (found.index.tolist(), found.key.tolist(), len(found)) == ([1, 2, 4], [1, 2, 4], 3)


def test_times_are_seconds_since_the_origin_with_a_shift() -> None:
    found = window_counts(log((70, 130, 0, 2, 1, 0, 1, False)), 60 * S, 1.5)
    assert (found.start_s.tolist(), found.end_s.tolist()) == ([11.5], [71.5])


def test_features_of_two_records_of_a_minute() -> None:
    """40 requests with 6000 fresh and 3000 output tokens, and 10 with 1000 output tokens: 66.7 tokens a second."""
    found = window_counts(log((0, 60, 0, 40, 8000, 2000, 3000, False), (0, 60, 1, 10, -1, -1, 1000, False)), 0)
    context = (6000 + 1500) / 40 / 1000, 500 / 10 / 1000
    rate = 4000 / 60
    terms = [[part * 60 * (1 - math.exp(-rate / scale)) for scale in SATURATION_RATES] for part in (0.75, 0.25)]
    assert found.total[0].tolist() == pytest.approx([6000, 6000**2 / 40 / 2000, 3000, 3000 * context[0], *terms[0]])
    assert found.total[1].tolist() == pytest.approx([0, 0, 1000, 1000 * context[1], *terms[1]])
    assert found.total.shape[1] == len(COUNT_FEATURES)


def test_records_of_other_windows_have_rates_of_their_own() -> None:
    found = window_counts(log((0, 60, 0, 2, -1, -1, 600, False), (60, 90, 0, 2, -1, -1, 600, False)), 0)
    assert found.total[:, -1].tolist() == pytest.approx([60 * (1 - math.exp(-10 / 1000)), 30 * (1 - math.exp(-20 / 1000))])


def test_tokens_read_alone_divide_a_window_by_their_weight() -> None:
    found = window_counts(log((0, 60, 0, 2, 300, -1, 0, False), (0, 60, 1, 2, 100, -1, 0, False)), 0)
    assert (found.total[0, 4:] / found.total[1, 4:]).tolist() == pytest.approx([3] * len(SATURATION_RATES))
    nothing = window_counts(log((0, 60, 0, 2, 0, 5, 0, False)), 0)
    assert nothing.total.tolist() == [[0] * len(COUNT_FEATURES)]


def test_where_others_write_what_only_reads_bears_next_to_nothing_of_the_rate() -> None:
    found = window_counts(log((0, 60, 0, 2, -1, -1, 3000, False), (0, 60, 1, 2, 30_000, -1, 0, False)), 0)
    assert found.total[1, 4:].tolist() == pytest.approx([0] * len(SATURATION_RATES), abs=1e-3)


def test_rates_at_which_terms_saturate() -> None:
    assert SATURATION_RATES == (1, 3, 10, 30, 100, 300, 1000)
    assert COUNT_FEATURES[4:] == ("rate1", "rate3", "rate10", "rate30", "rate100", "rate300", "rate1000")


def test_a_weight_below_one_is_one_request() -> None:
    assert window_counts(log((0, 60, 0, 0.5, 100, -1, 0, False)), 0).total[0, 1] == pytest.approx(100**2 / 2000)


def test_a_record_lies_evenly_over_its_time() -> None:
    found = window_counts(log((30, 90, 0, 2, 600, -1, 1200, False), (0, 60, 0, 2, 60, -1, 0, False)), 0)
    totals = count_features(found, np.array([0.0, 60, 120]))
    assert totals[:, 0].tolist() == pytest.approx([360, 300])
    assert totals[:, 2].tolist() == pytest.approx([600, 600])
    assert totals.sum(axis=0).tolist() == pytest.approx(found.total.sum(axis=0).tolist())


def test_counts_that_only_read_share_their_window_by_what_they_read() -> None:
    unknown = np.full(2, -1)
    log = RequestLog(
        np.zeros(2, dtype=int), np.full(2, 60_000_000), np.array([0, 1]), np.full(2, 5.0), np.array([1000, 3000]), unknown,
        np.zeros(2, dtype=int), unknown, np.zeros(2, dtype=bool),
    )  # fmt: skip
    found = window_counts(log, 0).total[:, COUNT_FEATURES.index("rate1")]
    rate = 1e-9 * float(token_weight(np.array([4000]), np.array([-1]), np.array([0]))[0]) / 60
    assert found.tolist() == pytest.approx([60 * rate / 4, 60 * rate * 3 / 4], rel=1e-4)
