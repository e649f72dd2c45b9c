"""Every stored form has the bytes of release 0.1, and what 0.1 stored is read back as what it was.

The golden files are in ``tests/fixtures/stored``. Renaming a class, field, module or variable leaves them as they are; a change of
one is a change of what stores, agents and editions hold, and needs a migration.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from collectors import checkpoint
from footprint.attribution.idle import IdleHistograms
from footprint.attribution.step.serialization import load_statistics
from footprint.benchmark.result import parse_result
from footprint.core.records import from_line
from footprint.core.stored_forms import digest_text, from_plain, stored_as, to_plain
from footprint.editions.release_context import ReleaseContext
from footprint.editions.revision_evidence import Evidence
from footprint.editions.serialization import from_json
from footprint.impact.calculation_basis import CalculationBasis
from tests.contract import stored_values as values

GOLDEN = Path(__file__).parents[1] / "fixtures" / "stored"


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def test_every_golden_file_has_its_form() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(values.FORMS)


@pytest.mark.parametrize(("name", "make"), values.FORMS.items(), ids=values.FORMS)
def test_a_form_is_written_as_0_1_wrote_it(name: str, make: Callable[[], bytes]) -> None:
    assert make().decode() == golden(name).decode()


def test_records_are_read_from_the_wire() -> None:
    assert [from_line(line) for line in golden("wire.ndjson").splitlines()] == list(values.RECORDS.values())


LOGS = {"/var/log/*.json": {"/var/log/a.json": [7, 99]}}


def test_a_checkpoint_is_read(tmp_path: Path) -> None:
    (tmp_path / checkpoint.FILE_NAME).write_bytes(golden("checkpoint.json"))
    assert checkpoint.load(tmp_path, "boot") == replace(values.CHECKPOINT, logs=LOGS)
    assert checkpoint.load(tmp_path, "another boot") == checkpoint.Checkpoint(pending=["{}"], logs=LOGS)


def test_a_checkpoint_of_0_1_is_read_with_one_source_for_each_board(tmp_path: Path) -> None:
    """It knows no verdicts, no doubt and no ceilings."""
    state = json.loads(golden("checkpoint.json"))
    state["instances"] = {board: parts for board, _, parts in state["instances"]}
    for meter in (*state["meters"], *state["instances"]["GPU-7"]):
        del meter["channel"][-1], meter["meter"][-2:]
    del state["verdicts"]
    (tmp_path / checkpoint.FILE_NAME).write_text(json.dumps(state))
    meter = replace(values.METER, moved_us=-1, doubted_us=0)
    assert checkpoint.load(tmp_path, "boot") == checkpoint.Checkpoint([meter], {("GPU-7", "nvml-energy"): [meter]}, ["{}"], LOGS)


def test_what_days_taught_is_read() -> None:
    assert CalculationBasis.from_json(golden("basis.json").decode()) == values.BASIS
    assert IdleHistograms.from_json(json.loads(golden("quiet-day.json"))) == values.QUIET


def test_statistics_of_a_day_are_read() -> None:
    told = json.loads(golden("day-statistics.json"))
    arrays = {
        key: base64.b64encode(zlib.compress(bytes.fromhex(value))).decode()
        for key, value in told.items()
        if isinstance(value, str)
    }
    found = load_statistics(json.dumps(told | arrays))
    assert found is not None
    for name in values.WINDOWS.__slots__:
        np.testing.assert_array_equal(getattr(found.windows, name), getattr(values.WINDOWS, name))
    assert replace(found, windows=values.WINDOWS) == values.STATISTICS


def test_an_edition_and_its_release_are_read() -> None:
    assert from_json(golden("edition.json")) == values.EDITION
    assert ReleaseContext.from_json(json.loads(golden("release-context.json"))) == values.CONTEXT
    assert ReleaseContext.from_json(json.loads(golden("first-context.json"))) == ReleaseContext("2026-Q3")
    assert Evidence.from_json(json.loads(golden("evidence.json"))) == values.EVIDENCE


def test_a_benchmark_is_read() -> None:
    assert parse_result(golden("benchmark.json")) == values.RESULT


@stored_as("Site", "name pue - parts")
@dataclass(frozen=True)
class Building:
    """A class and fields that were renamed after they were stored."""

    title: str
    ratio: float
    note: str = ""
    inside: tuple[object, ...] = ()


def test_stored_names_are_those_of_the_table() -> None:
    inner = Building("é", 1.5, "not stored")
    outer = Building("b", 2.0, inside=(inner, None))
    assert digest_text(outer) == "Site(name='b', pue=2.0, parts=(Site(name='é', pue=1.5, parts=()), None))"
    assert digest_text([(outer.title,), 1, True]) == "[('b',), 1, True]"
    plain = {"name": "b", "pue": 2.0, "parts": [{"name": "é", "pue": 1.5, "parts": []}, None]}
    assert to_plain(outer) == plain
    assert to_plain({"one": [outer]}) == {"one": [plain]}
    assert from_plain(Building, {"name": "b", "pue": 2.0}) == Building("b", 2.0)


@pytest.mark.parametrize("stored", [{"title": "b", "pue": 2.0}, {"name": "b", "pue": 2.0, "note": "x"}, {"name": "b"}])
def test_a_name_that_is_not_stored_or_is_missing_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        from_plain(Building, stored)


def test_a_field_without_a_stored_name_is_refused() -> None:
    @dataclass
    class Other:
        one: int
        two: int

    with pytest.raises(ValueError, match="zip"):
        stored_as("Other", "one")(Other)
