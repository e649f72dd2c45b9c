"""This file says who consumes: uses by energy with what the charter decided of them; idle and unattributed are rows."""

from __future__ import annotations

from footprint.attribution.shard import IDLE_NAME
from footprint.core.estimate import Estimate
from footprint.editions.document import Bar, Bars, Cell, Chart, Column, FigureMark, Ref, Section, Table, TableRow, Text
from footprint.editions.edition_data import MAX_RANKED_USE_CASES, RESERVED_NAMES, EditionData, IndicatorRow
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY, LOCATION, PER_REQUESTS, REQUESTS, Measure
from footprint.editions.sections.key_figures import label_with_unit, source_line
from footprint.editions.texts import EMPTY_TEXT, charter_text, list_names, name_text, number_word, tr

MEASURES = (REQUESTS, ENERGY, PER_REQUESTS, LOCATION)
_PARTS = ((2 / 3, ("des deux tiers", "two thirds")), (1 / 2, ("de la moitié", "half")))


def section(facts: EditionData, book: FigureRegistry) -> Section | None:
    """A chart of the first ten, and the table of all."""
    mine = facts.uses.get(str(facts.period), {})
    ranked = facts.ranked()
    if not mine or not ranked:
        return None
    shown = {measure.indicator: _display(facts, measure) for measure in MEASURES}
    rows = [_row(facts, book, name, mine[name,], shown) for name in ranked]
    kept = [name for name in RESERVED_NAMES if (name,) in mine and mine[name,].row["energy_kwh"]]
    rows += [_row(facts, book, name, mine[name,], shown, apart=name == kept[0]) for name in kept]
    bars = [Bar(name_text(name), _level(facts, book, ENERGY, name, mine[name,], shown)) for name in ranked[:MAX_RANKED_USE_CASES]]
    bars += _others(facts, book, ranked, shown)
    bars += [
        Bar(
            name_text(name),
            _level(facts, book, ENERGY, name, mine[name,], shown),
            "idle" if name == IDLE_NAME else "unattributed",
        )
        for name in kept
    ]
    unit = shown["energy_kwh"][1]
    return Section(
        "by_use_case",
        EMPTY_TEXT,
        tr(
            "Hachures : estimé. Contour : déclaré par le fournisseur. Moustaches : intervalle à 95 %.",
            "Hatched: estimated. Outline: the supplier’s word. Whiskers: 95% interval.",
        ),
        _title(facts, ranked),
        tr(f"Énergie par usage, {unit}", f"Energy by use, {unit}"),
        (Chart("by_use_case", Bars(unit, tuple(bars)), _alternative(facts, book, bars)), _table(facts, shown, rows)),
        source_line(facts),
    )


def _display(facts: EditionData, measure: Measure) -> tuple[float, str]:
    """One unit for all rows: that of the whole."""
    told = measure.of(facts.now)
    return measure.display(told[0] if told else None)


def _level(
    facts: EditionData,
    book: FigureRegistry,
    measure: Measure,
    name: str,
    asked: IndicatorRow,
    shown: dict[str, tuple[float, str]],
) -> str:
    return book.level(measure, asked, facts.period, where=(("use_case", name),), display=shown[measure.indicator])


def _row(
    facts: EditionData,
    book: FigureRegistry,
    name: str,
    asked: IndicatorRow,
    shown: dict[str, tuple[float, str]],
    *,
    apart: bool = False,
) -> TableRow:
    where = (("use_case", name),)
    status = facts.config.charter_at(name, facts.period.bounds_us(facts.config.timezone)[1] - 1)
    cells: list[Cell] = [name_text(name), FigureMark("z") if name in RESERVED_NAMES else charter_text(status)]
    for measure in MEASURES:
        identity = _level(facts, book, measure, name, asked, shown)
        if name in RESERVED_NAMES and measure in (REQUESTS, PER_REQUESTS):
            cells.append(FigureMark("z"))
        else:
            cells.append(figure_cell(book, identity, "value"))
        if measure is ENERGY:
            cells.append(figure_cell(book, identity, "interval"))
            share, cut = _share(facts, book, asked, where), identity
            cells.append(figure_cell(book, share, "value"))
    if facts.base is None:
        cells.append(FigureMark("x"))
    else:
        before = facts.uses.get(str(facts.base), {}).get((name,))
        cells.append(figure_cell(book, book.change(ENERGY, asked, before, (facts.period, facts.base), where=where), "full"))
    cells.append(Ref(cut))
    return TableRow(tuple(cells), "apart" if apart else "")


