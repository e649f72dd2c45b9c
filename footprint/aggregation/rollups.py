"""Rollups: exact integer sums of stored rows by day and month of the organisation's zone.

They change in the transaction that changes the rows, and are always summed from rows, never corrected by a difference. ``Meta``
holds the zone of their days. Where it is not the configured zone, nobody reads them until ``rebuild`` has run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, select

from footprint.aggregation.shard_key import ShardKey
from footprint.attribution.shard import ENERGY_COLUMNS, IDLE_NAME, OTHER_COLUMNS, UNATTRIBUTED_NAME
from footprint.calendar import rollup_ranges
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table

ZONE_META_KEY = "sums"  # key in Meta: identity of the zone of the sums
TOO_LARGE = "none: too large"
LARGEST = 10**15  # of one row: a month of quarter hours of it is less than 2^63
DAY_USES, MONTH_USES, DAY, MONTH = 1, 2, 3, 4
_S_PER_DAY = US_PER_DAY // US_PER_S
_NAMED = ("host_id", "device_id", "service_id")
_USES = ("use_case_id", "model_id", "charter_id")
_ENERGY = " + ".join(ENERGY_COLUMNS)
_AMOUNTS = (*ENERGY_COLUMNS, *OTHER_COLUMNS)
_ROW_KEYS = (*_NAMED, *_USES, "basis_id")
_COUNT_KEYS = ("service_id", *_USES)
_SEEN = (
    "level",
    "start",
    "host_id",
    "device_id",
    "first_us",
    "last_us",
    "measured_us",
    "bridged_us",
    "modelled_us",
    "energy_uj",
    "gap_us",
)
DIVIDED = "CASE WHEN modelled_uj <> 0 OR spread_b_uj <> 0 THEN 1 ELSE 0 END"


def rollup_zone(connection: Connection) -> str:
    """Identity of the zone of the stored sums; empty where they are not valid."""
    meta = table(schema.Meta)
    return str(connection.execute(select(meta.c.value).where(meta.c.key == ZONE_META_KEY)).scalar() or "")


def set_rollup_zone(store: Store, connection: Connection, zone_identity: str) -> None:
    """Record the zone of the sums; an empty text marks them as not valid."""
    store.upsert(connection, schema.Meta, [{"key": ZONE_META_KEY, "value": zone_identity}])


def check_or_invalidate_rollups(store: Store, connection: Connection, zone: ZoneInfo, largest: int) -> bool:
    """Return whether sums can follow a change of rows; where they cannot, mark them as not valid: queries then read the rows."""
    stored_zone = rollup_zone(connection)
    if stored_zone == rollup_ranges.zone_fingerprint(zone) and largest <= LARGEST:
        return True
    if stored_zone not in ("", TOO_LARGE):
        set_rollup_zone(store, connection, "" if largest <= LARGEST else TOO_LARGE)
    return False


def recompute_host_rollups(connection: Connection, zone: ZoneInfo, host: str, host_id: int, utc_day: int) -> None:
    """Recompute the days and months of a host that a UTC day touches."""
    days = rollup_ranges.overlapping_days(zone, utc_day * _S_PER_DAY, (utc_day + 1) * _S_PER_DAY)
    for day in days:
        start, end = rollup_ranges.midnight_s(zone, day), rollup_ranges.midnight_s(zone, day + 1)
        of_host = f"shard_id IN ({_listed(_shards(connection, ShardKey('host', host), start, end))})"
        _clear(connection, schema.RowSum, (DAY_USES, DAY), start, host_id)
        _clear(connection, schema.SeenSum, (DAY_USES,), start, host_id)
        _clear(connection, schema.HourSum, (DAY_USES, DAY), start, host_id)
        _sum_day(connection, zone, day, f"{of_host} AND +slot >= {start} AND +slot < {end}")
    for first, following in sorted({rollup_ranges.month_bounds(day) for day in days}):
        _sum_month(connection, zone, first, following, host_id)


def _shards(connection: Connection, key: ShardKey, start: int, end: int) -> list[int]:
    shard = table(schema.Shard)
    days = range(start // _S_PER_DAY, (end - 1) // _S_PER_DAY + 1)
    condition = shard.c.day.in_(days) & (shard.c.members == key.text)
    return sorted(connection.execute(select(shard.c.id).where(condition)).scalars()) or [-1]


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(str(int(id_)) for id_ in ids)


def _clear(connection: Connection, model: type, levels: Sequence[int], start: int, host: int) -> None:
    target = table(model)
    outdated = target.c.level.in_(levels) & (target.c.start == start) & (target.c.host_id == host)
    connection.execute(delete(target).where(outdated))


def _sum_day(connection: Connection, zone: ZoneInfo, day: int, condition: str) -> None:
    """Sums of a day from the rows that the condition ``condition`` selects."""
    start = rollup_ranges.midnight_s(zone, day)
    _sum_hours(connection, zone, day, condition)
    keys = ", ".join(_ROW_KEYS)
    sums = ", ".join(f"SUM({name})" for name in _AMOUNTS)
    _insert(
        connection,
        "footprint_row_sum",
        ("level", "start", *_ROW_KEYS, *_AMOUNTS, "divided"),
        f"SELECT {DAY_USES}, {start}, {keys}, {sums}, SUM({DIVIDED}) FROM footprint_row WHERE {condition} GROUP BY {keys}",
    )
    _sum_together(connection, DAY, condition, start)
    coverage = "MIN(first_us), MAX(last_us), SUM(measured_us), SUM(bridged_us), SUM(modelled_us), SUM(energy_uj), 0"
    _insert(
        connection,
        "footprint_seen_sum",
        _SEEN,
        f"SELECT {DAY_USES}, {start}, host_id, device_id, {coverage} FROM footprint_seen "
        f"WHERE {condition} GROUP BY host_id, device_id",
    )


def _sum_hours(connection: Connection, zone: ZoneInfo, day: int, condition: str) -> None:
    start = rollup_ranges.midnight_s(zone, day)
    keys = ("host_id", "service_id", "use_case_id", "model_id")
    ranges = rollup_ranges.clock_hours(zone, day)
    hour_conditions = [
        f"slot >= {ranges[hour][0]} AND slot < {ranges[hour][1]}" if hour in ranges else "1 = 0" for hour in range(24)
    ]
    sums = ", ".join(f"SUM(CASE WHEN {hour_condition} THEN ({_ENERGY}) / 1000 END)" for hour_condition in hour_conditions)
    columns = [f"h{hour:02}" for hour in range(24)]
    _insert(
        connection,
        "footprint_hour_sum",
        ("level", "start", *keys, *columns),
        f"SELECT {DAY_USES}, {start}, {', '.join(keys)}, {sums} FROM footprint_row WHERE {condition} GROUP BY {', '.join(keys)}",
    )
    hour_sums = ", ".join(f"SUM({column})" for column in columns)
    of_hosts = (
        "" if "shard_id" not in condition else (f" AND host_id IN (SELECT DISTINCT host_id FROM footprint_row WHERE {condition})")
    )
    _insert(
        connection,
        "footprint_hour_sum",
        ("level", "start", *keys, *columns),
        f"SELECT {DAY}, {start}, host_id, service_id, 0, 0, {hour_sums} FROM footprint_hour_sum "
        f"WHERE level = {DAY_USES} AND start = {start}{of_hosts} GROUP BY host_id, service_id",
    )


def kind_of_use(reserved_ids: Sequence[int]) -> str:
    """SQL for the use case of a row in sums over all use cases: idle, unattributed, or 0."""
    return f"CASE WHEN use_case_id IN ({_listed(reserved_ids)}) THEN use_case_id ELSE 0 END"


def reserved_name_ids(connection: Connection) -> list[int]:
    """Ids of the names of idle and unattributed energy, as far as the store has them."""
    name = table(schema.Name)
    ids = connection.execute(select(name.c.id).where(name.c.text.in_((IDLE_NAME, UNATTRIBUTED_NAME)))).scalars()
    return sorted(ids) or [-1]


def _sum_together(connection: Connection, level: int, condition: str, start: int) -> None:
    kind = kind_of_use(reserved_name_ids(connection))
    named = ", ".join(_NAMED)
    sums = ", ".join(f"SUM({name})" for name in _AMOUNTS)
    _insert(
        connection,
        "footprint_row_sum",
        ("level", "start", *_ROW_KEYS, *_AMOUNTS, "divided"),
        f"SELECT {level}, {start}, {named}, {kind}, 0, 0, basis_id, {sums}, SUM({DIVIDED}) FROM footprint_row "
        f"WHERE {condition} GROUP BY {named}, {kind}, basis_id",
    )


def _insert(connection: Connection, name: str, columns: Sequence[str], select_sql: str) -> None:
    connection.exec_driver_sql(f"INSERT INTO {name} ({', '.join(columns)}) {select_sql}")


def _sum_month(connection: Connection, zone: ZoneInfo, first: int, following: int, host: int | None) -> None:
    """Sums of a month from its days: of one host, or of all."""
    start = rollup_ranges.midnight_s(zone, first)
    days = _listed(rollup_ranges.midnight_s(zone, day) for day in range(first, following))
    of_host = f" AND host_id = {host}" if host is not None else ""
    if host is not None:
        _clear(connection, schema.RowSum, (MONTH_USES, MONTH), start, host)
        _clear(connection, schema.SeenSum, (MONTH_USES,), start, host)
    keys = ", ".join(_ROW_KEYS)
    sums = ", ".join(f"SUM({name})" for name in (*_AMOUNTS, "divided"))
    for of, level in ((DAY_USES, MONTH_USES), (DAY, MONTH)):
        _insert(
            connection,
            "footprint_row_sum",
            ("level", "start", *_ROW_KEYS, *_AMOUNTS, "divided"),
            f"SELECT {level}, {start}, {keys}, {sums} FROM footprint_row_sum WHERE level = {of} AND start IN ({days}){of_host} "
            f"GROUP BY {keys}",
        )
    coverage = "MIN(first_us), MAX(last_us), SUM(measured_us), SUM(bridged_us), SUM(modelled_us), SUM(energy_uj)"
    before = "LAG(last_us) OVER (PARTITION BY host_id, device_id ORDER BY start)"
    _insert(
        connection,
        "footprint_seen_sum",
        _SEEN,
        f"SELECT {MONTH_USES}, {start}, host_id, device_id, {coverage}, MAX(COALESCE(gap, 0)) FROM ("
        "SELECT host_id, device_id, first_us, last_us, measured_us, bridged_us, modelled_us, energy_uj, "
        f"first_us - {before} AS gap FROM footprint_seen_sum WHERE level = {DAY_USES} AND start IN ({days}){of_host}) AS days "
        "GROUP BY host_id, device_id",
    )


def crossing(zone: ZoneInfo, start_us: int, end_us: int) -> int:
    """What a window crosses: 0 no midnight, 1 one, 2 the end of a month."""
    first = rollup_ranges.local_day(zone, start_us // US_PER_S)
    if end_us <= rollup_ranges.midnight_s(zone, first + 1) * US_PER_S:
        return 0
    return 1 if end_us <= rollup_ranges.midnight_s(zone, rollup_ranges.month_bounds(first)[1]) * US_PER_S else 2


def recompute_service_rollups(connection: Connection, zone: ZoneInfo, service: str, service_id: int, utc_day: int) -> None:
    """Recompute the days and months of a service that a UTC day touches."""
    days = rollup_ranges.overlapping_days(zone, utc_day * _S_PER_DAY, (utc_day + 1) * _S_PER_DAY)
    target = table(schema.CountSum)
    for day in days:
        start, end = rollup_ranges.midnight_s(zone, day), rollup_ranges.midnight_s(zone, day + 1)
        of_service = f"shard_id IN ({_listed(_shards(connection, ShardKey('service', service), start, end))})"
        condition = target.c.level.in_((DAY_USES, DAY)) & (target.c.start == start) & (target.c.service_id == service_id)
        connection.execute(delete(target).where(condition))
        _count_day(
            connection,
            f"{of_service} AND +slot >= {start} AND +slot < {end}",
            of_service,
            start,
            end,
            f" AND service_id = {service_id}",
        )
    for first, following in sorted({rollup_ranges.month_bounds(day) for day in days}):
        start = rollup_ranges.midnight_s(zone, first)
        condition = target.c.level.in_((MONTH_USES, MONTH)) & (target.c.start == start) & (target.c.service_id == service_id)
        connection.execute(delete(target).where(condition))
        _count_month(connection, zone, first, following, f" AND service_id = {service_id}")


def _count_day(connection: Connection, counts: str, windows: str, start: int, end: int, of_service: str = "") -> None:
    """Sums of a day over the selected counts, and over the selected windows that lie wholly within it."""
    columns, sums = ", ".join((*_COUNT_KEYS, *COUNT_COLUMNS)), ", ".join(f"SUM({name})" for name in COUNT_COLUMNS)
    keys = ", ".join(_COUNT_KEYS)
    within = _within(0, start, end)
    _insert(
        connection,
        "footprint_count_sum",
        ("level", "start", *_COUNT_KEYS, *COUNT_COLUMNS),
        f"SELECT {DAY_USES}, {start}, {keys}, {sums} FROM ("
        f"SELECT {columns} FROM footprint_count WHERE {counts} UNION ALL "
        f"SELECT {columns} FROM footprint_straddle WHERE {windows} AND {within}) AS counted GROUP BY {keys}",
    )
    _count_together(connection, DAY_USES, DAY, start, of_service)


def _within(crosses: int, start: int, end: int) -> str:
    low, high = start * US_PER_S, end * US_PER_S
    return f"crosses = {crosses} AND end_us > {low} AND end_us <= {high} AND start_us >= {low}"


def _count_month(connection: Connection, zone: ZoneInfo, first: int, following: int, of_service: str) -> None:
    start, end = rollup_ranges.midnight_s(zone, first), rollup_ranges.midnight_s(zone, following)
    days = _listed(rollup_ranges.midnight_s(zone, day) for day in range(first, following))
    columns, sums = ", ".join((*_COUNT_KEYS, *COUNT_COLUMNS)), ", ".join(f"SUM({name})" for name in COUNT_COLUMNS)
    keys = ", ".join(_COUNT_KEYS)
    within = _within(1, start, end)
    _insert(
        connection,
        "footprint_count_sum",
        ("level", "start", *_COUNT_KEYS, *COUNT_COLUMNS),
        f"SELECT {MONTH_USES}, {start}, {keys}, {sums} FROM ("
        f"SELECT {columns} FROM footprint_count_sum WHERE level = {DAY_USES} AND start IN ({days}){of_service} UNION ALL "
        f"SELECT {columns} FROM footprint_straddle WHERE {within}{of_service}) AS counted GROUP BY {keys}",
    )
    _count_together(connection, MONTH_USES, MONTH, start, of_service)


def _count_together(connection: Connection, of: int, level: int, start: int, of_service: str) -> None:
    """Counts over all use cases of a service."""
    sums = ", ".join(f"SUM({name})" for name in COUNT_COLUMNS)
    _insert(
        connection,
        "footprint_count_sum",
        ("level", "start", *_COUNT_KEYS, *COUNT_COLUMNS),
        f"SELECT {level}, {start}, service_id, 0, 0, 0, {sums} FROM footprint_count_sum "
        f"WHERE level = {of} AND start = {start}{of_service} GROUP BY service_id",
    )


def rebuild(store: Store, zone: ZoneInfo) -> bool:
    """Recompute all sums where the store has none of this zone, month by month, each in a transaction; True if it did.

    Rows that another process stores meanwhile clear the mark, and the next run begins again.
    """
    wanted = rollup_ranges.zone_fingerprint(zone)
    with store.begin() as connection:
        if rollup_zone(connection) in (wanted, TOO_LARGE):
            return False
        working = f"making {wanted}"
        if _too_large(connection):
            set_rollup_zone(store, connection, TOO_LARGE)
            return False
        for model in (schema.RowSum, schema.CountSum, schema.SeenSum, schema.HourSum):
            connection.execute(delete(table(model)))
        extent = _extent(connection)
        set_rollup_zone(store, connection, working)
    if extent is not None:
        day, last = rollup_ranges.local_day(zone, extent[0]), rollup_ranges.local_day(zone, extent[1])
        while day <= last:
            first, following = rollup_ranges.month_bounds(day)
            with store.begin() as connection:
                _build_month(connection, zone, first, following)
            day = following
    with store.begin() as connection:
        if rollup_zone(connection) == working:
            set_rollup_zone(store, connection, wanted)
            return True
    return False


def _too_large(connection: Connection) -> bool:
    large = " OR ".join(f"ABS({name}) > {LARGEST}" for name in _AMOUNTS)
    counted = " OR ".join(f"{name} > {LARGEST}" for name in COUNT_COLUMNS)
    return any(
        connection.exec_driver_sql(f"SELECT 1 FROM {name} WHERE {bad} LIMIT 1").first() is not None
        for name, bad in (
            ("footprint_row", large),
            ("footprint_count", counted),
            ("footprint_straddle", counted),
            ("footprint_seen", f"ABS(energy_uj) > {LARGEST}"),
        )
    )


def _extent(connection: Connection) -> tuple[int, int] | None:
    """First and last instant [s] that a row begins at or a window touches."""
    seconds: list[int] = []
    for name in ("footprint_row", "footprint_count", "footprint_seen"):
        seconds += [x for x in connection.exec_driver_sql(f"SELECT MIN(slot), MAX(slot) FROM {name}").one() if x is not None]
    straddling = connection.exec_driver_sql("SELECT MIN(start_us), MAX(end_us) FROM footprint_straddle").one()
    seconds += [int(x) // US_PER_S for x in straddling if x is not None]
    return (min(seconds), max(seconds)) if seconds else None


def _build_month(connection: Connection, zone: ZoneInfo, first: int, following: int) -> None:
    begin, end = rollup_ranges.midnight_s(zone, first), rollup_ranges.midnight_s(zone, following)
    straddle = table(schema.Straddle)
    rows = connection.execute(
        select(straddle.c.id, straddle.c.start_us, straddle.c.end_us).where(
            straddle.c.start_us >= begin * US_PER_S, straddle.c.start_us < end * US_PER_S
        )
    ).all()
    for number, start_us, end_us in rows:
        changed = straddle.update().where(straddle.c.id == number).values(crosses=crossing(zone, start_us, end_us))
        connection.execute(changed)
    for day in range(first, following):
        low, high = rollup_ranges.midnight_s(zone, day), rollup_ranges.midnight_s(zone, day + 1)
        _sum_day(connection, zone, day, f"slot >= {low} AND slot < {high}")
        _count_day(connection, f"slot >= {low} AND slot < {high}", "1 = 1", low, high)
    _sum_month(connection, zone, first, following, None)
    _count_month(connection, zone, first, following, "")
