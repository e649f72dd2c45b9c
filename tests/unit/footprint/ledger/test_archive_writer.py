"""Sealed days: figures stay byte-identical, nothing is lost or counted twice, and every change is detected."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footprint.ledger import verifier
from footprint.ledger.archive_writer import SealSummary, seal
from footprint.ledger.import_batches import withdraw_batch
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.object_store import ObjectStore, ObjectStoreError
from footprint.storage import schema
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, NOW_US, START, compute, config, write
from tests.support.ledger_contents import count
from tests.support.three_days import ENERGY, FACTS, REQUESTS, import_all, rendered_answers


def sealed(store: Store, folder: Path, **options: Any) -> SealSummary:
    return seal(
        store,
        ObjectStore(str(folder)),
        NOW_US,
        after_days=options.pop("after_days", 2),
        keep_days=options.pop("keep_days", 3),
        **options,
    )


def faults(folder: Path) -> list[str]:
    return verifier.verify(folder)[0]


def test_figures_from_sealed_days_are_byte_identical(store: Store, tmp_path: Path) -> None:
    import_all(store, tmp_path)
    compute(store, FACTS)
    before = rendered_answers(store)
    readings, requests = count(store, schema.Reading), count(store, schema.RequestRow)
    summary = sealed(store, tmp_path / "sealed")
    assert (summary.parts, summary.supplements) == (5, 0)  # two or three days of a host, of a service, of events
    assert summary.rows == readings + requests
    assert summary.retired == readings + requests
    assert faults(tmp_path / "sealed") == []
    assert rendered_answers(store) == before
    assert compute(store, FACTS, force=True).computed > 0
    assert rendered_answers(store) == before
    assert compute(store, FACTS).computed == 0
    assert sealed(store, tmp_path / "sealed").parts == 0


def test_sealing_twice_the_same_ledger_gives_the_same_files(tmp_path: Path) -> None:
    folders = []
    for name in ("one", "two"):
        store = Store(f"sqlite:///{tmp_path / name}.db")
        import_all(store, tmp_path)
        sealed(store, tmp_path / name)
        store.close()
        folders.append(
            {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name / "days").rglob("host*.parquet")}
        )
    assert folders[0] == folders[1]
    assert folders[0]


def test_rows_that_left_sql_are_still_recognised_as_duplicates(store: Store, tmp_path: Path) -> None:
    import_all(store, tmp_path)
    sealed(store, tmp_path / "sealed")
    again = import_energy(store, write(tmp_path / "again.csv", ENERGY), NOW_US)
    assert (again.accepted, again.duplicates, len(again.rejects)) == (0, len(ENERGY) - 1, 0)
    result = import_requests(store, FACTS, write(tmp_path / "again_r.csv", REQUESTS), NOW_US)
    assert (result.accepted, result.duplicates, len(result.rejects)) == (0, len(REQUESTS) - 1, 0)
    changed_lines = [ENERGY[0], ENERGY[1].rsplit(",", 1)[0] + ",299.5"]
    refused = import_energy(store, write(tmp_path / "other.csv", changed_lines), NOW_US)
    assert (refused.accepted, len(refused.rejects)) == (0, 1)
    assert "conflict" in refused.rejects[0].reason
    changed = [REQUESTS[0], REQUESTS[1].replace(",chat,", ",chat,").rsplit(",", 2)[0] + ",77777,r0"]
    assert "conflict" in import_requests(store, FACTS, write(tmp_path / "c.csv", changed), NOW_US).rejects[0].reason


def test_late_readings_become_a_supplement_with_the_same_figures(store: Store, tmp_path: Path) -> None:
    late = [line for number, line in enumerate(ENERGY[1:]) if number % 7 == 3]
    early = [line for number, line in enumerate(ENERGY[1:]) if number % 7 != 3]
    complete = Store(f"sqlite:///{tmp_path / 'whole.db'}")
    import_all(complete, tmp_path / "w")
    compute(complete, FACTS)
    import_all(store, tmp_path, [ENERGY[0], *early])
    compute(store, FACTS)
    sealed(store, tmp_path / "sealed")
    before = {path: path.read_bytes() for path in (tmp_path / "sealed" / "days").rglob("*.parquet")}
    import_energy(store, write(tmp_path / "late.csv", [ENERGY[0], *late]), NOW_US)
    assert compute(store, FACTS).computed > 0
    assert rendered_answers(store) == rendered_answers(complete)
    summary = sealed(store, tmp_path / "sealed")
    assert summary.supplements >= 2
    assert {path: path.read_bytes() for path in before} == before
    assert faults(tmp_path / "sealed") == []
    assert compute(store, FACTS, force=True).computed > 0
    assert rendered_answers(store) == rendered_answers(complete)
    complete.close()


def test_a_sealed_batch_can_be_withdrawn_and_claimed_rows_stay(store: Store, tmp_path: Path) -> None:
    half = len(ENERGY) // 2
    first = import_energy(store, write(tmp_path / "a.csv", ENERGY[:half]), NOW_US)
    import_energy(store, write(tmp_path / "b.csv", [ENERGY[0], *ENERGY[half - 200 :]]), NOW_US)
    import_requests(store, FACTS, write(tmp_path / "r.csv", REQUESTS), NOW_US)
    sealed(store, tmp_path / "sealed")
    assert first.batch is not None
    withdrawn = withdraw_batch(store, first.batch, "wrong host", NOW_US)
    only_b = Store(f"sqlite:///{tmp_path / 'b.db'}")
    import_energy(only_b, write(tmp_path / "b.csv", [ENERGY[0], *ENERGY[half - 200 :]]), NOW_US)
    import_requests(only_b, FACTS, str(tmp_path / "r.csv"), NOW_US)
    assert withdrawn == half - 1 - 200
    compute(store, FACTS)
    compute(only_b, FACTS)
    assert rendered_answers(store) == rendered_answers(only_b)
    assert sealed(store, tmp_path / "sealed").parts > 0
    compute(store, FACTS, force=True)
    assert rendered_answers(store) == rendered_answers(only_b)
    assert faults(tmp_path / "sealed") == []
    only_b.close()


@pytest.fixture
def folder(sqlite: Store, tmp_path: Path) -> Path:
    import_all(sqlite, tmp_path)
    sealed(sqlite, tmp_path / "sealed", keep_days=10_000)
    import_energy(sqlite, write(tmp_path / "l.csv", [ENERGY[0], f"{START + 5},a,gpu:0,gpu,,100"]), NOW_US)
    sealed(sqlite, tmp_path / "sealed", keep_days=10_000)
    return tmp_path / "sealed"


def damage(folder: Path, kind: str, number: int, place: int) -> str:
    """Damage one file and return its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[number % len(files)]
    if kind == "flip":
        raw = bytearray(path.read_bytes())
        raw[place % len(raw)] ^= 1
        path.write_bytes(bytes(raw))
    elif kind == "delete":
        path.unlink()
    elif kind == "insert":
        path = folder / "days" / "2026-07-01" / f"host-z.{number}.parquet"
        path.write_bytes(files[0].read_bytes())
    else:
        other_path = next(p for p in files if p != path and p.suffix == path.suffix and p.read_bytes() != path.read_bytes())
        first, second = path.read_bytes(), other_path.read_bytes()
        path.write_bytes(second)
        other_path.write_bytes(first)
    return path.relative_to(folder).as_posix()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["flip", "delete", "insert", "swap"]), number=st.integers(0, 500), place=st.integers(0, 10**6))
