"""Hourly emissions: energy of each hour times the grid intensity of that hour, beside the yearly figure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Any

from footprint.calendar.ranges import split_by_period, widen_to_months
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import S_PER_HOUR, UJ_PER_KWH, US_PER_HOUR, US_PER_S
from footprint.figures.dataset import ENERGY_SQL, Dataset
from footprint.figures.energy_cells import load_bases
from footprint.figures.query import BadQuery, Query, check_period_count
from footprint.impact.hourly_intensity import HourlyIntensity, hourly_intensity
from footprint.ledger.intensity_series import series_values
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.sources import SOURCES
from footprint.storage.database import Store

COLUMNS = ("period_start", "period_end", "series", "energy_kwh", "co2e_hourly_g", "mean_g_per_kwh", "filled_share", "flags")
GROUPS = ("service", "use_case", "model", "device", "host", "charter", "site")
_NAME_COLUMNS = ("service", "use_case", "model", "device", "host", "charter")


def hourly_emissions(
    store: Store, config: Config, query: Query, series: str, *, shift_hours: int = 0, advice: bool = False
) -> list[dict[str, Any]]:
    """Hourly emissions by group and period.

    Parameters
    ----------
    query : Query
        Active view without filters.
    series : str
        Name of the intensity series.
    shift_hours : int
        HourlyIntensity [h] by which the work is moved: the intensity of that many hours later applies.
    advice : bool
        Whether marginal series are allowed.

    Returns
    -------
    list of dict
        Rows of the groups and ``COLUMNS``: ``energy_kwh`` [kWh], ``co2e_hourly_g`` [gCO2e], ``mean_g_per_kwh`` [g/kWh],
        ``filled_share`` [1]. Emissions are None if a whole month of a zone is unknown.

    Raises
    ------
    BadQuery
        For the full view or filters, or for a marginal series without ``advice``.
    """
    if query.view != "active" or query.where:
        raise BadQuery("hourly figures have the active view only, and no where")
    if series in SOURCES and SOURCES[series].marginal and not advice:
        raise BadQuery(f"{series} is a marginal series: it says when to run (what-if --shift-hours), not what was emitted")
    shift_us = shift_hours * US_PER_HOUR
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return []
        start = extent[0] if query.from_us is None else query.from_us
        end = extent[1] + 1 if query.to_us is None else query.to_us
        # Whole hours: an hour belongs to the period in which it starts.
        start, end = start - start % US_PER_HOUR, end + -end % US_PER_HOUR
        columns = ", ".join(_NAME_COLUMNS)
        rows = Dataset(store, connection, config.timezone).rows(
            "energy",
            start // US_PER_S,
            end // US_PER_S,
            f"SELECT start_s // {S_PER_HOUR}, basis, {columns}, SUM({ENERGY_SQL}) FROM rows GROUP BY ALL ORDER BY ALL",
        )
        texts_by_id = store.texts(connection, {name_id for row in rows for name_id in row[2:8]})
        bases = load_bases(view, {int(row[1]) for row in rows})
    zones = {basis.zone for basis in bases.values()}
    months_start, months_end = widen_to_months(start + min(shift_us, 0), end + max(shift_us, 0), config.timezone)
    hours_by_zone: dict[str, HourlyIntensity] = {
        zone: hourly_intensity(*series_values(store, series, zone, months_start, months_end), config.timezone) for zone in zones
    }
    check_period_count(query.every, start, end)
    periods = split_by_period(query.every, start, end, config.timezone)
    starts = [start_us for start_us, _ in periods]
    sums: dict[tuple[tuple[str, ...], int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
    for row in rows:
        hour_us, basis, kwh = int(row[0]) * US_PER_HOUR, bases[int(row[1])], int(row[8]) / UJ_PER_KWH
        names = dict(zip(_NAME_COLUMNS, (texts_by_id[name_id] for name_id in row[2:8]), strict=True)) | {"site": basis.site}
        period = max(bisect_right(starts, hour_us) - 1, 0)
        total = sums[tuple(names[name] for name in query.group), period]
        total[0] += kwh
        intensity = hours_by_zone[basis.zone].at(hour_us + shift_us)
        if intensity is None:
            total[3] += kwh
        else:
            total[1] += kwh * intensity[0]
            total[2] += kwh * intensity[1]
    return [
        _row(dict(zip(query.group, names, strict=True)), periods[period], series, sums[names, period])
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
