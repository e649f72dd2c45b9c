"""Tracing of published figures: from a figure down to its readings, and its recomputation from the ledger.

A confidential figure is traced no further than its definition: the rows behind it would disclose it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from footprint.config import Config
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.editions.document import Edition, Figure
from footprint.editions.figure_format import format_figure
from footprint.editions.publication import draft_edition
from footprint.editions.repository import PublishedEdition, published_edition, published_editions
from footprint.editions.serialization import from_json
from footprint.figures import parse_query
from footprint.figures.engine import run_query
from footprint.figures.query import GROUPS, BadQuery, Query
from footprint.queries import lineage
from footprint.queries.lineage import LineageLevel
from footprint.queries.methods import METHODS
from footprint.storage.database import Store

SCHEMA_VERSION = "1"  # of the JSON document
LEVELS = ("definition", "formula", "facts", "days", "hours", "readings", "origins")
DEFINITION_COLUMNS = (
    "figure",
    "edition",
    "indicator",
    "label",
    "period",
    "cell",
    "shown",
    "value",
    "low",
    "high",
    "unit",
    "quality",
    "coverage",
    "formula",
    "words",
    "source",
    "question",
    "method_version",
    "factor_version",
    "flags",
)
FORMULA_COLUMNS = ("name", "value", "unit")
_FIGURE_ID = re.compile(r"(?:DEMO-)?F-(?!0000|9999)(\d{4})(Q[1-4]|0[1-9]|1[0-2])?-\d+")
_TERMS = (
    ("accelerator_active_kwh", "kWh"),
    ("accelerator_idle_kwh", "kWh"),
    ("host_kwh", "kWh"),
    ("facility_kwh", "kWh"),
    ("energy_kwh", "kWh"),
    ("requests", "1"),
    ("input_tokens", "1"),
    ("output_tokens", "1"),
    ("co2e_location_g", "gCO2e"),
    ("co2e_market_g", "gCO2e"),
    ("embodied_g", "gCO2e"),
    ("coverage", "1"),
)


class NoSuchFigure(BadQuery):
    """An id that no edition has; the message names similar ids."""


@dataclass(frozen=True, slots=True)
class TracedFigure:
    """A figure, its edition, and that edition as published (None for a draft)."""

    figure: Figure
    edition: Edition
    published: PublishedEdition | None

    @property
    def name(self) -> str:
        """2026-Q3.v1; a draft is marked as one."""
        head = self.edition.masthead
        return f"{head.period}.v{head.version}" + ("" if self.published else " (draft)")

    @property
    def command(self) -> str:
        """The command that traces the figure in this edition, whatever is published later."""
        return trace_command(self.figure, self.edition) if self.published else f"footprint trace {self.figure.id}"


def trace_command(figure: Figure, edition: Edition) -> str:
    """The command that traces a figure of a published edition."""
    head = edition.masthead
    return f"footprint trace {figure.id} --edition {head.period}.v{head.version}"


def find_figure(
    store: Store, config: Config, identity: str, now_us: int, edition: str = "", *, drafts: bool = True
) -> TracedFigure:
    """Find a figure by its id, in the named edition, else in the latest version of its period, else (``drafts``) in its draft.

    Raises
    ------
    NoSuchFigure
        If the id is not valid, or the edition has no such figure.
    NoSuchEdition
        If the named edition was not published.
    NoData
        If its period has no data to draft from.
    """
    match = _FIGURE_ID.fullmatch(identity)
    if not match:
        raise NoSuchFigure(
            f"{identity!r} is not a figure id; ids have the form F-2026Q3-07 and are printed beside each published figure"
        )
    period = match[1] + (f"-{match[2]}" if match[2] else "")
    latest = next(reversed(published_editions(store, period)), None)
    published = published_edition(store, edition) if edition else latest
    if published is None and not drafts:
        raise NoSuchFigure(f"{identity}: no edition of {period} is published")
    document = from_json(published.report) if published else draft_edition(store, config, period, now_us).edition
    for figure in document.figures:
        if figure.id == identity:
            return TracedFigure(figure, document, published)
    similar_ids = difflib.get_close_matches(identity, [figure.id for figure in document.figures], 3, 0.0)
    raise NoSuchFigure(
        f"{identity} is not in {document.masthead.period}.v{document.masthead.version}; similar ids are {', '.join(similar_ids)}"
    )


def query_of(config: Config, figure: Figure) -> Query:
    """The query that returns the rows behind a figure."""
    parameters = _query_parameters(figure)
    return parse_query(config.timezone, from_=_first(parameters["from"]), to=_first(parameters["to"]), where=parameters["where"])


def _query_parameters(figure: Figure) -> Mapping[str, list[str]]:
    """The parameters of a figure's query; a cause of uncertainty has no rows of its own and uses those of the whole."""
    parameters = {}
    for name in ("group", "from", "to", "where"):
        values = figure.question.get(name) or []
        parameters[name] = [values] if isinstance(values, str) else list(values)
    parameters["group"] = [value for value in parameters["group"] if set(value.split(",")) <= set(GROUPS)]
    parameters["where"] = [value for value in parameters["where"] if value.partition("=")[0] in GROUPS]
    return parameters


