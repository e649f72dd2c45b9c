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
from footprint.config.evaluations import Action
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_HOUR, US_PER_S, kwh_from_uj
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.split_diagnostics import stored_splits
from footprint.storage.database import Store

COLUMNS = ("service", "cause", "use_case", "hours", "requests", "energy_kwh")
REGISTER_COLUMNS = (*COLUMNS, "owner", "status", "since", "action")
EMPTY_NIGHTS, EMPTY_WORKING_HOURS = "empty hours, nights and weekends", "empty hours, working time"
WORKING_HOURS = range(7, 20)  # of Monday to Friday, by the organisation's clock
_CAUSE_BY_STATUS = {"error": "failed requests", "cancelled": "cancelled requests"}
_ENERGY_SQL = "active_uj + idle_uj + host_uj + facility_uj"


def avoidable_energy(store: Store, config: Config, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows by service and cause, largest first."""
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if from_us is None else from_us
        end = extent[1] + 1 if to_us is None else to_us
        found = _empty_hours(view, config, start, end)
        active = _active_energy(view, start, end)
    for (service, cause, use_case), (requests, energy_uj) in _unsuccessful_requests(store, active, start, end).items():
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


def action_register(store: Store, config: Config, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows of ``avoidable`` with owner, status, date and text of the action that concerns each; None where nobody took it.

    The action that names most of a row (service, use case) speaks for it. One whose cause no longer occurs stays in the register,
    with an energy of 0 where something was read in the period, and unknown where nothing was.
    """
    rows = avoidable_energy(store, config, from_us, to_us)
    read = bool(rows)
    taken = set()
    for row in rows:
        row.update(dict.fromkeys(("owner", "status", "since", "action")))
        mine = [each for each in config.actions if each.concerns(row["cause"], row["service"], row["use_case"])]
        for action in sorted(mine, key=lambda each: (bool(each.service) + bool(each.use_case), each.since)):
            row.update(_action_columns(action))
            taken.add(action)
    return rows + [
        {
            **dict.fromkeys(REGISTER_COLUMNS),
            "service": action.service,
            "cause": action.cause,
            "use_case": action.use_case,
            "energy_kwh": 0.0 if read else None,
            **_action_columns(action),
        }
        for action in config.actions
        if action not in taken
    ]


def _action_columns(action: Action) -> dict[str, Any]:
    return {"owner": action.owner, "status": action.status, "since": action.since or None, "action": action.text or None}


_WasteByCause = dict[tuple[str, str, str], tuple[float, int | None, int]]


def _empty_hours(view: LedgerView, config: Config, start_us: int, end_us: int) -> _WasteByCause:
    rows = view.connection.exec_driver_sql(
        f"SELECT slot, service_id, use_case_id, SUM({_ENERGY_SQL}) FROM footprint_row "
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
        place = hours[texts[service], EMPTY_WORKING_HOURS if working else EMPTY_NIGHTS, IDLE_NAME]
        place[0] += length
        place[1] += int(energy)
    return {place: (found[0], None, int(found[1])) for place, found in hours.items()}


_ActiveEnergy = dict[tuple[int, str, str, str, str], int]  # UTC day, host, service, use case, model -> µJ


def _active_energy(view: LedgerView, start_us: int, end_us: int) -> _ActiveEnergy:
    rows = view.connection.exec_driver_sql(
        f"SELECT slot / 86400, host_id, service_id, use_case_id, model_id, SUM({_ENERGY_SQL}) FROM footprint_row "
        f"WHERE slot >= {start_us // US_PER_S} AND slot < {end_us // US_PER_S} "
        "GROUP BY slot / 86400, host_id, service_id, use_case_id, model_id"
    ).all()
    texts = view.store.texts(view.connection, {x for row in rows for x in row[1:5]})
    return {(int(row[0]), *(texts[x] for x in row[1:5])): int(row[5]) for row in rows}  # type: ignore[misc]


def _unsuccessful_requests(
    store: Store, active: _ActiveEnergy, start_us: int, end_us: int
) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Requests and energy by service, status and use case; the energy of a use case by its requests' model energies."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    told: dict[tuple[str, int], str] = {}
    for service, host, day, content in stored_splits(store, start_us, end_us):
        # Each host of a service says the same of its log: requests count once.
        first = told.setdefault((service, day), host) == host
        for use_case, model, status, part, count in content["wasted"]:
            energy = round(active.get((day, host, service, use_case, model), 0) * part)
            place = service, _CAUSE_BY_STATUS[status], use_case
            before = found.get(place, (0, 0))
            found[place] = before[0] + count * first, before[1] + energy
    return found
