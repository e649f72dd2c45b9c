"""Two models, services or periods: the ratio with its interval, refused where it would mislead, and what a merge request gets."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from tests.support.contract_files import DAY_S, write

CONFIG = """
[organisation]
timezone = "UTC"
[[site]]
name = "p"
pue = [1.3, 1.35, 1.4]
[[host]]
name = "a"
site = "p"
uplift = 1.2
[[service]]
name = "small"
model = "m1"
devices = ["a/gpu:0"]
[[service]]
name = "large"
model = "m2"
devices = ["a/gpu:1"]
"""


def lines(watts: dict[str, int], start: int = DAY_S) -> list[str]:
    """An hour of two GPUs: 50 W at rest for ten minutes, then working for fifty."""
    found = ["time,host,device,component,power_w"]
    for second in range(0, 3601, 5):
        found += [f"{start + second},a,{device},gpu,{50 if second < 600 else watt}" for device, watt in watts.items()]
    return found


def requests(counts: dict[str, int], tokens: dict[str, int], start: int = DAY_S) -> list[str]:
    found = ["start,end,service,use_case,output_tokens,id"]
    for service, count in counts.items():
        step = 3000 / count
        for n in range(count):
            begin = start + 600 + n * step
            found.append(f"{begin:.3f},{begin + step:.3f},{service},x,{tokens[service]},{service}{start}{n}")
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    for number, watts in enumerate(({"gpu:0": 200, "gpu:1": 400}, {"gpu:0": 300, "gpu:1": 400})):
        start = DAY_S + 86_400 * number
        assert status_of(["import", "energy", write(tmp_path / f"e{number}.csv", lines(watts, start))]) == 0
        path = write(tmp_path / f"r{number}.csv", requests({"small": 100, "large": 100}, {"small": 200, "large": 220}, start))
        assert status_of(["import", "requests", path]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    return tmp_path


DAY1 = ["--from", "2026-07-01", "--to", "2026-07-02"]


def test_a_ratio_by_hand_with_an_interval_narrower_than_its_parts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """400 W against 200 W for as many requests: twice the accelerators, and host energy that follows them."""
    assert status_of(["compare", "m1", "m2", *DAY1, "--format", "json"]) == 0
    printed = capsys.readouterr()
    rows = {row["condition"]: row for row in json.loads(printed.out)["rows"]}
    energy = rows["Wh per request"]
    assert energy["ratio"] == pytest.approx(2.0, rel=1e-6)
    assert energy["b"] / energy["a"] == pytest.approx(energy["ratio"], rel=1e-9)
    assert 1.7 < energy["low"] < 2 < energy["high"] < 2.3
    assert rows["output tokens per request"]["ratio"] == pytest.approx(1.1)
    assert rows["output tokens per request"]["alike"]
    assert "m2 uses 2 x m1 [" in printed.err
    assert status_of(["compare", "m1", "m1", *DAY1]) == 0
    assert "no measurable difference" in capsys.readouterr().err
    assert here.is_dir()


def test_a_regression_ends_with_6_only_where_it_is_sure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    periods = ["2026-07-01/2026-07-02", "2026-07-02/2026-07-03", "--where", "service=small"]
    assert status_of(["compare", *periods, "--threshold", "1.05"]) == 6
    assert "more than 1.05" in capsys.readouterr().err
    assert status_of(["compare", *periods, "--threshold", "1.6"]) == 0
    assert status_of(["compare", "small", "large", *DAY1, "--threshold", "3"]) == 0
    assert here.is_dir()


def test_what_is_not_comparable_is_refused_unless_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(here / "r9.csv", requests({"large": 50}, {"large": 5000}, DAY_S + 40))
    assert status_of(["import", "requests", path]) == 0
    assert status_of(["aggregate"]) == 0
    assert status_of(["compare", "m1", "m2", *DAY1]) == 1
    assert "differ in output tokens per request" in capsys.readouterr().err
    assert status_of(["compare", "m1", "m2", *DAY1, "--anyway"]) == 0
    assert "with care" in capsys.readouterr().err
    assert status_of(["compare", "m1", "m2", *DAY1, "--anyway", "--per", "1000-output-tokens"]) == 0
    for wrong in (["compare", "m1", "m9"], ["compare", "m1", "m2", "--per", "day"], ["compare", "m1", "m2", "--by", "colour"]):
        assert status_of(wrong) == 2


def test_a_merge_request_gets_a_table_and_a_badge(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["compare", "m1", "m2", *DAY1, "--markdown", "--badge", "badge.svg"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("**m2 uses 2 x m1 [")
    assert "| Wh per request |" in text
    assert len({line.count("|") for line in text.splitlines()[2:]}) == 1
    picture = ET.fromstring((here / "badge.svg").read_text())
    assert "Wh per request: 2 x [" in (picture.get("aria-label") or "")
