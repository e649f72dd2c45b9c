"""Section: energy by charter status over five periods."""

from __future__ import annotations

from footprint.config.loader import CHARTER_STATUSES
from footprint.config.models import UNDECLARED
from footprint.editions.collect import CHARTER_QUARTERS
from footprint.editions.document import Cell, Chart, Column, FigureMark, Section, Stacks, Table, TableRow, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY
from footprint.editions.sections.building_blocks import figure_cell, source_line
from footprint.editions.texts import EMPTY_TEXT, charter_text, short_period, tr


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """Columns by period; statuses that never occur are left out."""
    periods = [data.period.shifted(back) for back in range(1 - CHARTER_QUARTERS, 1)]
    occurring = {names[0] for period in periods for names in data.charters.get(str(period), {})}
    statuses = [status for status in (*CHARTER_STATUSES, UNDECLARED) if status in occurring]
    if not statuses:
        return None
    display = ENERGY.display(data.current.row["energy_kwh"])
    columns, rows = [], []
    for period in periods:
        rows_by_status = data.charters.get(str(period), {})
        ids = [
            registry.add_level(ENERGY, rows_by_status[status,], period, where=(("charter", status),), display=display)
            if (status,) in rows_by_status
            else ""
            for status in statuses
        ]
        columns.append((str(period), tuple(ids)))
        cells: list[Cell] = [
            short_period(period),
            *(figure_cell(registry, identity, "full") if identity else FigureMark("x") for identity in ids),
        ]
        rows.append(TableRow(tuple(cells)))
    heads = (Column(tr("période", "period")), *(Column(charter_text(status), "value") for status in statuses))
    stacks = Stacks(display[1], tuple(charter_text(status) for status in statuses), tuple(columns))
    return Section(
        "charter",
        EMPTY_TEXT,
        tr(
            "Statut en vigueur au moment de chaque requête. Sans l’énergie à vide ni non attribuée.",
            "Status in force when each request ran. Without idle and unattributed energy.",
        ),
        tr("Ce que la charte a décidé des usages", "What the charter decided of uses"),
        tr(f"Énergie par statut de la charte, {display[1]}", f"Energy by charter status, {display[1]}"),
        (
            Chart("charter", stacks, _alternative(statuses)),
            Table("by_charter", heads, tuple(rows), tr("Énergie par statut de la charte", "Energy by charter status")),
        ),
        source_line(data),
    )


def _alternative(statuses: list[str]) -> Text:
    names = [charter_text(status) for status in statuses]
    return tr(
        f"Colonnes par période, statuts de bas en haut : {', '.join(name.fr for name in names)}. Valeurs dans le tableau.",
        f"Columns by period, statuses from the bottom: {', '.join(name.en for name in names)}. Values in the table.",
    )
