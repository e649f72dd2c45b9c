"""Release calendar: the announced and the actual date of each edition."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from footprint.calendar.periods import Period, parse_period, period_at
from footprint.config import Config
from footprint.core.timestamps import format_instant, from_datetime, to_datetime
from footprint.editions.repository import PublishedEdition
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

COLUMNS = ("period", "release", "announced", "edition", "released", "state")
ANNOUNCED_PERIODS = 2  # announced ahead


def release_us(config: Config, period: Period, days: int) -> int:
    """The instant of a release a number of days after a period's end, at the declared hour of the organisation's clock."""
    end = to_datetime(period.bounds_us(config.timezone)[1]).astimezone(config.timezone).date()
    day = end - datetime.timedelta(days=1) + datetime.timedelta(days=days)
    clock = datetime.datetime(day.year, day.month, day.day, config.editions.release_hour, tzinfo=config.timezone)
    return from_datetime(clock)


def release_date(config: Config, period: Period, days: int) -> str:
    """The date of a release in the organisation's time zone."""
    return to_datetime(release_us(config, period, days)).astimezone(config.timezone).date().isoformat()


def calendar_of_store(store: Store, config: Config, published: Sequence[PublishedEdition], now_us: int) -> list[dict[str, Any]]:
    """Rows as of `release_rows`; a quarter that ended before the first datum of the store is not late, for nothing was due."""
    with store.read() as connection:
        extent = LedgerView(store, connection).extent_us()
    return release_rows(config, published, now_us, now_us if extent is None else extent[0])


def release_rows(
    config: Config, published: Sequence[PublishedEdition], now_us: int, since_us: int | None = None
) -> list[dict[str, Any]]:
    """Rows by period and release, in order: announced, published, due or late; from the period of ``since_us`` on, if given."""
    current = period_at(now_us, config.timezone)
    quarters = [parse_period(edition.period) for edition in published if parse_period(edition.period).length == 3]
    previous = current.shifted(-1)
    if since_us is not None and previous.bounds_us(config.timezone)[1] <= since_us:
        previous = current
    first = min([*quarters, previous])
    last, rows = current.shifted(ANNOUNCED_PERIODS - 1), []
    period = first
    while period <= last:
        versions = [edition for edition in published if edition.period == str(period)]
        for release, days in (("provisional", config.editions.provisional_day), ("final", config.editions.final_day)):
            due = release_us(config, period, days)
            release_edition = next(
                (edition for edition in versions if release == "provisional" or edition.status in ("final", "revised")), None
            )
            state = "published" if release_edition else "late" if now_us > due else "announced"
            if release_edition and release_edition.released_us > due:
                state = "published late"
            rows.append(
                {
                    "period": str(period),
                    "release": release,
                    "announced": format_instant(due),
                    "edition": release_edition and release_edition.name,
                    "released": release_edition and format_instant(release_edition.released_us),
                    "state": state,
                }
            )
        period = period.shifted(1)
    return rows
