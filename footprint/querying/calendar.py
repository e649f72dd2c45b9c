"""This file sums energy by hour of the day and by day, as the organisation's clocks show them."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import select

from footprint import tables
from footprint.config import Config
from footprint.instants import to_datetime
from footprint.store import Store, table
from footprint.units import UJ_PER_KWH, US_PER_S

NAMED = ("service", "use_case", "model", "host")
_ENERGY = "active_uj + idle_uj + host_uj + facility_uj"


def hours(
    store: Store, config: Config, from_us: int, to_us: int, where: tuple[tuple[str, str], ...] = ()
) -> dict[tuple[str, int], float]:
    """(date, hour) -> energy [kWh] of the slots that begin in [from, to); an hour without a row is not there, and not 0.

    Of the two hours of one name in the autumn, both are in that one.
    """
    with store.read() as connection:
        name = table(tables.Name)
        allowed: dict[str, list[int]] = {}
        for column, value in where:
            if column in NAMED:
                number = connection.execute(select(name.c.id).where(name.c.text == value)).scalar()
                allowed.setdefault(column, []).append(-1 if number is None else int(number))
        chosen = "".join(f" AND {column}_id IN ({', '.join(map(str, ids))})" for column, ids in sorted(allowed.items()))
        rows = connection.exec_driver_sql(
            f"SELECT slot, SUM(({_ENERGY}) / 1000) FROM footprint_row WHERE slot >= {from_us // US_PER_S} "
            f"AND slot < {-(-to_us // US_PER_S)}{chosen} GROUP BY slot"
        ).all()
    found: dict[tuple[str, int], float] = defaultdict(float)
    for slot, total in rows:
        local = to_datetime(int(slot) * US_PER_S).astimezone(config.timezone)
        found[local.date().isoformat(), local.hour] += int(total) * 1000 / UJ_PER_KWH
    return dict(found)
