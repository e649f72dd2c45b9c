"""Registry of methods: formula, unit, source, explanation and computing function of every figure.

Pages, reports and ``footprint methods`` take their explanations from here only. A test compares the registry with the columns
that the computing functions return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from footprint.aggregation import METHOD_VERSION
from footprint.figures.coverage import CoverageIndex
from footprint.figures.metrics import GroupedMetrics
from footprint.figures.row_metrics import figures_from_sums, quality_letter, requests_figures
from footprint.impact.embodied import embodied_ug_per_s
from footprint.impact.indicators import INDICATORS, INVENTORY
from footprint.impact.uncertainty import UncertaintyBudget

COLUMNS = ("figure", "label", "unit", "formula", "source", "words", "computed_by", "version")


@dataclass(frozen=True, slots=True)
class Method:
    """Method of one or several figures; ``label`` and ``words`` are (French, English)."""

    figures: tuple[str, ...]
    unit: str
    label: tuple[str, str]
    formula: str
    source: str
    words: tuple[str, str]
    computed_by: Callable[..., Any]
    french: str = ""  # the formula in French, if it contains words

    def formula_in(self, language: str) -> str:
        """The formula in a language (``fr``, ``en``)."""
        return self.french if language == "fr" and self.french else self.formula


METHODS: tuple[Method, ...] = (
    Method(
        ("requests", "input_tokens", "cached_input_tokens", "output_tokens"),
        "1",
        ("Requêtes et jetons", "Requests and tokens"),
        "sum over requests that end in the period",
        "gateways’ logs",
        (
            "Comptés par les passerelles. Une requête compte là où elle finit ; une fenêtre de plusieurs se répartit sur le temps.",
            "Counted by the gateways. A request counts where it ends; a window of several is divided by time.",
        ),
        requests_figures,
        "somme des requêtes qui finissent dans la période",
    ),
    Method(
        ("energy_kwh", "accelerator_active_kwh", "accelerator_idle_kwh", "host_kwh", "facility_kwh"),
        "kWh",
        ("Énergie", "Energy"),
        "E = (active + idle + host) x PUE",
        "boundary after Google, arXiv 2508.15734; ISO/IEC 30134-2 for the PUE",
        (
            (
                "Ce que les compteurs ont relevé, réparti sans reste : au-dessus du repos, au repos, le reste du serveur, puis le "
                "bâtiment. Ce qu’aucun service n’explique reste visible, non attribué."
            ),
            (
                "What meters read, divided without rest: above idle, idle, the rest of the server, then the building. What no service "
                "explains stays in sight, unattributed."
            ),
        ),
        figures_from_sums,
        "E = (actif + au repos + reste du serveur) x PUE",
    ),
    Method(
        ("energy_low_kwh", "energy_high_kwh", "co2e_location_low_g", "co2e_location_high_g"),
        "kWh; gCO2e",
        ("Intervalle à 95 %", "95% interval"),
        "U = 2 u; u² = sum over causes of (sum of c u)²",
        "JCGM 100:2008 (GUM), 5.1, 5.2, 6.3",
        (
            (
                "Les erreurs d’une même cause (un modèle de capteur, un PUE, un facteur) s’ajoutent ; celles de causes différentes "
                "s’ajoutent en carrés. Ce qui n’a pas été relevé élargit vers le haut."
            ),
            (
                "Errors of one cause (a sensor model, a PUE, a factor) add up; those of different causes add in squares. What was not "
                "read widens towards high."
            ),
        ),
        UncertaintyBudget.interval,
        "U = 2 u ; u² = somme sur les causes de (somme des c u)²",
    ),
    Method(
        ("co2e_location_g",),
        "gCO2e",
        ("Émissions d’exploitation, selon le lieu", "Operational emissions, location-based"),
        "O = E x I",
        "ISO/IEC 21031:2024, 5.2; GHG Protocol Scope 2 Guidance, 2015",
        (
            "L’énergie, fois l’intensité moyenne de l’année du réseau électrique du lieu. Sans la fabrication.",
            "Energy times the yearly average intensity of the grid of the place. Without the making of machines.",
        ),
        figures_from_sums,
    ),
    Method(
        ("co2e_market_g",),
        "gCO2e",
        ("Émissions d’exploitation, selon le marché", "Operational emissions, market-based"),
        "E x factor of the contract",
        "GHG Protocol Scope 2 Guidance, 2015",
        (
            "L’énergie, fois le facteur d’un contrat dont la preuve est déclarée ; vide sans preuve.",
            "Energy times the factor of a contract whose evidence is declared; empty without evidence.",
        ),
        GroupedMetrics.impacts,
        "E x facteur du contrat",
    ),
    Method(
        ("embodied_g",),
        "gCO2e",
        ("Émissions de fabrication", "Embodied emissions"),
        "M = TE x TiR / EL",
        "ISO/IEC 21031:2024, 5.3",
        (
            (
                "Ce qu’il a fallu pour fabriquer le serveur et ses accélérateurs, étalé sur sa durée de vie, puis par temps réservé : "
                "l’attente compte. Rien après la durée de vie déclarée."
            ),
            (
                "What it took to make the server and its accelerators, spread over its life, then by reserved time: waiting counts. "
                "Nothing past the declared life."
            ),
        ),
        embodied_ug_per_s,
    ),
    Method(
        ("water_l",),
        "L",
        ("Eau consommée", "Water consumed"),
        "IT x WUE + E x water of power plants",
        "ISO/IEC 30134-9 (WUE); factors of the book",
        (
            "Sur site : énergie informatique fois WUE. Hors site : eau des centrales électriques, dont les sources se contredisent.",
            "On site: IT energy times WUE. Off site: water of power plants, on which sources disagree.",
        ),
        GroupedMetrics.impacts,
        "IT x WUE + E x eau des centrales",
    ),
    Method(
        ("adpe_kgsb", "primary_energy_mj"),
        "kgSb; MJ",
        ("Ressources minérales ; énergie primaire", "Mineral resources; primary energy"),
        "E x factor of the zone",
        "factors of the book (ADPe, primary energy of electricity)",
        (
            "De l’électricité seule ; vide où aucun facteur n’est connu. La fabrication des machines n’y est pas.",
            "Of electricity alone; empty where no factor is known. The making of machines is not in it.",
        ),
        GroupedMetrics.impacts,
        "E x facteur de la zone",
    ),
    Method(
        ("cost_eur",),
        "EUR",
        ("Coût de l’électricité", "Cost of electricity"),
        "E x dated price",
        "price entered by the operator",
        (
            "L’énergie, fois un prix daté que l’exploitant a saisi ; vide sans prix.",
            "Energy times a dated price that the operator entered; empty without one.",
        ),
        GroupedMetrics.impacts,
        "E x prix daté",
    ),
    Method(
        ("coverage",),
        "1",
        ("Taux de couverture", "Coverage"),
        "device-seconds read / expected",
        "this project; DESIGN.md",
        (
            "Part du temps des appareils attendus qui a vraiment été relevée. Une lecture manquée n’est jamais un zéro.",
            "Share of the expected devices’ time that was really read. A missed reading is never a zero.",
        ),
        CoverageIndex.measure,
        "secondes d’appareil relevées / attendues",
    ),
    Method(
        ("quality",),
        "A–D",
        ("Qualité", "Quality"),
        "worst letter bearing more than 10% of the energy",
        "this project; DESIGN.md",
        (
            "A mesuré ; B en partie modélisé ou déclaré ; C estimé ou supposé ; D parole du fournisseur.",
            "A measured; B partly modelled or declared; C estimated or assumed; D the supplier’s word.",
        ),
        quality_letter,
        "pire lettre qui porte plus de 10 % de l’énergie",
    ),
)


def method_rows(language: str) -> list[dict[str, Any]]:
    """Rows of the methods and of the scores in a language (``fr``, ``en``), with the columns ``COLUMNS``."""
    language_index = 0 if language == "fr" else 1
    rows = [
        {
            "figure": figure,
            "label": method.label[language_index],
            "unit": method.unit,
            "formula": method.formula_in(language),
            "source": method.source,
            "words": method.words[language_index],
            "computed_by": f"{method.computed_by.__module__}.{method.computed_by.__qualname__}",
            "version": METHOD_VERSION,
        }
        for method in METHODS
        for figure in method.figures
    ]
    return rows + [
        {
            "figure": score.name,
            "label": score.label[language_index],
            "unit": score.unit,
            "formula": score.formula,
            "source": score.source,
            "words": score.boundary[language_index],
            "computed_by": "footprint.impact.indicators",
            "version": score.version,
        }
        for score in (*INDICATORS, *INVENTORY)
    ]
