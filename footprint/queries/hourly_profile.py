"""Hourly profile: energy by date and hour of the day in the time zone of the organisation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from footprint.aggregation.rollups import DAY, DAY_USES
from footprint.calendar.rollup_ranges import SLOTS, RollupRange, split_range
from footprint.config import Config
from footprint.core.timestamps import to_datetime
from footprint.core.units import UJ_PER_KWH, US_PER_S
from footprint.figures.energy_cells import CellSource, filter_sql
from footprint.impact.factor_book import shipped_book
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

NAME_COLUMNS = ("service", "use_case", "model", "host")
_ENERGY_SQL = "active_uj + idle_uj + host_uj + facility_uj"


def hourly_energy(
    store: Store, config: Config, from_us: int, to_us: int, where: tuple[tuple[str, str], ...] = ()
) -> dict[tuple[str, int], float]:
    """Energy by date and local hour, of the slots that start in [from, to).

    Parameters
    ----------
    from_us, to_us : int
        Period [µs, UTC].
    where : tuple of (name, value)
        Filters; values of one name are alternatives.

    Returns
    -------
    dict
        (ISO date, hour) -> energy [kWh]. Hours without rows are missing, not 0. In autumn the repeated hour holds both hours.
    """
    energy_kwh: dict[tuple[str, int], float] = defaultdict(float)
    with store.read() as connection:
        source = CellSource(LedgerView(store, connection), config, shipped_book())
        conditions = filter_sql(source, where, NAME_COLUMNS)
        for stretch in split_range(source.rollup_timezone(), from_us // US_PER_S, -(-to_us // US_PER_S)):
            read_hours = _hours_from_slots if stretch.kind == SLOTS else _hours_from_days
            for date, hour, energy_mj in read_hours(source, stretch, conditions):
                energy_kwh[date, hour] += energy_mj * 1000 / UJ_PER_KWH
    return dict(energy_kwh)


def _hours_from_slots(source: CellSource, stretch: RollupRange, conditions: str) -> Iterator[tuple[str, int, int]]:
    rows = source.view.connection.exec_driver_sql(
        f"SELECT slot, SUM(({_ENERGY_SQL}) / 1000) FROM footprint_row WHERE slot >= {stretch.first} AND slot < {stretch.last}"
        f"{conditions} GROUP BY slot ORDER BY slot"
    )
    for slot, total in rows:
        local = to_datetime(int(slot) * US_PER_S).astimezone(source.config.timezone)
        yield local.date().isoformat(), local.hour, int(total)


def _hours_from_days(source: CellSource, stretch: RollupRange, conditions: str) -> Iterator[tuple[str, int, int]]:
    level = DAY_USES if "use_case_id" in conditions or "model_id" in conditions else DAY
    sums = ", ".join(f"SUM(h{hour:02})" for hour in range(24))
    rows = source.view.connection.exec_driver_sql(
        f"SELECT start, {sums} FROM footprint_hour_sum WHERE level = {level} AND start >= {stretch.first} "
        f"AND start < {stretch.last}{conditions} GROUP BY start ORDER BY start"
    )
    for start, *hours_ in rows:
        date = to_datetime(int(start) * US_PER_S).astimezone(source.config.timezone).date().isoformat()
        yield from ((date, hour, int(energy)) for hour, energy in enumerate(hours_) if energy is not None)