def _first(values: list[str]) -> str | None:
    return values[0] if values else None


def definition_level(traced: TracedFigure, language: str) -> LineageLevel:
    """The definition of a figure: words, formula, source, and the command that queries its rows."""
    figure = traced.figure
    method = next((candidate for candidate in METHODS if figure.indicator in candidate.figures), None)
    row = {
        "figure": figure.id,
        "edition": traced.name,
        "indicator": figure.indicator,
        "label": figure.label.in_(language),
        "period": figure.period,
        "cell": ";".join(f"{name}={value}" for name, value in figure.where),
        "value": figure.value,
        "shown": format_figure(figure, language).full,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.unit,
        "quality": figure.quality,
        "coverage": figure.coverage,
        "formula": figure.formula,
        "words": method.words[language != "fr"] if method else "",
        "source": method.source if method else "",
        "question": query_command(figure),
        "method_version": figure.method_version,
        "factor_version": figure.factor_version,
        "flags": "+".join(figure.flags),
    }
    return LineageLevel("definition", DEFINITION_COLUMNS, [row])


def query_command(figure: Figure) -> str:
    """The command that queries the rows of a figure."""
    return " ".join(
        [
            "footprint query",
            *(f"--{name} {_quoted(value)}" for name, values in _query_parameters(figure).items() for value in values),
        ]
    )


def _quoted(value: str) -> str:
    return f"'{value}'" if re.search(r"[^\w=:,./-]", value) else value


def trace_figure(
    store: Store,
    config: Config,
    traced: TracedFigure,
    now_us: int,
    *,
    language: str = "en",
    host: str = "",
    device: str = "",
    day: int | None = None,
) -> list[LineageLevel]:
    """All levels from the definition to the origins of readings; hours and readings are those of the day with most energy."""
    levels = [definition_level(traced, language)]
    if traced.figure.conf_status == "C":
        return levels
    query = query_of(config, traced.figure)
    levels += [_formula_level(store, config, query, now_us), lineage.fact_level(store, config, query, now_us)]
    days = lineage.day_level(store, config, query, now_us)
    levels.append(LineageLevel(days.name, days.columns, sorted(days.rows, key=lambda row: -(row["energy_kwh"] or 0.0))))
    selected = [row for row in levels[-1].rows if host in ("", row["host"]) and device in ("", row["device"])]
    measured = [row for row in selected if not row["device"].startswith("(")] or selected
    if not measured:
        return levels
    host, device = host or measured[0]["host"], device or measured[0]["device"]
    traced_day = (parse_instant(measured[0]["period_end"]) - 1) // US_PER_DAY if day is None else day
    levels.append(lineage.hour_level(store, config, query, now_us, host=host, utc_day=traced_day))
    levels.append(lineage.reading_level(store, host=host, device=device, utc_day=traced_day))
    levels.append(lineage.origin_level(store, config, host=host, utc_day=traced_day))
    return levels


def _formula_level(store: Store, config: Config, query: Query, now_us: int) -> LineageLevel:
    """The terms of the formula, as the ledger gives them today."""
    rows = run_query(store, config, query, now_us).rows
    terms = [{"name": name, "value": row[name], "unit": unit} for row in rows for name, unit in _TERMS if row[name] is not None]
    return LineageLevel("formula", FORMULA_COLUMNS, terms)


def recompute(store: Store, config: Config, traced: TracedFigure, now_us: int) -> Figure | None:
    """The figure as the ledger gives it now, in the edition rebuilt as published; None if it no longer exists."""
    context = traced.published.context if traced.published else None
    rebuilt = draft_edition(store, config, traced.edition.masthead.period, now_us, context)
    return next((figure for figure in rebuilt.edition.figures if figure.id == traced.figure.id), None)


def describe_difference(before: Figure, after: Figure | None) -> str:
    """``identical``, or the bounds that differ; values of confidential figures are not disclosed."""
    if after is None:
        return "differs: the ledger no longer gives this figure"
    if "C" in (before.conf_status, after.conf_status):
        same = before.conf_status == after.conf_status
        return "identical: confidential, as published" if same else "differs: its confidentiality changed"
    changed = [name for name in ("value", "low", "high") if getattr(before, name) != getattr(after, name)]
    if not changed:
        return "identical"
    return "differs: " + ", ".join(f"{name} {getattr(before, name)!r} -> {getattr(after, name)!r}" for name in changed)


def trace_document(traced: TracedFigure, levels: Sequence[LineageLevel], recomputed: str | None) -> dict[str, Any]:
    """The whole chain as one JSON document; ``recomputed`` is the outcome of recomputation, None if not requested."""
    return {
        "schema_version": SCHEMA_VERSION,
        "figure": traced.figure.id,
        "edition": traced.name,
        "recomputed": recomputed,
        "levels": [
            {"name": level.name, "columns": list(level.columns), "rows": level.rows, "sha256": level.sha256} for level in levels
        ],
    }
