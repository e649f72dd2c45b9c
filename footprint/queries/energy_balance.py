"""Energy balance of each host: meter readings = services + idle + unattributed, and energy that no sensor sees.

The two sides come from different tables: meter energy from the coverage of each device, attributed energy from the rows. A
period does not close if they differ. A day that was not computed from what the ledger holds now is pending: the balance is that
of the figures as they are.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from footprint.aggregation.shard_comparison import ShardComparison
from footprint.attribution.row_columns import HOST_DEVICE, IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S, kwh_from_uj
from footprint.figures.dataset import Dataset
from footprint.impact.factor_book import FactorBook
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.aggregation_lag import waiting_since_us
from footprint.storage import schema
from footprint.storage.database import Store, table

TOLERANCE_UJ = 0  # sums of integers are exact: any residual is a fault
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
    "state",
    "pending_days",
    "pending_since",
)
CLOSES, PENDING, OPEN = "closes", "pending", "open"


def energy_balance(
    store: Store, config: Config, from_us: int | None, to_us: int | None, book: FactorBook | None = None
) -> list[dict[str, Any]]:
    """Balance of each host over the whole slots that [from, to) touches.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.
    book : FactorBook, optional
        Factors in use; default those of the store.

    Returns
    -------
    list of dict
        Rows by host with the columns ``COLUMNS``: energies [kWh], residual and tolerance [µJ]. ``closes`` is None where nothing
        is computed; ``state`` is open where figures contradict readings, else pending where ``pending_days`` wait to be computed,
        at the longest since ``pending_since``; ``reason`` says why it does not close.
    """
    grain = slot_length_us(config.timezone)
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if from_us is None else from_us
        end = extent[1] + 1 if to_us is None else to_us
        start, end = start - start % grain, end + -end % grain
        dataset, bounds_s = Dataset(store, connection, config.timezone), (start // US_PER_S, end // US_PER_S)
        measured = _measured_energy(view, dataset, bounds_s)
        attributed = _attributed_energy(view, dataset, bounds_s)
        comparison = ShardComparison(store, connection, config, book or load_factor_book(store))
        stale = comparison.outdated_days(sorted(view.streams()), start // US_PER_DAY, (end - 1) // US_PER_DAY)
        since_us = waiting_since_us(connection) if stale else None
    rows = []
    for host in sorted({*measured, *attributed, *stale}):
        parts, wall = measured.get(host, (0, None))
        energy_uj = attributed.get(host, {})
        residual = parts - energy_uj.get("services", 0) - energy_uj.get("idle", 0) - energy_uj.get("unattributed", 0)
        reasons = [f"{residual} µJ of {parts} µJ read stand in no row"] if abs(residual) > TOLERANCE_UJ else []
        if wall is not None and energy_uj.get("unseen", 0) + parts < 0:
            reasons.append("the whole-server meter reads less than nothing")
        pending = len(stale.get(host, ()))
        is_computed = host in measured or host in attributed
        rows.append(
            {
                "host": host,
                "period_start": format_instant(start),
                "period_end": format_instant(end),
                "meter_kwh": kwh_from_uj(parts),
                "services_kwh": kwh_from_uj(energy_uj.get("services", 0)),
                "idle_kwh": kwh_from_uj(energy_uj.get("idle", 0)),
                "unattributed_kwh": kwh_from_uj(energy_uj.get("unattributed", 0)),
                "unseen_kwh": kwh_from_uj(energy_uj.get("unseen", 0)),
                "wall_kwh": None if wall is None else kwh_from_uj(wall),
                "residual_uj": residual,
                "tolerance_uj": TOLERANCE_UJ,
                "closes": not reasons if is_computed else None,
                "reason": "; ".join(reasons),
                "state": OPEN if reasons else PENDING if pending else CLOSES,
                "pending_days": pending,
                "pending_since": format_instant(since_us) if pending and since_us is not None else None,
            }
        )
    return rows


def _measured_energy(view: LedgerView, dataset: Dataset, bounds_s: tuple[int, int]) -> dict[str, tuple[int, int | None]]:
    """Meter energy by host [µJ]: of the parts, and of a whole-server meter (None if there is none)."""
    walls = {
        (host, stream.device) for host, streams in view.streams().items() for stream in streams if stream.component == "host"
    }
    measured: dict[str, tuple[int, int | None]] = {}
    rows = dataset.rows("coverage", *bounds_s, "SELECT host, device, SUM(energy_uj) FROM rows GROUP BY ALL ORDER BY ALL")
    names = view.store.texts(view.connection, {name_id for row in rows for name_id in row[:2]})
    for host_id, device_id, energy in rows:
        host, device = names[host_id], names[device_id]
        parts, wall = measured.get(host, (0, None))
        measured[host] = (parts, (wall or 0) + int(energy)) if (host, device) in walls else (parts + int(energy), wall)
    return measured


def _attributed_energy(view: LedgerView, dataset: Dataset, bounds_s: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Energy of the rows by host [µJ]: services, idle, unattributed, and unseen (device ``(host)``).

    Reads every row, not the sums of days and months, so that a changed row is detected.
    """
    name, energy = table(schema.Name), "active_uj + idle_uj + host_uj"
    reserved = select(name.c.text, name.c.id).where(name.c.text.in_((IDLE_NAME, UNATTRIBUTED_NAME)))
    name_ids = {row.text: int(row.id) for row in view.connection.execute(reserved)}
    idle, unattributed = (
        f"SUM(CASE WHEN use_case = {name_ids.get(use_case, -1)} THEN {energy} ELSE 0 END)"
        for use_case in (IDLE_NAME, UNATTRIBUTED_NAME)
    )
    statement = f"SELECT host, device, SUM({energy}), {idle}, {unattributed} FROM rows GROUP BY ALL ORDER BY ALL"
    rows = dataset.rows("energy", *bounds_s, statement)
    names = view.store.texts(view.connection, {name_id for row in rows for name_id in row[:2]})
    attributed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for host_id, device_id, *amounts in rows:
        kinds_uj, (total_uj, idle_uj, unattributed_uj) = attributed[names[host_id]], map(int, amounts)
        if names[device_id] == HOST_DEVICE:
            kinds_uj["unseen"] += total_uj
        else:
            kinds_uj["idle"] += idle_uj
            kinds_uj["unattributed"] += unattributed_uj
            kinds_uj["services"] += total_uj - idle_uj - unattributed_uj
    return {host: dict(kinds) for host, kinds in attributed.items()}
