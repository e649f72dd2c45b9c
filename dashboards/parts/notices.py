"""Main findings and reading notes of a page, in sentences: effects, idle share, coverage, assumptions."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import Row, card
from dashboards.parts.change_waterfall import change_effects
from dashboards.parts.filters import reference_label
from dashboards.parts.headlines import source_line
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.i18n.formatting import format_estimate, format_local_time, format_percent, mass_unit
from footprint.queries.energy_balance import OPEN

MAX_FINDINGS = 3


def notices_card(context: PageContext, row: Row) -> html.Section:
    """Card with at most three findings and the reading notes."""
    language = context.view.language
    findings = [*_effect_sentences(context), *_idle_sentences(row, language)][:MAX_FINDINGS]
    coverage = translate(language, "not_covered")
    if row["coverage"] is not None:
        coverage = translate(language, "covered", share=format_percent(row["coverage"], language))
    status = translate(language, "provisional" if "provisional" in row["status"] else "final")
    notes = [coverage, status, *(translate(language, flag) for flag in row["flags"].split("+") if flag)]
    body: list[Any] = [html.Ol([html.Li(text) for text in findings], className="facts")] if findings else []
    body.append(html.Ul([html.Li(text) for text in notes], className="notes"))
    return card(
        translate(language, "facts_title"),
        translate(language, "facts_sub"),
        body,
        language,
        source=source_line(row, language),
        element_id="facts-card",
    )


def _effect_sentences(context: PageContext) -> list[str]:
    """Sentences on the two largest effects that exceed their half-width."""
    language = context.view.language
    effects = change_effects(context)
    if effects is None:
        return []
    size, unit = mass_unit(max(effects.before, effects.after))
    significant = [(name, grams, width) for name, (grams, width) in effects.by_cause.items() if abs(grams) > width]
    sentences = []
    for name, grams, width in sorted(significant, key=lambda effect: -abs(effect[1]))[:2]:
        text = format_estimate(abs(grams) / size, (abs(grams) - width) / size, (abs(grams) + width) / size, language)
        key = "effect_up" if grams > 0 else "effect_down"
        reason = translate(language, f"because_{name}")
        amount = f"{text.value}\u00a0{unit} {text.interval}".strip()
        sentences.append(translate(language, key, effect=reason, amount=amount, before=reference_label(context)))
    return sentences


def _idle_sentences(row: Row, language: str) -> list[str]:
    """Sentence on the share of idle accelerators."""
    if not row["energy_kwh"] or row["accelerator_idle_kwh"] is None:
        return []
    return [
        translate(
            language, "idle_share", share=format_percent(row["accelerator_idle_kwh"] / row["energy_kwh"], language, floor=False)
        )
    ]


def balance_finding(
    context: PageContext, balances: list[dict[str, Any]], bad: str = "balance_bad", good: str = "balance_ok"
) -> str:
    """Hosts whose balance does not close, else that all close; and the days that wait to be computed."""
    language = context.view.language
    open_hosts = [row["host"] for row in balances if row["state"] == OPEN]
    waiting = [row for row in balances if row["pending_days"]]
    sentences = [translate(language, bad, hosts=", ".join(open_hosts))] if open_hosts else []
    if not open_hosts and any(row["closes"] for row in balances):
        sentences.append(translate(language, good))
    if waiting:
        since = format_local_time(waiting[0]["pending_since"], context.config.timezone, language)
        days = ", ".join(
            translate(language, "balance_days", host=row["host"], number=str(row["pending_days"])) for row in waiting
        )
        sentences.append(translate(language, "balance_waits", since=since, days=days))
    return " ".join(sentences)
