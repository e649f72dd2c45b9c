"""This file shows which hosts no agent tells readings of any more, and since when."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import block, scrolled, table
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_HOUR
from footprint.i18n.formatting import format_local_time, format_number
from footprint.queries.agent_liveness import REPORTING, RETIRED, RETIRED_AFTER_US, SILENT, HostLiveness, host_liveness

SECONDS_A_MINUTE = 60


def silent(context: PageContext) -> Any:
    """Silent agents now, whatever the period of the page; None where the ledger knows no host."""
    language = context.view.language
    assert context.store is not None
    hosts = host_liveness(context.store, context.config, context.now_us)
    if not hosts:
        return None
    quiet = [each for each in hosts if each.state == SILENT]
    retired = sum(each.state == RETIRED for each in hosts)
    title = _finding(hosts, language)
    head = [say(language, "host"), say(language, "last_reading"), say(language, "silent_h")]
    body = [
        (
            html.A(each.host, href=context.view.link("/hosts", name=each.host)),
            format_local_time(format_instant(each.last_us), context.config.timezone, language),
            format_number(each.silent_us / US_PER_HOUR, language),
        )
        for each in quiet
    ]
    days = str(RETIRED_AFTER_US // US_PER_DAY)
    minutes = format_number(context.config.notify.silent_after_s / SECONDS_A_MINUTE, language)
    return block(
        title,
        say(language, "silent_sub", minutes=minutes, zone=str(context.config.timezone)),
        scrolled(table(head, body, title), title) if body else None,
        language,
        sentences=[say(language, "silent_retired", number=str(retired), days=days)] if retired else [],
        data=[(form.upper(), f"/api/v1/tables/silent?format={form}") for form in ("csv", "json", "parquet")],
        wide=True,
    )


def _finding(hosts: list[HostLiveness], language: str) -> str:
    """How many are silent of those in service; a host in retirement is neither heard nor missed."""
    reporting, quiet = (sum(each.state == state for each in hosts) for state in (REPORTING, SILENT))
    if quiet:
        return say(language, "silent_title", number=str(quiet), all=str(quiet + reporting))
    return say(language, "silent_none" if reporting else "silent_all_retired")
