"""Section: causes of the change of emissions; the effects sum to the change."""

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
    """The change from the period before to this one."""
    effects = period_effects(data)
    if effects is None:
        return None
    measure = LOCATION if effects.unit == "gCO2e" else ENERGY
    display = measure.display(max(abs(effects.before), abs(effects.after)))
    before = _before_figure(data, registry, effects, display)
    after = registry.add_level(measure, data.current, data.period)
    ids = {name: _effect_figure(data, registry, effects, name, display) for name in effects.by_cause}
    waterfall = Waterfall(
        display[1],
        Effect(short_period(data.previous), before),
        tuple(Effect(LABELS[name], ids[name]) for name in ids),
        Effect(short_period(data.period), after),
    )
    rows = [TableRow((short_period(data.previous), Ref(before, "value"), Ref(before, "interval")), "total")]
    rows += [TableRow((LABELS[name], Ref(ids[name], "value"), Ref(ids[name], "interval"))) for name in ids]
    rows.append(TableRow((short_period(data.period), Ref(after, "value"), Ref(after, "interval")), "total"))
    columns = (
        Column(tr("cause", "cause")),
        Column(tr(f"effet, {display[1]}", f"effect, {display[1]}"), "value"),
        Column(tr("intervalle", "interval"), "interval"),
    )
    quantity = (
        tr("Variation du CO₂e selon le lieu", "Change of location-based CO₂e")
        if effects.unit == "gCO2e"
        else tr("Variation de l’énergie", "Change of energy")
    )
    return Section(
        "decomposition",
        EMPTY_TEXT,
        tr(
            "Décomposition LMDI. La somme des effets égale la variation ; le résidu est nul.",
            "LMDI decomposition. Effects sum to the change; the residual is nil.",
        ),
        _title(effects),
        Text(
            f"{quantity.fr}, {display[1]}, {short_period(data.previous).fr} → {short_period(data.period).fr}",
            f"{quantity.en}, {display[1]}, {short_period(data.previous).en} → {short_period(data.period).en}",
        ),
        (
            Chart("decomposition", waterfall, _alternative(effects)),
            Paragraphs(_sentences(effects, ids)),
            Table("decomposition", columns, tuple(rows), tr("Effets par cause", "Effects by cause")),
        ),
        source_line(data),
    )


def period_effects(data: EditionData) -> ChangeEffects | None:
    """Causes of the change since the period before; None if coverage of either is too low for publication."""
    before = data.totals.get(str(data.previous))
    if before is None or is_coverage_too_low(before) or is_coverage_too_low(data.current):
        return None
    vintage = data.context.latest(str(data.previous))
    published_bounds = vintage.figures.get(f"{LOCATION.indicator}||+0m{data.period.length}") if vintage else None
    has_emissions = before.row["co2e_location_g"] is not None and data.current.row["co2e_location_g"] is not None
    published = published_bounds[0] if published_bounds and has_emissions else None
    pairs = [data.pairs.get(str(period), {}) for period in (data.previous, data.period)]
    confidential = frozenset(
        use
        for period, rows in zip((data.previous, data.period), pairs, strict=True)
        for _, use in rows
        if data.is_confidential((("use_case", use),), str(period))
    )
    return decompose_change(before, data.current, pairs[0], pairs[1], published, confidential=confidential)


def _before_figure(data: EditionData, registry: FigureRegistry, effects: ChangeEffects, display: tuple[float, str]) -> str:
    """The total that the bars begin at: as published by an edition, if one did."""
    indicators = data.totals[str(data.previous)]
    measure = LOCATION if effects.unit == "gCO2e" else ENERGY
    if not effects.is_published:
        return registry.add_level(measure, indicators, data.previous, display=display)
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
            display=display,
            quality=indicators.row["quality"],
            coverage=indicators.row["coverage"],
            question=registry.query_parameters(data.previous, ()),
            method_version=vintage.method_version if vintage else "",
            factor_version=vintage.factor_version if vintage else "",
            formula=f"as published, version {vintage.version}" if vintage else "",
        ),
    )


