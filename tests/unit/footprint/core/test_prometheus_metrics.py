"""Other programs' metrics: each exporter of the table in its documented form, and the trap of each."""

from pathlib import Path

import pytest

from footprint.core.exposition import parse_exposition
from footprint.core.prometheus_metrics import (
    BadExporterTable,
    OverlappingExporters,
    add_exporters,
    check_overlap,
    exporter_metrics,
    looks_like_energy,
    metrics_named,
    series_host,
)

GOLDEN = Path(__file__).resolve().parents[3] / "fixtures" / "exposition"
RECORDED = Path(__file__).resolve().parents[5] / "shared" / "recordings" / "exposition"
S = 1_000_000
# What each golden file says: (host, device, component, quantity) -> µJ or µW, duplicates not yet settled.
SAID: dict[str, dict[tuple[str, str, str, str], list[int]]] = {
    "dcgm-exporter": {
        ("inf-01", "GPU-1", "gpu", "energy"): [5_000_000, 5_000_000],
        ("inf-01", "GPU-1", "gpu", "power"): [71_500_000],
        ("inf-01", "GPU-2", "gpu", "energy"): [],
        ("inf-09", "GPU-old", "gpu", "energy"): [3_000_000],
        ("inf-09", "GPU-old", "gpu", "power"): [40_000_000],
        ("inf-10", "cpu:1", "cpu", "power"): [88_000_000],
    },
    "node_exporter": {
        ("inf-01", "cpu:0", "cpu", "energy"): [178_236_115_840, 178_236_115_840],
        ("inf-01", "dram:0", "dram", "energy"): [9_000_000],
        ("inf-01", "cpu:1", "cpu", "energy"): [262_143_000_000],
        ("inf-03", "dram:0", "dram", "energy"): [4_000_000],
        ("inf-02", "cpu:0", "cpu", "energy"): [1_000_000],
        ("inf-02", "cpu:0-die-1", "cpu", "energy"): [2_000_000],
        ("inf-04", "cpu:1-die-2", "cpu", "energy"): [3_000_000],
        ("inf-05", "wall", "host", "power"): [380_000_000],
    },
    "ceems": {
        ("inf-01", "cpu:0", "cpu", "energy"): [100_000_000],
        ("inf-01", "dram:0", "dram", "energy"): [3_000_000],
        ("inf-01", "wall", "host", "power"): [412_000_000],
        ("inf-02", "wall", "host", "power"): [],
        ("inf-01", "wall:Self", "host", "power"): [500_000_000],
        ("inf-04", "cpu:0", "cpu", "energy"): [1_000_000],
        ("inf-06", "wall", "host", "energy"): [1_360_621_494_000_000],
    },
    "kepler": {
        ("inf-01", "cpu:/sys/class/powercap/intel-rapl:0", "cpu", "energy"): [40_000_000, 60_000_000],
        ("inf-01", "GPU-1", "gpu", "energy"): [7_000_000],
        ("inf-02", "dram:/sys/class/powercap/intel-rapl:0:0", "dram", "energy"): [4_000_000],
        ("inf-07", "cpu:0", "cpu", "energy"): [10_000_000, 20_000_000],
        ("inf-07", "dram:0", "dram", "energy"): [5_000_000],
        ("inf-07", "gpu:1", "gpu", "energy"): [6_000_000],
    },
    "scaphandre": {("inf-01", "cpu:0", "cpu", "energy"): [123_456], ("inf-01", "dram:0", "dram", "energy"): [456]},
    "ipmi_exporter": {("inf-01", "wall", "host", "power"): [330_000_000]},
    "amd-device-metrics": {
        ("inf-01", "U-1", "gpu", "energy"): [15_000],
        ("inf-01", "U-1", "gpu", "power"): [90_000_000],
        ("inf-02", "692407004340", "gpu", "energy"): [25_000],
        ("inf-02", "692407004340", "gpu", "power"): [500_000_000],
        ("inf-03", "692407004341", "gpu", "power"): [60_000_000],
    },
    "nvidia_gpu_exporter": {
        ("inf-01", "GPU-df6e7a7c-7314-46f8-abc4-b88b36dcf3aa", "gpu", "power"): [28_070_000],
        ("inf-01", "GPU-df6e7a7c-7314-46f8-abc4-b88b36dcf3aa", "gpu", "energy"): [7_000_000],
    },
    "nvidia_gpu_prometheus_exporter": {("inf-01", "GPU-1", "gpu", "power"): [25_000_000]},
    "telegraf": {
        ("inf-01", "GPU-1", "gpu", "power"): [38_500_000],
        ("inf-01", "cpu:0", "cpu", "power"): [100_000_000],
        ("inf-01", "dram:0", "dram", "power"): [9_000_000],
    },
    "xpumanager": {
        ("inf-01", "01000000", "gpu", "energy"): [1_000_000_000],
        ("inf-01", "01000000", "gpu", "power"): [118_000_000],
    },
    "gaudi-metric-exporter": {("inf-01", "00P1-HL2080A0", "gpu", "power"): [105_000_000]},
    "idrac_exporter": {("bmc-01", "wall", "host", "power"): [166_000_000]},
    "redfish_exporter": {("bmc-01", "wall:System.Embedded.1", "host", "power"): [5_300_000_000]},
    "triton": {
        ("inf-01", "GPU-1", "gpu", "energy"): [1_234_500_000],
        ("inf-01", "GPU-1", "gpu", "power"): [60_000_000],
        ("inf-01", "served:m|1|inf-01:8002", "host", "served_requests"): [4],
    },
    "vllm": {
        ("inf-01", "served:org/m|0|inf-01:8000", "host", "served_requests"): [7, 2],
        ("inf-01", "served:org/m|0|inf-01:8000", "host", "served_input_tokens"): [900],
        ("inf-01", "served:org/m|0|inf-01:8000", "host", "served_cached_tokens"): [400],
        ("inf-01", "served:org/m|0|inf-01:8000", "host", "served_output_tokens"): [300],
        ("inf-01", "served:org/m|1|inf-01:8000", "host", "served_output_tokens"): [30],
    },
    "sglang": {
        ("inf-01", "served:m|unified|inf-01:30000", "host", "served_requests"): [5],
        ("inf-01", "served:m|unified|inf-01:30000", "host", "served_input_tokens"): [100],
        ("inf-01", "served:m|unified|inf-01:30000", "host", "served_cached_tokens"): [10, 2],
        ("inf-01", "served:m|unified|inf-01:30000", "host", "served_output_tokens"): [60],
    },
    "tgi": {
        ("inf-01", "served:m|inf-01:8080", "host", "served_requests"): [3],
        ("inf-01", "served:m|inf-01:8080", "host", "served_input_tokens"): [50],
        ("inf-01", "served:m|inf-01:8080", "host", "served_output_tokens"): [70],
    },
    "tensorrt-llm": {
        ("inf-01", "served:m|pytorch|inf-01:8000", "host", "served_requests"): [3],
        ("inf-01", "served:m|pytorch|inf-01:8000", "host", "served_input_tokens"): [50],
        ("inf-01", "served:m|pytorch|inf-01:8000", "host", "served_cached_tokens"): [5],
        ("inf-01", "served:m|pytorch|inf-01:8000", "host", "served_output_tokens"): [70],
    },
    "codecarbon": {},  # deltas are known, and not read
    "alumet": {},
    "litellm": {},  # windows of requests, in tests/unit/footprint/ledger/test_prometheus_request_import.py
    "llama.cpp": {
        ("inf-01", "served:|inf-01:8080", "host", "served_input_tokens"): [50],
        ("inf-01", "served:|inf-01:8080", "host", "served_output_tokens"): [70],
    },
    "zeus": {("inf-01", "gpu:0", "gpu", "energy"): [12_000_000]},
    "aitra": {("inf-01", "gpu:0", "gpu", "energy"): [5_000_000]},
    "opentelemetry": {
        ("inf-01", "GPU-1", "gpu", "energy"): [5_000_000],
        ("inf-01", "package-0", "cpu", "energy"): [6_000_000],
        ("inf-01", "wall", "host", "energy"): [70_000_000],
    },
    "footprint-agent": {("inf-01", "GPU-1", "gpu", "energy"): [8_000_000], ("inf-01", "cpu:0", "cpu", "energy"): [9_000_000]},
}


