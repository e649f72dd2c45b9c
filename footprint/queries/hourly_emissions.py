"""This file answers with the time-aware figure: energy of each hour x the intensity of that hour, beside the yearly one."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Any

from footprint.calendar.ranges import split_by_period, widen_to_months
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import S_PER_HOUR, UJ_PER_KWH, US_PER_HOUR, US_PER_S
from footprint.figures.energy_cells import load_bases
from footprint.figures.query import BadQuery, Query
from footprint.impact.hourly_intensity import HourlyIntensity, hourly_intensity
from footprint.ledger.intensity_series import series_values
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.sources import SOURCES
from footprint.storage.database import Store

COLUMNS = ("period_start", "period_end", "series", "energy_kwh", "co2e_hourly_g", "mean_g_per_kwh", "filled_share", "flags")
GROUPS = ("service", "use_case", "model", "device", "host", "charter", "site")
_NAME_COLUMNS = ("service", "use_case", "model", "device", "host", "charter")
_ENERGY_SQL = "active_uj + idle_uj + host_uj + facility_uj"


def hourly_emissions(
    store: Store, config: Config, question: Query, series: str, *, shift_hours: int = 0, advice: bool = False
) -> list[dict[str, Any]]:
    """Rows by group and period; emissions are None where a month of a zone is unknown altogether.

    ``shift_hours`` takes the intensity of so many hours later, for scenarios.

    Raises
    ------
    BadQuestion
        If the full view is asked for, or a marginal series for more than advice.
    """
    if question.view != "active" or question.where:
        raise BadQuery("hourly figures have the active view only, and no where")
    if series in SOURCES and SOURCES[series].marginal and not advice:
        raise BadQuery(f"{series} is a marginal series: it says when to run (what-if --shift-hours), not what was emitted")
    shift_us = shift_hours * US_PER_HOUR
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if question.from_us is None else question.from_us
        end = extent[1] + 1 if question.to_us is None else question.to_us
        # Whole hours: an hour belongs to the period in which it begins.
        start, end = start - start % US_PER_HOUR, end + -end % US_PER_HOUR
        columns = ", ".join(f"{name}_id" for name in _NAME_COLUMNS)
        found = connection.exec_driver_sql(
            f"SELECT slot / {S_PER_HOUR}, basis_id, {columns}, SUM({_ENERGY_SQL}) FROM footprint_row "
            f"WHERE slot >= {start // US_PER_S} AND slot < {end // US_PER_S} GROUP BY slot / {S_PER_HOUR}, basis_id, {columns}"
        ).all()
        texts = store.texts(connection, {x for row in found for x in row[2:8]})
        bases = load_bases(view, {int(row[1]) for row in found})
    zones = {basis.zone for basis in bases.values()}
    low, high = widen_to_months(start + min(shift_us, 0), end + max(shift_us, 0), config.timezone)
    hours: dict[str, HourlyIntensity] = {
        zone: hourly_intensity(*series_values(store, series, zone, low, high), config.timezone) for zone in zones
    }
    periods = split_by_period(question.every, start, end, config.timezone)
    starts = [each[0] for each in periods]
    sums: dict[tuple[tuple[str, ...], int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
    for row in found:
        hour_us, basis, kwh = int(row[0]) * US_PER_HOUR, bases[int(row[1])], int(row[8]) / UJ_PER_KWH
        names = dict(zip(_NAME_COLUMNS, (texts[x] for x in row[2:8]), strict=True)) | {"site": basis.site}
        period = max(bisect_right(starts, hour_us) - 1, 0)
        mine = sums[tuple(names[name] for name in question.group), period]
        mine[0] += kwh
        at = hours[basis.zone].at(hour_us + shift_us)
        if at is None:
            mine[3] += kwh
        else:
            mine[1] += kwh * at[0]
            mine[2] += kwh * at[1]
    return [
        _row(dict(zip(question.group, names, strict=True)), periods[period], series, sums[names, period])
        for names, period in sorted(sums)
    ]


def _row(names: dict[str, str], period: tuple[int, int], series: str, amounts: list[float]) -> dict[str, Any]:
    kwh, grams, filled, unknown = amounts
    flags = ["hourly-filled"] if filled else []
    flags += ["hourly-unknown"] if unknown else []
    return {
        **names,
        "period_start": format_instant(period[0]),
        "period_end": format_instant(period[1]),
        "series": series,
        "energy_kwh": kwh,
        "co2e_hourly_g": None if unknown else grams,
        "mean_g_per_kwh": grams / kwh if kwh and not unknown else None,
        "filled_share": filled / kwh if kwh else None,
        "flags": "+".join(flags),
    }
