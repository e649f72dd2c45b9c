"""Figures are verified against the digests under which they were computed: after compaction, and after each kind of damage."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from footprint.ledger.backup import backup, restore
from footprint.queries.figure_verification import verify_figures
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import COUNTS, from_arrow, pack, to_arrow, unpack
from footprint.storage.figure_writer import MONTH, compact, digest_of_parts
from footprint.storage.shard_key import ShardKey
from tests.support.contract_files import CONFIG, DAY_S, NOW_US, compute, config, energy_lines, import_files, request_lines
from tests.support.figure_rows import add_microjoule
from tests.support.stored_shards import FIRST_DAY, fill, host_tables, put_shard, zoned

FACTS = zoned("Europe/Paris")
LATER_US = (FIRST_DAY + 365) * 86_400_000_000
DAMAGED = "a damaged block of figures: "
BLOCKS, PARTS, SHARDS = table(schema.FigureBlock), table(schema.FigurePart), table(schema.Shard)


def damaged(store: Store, part: str) -> None:
    """Cut the last byte off the first part of a name."""
    with store.begin() as connection:
        row = connection.execute(PARTS.select().where(PARTS.c.part == part).order_by(PARTS.c.block_id)).first()
        assert row is not None
        is_part = (PARTS.c.block_id == row.block_id) & (PARTS.c.part == part)
        connection.execute(PARTS.update().where(is_part).values(content=bytes(row.content)[:-1]))


def test_figures_are_as_computed_before_and_after_compaction_in_a_backup_and_with_late_days(
    store: Store, sqlite: Store, tmp_path: Path
) -> None:
    fill(store, FACTS, 1, days=40)
    before = verify_figures(store)
    assert (before.faults, before.without_digest) == ([], 0)
    assert before.verified >= 5 * 28
    assert compact(store, FACTS.timezone, LATER_US) > 20
    assert verify_figures(store) == before
    put_shard(store, FACTS, ShardKey("host", "a"), FIRST_DAY + 3, host_tables(FACTS, "a", FIRST_DAY + 3, random.Random(7)))
    assert verify_figures(store) == before
    compact(store, FACTS.timezone, LATER_US)
    assert verify_figures(store) == before
    backup(store, tmp_path / "b.zip", NOW_US)
    restore(sqlite, tmp_path / "b.zip")
    assert verify_figures(sqlite) == before


def test_open_days_have_no_digest_until_they_close(sqlite: Store) -> None:
    tables = host_tables(FACTS, "a", FIRST_DAY, random.Random(7))
    put_shard(sqlite, FACTS, ShardKey("host", "a"), FIRST_DAY, tables, provisional=True)
    verification = verify_figures(sqlite)
    assert (verification.faults, verification.verified, verification.open) == ([], 0, 1)
    assert verification.note.endswith("not verified, 1 of them because the day is open")
    put_shard(sqlite, FACTS, ShardKey("host", "a"), FIRST_DAY, tables)
    verification = verify_figures(sqlite)
    assert (verification.faults, verification.verified, verification.note) == ([], 1, "")


def test_a_changed_row_is_reported_with_its_host_and_day(store: Store) -> None:
    fill(store, FACTS, 2, days=3)
    compact(store, FACTS.timezone, LATER_US)
    add_microjoule(store)
    block, sums, figures, *months = verify_figures(store).faults
    assert block == "the block of figures of 2026-02-16 of all hosts and services differs from its digest"
    assert sums == "sums of 2026-02-16 of all hosts and services are not those of their rows: energy, active_uj -1"
    assert figures in {f"figures of host {host} of 2026-02-16 are not those that were computed" for host in "abc"}
    assert months == [
        f"the sums of the month from 2026-01-31 on are not those of their rows: energy by {level}, active_uj -1"
        for level in ("days", "months")
    ]


def test_what_is_missing_or_belongs_to_nobody_is_a_fault(sqlite: Store) -> None:
    fill(sqlite, FACTS, 3, days=2)
    with sqlite.begin() as connection:
        number = connection.execute(SHARDS.select().where(SHARDS.c.members == "host b")).first()
        assert number is not None
        block_id = connection.execute(BLOCKS.select().where(BLOCKS.c.shard_id == number.id)).first()
        assert block_id is not None
        for target, column in ((PARTS, PARTS.c.block_id), (BLOCKS, BLOCKS.c.id)):
            connection.execute(target.delete().where(column == block_id.id))
        connection.execute(SHARDS.delete().where(SHARDS.c.members == "host c", SHARDS.c.day == FIRST_DAY))
    assert verify_figures(sqlite).faults == [
        "figures of host b of 2026-02-16 are not those that were computed",
        "figures of host c of 2026-02-16 belong to no computed day",
    ]


def test_damaged_bytes_are_reported_and_other_days_still_verified(sqlite: Store) -> None:
    fill(sqlite, FACTS, 4, days=60)
    compact(sqlite, FACTS.timezone, LATER_US)
    whole = verify_figures(sqlite).verified
    damaged(sqlite, "energy slots")
    damaged(sqlite, "energy months")
    verification = verify_figures(sqlite)
    assert [re.sub("(?<=of figures: ).*", "", fault) for fault in verification.faults] == [
        "the block of figures of 2026-02-16 of all hosts and services differs from its digest",
        f"figures of 2026-02-16 of all hosts and services cannot be read: {DAMAGED}",
        "the sums of the month from 2026-01-31 on differ from their digest",
        f"the sums of the month from 2026-01-31 on cannot be verified: {DAMAGED}",
    ]
    assert verification.verified == whole - 5


@pytest.mark.parametrize("level", ["days", "months"])
def test_a_month_whose_sums_are_not_those_of_its_rows_is_a_fault(level: str, sqlite: Store) -> None:
    fill(sqlite, FACTS, 5, days=50)
    compact(sqlite, FACTS.timezone, LATER_US)
    with sqlite.begin() as connection:
        month = connection.execute(BLOCKS.select().where(BLOCKS.c.tier == MONTH).order_by(BLOCKS.c.first_s)).first()
        assert month is not None
        parts = {row.part: row.content for row in connection.execute(PARTS.select().where(PARTS.c.block_id == month.id))}
        columns = from_arrow(unpack(parts[f"counts {level}"], COUNTS), COUNTS)
        columns["requests"][0] += 1
        parts[f"counts {level}"] = pack(to_arrow(columns, COUNTS), COUNTS)
        is_part = (PARTS.c.block_id == month.id) & (PARTS.c.part == f"counts {level}")
        connection.execute(PARTS.update().where(is_part).values(content=parts[f"counts {level}"]))
        connection.execute(BLOCKS.update().where(BLOCKS.c.id == month.id).values(digest=digest_of_parts(parts)))
    assert verify_figures(sqlite).faults == [
        f"the sums of the month from 2026-01-31 on are not those of their rows: counts by {level}, requests +1"
    ]


def test_the_command_counts_days_without_a_digest_and_exits_6_on_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("footprint.toml").write_text(CONFIG)
    store = Store(f"sqlite:///{tmp_path / 'footprint.db'}")
    import_files(store, config(), tmp_path, energy_lines(DAY_S, 7200, 60), request_lines(DAY_S, 7200, 30))
    compute(store, config())
    assert status_of(["ledger", "verify"]) == 0
    assert "every balance closes; figures of 2 days of hosts and services are as they were computed" in capsys.readouterr().err
    with store.begin() as connection:
        connection.execute(SHARDS.update().where(SHARDS.c.members == "service chat").values(digest=""))
    assert status_of(["ledger", "verify"]) == 0
    said = capsys.readouterr().err
    assert "figures of 1 days of hosts and services have no digest and are not verified" in said
    assert "figures of 1 days of hosts and services are as they were computed" in said
    add_microjoule(store)
    assert status_of(["ledger", "verify"]) == 6
    assert "figures of host a of 2026-07-01 are not those that were computed" in capsys.readouterr().out
