"""When requests were read and wrote: logged, inferred, queued; by hand where a hand can, else from a server that is known."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.attribution.request_log import RequestLog
from footprint.attribution.step.request_timing import (
    TimedRequests,
    admission_times,
    has_whole_second_stamps,
    request_phases,
    timed_requests,
)

S = 1_000_000


def log(*rows: tuple[float, float, float, int, int, int], weight: float = 1.0, arrival: bool = False) -> RequestLog:
    """From start, end and first token in seconds (-1: unknown), input, cached and output tokens."""
    start, end, first, given, cached, output = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    first_us = np.where(first < 0, -1, np.rint(first * S)).astype(np.int64)
    start_us, end_us = (np.rint(each * S).astype(np.int64) for each in (start, end))
    return RequestLog(
        start_us, end_us, np.arange(n) % 3, np.full(n, weight), given, cached, output, first_us, np.full(n, arrival)
    )


def test_single_requests_of_known_tokens_in_order_of_their_start() -> None:
    given = log(
        (105.5, 108, 106, 100, 30, 40), (103.5, 104, -1, -1, -1, 0), (102.25, 109, -1, 50, 80, -1), (101, 102, -1, -1, -1, -1)
    )
    found = timed_requests(given, 100 * S, 2.0, 0.25)
    assert (found.index.tolist(), found.key.tolist(), len(found)) == ([2, 1, 0], [2, 1, 0], 3)
    assert found.start_s.tolist() == [4.25, 5.5, 7.5]
    assert found.end_s.tolist() == [10.75, 5.75, 9.75]
    assert found.fresh.tolist() == [0, 0, 70]
    assert found.output.tolist() == [0, 0, 40]
    assert np.isnan(found.first_s[:2]).all()
    assert found.first_s[2] == 8.0
    assert timed_requests(given, 100 * S).start_s.tolist() == [2.25, 3.5, 5.5]
    assert (
        len(timed_requests(log((1, 2, -1, 1, 0, 1), weight=2.0), 0))
        == len(timed_requests(log((1, 2, -1, 1, 0, 1), arrival=True), 0))
        == 0
    )
    assert timed_requests(log((0.5, 2, 0, 0, 0, 1)), 0).first_s.tolist() == [0]  # known, though of no input


def test_a_request_takes_a_millisecond_at_least() -> None:
    assert timed_requests(log((1.5, 1.6, -1, 1, 0, 1)), 0, late_s=0.2).end_s.tolist() == [pytest.approx(1.501)]


def test_stamps_in_whole_seconds_stand_for_the_middle_of_them() -> None:
    whole = [(n, n, -1, 1, 0, 1) for n in range(20)]
    assert has_whole_second_stamps(log(*whole))
    assert not has_whole_second_stamps(log(*whole[:19]))
    assert not has_whole_second_stamps(log(*whole[:19], (19.5, 20, -1, 1, 0, 1)))
    assert has_whole_second_stamps(log(*whole, *whole, (19.5, 20, -1, 1, 0, 1)))
    assert not has_whole_second_stamps(log(*whole, weight=2.0))
    assert not has_whole_second_stamps(log(*whole, arrival=True))
    found = timed_requests(log(*whole), 0)
    assert found.start_s[:2].tolist() == [0.5, 1.5]
    assert found.end_s[:2].tolist() == pytest.approx([0.6, 1.6])
    longer = timed_requests(log(*((n, n + 5, -1, 1, 0, 1) for n in range(20))), 0)
    assert longer.end_s[:2].tolist() == [5.5, 6.5]


def requests(*rows: tuple[float, float, float, float, float]) -> TimedRequests:
    """From start, end, first token [s] (nan: unknown), fresh and output tokens."""
    start, end, first, fresh, output = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return TimedRequests(np.arange(len(rows)), start, end, first, fresh, output, np.zeros(len(rows), dtype=int))


NAN = float("nan")


def test_logged_first_tokens_are_taken() -> None:
    """A second for 1000 tokens, four times; reading is a fifth longer, and never begins before the request."""
    rows = [(10.0 * n, 10.0 * n + 6, 10.0 * n + 1, 1000.0, 100.0) for n in range(4)]
    found = request_phases(requests(*rows))
    assert found.logged
    assert found.prefill_s == pytest.approx(0.001)
    assert found.first_s.tolist() == [1, 11, 21, 31]
    assert found.read_s.tolist() == [0, 10, 20, 30]
    assert (found.slots, found.clock.edges_s[1] - found.clock.edges_s[0]) == (0, 10)
    assert found.misfit == pytest.approx(0, abs=0.01)
    later = request_phases(requests(*((s, e, f + 2, fresh, out) for s, e, f, fresh, out in rows)))
    assert later.prefill_s == pytest.approx(0.003)
    assert request_phases(
        requests((0, 20, 10, 1000, 100), (0, 20, 2, 1000, 100), (0, 20, 2, 1000, 100), (0, 20, 2, 1000, 100))
    ).read_s[0] == pytest.approx(7.6)


def test_logged_first_tokens_lie_within_the_request_and_short_inputs_count_as_64() -> None:
    found = request_phases(requests((0, 5, 9, 10, 100), (10, 15, 8, 10, 100), (20, 25, 20.64, 10, 100)))
    assert found.first_s.tolist() == [5, 10, 20.64]
    assert found.prefill_s == pytest.approx(0.005)


def test_nine_tenths_must_be_logged_of_those_that_write() -> None:
    logged = [(10.0 * n, 10.0 * n + 5, 10.0 * n + 1, 100.0, 100.0) for n in range(19)]
    unknown = (200.0, 205.0, NAN, 100.0, 100.0)
    found = request_phases(requests(*logged, unknown, (300, 301, NAN, 10, 0)))
    assert found.logged
    assert found.first_s[-2:].tolist() == [200, 301]  # nobody logged it: from its start; nothing written: at its end
    assert not request_phases(requests(*logged[:9], unknown)).logged


def test_where_nothing_is_written_all_is_reading() -> None:
    found = request_phases(requests((0, 5, NAN, 100, 0), (3, 9, 4, 100, 0)))
    assert (found.read_s.tolist(), found.first_s.tolist()) == ([0, 3], [5, 9])
    assert (found.prefill_s, found.slots, found.misfit, found.logged) == (0, 0, 0, True)
    assert found.clock.tokens_at(np.array([0.5])).tolist() == [pytest.approx(5e-4)]


def queued(seed: int, slots: int, *, prefill_s: float = 0.0005, step_s: float = 0.02) -> tuple[TimedRequests, np.ndarray]:  # type: ignore[type-arg]
    """A server of so many slots: reads one after the other, then writes at a constant speed; and its true first tokens."""
    luck = np.random.default_rng(seed)
    start = np.sort(luck.uniform(0, 3000, 400))
    fresh, output = luck.integers(200, 6000, 400).astype(float), luck.integers(20, 400, 400).astype(float)
    free, reader, firsts, ends = [0.0] * slots, 0.0, [], []
    for at, given, out in zip(start, fresh, output, strict=True):
        begin = max(at, min(free))
        reader = max(begin, reader) + given * prefill_s
        firsts.append(reader)
        ends.append(reader + out * step_s)
        free[free.index(min(free))] = ends[-1]
    found = TimedRequests(np.arange(400), start, np.array(ends), np.full(400, NAN), fresh, output, np.zeros(400, dtype=int))
    return found, np.array(firsts)


@pytest.mark.parametrize(("seed", "prefill_s", "step_s"), [(1, 0.0005, 0.02), (2, 0.0002, 0.05)])
def test_first_tokens_are_inferred_where_nobody_logged_them(seed: int, prefill_s: float, step_s: float) -> None:
    given, truth = queued(seed, 400, prefill_s=prefill_s, step_s=step_s)
    found = request_phases(given)
    assert not found.logged
    assert found.prefill_s == pytest.approx(prefill_s, rel=0.25)
    assert np.median(np.abs(found.first_s - truth)) < 0.15
    assert found.misfit < 0.05
    assert (found.first_s >= given.start_s).all()
    assert (found.first_s < given.end_s).all()
    assert (found.read_s <= found.first_s).all()
    assert (found.read_s >= given.start_s).all()


def test_slots_are_found_where_requests_wait_for_them() -> None:
    given, truth = queued(3, 2, prefill_s=0.0002)
    found = request_phases(given)
    assert found.slots in (2, 3)
    assert np.median(np.abs(found.first_s - truth)) < 0.5


def uneven(seed: int, slots: int, prefill_s: float, step_s: float) -> TimedRequests:
    """As ``queued``, with speeds that vary fourfold and answers of any length, so that no choice of the search is exact."""
    luck, count = np.random.default_rng(seed), 200
    start = np.sort(luck.uniform(0, 1500, count))
    fresh, output = luck.integers(200, 6000, count).astype(float), luck.integers(0, 300, count).astype(float)
    free, reader, ends = [0.0] * slots, 0.0, []
    for at, given, out, slow in zip(start, fresh, output, luck.uniform(0.5, 2.0, (count, 2)), strict=True):
        reader = max(at, min(free), reader) + given * prefill_s * slow[0]
        ends.append(reader + out * step_s * slow[1])
        free[free.index(min(free))] = ends[-1]
    return TimedRequests(np.arange(count), start, np.array(ends), np.full(count, NAN), fresh, output, np.zeros(count, dtype=int))


# The search over speeds and slots is part of the method: these figures move with METHOD_VERSION alone.
@pytest.mark.parametrize(("seed", "slots", "prefill_s", "step_s", "found_s", "found_slots", "misfit", "wait_s", "read_s"), [
    (1, 400, 0.0005, 0.02, 0.0002310542093803619, 3, 0.15667719127109864, 0.9520160337436449, 0.7449645602851686),
    (3, 2, 0.0002, 0.02, 7.057439022473397e-05, 2, 0.1624708951507039, 0.7597285929471889, 0.2393919387602903),
    (4, 3, 0.001, 0.05, 0.0011553487457225285, 3, 0.20723409289390496, 11.930393746002272, 4.219149813932633),
    (5, 6, 0.0003, 0.1, 1.3848352405438813e-05, 0, 0.2235476885560011, 0.9911188684613318, 0.04673427028463104),
    (6, 8, 0.001, 0.2, 0.00015511246484783622, 8, 0.2644868720948223, 5.360060351381091, 0.5579785030161004),
    (7, 12, 0.001, 0.3, 0.0005608855304817873, 12, 0.2664404097744487, 6.636877859488282, 1.9799306947787425),
    (8, 20, 0.002, 0.5, 0.0022601608844700417, 20, 0.24338061822640572, 84.72016471881292, 8.421238010614854),
    (9, 30, 0.0001, 1.0, 4.65e-09, 0, 0.3095886779565759, 11.898635176371387, 1.5627148052512752e-05),
    (10, 5, 0.002, 0.1, 0.0022271696887048932, 5, 0.3246336880863455, 72.10960450921833, 7.7809483644844555),
])  # fmt: skip
def test_what_the_search_finds_is_part_of_the_method(
    seed: int,
    slots: int,
    prefill_s: float,
    step_s: float,
    found_s: float,
    found_slots: int,
    misfit: float,
    wait_s: float,
    read_s: float,
) -> None:
    given = uneven(seed, slots, prefill_s, step_s)
    found = request_phases(given)
    assert found.slots == found_slots
    assert (found.prefill_s, found.misfit) == (pytest.approx(found_s, rel=1e-9), pytest.approx(misfit, rel=1e-9))
    assert float((found.first_s - given.start_s).mean()) == pytest.approx(wait_s, rel=1e-9)
    assert float((found.first_s - found.read_s).mean()) == pytest.approx(read_s, rel=1e-9)


@pytest.mark.parametrize(
    ("slots", "begins"), [(0, [0, 1, 2, 3]), (4, [0, 1, 2, 3]), (2, [0, 1, 4, 6]), (1, [0, 5, 7, 9]), (3, [0, 1, 2, 4])]
)
def test_who_waits_for_a_slot(slots: int, begins: list[float]) -> None:
    """Ends as logged; a request begins when the earliest of those that hold a slot ends, and not after its own end."""
    ends = {0: [10, 4, 6, 8], 4: [10, 4, 6, 8], 2: [10, 4, 6, 8], 1: [5, 7, 9, 12], 3: [10, 4, 6, 8]}[slots]
    assert admission_times(np.array([0.0, 1, 2, 3]), np.array(ends, dtype=float), slots).tolist() == begins
