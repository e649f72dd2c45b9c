"""This file says in sentences what changed, and what a reader must know: coverage, what was assumed, what nobody declared."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.components import Row, card
from dashboards.parts.change_waterfall import LoadEffects, change_effects
from dashboards.parts.filters import reference_label
from dashboards.parts.headlines import source_line
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.i18n.formatting import format_estimate, format_percent, mass_unit

MAX_FINDINGS = 3


def notices_card(context: PageContext, row: Row, finding: LoadEffects | None = None) -> html.Section:
    """At most three findings, then the reading notes."""
    language = context.view.language
    found = [*_effect_sentences(context, finding), *_idle_sentences(row, language)][:MAX_FINDINGS]
    covered = translate(language, "not_covered")
    if row["coverage"] is not None:
        covered = translate(language, "covered", share=format_percent(row["coverage"], language))
    status = translate(language, "provisional" if "provisional" in row["status"] else "final")
    notes = [covered, status, *(translate(language, flag) for flag in row["flags"].split("+") if flag)]
    body: list[Any] = [html.Ol([html.Li(text) for text in found], className="facts")] if found else []
    body.append(html.Ul([html.Li(text) for text in notes], className="notes"))
    return card(
        translate(language, "facts_title"),
        translate(language, "facts_sub"),
        body,
        language,
        source=source_line(row, language),
        identity="facts-card",
    )


def _effect_sentences(context: PageContext, finding: LoadEffects | None) -> list[str]:
    """The two effects that moved emissions most and are surer than they are wide, in words."""
    language = context.view.language
    change = (finding or partial(change_effects, context))()
    if change is None:
        return []
    size, unit = mass_unit(max(change.before, change.after))
    sure = [(name, *each) for name, each in change.by_cause.items() if abs(each[0]) > each[1]]
    said = []
    for name, grams, width in sorted(sure, key=lambda each: -abs(each[1]))[:2]:
        shown = format_estimate(abs(grams) / size, (abs(grams) - width) / size, (abs(grams) + width) / size, language)
        key = "effect_up" if grams > 0 else "effect_down"
        because = translate(language, f"because_{name}")
        amount = f"{shown.value}\u00a0{unit} {shown.interval}".strip()
        said.append(translate(language, key, effect=because, amount=amount, before=reference_label(context)))
    return said


def _idle_sentences(row: Row, language: str) -> list[str]:
    """How much accelerators draw while they wait."""
    if not row["energy_kwh"] or row["accelerator_idle_kwh"] is None:
        return []
    return [
        translate(
            language, "idle_share", share=format_percent(row["accelerator_idle_kwh"] / row["energy_kwh"], language, floor=False)
        )
    ]