def _effect_figure(
    data: EditionData, registry: FigureRegistry, effects: ChangeEffects, name: str, display: tuple[float, str]
) -> str:
    value, half_width = effects.by_cause[name]
    measure = LOCATION if effects.unit == "gCO2e" else ENERGY
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
            low=value - half_width if half_width else None,
            high=value + half_width if half_width else None,
            display=display,
            quality=data.current.row["quality"],
            question=registry.query_parameters(data.period, ()) | {"against": str(data.previous)},
            formula=FORMULAS.get(name, f"sum over uses of L(after, before) x ln({name} after / {name} before)"),
        ),
    )


def _largest_clear_effect(effects: ChangeEffects, sign: int) -> str | None:
    """The largest effect in a direction whose interval excludes 0."""
    candidates = [
        (sign * value, name)
        for name, (value, half_width) in effects.by_cause.items()
        if sign * value > half_width and name != "method"
    ]
    return max(candidates)[1] if candidates else None


def _title(effects: ChangeEffects) -> Text:
    largest_increase, largest_decrease = _largest_clear_effect(effects, 1), _largest_clear_effect(effects, -1)
    if largest_increase and largest_decrease:
        return Text(
            f"Plus par : {LABELS[largest_increase].fr.lower()}. Moins par : {LABELS[largest_decrease].fr.lower()}".replace(
                " :", "\u00a0:"
            ),
            f"More through {LABELS[largest_increase].en.lower()}, less through {LABELS[largest_decrease].en.lower()}",
        )
    if largest_increase or largest_decrease:
        name = LABELS[largest_increase or largest_decrease or ""]
        return Text(f"Première cause\u00a0: {name.fr.lower()}", f"First cause: {name.en.lower()}")
    return tr("Aucune cause mesurable", "No measurable cause")


def _sentences(effects: ChangeEffects, ids: dict[str, str]) -> tuple[Sentence, ...]:
    """At most three sentences: the largest increase, the largest decrease, the effect of revised figures."""
    sentences = []
    for sign, fr, en in (
        (1, "Ce qui ajoute le plus : {cause}, {{value}}.", "What added most: {cause}, {{value}}."),
        (-1, "Ce qui retranche le plus : {cause}, {{value}}.", "What took most away: {cause}, {{value}}."),
    ):
        name = _largest_clear_effect(effects, sign)
        if name is not None:
            text = tr(fr.format(cause=LABELS[name].fr.lower()), en.format(cause=LABELS[name].en.lower()))
            sentences.append(Sentence(text, {"value": Ref(ids[name])}, (ids[name],)))
    if "method" in effects.by_cause and effects.is_published:
        text = tr(
            "Ce que l’édition précédente ne pouvait savoir (méthode, facteurs, relevés tardifs) : {value}.",
            "What the edition before could not know (method, factors, late readings): {value}.",
        )
        sentences.append(Sentence(text, {"value": Ref(ids["method"])}, (ids["method"],)))
    if not sentences:
        sentences.append(Sentence(tr("Aucun effet n’est mesurable.", "No effect is measurable.")))
    return tuple(sentences)


def _alternative(effects: ChangeEffects) -> Text:
    increases = [LABELS[name] for name, (value, _) in effects.by_cause.items() if value > 0]
    decreases = [LABELS[name] for name, (value, _) in effects.by_cause.items() if value < 0]
    return tr(
        f"En hausse : {', '.join(label.fr.lower() for label in increases) or 'rien'}. En baisse : {', '.join(label.fr.lower() for label in decreases) or 'rien'}.",
        f"Upwards: {', '.join(label.en.lower() for label in increases) or 'none'}. Downwards: {', '.join(label.en.lower() for label in decreases) or 'none'}.",
    )
