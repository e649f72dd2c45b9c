"""This file drafts the edition of the quarter that has ended, until somebody publishes it."""

from __future__ import annotations

from collections.abc import Callable

from footprint.calendar.periods import period_at
from footprint.config import Config
from footprint.editions.collect import NoData
from footprint.editions.publication import NotPublishable, check_publishable, draft_edition
from footprint.editions.render import render_files
from footprint.editions.repository import edition_store, published_editions
from footprint.storage.database import Store

DRAFTS_FOLDER = "drafts"


def write_due_draft(store: Store, config: Config, now_us: int, tell: Callable[[str], None]) -> str:
    """Write the draft of the last quarter into ``drafts/PERIOD`` of the shelf; what was said of it."""
    period = period_at(now_us, config.timezone).shifted(-1)
    if published_editions(store, str(period)):
        return f"{period} is published"
    tell(str(period))
    try:
        found = draft_edition(store, config, str(period), now_us)
    except NoData:
        return f"no data in {period}"
    vault, files = edition_store(config), render_files(found.edition)
    for name, raw in sorted(files.items()):
        vault.write(f"{DRAFTS_FOLDER}/{period}/{name}", raw)
    try:
        check_publishable(found, now_us)
    except NotPublishable as faults:
        return f"{period} is drafted; {faults}"
    return f"{period} is drafted and may be published: footprint report publish {period}"
