"""The mirror of figures: other readers give what the query engine gives, and a reader of the manifest never sees a half."""

from __future__ import annotations

import json
import random
import re
import stat
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event, text

from footprint.cli.app import status_of
from footprint.config import Config, ConfigError, parse_config
from footprint.core.units import kwh_from_uj
from footprint.figures import Query, run_query
from footprint.figures.mirror import _BASIS_COLUMNS, MirrorError, MirrorSummary, update_mirror, verify_mirror
from footprint.impact.calculation_basis import CalculationBasis
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.object_store import ObjectStore, ObjectStoreError
from footprint.storage.database import Store
from footprint.storage.figure_writer import compact
from footprint.storage.shard_key import ShardKey
from tests.support.contract_files import CONFIG, DAY_S, NOW_US, compute, config, energy_lines, import_files, request_lines, write
from tests.support.figure_rows import add_microjoule, figure_rows
from tests.support.stored_shards import FIRST_DAY, fill, host_tables, put_shard, zoned

DOCUMENT = Path(__file__).parents[4] / "docs" / "reference" / "figures-dataset.md"
LATER_US = (FIRST_DAY + 365) * 86_400_000_000
ENERGY = "active_uj + idle_uj + host_uj + facility_uj"


def mirrored_to(folder: Path | str, facts: Config) -> Config:
    return replace(facts, mirror=str(folder))


def updated(store: Store, facts: Config) -> tuple[int, int, int]:
    summary = update_mirror(store, facts)
    assert isinstance(summary, MirrorSummary)
    return summary.written, summary.removed, summary.unchanged


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read_mirror(folder: Path, table: str = "energy") -> pa.Table:
    """Rows of a table as a reader of the manifest sees them."""
    files = [folder / file["path"] for file in manifest_of(folder)["files"] if file["table"] == table]
    return pa.concat_tables(pq.ParquetFile(file).read() for file in files)


def energy_by_service(folder: Path) -> dict[str, int]:
    with duckdb.connect() as connection:
        connection.register("rows", read_mirror(folder))
        return dict(connection.sql(f"SELECT service, sum({ENERGY}) FROM rows GROUP BY service").fetchall())


def stored_by_service(store: Store, zone: str = "Europe/Paris") -> dict[str, int]:
    rows = figure_rows(store, "energy", f"SELECT service, sum({ENERGY}) FROM rows GROUP BY service", zone)
    with store.read() as connection:
        names = store.texts(connection, [number for number, _ in rows])
    return {names[number]: energy_uj for number, energy_uj in rows}


def imported(store: Store, folder: Path, hours: int = 50) -> None:
    """Readings and requests that span three UTC days, computed."""
    import_files(store, config(), folder, energy_lines(DAY_S, hours * 3600, 120), request_lines(DAY_S, hours * 3600, 200))
    compute(store, config())


