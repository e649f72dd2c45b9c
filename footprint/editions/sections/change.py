"""This file says why more or less: the change of emissions divided over its causes, which sum to it without rest."""

from __future__ import annotations

from footprint.editions.change_effects import ChangeEffects, decompose_change
from footprint.editions.document import (
    Chart,
    Column,
    Effect,
    Figure,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Table,
    TableRow,
    Text,
    Waterfall,
)
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry, is_coverage_too_low
from footprint.editions.indicators import ENERGY, LOCATION
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.texts import EMPTY_TEXT, short_period, tr

LABELS: dict[str, Text] = {
    "method": tr("Méthode, facteurs, relevés tardifs", "Method, factors, late readings"),
    "volume": tr("Volume", "Volume"),
    "mix": tr("Structure", "Mix"),
    "length": tr("Longueur", "Length"),
    "efficiency": tr("Efficacité", "Efficiency"),
    "idle": tr("À vide", "Idle"),
    "overhead": tr("Bâtiment (PUE)", "Overhead (PUE)"),
    "grid": tr("Mix électrique", "Grid"),
    "timing": tr("Heures de consommation", "Hours of consumption"),
    "new": tr("Nouveaux usages", "New uses"),
    "stopped": tr("Usages arrêtés", "Stopped uses"),
    "unattributed": tr("Non attribué", "Not attributed"),
}
FORMULAS = {
    "method": "before, as known now - before, as published",
    "idle": "L x ln of powered device-hours, and of mean idle power",
    "new": "sum over uses without a period before",
    "stopped": "-sum over uses without this period",
    "unattributed": "what no use explains, after - before",
}


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """From the period before to this one."""
    found = period_effects(data)
    if found is None:
        return None
    measure = LOCATION if found.unit == "gCO2e" else ENERGY
    shown = measure.display(max(abs(found.before), abs(found.after)))
    before = _before(data, registry, found, shown)
    after = registry.add_level(measure, data.current, data.period)
    ids = {name: _effect(data, registry, found, name, shown) for name in found.by_cause}
    drawn = Waterfall(
        shown[1],
        Effect(short_period(data.previous), before),
        tuple(Effect(LABELS[name], ids[name]) for name in ids),
        Effect(short_period(data.period), after),
    )
    rows = [TableRow((short_period(data.previous), Ref(before, "value"), Ref(before, "interval")), "total")]
    rows += [TableRow((LABELS[name], Ref(ids[name], "value"), Ref(ids[name], "interval"))) for name in ids]
    rows.append(TableRow((short_period(data.period), Ref(after, "value"), Ref(after, "interval")), "total"))
    columns = (
        Column(tr("cause", "cause")),
        Column(tr(f"effet, {shown[1]}", f"effect, {shown[1]}"), "value"),
        Column(tr("intervalle", "interval"), "interval"),
    )
    what = (
        tr("Variation du CO₂e selon le lieu", "Change of location-based CO₂e")
        if found.unit == "gCO2e"
        else tr("Variation de l’énergie", "Change of energy")
    )
    return Section(
        "decomposition",
        EMPTY_TEXT,
        tr(
            "Décomposition LMDI. La somme des effets égale la variation ; le résidu est nul.",
            "LMDI decomposition. Effects sum to the change; the residual is nil.",
        ),
        _title(found),
        Text(
            f"{what.fr}, {shown[1]}, {short_period(data.previous).fr} → {short_period(data.period).fr}",
            f"{what.en}, {shown[1]}, {short_period(data.previous).en} → {short_period(data.period).en}",
        ),
        (
            Chart("decomposition", drawn, _alternative(found)),
            Paragraphs(_sentences(found, ids)),
            Table("decomposition", columns, tuple(rows), tr("Effets par cause", "Effects by cause")),
        ),
        source_line(data),
    )


def period_effects(data: EditionData) -> ChangeEffects | None:
    """Causes of the change since the period before; None where too little of it, or of this one, was read to be published."""
    before = data.totals.get(str(data.previous))
    if before is None or is_coverage_too_low(before) or is_coverage_too_low(data.current):
        return None
    vintage = data.context.latest(str(data.previous))
    told = vintage.figures.get(f"{LOCATION.indicator}||+0m{data.period.length}") if vintage else None
    grams = before.row["co2e_location_g"] is not None and data.current.row["co2e_location_g"] is not None
    published = told[0] if told and grams else None
    pairs = [data.pairs.get(str(period), {}) for period in (data.previous, data.period)]
    confidential = frozenset(
        use
        for period, rows in zip((data.previous, data.period), pairs, strict=True)
        for _, use in rows
        if data.is_confidential((("use_case", use),), str(period))
    )
    return decompose_change(before, data.current, pairs[0], pairs[1], published, confidential=confidential)


