"""A placement group's day by hand: every column of every row, and that the rows hold what was read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from footprint.attribution.energy_intervals import BRIDGED, COUNTER, ESTIMATE, MODELLED, EnergyIntervals
from footprint.attribution.request_log import RequestLog
from footprint.attribution.row_columns import AMOUNTS
from footprint.attribution.shard import (
    ClosureError,
    CpuTime,
    DeviceInput,
    HostFacts,
    PlacedService,
    ServiceInput,
    ShardInput,
    ShardRows,
    attribute,
    window_edges,
)
from footprint.attribution.token_weights import DeclaredWeights

S = 1_000_000
ALWAYS = 2**62
Facts = Callable[[str, int], HostFacts]


def spans(*rows: tuple[int, int, int], method: int = COUNTER) -> EnergyIntervals:
    """Times in seconds, energy in microjoules."""
    start, end, energy = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return EnergyIntervals(start * S, end * S, energy, (end - start) * S, np.full(len(rows), method, dtype=np.int8))


def log(*rows: tuple[int, int, int, int], weight: float = 1.0) -> RequestLog:
    """From start and end in seconds, key, output tokens (-1: unknown)."""
    start, end, key, output = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    n, unknown = len(start), np.full(len(start), -1)
    return RequestLog(start * S, end * S, key, np.full(n, weight), unknown, unknown, output, unknown, np.zeros(n, dtype=bool))


def service(name: str, requests: RequestLog, keys: tuple[tuple[str, str], ...] = (("a", "m"),)) -> ServiceInput:
    weights = DeclaredWeights(requests)
    return ServiceInput(name, keys, requests, weights, (weights, weights))


def facts(uplift: float = 1.0, pue: float = 1.0, *, assumed: str = "", ug_per_s: float = 0.0) -> Facts:
    return lambda *_: HostFacts(uplift, "uplift" in assumed, pue, "pue" in assumed, ug_per_s)


def shard(
    devices: list[DeviceInput], services: list[ServiceInput], facts: Facts, *, slots: tuple[int, ...] = (0, 100, 200),
    segments: tuple[int, ...] = (0,), window_s: int = 100, cpu: dict[str, CpuTime] | None = None,
) -> ShardInput:  # fmt: skip
    return ShardInput(np.array(slots) * S, np.array(segments) * S, window_s * S, devices, services, facts, cpu or {})


def table(found: ShardRows, *columns: str) -> dict[tuple[object, ...], tuple[int, ...]]:
    """Chosen columns by slot, device, service and use case; rows of nothing but zeros in them are left out."""
    rows = found.rows
    keys = zip(*(rows[name].tolist() for name in ("slot", "device", "service", "use_case")), strict=True)
    values = zip(*(rows[name].tolist() for name in columns), strict=True)
    return {key: value for key, value in zip(keys, values, strict=True) if any(value)}


def gpu(*placed: PlacedService, method: int = COUNTER, name: str = "gpu:0") -> DeviceInput:
    return DeviceInput("h", name, "gpu", spans((0, 100, 1000), (100, 200, 2000), method=method), placed)


PLACED = PlacedService(0, 1.0, 0, ALWAYS, 2)
ENERGIES = ("active_uj", "idle_uj", "host_uj", "facility_uj")
CPU = DeviceInput("h", "cpu:0", "cpu", spans((0, 100, 100), (100, 200, 100)))
NOBODY, IDLE = "(unattributed)", "(idle)"


def test_every_part_of_a_host_by_hand() -> None:
    """Idle 200 µJ a window; one request in half of the first; CPU follows, 50 % unseen, a fifth of facility."""
    found = attribute(shard([gpu(PLACED), CPU], [service("s", log((0, 50, 0, 9)))], facts(1.5, 1.2)))
    assert table(found, *ENERGIES) == {
        (0, "gpu:0", "s", "a"): (800, 100, 0, 180),
        (0, "gpu:0", "s", IDLE): (0, 100, 0, 20),
        (0, "cpu:0", "s", "a"): (0, 0, 90, 18),
        (0, "cpu:0", "s", IDLE): (0, 0, 10, 2),
        (0, "(host)", "s", "a"): (0, 0, 495, 99),
        (0, "(host)", "s", IDLE): (0, 0, 55, 11),
        (1, "gpu:0", "s", NOBODY): (1800, 0, 0, 360),
        (1, "gpu:0", "s", IDLE): (0, 200, 0, 40),
        (1, "cpu:0", "s", NOBODY): (0, 0, 90, 18),
        (1, "cpu:0", "s", IDLE): (0, 0, 10, 2),
        (1, "(host)", "s", NOBODY): (0, 0, 945, 189),
        (1, "(host)", "s", IDLE): (0, 0, 105, 21),
    }
    assert set(found.rows["model"][found.rows["use_case"] == "a"]) == {"m"}
    assert set(found.rows["host"]) == {"h"}
    assert found.coverage["h", "gpu:0"].energy_uj.tolist() == [1000, 2000]
    assert found.coverage["h", "cpu:0"].measured_us.tolist() == [100 * S, 100 * S]


@pytest.mark.parametrize(
    ("assumed", "b", "c"), [("", 495 + 99, 0), ("uplift", 99, 495), ("pue", 495, 99), ("uplift pue", 0, 495 + 99)]
)
def test_what_is_declared_is_grade_b_and_what_is_assumed_grade_c(assumed: str, b: int, c: int) -> None:
    found = attribute(shard([gpu(PLACED), CPU], [service("s", log((0, 50, 0, 9)))], facts(1.5, 1.2, assumed=assumed)))
    assert table(found, "grade_b_uj", "grade_c_uj")[0, "(host)", "s", "a"] == (b, c)


@pytest.mark.parametrize(("method", "b", "c"), [(COUNTER, 0, 0), (BRIDGED, 900, 0), (MODELLED, 900, 0), (ESTIMATE, 0, 900)])
def test_grades_of_readings(method: int, b: int, c: int) -> None:
    found = attribute(shard([gpu(PLACED, method=method)], [service("s", log((0, 50, 0, 9)))], facts()))
    assert table(found, "grade_b_uj", "grade_c_uj").get((0, "gpu:0", "s", "a"), (0, 0)) == (b, c)


def test_grades_in_the_proportions_of_a_window() -> None:
    """A quarter of the energy is bridged, a tenth estimated, of the first window only."""
    given = spans((0, 40, 650), (40, 60, 250), (60, 100, 100), (100, 200, 7))
    methods = np.array([COUNTER, BRIDGED, ESTIMATE, COUNTER], dtype=np.int8)
    device = DeviceInput(
        "h", "gpu:0", "gpu", EnergyIntervals(given.start_us, given.end_us, given.energy_uj, given.covered_us, methods), (PLACED,)
    )
    found = attribute(shard([device], [service("s", log((0, 200, 0, 9)))], facts()))
    assert table(found, "active_uj", "idle_uj", "grade_b_uj", "grade_c_uj") == {
        (0, "gpu:0", "s", "a"): (800, 200, 250, 100),
        (1, "gpu:0", "s", "a"): (0, 7, 0, 0),
    }


def test_a_meter_of_the_whole_server_is_measured_and_is_no_row() -> None:
    """It reads 3000 µJ in the first window and 2500 in the second, where 600 and 400 are neither accelerator's nor CPU's."""
    wall = DeviceInput("h", "wall", "host", spans((0, 100, 1700), (100, 200, 2500)))
    found = attribute(shard([gpu(PLACED), CPU, wall], [service("s", log((0, 50, 0, 9)))], facts(9.0, 1.0, assumed="uplift")))
    assert table(found, "host_uj", "grade_b_uj", "grade_c_uj") == {
        (0, "cpu:0", "s", "a"): (90, 0, 0), (0, "cpu:0", "s", IDLE): (10, 0, 0), (0, "(host)", "s", "a"): (540, 0, 0),
        (0, "(host)", "s", IDLE): (60, 0, 0), (1, "cpu:0", "s", NOBODY): (90, 0, 0), (1, "cpu:0", "s", IDLE): (10, 0, 0),
        (1, "(host)", "s", NOBODY): (360, 0, 0), (1, "(host)", "s", IDLE): (40, 0, 0),
    }  # fmt: skip
    assert found.coverage["h", "wall"].energy_uj.tolist() == [1700, 2500]


def test_windows_are_cut_where_a_meter_begins_and_ends() -> None:
    """It reads the middle half, so that the uplift holds in the quarters beside it."""
    wall = DeviceInput("h", "wall", "host", spans((50, 100, 800), (100, 150, 1300)))
    found = attribute(shard([gpu(PLACED), wall], [service("s", log((0, 200, 0, 9)))], facts(2.0)))
    assert table(found, "host_uj")[0, "(host)", "s", "a"] == (500 + 300,)
    assert table(found, "host_uj")[1, "(host)", "s", "a"] == (300 + 1000,)


@pytest.mark.parametrize(
    ("slots", "segments", "window_s", "wall", "edges"),
    [
        ((0, 100), (0,), 40, [], [0, 40, 80, 100]),
        ((30, 110), (0,), 40, [], [30, 40, 80, 110]),
        ((40, 120), (0,), 40, [], [40, 80, 120]),
        ((0, 50, 100), (0, 25, 100, 200), 100, [], [0, 25, 50, 100]),
        ((10, 100), (10, 60), 100, [], [10, 60, 100]),
        ((0, 100), (0,), 100, [(0, 20, 1), (20, 30, 1), (45, 60, 1), (90, 150, 1)], [0, 30, 45, 60, 90, 100]),
        ((0, 100), (0,), 100, [(-20, 0, 1), (0, 100, 1)], [0, 100]),
        ((50, 100), (0,), 100, [(50, 60, 1), (70, 100, 1)], [50, 60, 70, 100]),
    ],
)
def test_edges_of_windows(
    slots: tuple[int, ...], segments: tuple[int, ...], window_s: int, wall: list[tuple[int, int, int]], edges: list[int]
) -> None:
    devices = [DeviceInput("h", "w", "host", spans(*wall)), DeviceInput("h", "g", "gpu", spans((3, 7, 1)))]
    found = window_edges(shard(devices, [], facts(), slots=slots, segments=segments, window_s=window_s))
    assert (found / S).tolist() == edges


def test_facts_of_a_segment_hold_from_its_beginning() -> None:
    def by_segment(_: str, segment: int) -> HostFacts:
        return HostFacts(1.0, False, (1.5, 2.0, 3.0)[segment], False)

    found = attribute(
        shard([gpu(PLACED)], [service("s", log((0, 200, 0, 9)))], by_segment, slots=(0, 200), segments=(0, 100, 150))
    )
    rows = found.rows[found.rows["use_case"] == "a"]
    assert rows["segment"].tolist() == [0, 1, 2]
    assert rows["facility_uj"].tolist() == [500, 1000, 2000]
    assert rows["slot"].tolist() == [0, 0, 0]


def test_windows_of_a_slot_are_one_row() -> None:
    found = attribute(shard([gpu(PLACED)], [service("s", log((0, 200, 0, 9)))], facts(), window_s=25))
    assert table(found, "active_uj", "idle_uj") == {(0, "gpu:0", "s", "a"): (800, 200), (1, "gpu:0", "s", "a"): (1800, 200)}


def test_of_an_accelerator_what_is_not_placed_is_nobodys() -> None:
    """A quarter to one service; to another a half, from the second window on; the rest to nobody. Another device has none."""
    quarter, half = PlacedService(0, 0.25, 0, ALWAYS, None), PlacedService(1, 0.5, 100 * S, 200 * S, None)
    services = [service("s", log((0, 200, 0, 9))), service("t", log((0, 200, 0, 9)))]
    found = attribute(shard([gpu(quarter, half), gpu(name="gpu:1")], services, facts()))
    assert table(found, "active_uj", "idle_uj", "host_uj") == {
        (0, "gpu:0", "s", "a"): (250, 0, 0), (0, "gpu:0", NOBODY, NOBODY): (750, 0, 0),
        (1, "gpu:0", "s", "a"): (500, 0, 0), (1, "gpu:0", "t", "a"): (1000, 0, 0), (1, "gpu:0", NOBODY, NOBODY): (500, 0, 0),
        (0, "gpu:1", NOBODY, NOBODY): (1000, 0, 0), (1, "gpu:1", NOBODY, NOBODY): (2000, 0, 0),
    }  # fmt: skip


def test_another_component_follows_where_it_is_not_placed_and_is_divided_where_it_is() -> None:
    cpu = DeviceInput(
        "h", "cpu:0", "cpu", spans((0, 100, 100), (100, 200, 300)), (PlacedService(0, 1.0, 100 * S, 200 * S, None),)
    )
    found = attribute(
        shard(
            [gpu(PlacedService(1, 1.0, 0, ALWAYS, None)), cpu],
            [service("s", log((0, 200, 0, 9))), service("t", log((0, 200, 0, 9)))],
            facts(),
        )
    )
    assert table(found, "active_uj", "host_uj") == {
        (0, "gpu:0", "t", "a"): (1000, 0),
        (0, "cpu:0", "t", "a"): (0, 100),
        (1, "gpu:0", "t", "a"): (2000, 0),
        (1, "cpu:0", "s", "a"): (300, 0),
    }


def test_a_host_without_any_service_is_nobodys() -> None:
    found = attribute(shard([CPU], [], facts(1.5, 2.0)))
    assert table(found, *ENERGIES) == {
        (slot, device, NOBODY, NOBODY): (0, 0, host, host) for slot in (0, 1) for device, host in (("cpu:0", 100), ("(host)", 50))
    }


def test_hosts_are_completed_apart() -> None:
    other = DeviceInput("b", "gpu:0", "gpu", spans((0, 200, 400)))

    def by_host(host: str, _: int) -> HostFacts:
        return HostFacts(1.5 if host == "b" else 1.0, False, 2.0 if host == "h" else 1.0, False)

    found = attribute(shard([gpu(), other], [], by_host, slots=(0, 200), window_s=200)).rows
    assert found["host"].tolist() == ["h", "b", "b"]
    assert found["device"].tolist() == ["gpu:0", "gpu:0", "(host)"]
    assert found[list(ENERGIES)].to_numpy().tolist() == [[3000, 0, 0, 3000], [400, 0, 0, 0], [0, 0, 200, 0]]


def test_embodied_emissions_are_those_of_the_time_read_on_accelerators() -> None:
    """10 µg/s: 1000 in the first window, 600 in the second, of which only 60 s were read."""
    device = DeviceInput("h", "gpu:0", "gpu", spans((0, 100, 1000), (120, 180, 2000)), (PLACED,))
    cpu = DeviceInput("h", "cpu:0", "cpu", spans((10, 20, 100)))
    found = attribute(shard([device, cpu], [service("s", log((0, 50, 0, 9)))], facts(1.5, 1.2, ug_per_s=10.0)))
    assert table(found, "embodied_ug") == {
        (0, "gpu:0", "s", "a"): (500,),
        (0, "gpu:0", "s", IDLE): (500,),
        (1, "gpu:0", "s", IDLE): (600,),
    }


def cpu_time(services: dict[int, EnergyIntervals], busy: int, capacity: int) -> dict[str, CpuTime]:
    return {"h": CpuTime(services, spans((0, 200, busy)), spans((0, 200, capacity)))}


def test_host_energy_follows_cpu_time_on_a_host_that_serves() -> None:
    """Service s computes 60 of 100 busy; its accelerator energy is 4 to 1 of idle, so is its CPU time."""
    services = [service("s", log((0, 50, 0, 9)))]
    found = attribute(
        shard([gpu(PLACED), CPU], services, facts(), slots=(0, 200), cpu=cpu_time({0: spans((0, 200, 120))}, 200, 900))
    )
    rows = table(found, "host_uj")
    assert rows == {
        (0, "cpu:0", "s", "a"): (54,),
        (0, "cpu:0", "s", IDLE): (6 + 6,),
        (0, "cpu:0", "s", NOBODY): (54,),
        (0, "cpu:0", NOBODY, NOBODY): (80,),
    }


def test_energy_that_is_nobodys_is_no_services_that_must_be_known() -> None:
    """Neither service has an accelerator; t does not compute: host energy follows CPU time all the same."""
    services = [service("s", log((0, 200, 0, 9))), service("t", log((0, 200, 0, 9)))]
    found = attribute(
        shard(
            [gpu(), CPU],
            services,
            facts(),
            slots=(0, 200),
            cpu=cpu_time({0: spans((0, 200, 50)), 1: spans((0, 200, 0))}, 100, 200),
        )
    )
    assert table(found, "host_uj") == {(0, "cpu:0", "s", "a"): (50,), (0, "cpu:0", NOBODY, NOBODY): (150,)}


def test_a_microjoule_that_rounding_leaves_is_nobodys() -> None:
    device = DeviceInput("h", "gpu:0", "gpu", spans((0, 100, 1)), (PlacedService(0, 0.5, 0, ALWAYS, None),))
    assert table(attribute(shard([device], [service("s", log((0, 200, 0, 9)))], facts())), "active_uj") == {
        (0, "gpu:0", NOBODY, NOBODY): (1,)
    }


def test_on_a_shared_machine_idle_time_is_nobodys_too() -> None:
    services = [service("s", log((0, 200, 0, 9))), service("t", log((0, 200, 0, 30), (0, 200, 1, 10)), (("a", ""), ("b", "")))]
    found = attribute(
        shard([CPU], services, facts(), slots=(0, 200), cpu=cpu_time({0: spans((0, 200, 20)), 1: spans((0, 200, 80))}, 100, 200))
    )
    assert table(found, "host_uj") == {
        (0, "cpu:0", "s", "a"): (20,),
        (0, "cpu:0", "t", "a"): (60,),
        (0, "cpu:0", "t", "b"): (20,),
        (0, "cpu:0", NOBODY, NOBODY): (100,),
    }


def test_the_range_of_a_row_without_value_holds_the_hosts_part() -> None:
    """Two counts without tokens: 3000 µJ of the device are nobody's, each may have up to all; the host adds a third."""
    services = [service("s", log((0, 200, 0, -1), (0, 200, 1, -1), weight=2.0), (("a", ""), ("b", "")))]
    found = attribute(shard([gpu(PLACED), CPU], services, facts(), slots=(0, 200), window_s=200))
    ranges = table(found, "spread_a_uj", "spread_b_uj")
    assert table(found, "active_uj", "idle_uj")[0, "gpu:0", "s", NOBODY] == (2600, 400)
    wide = round(round(3000 * 3**0.5 / 2) * 3200 / 3000)
    assert ranges == {(0, "gpu:0", "s", "a"): (0, wide), (0, "gpu:0", "s", "b"): (0, wide)}


