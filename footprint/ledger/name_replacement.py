"""Replacement of a stored name of a use case: in SQL, in figures, in texts and in sealed files, so that it is nowhere any more.

Sealed files are rewritten under a link of their chain that names the digests of both files and the reason. The order makes an
interrupted run resumable: a mark in ``meta``, the files one by one, then all of SQL in one transaction, which removes the mark.
Keys and content digests of requests stay, so that a file that names the old use case brings duplicates and no second requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Table, delete, insert, or_, select, update
from sqlmodel import SQLModel

from footprint.attribution.array_types import Ints
from footprint.config import Config
from footprint.config.models import UNDECLARED
from footprint.core.limits import name_fault, personal_name_fault
from footprint.core.records import FootprintError
from footprint.core.units import US_PER_S
from footprint.ledger.archive_writer import EVENTS, add_head, canonical_json, chain_row, drop_replaced, to_tuples
from footprint.ledger.certificates import CALIBRATION
from footprint.ledger.object_store import ObjectStore, folder_name, link_name
from footprint.ledger.parquet_segments import EVENT_SCHEMA, REQUEST_SCHEMA, pack_rows, unpack_rows
from footprint.ledger.selftests import SELFTEST
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.canonical_figures import StoredTexts, rows_by_shard
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import LAYOUTS, add_up, from_arrow
from footprint.storage.figure_writer import MONTH, day_extent, delete_blocks, insert_block, read_block

MARK = "replaces_name"  # key in Meta while a run is not finished: old and new name, and the reason
_WITHOUT_NAMES = (CALIBRATION, SELFTEST)  # kinds of events that hold no name of a use case, and whose words are keys
_LOCKS = ("aggregate", "figures", "seal")
_USE_CASE = REQUEST_SCHEMA.get_field_index("use_case")
_KIND, _TEXT = EVENT_SCHEMA.get_field_index("kind"), EVENT_SCHEMA.get_field_index("text")
_OTHER_NAMES = {name: REQUEST_SCHEMA.get_field_index(name) for name in ("model", "unit", "status", "replica")}
_ROLES = ("host", "device", "service", "use_case", "model", "charter")  # columns of figures with numbers of names
_TEXTS: dict[type[SQLModel], tuple[str, ...]] = {  # columns that may quote a name
    schema.Batch: ("name", "reason"),
    schema.Event: ("text",),
    schema.Job: ("said",),
    schema.Access: ("path", "query", "cells"),
    schema.Statistics: ("content",),
    schema.SplitRow: ("content",),
    schema.Shard: ("notes", "facts"),
}
Tables = Mapping[str, dict[str, Ints]]


class NameNotReplaced(FootprintError):
    """A name that cannot be replaced; the message says why."""


@dataclass(slots=True)
class ReplacementSummary:
    """What a run changed. ``other_roles``: the old name also names something else, such as a host, and stays there."""

    requests: int = 0
    files: int = 0
    days: int = 0
    texts: int = 0
    unknown_users: int = 0
    other_roles: tuple[str, ...] = ()
    resumed: bool = False


def replace_use_case(
    store: Store, config: Config, archive: ObjectStore, old: str, new: str, reason: str, now_us: int
) -> ReplacementSummary:
    """Replace the name of a use case by another one, which may exist: their figures then add up.

    Raises
    ------
    NameNotReplaced
        If nothing bears the name, a name may not be one, another replacement is unfinished, or figures are not those computed.
    """
    _check(old, new, reason)
    with ExitStack() as stack:
        for name in _LOCKS:
            stack.enter_context(store.exclusive_lock(name, wait=True))
        summary = _mark(store, old, new, reason)
        new_id = store.name_ids([new])[new]
        replace = text_replacer(old, new)
        sealed_roles = _rewrite_archive(store, archive, old, new, reason, replace, now_us, summary)
        with store.begin() as connection:
            _Replacement(store, connection, config, old, new, new_id, summary, sealed_roles).run(replace)
            store.record_event(
                connection,
                now_us,
                "rename-use-case",
                f"a name of use cases was replaced by {new}: {summary.requests} requests in the database, {summary.files} sealed "
                f"files, figures of {summary.days} days; {reason}",
            )
            connection.execute(delete(table(schema.Meta)).where(table(schema.Meta).c.key == MARK))
        add_head(store, archive, now_us, config.signing_key)
    store.forget_names()
    _purge(store)
    return summary


def _check(old: str, new: str, reason: str) -> None:
    fault = name_fault(new) or personal_name_fault(new)
    if not new.strip() or fault:
        raise NameNotReplaced(f"the new name {fault or 'is empty'}")
    for name in (old, new):
        if name.startswith("(") and not name.startswith("(renamed") and name != "(unknown)":
            raise NameNotReplaced(f"{name} is a row of its own and no name that a log gave")
    if old == new:
        raise NameNotReplaced("both names are the same")
    if text_replacer(old, "")(f"{new} {reason}") != f"{new} {reason}":
        raise NameNotReplaced("the new name or the reason repeats the old name, which is to be nowhere any more")


def _mark(store: Store, old: str, new: str, reason: str) -> ReplacementSummary:
    name, meta = table(schema.Name), table(schema.Meta)
    with store.begin() as connection:
        mark = connection.execute(select(meta.c.value).where(meta.c.key == MARK)).scalar()
        if mark is not None:
            unfinished = json.loads(mark)
            if (unfinished["old"], unfinished["new"]) != (old, new):
                raise NameNotReplaced(
                    f"a replacement was interrupted; finish it first: footprint ledger rename-use-case {unfinished['old']!r} "
                    f"{unfinished['new']!r} --reason {unfinished['reason']!r}"
                )
            return ReplacementSummary(resumed=True)
        users = table(schema.Users)
        is_known = connection.execute(select(name.c.id).where(name.c.text == old)).first()
        if is_known is None and connection.execute(select(users.c.users).where(users.c.use_case == old)).first() is None:
            raise NameNotReplaced(f"the store knows no use case of the name {old}")
        value = json.dumps({"old": old, "new": new, "reason": reason}, ensure_ascii=False)
        store.upsert(connection, schema.Meta, [{"key": MARK, "value": value}])
    return ReplacementSummary()


def text_replacer(old: str, new: str) -> Callable[[str], str]:
    """Function that replaces a name in texts, where it is a word of its own, also as JSON and addresses write it."""
    forms = {old: new}
    for encode in (quote, quote_plus, lambda text: quote(text, safe=""), lambda text: json.dumps(text)[1:-1]):
        forms.setdefault(encode(old), encode(new))
    alternatives = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")
    return lambda text: pattern.sub(lambda match: forms[match[0]], text)


def _rewrite_archive(
    store: Store,
    archive: ObjectStore,
    old: str,
    new: str,
    reason: str,
    replace: Callable[[str], str],
    now_us: int,
    summary: ReplacementSummary,
) -> set[str]:
    """Write every sealed file that holds the name again, each under a link of its own; the old file is erased last.

    Return the other columns of requests in which the name stands.
    """
    roles: set[str] = set()
    target = table(schema.Sealed)
    _adopt_links(store, archive)
    with store.read() as connection:
        has_name = or_(target.c.source == EVENTS, target.c.source.startswith("service "))
        parts = connection.execute(select(target).where(has_name).order_by(target.c.source, target.c.seq)).all()
    for part in parts:
        if not part.file:
            continue
        raw = archive.read(part.file)
        if sha256_of(raw) != part.sha256:
            raise NameNotReplaced(f"{part.file} is not what was sealed: it was not written again (`footprint ledger verify`)")
        rows = to_tuples(unpack_rows(raw))
        if part.source == EVENTS:
            renamed = [row if row[_KIND] in _WITHOUT_NAMES else (*row[:_TEXT], replace(row[_TEXT])) for row in rows]
        else:
            roles |= {name for name, index in _OTHER_NAMES.items() if any(row[index] == old for row in rows)}
            renamed = [
                (*row[:_USE_CASE], new if row[_USE_CASE] == old else row[_USE_CASE], *row[_USE_CASE + 1 :]) for row in rows
            ]
        if renamed != rows:
            _rewrite_part(store, archive, part, renamed, reason, now_us)
            summary.files += 1
    known = _files(store)
    for name in archive.all_names():
        if name.startswith("days/") and name.endswith(".parquet") and name not in known:
            archive.erase(name)  # replaced, or without a link: of a run that was cut off
    return roles


def _files(store: Store) -> set[str]:
    target = table(schema.Sealed)
    with store.read() as connection:
        return set(connection.execute(select(target.c.file).where(target.c.file != "")).scalars())


def _adopt_links(store: Store, archive: ObjectStore) -> None:
    """Record the links that an interrupted run wrote without recording them in SQL."""
    target = table(schema.Sealed)
    with store.read() as connection:
        sources = set(connection.execute(select(target.c.source).distinct()).scalars())
    for source in sorted(sources):
        with store.begin() as connection:
            count = connection.execute(select(target.c.seq).where(target.c.source == source)).all()
            for number, link, raw in archive.links(source, len(count)):
                store.insert_new(connection, schema.Sealed, [chain_row(link, number, sha256_of(raw))])
                drop_replaced(connection, source, link)


def _rewrite_part(store: Store, archive: ObjectStore, part: Any, rows: list[tuple[Any, ...]], reason: str, now_us: int) -> None:
    target = table(schema.Sealed)
    raw = pack_rows(part.source, part.day, rows)
    with store.begin() as connection:
        last = connection.execute(
            select(target).where(target.c.source == part.source).order_by(target.c.seq.desc()).limit(1)
        ).one()
        name = f"{part.file.split('/')[0]}/{part.file.split('/')[1]}/{folder_name(part.source)}.r{last.seq + 1}.parquet"
        archive.write(name, raw)
        link = {
            "source": part.source,
            "day": part.day,
            "part": part.part,
            "file": name,
            "sha256": sha256_of(raw),
            "bytes": len(raw),
            "rows": part.rows,
            "first_us": part.first_us,
            "last_us": part.last_us,
            "state": _last_state(connection, part),
            "sealed_us": now_us,
            "batches": json.loads(part.batches),
            "erased": part.file,
            "replaces": part.sha256,
            "retired": bool(part.retired),
            "reason": reason,
            "seq": last.seq + 1,
            "previous": last.link,
        }
        content = canonical_json(link)
        archive.write(link_name(part.source, last.seq + 1), content)
        store.insert_new(connection, schema.Sealed, [chain_row(link, last.seq + 1, sha256_of(content))])
        drop_replaced(connection, part.source, link)
    archive.erase(part.file)


def _last_state(connection: Connection, part: Any) -> str:
    """Fingerprint of the day of a part when its last part was sealed."""
    target = table(schema.Sealed)
    of_day = (target.c.source == part.source) & (target.c.day == part.day)
    return str(connection.execute(select(target.c.state).where(of_day).order_by(target.c.seq.desc()).limit(1)).scalar_one())


class _Replacement:
    """All of SQL, in one transaction."""

    def __init__(
        self,
        store: Store,
        connection: Connection,
        config: Config,
        old: str,
        new: str,
        new_id: int,
        summary: ReplacementSummary,
        sealed_roles: set[str],
    ) -> None:
        self.store, self.connection, self.config, self.summary = store, connection, config, summary
        self.old, self.new, self.new_id = old, new, new_id
        self.old_id = connection.execute(select(table(schema.Name).c.id).where(table(schema.Name).c.text == old)).scalar()
        self._is_declared = any(fact.name == new for fact in config.use_cases)
        self._other_roles = set(sealed_roles)

    def run(self, replace: Callable[[str], str]) -> None:
        if self.old_id is not None:
            for model in (schema.RequestRow, schema.WithdrawnRequest):
                target = table(model)
                done = self.connection.execute(
                    update(target).where(target.c.use_case_id == self.old_id).values(use_case_id=self.new_id)
                )
                self.summary.requests += done.rowcount
            self._figures()
            self._retire_name()
        self._users()
        for quoting, columns in _TEXTS.items():
            self._replace_texts(table(quoting), columns, replace)

    def _figures(self) -> None:
        """Rows of the old name in all blocks under the new one, with new digests of blocks and shards."""
        block = table(schema.FigureBlock)
        blocks = self.connection.execute(select(block).where(block.c.tier != MONTH).order_by(block.c.id)).all()
        changed: list[tuple[Any, dict[str, dict[str, Ints]]]] = []
        days: set[int] = set()
        for row in blocks:
            tables = {
                name: from_arrow(rows, LAYOUTS[name]) for name, rows in read_block(self.connection, row.id, row.dead).items()
            }
            self._note_roles(tables)
            if any("use_case" in columns and (columns["use_case"] == self.old_id).any() for columns in tables.values()):
                changed.append((row, self._renamed(tables)))
                days.add(row.first_s // (day_extent(1)[0]))
        for day in sorted(days):
            self._check_shards(day)
        for row, tables in changed:
            delete_blocks(self.connection, [row.id])
            insert_block(
                self.connection,
                tier=row.tier,
                shard_id=row.shard_id,
                extent=(row.first_s, row.last_s),
                tables=tables,
                zone=self.config.timezone if row.zone else None,
            )
            months = (block.c.tier == MONTH) & (block.c.last_s > row.first_s) & (block.c.first_s < row.last_s)
            delete_blocks(self.connection, list(self.connection.execute(select(block.c.id).where(months)).scalars()))
        for day in sorted(days):
            self._digest_shards(day)
        self.summary.days = len(days)

    def _note_roles(self, tables: Tables) -> None:
        for columns in tables.values():
            self._other_roles |= {
                role for role in _ROLES if role != "use_case" and role in columns and (columns[role] == self.old_id).any()
            }

    def _renamed(self, tables: Tables) -> dict[str, dict[str, Ints]]:
        """Tables with the new name; rows that then have one key are added up."""
        renamed = {}
        for name, columns in tables.items():
            if "use_case" not in columns:
                renamed[name] = dict(columns)
                continue
            is_old = columns["use_case"] == self.old_id
            values = columns | {"use_case": np.where(is_old, self.new_id, columns["use_case"])}
            if self._is_declared:
                values["charter"] = self._charters(columns["start_s"], columns["charter"], is_old)
            summed = add_up(values, LAYOUTS[name])
            if "divided" in summed and int(columns["divided"].max(initial=0)) <= 1:
                summed["divided"] = np.minimum(summed["divided"], 1)  # a slot that a model divided, however many rows were in it
            renamed[name] = summed
        return renamed

    def _charters(self, start_s: Ints, charter: Ints, is_old: Any) -> Ints:
        slots = sorted(set(start_s[is_old].tolist()))
        texts = {slot: self.config.charter_at(self.new, slot * US_PER_S) or UNDECLARED for slot in slots}
        ids = self._ids(set(texts.values()))
        return np.array(
            [
                ids[texts[slot]] if old else stored
                for slot, stored, old in zip(start_s.tolist(), charter.tolist(), is_old, strict=True)
            ],
            dtype=np.int64,
        ).reshape(-1)

    def _ids(self, texts: set[str]) -> dict[str, int]:
        name = table(schema.Name)
        self.store.insert_new(self.connection, schema.Name, [{"text": text} for text in sorted(texts)])
        rows = self.connection.execute(select(name.c.text, name.c.id).where(name.c.text.in_(sorted(texts))))
        return {row.text: row.id for row in rows}

    def _day_tables(self, day: int) -> dict[str, dict[str, Ints]]:
        block = table(schema.FigureBlock)
        first_s, last_s = day_extent(day)
        overlaps = (block.c.last_s > first_s) & (block.c.first_s < last_s) & (block.c.tier != MONTH)
        by_layout: dict[str, list[pa.Table]] = {}
        for row in self.connection.execute(select(block.c.id, block.c.dead).where(overlaps).order_by(block.c.id)).all():
            for name, rows in read_block(self.connection, row.id, row.dead).items():
                by_layout.setdefault(name, []).append(rows)
        return {name: from_arrow(pa.concat_tables(rows), LAYOUTS[name]) for name, rows in by_layout.items()}

    def _digests(self, day: int) -> dict[str, str]:
        """Digest of the figures of each shard of a day, by its stored key."""
        tables = self._day_tables(day)
        texts = StoredTexts.of(self.store, self.connection, tables)
        return {
            f"{kind} {texts.names[number]}": texts.tables(own).digest() for (kind, number), own in rows_by_shard(tables).items()
        }

    def _check_shards(self, day: int) -> None:
        """A digest is replaced only where the figures are those that were computed."""
        shard, digests = table(schema.Shard), self._digests(day)
        for row in self.connection.execute(select(shard.c.members, shard.c.digest).where(shard.c.day == day)).all():
            if row.digest and row.members in digests and digests[row.members] != row.digest:
                raise NameNotReplaced(
                    f"figures of {row.members} of UTC day {day} are not those that were computed; nothing was replaced in the "
                    "database (`footprint ledger verify`)"
                )

    def _digest_shards(self, day: int) -> None:
        shard, digests = table(schema.Shard), self._digests(day)
        for row in self.connection.execute(select(shard.c.id, shard.c.members, shard.c.digest).where(shard.c.day == day)).all():
            if row.digest and row.members in digests:
                self.connection.execute(update(shard).where(shard.c.id == row.id).values(digest=digests[row.members]))

    def _retire_name(self) -> None:
        """Give the number of the old name another text, unless something else bears the name too.

        The number stays: a server that still knows it would else store requests of a number without a name.
        """
        references = (
            (schema.Stream, "host_id", "host"),
            (schema.Stream, "device_id", "device"),
            (schema.RequestRow, "service_id", "service"),
            (schema.RequestRow, "model_id", "model"),
            (schema.RequestRow, "unit_id", "unit"),
            (schema.RequestRow, "status_id", "status"),
            (schema.RequestRow, "replica_id", "replica"),
            (schema.ServiceDayRow, "service_id", "service"),
            (schema.Reading, "epoch_id", "epoch"),
            (schema.AliasRow, "place_id", "device"),
            (schema.AliasRow, "device_id", "device"),
        )
        for model, column, role in references:
            target = table(model)
            if self.connection.execute(select(1).select_from(target).where(target.c[column] == self.old_id).limit(1)).first():
                self._other_roles.add(role)
        self.summary.other_roles = tuple(sorted(self._other_roles))
        if not self._other_roles:
            name = table(schema.Name)
            self.connection.execute(update(name).where(name.c.id == self.old_id).values(text=f"(renamed {self.old_id})"))

    def _users(self) -> None:
        """Counts of distinct users: where both names have one for a cell, neither holds for the sum, and the cell is unknown."""
        for model in (schema.Users, schema.UsersClaim):
            target = table(model)
            rows = self.connection.execute(select(target).where(target.c.use_case == self.old)).mappings().all()
            for row in rows:
                cell = (target.c.period == row["period"]) & (target.c.service == row["service"])
                is_new = cell & (target.c.use_case == self.new)
                merges = self.connection.execute(select(target.c.period).where(is_new)).first() is not None
                self.connection.execute(delete(target).where(cell & target.c.use_case.in_((self.old, self.new))))
                if not merges:
                    self.connection.execute(insert(target).values(**{**row, "use_case": self.new}))
                elif model is schema.Users:
                    self.summary.unknown_users += 1
        withdrawn = table(schema.WithdrawnUsers)
        self.connection.execute(update(withdrawn).where(withdrawn.c.use_case == self.old).values(use_case=self.new))

    def _replace_texts(self, target: Table, columns: Iterable[str], replace: Callable[[str], str]) -> None:
        keys = list(target.primary_key.columns)
        statement = select(*keys, *(target.c[name] for name in columns if name not in keys))
        if target is table(schema.Event):
            statement = statement.where(target.c.kind.not_in(_WITHOUT_NAMES))
        rows = self.connection.execute(statement).mappings().all()
        for row in rows:
            values = {name: replace(row[name]) for name in columns if row[name]}
            changed = {name: value for name, value in values.items() if value != row[name]}
            if changed:
                self.summary.texts += 1
                where = [key == row[key.name] for key in keys]
                self.connection.execute(update(target).where(*where).values(**changed))


def _purge(store: Store) -> None:
    """Free the pages of the database that held the name."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if store.dialect == "sqlite":
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("VACUUM FULL")
