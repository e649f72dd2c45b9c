"""Query: groups, periods, filters and view of a request for figures, validated."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from footprint.core.records import FootprintError
from footprint.core.timestamps import BadTimestamp, from_datetime, parse_instant

GROUPS = ("service", "use_case", "model", "device", "host", "site", "charter")
EVERY = ("hour", "day", "week", "month", "quarter", "year", "all")
VIEWS = ("active", "full")
PLACE_COLUMNS = frozenset({"device", "host", "site"})  # requests cannot be grouped by these
COLUMNS = (
    "period_start",
    "period_end",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "accelerator_active_kwh",
    "accelerator_idle_kwh",
    "host_kwh",
    "facility_kwh",
    "energy_kwh",
    "energy_low_kwh",
    "energy_high_kwh",
    "co2e_location_g",
    "co2e_location_low_g",
    "co2e_location_high_g",
    "co2e_market_g",
    "embodied_g",
    "water_l",
    "adpe_kgsb",
    "primary_energy_mj",
    "sci_g_per_request",
    "coverage",
    "quality",
    "method_version",
    "factor_version",
    "status",
    "flags",
    "cost_eur",
)


class BadQuery(FootprintError):
    """A query that cannot be understood; the message lists the allowed values."""


@dataclass(frozen=True, slots=True)
class Query:
    """Groups, period length, time range [µs, half-open], view; ``where`` holds (group, value) pairs.

    ``own_traffic``: show the requests of this server itself in its own row.
    """

    group: tuple[str, ...] = ()
    every: str = "all"
    from_us: int | None = None
    to_us: int | None = None
    where: tuple[tuple[str, str], ...] = ()
    view: str = "active"
    own_traffic: bool = False

    def __post_init__(self) -> None:
        for name in self.group:
            _check_known("group", name, GROUPS)
        if len(set(self.group)) < len(self.group):
            raise BadQuery("group names a column twice")
        _check_known("every", self.every, EVERY)
        _check_known("view", self.view, VIEWS)
        for name, _ in self.where:
            _check_known("where", name, GROUPS)
        if self.from_us is not None and self.to_us is not None and self.from_us >= self.to_us:
            raise BadQuery("from must be before to")


def _check_known(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadQuery(f"{what} {value!r} is not known; it may be {', '.join(allowed)}")


def parse_query(
    zone: ZoneInfo,
    *,
    group: str | None = None,
    every: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    view: str | None = None,
) -> Query:
    """A query from the texts of a command line or an address.

    Raises
    ------
    BadQuery
        If a text cannot be understood.
    """
    pairs = []
    for condition in where:
        name, equals, value = condition.partition("=")
        if not equals:
            raise BadQuery(f"where {condition!r} must be written name=value")
        pairs.append((name.strip().replace("-", "_"), value))
    names = tuple(name.strip().replace("-", "_") for name in (group or "").split(",") if name.strip())
    return Query(
        names, every or "all", parse_bound("from", from_, zone), parse_bound("to", to, zone), tuple(pairs), view or "active"
    )


def parse_bound(name: str, text: str | None, zone: ZoneInfo) -> int | None:
    """An instant [µs] from RFC 3339, Unix seconds, or a date (midnight in ``zone``); None for an empty text.

    Raises
    ------
    BadQuery
        If the text is none of these.
    """
    if not text:
        return None
    try:
        if len(text) == len("2026-01-01") and text[4] == "-":
            day = datetime.date.fromisoformat(text)
            return from_datetime(datetime.datetime(day.year, day.month, day.day, tzinfo=zone))
        return parse_instant(text)
    except (BadTimestamp, ValueError) as bad:
        raise BadQuery(f"{name} {text!r}: {bad}") from None
