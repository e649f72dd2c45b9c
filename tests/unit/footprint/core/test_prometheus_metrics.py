"""Other programs' metrics: each exporter of the table in its documented form, and the trap of each."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.core.prometheus_metrics import (
    MAX_SERIES,
    OverlappingExporters,
    check_overlap,
    exporter_metrics,
    metrics_named,
    parse_exposition,
    series_host,
    start_counter,
    update_counter,
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
    },
    "node_exporter": {
        ("inf-01", "cpu:0", "cpu", "energy"): [178_236_115_840, 178_236_115_840],
        ("inf-01", "dram:0", "dram", "energy"): [9_000_000],
        ("inf-01", "cpu:1", "cpu", "energy"): [262_143_000_000],
        ("inf-03", "dram:0", "dram", "energy"): [4_000_000],
    },
    "ceems": {
        ("inf-01", "cpu:0", "cpu", "energy"): [100_000_000],
        ("inf-01", "dram:0", "dram", "energy"): [3_000_000],
        ("inf-01", "wall", "host", "power"): [412_000_000],
        ("inf-02", "wall", "host", "power"): [],
        ("inf-01", "wall:Self", "host", "power"): [500_000_000],
        ("inf-04", "cpu:0", "cpu", "energy"): [1_000_000],
    },
    "kepler": {
        ("inf-01", "cpu:/sys/class/powercap/intel-rapl:0", "cpu", "energy"): [40_000_000, 60_000_000],
        ("inf-01", "GPU-1", "gpu", "energy"): [7_000_000],
        ("inf-02", "dram:/sys/class/powercap/intel-rapl:0:0", "dram", "energy"): [4_000_000],
    },
    "scaphandre": {("inf-01", "cpu:0", "cpu", "energy"): [123_456], ("inf-01", "dram:0", "dram", "energy"): [456]},
    "ipmi_exporter": {("inf-01", "wall", "host", "power"): [330_000_000]},
    "amd-device-metrics": {("inf-01", "U-1", "gpu", "energy"): [15_000], ("inf-01", "U-1", "gpu", "power"): [90_000_000]},
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
    for name, labels, value in parse_exposition(path.read_text()):
        for entry in metrics_named(name):
            device = entry.device_of(labels)
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
        for name, labels, _ in parse_exposition(path.read_text()):
            met |= {
                index
                for index, entry in enumerate(exporter_metrics())
                if entry.name.fullmatch(name)
                and (entry.device_of(labels) or entry.quantity.startswith("asked_") or entry.kind == "delta")
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


@given(st.lists(st.integers(0, 15_000 * S), min_size=1, max_size=100), st.integers(0, 262_143_000_000))
def test_c4_a_register_that_is_exported_raw_is_unwrapped(used: list[int], start: int) -> None:
    (entry,) = metrics_named("node_rapl_package_joules_total")
    assert entry.wrap_uj is not None
    raw = start
    state = first = start_counter(raw % entry.wrap_uj, 0)
    for index, energy in enumerate(used, 1):
        raw += energy
        state = update_counter(state, raw % entry.wrap_uj, index * 15 * S, entry)
    assert state.epoch_us == 0
    assert state.value_uj - first.value_uj == sum(used)


def test_c4_a_gap_that_could_hide_a_wrap_and_a_reset_open_epochs() -> None:
    (entry,) = metrics_named("node_rapl_package_joules_total")
    assert update_counter(start_counter(0, 0), 5 * S, 300 * S, entry).epoch_us == 300 * S
    (gpu,) = metrics_named("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
    assert update_counter(start_counter(9 * S, 0), 5 * S, 15 * S, gpu).epoch_us == 15 * S
    assert update_counter(start_counter(0, 0), 10**15, 15 * S, gpu).epoch_us == 15 * S  # no board draws that


def test_two_exporters_of_one_group_of_a_host_are_refused() -> None:
    check_overlap({("a", "gpu"): {"dcgm-exporter"}, ("a", "cpu"): {"kepler"}, ("b", "cpu"): {"node_exporter"}})
    with pytest.raises(OverlappingExporters, match=r"a: kepler and node_exporter both show its cpu.*--exporter"):
        check_overlap({("a", "cpu"): {"kepler", "node_exporter"}})


def test_a_host_is_named_by_the_first_usual_label_without_its_port() -> None:
    assert series_host({"instance": "inf-01:9100", "job": "node"}) == "inf-01"
    assert series_host({"instance": "10.0.0.1:9400", "Hostname": "inf-01"}) == "inf-01"
    assert series_host({"instance": "x:1", "rack": "r7"}, "rack") == "r7"


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), max_size=4))
def test_labels_of_any_text_are_read_back(labels: dict[str, str]) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    if any(len(text.splitlines()) > 1 and "\n" not in text for text in labels.values()) or any(
        c in t for t in labels.values() for c in "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
    ):
        return  # no exporter writes another line end
    line = "m{" + ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items()) + "} 1.5"
    assert list(parse_exposition(line)) == [("m", labels, 1.5)]


def test_lines_that_are_none_are_passed_over() -> None:
    assert list(parse_exposition('# HELP x y\n\nx\nx one\nx{a="b"} 2 1700000000000\n# EOF')) == [("x", {"a": "b"}, 2.0)]


HOSTILE_LINES = {
    "names of labels": lambda n: "m{" + "a" * n + "} 1",
    "labels without values": lambda n: "m{" + "a=" * n + "} 1",
    "open values": lambda n: "m{" + 'a="' * n + "} 1",
    "braces": lambda n: "m{" + "}" * n,
    "spaces": lambda n: "m " + " " * n + "z z z",
    "spaces within": lambda n: 'm{a="1"' + " " * n + "} z",
    "escapes": lambda n: 'm{a="' + "\\" * n,
    "quotes": lambda n: 'm{a="1",' + '"' * n + "} 1",
    "commas": lambda n: "m{" + "," * n + "} 1",
    "digits": lambda n: "m " + "1" * n + "x",
    "comment": lambda n: "m 1 " + "#" * n + "\r x",
    "label after label": lambda n: "m{" + 'a="1",' * n + "x",
}


def cost_s(text: str) -> float:
    """Least processor time of some runs, which other programs disturb little."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        list(parse_exposition(text))
        times.append(time.process_time() - begun)
    return min(times)


