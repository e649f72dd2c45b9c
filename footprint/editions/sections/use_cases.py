"""Section: use cases by energy with their charter status; idle and unattributed are rows of their own."""

from __future__ import annotations

from footprint.attribution.row_columns import IDLE_NAME
from footprint.core.estimate import Estimate
from footprint.editions.document import Bar, Bars, Cell, Chart, Column, FigureMark, Ref, Section, Table, TableRow, Text
from footprint.editions.edition_data import MAX_RANKED_USE_CASES, RESERVED_NAMES, EditionData, IndicatorRow
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY, LOCATION, PER_REQUESTS, REQUESTS, Measure
from footprint.editions.sections.building_blocks import figure_cell, label_with_unit, source_line
from footprint.editions.texts import EMPTY_TEXT, charter_text, list_texts, name_text, number_word, tr

MEASURES = (REQUESTS, ENERGY, PER_REQUESTS, LOCATION)
_PARTS = ((2 / 3, ("des deux tiers", "two thirds")), (1 / 2, ("de la moitié", "half")))


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """A chart of the first ten, and the table of all."""
    rows_by_use_case = data.uses.get(str(data.period), {})
    ranked = data.ranked_use_cases()
    if not rows_by_use_case or not ranked:
        return None
    display = {measure.indicator: _display(data, measure) for measure in MEASURES}
    rows = [_row(data, registry, name, rows_by_use_case[name,], display) for name in ranked]
    reserved = [name for name in RESERVED_NAMES if (name,) in rows_by_use_case and rows_by_use_case[name,].row["energy_kwh"]]
    rows += [_row(data, registry, name, rows_by_use_case[name,], display, apart=name == reserved[0]) for name in reserved]
    bars = [
        Bar(name_text(name), _level(data, registry, ENERGY, name, rows_by_use_case[name,], display))
        for name in ranked[:MAX_RANKED_USE_CASES]
    ]
    bars += _other_bars(data, registry, ranked, display)
    bars += [
        Bar(
            name_text(name),
            _level(data, registry, ENERGY, name, rows_by_use_case[name,], display),
            "idle" if name == IDLE_NAME else "unattributed",
        )
        for name in reserved
    ]
    unit = display["energy_kwh"][1]
    return Section(
        "by_use_case",
        EMPTY_TEXT,
        tr(
            "Hachures : estimé. Contour : déclaré par le fournisseur. Moustaches : intervalle à 95 %.",
            "Hatched: estimated. Outline: the supplier’s word. Whiskers: 95% interval.",
        ),
        _title(data, ranked),
        tr(f"Énergie par usage, {unit}", f"Energy by use, {unit}"),
        (Chart("by_use_case", Bars(unit, tuple(bars)), _alternative(registry, bars)), _table(display, rows)),
        source_line(data),
    )


def _display(data: EditionData, measure: Measure) -> tuple[float, str]:
    """One unit for all rows: that of the total."""
    bounds = measure.level(data.current)
    return measure.display(bounds[0] if bounds else None)


def _level(
    data: EditionData,
    registry: FigureRegistry,
    measure: Measure,
    name: str,
    indicators: IndicatorRow,
    display: dict[str, tuple[float, str]],
) -> str:
    return registry.add_level(measure, indicators, data.period, where=(("use_case", name),), display=display[measure.indicator])


def _row(
    data: EditionData,
    registry: FigureRegistry,
    name: str,
    indicators: IndicatorRow,
    display: dict[str, tuple[float, str]],
    *,
    apart: bool = False,
) -> TableRow:
    where = (("use_case", name),)
    status = data.config.charter_at(name, data.period.bounds_us(data.config.timezone)[1] - 1)
    cells: list[Cell] = [name_text(name), FigureMark("z") if name in RESERVED_NAMES else charter_text(status)]
    for measure in MEASURES:
        identity = _level(data, registry, measure, name, indicators, display)
        if name in RESERVED_NAMES and measure in (REQUESTS, PER_REQUESTS):
            cells.append(FigureMark("z"))
        else:
            cells.append(figure_cell(registry, identity, "value"))
        if measure is ENERGY:
            cells.append(figure_cell(registry, identity, "interval"))
            share, energy_figure = _share(data, registry, indicators, where), identity
            cells.append(figure_cell(registry, share, "value"))
    if data.base is None:
        cells.append(FigureMark("x"))
    else:
        before = data.uses.get(str(data.base), {}).get((name,))
        cells.append(
            figure_cell(registry, registry.add_change(ENERGY, indicators, before, (data.period, data.base), where=where), "full")
        )
    cells.append(Ref(energy_figure))
    return TableRow(tuple(cells), "apart" if apart else "")


