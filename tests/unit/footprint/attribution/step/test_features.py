"""Features of requests by hand, and that windows hold them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from footprint.attribution.step.decode_clock import DecodeClock
from footprint.attribution.step.features import (
    REQUEST_FEATURES,
    HostCount,
    RequestFeatures,
    batch_shapes,
    prefill_tokens_by_key,
    request_features,
    window_features,
)
from footprint.attribution.step.request_timing import RequestPhases, TimedRequests


def made(*rows: tuple[float, float, float, float, float, int], edges: tuple[float, ...]) -> RequestFeatures:
    """From read, first and end [s], fresh and output tokens, key; the clock makes 10 tokens a second."""
    read, first, end, fresh, output, key = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    requests = TimedRequests(np.arange(len(rows)), read, end, first, fresh, output, key.astype(int))
    clock = DecodeClock(np.array([0.0, 100.0]), np.array([0.0, 1000.0]))
    return request_features(requests, RequestPhases(read, first, clock, 0.0, 0, 0.0, True), np.array(edges))


def column(f: RequestFeatures, edges: tuple[float, ...], name: str) -> list[float]:
    return window_features(f, np.array(edges))[:, REQUEST_FEATURES.index(name)].tolist()


def test_shapes_of_a_step_shared_by_many() -> None:
    found = batch_shapes(np.array([0.0, 1.0, 3.0]), np.ones(3))
    assert found[0].tolist() == pytest.approx([0, 1, 1 / 3])
    for row, tau in zip(found[1:4], (2, 8, 32), strict=True):
        assert row.tolist() == pytest.approx([0, 0, (1 - math.exp(-2 / tau)) / 3])
    assert not found[4:].any()


def test_shapes_of_steps_of_several_hosts() -> None:
    """Three requests on two hosts: at random one host is empty a quarter of the time; balanced, both run."""
    random, balanced = batch_shapes(np.array([0.0, 1.0, 3.0]), np.array([2.0, 2.0, 2.0]))[4:]
    assert random.tolist() == pytest.approx([0, 1, 1.75 / 3])
    assert balanced.tolist() == pytest.approx([0, 1, 2 / 3])


def test_hosts_by_time() -> None:
    hosts = HostCount(np.array([0.0, 100.0]), np.array([4.0, 3.0]))
    assert hosts.at(np.array([-5.0, 0.0, 99.0, 100.0, 500.0])).tolist() == [4, 4, 4, 3, 3]


EDGES = (0.0, 10.0, 20.0, 40.0)
# One alone over [4, 14), another over [10, 30): 10 tokens a second would be 100 and 200, they made 50 and 400.
TWO = (0.0, 4.0, 14.0, 2000.0, 50.0, 0), (8.0, 10.0, 30.0, 500.0, 400.0, 1)


def test_totals_of_requests() -> None:
    f = made(*TWO, edges=EDGES)
    assert f.pace.tolist() == pytest.approx([0.5, 2.0])
    # Steps: 40 ticks shared by two, 60 and 160 alone.
    steps = [0.5 * (60 + 20), 2 * (160 + 20)]
    assert f.total[:, :5].tolist() == [
        pytest.approx([2000, 2000, 1, 50, 50 * 2.025]),
        pytest.approx([500, 125, 1, 400, 400 * 0.7]),
    ]
    assert f.total[:, 5].tolist() == pytest.approx(steps)
    assert f.total[:, 6].tolist() == pytest.approx([0.5 * 40 * (1 - math.exp(-0.5)) / 2, 2 * 40 * (1 - math.exp(-0.5)) / 2])


def test_windows_hold_reading_before_and_writing_after_the_first_token() -> None:
    f = made(*TWO, edges=EDGES)
    assert column(f, EDGES, "in") == pytest.approx([2000 + 500, 0, 0])
    assert column(f, EDGES, "request") == pytest.approx([2, 0, 0])
    assert column(f, EDGES, "out") == pytest.approx([30, 20 + 200, 200])
    assert column(f, EDGES, "step") == pytest.approx([30, 0.5 * 20 + 2 * (20 + 60), 200])
    assert column(f, EDGES, "outctx") == pytest.approx([30 * 2.015, 20 * 2.04 + 200 * 0.6, 200 * 0.8])
    for name in REQUEST_FEATURES:
        assert sum(column(f, EDGES, name)) == pytest.approx(float(f.total[:, REQUEST_FEATURES.index(name)].sum())), name


def test_reading_across_windows_is_even_and_what_lies_outside_is_left_out() -> None:
    f = made((6.0, 16.0, 26.0, 1000.0, 100.0, 0), edges=(10.0, 20.0))
    assert column(f, (10.0, 20.0), "in") == pytest.approx([600])
    assert column(f, (10.0, 20.0), "out") == pytest.approx([40])
    assert column(f, (10.0, 20.0), "step") == pytest.approx([40])


def test_requests_that_write_nothing_take_no_step() -> None:
    f = made((0.0, 5.0, 5.0, 100.0, 0.0, 0), (0.0, 9.0, 9.0, 100.0, 30.0, 0), (0.0, 4.0, 14.0, 0.0, 100.0, 0), edges=EDGES)
    assert f.pace.tolist() == pytest.approx([0, 0, 1])
    assert column(f, EDGES, "out") == pytest.approx([60, 40, 0])
    assert column(f, EDGES, "step") == pytest.approx([60, 40, 0])


def test_reading_by_use_case() -> None:
    f = made(*TWO, (12.0, 22.0, 30.0, 100.0, 9.0, 1), edges=EDGES)
    found = prefill_tokens_by_key(f, np.array(EDGES), 3)
    assert found.tolist() == [pytest.approx([2000, 500, 0]), pytest.approx([0, 80, 0]), pytest.approx([0, 20, 0])]
    assert prefill_tokens_by_key(f, np.array(EDGES), 0).shape == (3, 0)


def test_a_request_read_in_no_time_is_read_all_the_same() -> None:
    f = made((5.0, 5.0, 14.0, 70.0, 9.0, 0), edges=EDGES)
    assert column(f, EDGES, "in") == pytest.approx([70, 0, 0])
    assert prefill_tokens_by_key(f, np.array(EDGES), 1)[:, 0].tolist() == pytest.approx([70, 0, 0])


def test_an_answer_of_one_token_is_written_whole() -> None:
    edges = (0.0, 5.0, 20.0)
    f = made((0, 1, 1.01, 100, 1, 0), (1, 2, 12, 100, 100, 0), edges=edges)  # a tenth of a tick of the clock
    assert f.pace.tolist() == pytest.approx([10, 1])
    assert sum(column(f, edges, "out")) == pytest.approx(101)
    assert f.total[0, REQUEST_FEATURES.index("step")] == pytest.approx(1)
    assert request_features(f.requests, f.timing, np.array(edges)).count.max() == 1
