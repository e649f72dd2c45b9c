"""Result writer: replaces the stored rows of one host or service and day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Connection, delete, insert, select, text

from footprint.aggregation.host_day import HostDay
from footprint.aggregation.rollups import check_or_invalidate_rollups, crossing, recompute_host_rollups, recompute_service_rollups
from footprint.aggregation.service_day import ServiceDay
from footprint.aggregation.shard_key import ShardKey
from footprint.attribution.shard import ENERGY_COLUMNS, IDLE_NAME, OTHER_COLUMNS, UNATTRIBUTED_NAME, ClosureError
from footprint.config import Config
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table

_ROW_TABLES = (schema.FigureRow, schema.Count, schema.Straddle, schema.Seen, schema.SplitRow)
# In place of a use case, a model or a charter status where no request bears the energy.
RESERVED_USE_CASES = (IDLE_NAME, UNATTRIBUTED_NAME)


LearnedStatistics = tuple[str, int, str, str]  # stream key, day, fingerprint, content


@dataclass(frozen=True, slots=True)
class ShardStamp:
    """When a shard was computed, and from which inputs."""

    key: ShardKey
    day: int
    fingerprint: str
    computed_us: int
    provisional: bool
    facts: str = ""  # facts of a sealed day that an edit without a date does not change


CHANGES = "changes"  # key in Meta: number of changes of rows


def data_version(connection: Connection) -> str:
    """Version of the stored rows: a different text after every change."""
    meta = table(schema.Meta)
    return str(connection.execute(select(meta.c.value).where(meta.c.key == CHANGES)).scalar() or "")


def _count_change(connection: Connection) -> None:
    connection.exec_driver_sql(
        f"INSERT INTO meta (key, value) VALUES ('{CHANGES}', '1') "
        "ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS VARCHAR)"
    )


def replace_shard(store: Store, connection: Connection, stamp: ShardStamp) -> int:
    """Remove the rows of a shard; return the number of the shard for the new rows."""
    shard = table(schema.Shard)
    _count_change(connection)
    if store.dialect == "postgresql":  # SQLite has one writer at a time already
        connection.execute(text("LOCK TABLE shard IN EXCLUSIVE MODE"))
    same = (shard.c.day == stamp.day) & (shard.c.members == stamp.key.text)
    shard_id = connection.execute(select(shard.c.id).where(same)).scalar()
    values = {
        "day": stamp.day,
        "members": stamp.key.text,
        "fingerprint": stamp.fingerprint,
        "computed_us": stamp.computed_us,
        "provisional": stamp.provisional,
        "facts": stamp.facts,
    }
    if shard_id is None:
        return int(connection.execute(insert(shard).values(**values).returning(shard.c.id)).scalar_one())
    for model in _ROW_TABLES:
        target = table(model)
        connection.execute(delete(target).where(target.c.shard_id == shard_id))
    connection.execute(shard.update().where(shard.c.id == shard_id).values(**values))
    return int(shard_id)


def remove_shard(store: Store, config: Config, key: ShardKey, day: int) -> None:
    """Remove a shard that the ledger no longer calls for."""
    shard = table(schema.Shard)
    names = store.name_ids([key.name])
    with store.begin() as connection:
        number = replace_shard(store, connection, ShardStamp(key, day, "", 0, False))
        connection.execute(delete(shard).where(shard.c.id == number))
        if check_or_invalidate_rollups(store, connection, config.timezone, 0):
            update_rollups = recompute_host_rollups if key.kind == "host" else recompute_service_rollups
            update_rollups(connection, config.timezone, key.name, names[key.name], day)


def store_host_day(
    store: Store, config: Config, name: str, host_day: HostDay, statistics: Sequence[LearnedStatistics], stamp: ShardStamp
) -> None:
    """Store rows, coverage and new statistics of one host and day, in one transaction."""
    rows = host_day.result.rows
    coverage = host_day.result.coverage
    texts = {name, *(device for _, device in coverage)}
    for column in ("device", "service", "use_case", "model"):
        texts.update(rows[column].unique())
    charters = [
        charter_of(config, use_case, int(host_day.slots_us[slot]))
        for use_case, slot in zip(rows["use_case"], rows["slot"].tolist(), strict=True)
    ]
    names = store.name_ids(texts | set(charters) | set(host_day.splits))
    with store.begin() as connection:
        bases = _basis_ids(store, connection, host_day)
        shard_id = replace_shard(store, connection, stamp)
        records = list(
            zip(
                [int(host_day.slots_us[slot]) // US_PER_S for slot in rows["slot"].tolist()],
                [names[name]] * len(rows),
                *([names[value] for value in rows[column]] for column in ("device", "service", "use_case", "model")),
                [
                    bases[device, service if (device, service, segment) in bases else "", segment]
                    if (device, service, segment) in bases
                    else bases[device, "", segment]
                    for device, service, segment in zip(rows["device"], rows["service"], rows["segment"].tolist(), strict=True)
                ],
                [names[charter] for charter in charters],
                *(rows[column].tolist() for column in (*ENERGY_COLUMNS, *OTHER_COLUMNS)),
                [shard_id] * len(rows),
                strict=True,
            )
        )
        columns = (
            "slot",
            "host_id",
            "device_id",
            "service_id",
            "use_case_id",
            "model_id",
            "basis_id",
            "charter_id",
            *ENERGY_COLUMNS,
            *OTHER_COLUMNS,
            "shard_id",
        )
        unique_records = _one_a_key(records, columns.index("active_uj"))
        if store.insert_many(connection, table(schema.FigureRow), columns, unique_records) != len(unique_records):
            raise ClosureError(f"host {name}, UTC day {stamp.day}: rows of this day already exist; nothing of it was stored")
        _store_seen(store, connection, host_day, names, name, shard_id)
        _store_splits(store, connection, host_day, names, name, stamp, shard_id)
        statistics_rows = [
            {"stream_key": key, "day": day, "inputs": inputs, "content": content} for key, day, inputs, content in statistics
        ]
        store.upsert(connection, schema.Statistics, statistics_rows)
        if check_or_invalidate_rollups(store, connection, config.timezone, _largest(rows, (*ENERGY_COLUMNS, *OTHER_COLUMNS))):
            recompute_host_rollups(connection, config.timezone, name, names[name], stamp.day)


def _one_a_key(records: Sequence[tuple[int, ...]], size: int) -> list[tuple[int, ...]]:
    """Records of one key (the first ``size`` values) added up: facts that change within a slot may be others' than a row's."""
    sums: dict[tuple[int, ...], tuple[int, ...]] = {}
    for record in records:
        key, sum_so_far = record[:size], sums.get(record[:size])
        amounts = record[size:-1]
        if sum_so_far is not None:
            amounts = tuple(a + b for a, b in zip(sum_so_far[size:-1], amounts, strict=True))
        sums[key] = (*key, *amounts, record[-1])
    return list(sums.values())


def _largest(frame: pd.DataFrame, columns: Sequence[str]) -> int:
    return int(frame[list(columns)].abs().max().max()) if len(frame) else 0


def charter_of(config: Config, use_case: str, instant_us: int) -> str:
    """Charter status of a use case; reserved use cases stand for themselves."""
    return use_case if use_case in RESERVED_USE_CASES else config.charter_at(use_case, instant_us)


def _basis_ids(store: Store, connection: Connection, host_day: HostDay) -> dict[tuple[str, str, int], int]:
    target = table(schema.BasisRow)
    content = {key: basis.to_json() for key, basis in host_day.bases.items()}
    digests = {line: hashlib.blake2b(line.encode(), digest_size=16).hexdigest() for line in set(content.values())}
    store.insert_new(
        connection, schema.BasisRow, [{"digest": digest, "content": line} for line, digest in sorted(digests.items())]
    )
    stored = connection.execute(select(target.c.id, target.c.digest).where(target.c.digest.in_(sorted(digests.values()))))
    ids = {row.digest: row.id for row in stored}
    return {key: ids[digests[line]] for key, line in content.items()}


def _store_seen(store: Store, connection: Connection, host_day: HostDay, names: dict[str, int], host: str, shard_id: int) -> None:
    columns = (
        "slot",
        "host_id",
        "device_id",
        "first_us",
        "last_us",
        "measured_us",
        "bridged_us",
        "modelled_us",
        "energy_uj",
        "shard_id",
    )
    records: list[tuple[int, ...]] = []
    for (_, device), coverage in host_day.result.coverage.items():
        size = len(coverage.slot)
        records += zip(
            (host_day.slots_us[coverage.slot] // US_PER_S).tolist(),
            [names[host]] * size,
            [names[device]] * size,
            coverage.first_us.tolist(),
            coverage.last_us.tolist(),
            coverage.measured_us.tolist(),
            coverage.bridged_us.tolist(),
            coverage.modelled_us.tolist(),
            coverage.energy_uj.tolist(),
            [shard_id] * size,
            strict=True,
        )
    store.insert_many(connection, table(schema.Seen), columns, records)


def _store_splits(
    store: Store, connection: Connection, host_day: HostDay, names: dict[str, int], host: str, stamp: ShardStamp, shard_id: int
) -> None:
    records = []
    for service, split in sorted(host_day.splits.items()):
        if split.diagnosis is None and not split.wasted:
            continue
        content = {
            **(split.diagnosis.to_json() if split.diagnosis is not None else {}),
            "shares": [[*key, share, half] for key, (share, half) in sorted(split.shares.items())],
            "wasted": [[*key, part, count] for key, (part, count) in sorted(split.wasted.items())],
        }
        status = split.diagnosis.status if split.diagnosis is not None else ""
        text_ = json.dumps(content, ensure_ascii=False, sort_keys=True)
        records.append((stamp.day, names[host], names[service], status, text_, shard_id))
    store.insert_many(
        connection, table(schema.SplitRow), ("day", "host_id", "service_id", "status", "content", "shard_id"), records
    )


def store_service_day(store: Store, config: Config, service: str, service_day: ServiceDay, stamp: ShardStamp) -> None:
    """Store the counts of one service and day, in one transaction."""
    counts = _with_charter(config, service_day.counts, "slot_us")
    straddles = _with_charter(config, service_day.straddles, "at_us")
    texts: set[str] = {service}
    for frame in (counts, straddles):
        for column in ("use_case", "model", "charter"):
            texts.update(frame[column].unique())
    names = store.name_ids(texts)
    with store.begin() as connection:
        shard_id = replace_shard(store, connection, stamp)
        slots = [slot // US_PER_S for slot in counts["slot_us"].tolist()] if len(counts) else []
        store.insert_many(
            connection,
            table(schema.Count),
            ("slot", "service_id", "use_case_id", "model_id", "charter_id", *COUNT_COLUMNS, "shard_id"),
            list(zip(slots, *_counted(counts, service, names), [shard_id] * len(counts), strict=True)),
        )
        store.insert_many(
            connection,
            table(schema.Straddle),
            ("start_us", "end_us", "service_id", "use_case_id", "model_id", "charter_id", *COUNT_COLUMNS, "shard_id", "crosses"),
            list(
                zip(
                    straddles["start_us"].tolist(),
                    straddles["end_us"].tolist(),
                    *_counted(straddles, service, names),
                    [shard_id] * len(straddles),
                    _crossed(config, straddles),
                    strict=True,
                )
            ),
        )
        if check_or_invalidate_rollups(
            store, connection, config.timezone, max(_largest(frame, COUNT_COLUMNS) for frame in (counts, straddles))
        ):
            recompute_service_rollups(connection, config.timezone, service, names[service], stamp.day)


def _crossed(config: Config, windows: pd.DataFrame) -> list[int]:
    ends = zip(windows["start_us"].tolist(), windows["end_us"].tolist(), strict=True)
    return [crossing(config.timezone, start, end) for start, end in ends]


def _with_charter(config: Config, frame: pd.DataFrame, instant: str) -> pd.DataFrame:
    charters = [charter_of(config, use_case, at) for use_case, at in zip(frame["use_case"], frame[instant].tolist(), strict=True)]
    return frame.assign(charter=pd.Series(charters, index=frame.index, dtype=object))


def _counted(frame: pd.DataFrame, service: str, names: dict[str, int]) -> Iterable[list[int | None]]:
    yield [names[service]] * len(frame)
    for column in ("use_case", "model", "charter"):
        yield [names[value] for value in frame[column]]
    for column in COUNT_COLUMNS:
        yield [None if value < 0 else value for value in frame[column].tolist()]
