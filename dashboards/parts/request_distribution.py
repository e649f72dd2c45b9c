"""This file shows how energy per request spreads: median and middle half by hour of the day, or by day of the week."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import numpy as np
from babel.dates import get_day_names

from dashboards import plotly_figures
from dashboards.components import Row, block, graph, table
from dashboards.parts.filters import period_words
from dashboards.parts.headlines import source
from dashboards.translations import say
from dashboards.url_state import PageContext, protects
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import format_number

BY_HOUR_DAYS = 35  # up to so many days, by hour of the day; beyond, days by weekday
MIN = 4  # slots with values below which nothing is drawn
MIN_REQUESTS = 5  # of a step; fewer say little of a usual request


def spread(context: PageContext, whole: Row) -> Any:
    """The card; None where there are too few hours with requests, and to who sees whole months only."""
    if protects(context.role, context.view):
        return None
    language, zone = context.view.language, context.config.timezone
    length = (parse_instant(whole["period_end"]) - parse_instant(whole["period_start"])) / US_PER_DAY
    hourly = length <= BY_HOUR_DAYS
    by_slot: dict[int, list[float]] = defaultdict(list)
    for row in context.rows(every="hour" if hourly else "day"):
        if row["energy_kwh"] is None or not row["requests"] or row["requests"] < MIN_REQUESTS:
            continue
        local = datetime.fromisoformat(row["period_start"]).astimezone(zone)
        by_slot[local.hour if hourly else local.weekday()].append(1000 * row["energy_kwh"] / row["requests"])
    if len(by_slot) < MIN:
        return None
    days = get_day_names("abbreviated", locale=language)
    found = [
        (f"{slot}\u00a0h" if hourly else str(days[slot]), *np.quantile(values, [0.25, 0.5, 0.75]).tolist(), len(values))
        for slot, values in sorted(by_slot.items())
    ]
    least, most = min(found, key=lambda slot: slot[2]), max(found, key=lambda slot: slot[2])
    title = say(language, "spread_title", most=most[0], least=least[0], ratio=format_number(most[2] / least[2], language, 2))
    sub = say(language, "spread_sub", period=period_words(context), zone=str(zone))
    head = [
        say(language, "hour" if hourly else "day"),
        say(language, "quarter_low"),
        say(language, "median"),
        say(language, "quarter_high"),
        say(language, "steps"),
    ]
    body = [(slot[0], *(format_number(each, language) for each in slot[1:4]), str(slot[4])) for slot in found]
    drawn = plotly_figures.spread([slot[:4] for slot in found], "Wh", str(zone))
    return block(
        title,
        sub,
        graph(drawn, "spread", f"{title}. {sub}", "trend"),
        language,
        table=table(head, body, title),
        data=[(form.upper(), context.data(form, every="hour" if hourly else "day")) for form in ("csv", "json", "parquet")],
        source=source(whole, language),
    )