def _share(data: EditionData, registry: FigureRegistry, indicators: IndicatorRow, where: tuple[tuple[str, str], ...]) -> str:
    """The share in the total energy; only the uncertainty of the split remains."""
    total_kwh, energy_kwh = data.current.row["energy_kwh"], indicators.row["energy_kwh"]
    estimate = None
    if total_kwh and energy_kwh is not None and energy_kwh >= 0:
        low, high = indicators.energy.filtered(only=("split ",)).interval(energy_kwh)
        estimate = Estimate(energy_kwh / total_kwh, max(low, 0.0) / total_kwh, max(min(high, total_kwh), energy_kwh) / total_kwh)
    label = tr("Part de l’énergie", "Share of energy")
    return registry.add_share(
        "energy_share", label, estimate, "energy_kwh / energy_kwh of all", where=where, quality=indicators.row["quality"]
    )


def _other_bars(
    data: EditionData, registry: FigureRegistry, ranked: list[str], display: dict[str, tuple[float, str]]
) -> list[Bar]:
    names, combined = data.other_uses
    if not names or combined is None:
        rest = ranked[MAX_RANKED_USE_CASES:]
        rows = data.uses[str(data.period)]
        return [Bar(name_text(name), _level(data, registry, ENERGY, name, rows[name,], display)) for name in rest]
    where = tuple(("use_case", name) for name in names)
    if sum(data.is_confidential((pair,), str(data.period)) for pair in where) == 1:
        return []  # with the other rows, the sum would disclose the confidential one
    bounds = ENERGY.level(combined)
    identity = registry.add_level(
        ENERGY, combined if bounds else None, data.period, where=(("use_cases", "others"),), display=display["energy_kwh"]
    )
    return [Bar(tr(f"Autres usages ({len(names)})", f"Other uses ({len(names)})"), identity, "other")]


def _table(display: dict[str, tuple[float, str]], rows: list[TableRow]) -> Table:
    heads = {measure.indicator: label_with_unit(measure.label, display[measure.indicator][1]) for measure in MEASURES}
    columns = (
        Column(tr("usage", "use")),
        Column(tr("charte", "charter")),
        Column(heads["requests"], "value"),
        Column(heads["energy_kwh"], "value"),
        Column(tr("intervalle", "interval"), "interval"),
        Column(tr("part", "share"), "value"),
        Column(heads["wh_per_1000_requests"], "value"),
        Column(heads["co2e_location_g"], "value"),
        Column(tr("variation", "change"), "change"),
        Column(tr("qualité", "quality"), "badge"),
    )
    return Table("by_use_case", columns, tuple(rows), tr("Usages par énergie", "Uses by energy"))


def _title(data: EditionData, ranked: list[str]) -> Text:
    """The title: how few use cases make up half, or two thirds, of the consumption."""
    rows = data.uses[str(data.period)]
    visible = [name for name in ranked if not data.is_confidential((("use_case", name),), str(data.period))]
    total_kwh, cumulated_kwh = data.current.row["energy_kwh"], 0.0
    for count, name in enumerate(visible[:3], 1):
        cumulated_kwh += rows[name,].row["energy_kwh"]
        part_words = next((words for part, words in _PARTS if total_kwh and cumulated_kwh >= part * total_kwh), None)
        if part_words is not None and count < len(ranked):
            number, one = number_word(count), count == 1
            return Text(
                f"{number.fr} usage{'' if one else 's'} {'fait' if one else 'font'} plus {part_words[0]} de la consommation",
                f"{number.en} use{'' if one else 's'} {'makes' if one else 'make'} up more than {part_words[1]} of consumption",
            )
    return tr("La consommation, usage par usage", "Consumption, use by use")


def _alternative(registry: FigureRegistry, bars: list[Bar]) -> Text:
    visible = [bar for bar in bars if bar.look == "use" and registry[bar.figure].value is not None]
    hidden = sum(registry[bar.figure].value is None for bar in bars)
    names = list_texts([bar.label for bar in visible[:3]])
    fr = f"Par énergie décroissante : {names.fr}." if visible else "Aucun usage publié."
    en = f"By energy, largest first: {names.en}." if visible else "No use published."
    if hidden:
        fr, en = f"{fr} Valeurs non publiées : {hidden}.", f"{en} Values not published: {hidden}."
    return tr(fr, en)
