"""Distribution of energy per request: median and quartiles by hour of the day or by weekday."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import numpy as np
from babel.dates import get_day_names

from dashboards import plotly_figures
from dashboards.components import Row, card, plotly_graph, table
from dashboards.parts.filters import period_label
from dashboards.parts.headlines import source_line
from dashboards.translations import translate
from dashboards.url_state import PageContext, shows_protected_only
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import format_number

MAX_HOURLY_DAYS = 35  # up to this length by hour of the day; beyond it by weekday
MIN_SLOTS = 4  # fewer slots with values give no card
MIN_REQUESTS = 5  # of an hour or day; fewer are not representative


def request_distribution_card(context: PageContext, total: Row) -> Any:
    """Card of the distribution; None with too few slots, and for roles that see whole months only."""
    if shows_protected_only(context.role, context.view):
        return None
    language, zone = context.view.language, context.config.timezone
    length = (parse_instant(total["period_end"]) - parse_instant(total["period_start"])) / US_PER_DAY
    hourly = length <= MAX_HOURLY_DAYS
    by_slot: dict[int, list[float]] = defaultdict(list)
    for row in context.rows(every="hour" if hourly else "day"):
        if row["energy_kwh"] is None or not row["requests"] or row["requests"] < MIN_REQUESTS:
            continue
        local = datetime.fromisoformat(row["period_start"]).astimezone(zone)
        by_slot[local.hour if hourly else local.weekday()].append(1000 * row["energy_kwh"] / row["requests"])
    if len(by_slot) < MIN_SLOTS:
        return None
    days = get_day_names("abbreviated", locale=language)
    slots = [
        (f"{slot}\u00a0h" if hourly else str(days[slot]), *np.quantile(values, [0.25, 0.5, 0.75]).tolist(), len(values))
        for slot, values in sorted(by_slot.items())
    ]
    lowest, highest = min(slots, key=lambda slot: slot[2]), max(slots, key=lambda slot: slot[2])
    title = translate(
        language, "spread_title", most=highest[0], least=lowest[0], ratio=format_number(highest[2] / lowest[2], language, 2)
    )
    subtitle = translate(language, "spread_sub", period=period_label(context), zone=str(zone))
    head = [
        translate(language, "hour" if hourly else "day"),
        translate(language, "quarter_low"),
        translate(language, "median"),
        translate(language, "quarter_high"),
        translate(language, "steps"),
    ]
    body = [(slot[0], *(format_number(value, language) for value in slot[1:4]), str(slot[4])) for slot in slots]
    figure = plotly_figures.distribution_figure([slot[:4] for slot in slots], "Wh", str(zone))
    return card(
        title,
        subtitle,
        plotly_graph(figure, "spread", f"{title}. {subtitle}", "trend"),
        language,
        table=table(head, body, title),
        data=context.data_links(every="hour" if hourly else "day"),
        source=source_line(total, language),
    )
