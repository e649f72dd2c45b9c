"""Avoidable energy: idle hours without requests, failed and cancelled requests; and the register of actions against it.

Empty hours are whole hours in which a service drew idle energy and had no request in flight. Nights and weekends form a cause
of their own, because a schedule can switch them off. The register adds the ``[[action]]`` blocks of the configuration.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from zoneinfo import ZoneInfo

from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.config.evaluations import Action
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_HOUR, US_PER_S, kwh_from_uj
from footprint.figures.dataset import ENERGY_SQL, Dataset
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.split_diagnostics import stored_splits
from footprint.storage.database import Store

COLUMNS = ("service", "cause", "use_case", "hours", "requests", "energy_kwh")
REGISTER_COLUMNS = (*COLUMNS, "owner", "status", "since", "action")
EMPTY_NIGHTS, EMPTY_WORKING_HOURS = "empty hours, nights and weekends", "empty hours, working time"
WORKING_HOURS = range(7, 20)  # of Monday to Friday, by the organisation's clock
_CAUSE_BY_STATUS = {"error": "failed requests", "cancelled": "cancelled requests", "attempt": "repeated attempts"}


def avoidable_energy(store: Store, config: Config, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Energy that served no user, by service and cause, largest first.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``: ``hours`` [h] of empty hours (else None), ``requests`` of unsuccessful requests (else
        None), ``energy_kwh`` [kWh] including host and building.
    """
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if from_us is None else from_us
        end = extent[1] + 1 if to_us is None else to_us
        waste = _empty_hours(view, config, start, end)
        active_uj = _active_energy(view, config.timezone, start, end)
    for (service, cause, use_case), (requests, energy_uj) in _unsuccessful_requests(store, active_uj, start, end).items():
        waste[service, cause, use_case] = (0.0, requests, energy_uj)
    rows = [
        {
            "service": service,
            "cause": cause,
            "use_case": use_case,
            "hours": hours or None,
            "requests": requests,
            "energy_kwh": kwh_from_uj(energy),
        }
        for (service, cause, use_case), (hours, requests, energy) in waste.items()
    ]
    return sorted(rows, key=lambda row: (-row["energy_kwh"], row["service"], row["cause"], row["use_case"]))


def action_register(store: Store, config: Config, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows of `avoidable_energy` with the action taken against each; None where nobody took one.

    Of several actions that match a row, the most specific (service, use case) applies, then the latest. An action whose cause no
    longer occurs stays in the register, with 0 kWh if the period has readings and None if it has none.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.

    Returns
    -------
    list of dict
        Rows with the columns ``REGISTER_COLUMNS``: those of `avoidable_energy`, and owner, status, date and text of the action.
    """
    rows = avoidable_energy(store, config, from_us, to_us)
    has_readings = bool(rows)
    listed = set()
    for row in rows:
        row.update(dict.fromkeys(("owner", "status", "since", "action")))
        matching = [action for action in config.actions if action.concerns(row["cause"], row["service"], row["use_case"])]
        for action in sorted(
            matching, key=lambda candidate: (bool(candidate.service) + bool(candidate.use_case), candidate.since)
        ):
            row.update(_action_columns(action))
            listed.add(action)
    return rows + [
        {
            **dict.fromkeys(REGISTER_COLUMNS),
            "service": action.service,
            "cause": action.cause,
            "use_case": action.use_case,
            "energy_kwh": 0.0 if has_readings else None,
            **_action_columns(action),
        }
        for action in config.actions
        if action not in listed
    ]


def _action_columns(action: Action) -> dict[str, Any]:
    return {"owner": action.owner, "status": action.status, "since": action.since or None, "action": action.text or None}


# service, cause, use case -> hours [h], requests, energy [µJ]
_WasteByCause = dict[tuple[str, str, str], tuple[float, int | None, int]]


def _empty_hours(view: LedgerView, config: Config, start_us: int, end_us: int) -> _WasteByCause:
    rows = Dataset(view.store, view.connection, config.timezone).rows(
        "energy",
        start_us // US_PER_S,
        -(-end_us // US_PER_S),
        f"SELECT start_s, service, use_case, SUM({ENERGY_SQL}) FROM rows GROUP BY ALL ORDER BY ALL",
    )
    names = view.store.texts(view.connection, {name_id for row in rows for name_id in row[1:3]})
    busy = {(slot, service) for slot, service, use_case, _ in rows if names[use_case] not in (IDLE_NAME, UNATTRIBUTED_NAME)}
    totals: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0])
    slot_hours = slot_length_us(config.timezone) / US_PER_HOUR
    for slot, service, use_case, energy in rows:
        if names[use_case] != IDLE_NAME or (slot, service) in busy:
            continue
        local = to_datetime(int(slot) * US_PER_S).astimezone(config.timezone)
        working = local.weekday() < 5 and local.hour in WORKING_HOURS
        total = totals[names[service], EMPTY_WORKING_HOURS if working else EMPTY_NIGHTS, IDLE_NAME]
        total[0] += slot_hours
        total[1] += int(energy)
    return {key: (hours, None, int(energy_uj)) for key, (hours, energy_uj) in totals.items()}


_ActiveEnergy = dict[tuple[int, str, str, str, str], int]  # UTC day, host, service, use case, model -> µJ


def _active_energy(view: LedgerView, zone: ZoneInfo, start_us: int, end_us: int) -> _ActiveEnergy:
    rows = Dataset(view.store, view.connection, zone).rows(
        "energy",
        start_us // US_PER_S,
        -(-end_us // US_PER_S),
        f"SELECT start_s // 86400, host, service, use_case, model, SUM({ENERGY_SQL}) FROM rows GROUP BY ALL ORDER BY ALL",
    )
    names = view.store.texts(view.connection, {name_id for row in rows for name_id in row[1:5]})
    return {(int(row[0]), *(names[name_id] for name_id in row[1:5])): int(row[5]) for row in rows}  # type: ignore[misc]


def _unsuccessful_requests(
    store: Store, active_uj: _ActiveEnergy, start_us: int, end_us: int
) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Requests and energy [µJ] of failed and cancelled requests, by service, cause and use case.

    A request takes the share of its use case and model in the stored split of the day.
    """
    energies_uj: dict[tuple[str, str, str], int] = defaultdict(int)
    counts: dict[tuple[str, int, str, str, str], int] = defaultdict(int)
    for service, host, day, content in stored_splits(store, start_us, end_us):
        for use_case, model, status, share, count in content["wasted"]:
            energies_uj[service, _CAUSE_BY_STATUS[status], use_case] += round(
                active_uj.get((day, host, service, use_case, model), 0) * share
            )
            key = service, day, status, use_case, model
            # Until method 2.0 every host of a service stored the counts of the whole log; a fit of one log says so.
            counts[key] = max(counts[key], count) if content.get("replicas", True) else counts[key] + count
    requests: dict[tuple[str, str, str], int] = defaultdict(int)
    for (service, _, status, use_case, _), count in counts.items():
        requests[service, _CAUSE_BY_STATUS[status], use_case] += count
    return {key: (requests[key], energy_uj) for key, energy_uj in energies_uj.items()}
