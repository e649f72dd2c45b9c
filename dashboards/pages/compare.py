"""This file compares: A against B, their ratio with its interval, conditions in words; and a period with the one before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dash import html

from dashboards import parts
from dashboards.cards import ASIDE, block, menu, message, scrolled, table
from dashboards.numbers import interval, mass_unit, number, signed
from dashboards.view import Context
from dashboards.words import say
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.impact.decomposition import EFFECTS, Term, decompose
from footprint.impact.uncertainty import ratio_of
from footprint.querying.causes import budget_of

PATH, TITLE = "/compare", "nav_compare"
KINDS = ("model", "service", "use_case")
NOTHING = 1e-9
ALIKE = 1.25  # ratio of a condition up to which it is said to be alike


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
        found += _two(context, kind, a, b, rows)
    found.append(change(context))
    return found


def _two(context: Context, kind: str, a: str, b: str, rows: dict[str, dict[str, Any]]) -> list[Any]:
    language = context.view.language
    budgets = []
    for name in (b, a):
        inside = replace(context, view=replace(context.view, filters=(*context.view.filters, (kind, name))))
        question = inside.question()
        found = budget_of(context.store, context.config, question, context.now_us) if context.store is not None else None
        budgets.append(found)
    if any(not found or found[0] <= 0 for found in budgets):
        return [message(say(language, "compare_pick", kind=say(language, kind).lower()), "")]
    raw = ratio_of(*budgets[0], *budgets[1])  # type: ignore[misc]
    per = rows[b]["requests"] / rows[a]["requests"]
    ratio, low, high = raw.value * per, raw.low * per, raw.high * per
    title = say(language, "compare_none", a=a, b=b)
    if not low <= 1 <= high:
        title = say(language, "compare_title", a=a, b=b, ratio=number(ratio, language), interval=interval(low, high, language))
    warned = [told[0] for told in _conditions(context, rows[a], rows[b]) if told[3] != say(language, "same")]
    lead = (
        say(language, "compare_warn", what=", ".join(str(each).lower() for each in warned))
        if warned
        else parts.period_words(context)
    )
    head = [say(language, "condition"), a, b, say(language, "difference")]

    def each(name: str, column: str) -> float:
        return float(1000 * rows[name][column] / rows[name]["requests"])

    told = [
        (
            say(language, "per_request"),
            *(
                f"{number(each(n, 'energy_kwh'), language)} "
                f"{interval(each(n, 'energy_low_kwh'), each(n, 'energy_high_kwh'), language)}"
                for n in (a, b)
            ),
            f"{number(ratio, language)} {interval(low, high, language)}",
        ),
        *_conditions(context, rows[a], rows[b]),
    ]
    shown = scrolled(table(head, told, title), title)
    return [
        html.H1(title),
        html.P(lead, className="lead"),
        block(
            say(language, "compare_cond"),
            parts.period_words(context),
            shown,
            language,
            data=[("CSV", context.data(group=kind))],
            wide=True,
        ),
    ]


def _conditions(context: Context, a: dict[str, Any], b: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a comparison rests on, and in words whether it is alike."""
    language = context.view.language

    def each(row: dict[str, Any], column: str) -> float | None:
        return row[column] / row["requests"] if row[column] is not None else None

    found = []
    for label, one, other in (
        ("tokens_per_request", each(a, "output_tokens"), each(b, "output_tokens")),
        ("input_per_request", each(a, "input_tokens"), each(b, "input_tokens")),
        ("requests", float(a["requests"]), float(b["requests"])),
        ("coverage", a["coverage"], b["coverage"]),
    ):
        shown = [say(language, "unknown") if x is None else number(x, language) for x in (one, other)]
        said = say(language, "unknown")
        if one and other:
            times = max(one, other) / min(one, other)
            said = say(language, "same") if times <= ALIKE else say(language, "differs", ratio=number(times, language))
        found.append((say(language, label), *shown, said))
    for label, column in (("method", "method_version"), ("quality", "quality"), ("factor", "factor_version")):
        said = say(language, "same" if a[column] == b[column] else "differs_words")
        found.append((say(language, label), a[column], b[column], said))
    return found


def change(context: Context) -> Any:
    """Why emissions changed from the period of comparison to this one: a waterfall of effects that sum exactly."""
    language = context.view.language
    group = {"group": ("service", "use_case"), "view": "active"}
    after, before = context.rows(**group), context.earlier(**group)
    terms = [
        {f"{row['service']}/{row['use_case']}": term for row in rows if (term := _term(row)) is not None}
        for rows in (before, after)
    ]
    if not before or not (set(terms[0]) & set(terms[1])):
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