def test_the_verifier_reports_any_change(folder: Path, kind: str, number: int, place: int) -> None:
    copy = folder.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    name = damage(copy, kind, number, place)
    reported = faults(copy)
    last_head = sorted(path.name for path in (folder / "heads").iterdir())[-1]
    if kind in ("flip", "delete") and name == f"heads/{last_head}":
        # Only who knows the head from elsewhere (an edition prints it) sees that the very last one went or changed.
        notes = verifier.verify(copy)[1]
        assert reported or verifier.verify(folder)[1][-1] not in notes
    else:
        assert reported
        assert any(name in fault or Path(name).parent.as_posix() in fault for fault in reported)


def test_the_verifier_runs_standalone_and_names_a_row_with_pyarrow(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "verifier.py"
    alone.parent.mkdir()
    alone.write_bytes(Path(verifier.__file__).read_bytes())
    well = subprocess.run([sys.executable, "-I", "-S", str(alone), str(folder)], capture_output=True, text=True, check=False)
    assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "as it was sealed")
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = sorted(folder.rglob("host-a.0.parquet"))[0]
    rows = pq.read_table(path)
    values = rows.column("value").to_pylist()
    values[123] += 1
    pq.write_table(rows.set_column(rows.column_names.index("value"), "value", pa.array(values, pa.int64())), path)
    assert "the first row at fault is 123" in faults(folder)[0]
    ill = subprocess.run([sys.executable, "-I", "-S", str(alone), str(folder)], capture_output=True, text=True, check=False)
    assert ill.returncode == 6
    assert f"FAULT: {path.relative_to(folder).as_posix()}" in ill.stdout


