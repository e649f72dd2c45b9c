"""This file compares: A against B, their ratio with its interval, conditions in words; and a period with the one before."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards import parts
from dashboards.cards import ASIDE, block, menu, message, scrolled, table
from dashboards.view import Context
from dashboards.words import say
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.impact.decomposition import EFFECTS, Term, decompose
from footprint.querying.comparing import KINDS, Condition, compare, of_a_kind
from footprint.querying.question import BadQuestion
from footprint.wording.numbers import interval, mass_unit, number, signed

PATH, TITLE = "/compare", "nav_compare"
NOTHING = 1e-9


def content(context: Context) -> list[Any]:
    """Two of a kind, and two periods."""
    view, language = context.view, context.view.language
    kind = view.get("kind") if view.get("kind") in KINDS else "model"
    rows = {
        row[kind]: row
        for row in context.rows(group=(kind,))
        if row["requests"] and row["energy_kwh"] and row[kind] and row[kind][0] != "("
    }
    names = sorted(rows, key=lambda name: -rows[name]["energy_kwh"])
    a = view.get("a") if view.get("a") in rows else (names[0] if names else "")
    b = view.get("b") if view.get("b") in rows else next((name for name in names if name != a), "")
    choices = html.Nav(
        [
            menu(view, "kind", say(language, "name"), say(language, kind), [(each, say(language, each)) for each in KINDS]),
            menu(view, "a", say(language, "compare_a"), a or "–", [(name, name) for name in names]),
            menu(view, "b", say(language, "compare_b"), b or "–", [(name, name) for name in names]),
        ],
        className="filters",
    )
    found: list[Any] = [parts.filters(context), choices]
    if not a or not b or a == b:
        found.append(message(say(language, "compare_pick", kind=say(language, kind).lower()), parts.period_words(context)))
    else:
        found += _two(context, kind, a, b)
    found.append(change(context))
    return found


def _two(context: Context, kind: str, a: str, b: str) -> list[Any]:
    """A over B with its interval; what differs is said first."""
    language = context.view.language
    if context.store is None:
        return []
    questions = of_a_kind(kind, b, a, context.question())
    try:
        found = compare(context.store, context.config, questions, (b, a), context.now_us, anyway=True)
    except BadQuestion:
        return [message(say(language, "compare_pick", kind=say(language, kind).lower()), parts.period_words(context))]
    ratio = found.ratio
    bracket = interval(ratio.low, ratio.high, language)
    title = say(language, "compare_none", a=a, b=b)
    if found.measurable:
        title = say(language, "compare_title", a=a, b=b, ratio=number(ratio.value, language), interval=bracket)
    warned = [say(language, each.name).lower() for each in found.conditions if not each.alike]
    lead = say(language, "compare_warn", what=", ".join(warned)) if warned else parts.period_words(context)
    shown = [f"{number(wh.value, language)} {interval(wh.low, wh.high, language)}" for wh in (found.b_wh, found.a_wh)]
    told: list[tuple[Any, ...]] = [(say(language, "per_request"), *shown, f"{number(ratio.value, language)} {bracket}")]
    told += [
        (say(language, each.name), _cell(each.b, language), _cell(each.a, language), _difference(each, language))
        for each in found.conditions
    ]
    head = [say(language, "condition"), a, b, say(language, "difference")]
    data = [("CSV", context.data(group=kind))]
    card = block(
        say(language, "compare_cond"),
        parts.period_words(context),
        scrolled(table(head, told, title), title),
        language,
        data=data,
        wide=True,
    )
    return [html.H1(title), html.P(lead, className="lead"), card]


def _cell(value: Any, language: str) -> str:
    if value is None or value == "":
        return say(language, "unknown")
    return number(float(value), language) if isinstance(value, int | float) else str(value)


def _difference(condition: Condition, language: str) -> str:
    """Whether a condition is alike, in words."""
    if condition.alike:
        return say(language, "same")
    if condition.ratio is None:
        return say(language, "differs_words")
    return say(language, "differs", ratio=number(max(condition.ratio, 1 / condition.ratio), language))


def change(context: Context) -> Any:
    """Why emissions changed from the period of comparison to this one: a waterfall of effects that sum exactly."""
    language = context.view.language
    group = {"group": ("service", "use_case"), "view": "active"}
    after, before = context.rows(**group), context.earlier(**group)
    terms = [
        {f"{row['service']}/{row['use_case']}": term for row in rows if (term := _term(row)) is not None}
        for rows in (before, after)
    ]
    # A sum that leaves out what no factor is known for would be another sum.
    unknown = any(row["energy_kwh"] and row["co2e_location_g"] is None for row in (*before, *after))
    if not before or unknown or not (set(terms[0]) & set(terms[1])):
        return block(say(language, "change_title", change="–"), "", html.P(say(language, "change_none")), language, wide=True)
    effects = dict(decompose(*terms))
    sums = [sum(row["co2e_location_g"] or 0.0 for row in rows) for rows in (before, after)]
    effects["rest"] = sums[1] - sums[0] - sum(effects.values())
    # What logarithms of equal numbers leave is no effect.
    effects = {name: 0.0 if abs(value) < NOTHING * max(sums) else value for name, value in effects.items()}
    size, unit = mass_unit(max(sums))
    largest = max(*(abs(value) for value in effects.values()), 1e-300)
    rows = []
    for name in (*EFFECTS, "rest"):
        value = effects[name]
        kind = "more" if value > 0 else "less"
        mark = "▲" if value > 0 else "▼" if value < 0 else ""
        drawn = html.Div(
            html.Div(className=f"effect {kind}", style={"width": f"{50 * abs(value) / largest:.2f}%"}),
            className="effects",
            **ASIDE,
        )
        sign = "+" if value > 0 else "\u2212" if value < 0 else ""
        rows.append((say(language, name), drawn, f"{mark} {sign}{number(abs(value) / size, language)}"))
    ends = [
        (say(language, name), "", number(total / size, language)) for name, total in zip(("before", "after"), sums, strict=True)
    ]
    head = [say(language, "effect"), "", unit]
    moved = signed(sums[1] / sums[0] - 1, language) if sums[0] else "–"
    title = say(language, "change_title", change=moved)
    sub = say(language, "change_sub", unit=unit, before=say(language, context.view.versus), after=parts.period_words(context))
    shown = html.Div(table(head, [ends[0], *rows, ends[1]], title), className="waterfall")
    return block(
        title,
        sub,
        shown,
        language,
        sentences=[say(language, "change_note")],
        data=[("CSV", context.data(group="service,use_case"))],
        wide=True,
        identity="change",
    )


def _term(row: dict[str, Any]) -> Term | None:
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