@pytest.mark.parametrize("shape", HOSTILE_LINES)
def test_a_line_of_an_exposition_costs_its_length_and_no_more(shape: str) -> None:
    line = HOSTILE_LINES[shape]
    small, large = cost_s(line(4_000)), cost_s(line(64_000))
    assert large < 80 * small + 0.01  # 16 times the length; a quadratic one costs 256 times


def test_lines_that_a_separator_or_another_form_hides_are_no_samples() -> None:
    assert list(parse_exposition('m{a="x\u2028m2 7"} 1\x0bm3 5\n')) == []
    assert list(parse_exposition('m{a="x\u2028m2 7"} 1\n')) == [("m", {"a": "x\u2028m2 7"}, 1.0)]
    for line in ("m 1_000", "m{a=1} 1", 'm{a="1" b="2"} 1', "m1", "{} 1", "m", 'm{a="1"', "m{} x", "é 1", "m 0x10"):
        assert list(parse_exposition(line)) == [], line
    for line in ('m 1 # {trace="x"} 1', "m{} 1", 'm{a="1",} 1', "m  1 1700000000000", "m 1 1.5", "m\t1"):
        assert [(name, value) for name, _, value in parse_exposition(line)] == [("m", 1.0)], line
    assert [value for _, _, value in parse_exposition("m +Inf\nm -1e3")] == [math.inf, -1000.0]


def test_only_wanted_names_are_read_and_not_without_end() -> None:
    text = "other{broken\n" + "m 1\n" * (MAX_SERIES + 10)
    assert sum(1 for _ in parse_exposition(text, lambda name: name == "m")) == MAX_SERIES
    assert list(parse_exposition(text, lambda name: False)) == []
