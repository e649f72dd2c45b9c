"""Hosted models are modelled in rows of their own; a model that is measured here shows how the model fares."""

import json
import math
from pathlib import Path

import pytest
from ecologits.tracers.utils import llm_impacts

from footprint.cli.app import status_of
from footprint.impact.hosted import UnknownModel, estimate_hosted
from footprint.queries.hosted_models import hosted_models
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.contract_files import DAY_S, NOW_US, compute, config, import_files, query_rows, write

FACTS = """
[[service]]
name = "away"
model = "gpt-4o"
modelled_as = "openai/gpt-4o"
[[service]]
name = "here"
model = "small"
devices = ["a/gpu:0"]
modelled_as = "mistralai/mistral-small-latest"
[[service]]
name = "other"
"""
ENERGY = ["time,host,device,component,power_w", *(f"{DAY_S + s},a,gpu:0,gpu,300" for s in range(0, 3601, 10))]
REQUESTS = [
    "start,end,service,use_case,output_tokens,id",
    *(
        f"{DAY_S + 30 * n},{DAY_S + 30 * n + 9},{name},drafting,{100 + n},{name}{n}"
        for n in range(100)
        for name in ("away", "here", "other")
    ),
]


@pytest.mark.parametrize("name", ["openai/gpt-4o", "mistralai/mistral-small-latest"])
def test_sums_from_counts_are_sums_over_requests(name: str) -> None:
    tokens = [1, 7, 150, 400, 2000]
    provider, _, model = name.partition("/")
    each = [llm_impacts(provider, model, n, math.inf).energy.value for n in tokens]
    low, high = (sum(float(getattr(value, end, value)) for value in each) for end in ("min", "max"))
    found = estimate_hosted(name, len(tokens), sum(tokens)).energy_kwh
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


def test_rows_are_of_their_own_and_the_measured_one_shows_the_ratio(sqlite: Store, tmp_path: Path) -> None:
    facts = config(FACTS)
    import_files(sqlite, facts, tmp_path, ENERGY, REQUESTS)
    compute(sqlite, facts)
    rows = {row["service"]: row for row in hosted_models(sqlite, facts, None, None, NOW_US)[0]}
    assert set(rows) == {"away", "here"}
    assert (rows["away"]["requests"], rows["away"]["quality"], rows["away"]["measured_kwh"]) == (100, "C", None)
    assert rows["away"]["measured_over_modelled"] is None
    assert 0 < rows["away"]["modelled_low_kwh"] < rows["away"]["modelled_kwh"] < rows["away"]["modelled_high_kwh"]
    assert rows["away"]["method_version"].startswith("ecologits ")
    here = rows["here"]
    assert here["measured_over_modelled"] == pytest.approx(here["measured_kwh"] / here["modelled_kwh"])
    # Nothing modelled is in the measured figures.
    measured = {row["service"]: row["energy_kwh"] for row in query_rows(sqlite, facts, group=("service",))}
    assert not measured.get("away")
    assert sum(value or 0 for value in measured.values()) == pytest.approx(300 * 3600 * 1.2 * 1.5 / 3.6e6)


@pytest.mark.parametrize("name", ["openai/none", "nobody/gpt-4o", "gpt-4o"])
def test_what_the_model_does_not_know_is_said(name: str) -> None:
    with pytest.raises(UnknownModel):
        estimate_hosted(name, 1, 1)


def test_the_command_prints_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "footprint.toml", [FACTS])
    assert status_of(["hosted"]) == 3
    assert status_of(["import", "requests", write(tmp_path / "r.csv", REQUESTS)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    rows = printed_rows(capsys, "hosted")
    assert [(row["service"], row["modelled_as"]) for row in rows] == [
        ("away", "openai/gpt-4o"),
        ("here", "mistralai/mistral-small-latest"),
    ]


def test_one_unknown_model_is_named_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "footprint.toml", [FACTS.replace("openai/gpt-4o", "openai/gpt-9-ultra")])
    assert status_of(["import", "requests", write(tmp_path / "r.csv", REQUESTS)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    assert status_of(["hosted", "--format", "json"]) == 5
    answer = capsys.readouterr()
    rows = {row["service"]: row for row in json.loads(answer.out)["rows"]}
    assert rows["here"]["modelled_kwh"] > 0
    assert (rows["away"]["requests"], rows["away"]["modelled_kwh"]) == (100, None)
    assert "away is not modelled" in answer.err
    assert "gpt-9-ultra" in answer.err
