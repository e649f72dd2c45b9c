"""This file says in sentences what changed, and what a reader must know: coverage, what was assumed, what nobody declared."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.components import Row, block
from dashboards.parts.change_waterfall import Finding, change_in
from dashboards.parts.filters import reference_words
from dashboards.parts.headlines import source
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.i18n.formatting import format_estimate, format_percent, mass_unit

MAX = 3


def facts(context: PageContext, row: Row, finding: Finding | None = None) -> html.Section:
    """At most three findings, then the reading notes."""
    language = context.view.language
    found = [*_changes(context, finding), *_idle(row, language)][:MAX]
    covered = say(language, "not_covered")
    if row["coverage"] is not None:
        covered = say(language, "covered", share=format_percent(row["coverage"], language))
    status = say(language, "provisional" if "provisional" in row["status"] else "final")
    notes = [covered, status, *(say(language, flag) for flag in row["flags"].split("+") if flag)]
    body: list[Any] = [html.Ol([html.Li(text) for text in found], className="facts")] if found else []
    body.append(html.Ul([html.Li(text) for text in notes], className="notes"))
    return block(
        say(language, "facts_title"),
        say(language, "facts_sub"),
        body,
        language,
        source=source(row, language),
        identity="facts-card",
    )


def _changes(context: PageContext, finding: Finding | None) -> list[str]:
    """The two effects that moved emissions most and are surer than they are wide, in words."""
    language = context.view.language
    change = (finding or partial(change_in, context))()
    if change is None:
        return []
    size, unit = mass_unit(max(change.before, change.after))
    sure = [(name, *each) for name, each in change.by_cause.items() if abs(each[0]) > each[1]]
    said = []
    for name, grams, width in sorted(sure, key=lambda each: -abs(each[1]))[:2]:
        shown = format_estimate(abs(grams) / size, (abs(grams) - width) / size, (abs(grams) + width) / size, language)
        key = "effect_up" if grams > 0 else "effect_down"
        because = say(language, f"because_{name}")
        amount = f"{shown.value}\u00a0{unit} {shown.interval}".strip()
        said.append(say(language, key, effect=because, amount=amount, before=reference_words(context)))
    return said


def _idle(row: Row, language: str) -> list[str]:
    """How much accelerators draw while they wait."""
    if not row["energy_kwh"] or row["accelerator_idle_kwh"] is None:
        return []
    return [
        say(language, "idle_share", share=format_percent(row["accelerator_idle_kwh"] / row["energy_kwh"], language, floor=False))
    ]
