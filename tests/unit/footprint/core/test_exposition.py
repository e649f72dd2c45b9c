"""Text of exporters: both formats, exemplars, times, names in UTF-8, and lines that nobody can read."""

import math
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from footprint.core.exposition import (
    BAD_END,
    BAD_LABELS,
    BAD_NUMBER,
    MAX_SERIES,
    NO_NAME,
    REPEATED_LABEL,
    REPEATED_SERIES,
    parse_exposition,
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), max_size=4))
def test_labels_of_any_text_are_read_back(labels: dict[str, str]) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    if any(len(text.splitlines()) > 1 and "\n" not in text for text in labels.values()) or any(
        c in t for t in labels.values() for c in "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
    ):
        return  # no exporter writes another line end
    line = "m{" + ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items()) + "} 1.5"
    assert list(parse_exposition(line)) == [("m", labels, 1.5, None)]


def test_lines_that_are_none_are_counted_with_their_reason() -> None:
    problems: Counter[str] = Counter()
    text = '# HELP x y\n\nx\nx one\nx{a="b"} 2 1700000000000\n5\nx{a} 1\nx{a="1",a="2"} 1\nx 1 2 3\nx{a="b"} 3\n# EOF'
    assert list(parse_exposition(text, problems=problems)) == [("x", {"a": "b"}, 2.0, 1_700_000_000.0)]
    assert problems == {NO_NAME: 2, BAD_NUMBER: 1, BAD_LABELS: 1, REPEATED_LABEL: 1, BAD_END: 1, REPEATED_SERIES: 1}


def test_open_metrics_and_names_in_utf_8() -> None:
    text = """# TYPE hw_energy_joules counter
hw_energy_joules_total{hw_id="GPU-1"} 1000.5 1793491200.123
hw_energy_joules_total{hw_id="GPU-2"} 2000 # {trace_id="KOO5S4vxi0o"} 0.67
hw_energy_joules_total{hw_id="GPU-3"} 3000 1793491200.5 # {trace_id="#} 9"} 0.67 1793491200.1
{"hw.energy","hw.id"="GPU-4"} NaN
{"hw.energy", "hw.id"="GPU-5,}", x="1"} +Inf
U__hw_2e_energy__x{a="1"} -1.5e3
# EOF
"""
    assert [(s.name, s.labels.get("hw_id"), str(s.value), s.at_s) for s in parse_exposition(text)] == [
        ("hw_energy_joules_total", "GPU-1", "1000.5", 1_793_491_200.123),
        ("hw_energy_joules_total", "GPU-2", "2000.0", None),
        ("hw_energy_joules_total", "GPU-3", "3000.0", 1_793_491_200.5),
        ("hw_energy", "GPU-4", "nan", None),
        ("hw_energy", "GPU-5,}", "inf", None),
        ("hw_energy_x", None, "-1500.0", None),
    ]


_VALUES = st.floats(allow_nan=False) | st.integers(-(10**12), 10**12)
_LABELS = st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,7}", fullmatch=True), st.text(max_size=10), max_size=4)


@given(st.lists(st.tuples(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), _LABELS, _VALUES), max_size=8))
def test_what_the_reference_client_writes_is_read_as_it_reads_it(series: list[tuple[str, dict[str, str], float]]) -> None:
    """prometheus_client writes and reads each exposition; a gauge has one sample per set of labels."""
    families = {}
    for name, labels, value in series:
        family = families.setdefault((name, tuple(sorted(labels))), GaugeMetricFamily(name, "", labels=sorted(labels)))
        if all([labels[key] for key in sorted(labels)] != [*sample.labels.values()] for sample in family.samples):
            family.add_metric([labels[key] for key in sorted(labels)], value)
    names = [name for name, _ in families]
    registry = type("Registry", (), {"collect": lambda self: [f for (n, _), f in families.items() if names.count(n) == 1]})()
    text = generate_latest(registry).decode()  # type: ignore[arg-type]
    if any(character in text for character in "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):
        return  # the client's reader splits lines at them, which the format does not
    expected = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    problems: Counter[str] = Counter()
    assert [(s.name, s.labels, s.value) for s in parse_exposition(text, problems=problems)] == [
        (sample.name, sample.labels, sample.value) for sample in expected
    ]
    assert not problems


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
    assert list(parse_exposition('m{a="x\u2028m2 7"} 1\n')) == [("m", {"a": "x\u2028m2 7"}, 1.0, None)]
    for line in ("m 1_000", "m{a=1} 1", 'm{a="1" b="2"} 1', "m1", "{} 1", "m", 'm{a="1"', "m{} x", "é 1", "m 0x10"):
        assert list(parse_exposition(line)) == [], line
    for line in ('m 1 # {trace="x"} 1', "m{} 1", 'm{a="1",} 1', "m  1 1700000000000", "m 1 1.5", "m\t1"):
        assert [(name, value) for name, _, value, _ in parse_exposition(line)] == [("m", 1.0)], line
    assert [s.value for s in parse_exposition('m +Inf\nm{a="b"} -1e3')] == [math.inf, -1000.0]


def test_only_wanted_names_are_read_and_not_without_end() -> None:
    text = "other{broken\n" + "".join(f'm{{a="{i}"}} 1\n' for i in range(MAX_SERIES + 10))
    assert sum(1 for _ in parse_exposition(text, lambda name: name == "m")) == MAX_SERIES
    assert list(parse_exposition(text, lambda name: False)) == []