def recipe(title: str, language: str) -> str:
    """The code under a heading of the documentation."""
    found = re.search(rf"{title}:\n\n```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_duckdb_polars_and_pandas_give_the_energy_of_the_query_engine_as_documented(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    imported(store, tmp_path)
    facts = mirrored_to("mirror", config())
    assert updated(store, facts) == (3, 0, 0)
    rows = {row["service"]: row for row in run_query(store, config(), Query(("service",)), NOW_US).rows}
    expected = stored_by_service(store)
    assert {name: kwh_from_uj(energy_uj) for name, energy_uj in expected.items()} == {
        name: row["energy_kwh"] for name, row in rows.items()
    }
    for statement in recipe("DuckDB", "sql").strip().rstrip(";").split(";"):
        answer = duckdb.sql(statement)
    by_duckdb = answer.fetchall()
    assert {service: energy_uj for service, energy_uj, _ in by_duckdb} == expected
    for service, _, grams in by_duckdb:
        assert grams == pytest.approx(rows[service]["co2e_location_g"], rel=1e-9)
    for title in ("Polars", "pandas"):
        names: dict[str, Any] = {}
        exec(compile(recipe(title, "python"), title, "exec"), names)
        result = names["result"]
        assert (dict(result.iter_rows()) if title == "Polars" else result.to_dict()) == expected
    counts = read_mirror(tmp_path / "mirror", "counts").to_pandas()
    assert counts["requests"].sum() == 200
    assert counts["cached_input_tokens"].isna().all()
    assert pl.scan_parquet("mirror/counts/*/*.parquet", hive_partitioning=True).select("day").unique().collect().height == 3
    by_day = duckdb.sql("SELECT day, min(slot_start) FROM 'mirror/energy/*/*.parquet' GROUP BY day ORDER BY day")
    assert [str(day) for (day,) in by_day.project("day").fetchall()] == ["2026-07-01", "2026-07-02", "2026-07-03"]
    assert pd.read_parquet("mirror/coverage").groupby("host")["energy_uj"].sum().to_dict() == {
        "a": figure_rows(store, "coverage", "SELECT sum(energy_uj) FROM rows")[0][0]
    }


def test_files_hold_their_schema_order_and_provenance(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path)
    folder = tmp_path / "m"
    update_mirror(sqlite, mirrored_to(folder, replace(config(), demo=True)))
    manifest = manifest_of(folder)
    assert (manifest["format"], manifest["demonstration"], manifest["timezone"]) == (2, True, "Europe/Paris")
    first, last = manifest["days"][0], manifest["days"][-1]
    assert (first["day"], last["day"], len(manifest["files"])) == ("2026-07-01", "2026-07-03", 9)
    (file,) = [file for file in manifest["files"] if file["day"] == "2026-07-01" and file["table"] == "energy"]
    table = pq.read_table(folder / file["path"], partitioning=None)
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items() if key != b"ARROW:schema"}
    assert (metadata["table"], metadata["day"], metadata["demonstration"]) == ("energy", "2026-07-01", "true")
    assert json.loads(metadata["method_versions"]) == first["method_versions"] == sorted(set(table["method_version"].to_pylist()))
    assert json.loads(metadata["factor_versions"]) == first["factor_versions"] != []
    with sqlite.read() as connection:
        stored = connection.execute(text("SELECT members, digest FROM shard WHERE day = :day"), {"day": DAY_S // 86_400}).all()
    assert json.loads(metadata["shards"]) == {row.members: row.digest for row in stored}
    assert table.num_rows == file["rows"] > 24
    keys = list(zip(*(table[name].to_pylist() for name in ("slot_start", "host", "device", "service", "use_case")), strict=True))
    assert keys == sorted(keys)
    assert set(table["pue"].to_pylist()) == {1.35}
    assert set(table["site"].to_pylist()) == {"paris-1"}
    assert table.schema.field("slot_start").type == pa.timestamp("us", tz="UTC")
    assert all(table.schema.field(name).type == pa.int64() for name in ("active_uj", "embodied_ug", "divided"))


def test_every_fact_of_a_basis_has_a_column() -> None:
    assert {attribute for _, attribute, _ in _BASIS_COLUMNS.values()} | {"host"} == {
        each.name for each in fields(CalculationBasis)
    }


def test_the_same_figures_give_the_same_files_from_either_database(store: Store, sqlite: Store, tmp_path: Path) -> None:
    sqlite.name_ids({"zzz", "chat", "(idle)"})  # other numbers of names
    for number, opened in enumerate((store, sqlite)):
        imported(opened, tmp_path)
        update_mirror(opened, mirrored_to(tmp_path / f"m{number}", config()))
    first, second = (
        {name: raw for name, raw in contents(tmp_path / name).items() if name != "manifest.json"} for name in ("m0", "m1")
    )
    assert len(first) == 9
    assert first == second


def test_an_idle_run_writes_nothing_and_reads_no_figures(sqlite: Store, tmp_path: Path) -> None:
    facts = mirrored_to(tmp_path / "m", zoned("Europe/Paris"))
    statements: list[str] = []
    event.listen(sqlite.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    numbers = []
    for days in (5, 40):
        fill(sqlite, facts, 3, days)
        compact(sqlite, facts.timezone, LATER_US)
        update_mirror(sqlite, facts)
        before, times = contents(tmp_path / "m"), [path.stat().st_mtime_ns for path in sorted((tmp_path / "m").rglob("*"))]
        statements.clear()
        assert updated(sqlite, facts)[:2] == (0, 0)
        numbers.append(len(statements))
        assert not any("figure_part" in statement for statement in statements)
        assert contents(tmp_path / "m") == before
        assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "m").rglob("*"))] == times
    assert numbers[0] == numbers[1] < 10