def read(path: Path) -> dict[tuple[str, str, str, str], list[int]]:
    values_by_series: dict[tuple[str, str, str, str], list[int]] = {}
    for name, labels, value, _ in parse_exposition(path.read_text()):
        for entry in metrics_named(name):
            device = entry.device_of(labels, name)
            if device is not None:
                values = values_by_series.setdefault((series_host(labels), device, entry.component, entry.quantity), [])
                known = entry.to_micro(value)
                values += [] if known is None else [known]
    return values_by_series


def test_every_exporter_of_the_table_has_a_golden_file() -> None:
    assert {entry.exporter for entry in exporter_metrics()} == set(SAID) == {path.stem for path in GOLDEN.glob("*.prom")}


@pytest.mark.parametrize("exporter", sorted(SAID))
def test_a_golden_file_says_what_it_says(exporter: str) -> None:
    assert read(GOLDEN / f"{exporter}.prom") == SAID[exporter]


def test_every_row_of_the_table_is_met_by_a_golden_file() -> None:
    met = set()
    for path in GOLDEN.glob("*.prom"):
        for name, labels, *_ in parse_exposition(path.read_text()):
            met |= {
                index
                for index, entry in enumerate(exporter_metrics())
                if entry.name.fullmatch(name)
                and (entry.device_of(labels, name) or entry.quantity.startswith("asked_") or not entry.is_read)
            }
    assert met == set(range(len(exporter_metrics())))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
