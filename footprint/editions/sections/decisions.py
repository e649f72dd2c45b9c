"""Section: decisions of the committee, typographically apart since they are not statistics."""

from __future__ import annotations

import datetime

from footprint.editions.document import Column, Section, Table, TableRow, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.texts import EMPTY_TEXT, date_text, tr


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """Decisions and their follow-up; None if there are none."""
    if not data.context.decisions:
        return None
    rows = tuple(
        TableRow((_day(decision.date), Text(decision.fr, decision.en), Text(decision.effect_fr, decision.effect_en)))
        for decision in data.context.decisions
    )
    columns = (Column(tr("date", "date")), Column(tr("décision", "decision")), Column(tr("suite donnée", "follow-up")))
    return Section(
        "decisions",
        tr("Décisions", "Decisions"),
        tr("Texte du comité, hors statistique.", "Words of the committee, not statistics."),
        tr("Décisions et suites", "Decisions and follow-up"),
        EMPTY_TEXT,
        (Table("decisions", columns, rows, tr("Décisions du comité", "Decisions of the committee")),),
        EMPTY_TEXT,
        committee=True,
    )


def _day(text: str) -> Text:
    return date_text(datetime.date.fromisoformat(text))
