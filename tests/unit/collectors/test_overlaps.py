"""Of two sensors that measure one energy, one counts: whatever their order, their names and who falls silent."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.base import Scope
from collectors.overlaps import OverlapFilter
from footprint.core.records import grade_of
from footprint.core.samples import Channel, DevicePart, Sample
from tests.support.agents import S

GRADES = ("counter", "power", "modelled", "witness", "estimate")


class Feed:
    """A filter fed second by second with sources of a constant power [W]."""

    def __init__(self) -> None:
        self.filter = OverlapFilter()
        self.energy_uj: dict[tuple[str, str, str], float] = {}

    def run(self, sources: Sequence[tuple[int, bool, Channel, float]], start: int, end: int) -> None:
        """Offer a sample of each source (rank, local, channel, power) at each second, and add up what passes."""
        for at in range(start, end):
            batch = []
            watts_of: dict[tuple[int | None, int | None], float] = {}  # by value, which is of one source alone
            for index, (rank, is_local, channel, watts) in enumerate(sources):
                counter_uj: int | None = round(watts * at * S) + index * 10**15
                power_uw: int | None = None
                if grade_of(channel.source, counter=True) != "counter":
                    counter_uj, power_uw = None, round(watts * S) + index
                batch.append((rank, is_local, Sample(channel, at * S, at * S, counter_uj, power_uw)))
                watts_of[counter_uj, power_uw] = watts
            for sample in self.filter.accept(batch, at * S):
                key = sample.channel.component, sample.channel.device, sample.channel.source
                self.energy_uj[key] = self.energy_uj.get(key, 0) + watts_of[sample.counter_uj, sample.power_uw] * S

    def names(self) -> set[tuple[str, str]]:
        """Devices and sources that passed."""
        return {(device, source) for _, device, source in self.energy_uj}


def counted_j(energies: dict[tuple[str, str, str], float], components: Iterable[str] = ("gpu", "cpu", "dram")) -> float:
    """Energy [J] as the server counts it: of each device the best grade."""
    best: dict[str, tuple[int, float]] = {}
    for (component, device, source), energy_uj in energies.items():
        if component in components:
            rank = GRADES.index(grade_of(source, counter=True)), energy_uj
            best[device] = min(best.get(device, rank), rank)
    return sum(energy_uj for _, energy_uj in best.values()) / S


def gpu(device: str, source: str, alias: str = "", parts: tuple[DevicePart, ...] = ()) -> Channel:
    return Channel(device, "gpu", source, alias=alias, parts=parts)


def cpu(device: str, source: str) -> Channel:
    return Channel(device, "cpu", source)


NVML = gpu("GPU-0f0f0f0f-1111-2222-3333-444444444444", "nvml-energy", "gpu:0")
OTHER = "GPU-0a0a0a0a-1111-2222-3333-444444444444"


def test_a_second_source_of_one_grade_is_a_witness_and_another_grade_keeps_its_name() -> None:
    feed = Feed()
    own_power, scraped = gpu(NVML.device, "nvml-power", "gpu:0"), gpu(NVML.device, "dcgm-exporter-energy")
    feed.run([(0, True, NVML, 300), (0, True, own_power, 300), (9, False, scraped, 300)], 0, 30)
    assert feed.names() == {
        (NVML.device, "nvml-energy"),
        (NVML.device, "nvml-power"),
        (NVML.device, "dcgm-exporter-energy-witness"),
    }


@pytest.mark.parametrize("name", [NVML.device.lower(), NVML.device.removeprefix("GPU-"), "gpu:0"])
def test_a_scraped_board_is_found_under_its_other_names(name: str) -> None:
    feed = Feed()
    feed.run([(0, True, NVML, 300), (9, False, gpu(name, "zeus-energy"), 300)], 0, 20)
    assert counted_j(feed.energy_uj) == 300 * 20
    assert {device for device, _ in feed.names()} == {NVML.device}


def test_a_board_that_only_another_program_reads_counts_beside_the_local_ones() -> None:
    feed = Feed()
    feed.run([(0, True, NVML, 300), (9, False, gpu(OTHER, "dcgm-exporter-energy"), 120)], 0, 20)
    assert counted_j(feed.energy_uj) == (300 + 120) * 20


def test_a_scraped_uuid_that_two_boards_have_is_set_aside() -> None:
    feed = Feed()
    boards = [(0, True, gpu(f"{NVML.device}@0000:0{i}:00.0", "nvml-energy", f"gpu:{i}"), 100.0) for i in (1, 2)]
    feed.run([*boards, (9, False, gpu(NVML.device, "dcgm-exporter-energy"), 200.0)], 0, 20)
    assert counted_j(feed.energy_uj) == 200 * 20


def test_a_partitioned_board_is_not_counted_beside_its_instances() -> None:
    feed = Feed()
    board = gpu(NVML.device, "nvml-energy", "gpu:0", (DevicePart("MIG-1", "gpu:0:0", 3),))
    feed.run([(0, True, board, 300), (9, False, gpu(NVML.device, "dcgm-exporter-energy"), 300)], 0, 20)
    assert feed.names() == {(NVML.device, "nvml-energy")}
    assert any("instances" in source.aside for source in feed.filter.sources.values())


def test_a_scraped_name_that_matches_no_package_is_set_aside_aloud_and_counts_where_nothing_local_reads() -> None:
    feed, scraped = Feed(), cpu("cpu:/sys/class/powercap/intel-rapl:0", "kepler-energy")
    feed.run([(3, True, cpu("cpu:0", "rapl"), 180), (9, False, scraped, 180)], 0, 20)
    assert counted_j(feed.energy_uj) == 180 * 20
    assert "would count twice" in feed.filter.sources[scraped.device, scraped.source].aside
    feed.run([(9, False, scraped, 180)], 20, 60)  # the own sensor is gone: after ten seconds the scraped one counts
    assert counted_j(feed.energy_uj) == pytest.approx(180 * 50, abs=180 * 7)


def test_a_package_that_cannot_be_read_here_counts_as_another_program_reads_it() -> None:
    feed = Feed()
    feed.filter.known = {"cpu:1": "cpu:1"}
    scraped = [(9, False, cpu(f"cpu:{index}", "node_exporter-energy"), watts) for index, watts in enumerate((180, 90))]
    feed.run([(3, True, cpu("cpu:0", "rapl"), 180), *scraped], 0, 20)
    assert counted_j(feed.energy_uj) == (180 + 90) * 20


@pytest.mark.parametrize(
    ("whole", "parts", "expected_w"),
    [
        (gpu("GPU-g", "nvml-energy-module"), [cpu("cpu:0", "acpi-power"), Channel("dram:0", "dram", "estimate")], 600),
        (gpu("GPU-g", "nvml-power-module"), [cpu("cpu:0", "estimate"), cpu("cpu:0", "dcgm-exporter-energy")], 600),
        (cpu("psys:0", "rapl-psys"), [cpu("cpu:0", "amd-cpu-energy"), Channel("dram:0", "dram", "rapl")], 600),
    ],
)
def test_what_a_whole_contains_is_set_aside_while_the_whole_is_read_and_counts_otherwise(
    whole: Channel, parts: list[Channel], expected_w: int
) -> None:
    feed = Feed()
    sources = [(0, True, whole, 600.0), *((3 + index, True, part, 50.0) for index, part in enumerate(parts))]
    feed.run(sources, 0, 20)
    assert counted_j(feed.energy_uj) == expected_w * 20
    feed.run(sources[1:], 20, 80)
    assert any(device == parts[0].device for device, _ in feed.names())
    feed.run(sources, 80, 100)  # and it returns
    assert feed.filter.sources[parts[0].device, parts[0].source].aside


def test_a_source_that_its_witness_contradicts_gives_way_to_an_estimate_and_returns() -> None:
    feed = Feed()
    sources = [(3, True, cpu("cpu:0", "rapl"), 0.0), (5, True, cpu("cpu:0", "estimate"), 90.0)]
    feed.run(sources, 0, 20)
    assert feed.names() == {("cpu:0", "rapl")}
    feed.filter.distrusted = {("cpu:0", "rapl")}
    feed.run(sources, 20, 40)
    assert feed.energy_uj["cpu", "cpu:0", "estimate"] == 90 * 20 * S
    assert not feed.filter.delivers("cpu")
    feed.filter.distrusted = set()
    feed.run(sources, 40, 60)
    assert feed.energy_uj["cpu", "cpu:0", "estimate"] == 90 * 20 * S
    assert feed.filter.delivers("cpu")


@pytest.mark.parametrize("scope", [Scope.PACKAGE, Scope.PACKAGE_OR_BOARD])
def test_an_integrated_gpu_is_a_source_of_its_package(scope: Scope) -> None:
    feed, device = Feed(), "gpu-0000:c5:00.0"
    feed.filter.scopes = {device: scope}
    feed.run([(1, True, gpu(device, "amd-power"), 93), (3, True, cpu("cpu:0", "rapl"), 95)], 0, 120)
    assert counted_j(feed.energy_uj) == 95 * 120
    assert {name for name, _ in feed.names()} == {"cpu:0"}


def test_a_board_that_may_be_integrated_and_draws_what_no_package_draws_loses_nothing() -> None:
    feed, device = Feed(), "gpu-0000:03:00.0"
    feed.filter.scopes = {device: Scope.PACKAGE_OR_BOARD}
    seen: list[Sample] = []
    for at in range(120):
        batch = [
            (1, True, Sample(gpu(device, "amd-power"), at * S, at * S, None, 220 * S)),
            (3, True, Sample(cpu("cpu:0", "rapl"), at * S, at * S, 95 * S * at)),
        ]
        seen += [sample for sample in feed.filter.accept(batch, at * S) if sample.channel.component == "gpu"]
    assert [sample.mono_us // S for sample in seen] == list(range(120))


def test_where_no_counter_reads_the_package_an_integrated_gpu_stands_for_it() -> None:
    feed, device = Feed(), "gpu-0000:c5:00.0"
    feed.filter.scopes = {device: Scope.PACKAGE}
    feed.run([(1, True, gpu(device, "amd-power"), 45), (5, True, cpu("cpu:0", "estimate"), 60)], 0, 30)
    assert feed.names() == {("cpu:0", "amd-power")}


@pytest.mark.parametrize("count", [1, 2])
def test_of_the_meters_of_the_whole_server_one_kind_counts(count: int) -> None:
    feed = Feed()
    chassis = [(6, True, Channel(f"wall:{index}", "host", "redfish"), 400.0) for index in range(count)]
    feed.run(
        [*chassis, (7, True, Channel("wall", "host", "ipmi"), 410.0), (8, True, Channel("wall", "host", "acpi-power"), 405.0)],
        0,
        20,
    )
    assert counted_j(feed.energy_uj, ["host"]) == count * 400 * 20
    if count == 1:
        assert feed.names() == {("wall:0", "redfish"), ("wall:0", "ipmi-witness")}
        assert "another witness" in feed.filter.sources["wall", "acpi-power"].aside
    else:
        assert {device for device, _ in feed.names()} == {"wall:0", "wall:1"}


@settings(max_examples=300, deadline=None)
@given(
    order=st.permutations(range(6)),
    boards=st.lists(st.integers(10, 700), min_size=1, max_size=3, unique=True),
    copies=st.lists(st.sampled_from(["exact", "lower", "bare", "alias"]), min_size=3, max_size=3),
    silent=st.sets(st.integers(0, 2)),
)
def test_no_order_and_no_duplication_of_identities_loses_a_board_or_counts_it_twice(
    order: list[int], boards: list[int], copies: list[str], silent: set[int]
) -> None:
    sources = []
    for index, watts in enumerate(boards):
        uuid = f"GPU-{index:08x}-1111-2222-3333-444444444444"
        names = {"exact": uuid, "lower": uuid.lower(), "bare": uuid[4:], "alias": f"gpu:{index}"}
        own = gpu(uuid, "nvml-energy", f"gpu:{index}")
        # A board that is not read here is known all the same; only another program delivers it.
        if index not in silent:
            sources.append((0, True, own, float(watts)))
        sources.append((9, False, gpu(names[copies[index]], f"exporter{index}-energy"), float(watts)))
    feed = Feed()
    feed.filter.known = {f"GPU-{index:08x}-1111-2222-3333-444444444444": f"gpu:{index}" for index in range(len(boards))}
    shuffled = [sources[position] for position in order if position < len(sources)]
    feed.run(shuffled, 0, 5)
    assert counted_j(feed.energy_uj) == sum(boards) * 5