def _share(facts: EditionData, book: FigureRegistry, asked: IndicatorRow, where: tuple[tuple[str, str], ...]) -> str:
    """Of the energy of all: only how it was divided is not known."""
    whole, energy = facts.now.row["energy_kwh"], asked.row["energy_kwh"]
    estimate = None
    if whole and energy is not None and energy >= 0:
        low, high = asked.energy.filtered(only=("split ",)).interval(energy)
        estimate = Estimate(energy / whole, max(low, 0.0) / whole, max(min(high, whole), energy) / whole)
    label = tr("Part de l’énergie", "Share of energy")
    return book.share(
        "energy_share", label, estimate, "energy_kwh / energy_kwh of all", where=where, quality=asked.row["quality"]
    )


def figure_cell(book: FigureRegistry, identity: str, form: str) -> Cell:
    """A figure in a table, or the mark that stands for what it has not."""
    figure = book[identity]
    if figure.value is None:
        return FigureMark(figure.flags[0])
    return Ref(identity, form)  # type: ignore[arg-type]


def _others(facts: EditionData, book: FigureRegistry, ranked: list[str], shown: dict[str, tuple[float, str]]) -> list[Bar]:
    behind, together = facts.others
    if not behind or together is None:
        rest = ranked[MAX_RANKED_USE_CASES:]
        mine = facts.uses[str(facts.period)]
        return [Bar(name_text(name), _level(facts, book, ENERGY, name, mine[name,], shown)) for name in rest]
    where = tuple(("use_case", name) for name in behind)
    if sum(facts.hidden((pair,), str(facts.period)) for pair in where) == 1:
        return []  # with the others in the table, the sum would tell the one that is confidential
    told = ENERGY.of(together)
    identity = book.level(
        ENERGY, together if told else None, facts.period, where=(("use_cases", "others"),), display=shown["energy_kwh"]
    )
    return [Bar(tr(f"Autres usages ({len(behind)})", f"Other uses ({len(behind)})"), identity, "other")]


def _table(facts: EditionData, shown: dict[str, tuple[float, str]], rows: list[TableRow]) -> Table:
    heads = {measure.indicator: label_with_unit(measure.label, shown[measure.indicator][1]) for measure in MEASURES}
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


def _title(facts: EditionData, ranked: list[str]) -> Text:
    """How few uses make up half, or two thirds, of what uses consume."""
    mine = facts.uses[str(facts.period)]
    told = [name for name in ranked if not facts.hidden((("use_case", name),), str(facts.period))]
    whole, so_far = facts.now.row["energy_kwh"], 0.0
    for count, name in enumerate(told[:3], 1):
        so_far += mine[name,].row["energy_kwh"]
        said = next((words for part, words in _PARTS if whole and so_far >= part * whole), None)
        if said is not None and count < len(ranked):
            number, one = number_word(count), count == 1
            return Text(
                f"{number.fr} usage{'' if one else 's'} {'fait' if one else 'font'} plus {said[0]} de la consommation",
                f"{number.en} use{'' if one else 's'} {'makes' if one else 'make'} up more than {said[1]} of consumption",
            )
    return tr("La consommation, usage par usage", "Consumption, use by use")


def _alternative(facts: EditionData, book: FigureRegistry, bars: list[Bar]) -> Text:
    told = [bar for bar in bars if bar.look == "use" and book[bar.figure].value is not None]
    hidden = sum(book[bar.figure].value is None for bar in bars)
    names = list_names([bar.label.en for bar in told[:3]])
    fr = f"Par énergie décroissante : {names.fr}." if told else "Aucun usage publié."
    en = f"By energy, largest first: {names.en}." if told else "No use published."
    if hidden:
        fr, en = f"{fr} Valeurs non publiées : {hidden}.", f"{en} Values not published: {hidden}."
    return tr(fr, en)
