"""Section: budgets and targets; kept or exceeded only if the whole interval says so."""

from __future__ import annotations

from footprint.editions.document import Cell, Column, Figure, FigureMark, Ref, Section, Table, TableRow, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry, without_value
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.texts import short_period, tr, untranslated
from footprint.i18n.formatting import energy_unit, format_change, format_number, mass_unit
from footprint.queries.objectives import EXCEEDED, KEPT, NOT_MEASURABLE, RUNNING, UNITS, UNKNOWN, ObjectiveStatus

STATES = {
    KEPT: tr("tenu", "kept"),
    EXCEEDED: tr("dépassé", "exceeded"),
    NOT_MEASURABLE: tr("non mesurable", "not measurable"),
    RUNNING: tr("en cours", "running"),
    UNKNOWN: tr("inconnu", "unknown"),
}


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """A row for each objective of the period's length; None without objectives."""
    if not data.objectives:
        return None
    columns = (
        Column(tr("objectif", "objective")),
        Column(tr("mesuré", "measured"), "change"),
        Column(tr("limite", "limit")),
        Column(tr("état", "state")),
        Column(tr("responsable", "owner")),
    )
    rows = tuple(_row(data, registry, status) for status in data.objectives)
    exceeded = sum(
        status.state == EXCEEDED and not data.is_confidential(status.objective.where, str(data.period))
        for status in data.objectives
    )
    title = tr("Les objectifs déclarés", "The objectives declared")
    if exceeded:
        title = _exceeded(exceeded, len(rows))
    return Section(
        "objectives",
        tr("Objectifs", "Objectives"),
        tr("Tenu ou dépassé seulement si tout l’intervalle le dit.", "Kept or exceeded only where the whole interval says so."),
        title,
        tr("Budgets de la période, et chemin vers les cibles", "Budgets of the period, and the way to targets"),
        (Table("objectives", columns, rows, tr("Objectifs et mesures", "Objectives and measures")),),
        source_line(data),
    )


def _exceeded(count: int, total: int) -> Text:
    """The title: one, all, or some objectives were exceeded."""
    plural = count > 1
    if count == total:
        if plural:
            return tr("Les objectifs déclarés sont dépassés", "The objectives declared are exceeded")
        return tr("L’objectif déclaré est dépassé", "The objective declared is exceeded")
    return tr(f"{count} objectif{'s' * plural} sur {total} dépassé{'s' * plural}", f"{count} of {total} objectives exceeded")


def _row(data: EditionData, registry: FigureRegistry, status: ObjectiveStatus) -> TableRow:
    hidden = data.is_confidential(status.objective.where, str(data.period))
    identity = registry.add_figure(f"objective|{status.objective.name}", _figure(data, status, hidden=hidden))
    figure = registry[identity]
    limit: Cell = _limit(status, figure.display) if not hidden else FigureMark("c")
    measured: Cell = Ref(identity) if figure.value is not None else FigureMark("c" if hidden else "x")
    state: Cell = FigureMark("c") if hidden else STATES[status.state]
    return TableRow((_name(status), measured, limit, state, untranslated(status.objective.owner)))


def _name(status: ObjectiveStatus) -> Text:
    due = status.objective.due
    name = untranslated(status.objective.name)
    return Text(f"{name.fr}, {short_period(due).fr}", f"{name.en}, {short_period(due).en}") if due else name


def _figure(data: EditionData, status: ObjectiveStatus, *, hidden: bool) -> Figure:
    objective, measured = status.objective, status.figure
    change = objective.baseline is not None
    unit = "1" if change else UNITS[objective.metric]
    kind = "change" if change else "count" if objective.metric == "requests" else "level"
    display_unit = {"energy_kwh": energy_unit, "co2e_location_g": mass_unit}.get(objective.metric)
    display = (1.0, "" if unit == "1" else unit)
    if display_unit is not None and measured is not None and not change:
        display = display_unit(measured.value)
    exact = measured is None or measured.low == measured.high
    figure = Figure(
        id="",
        indicator=f"objective_{objective.metric}",
        label=_name(status),
        kind=kind,  # type: ignore[arg-type]
        unit=unit,
        period=str(data.period),
        value=measured.value if measured else None,
        low=None if exact or measured is None else measured.low,
        high=None if exact or measured is None else measured.high,
        display=display,
        where=objective.where,
        quality=data.current.row["quality"] or "",
        formula=f"{objective.metric} against {objective.baseline}" if change else objective.metric,
    )
    if hidden:
        return without_value(figure, "c")
    return figure if measured is not None else without_value(figure, "x")


def _limit(status: ObjectiveStatus, display: tuple[float, str]) -> Text:
    if status.objective.baseline is not None:
        return Text(format_change(status.limit, "fr"), format_change(status.limit, "en"))
    size, unit = display
    return Text(*(f"{format_number(status.limit / size, language)}\u00a0{unit}".strip("\u00a0") for language in ("fr", "en")))
