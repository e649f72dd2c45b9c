"""This file prints what the committee wrote: typographically apart, for it is no statistic."""

from __future__ import annotations

import datetime

from footprint.editions.document import Column, Row, Section, Table, Text
from footprint.editions.facts import Facts
from footprint.editions.figures import FigureBook
from footprint.editions.words import NOTHING, both_dates, t


def section(facts: Facts, book: FigureBook) -> Section | None:
    """Decisions and their follow-up; nothing where the committee wrote nothing."""
    if not facts.context.decisions:
        return None
    rows = tuple(
        Row((_day(each.date), Text(each.fr, each.en), Text(each.effect_fr, each.effect_en))) for each in facts.context.decisions
    )
    columns = (Column(t("date", "date")), Column(t("décision", "decision")), Column(t("suite donnée", "follow-up")))
    return Section(
        "decisions", t("Décisions", "Decisions"), t("Texte du comité, hors statistique.", "Words of the committee, not statistics."),
        t("Décisions et suites", "Decisions and follow-up"), NOTHING,
        (Table("decisions", columns, rows, t("Décisions du comité", "Decisions of the committee")),), NOTHING, committee=True,
    )  # fmt: skip


def _day(text: str) -> Text:
    return both_dates(datetime.date.fromisoformat(text))
