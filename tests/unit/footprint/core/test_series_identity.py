"""Series and devices: nothing is lost under one name, nothing counts twice under two, whatever their order."""

import random

import pytest

from footprint.core.prometheus_metrics import metrics_named
from footprint.core.series_identity import DeviceSeries, resolve_devices


def series(metric_name: str, content: object, /, **labels: str) -> list[DeviceSeries]:
    return [
        DeviceSeries(metric, metric_name, labels, device, content)
        for metric in metrics_named(metric_name)
        if (device := metric.device_of(labels, metric_name)) is not None
    ]


def resolve(*lists: list[DeviceSeries], seed: int = 0) -> tuple[dict[str, list[object]], list[str]]:
    """Contents by device and source, of any order of the series; equal contents are one counter."""
    shuffled = [one for many in lists for one in many]
    random.Random(seed).shuffle(shuffled)
    remarks: list[str] = []
    resolved = resolve_devices("h", shuffled, lambda a, b: a == b, remarks.append)
    devices = {f"{together[0].device} {together[0].source}": [one.content for one in together] for together in resolved}
    assert len(devices) == len(resolved)
    return devices, remarks


def package(index: str, path: str, content: object, **labels: str) -> list[DeviceSeries]:
    return series("node_rapl_package_joules_total", content, index=index, path=f"/sys/class/powercap/{path}", **labels)


SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_dies_whose_index_is_zero_are_told_apart_by_their_names(seed: int) -> None:
    dies = [
        series(f"node_rapl_package_{p}_die_{d}_joules_total", 10 * p + d, index="0", path=f"/x/intel-rapl:{2 * p + d}")
        for p in (0, 1)
        for d in (0, 1)
    ]
    devices, remarks = resolve(*dies, seed=seed)
    assert devices == {
        "cpu:0 node_exporter-energy": [0],
        "cpu:0-die-1 node_exporter-energy": [1],
        "cpu:1 node_exporter-energy": [10],
        "cpu:1-die-1 node_exporter-energy": [11],
    }
    assert remarks == []


@pytest.mark.parametrize("seed", SEEDS)
def test_packages_of_one_index_are_told_apart_by_their_paths_and_aloud(seed: int) -> None:
    devices, remarks = resolve(*(package("0", f"intel-rapl:{n}", n) for n in range(3)), seed=seed)
    assert devices == {
        "cpu:0 node_exporter-energy": [0],
        "cpu:0@intel-rapl:1 node_exporter-energy": [1],
        "cpu:0@intel-rapl:2 node_exporter-energy": [2],
    }
    assert all("told apart by path" in remark for remark in remarks)


@pytest.mark.parametrize("seed", SEEDS)
def test_packages_without_labels_are_told_apart_by_instance_or_named(seed: int) -> None:
    name = "node_rapl_package_joules_total"
    devices, _ = resolve(series(name, 1, instance="a:1"), series(name, 2, instance="a:2"), seed=seed)
    assert sorted(devices) == ["cpu node_exporter-energy", "cpu@a:2 node_exporter-energy"]
    assert sorted(map(tuple, devices.values())) == [(1,), (2,)]


@pytest.mark.parametrize("seed", SEEDS)
def test_one_exporter_scraped_by_two_jobs_is_one_counter(seed: int) -> None:
    devices, remarks = resolve(
        package("0", "intel-rapl:0", 7, job="node", instance="a:9100"),
        package("0", "intel-rapl:0", 7, job="kube", instance="a:9100"),
        seed=seed,
    )
    assert devices == {"cpu:0 node_exporter-energy": [7, 7]}
    assert remarks == []


@pytest.mark.parametrize("seed", SEEDS)
def test_interfaces_that_show_a_package_again_are_not_read_whatever_their_index(seed: int) -> None:
    dram = "node_rapl_dram_joules_total"
    devices, _ = resolve(
        package("0", "intel-rapl:0", 1),
        package("0", "intel-rapl-mmio:0", 1),
        series(dram, 2, index="0", path="/sys/class/powercap/intel-rapl-mmio:0:0"),
        series(dram, 2, index="1", path="/sys/class/powercap/intel-rapl:0:0"),
        seed=seed,
    )
    assert devices == {"cpu:0 node_exporter-energy": [1], "dram:1 node_exporter-energy": [2]}


@pytest.mark.parametrize("seed", SEEDS)
def test_dies_that_mirror_one_counter_count_once(seed: int) -> None:
    devices, remarks = resolve(
        series("node_rapl_package_0_die_0_joules_total", 5, index="0", path="/x/intel-rapl:0"),
        series("node_rapl_package_0_die_1_joules_total", 5, index="0", path="/x/intel-rapl:1"),
        seed=seed,
    )
    assert len(devices) == 1
    assert ["counted once" in remark for remark in remarks] == [True]


@pytest.mark.parametrize("seed", SEEDS)
def test_of_several_meters_of_a_server_one_counts_and_the_others_are_witnesses(seed: int) -> None:
    devices, _ = resolve(
        series("ceems_ipmi_dcmi_current_watts", 400, hostname="a"),
        series("ceems_redfish_current_watts", 410, hostname="a", chassis="Self"),
        series("node_hwmon_power_average_watt", 395, chip="acpi_power_meter", sensor="power1"),
        seed=seed,
    )
    assert devices == {
        "wall:Self ceems-power": [410],
        "wall:Self ceems-power-witness": [400],
        "wall:Self node_exporter-power-witness": [395],
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_two_meters_of_one_name_are_refused_aloud(seed: int) -> None:
    devices, remarks = resolve(
        series("idrac_power_control_consumed_watts", 344, id="0", name="System Input Power"),
        series("idrac_power_control_consumed_watts", 53, id="1", name="System Input Power"),
        seed=seed,
    )
    assert devices == {}
    assert ["none is read" in remark for remark in remarks] == [True]
    devices, remarks = resolve(
        series("idrac_power_control_consumed_watts", 155, id="0", name="CPU Sub-system Power"),
        series("idrac_power_control_consumed_watts", 263, id="1", name="Server Power Control"),
        seed=seed,
    )
    assert (devices, remarks) == ({"wall idrac_exporter-power": [263]}, [])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_exporter_of_a_board_is_a_witness_and_a_board_it_alone_shows_is_read(seed: int) -> None:
    devices, _ = resolve(
        series("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1, UUID="GPU-1"),
        series("DCGM_FI_DEV_POWER_USAGE", 2, UUID="GPU-1"),
        series("nvidia_smi_power_draw_watts", 3, uuid="1"),
        series("nvidia_smi_power_draw_watts", 4, uuid="2"),
        seed=seed,
    )
    assert devices == {
        "GPU-1 dcgm-exporter-energy": [1],
        "GPU-1 dcgm-exporter-power": [2],
        "GPU-1 nvidia_gpu_exporter-power-witness": [3],
        "GPU-2 nvidia_gpu_exporter-power": [4],
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_exporter_whose_names_are_others_is_left_out_aloud(seed: int) -> None:
    devices, remarks = resolve(
        package("0", "intel-rapl:0", 1),
        series("powerstat_package_current_power_consumption_watts", 2, package_id="first"),
        seed=seed,
    )
    assert devices == {"cpu:0 node_exporter-energy": [1]}
    assert ["powerstat" in remark for remark in remarks] == [True]
