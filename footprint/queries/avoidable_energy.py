"""This file registers energy that served nobody, by cause: hours awake without a request, failed and cancelled requests.

Empty hours are whole hours in which a service drew idle energy and no request of it was in flight; those of nights and
weekends are told apart, for they are what a schedule can switch off.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from footprint.aggregation.host_day import grain_us
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_HOUR, US_PER_S, kwh_from_uj
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.split_diagnostics import stored_splits
from footprint.storage.database import Store

COLUMNS = ("service", "cause", "use_case", "hours", "requests", "energy_kwh")
NIGHT, DAY_TIME = "empty hours, nights and weekends", "empty hours, working time"
WORKING_HOURS = range(7, 20)  # of Monday to Friday, by the organisation's clock
_CAUSES = {"error": "failed requests", "cancelled": "cancelled requests"}
_ENERGY = "active_uj + idle_uj + host_uj + facility_uj"


def avoidable(store: Store, config: Config, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows by service and cause, largest first."""
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if from_us is None else from_us
        end = extent[1] + 1 if to_us is None else to_us
        found = _empty_hours(view, config, start, end)
        active = _by_use_case(view, start, end)
    for (service, cause, use_case), (requests, energy_uj) in _wasted(store, active, start, end).items():
        found[service, cause, use_case] = (0.0, requests, energy_uj)
    rows = [
        {
            "service": service,
            "cause": cause,
            "use_case": use_case,
            "hours": hours or None,
            "requests": requests,
            "energy_kwh": kwh_from_uj(energy),
        }
        for (service, cause, use_case), (hours, requests, energy) in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["energy_kwh"], row["service"], row["cause"], row["use_case"]))


Found = dict[tuple[str, str, str], tuple[float, int | None, int]]


def _empty_hours(view: LedgerView, config: Config, start_us: int, end_us: int) -> Found:
    rows = view.connection.exec_driver_sql(
        f"SELECT slot, service_id, use_case_id, SUM({_ENERGY}) FROM footprint_row "
        f"WHERE slot >= {start_us // US_PER_S} AND slot < {end_us // US_PER_S} GROUP BY slot, service_id, use_case_id"
    ).all()
    texts = view.store.texts(view.connection, {x for row in rows for x in row[1:3]})
    busy = {(slot, service) for slot, service, use_case, _ in rows if texts[use_case] not in (IDLE_NAME, UNATTRIBUTED_NAME)}
    hours: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0])
    length = grain_us(config) / US_PER_HOUR
    for slot, service, use_case, energy in rows:
        if texts[use_case] != IDLE_NAME or (slot, service) in busy:
            continue
        local = to_datetime(int(slot) * US_PER_S).astimezone(config.timezone)
        working = local.weekday() < 5 and local.hour in WORKING_HOURS
        place = hours[texts[service], DAY_TIME if working else NIGHT, IDLE_NAME]
        place[0] += length
        place[1] += int(energy)
    return {place: (found[0], None, int(found[1])) for place, found in hours.items()}


Active = dict[tuple[int, str, str, str, str], int]  # UTC day, host, service, use case, model -> µJ


def _by_use_case(view: LedgerView, start_us: int, end_us: int) -> Active:
    rows = view.connection.exec_driver_sql(
        f"SELECT slot / 86400, host_id, service_id, use_case_id, model_id, SUM({_ENERGY}) FROM footprint_row "
        f"WHERE slot >= {start_us // US_PER_S} AND slot < {end_us // US_PER_S} "
        "GROUP BY slot / 86400, host_id, service_id, use_case_id, model_id"
    ).all()
    texts = view.store.texts(view.connection, {x for row in rows for x in row[1:5]})
    return {(int(row[0]), *(texts[x] for x in row[1:5])): int(row[5]) for row in rows}  # type: ignore[misc]


def _wasted(store: Store, active: Active, start_us: int, end_us: int) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Requests and energy by service, status and use case; the energy of a use case by its requests' model energies."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    told: dict[tuple[str, int], str] = {}
    for service, host, day, content in stored_splits(store, start_us, end_us):
        # Each host of a service says the same of its log: requests count once.
        first = told.setdefault((service, day), host) == host
        for use_case, model, status, part, count in content["wasted"]:
            energy = round(active.get((day, host, service, use_case, model), 0) * part)
            place = service, _CAUSES[status], use_case
            before = found.get(place, (0, 0))
            found[place] = before[0] + count * first, before[1] + energy
    return found
