"""This file holds parts that several pages share: filters, the day strip, key figures, trend, calendar, coverage."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from dash import html

from dashboards import figures
from dashboards.cards import ASIDE, badge, block, card, graph, menu, message, name_of, ruler, strip, table
from dashboards.view import FILTERS, PERIODS, VERSUS, VIEWS, Context
from dashboards.words import say
from footprint.impact.uncertainty import ratio_of
from footprint.instants import format_instant, parse_instant, to_datetime
from footprint.querying import Question
from footprint.querying.calendar import hours
from footprint.querying.causes import budget_of
from footprint.units import US_PER_DAY
from footprint.wording.numbers import energy_unit, interval, mass_unit, moment, number, percent, signed

Row = dict[str, Any]
FEW_DAYS = 3  # up to so many, the trend is shown by hour
MANY_DAYS = 120  # from so many on, by month
STALE_US = US_PER_DAY
HALF = 0.5
FIRST_IMPORT = "footprint import requests --as litellm spend.jsonl"


def filters(context: Context) -> html.Nav:
    """Period, comparison, and one menu a filter; each choice is a link."""
    view, language = context.view, context.view.language
    chosen = say(language, view.period)
    if view.since or view.until:
        chosen = f"{view.since or '…'} – {view.until or '…'}"
    parts: list[Any] = [
        menu(view, "period", say(language, "periods"), chosen, [(each, say(language, each)) for each in PERIODS]),
        menu(view, "vs", say(language, "vs"), say(language, view.versus), [(each, say(language, each)) for each in VERSUS]),
        menu(view, "view", say(language, "views"), say(language, view.view), [(each, say(language, each)) for each in VIEWS]),
    ]
    known = {
        "service": [s.name for s in context.config.services],
        "use_case": [u.name for u in context.config.use_cases],
        "site": [s.name for s in context.config.sites],
        "host": [h.name for h in context.config.hosts],
    }
    now = dict(view.filters)
    for name in FILTERS:
        names = sorted({*known.get(name, ()), *([now[name]] if name in now else [])})
        if names:
            everything = say(language, "every_service")
            parts.append(
                menu(view, name, say(language, name), now.get(name, everything), [("", everything), *((n, n) for n in names)])
            )
    if view.filters:
        parts.append(html.A(say(language, "reset"), href=view.link(**dict.fromkeys(FILTERS, None)), className="choice"))
    named: dict[str, Any] = {"aria-label": say(language, "filters")}
    return html.Nav(parts, className="filters", **named)


def nothing(context: Context) -> list[Any]:
    """The state without a figure: a first run, or a period without readings."""
    language = context.view.language
    whole = context.ask(Question()).rows
    if not whole:
        return [message(say(language, "empty_title"), say(language, "empty")), first_steps(language)]
    last = moment(whole[0]["period_end"], context.config.timezone, language)
    return [message(say(language, "empty_period"), say(language, "empty_period_text", last=last))]


def first_steps(language: str) -> html.Ol:
    """What a newcomer does first: three commands to copy."""
    steps = (("first_sensors", "footprint doctor"), ("first_agent", "footprint-agent run"), ("first_requests", FIRST_IMPORT))
    return html.Ol([html.Li([html.P(say(language, key)), html.Pre(html.Code(text))]) for key, text in steps], className="steps")


def day_states(context: Context) -> dict[str, list[tuple[str, str]]]:
    """Host -> (date, state) of each day of the period: measured, estimated, missing."""
    rows = context.rows(group=("host",), every="day", view="active")
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    if not rows:
        return {}
    zone = context.config.timezone
    days = sorted({_day(row["period_start"], zone) for row in rows})
    first, last = (datetime.fromisoformat(text) for text in (days[0], days[-1]))
    every = [(first + timedelta(days=n)).date().isoformat() for n in range((last - first).days + 1)]
    state = {
        (row["host"], _day(row["period_start"], zone)): (
            "missing"
            if not row["coverage"] or row["coverage"] < HALF
            else "estimated"
            if row["quality"] in ("C", "D") or row["coverage"] < 0.9
            else "measured"
        )
        for row in rows
        if row["host"]
    }
    for host in sorted({row["host"] for row in rows if row["host"]}):
        found[host] = [(day, state.get((host, day), "missing")) for day in every]
    return dict(found)


def _day(text: str, zone: Any) -> str:
    return to_datetime(parse_instant(text)).astimezone(zone).date().isoformat()


def day_strip(context: Context, whole: Row) -> html.Div:
    """The strip on top of a page: a day takes the worst state of any of its hosts."""
    language = context.view.language
    worst = ("missing", "estimated", "measured")
    by_day: dict[str, str] = {}
    for states in day_states(context).values():
        for day, state in states:
            by_day[day] = min(by_day.get(day, "measured"), state, key=worst.index)
    status = say(language, "status_provisional" if whole["status"] == "provisional" else "status_final")
    end = moment(whole["period_end"], context.config.timezone, language)
    told = say(language, "data_to", end=end, zone=str(context.config.timezone))
    share = say(language, "not_covered")
    if whole["coverage"] is not None:
        share = say(language, "strip_measured", share=percent(whole["coverage"], language))
    stale: list[Any] = []
    ends = context.view.bounds(context.config, context.now_us)[1]
    if (ends is None or ends > context.now_us) and context.now_us - parse_instant(whole["period_end"]) > STALE_US:
        stale = [html.P(say(language, "stale", last=end), className="stale", role="status")]
    return html.Div(
        [
            strip(sorted(by_day.items()), say(language, "strip_label")),
            html.P([html.Span([html.B(status), f" · {told}"]), html.B(share)], className="under-strip"),
            *stale,
        ]
    )


def change_of(context: Context) -> tuple[Row | None, Any, float | None]:
    """(row before, ratio of energy with its interval, ratio of requests) against the period of comparison; None where unknown."""
    bounds = context.view.earlier(context.config, context.now_us)
    before = context.earlier()
    if not before or bounds is None or before[0]["energy_kwh"] is None or not before[0]["energy_kwh"] or context.store is None:
        return None, None, None
    # Half a period of readings is no period to compare with.
    if (
        before[0]["coverage"] is None
        or before[0]["coverage"] < HALF
        or parse_instant(before[0]["period_start"]) > bounds[0] + US_PER_DAY
    ):
        return None, None, None
    questions = [
        context.question(from_us=bounds[0], to_us=bounds[1]),
        context.question(),
    ]
    budgets = [budget_of(context.store, context.config, question, context.now_us) for question in questions]
    if any(not budget or budget[0] <= 0 for budget in budgets):
        return None, None, None
    ratio = ratio_of(*budgets[0], *budgets[1])  # type: ignore[misc]
    after = context.rows()
    requests = None
    if before[0]["requests"] and after and after[0]["requests"]:
        requests = after[0]["requests"] / before[0]["requests"]
    return before[0], ratio, requests


def key_figures(context: Context, row: Row, before: Row | None, ratio: Any, requests: float | None) -> html.Div:
    """Energy, emissions, requests, energy of a thousand requests: value, interval, quality, change."""
    view, language = context.view, context.view.language

    def why(figure: str) -> html.A:
        return html.A(say(language, "explain"), href=view.link("/explain", figure=figure))

    def changed(estimate: Any) -> str:
        if estimate is None:
            return say(language, "no_reference")
        text = f"{signed(estimate.value - 1, language)} {interval_signed(estimate.low - 1, estimate.high - 1, language)}"
        return f"{text} : {say(language, 'not_measurable')}" if estimate.low <= 1 <= estimate.high else text

    mark = badge(row["quality"], language)
    found = []
    if row["energy_kwh"] is not None:
        size, unit = energy_unit(row["energy_kwh"])
        low, high = row["energy_low_kwh"] / size, row["energy_high_kwh"] / size
        reference = before["energy_kwh"] / size if before else None
        found.append(
            card(
                say(language, "energy"),
                number(row["energy_kwh"] / size, language),
                unit,
                interval(low, high, language),
                mark,
                ruler(low, row["energy_kwh"] / size, high, reference),
                [changed(ratio), why("energy_kwh")],
            )
        )
    if row["co2e_location_g"] is not None:
        size, unit = mass_unit(row["co2e_location_g"])
        low, high = row["co2e_location_low_g"] / size, row["co2e_location_high_g"] / size
        found.append(
            card(
                say(language, "co2e"),
                number(row["co2e_location_g"] / size, language),
                unit,
                interval(low, high, language),
                mark,
                ruler(low, row["co2e_location_g"] / size, high, None),
                [why("co2e_location_g")],
            )
        )
    if row["requests"]:
        moved = signed(requests - 1, language) if requests else say(language, "no_reference")
        counted = badge("A", language)
        found.append(
            card(
                say(language, "requests"),
                number(row["requests"], language),
                "",
                say(language, "exact"),
                counted,
                None,
                [moved, why("requests")],
            )
        )
        if row["energy_kwh"] is not None:
            per = [1e6 * row[name] / row["requests"] for name in ("energy_kwh", "energy_low_kwh", "energy_high_kwh")]
            each = None
            if ratio is not None and requests:
                each = type(ratio)(ratio.value / requests, ratio.low / requests, ratio.high / requests)
            found.append(
                card(
                    say(language, "per_thousand"),
                    number(per[0], language),
                    "Wh",
                    interval(per[1], per[2], language),
                    mark,
                    ruler(per[1], per[0], per[2], None),
                    [changed(each), why("wh_thousand")],
                )
            )
    return html.Div(found, className="cards")


def interval_signed(low: float, high: float, language: str) -> str:
    """An interval of a change, with signs."""
    between = "\u202f;\u00a0" if language == "fr" else " to "
    return f"[{signed(low, language, bare=True)}{between}{signed(high, language, bare=True)}]"


def headline(context: Context, row: Row, ratio: Any, requests: float | None) -> list[Any]:
    """The finding, and a sentence below it: never more than the interval of the change allows."""
    language = context.view.language
    dates = {name: moment(row[f"period_{name}"], context.config.timezone, language) for name in ("start", "end")}
    lead = say(language, "lead", **dates, zone=str(context.config.timezone))
    if row["energy_kwh"] is None:
        title = say(language, "headline_unread", requests=number(row["requests"] or 0, language))
        return [html.H1(title), html.P(lead, className="lead")]
    size, unit = energy_unit(row["energy_kwh"])
    energy = f"{number(row['energy_kwh'] / size, language)}\u00a0{unit}"
    if ratio is None:
        key = "headline" if row["requests"] else "headline_alone"
        return [
            html.H1(say(language, key, energy=energy, requests=number(row["requests"] or 0, language))),
            html.P(lead, className="lead"),
        ]
    if ratio.low <= 1 <= ratio.high:
        title = say(language, "no_change")
    else:
        title = say(language, "rose" if ratio.value > 1 else "fell", change=percent(abs(ratio.value - 1), language, floor=False))
    if requests and round(requests, 2) != 1:
        more = say(
            language, "with_more" if requests > 1 else "with_fewer", change=percent(abs(requests - 1), language, floor=False)
        )
        title = f"{title}, {more}"
    return [html.H1(title), html.P(f"{energy}. {lead}", className="lead")]


def trend(context: Context, whole: Row) -> html.Section:
    """Energy by hour, day or month with its band."""
    view, language, zone = context.view, context.view.language, context.config.timezone
    length = (parse_instant(whole["period_end"]) - parse_instant(whole["period_start"])) / US_PER_DAY
    every = "hour" if length <= FEW_DAYS else "month" if length > MANY_DAYS else "day"
    rows = context.rows(every=every)
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    step = {"hour": say(language, "hour"), "day": say(language, "day"), "month": say(language, "months")}[every]
    known = [row for row in rows if row["energy_kwh"] is not None]
    most = max(known, key=lambda row: row["energy_kwh"], default=None)
    finding = say(language, "trend")
    sentences = []
    if most is not None:
        bracket = interval(most["energy_low_kwh"] / size, most["energy_high_kwh"] / size, language)
        amount = f"{number(most['energy_kwh'] / size, language)}\u00a0{unit} {bracket}"
        sentences = [say(language, "most", when=moment(most["period_start"], zone, language), amount=amount)]
    notes = noted(context, whole)
    sentences += [
        f"{number_}. {moment(format_instant(at), zone, language)} : {text}" for number_, (at, text) in enumerate(notes, 1)
    ]
    head = [say(language, "period"), unit, say(language, "interval"), say(language, "quality")]
    body = [
        (
            moment(row["period_start"], zone, language),
            say(language, "unknown") if row["energy_kwh"] is None else number(row["energy_kwh"] / size, language),
            "" if row["energy_kwh"] is None else interval(row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language),
            row["quality"],
        )
        for row in rows
    ]
    sub = say(language, "trend_sub", unit=unit, step=step)
    drawn = graph(
        figures.trend(rows, size, unit, zone, language, [(to_datetime(at).astimezone(zone), text) for at, text in notes]),
        "trend",
        f"{finding}. {sub}",
    )
    data = [(form.upper(), context.data(form, every=every)) for form in ("csv", "json", "parquet")]
    return block(
        finding,
        sub,
        drawn,
        language,
        sentences=sentences,
        table=table(head, body, finding),
        data=data,
        source=source(whole, view.language),
    )


def noted(context: Context, whole: Row) -> list[tuple[int, str]]:
    """(instant, text) of what happened in the period to what the page shows."""
    begin, end = parse_instant(whole["period_start"]), parse_instant(whole["period_end"])
    services = {value for name, value in context.view.filters if name == "service"}
    return [
        (each.at_us, each.text)
        for each in context.config.annotations
        if begin <= each.at_us < end and (not each.service or not services or each.service in services)
    ]


def source(row: Row, language: str) -> str:
    """Method and factors of a figure."""
    return say(language, "source", method=row["method_version"] or "–", factors=row["factor_version"] or "–")


def facts(context: Context, row: Row) -> html.Section:
    """What a reader must know: coverage, what was assumed, what nobody declared."""
    language = context.view.language
    covered = say(language, "not_covered")
    if row["coverage"] is not None:
        covered = say(language, "covered", share=percent(row["coverage"], language))
    status = say(language, "provisional" if "provisional" in row["status"] else "final")
    flags = [say(language, flag) for flag in row["flags"].split("+") if flag]
    return block(
        say(language, "facts_title"),
        "",
        html.Ol([html.Li(text) for text in (covered, status, *flags)], className="facts"),
        language,
        source=source(row, language),
    )


def calendar(context: Context, whole: Row) -> Any:
    """Energy by hour of the day and by day; nights, week-ends and forgotten servers are seen at once."""
    language, zone = context.view.language, context.config.timezone
    if context.store is None:
        return None
    begin, end = parse_instant(whole["period_start"]), parse_instant(whole["period_end"])
    begin = max(begin, end - 92 * US_PER_DAY)
    found = hours(context.store, context.config, begin, end, context.view.filters)
    if not found:
        return None
    if context.view.filters:
        # An hour that was read, and in which this had no part: that is 0, and no hole.
        found = {**dict.fromkeys(hours(context.store, context.config, begin, end), 0.0), **found}
    days = sorted({day for day, _ in found})
    largest = max(found.values())
    size, unit = energy_unit(largest)
    columns = []
    for day in days:
        cells = []
        for hour in range(24):
            kwh = found.get((day, hour))
            step = "none" if kwh is None else str(min(int(6 * kwh / largest), 5) if largest > 0 else 0)
            cells.append(html.Span(className=f"q{step}"))
        columns.append(html.Div(cells))
    mean = {hour: [kwh for (_, h), kwh in found.items() if h == hour] for hour in range(24)}
    means = {hour: sum(kwhs) / len(kwhs) for hour, kwhs in mean.items() if kwhs}
    peak = max(means, key=lambda hour: means[hour])
    finding = say(language, "calendar", hour=str(peak))
    sub = say(language, "calendar_sub", zone=str(zone), largest=number(largest / size, language), unit=unit)
    named: dict[str, Any] = {"role": "img", "aria-label": f"{finding}. {sub}"}
    body = [(f"{hour}", number(kwh / size, language)) for hour, kwh in sorted(means.items())]
    axis = html.Div([html.Span(days[0]), html.Span(days[-1])], className="calendar-axis", **ASIDE)
    return block(
        finding,
        sub,
        [html.Div(columns, className="calendar", **named), axis],
        language,
        sentences=[say(language, "calendar_note")],
        table=table([say(language, "hour"), f"{unit}, {say(language, 'hour_mean')}"], body, finding),
        data=[("CSV", context.data("csv", every="hour"))],
        source=source(whole, language),
    )


def seen(context: Context) -> html.Section:
    """One row a host, one cell a day."""
    language = context.view.language
    found = day_states(context)
    rows, told = [], []
    for host, states in found.items():
        share = sum(state == "measured" for _, state in states) / len(states)
        rows.append(
            html.Div(
                [
                    html.Span(host, className="strip-name"),
                    strip(states, f"{host} : {percent(share, language)} {say(language, 'measured')}"),
                    html.B(percent(share, language)),
                ],
                className="strip-row",
            )
        )
        counts = [sum(state == kind for _, state in states) for kind in ("measured", "estimated", "missing")]
        told.append((host, *(str(each) for each in counts)))
    key = [
        html.Span([html.Span(className=f"cell {kind}", **ASIDE), say(language, kind)], className="key")
        for kind in ("measured", "estimated", "missing")
    ]
    head = [say(language, "host"), *(say(language, kind) for kind in ("measured", "estimated", "missing"))]
    return block(
        say(language, "seen_title"),
        say(language, "seen_sub"),
        [*rows, html.P(key, className="keys")],
        language,
        table=table(head, told, say(language, "seen_title")),
        data=[("CSV", context.data("csv", group="host", every="day"))],
    )


def period_words(context: Context) -> str:
    """The period in words."""
    view = context.view
    begin, end = view.bounds(context.config, context.now_us)
    named = [format_instant(at)[:10] if at is not None else "…" for at in (begin, end)]
    return f"{named[0]} – {named[1]}" if view.since or view.until else say(view.language, view.period)


__all__ = [
    "calendar",
    "change_of",
    "day_strip",
    "facts",
    "filters",
    "headline",
    "key_figures",
    "name_of",
    "nothing",
    "seen",
    "source",
    "trend",
]
