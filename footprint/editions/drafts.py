"""This file drafts the edition of the quarter that has ended, until somebody publishes it."""

from __future__ import annotations

from collections.abc import Callable

from footprint.calendar.periods import period_at
from footprint.config import Config
from footprint.editions.collect import NoData
from footprint.editions.publication import NotPublishable, check_publishable, draft
from footprint.editions.render import files_of
from footprint.editions.repository import published_editions, shelf_of
from footprint.storage.database import Store

DRAFTS = "drafts"


def draft_due(store: Store, config: Config, now_us: int, tell: Callable[[str], None]) -> str:
    """Write the draft of the last quarter into ``drafts/PERIOD`` of the shelf; what was said of it."""
    period = period_at(now_us, config.timezone).shifted(-1)
    if published_editions(store, str(period)):
        return f"{period} is published"
    tell(str(period))
    try:
        found = draft(store, config, str(period), now_us)
    except NoData:
        return f"no data in {period}"
    vault, files = shelf_of(config), files_of(found.edition)
    for name, raw in sorted(files.items()):
        vault.write(f"{DRAFTS}/{period}/{name}", raw)
    try:
        check_publishable(found, now_us)
    except NotPublishable as faults:
        return f"{period} is drafted; {faults}"
    return f"{period} is drafted and may be published: footprint report publish {period}"
