"""Closure and idle power as laws: whatever readings, requests, moves and weights come, energy stands in rows to the last µJ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footprint.attribution.energy_intervals import EnergyIntervals, cut_at_edges
from footprint.attribution.idle import idle_histograms, idle_power_uw
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog
from footprint.attribution.shard import DeviceInput, HostFacts, PlacedService, ServiceInput, ShardInput, attribute
from footprint.attribution.split import BOUND_PER_HALF_WIDTH, UNATTRIBUTED, split_placement
from footprint.attribution.token_weights import DeclaredWeights
from tests.simulation.server import DAY_S, VARIANTS, simulate
from tests.support.step_fits import intervals_of, log_of

S = 1_000_000
HOUR_US = 3600 * S


@st.composite
def intervals(draw: st.DrawFn) -> EnergyIntervals:
    """Energy intervals with gaps, of any energy, zero included."""
    steps = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 700), st.integers(0, 10**9)), max_size=14))
    at, rows = draw(st.integers(0, 3000)), []
    for gap, length, energy in steps:
        at += gap if gap > 200 else 0  # else the next follows at once
        rows.append((at * S, (at + length) * S, energy))
        at += length
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    start, end, energy_uj = columns.T
    return EnergyIntervals(start, end, energy_uj, end - start, np.zeros(len(start), dtype=np.int8))


@st.composite
def logs(draw: st.DrawFn) -> RequestLog:
    """Requests that overlap, of no duration, without tokens, counts, or none at all."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 9000),
                st.integers(0, 2000),
                st.integers(0, 2),
                st.sampled_from([1, 1, 1, 7]),
                st.integers(-1, 500),
                st.integers(-1, 500),
                st.booleans(),
            ),
            max_size=14,
        )
    )
    columns = np.array(rows, dtype=np.int64).reshape(-1, 7)
    start, length, key, weight, given_, out, arrival = columns.T
    order = np.argsort(start, kind="stable")
    known = np.full(len(start), -1)
    return RequestLog(
        start[order] * S,
        np.maximum((start + length)[order] * S, start[order] * S + 1),
        key[order],
        weight[order].astype(float),
        given_[order],
        known,
        out[order],
        known,
        arrival[order].astype(bool),
    )


CASES = {"quick": 300, "full": 10_000}


def cases() -> int:
    """Ten thousand in the full run."""
    return CASES["full"] if settings.get_profile("full").max_examples == settings().max_examples else CASES["quick"]


@settings(max_examples=cases())
@given(
    st.lists(intervals(), min_size=1, max_size=3),
    st.lists(logs(), min_size=1, max_size=2),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 1),
            st.sampled_from([1.0, 0.5, 0.3]),
            st.integers(0, 9000),
            st.integers(0, 9000),
            st.one_of(st.none(), st.integers(0, 10**8)),
        ),
        max_size=4,
    ),
    st.booleans(),
    st.floats(1.0, 1.5),
    st.floats(1.0, 2.0),
    st.sampled_from(["", "cpu", "host"]),
)
def test_rows_hold_every_microjoule(
    devices: list[EnergyIntervals],
    services: list[RequestLog],
    tenures: list[tuple[int, int, float, int, int, int | None]],
    fitted: bool,
    uplift: float,
    pue: float,
    other: str,
) -> None:
    placed: dict[int, list[PlacedService]] = {}
    taken = [0.0] * len(devices)
    for device, service, share, low, high, idle_uw in tenures:
        if device < len(devices) and service < len(services) and taken[device] + share <= 1 and low < high:
            taken[device] += share
            placed.setdefault(device, []).append(PlacedService(service, share, low * S, high * S, idle_uw))
    inputs = [DeviceInput("h", f"gpu:{n}", "gpu", each, tuple(placed.get(n, ()))) for n, each in enumerate(devices)]
    if other:
        inputs.append(DeviceInput("h", other, other, devices[0], ()))
    given_ = []
    for number, log in enumerate(services):
        weights = DeclaredWeights(log)
        half = np.full(3, 0.1) if fitted else None
        scenarios = () if fitted else (DeclaredWeights(log, 0.05), DeclaredWeights(log, 0.6))
        given_.append(ServiceInput(f"s{number}", (("a", ""), ("b", ""), ("c", "")), log, weights, scenarios, half))
    shard = ShardInput(
        slots_us=np.arange(0, 5 * HOUR_US, HOUR_US),
        segments_us=np.array([0, *sorted({t[3] * S for t in tenures if t[3]})]),
        window_us=300 * S,
        devices=inputs,
        services=given_,
        facts=lambda *_: HostFacts(uplift, False, pue, False),
    )
    rows = attribute(shard).rows
    read = sum(int(cut_at_edges(each, shard.slots_us)[0].energy_uj.sum()) for each in devices)
    if other == "cpu":
        read += int(cut_at_edges(devices[0], shard.slots_us)[0].energy_uj.sum())
    own = rows[rows["device"] != "(host)"]
    if other != "host":
        own = own[own["device"] != "host"]
    assert int((own["active_uj"] + own["idle_uj"] + own["host_uj"]).sum()) == read
    assert (own[["active_uj", "idle_uj"]] >= 0).all().all()
    if other != "host":
        whole = int((rows["active_uj"] + rows["idle_uj"] + rows["host_uj"]).sum())
        assert whole == pytest.approx(read * uplift, abs=len(rows) + 60)
        total = int(rows[["active_uj", "idle_uj", "host_uj", "facility_uj"]].to_numpy().sum())
        assert total == pytest.approx(whole * pue, abs=len(rows) + 60)


