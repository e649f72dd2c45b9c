"""This file says why emissions changed from the period of comparison to this one: a waterfall of effects that sum exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dash import html

from dashboards.cards import ASIDE, Row, block, table
from dashboards.parts.filters import period_words, reference_words
from dashboards.parts.heads import point
from dashboards.view import Context
from dashboards.words import say
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.impact.decomposition import EFFECTS, Term, decompose
from footprint.wording.numbers import estimate, mass_unit

NOTHING = 1e-9
REST = "rest"
GROUP: dict[str, Any] = {"group": ("service", "use_case"), "view": "active"}


@dataclass(frozen=True, slots=True)
class Change:
    """Emissions [g] before and after, and the effects [g] that make the difference, in the order of their bars."""

    before: float
    after: float
    effects: tuple[tuple[str, float], ...]


def change_in(context: Context) -> Change | None:
    """Why emissions changed; None where there is nothing to compare, or no factor for a part."""
    after, before = context.rows(**GROUP), context.earlier(**GROUP)
    terms = [
        {f"{row['service']}/{row['use_case']}": term for row in rows if (term := _term(row)) is not None}
        for rows in (before, after)
    ]
    # A sum that leaves out what no factor is known for would be another sum.
    unknown = any(row["energy_kwh"] and row["co2e_location_g"] is None for row in (*before, *after))
    if not before or unknown or not (set(terms[0]) & set(terms[1])):
        return None
    effects = dict(decompose(*terms))
    sums = [sum(row["co2e_location_g"] or 0.0 for row in rows) for rows in (before, after)]
    effects[REST] = sums[1] - sums[0] - sum(effects.values())
    # What logarithms of equal numbers leave is no effect.
    kept = tuple((name, 0.0 if abs(value) < NOTHING * max(sums) else value) for name, value in _ordered(effects))
    return Change(sums[0], sums[1], kept)


def _ordered(effects: dict[str, float]) -> list[tuple[str, float]]:
    return [(name, effects[name]) for name in (*EFFECTS, REST) if name != "timing" or effects[name]]


def change(context: Context, *, wide: bool = True) -> Any:
    """The card."""
    language = context.view.language
    found = change_in(context)
    if found is None:
        said = html.P(say(language, "change_none"), className="sentence")
        return block(say(language, "change_title_none"), "", said, language, wide=wide)
    size, unit = mass_unit(max(found.before, found.after))
    moved = f"{point(found.after / found.before - 1, language)}\u202f%" if found.before else "–"
    moved = moved if language == "fr" else moved.replace("\u202f%", "%")
    title = say(language, "change_title", change=moved)
    sub = say(language, "change_sub", unit=unit, before=reference_words(context), after=period_words(context))
    total = _written(abs(found.after - found.before) / size, language)
    return block(
        title,
        sub,
        html.Div(_waterfall(found, size, unit, language, title, context), className="waterfall"),
        language,
        sentences=[say(language, "change_note", total=f"{_sign(found.after - found.before)}{total}\u00a0{unit}")],
        table=table([say(language, "effect"), unit], _told(found, size, language), title),
        data=[(form.upper(), context.data(form, group="service,use_case")) for form in ("csv", "json", "parquet")],
        source=say(language, "source_lmdi"),
        wide=wide,
        identity="change",
    )


def _written(value: float, language: str) -> str:
    return estimate(value, None, None, language).value


def _sign(value: float) -> str:
    return "+" if value > 0 else "\u2212" if value < 0 else ""


def _told(found: Change, size: float, language: str) -> list[tuple[str, str]]:
    body = [(say(language, "before"), _written(found.before / size, language))]
    body += [(say(language, name), f"{_sign(value)}{_written(abs(value) / size, language)}") for name, value in found.effects]
    return [*body, (say(language, "after"), _written(found.after / size, language))]


def _waterfall(found: Change, size: float, unit: str, language: str, title: str, context: Context) -> html.Table:
    """One effect a row, each where the one before ends; totals are points, so that the scale may start above zero."""
    level, levels = found.before, [found.before]
    for _, value in found.effects:
        level += value
        levels.append(level)
    low, high = min(levels), max(levels)
    span = (high - low) or max(high, 1.0)
    low, high = low - span * 0.06, high + span * 0.06

    def place(grams: float) -> float:
        return 100 * (grams - low) / (high - low)

    def total(name: str, grams: float, *, joint: bool) -> html.Tr:
        drawn: list[Any] = [html.Div(className="total-point", style={"left": f"{place(grams):.2f}%"})]
        drawn += [html.Div(className="joint", style={"left": f"{place(grams):.2f}%"})] if joint else []
        shown = f"{_written(grams / size, language)}\u00a0{unit}"
        cells = [html.Td(html.Div(drawn, className="fall", **ASIDE), className="drawn"), html.Td(shown)]
        return html.Tr([html.Th(name, scope="row"), *cells], className="total")

    rows = [total(reference_words(context), found.before, joint=True)]
    for (name, value), start, end in zip(found.effects, levels, levels[1:], strict=False):
        kind = "more" if value > 0 else "less"
        style = {"left": f"{place(min(start, end)):.2f}%", "width": f"{abs(place(end) - place(start)):.2f}%"}
        drawn = [
            html.Div(className=f"step {kind}", style=style),
            html.Div(className="joint", style={"left": f"{place(end):.2f}%"}),
        ]
        mark = "▲" if value > 0 else "▼" if value < 0 else ""
        written: list[Any] = [
            html.Span(mark, className=f"sign {'up' if value > 0 else 'down'}", **ASIDE),
            f"{_sign(value)}{_written(abs(value) / size, language)}",
        ]
        cells = [html.Td(html.Div(drawn, className="fall", **ASIDE), className="drawn"), html.Td(written)]
        rows.append(html.Tr([html.Th(say(language, name), scope="row"), *cells]))
    rows.append(total(period_words(context), found.after, joint=False))
    head = html.Tr([html.Th(text, scope="col") for text in (say(language, "effect"), say(language, "chart"), unit)])
    return html.Table([html.Caption(title, className="hidden"), html.Thead(head), html.Tbody(rows)])


def _term(row: Row) -> Term | None:
    """What the decomposition needs of a use; None where something is not there, or is idle or nobody's."""
    if (
        row["use_case"] in (IDLE_NAME, UNATTRIBUTED_NAME)
        or not row["requests"]
        or not row["energy_kwh"]
        or not row["co2e_location_g"]
    ):
        return None
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    it = row["energy_kwh"] - row["facility_kwh"]
    if not tokens or it <= 0:
        return None
    return Term(row["requests"], tokens, it, row["energy_kwh"] / it, row["co2e_location_g"] / row["energy_kwh"])
