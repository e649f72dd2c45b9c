"""Section: key figures, eight rows over three periods, and changes with intervals of their own."""

from __future__ import annotations

from footprint.editions.document import Cell, Column, FigureMark, Ref, Section, Table, TableRow, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import IT_ENERGY, KEY_MEASURES, Measure
from footprint.editions.sections.building_blocks import figure_cell, label_with_unit, source_line
from footprint.editions.texts import EMPTY_TEXT, in_comparison, join_texts, short_period, tr


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """This period, the one before, and the same period a year before."""
    heads = (
        EMPTY_TEXT,
        short_period(data.period),
        tr("intervalle", "interval"),
        short_period(data.previous),
        short_period(data.year_ago),
    )
    against = (
        EMPTY_TEXT
        if data.base is None
        else join_texts(tr("Variations par rapport", "Changes against"), _full_stop(in_comparison(data.base)))
    )
    kinds = ("text", "value", "interval", "value", "value")
    columns = (
        *(Column(head, kind) for head, kind in zip(heads, kinds, strict=True)),  # type: ignore[arg-type]
        Column(_change_heading(data), "change"),
        Column(tr("qualité", "quality"), "badge"),
    )
    rows = tuple(_row(data, registry, measure) for measure in KEY_MEASURES)
    return Section(
        "key_figures",
        EMPTY_TEXT,
        join_texts(
            tr("Intervalles à 95 %.", "Intervals of 95%."),
            tr(
                "Les variations ont leur propre intervalle : ce qui fausse de même deux périodes s’annule.",
                "Changes have their own interval: what errs alike in two periods cancels.",
            ),
            against,
        ),
        tr("Chiffres clés", "Key figures"),
        tr("Période, période précédente, même période de l’année précédente", "Period, period before, same period a year before"),
        (Table("key_figures", columns, rows, tr("Chiffres clés de la période", "Key figures of the period")),),
        source_line(data),
    )


def _full_stop(text: Text) -> Text:
    return Text(f"{text.fr}.", f"{text.en}.")


def _change_heading(data: EditionData) -> Text:
    if data.base is None:
        return tr("variation", "change")
    if data.base == data.year_ago:
        return tr("sur un an", "over a year")
    return {3: tr("sur un trimestre", "over a quarter"), 1: tr("sur un mois", "over a month")}.get(
        data.period.length, tr("sur un an", "over a year")
    )


def _row(data: EditionData, registry: FigureRegistry, measure: Measure) -> TableRow:
    now = registry.add_level(measure, data.current, data.period)
    display = registry[now].display
    cells: list[Cell] = [
        label_with_unit(measure.label, display[1]),
        figure_cell(registry, now, "value"),
        figure_cell(registry, now, "interval"),
    ]
    for period in (data.previous, data.year_ago):
        indicators = data.totals.get(str(period))
        cells.append(figure_cell(registry, registry.add_level(measure, indicators, period, display=display), "value"))
    if data.base is None:
        cells.append(FigureMark("x"))
    else:
        change = registry.add_change(measure, data.current, data.totals[str(data.base)], (data.period, data.base))
        cells.append(figure_cell(registry, change, "full"))
    cells.append(Ref(now))
    return TableRow(tuple(cells), "part" if measure is IT_ENERGY else "")