@pytest.mark.parametrize(("file", "devices"), [("dcgm_exporter_t4_idle.prom", 1), ("node_exporter.prom", 1)])
def test_recorded_expositions_are_understood(file: str, devices: int) -> None:
    values_by_series = read(RECORDED / file)
    assert len({device for _, device, _, _ in values_by_series}) >= devices
    assert all(values for values in values_by_series.values())


def test_c13_blanks_and_c15_zeros_are_no_values() -> None:
    (energy,) = metrics_named("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
    assert energy.to_micro(9223372036854775794.0) is None
    assert energy.to_micro(float("nan")) is None
    assert energy.to_micro(0) == 0
    (wall,) = metrics_named("ipmi_dcmi_power_consumption_watts")
    assert wall.to_micro(0) is None
    assert wall.to_micro(1e9) is None


def test_two_exporters_of_one_group_of_a_host_are_refused() -> None:
    check_overlap({("a", "gpu"): {"dcgm-exporter"}, ("a", "cpu"): {"kepler"}, ("b", "cpu"): {"node_exporter"}})
    with pytest.raises(OverlappingExporters, match=r"a: kepler and node_exporter both show its cpu.*--exporter"):
        check_overlap({("a", "cpu"): {"kepler", "node_exporter"}})


def test_a_host_is_named_by_the_first_usual_label_without_its_port() -> None:
    assert series_host({"instance": "inf-01:9100", "job": "node"}) == "inf-01"
    assert series_host({"instance": "10.0.0.1:9400", "Hostname": "inf-01"}) == "inf-01"
    assert series_host({"instance": "x:1", "rack": "r7"}, "rack") == "r7"


def test_a_label_that_names_the_scraper_itself_is_no_host() -> None:
    assert series_host({"Hostname": "localhost", "instance": "inf-01:9400"}) == "inf-01"
    assert series_host({"instance": "localhost:9100"}) == "localhost"


@pytest.mark.parametrize(
    ("name", "is_energy"),
    [
        ("rPDU2OutletMeteredStatusPower", True),
        ("ups_output_power_watts", True),
        ("habanalabs_energy", True),
        ("smart_meter_energy_kwh", True),
        ("node_hwmon_energy_joule_total", True),
        ("meter_wh_total", True),
        ("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", False),
        ("process_cpu_seconds_total", False),
        ("node_rapl_core_joules_total", False),  # known for a part
        ("scaph_process_power_consumption_microwatts", False),
        ("hw_energy_joules_created", False),
        ("idrac_system_power_on", False),
    ],
)
def test_what_looks_like_energy_and_is_not_known(name: str, is_energy: bool) -> None:
    assert looks_like_energy(name) is is_energy


HEADER = "exporter,name,quantity,kind,to_micro,component,device,identity,where,duplicates,group,wrap_j,limit_w,trap\n"


def test_rows_of_a_file_come_before_those_that_are_shipped(tmp_path: Path) -> None:
    path = tmp_path / "exporters.csv"
    path.write_text(HEADER + "pdu,rPDU2OutletMeteredStatusPower,power,gauge,1000000,host,wall,,,max,wall,,30000,\n")
    try:
        add_exporters(path)
        (row,) = metrics_named("rPDU2OutletMeteredStatusPower")
        assert (row.exporter, row.device_of({}), row.to_micro(395)) == ("pdu", "wall", 395_000_000)
        assert not looks_like_energy("rPDU2OutletMeteredStatusPower")
    finally:
        path.write_text(HEADER)
        add_exporters(path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("pdu,x(,power,gauge,1,host,wall,,,max,wall,,30000,", "missing \\)"),
        ("pdu,x,power,gauge,1,rack,wall,,,max,wall,,30000,", "component"),
        ("pdu,x,power,gauge,one,host,wall,,,max,wall,,30000,", "one"),
        ("pdu,x,power,gauge,1,host,,,,max,wall,,30000,", "device or identity"),
        ("pdu,x", "exporters.csv:2"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "exporters.csv"
    path.write_text(HEADER + row + "\n")
    with pytest.raises(BadExporterTable, match=problem):
        add_exporters(path)
    path.write_text("exporter,name\nx,y\n")
    with pytest.raises(BadExporterTable, match="no column"):
        add_exporters(path)
