"""This file draws up the balance of each host: what its meters read = services + idle + unattributed, and what no sensor sees.

The two sides come from different tables: what was read from the coverage of each device, what was made of it from
the rows. A period in which they differ, or that was not computed from what the ledger now holds, does not close.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from footprint.aggregation.host_day import HostAggregator, grain_us
from footprint.aggregation.request_logs import ServiceLogs
from footprint.attribution.shard import HOST_DEVICE, IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S, kwh_from_uj
from footprint.impact.factor_book import FactorBook
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import Store, table

TOLERANCE_UJ = 0  # integers: what does not sum exactly is a fault
COLUMNS = (
    "host",
    "period_start",
    "period_end",
    "meter_kwh",
    "services_kwh",
    "idle_kwh",
    "unattributed_kwh",
    "unseen_kwh",
    "wall_kwh",
    "residual_uj",
    "tolerance_uj",
    "closes",
    "reason",
)


def energy_balance(
    store: Store, config: Config, from_us: int | None, to_us: int | None, book: FactorBook | None = None
) -> list[dict[str, Any]]:
    """The balance of each host over whole slots of [from, to); ``closes`` is what publication asks for."""
    grain = grain_us(config)
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if from_us is None else from_us
        end = extent[1] + 1 if to_us is None else to_us
        start, end = start - start % grain, end + -end % grain
        bounds = f"slot >= {start // US_PER_S} AND slot < {end // US_PER_S}"
        read = _measured_energy(view, bounds)
        made = _attributed_energy(view, bounds)
        stale = _stale_days(view, config, book or load_factor_book(store), start, end)
    rows = []
    for host in sorted({*read, *made, *stale}):
        parts, wall = read.get(host, (0, None))
        mine = made.get(host, {})
        residual = parts - mine.get("services", 0) - mine.get("idle", 0) - mine.get("unattributed", 0)
        reasons = [f"{residual} µJ of {parts} µJ read stand in no row"] if abs(residual) > TOLERANCE_UJ else []
        if wall is not None and mine.get("unseen", 0) + parts < 0:
            reasons.append("the whole-server meter reads less than nothing")
        if stale.get(host):
            reasons.append(f"{len(stale[host])} days are not computed from what the ledger holds: footprint aggregate")
        rows.append(
            {
                "host": host,
                "period_start": format_instant(start),
                "period_end": format_instant(end),
                "meter_kwh": kwh_from_uj(parts),
                "services_kwh": kwh_from_uj(mine.get("services", 0)),
                "idle_kwh": kwh_from_uj(mine.get("idle", 0)),
                "unattributed_kwh": kwh_from_uj(mine.get("unattributed", 0)),
                "unseen_kwh": kwh_from_uj(mine.get("unseen", 0)),
                "wall_kwh": None if wall is None else kwh_from_uj(wall),
                "residual_uj": residual,
                "tolerance_uj": TOLERANCE_UJ,
                "closes": not reasons,
                "reason": "; ".join(reasons),
            }
        )
    return rows


def _measured_energy(view: LedgerView, bounds: str) -> dict[str, tuple[int, int | None]]:
    """By host: energy read of the parts, and of a whole-server meter (None where there is none) [µJ]."""
    walls = {
        (host, stream.device) for host, streams in view.streams().items() for stream in streams if stream.component == "host"
    }
    found: dict[str, tuple[int, int | None]] = {}
    rows = view.connection.exec_driver_sql(
        f"SELECT host_id, device_id, SUM(energy_uj) FROM footprint_seen WHERE {bounds} GROUP BY host_id, device_id, slot / 86400"
    ).all()
    texts = view.store.texts(view.connection, {x for row in rows for x in row[:2]})
    for host_id, device_id, energy in rows:
        host, device = texts[host_id], texts[device_id]
        parts, wall = found.get(host, (0, None))
        found[host] = (parts, (wall or 0) + int(energy)) if (host, device) in walls else (parts + int(energy), wall)
    return found


def _attributed_energy(view: LedgerView, bounds: str) -> dict[str, dict[str, int]]:
    """By host: energy of the rows of the parts, by what it is; and what no sensor sees.

    Every row is read, not its sums, so that a row changed by hand is seen. Slots are summed first: rows lie in that order.
    """
    name, energy = table(schema.Name), "active_uj + idle_uj + host_uj"
    wanted = select(name.c.text, name.c.id).where(name.c.text.in_((IDLE_NAME, UNATTRIBUTED_NAME)))
    kept = {row.text: int(row.id) for row in view.connection.execute(wanted)}
    idle, unattributed = (
        f"SUM(CASE WHEN use_case_id = {kept.get(each, -1)} THEN {energy} ELSE 0 END)" for each in (IDLE_NAME, UNATTRIBUTED_NAME)
    )
    rows = view.connection.exec_driver_sql(
        "SELECT host_id, device_id, SUM(whole), SUM(idle), SUM(unattributed) FROM ("
        f"SELECT slot, host_id, device_id, SUM({energy}) AS whole, {idle} AS idle, {unattributed} AS unattributed "
        f"FROM footprint_row WHERE {bounds} GROUP BY slot, host_id, device_id) AS slots GROUP BY host_id, device_id, slot / 86400"
    ).all()
    texts = view.store.texts(view.connection, {x for row in rows for x in row[:2]})
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for host_id, device_id, *amounts in rows:
        mine, (whole, idle_uj, unattributed_uj) = found[texts[host_id]], map(int, amounts)
        if texts[device_id] == HOST_DEVICE:
            mine["unseen"] += whole
        else:
            mine["idle"] += idle_uj
            mine["unattributed"] += unattributed_uj
            mine["services"] += whole - idle_uj - unattributed_uj
    return {host: dict(kinds) for host, kinds in found.items()}


def _stale_days(view: LedgerView, config: Config, book: FactorBook, start_us: int, end_us: int) -> dict[str, list[int]]:
    """Days of each host that were not computed, or from something else than what there is now."""
    rows = view.connection.exec_driver_sql("SELECT members, day, fingerprint FROM shard").all()
    known = {(members, day): fingerprint for members, day, fingerprint in rows}
    logs = ServiceLogs(view, config)
    found: dict[str, list[int]] = {}
    for name in sorted(view.streams()):
        host = HostAggregator(view, config, book, logs, name)
        days = [day for day in host.days() if start_us < (day + 1) * US_PER_DAY and day * US_PER_DAY < end_us]
        found[name] = [day for day in days if known.get((f"host {name}", day), "") != host.fingerprint(day)]
    return {name: days for name, days in found.items() if days}