def test_counts_without_tokens_give_a_range_and_no_value() -> None:
    """Two use cases counted in the same minutes: nobody knows who used the energy, and nobody is told."""
    minutes = np.arange(0, 60) * 60 * S
    start = np.repeat(minutes, 2)
    unknown = np.full(120, -1)
    log = RequestLog(
        start,
        start + 60 * S,
        np.tile([0, 1], 60),
        np.tile([30.0, 2.0], 60),
        unknown,
        unknown,
        unknown,
        unknown,
        np.zeros(120, bool),
    )
    seconds = np.arange(0, 3600) * S
    power = EnergyIntervals(seconds, seconds + S, np.full(3600, 300 * S), np.full(3600, S), np.zeros(3600, np.int8))
    timeline = ConcurrencyTimeline(log, np.array([0, HOUR_US]))
    others = DeclaredWeights(log, 0.05), DeclaredWeights(log, 0.6)
    rows = split_placement(power, 60 * S, timeline, DeclaredWeights(log), 300 * S, others)
    by_key = {key: index for index, key in enumerate(rows.key.tolist())}
    assert int(rows.active_uj[by_key[UNATTRIBUTED]] + rows.idle_uj[by_key[UNATTRIBUTED]]) == 300 * S * 3600
    for key in (0, 1):
        at = by_key[key]
        assert (rows.active_uj[at], rows.idle_uj[at]) == (0, 0)
        assert (rows.spread_uj[at] == [0, round(300 * S * 3600 * BOUND_PER_HALF_WIDTH)]).all()


def test_counts_without_tokens_of_one_use_case_are_its_own() -> None:
    log = RequestLog(
        np.array([0]), np.array([HOUR_US]), np.array([0]), np.array([30.0]), *[np.array([-1])] * 4, np.zeros(1, bool)
    )
    power = EnergyIntervals(np.array([0]), np.array([HOUR_US]), np.array([10**9]), np.array([HOUR_US]), np.zeros(1, np.int8))
    others = DeclaredWeights(log, 0.05), DeclaredWeights(log, 0.6)
    rows = split_placement(power, None, ConcurrencyTimeline(log, np.array([0, HOUR_US])), DeclaredWeights(log), 300 * S, others)
    assert rows.key.tolist() == [0]
    assert rows.active_uj.tolist() == [10**9]


@pytest.mark.parametrize("name", ["large", "small", "low-load", "tail", "experts-small"])
def test_idle_power_is_within_two_percent_after_one_day(name: str) -> None:
    """Of each device, against what its own sensor reads of the true idle power."""
    day = simulate(VARIANTS[name], 1)
    timeline = ConcurrencyTimeline(log_of(day), np.array([0, DAY_S * S]))
    idle_s = np.flatnonzero(day.above_j == 0)
    for each in intervals_of(day, 1):
        learnt = idle_power_uw([idle_histograms(each, timeline, (0, DAY_S * S))])
        truth = each.energy_uj[idle_s].mean()
        assert learnt == pytest.approx(truth, rel=0.02)
