"""Hourly profile: energy by date and hour of the day in the time zone of the organisation."""

from __future__ import annotations

from collections import defaultdict

from footprint.config import Config
from footprint.core.timestamps import to_datetime
from footprint.core.units import UJ_PER_KWH, US_PER_S
from footprint.figures.dataset import ENERGY_SQL, integers, sums_of
from footprint.figures.energy_cells import CellSource, filter_sql
from footprint.impact.factor_book import shipped_book
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

NAME_COLUMNS = ("service", "use_case", "model", "host")


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
    energy_uj: dict[tuple[str, int], int] = defaultdict(int)
    start_s, end_s = from_us // US_PER_S, -(-to_us // US_PER_S)
    with store.read() as connection:
        source = CellSource(LedgerView(store, connection), config, shipped_book())
        condition = filter_sql(source, where, NAME_COLUMNS)
        slot_s = source.slot_us // US_PER_S
        # Months keep the energy of their slots by host and service, without use cases and models.
        summed = [] if {name for name, _ in where} & {"use_case", "model"} else source.dataset.summed_months()
        whole = [(max(first, start_s), min(last, end_s)) for first, last in summed if first < end_s and last > start_s]
        edges = [start_s, *(edge for month in whole for edge in month), end_s]
        others = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]
        for layout, ranges, energy in (("profile", whole, "energy_uj"), ("energy", others, ENERGY_SQL)):
            slots = [(slot, slot, slot + slot_s) for low, high in ranges for slot in range(low, high, slot_s)]
            if not slots:
                continue
            rows = source.dataset.sums(layout, slots, [], {"energy_uj": f"SUM({energy})"}, condition, slots_only=True)
            for slot, energy_in_slot in zip(integers(rows["period"]).tolist(), sums_of(rows["energy_uj"]).tolist(), strict=True):
                local = to_datetime(slot * US_PER_S).astimezone(config.timezone)
                energy_uj[local.date().isoformat(), local.hour] += energy_in_slot
    return {hour: energy / UJ_PER_KWH for hour, energy in sorted(energy_uj.items())}
