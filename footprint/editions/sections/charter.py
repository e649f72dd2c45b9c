"""This file says whether uses that the charter recommends took the place of others: energy by its status, over five periods."""

from __future__ import annotations

from footprint.config.facts import UNDECLARED
from footprint.config.reading import CHARTER_STATUSES
from footprint.editions.document import Cell, Chart, Column, Mark, Row, Section, Stacks, Table, Text
from footprint.editions.facts import Facts
from footprint.editions.figures import FigureBook
from footprint.editions.gathering import CHARTER_QUARTERS
from footprint.editions.measures import ENERGY
from footprint.editions.sections.key import source
from footprint.editions.sections.uses import cell
from footprint.editions.words import NOTHING, charter, short, t


def section(facts: Facts, book: FigureBook) -> Section | None:
    """Columns by period; a status that never occurs is left out."""
    periods = [facts.period.shifted(back) for back in range(1 - CHARTER_QUARTERS, 1)]
    held = {names[0] for period in periods for names in facts.charters.get(str(period), {})}
    statuses = [status for status in (*CHARTER_STATUSES, UNDECLARED) if status in held]
    if not statuses:
        return None
    shown = ENERGY.display(facts.now.row["energy_kwh"])
    columns, rows = [], []
    for period in periods:
        mine = facts.charters.get(str(period), {})
        ids = [
            book.level(ENERGY, mine[status,], period, where=(("charter", status),), display=shown) if (status,) in mine else ""
            for status in statuses
        ]
        columns.append((str(period), tuple(ids)))
        cells: list[Cell] = [short(period), *(cell(book, identity, "full") if identity else Mark("x") for identity in ids)]
        rows.append(Row(tuple(cells)))
    heads = (Column(t("période", "period")), *(Column(charter(status), "value") for status in statuses))
    stacks = Stacks(shown[1], tuple(charter(status) for status in statuses), tuple(columns))
    return Section(
        "charter", NOTHING, t("Statut en vigueur au moment de chaque requête. Sans l’énergie à vide ni non attribuée.",
                              "Status in force when each request ran. Without idle and unattributed energy."),
        t("Ce que la charte a décidé des usages", "What the charter decided of uses"),
        t(f"Énergie par statut de la charte, {shown[1]}", f"Energy by charter status, {shown[1]}"),
        (Chart("charter", stacks, _alternative(facts, statuses)),
         Table("by_charter", heads, tuple(rows), t("Énergie par statut de la charte", "Energy by charter status"))),
        source(facts),
    )  # fmt: skip


def _alternative(facts: Facts, statuses: list[str]) -> Text:
    names = [charter(status) for status in statuses]
    return t(
        f"Colonnes par période, statuts de bas en haut : {', '.join(name.fr for name in names)}. Valeurs dans le tableau.",
        f"Columns by period, statuses from the bottom: {', '.join(name.en for name in names)}. Values in the table.",
    )