def test_late_data_facts_and_withdrawals_rewrite_their_days_alone(store: Store, tmp_path: Path) -> None:
    imported(store, tmp_path)
    folder = tmp_path / "m"
    facts = mirrored_to(folder, config())
    update_mirror(store, facts)
    before = contents(folder)
    late = ["time,host,device,component,power_w", *(f"{DAY_S + 3600 + at},b,gpu:0,gpu,100" for at in range(0, 600, 60))]
    import_energy(store, write(tmp_path / "late.csv", late), NOW_US)
    compute(store, config())
    assert updated(store, facts) == (1, 0, 2)
    after = contents(folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name.split("/")[1] for name in changed if "/" in name} == {"day=2026-07-01"}
    assert len(after) == len(before)  # superseded files are gone
    assert energy_by_service(folder) == stored_by_service(store)
    assert verify_mirror(store, facts).faults == []
    # A restatement: another PUE.
    restated = config(CONFIG.replace("pue = 1.35", "pue = 1.9"))
    compute(store, restated)
    assert updated(store, facts) == (3, 0, 0)
    assert set(read_mirror(folder).filter(pa.compute.field("host") == "a")["pue"].to_pylist()) == {1.9}
    # A withdrawal: every day of the first import goes; only the late file is left.
    batches = {batch["name"]: batch["id"] for batch in list_batches(store)}
    for name in ("energy.csv", "requests.csv"):
        withdraw_batch(store, next(number for each, number in batches.items() if each.endswith(name)), "test", NOW_US)
    compute(store, restated)
    assert updated(store, facts) == (1, 2, 0)
    assert [day["day"] for day in manifest_of(folder)["days"]] == ["2026-07-01"]
    assert {path.name for path in folder.glob("*/*")} == {"day=2026-07-01"}
    assert set(energy_by_service(folder)) == {"(unattributed)"}
    assert energy_by_service(folder) == stored_by_service(store)
    assert verify_mirror(store, facts).faults == []


def test_open_days_wait_until_they_close(sqlite: Store, tmp_path: Path) -> None:
    facts, luck = mirrored_to(tmp_path / "m", zoned("Europe/Paris")), random.Random(5)
    assert updated(sqlite, facts) == (0, 0, 0)
    assert manifest_of(tmp_path / "m")["days"] == []
    for day in (FIRST_DAY, FIRST_DAY + 1):
        is_open = day != FIRST_DAY
        put_shard(sqlite, facts, ShardKey("host", "a"), day, host_tables(facts, "a", day, luck), provisional=is_open)
    compact(sqlite, facts.timezone, LATER_US)
    assert updated(sqlite, facts) == (1, 0, 0)
    put_shard(sqlite, facts, ShardKey("host", "a"), FIRST_DAY + 1, host_tables(facts, "a", FIRST_DAY + 1, luck))
    compact(sqlite, facts.timezone, LATER_US)
    assert updated(sqlite, facts) == (1, 0, 1)
    # A day that is computed again and not yet packed keeps its files, and is pending for the verification.
    put_shard(sqlite, facts, ShardKey("host", "a"), FIRST_DAY, host_tables(facts, "a", FIRST_DAY, luck))
    assert updated(sqlite, facts) == (0, 0, 2)
    verification = verify_mirror(sqlite, facts)
    assert (verification.faults, verification.days) == ([], 1)
    assert "1 days wait to be written" in verification.notes[0]


def test_a_replaced_name_is_replaced_in_every_day(store: Store, tmp_path: Path) -> None:
    imported(store, tmp_path)
    folder = tmp_path / "m"
    facts = mirrored_to(folder, config())
    update_mirror(store, facts)
    store.name_ids({"a new name"})
    assert updated(store, facts) == (0, 0, 3)
    with store.begin() as connection:
        connection.execute(text("UPDATE name SET text = 'withdrawn' WHERE text = 'coding'"))
    again = Store(store.url)
    assert updated(again, facts) == (3, 0, 0)
    again.close()
    assert "coding" not in set(read_mirror(folder)["use_case"].to_pylist())
    assert "withdrawn" in set(read_mirror(folder)["use_case"].to_pylist())
    assert b"coding" not in b"".join(contents(folder).values())