def test_other_weights_widen_a_split() -> None:
    requests = log((0, 200, 0, 30), (0, 200, 1, 10))
    input_ = ServiceInput("s", (("a", ""), ("b", "")), requests, DeclaredWeights(requests), (), np.array([0.1, 0.2]))
    found = attribute(shard([gpu(PlacedService(0, 1.0, 0, ALWAYS, None))], [input_], facts(2.0), slots=(0, 200), window_s=200))
    bound = 3**0.5 / 2
    expected = {"a": (2250, round(2250 * 0.1 * bound)), "b": (750, round(750 * 0.2 * bound))}
    assert table(found, "modelled_uj", "spread_a_uj", "spread_b_uj") == {
        (0, "gpu:0", "s", use): (part, -wide, wide) for use, (part, wide) in expected.items()
    }


def test_no_device_is_no_row() -> None:
    found = attribute(shard([], [], facts()))
    assert (len(found.rows), found.coverage) == (0, {})
    assert list(found.rows.columns[-len(AMOUNTS) :]) == list(AMOUNTS)


def test_rows_that_do_not_hold_what_was_read_are_refused() -> None:
    """A device given twice is a fault of the caller: its rows are of both, its reading is of one."""
    with pytest.raises(ClosureError, match=r"h/gpu:0: rows hold 6000 µJ of 3000 µJ read"):
        attribute(shard([gpu(), gpu()], [], facts()))


def test_a_service_needs_two_scenarios_or_half_widths() -> None:
    requests = log((0, 200, 0, 9))
    weights = DeclaredWeights(requests)
    for count in (0, 1, 3):
        with pytest.raises(ValueError, match=f"s: {count} scenarios; two are needed, or half_widths"):
            attribute(shard([], [ServiceInput("s", (("a", ""),), requests, weights, (weights,) * count)], facts()))
    attribute(shard([gpu(PLACED)], [ServiceInput("s", (("a", ""),), requests, weights, (), np.zeros(1))], facts()))
