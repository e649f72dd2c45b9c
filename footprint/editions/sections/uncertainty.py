"""Section: causes of uncertainty of the published value, largest first."""

from __future__ import annotations

import math

from footprint.editions.document import (
    Chart,
    Column,
    Figure,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Swing,
    Table,
    TableRow,
    Text,
    Tornado,
)
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY, LOCATION, Measure
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.sections.calibration import calibration_sentences
from footprint.editions.texts import EMPTY_TEXT, tr
from footprint.figures.metrics import SENSORS_IN_DOUBT

MAX_SWINGS = 6
Cause = tuple[str, float, float]  # name in the budget, half-widths towards low and high in the figure's unit


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """Swings around the headline value, and the budget as a table."""
    causes, measure = ranked_causes(data)
    if not causes:
        return None
    centre = registry.add_level(measure, data.current, data.period)
    if registry[centre].value is None:
        return None
    size, unit = registry[centre].display
    swings = tuple(Swing(cause_text(name), -low / size, high / size) for name, low, high in causes[:MAX_SWINGS])
    variance = math.fsum((low * low + high * high) / 2 for _, low, high in causes)
    rows = []
    for name, low, high in causes:
        identity = registry.add_figure(
            f"variance|{name}",
            Figure(
                id="",
                indicator="share_of_variance",
                label=cause_text(name),
                kind="share",
                unit="1",
                period=str(data.period),
                value=(low * low + high * high) / 2 / variance,
                where=(("cause", name),),
                formula="u² of the cause / sum of u²",
            ),
        )
        swing = registry.add_figure(
            f"swing|{name}",
            Figure(
                id="",
                indicator="half_width",
                label=cause_text(name),
                kind="level",
                unit=measure.unit,
                period=str(data.period),
                value=(low + high) / 2,
                display=(size, unit),
                where=(("cause", name),),
                formula="U = 2 u",
            ),
        )
        rows.append(TableRow((cause_text(name), Ref(swing, "value"), Ref(identity, "value"))))
    columns = (
        Column(tr("cause", "cause")),
        Column(tr(f"demi-largeur, {unit}", f"half-width, {unit}"), "value"),
        Column(tr("part de la variance", "share of variance"), "value"),
    )
    first = cause_text(causes[0][0])
    return Section(
        "uncertainty_budget",
        EMPTY_TEXT,
        tr(
            "Effet sur la valeur publiée quand chaque paramètre parcourt son intervalle.",
            "Effect on the published value as each parameter runs through its interval.",
        ),
        Text(
            f"Première source d’incertitude\u00a0: {lower_first(first.fr)}",
            f"First source of uncertainty: {lower_first(first.en)}",
        ),
        tr(f"{unit} autour de la valeur publiée", f"{unit} around the published value"),
        (
            Chart("uncertainty", Tornado(unit, centre, swings), _alternative(causes)),
            Paragraphs(
                (
                    *calibration_sentences(data, registry),
                    Sentence(
                        tr(
                            "Non chiffrés : le choix du périmètre, et ce que les capteurs d’un même modèle auraient tous de faux au-delà de leur "
                            "notice. Méthode : GUM au premier ordre, causes communes additionnées, U = 2 u.",
                            "Not quantified: the choice of boundary, and what all sensors of a model might get wrong beyond their notice. "
                            "Method: first-order GUM, common causes added up, U = 2 u.",
                        )
                    ),
                )
            ),
            Table("uncertainty_budget", columns, tuple(rows), tr("Budget d’incertitude", "Uncertainty budget")),
        ),
        source_line(data),
    )


def ranked_causes(data: EditionData) -> tuple[list[Cause], Measure]:
    """Causes by the size of their effect on emissions, or on energy if emissions are unknown; largest first."""
    grams = data.current.row["co2e_location_g"]
    measure, budget = (LOCATION, data.current.grams) if grams is not None else (ENERGY, data.current.energy)
    value = (grams if grams is not None else data.current.row["energy_kwh"]) or 0.0
    causes = [(name, low, high) for name, (low, high) in budget.causes().items() if low or high]
    if data.current.gap and value > 0:
        causes.append(("gaps", 0.0, value * data.current.gap))
    return sorted(causes, key=lambda cause: (-(cause[1] ** 2 + cause[2] ** 2), cause[0])), measure


def cause_text(cause: str) -> Text:  # noqa: PLR0911 - one line a kind of cause
    """A cause of the budget in words."""
    kind, _, rest = cause.partition(" ")
    if cause == "gaps":
        return tr("Temps non relevé", "Time not read")
    if cause == SENSORS_IN_DOUBT:
        return tr("Capteurs que leur témoin contredit", "Sensors that their witness contradicts")
    if kind == "pue":
        return tr("PUE supposé", "Assumed PUE") if rest == "assumed" else tr(f"PUE de {rest}", f"PUE of {rest}")
    if kind == "uplift":
        return (
            tr("Surcoût supposé des serveurs", "Assumed uplift of servers")
            if rest == "assumed"
            else tr(f"Surcoût du serveur {rest}", f"Uplift of server {rest}")
        )
    if kind == "factor":
        series, _, location = rest.partition("/")
        where = location.partition("/")[0]
        return (
            tr(f"Facteur du réseau ({where})", f"Grid factor ({where})")
            if series.startswith("carbon_intensity")
            else tr(f"Facteur {series} ({where})", f"Factor {series} ({where})")
        )
    if kind == "split":
        return tr(f"Répartition de {rest}", f"Split of {rest}")
    parts = rest.split(" ", 2)
    names = {"gpu": ("GPU", "GPU"), "cpu": ("processeurs", "CPU"), "dram": ("mémoire", "memory"), "host": ("serveur", "server")}
    if parts[0] in names:
        model = f" {parts[2]}" if len(parts) > 2 and parts[2] else ""
        return tr(f"Étalonnage des capteurs, {names[parts[0]][0]}{model}", f"Sensor calibration, {names[parts[0]][1]}{model}")
    return (
        tr("Étalonnage des capteurs", "Sensor calibration")
        if rest != "estimate"
        else tr("Modèle sans capteur", "Model without sensor")
    )


def lower_first(text: str) -> str:
    """A cause within a sentence; abbreviations keep their capitals."""
    return text if text[:3].isupper() else text[:1].lower() + text[1:]


def _alternative(causes: list[Cause]) -> Text:
    names = [cause_text(name) for name, _, _ in causes[:MAX_SWINGS]]
    return tr(
        f"De la plus à la moins influente : {' ; '.join(name.fr for name in names)}.",
        f"From the most to the least influential: {'; '.join(name.en for name in names)}.",
    )
