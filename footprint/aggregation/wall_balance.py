"""Wall balances from the ledger: whole-server meters against the parts of each host, where both were read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from footprint.aggregation.device_energy import ENERGY_QUANTITIES, device_energies
from footprint.attribution.wall_to_parts import WallBalance, compare_wall_to_parts
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import LedgerView


def wall_balances(view: LedgerView, window_us: int, from_us: int, to_us: int) -> Iterator[tuple[str, WallBalance]]:
    """Balance of each host that has a whole-server meter, over [from, to)."""
    for host in sorted(view.streams()):
        balance = wall_balance(view, host, window_us, from_us, to_us)
        if balance is not None:
            yield host, balance


def wall_balance(view: LedgerView, host: str, window_us: int, from_us: int, to_us: int) -> WallBalance | None:
    """Balance of a host over [from, to); None where it has no whole-server meter."""
    streams = view.streams().get(host, [])
    if not any(stream.component == "host" and stream.quantity in ENERGY_QUANTITIES for stream in streams):
        return None
    days = range(from_us // US_PER_DAY, -(-to_us // US_PER_DAY))
    day_balances = [_day_balance(view, host, day, window_us, from_us, to_us) for day in days]
    wall, parts = (
        np.concatenate([getattr(day_balance, name) for day_balance in day_balances]) for name in ("wall_uj", "parts_uj")
    )
    return WallBalance(wall, parts)


def _day_balance(view: LedgerView, host: str, day: int, window_us: int, from_us: int, to_us: int) -> WallBalance:
    start, end = max(day * US_PER_DAY, from_us), min((day + 1) * US_PER_DAY, to_us)
    first = -(-start // window_us) * window_us
    edges = np.arange(first, end + 1, window_us, dtype=np.int64)
    devices = device_energies(view, host, day) if len(edges) > 1 else []
    walls = [device.intervals for device in devices if device.component == "host"]
    parts = [device.intervals for device in devices if device.component != "host"]
    if not walls or not parts:
        empty = np.zeros(0, dtype=np.int64)
        return WallBalance(empty, empty)
    return compare_wall_to_parts(parts, walls, edges)
