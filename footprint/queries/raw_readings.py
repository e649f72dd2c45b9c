"""Raw readings of a device over a period, from SQL and from the archive."""

from __future__ import annotations

from typing import Any

from footprint.core.timestamps import format_instant
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

COLUMNS = ("time", "host", "device", "component", "quantity", "grade", "value", "unit")
_UNITS = {"energy": "µJ", "power": "µW", "cpu": "µs"}


def raw_readings(store: Store, host: str, device: str, from_us: int, to_us: int) -> list[dict[str, Any]]:
    """Readings of every stream of a device, by stream and time, with their stored values.

    Parameters
    ----------
    device : str
        Identity of the device, or its place on the host.
    from_us, to_us : int
        Period [from, to) [µs, UTC].

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``; ``value`` in ``unit``: µJ (counters), µW (power), µs (CPU time).
    """
    readings: list[dict[str, Any]] = []
    with store.read() as connection:
        view = LedgerView(store, connection)
        names = {device, *(alias.device for alias in view.aliases(host) if alias.name == device)}
        for stream in view.streams().get(host, []):
            if stream.device not in names:
                continue
            samples = view.samples(stream.id, from_us, to_us)
            for at_us, value in zip(samples.time_us.tolist(), samples.value.tolist(), strict=True):
                if from_us <= at_us < to_us:
                    readings.append(
                        {
                            "time": format_instant(at_us),
                            "host": host,
                            "device": stream.device,
                            "component": stream.component,
                            "quantity": stream.quantity,
                            "grade": stream.grade,
                            "value": value,
                            "unit": _UNITS.get(stream.quantity, ""),
                        }
                    )
    return readings