def _before(data: EditionData, registry: FigureRegistry, found: ChangeEffects, shown: tuple[float, str]) -> str:
    """The total that the bars begin at: as an edition published it, where one did."""
    indicators = data.totals[str(data.previous)]
    measure = LOCATION if found.unit == "gCO2e" else ENERGY
    if not found.published:
        return registry.add_level(measure, indicators, data.previous, display=shown)
    vintage = data.context.latest(str(data.previous))
    bounds = vintage.figures[f"{measure.indicator}||+0m{data.period.length}"] if vintage else (None, None, None)
    return registry.add_figure(
        f"{measure.indicator}|published|{registry.period_offset(data.previous)}",
        Figure(
            id="",
            indicator=measure.indicator,
            label=measure.label,
            kind="level",
            unit=measure.unit,
            period=str(data.previous),
            value=bounds[0],
            low=bounds[1],
            high=bounds[2],
            display=shown,
            quality=indicators.row["quality"],
            coverage=indicators.row["coverage"],
            question=registry.query_parameters(data.previous, ()),
            method_version=vintage.method_version if vintage else "",
            factor_version=vintage.factor_version if vintage else "",
            formula=f"as published, version {vintage.version}" if vintage else "",
        ),
    )


def _effect(data: EditionData, registry: FigureRegistry, found: ChangeEffects, name: str, shown: tuple[float, str]) -> str:
    value, half = found.by_cause[name]
    measure = LOCATION if found.unit == "gCO2e" else ENERGY
    return registry.add_figure(
        f"effect_{name}|{measure.indicator}|{registry.period_offset(data.previous)}",
        Figure(
            id="",
            indicator=f"effect_{name}",
            label=LABELS[name],
            kind="effect",
            unit=measure.unit,
            period=str(data.period),
            value=value,
            low=value - half if half else None,
            high=value + half if half else None,
            display=shown,
            quality=data.current.row["quality"],
            question=registry.query_parameters(data.period, ()) | {"against": str(data.previous)},
            formula=FORMULAS.get(name, f"sum over uses of L(after, before) x ln({name} after / {name} before)"),
        ),
    )


def _outstanding(found: ChangeEffects, sign: int) -> str | None:
    """The largest effect in a direction whose interval leaves 0 out."""
    told = [(sign * value, name) for name, (value, half) in found.by_cause.items() if sign * value > half and name != "method"]
    return max(told)[1] if told else None


def _title(found: ChangeEffects) -> Text:
    up, down = _outstanding(found, 1), _outstanding(found, -1)
    if up and down:
        return Text(
            f"Plus par : {LABELS[up].fr.lower()}. Moins par : {LABELS[down].fr.lower()}".replace(" :", "\u00a0:"),
            f"More through {LABELS[up].en.lower()}, less through {LABELS[down].en.lower()}",
        )
    if up or down:
        name = LABELS[up or down or ""]
        return Text(f"Première cause\u00a0: {name.fr.lower()}", f"First cause: {name.en.lower()}")
    return tr("Aucune cause mesurable", "No measurable cause")


def _sentences(found: ChangeEffects, ids: dict[str, str]) -> tuple[Sentence, ...]:
    """At most three, from the table: what added most, what took most away, what is due to figures and not to facts."""
    told = []
    for sign, fr, en in (
        (1, "Ce qui ajoute le plus : {cause}, {{value}}.", "What added most: {cause}, {{value}}."),
        (-1, "Ce qui retranche le plus : {cause}, {{value}}.", "What took most away: {cause}, {{value}}."),
    ):
        name = _outstanding(found, sign)
        if name is not None:
            text = tr(fr.format(cause=LABELS[name].fr.lower()), en.format(cause=LABELS[name].en.lower()))
            told.append(Sentence(text, {"value": Ref(ids[name])}, (ids[name],)))
    if "method" in found.by_cause and found.published:
        text = tr(
            "Ce que l’édition précédente ne pouvait savoir (méthode, facteurs, relevés tardifs) : {value}.",
            "What the edition before could not know (method, factors, late readings): {value}.",
        )
        told.append(Sentence(text, {"value": Ref(ids["method"])}, (ids["method"],)))
    if not told:
        told.append(Sentence(tr("Aucun effet n’est mesurable.", "No effect is measurable.")))
    return tuple(told)


def _alternative(found: ChangeEffects) -> Text:
    up = [LABELS[name] for name, (value, _) in found.by_cause.items() if value > 0]
    down = [LABELS[name] for name, (value, _) in found.by_cause.items() if value < 0]
    return tr(
        f"En hausse : {', '.join(x.fr.lower() for x in up) or 'rien'}. En baisse : {', '.join(x.fr.lower() for x in down) or 'rien'}.",
        f"Upwards: {', '.join(x.en.lower() for x in up) or 'none'}. Downwards: {', '.join(x.en.lower() for x in down) or 'none'}.",
    )