@pytest.mark.parametrize("breaks", ["file", "manifest"])
def test_an_interrupted_run_leaves_the_old_manifest_readable(
    breaks: str, sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    facts = mirrored_to(folder, zoned("Europe/Paris"))
    fill(sqlite, facts, 6, 4)
    compact(sqlite, facts.timezone, LATER_US)
    update_mirror(sqlite, facts)
    before = energy_by_service(folder)
    assert before == stored_by_service(sqlite)
    fill(sqlite, facts, 7, 6)
    compact(sqlite, facts.timezone, LATER_US)
    plain, written = ObjectStore.write, []

    def failing(self: ObjectStore, name: str, raw: bytes) -> None:
        if name == "manifest.json" if breaks == "manifest" else len(written) == 7:
            raise ObjectStoreError("no space left")
        written.append(name)
        plain(self, name, raw)

    monkeypatch.setattr(ObjectStore, "write", failing)
    with pytest.raises(ObjectStoreError, match="no space"):
        update_mirror(sqlite, facts)
    monkeypatch.setattr(ObjectStore, "write", plain)
    assert len(written) >= 7
    assert energy_by_service(folder) == before
    (folder / "notes.txt").write_text("of a person")
    update_mirror(sqlite, facts)
    assert energy_by_service(folder) == stored_by_service(sqlite) != before
    listed = {file["path"] for file in manifest_of(folder)["files"]}
    assert contents(folder).keys() == listed | {"manifest.json", "notes.txt"}
    assert verify_mirror(sqlite, facts).faults == []


def test_a_first_run_that_is_interrupted_goes_on(sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "m"
    facts = mirrored_to(folder, zoned("Europe/Paris"))
    fill(sqlite, facts, 6, 6)
    compact(sqlite, facts.timezone, LATER_US)
    monkeypatch.setattr("footprint.figures.mirror.DAYS_A_MANIFEST", 2)
    days: list[str] = []

    def stop(day: str) -> None:
        days.append(day)
        if len(days) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update_mirror(sqlite, facts, stop)
    assert len(manifest_of(folder)["days"]) == 4
    assert verify_mirror(sqlite, facts).notes == ["2 days wait to be written (`footprint figures mirror`)"]
    assert updated(sqlite, facts) == (2, 0, 4)
    assert energy_by_service(folder) == stored_by_service(sqlite)


def test_verification_names_what_differs_and_by_how_much(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path)
    folder = tmp_path / "m"
    facts = mirrored_to(folder, config())
    update_mirror(sqlite, facts)
    assert verify_mirror(sqlite, facts).days == 3
    files = {(file["day"], file["table"]): folder / file["path"] for file in manifest_of(folder)["files"]}
    path = files["2026-07-02", "energy"]
    rows = pq.ParquetFile(path).read()
    column = rows.schema.get_field_index("active_uj")
    more = pa.array([value + (number == 0) for number, value in enumerate(rows["active_uj"].to_pylist())])
    pq.write_table(rows.set_column(column, "active_uj", more), path)
    (faults, missing) = [f"{path.relative_to(folder)}" for path in (files["2026-07-02", "energy"], files["2026-07-03", "counts"])]
    files["2026-07-03", "counts"].unlink()
    (folder / "energy" / "day=2026-07-01" / "0123456789abcdef.parquet").write_bytes(b"")
    assert verify_mirror(sqlite, facts).faults == [
        "energy/day=2026-07-01/0123456789abcdef.parquet is not in the manifest: a reader of the whole folder counts it too",
        f"{faults} differs from its sha256 in the manifest",
        f"{faults}: the sum of active_uj is +1 against the store",
        f"{missing} is missing",
    ]
    path.write_bytes(b"PAR1")
    assert any("cannot be read" in fault for fault in verify_mirror(sqlite, facts).faults)
    manifest = manifest_of(folder)
    manifest["files"] = [file for file in manifest["files"] if (file["day"], file["table"]) != ("2026-07-02", "energy")]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "the manifest lists no file of energy of 2026-07-02" in verify_mirror(sqlite, facts).faults
    (folder / "manifest.json").write_text("{")
    with pytest.raises(MirrorError, match="is damaged"):
        update_mirror(sqlite, facts)
    (folder / "manifest.json").unlink()
    assert update_mirror(sqlite, facts, everything=True) is not None
    assert verify_mirror(sqlite, facts).faults == []


def test_a_changed_store_differs_from_its_mirror(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path)
    facts = mirrored_to(tmp_path / "m", config())
    update_mirror(sqlite, facts)
    with sqlite.read() as connection:
        digest = connection.execute(text("SELECT digest FROM figure_block WHERE tier = 1 ORDER BY first_s")).scalar()
    changed = add_microjoule(sqlite)
    with sqlite.begin() as connection:
        restored = text("UPDATE figure_block SET digest = :digest WHERE digest = :changed")
        connection.execute(restored, {"digest": digest, "changed": changed})
    (fault,) = verify_mirror(sqlite, facts).faults
    assert fault.startswith("energy/day=2026-07-01/")
    assert fault.endswith("the sum of active_uj is -1 against the store")


def test_object_storage_holds_the_same_files(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path)
    bucket = f"memory://bucket-{tmp_path.name}/figures"
    update_mirror(sqlite, mirrored_to(bucket, config()))
    update_mirror(sqlite, mirrored_to(tmp_path / "m", config()))
    objects = ObjectStore(bucket)
    assert {name: objects.read(name) for name in objects.all_names()} == contents(tmp_path / "m")
    assert updated(sqlite, mirrored_to(bucket, config())) == (0, 0, 3)
    late = ["time,host,device,component,power_w", *(f"{DAY_S + at},b,gpu:0,gpu,100" for at in range(0, 600, 60))]
    import_energy(sqlite, write(tmp_path / "late.csv", late), NOW_US)
    compute(sqlite, config())
    assert updated(sqlite, mirrored_to(bucket, config())) == (1, 0, 2)
    verification = verify_mirror(sqlite, mirrored_to(bucket, config()))
    assert (verification.faults, verification.days) == ([], 3)


def test_a_local_mirror_is_readable_by_its_owner_alone(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path, hours=2)
    folder = tmp_path / "new" / "m"
    update_mirror(sqlite, mirrored_to(folder, config()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}


def test_demonstration_and_real_data_never_mix(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path, hours=2)
    facts = mirrored_to(tmp_path / "m", config())
    update_mirror(sqlite, facts)
    before = contents(tmp_path / "m")
    with pytest.raises(MirrorError, match="never mix"):
        update_mirror(sqlite, replace(facts, demo=True))
    assert contents(tmp_path / "m") == before


def test_another_process_that_writes_is_left_alone(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path, hours=2)
    facts = mirrored_to(tmp_path / "m", config())
    assert update_mirror(sqlite, config()) is None
    with sqlite.exclusive_lock("mirror"):
        assert update_mirror(Store(sqlite.url), facts) is None
    assert updated(sqlite, facts) == (1, 0, 0)


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [("editions", "the editions"), ("editions/m", "the editions"), (".", "the editions"), ("footprint.sealed", "sealed days")],
)
def test_a_mirror_has_a_folder_of_its_own(mirror: str, reason: str) -> None:
    text_ = f'[store]\nmirror = "{mirror}"\n[editions]\nfolder = "editions"\n'
    with pytest.raises(ConfigError, match=rf"footprint.toml:2: mirror = .* shares a folder with .*{reason}"):
        parse_config(text_)
    assert parse_config('[store]\nmirror = "s3://bucket/figures"\n').mirror == "s3://bucket/figures"
    assert parse_config("").mirror == ""
    with pytest.raises(ConfigError, match="mirror must be a text"):
        parse_config("[store]\nmirror = 3\n")


def test_the_commands_write_verify_and_explain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("footprint.toml").write_text(CONFIG)
    store = Store(f"sqlite:///{tmp_path / 'footprint.db'}")
    assert status_of(["figures", "mirror"]) == 3
    assert "no mirror is configured" in capsys.readouterr().err
    Path("footprint.toml").write_text('[store]\nmirror = "mirror"\n' + CONFIG)
    assert status_of(["figures", "mirror", "--verify"]) == 1
    assert "has no manifest" in capsys.readouterr().err
    import_energy(store, write(tmp_path / "e.csv", energy_lines(DAY_S, 7200, 60)), NOW_US)
    import_requests(store, config(), write(tmp_path / "r.csv", request_lines(DAY_S, 7200, 30)), NOW_US)
    assert status_of(["aggregate"]) == 0
    assert "mirror: 1 days written, 0 removed, 0 unchanged" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    assert "mirror" not in capsys.readouterr().err
    assert status_of(["figures", "mirror"]) == 0
    assert "0 days written, 0 removed, 1 unchanged" in capsys.readouterr().err
    assert status_of(["figures", "mirror", "--verify", "--all"]) == 2
    assert status_of(["figures", "mirror", "--verify"]) == 0
    assert "1 days equal those of the store" in capsys.readouterr().err
    assert status_of(["jobs", "--run", "mirror"]) == 0
    next(Path("mirror/energy").rglob("*.parquet")).unlink()
    assert status_of(["figures", "mirror", "--verify"]) == 6
    assert "is missing" in capsys.readouterr().out
    assert status_of(["figures", "mirror", "--all"]) == 0
    assert status_of(["figures", "mirror", "--verify"]) == 0