class Cut(Exception):
    """A power failure."""


@pytest.mark.parametrize("after", range(12))
def test_the_next_run_completes_an_interrupted_one(
    sqlite: Store, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_all(sqlite, tmp_path)
    compute(sqlite, FACTS)
    before = rendered_answers(sqlite)
    writes = 0
    original_write = ObjectStore.write

    def cut(self: ObjectStore, name: str, raw: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == after + 1:
            if after % 2:
                original_write(self, name, raw)  # written, but SQL has no row of it
            raise Cut
        original_write(self, name, raw)

    monkeypatch.setattr(ObjectStore, "write", cut)
    with contextlib.suppress(Cut):
        sealed(sqlite, tmp_path / "sealed")
    monkeypatch.setattr(ObjectStore, "write", original_write)
    sealed(sqlite, tmp_path / "sealed")
    assert faults(tmp_path / "sealed") == []
    compute(sqlite, FACTS, force=True)
    assert rendered_answers(sqlite) == before
    assert sealed(sqlite, tmp_path / "sealed").parts == 0


def test_a_changed_file_is_an_error_not_a_figure(sqlite: Store, tmp_path: Path) -> None:
    import_all(sqlite, tmp_path)
    sealed(sqlite, tmp_path / "sealed")
    path = sorted((tmp_path / "sealed").rglob("host-a.0.parquet"))[0]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(ObjectStoreError, match="not what was sealed"):
        compute(sqlite, FACTS)
    path.unlink()
    with pytest.raises(ObjectStoreError, match="cannot be read"):
        compute(sqlite, FACTS)


def test_only_rows_in_the_file_leave_sql(sqlite: Store, tmp_path: Path) -> None:
    import_all(sqlite, tmp_path)
    sealed(sqlite, tmp_path / "sealed", keep_days=10_000)
    path = sorted((tmp_path / "sealed").rglob("service-chat.0.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match=r"nothing was taken out|not what was sealed|cannot be read"):
        sealed(sqlite, tmp_path / "sealed")
    assert count(sqlite, schema.RequestRow) == len(REQUESTS) - 1


def test_object_storage_gives_the_same_files(sqlite: Store, tmp_path: Path) -> None:
    import_all(sqlite, tmp_path)
    compute(sqlite, FACTS)
    before = rendered_answers(sqlite)
    archive = ObjectStore(f"memory://bucket-{tmp_path.name}/footprint")
    assert seal(sqlite, archive, NOW_US, after_days=2, keep_days=3).retired > 0
    compute(sqlite, FACTS, force=True)
    assert rendered_answers(sqlite) == before
    with archive.local() as copy:
        assert faults(copy) == []


def test_an_edit_without_a_date_changes_no_sealed_day(store: Store, tmp_path: Path) -> None:
    import_all(store, tmp_path)
    compute(store, FACTS)
    before = rendered_answers(store)
    sealed(store, tmp_path / "sealed")
    edited = config(CONFIG.replace("pue = 1.35", "pue = 1.9"))
    summary = compute(store, edited)
    assert summary.computed == 0
    assert any("sealed" in note for note in summary.notes)
    assert rendered_answers(store) == before
    dated = config(CONFIG + '\n[[site]]\nname = "paris-1"\npue = 1.9\nsince = "2026-06-15"\n')
    assert compute(store, dated).computed > 0
    assert rendered_answers(store) != before
    later = config(CONFIG + '\n[[site]]\nname = "paris-1"\npue = 1.9\nsince = "2026-09-01"\n')
    compute(store, later)
    assert rendered_answers(store) == before


def test_days_are_dated_and_sources_named_in_the_links(folder: Path) -> None:
    links = [json.loads(path.read_text()) for path in sorted((folder / "chains" / "host-a").iterdir())]
    assert [link["date"] for link in links if link["part"] == 0] == ["2026-07-01", "2026-07-02", "2026-07-03"]
    assert {link["source"] for link in links} == {"host a"}
    assert sum(link["rows"] for link in links) == len(ENERGY)
    with Store(f"sqlite:///{folder.parent / 'one.db'}").read() as connection:
        assert LedgerView(Store(f"sqlite:///{folder.parent / 'one.db'}"), connection).extent_us() is not None
