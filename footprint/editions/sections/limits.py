"""Section: at most six limits, the one with the largest effect on the figures first."""

from __future__ import annotations

from footprint.editions.document import Figure, Paragraphs, Ref, Section, Sentence
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import MIN_UNFLAGGED_COVERAGE, FigureRegistry
from footprint.editions.indicators import LOCATION
from footprint.editions.sections.uncertainty import cause_text, ranked_causes
from footprint.editions.texts import EMPTY_TEXT, tr

MAX_LIMITS = 6


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """Limits from the uncertainty budget and the flags of the period, then the permanent ones."""
    sentences = [
        sentence
        for sentence in (
            _grid_factor_limit(data, registry),
            _first_cause_limit(data),
            _coverage_limit(data),
            *_flag_limits(data),
            *_permanent_limits(),
        )
        if sentence is not None
    ]
    return Section(
        "limits",
        tr("Limites", "Limits"),
        tr("De la plus influente à la moins influente.", "Most influential first."),
        tr("Ce que ces chiffres ne permettent pas de conclure", "What these figures do not allow to conclude"),
        EMPTY_TEXT,
        (Paragraphs(tuple(sentences[:MAX_LIMITS]), "bullets"),),
        EMPTY_TEXT,
    )


def _grid_factor_limit(data: EditionData, registry: FigureRegistry) -> Sentence | None:
    """How far another published table for the same grid would move emissions: no interval contains that."""
    values = [
        (row["value"], str(row["variant"]))
        for row in data.sensitivity
        if row["figure"] == "co2e_location_g" and row["value"] is not None and row["variant"] != data.config.electricity
    ]
    if not values or data.current.row["co2e_location_g"] is None:
        return None
    display, ids = LOCATION.display(data.current.row["co2e_location_g"]), []
    for name, (value, variant) in (("low", min(values)), ("high", max(values))):
        ids.append(
            registry.add_figure(
                f"sensitivity_{name}|",
                Figure(
                    id="",
                    indicator=f"co2e_location_{name}_of_sources",
                    label=LOCATION.label,
                    kind="level",
                    unit="gCO2e",
                    period=str(data.period),
                    value=value,
                    display=display,
                    formula=f"E x {variant}",
                ),
            )
        )
    text = tr(
        "Facteur du réseau : selon la source publiée que l’on retient, les émissions iraient de {low} à {high}. Aucun intervalle ne le dit.",
        "Grid factor: by the published source that one takes, emissions would run from {low} to {high}. No interval says so.",
    )
    return Sentence(text, {"low": Ref(ids[0], "value-unit"), "high": Ref(ids[1], "value-unit")}, tuple(ids))


def _first_cause_limit(data: EditionData) -> Sentence | None:
    causes, _ = ranked_causes(data)
    cause_names = [cause for cause, _, _ in causes if not cause.startswith("factor ")]
    if not cause_names:
        return None
    cause = cause_text(cause_names[0])
    return Sentence(
        tr(
            f"{cause.fr} : première cause d’incertitude après le facteur du réseau ; c’est là qu’une meilleure mesure servirait le plus.",
            f"{cause.en}: first cause of uncertainty after the grid factor; a better measurement would serve most there.",
        )
    )


def _coverage_limit(data: EditionData) -> Sentence | None:
    coverage = data.current.row["coverage"]
    if coverage is None or coverage >= MIN_UNFLAGGED_COVERAGE:
        return None
    return Sentence(
        tr(
            "Couverture : plus d’un cinquième du temps des appareils n’a pas été relevé ; les variations peuvent en dépendre.",
            "Coverage: more than a fifth of device time was not read; changes may depend on it.",
        )
    )


def _flag_limits(data: EditionData) -> list[Sentence]:
    flags = set((data.current.row["flags"] or "").split("+"))
    texts = {
        "assumed-pue": tr(
            "PUE : supposé pour une partie des sites, faute de déclaration.",
            "PUE: assumed for some sites, for lack of a declaration.",
        ),
        "assumed-uplift": tr(
            "Serveurs : ce que les capteurs ne voient pas est supposé, non mesuré au mur.",
            "Servers: what sensors do not see is assumed, not measured at the wall.",
        ),
        "idle-not-learnt": tr(
            "À vide : la puissance au repos de certains services n’a pas pu être apprise ; tout y compte comme actif.",
            "Idle: the idle power of some services could not be learnt; all of it counts as active.",
        ),
        "requests-in-quarantine": tr(
            "Journaux : des requêtes dont la durée ne va pas avec les jetons comptent, mais leur part d’énergie est bornée.",
            "Logs: requests whose duration does not fit their tokens count, but their share of the energy is bounded.",
        ),
        "sensor-in-doubt": tr(
            "Capteurs : une partie de l’énergie repose sur des capteurs que leur témoin contredit ; l’intervalle tient compte des deux.",
            "Sensors: some energy rests on sensors that their witness contradicts; the interval holds both.",
        ),
        "split-by-declared-weights": tr(
            "Répartition : certains services sont répartis par des poids déclarés, non par leurs propres mesures.",
            "Split: some services are divided by declared weights, not by their own measurements.",
        ),
    }
    return [Sentence(text) for flag, text in texts.items() if flag in flags]


def _permanent_limits() -> tuple[Sentence, ...]:
    return (
        Sentence(
            tr(
                "Réseau : le facteur est une moyenne annuelle. Il ne dit rien de l’effet d’une requête de plus.",
                "Grid: the factor is a yearly average. It says nothing of the effect of one more request.",
            )
        ),
        Sentence(
            tr(
                "Fabrication : étalée sur une durée de vie supposée ou déclarée. Elle n’est jamais ajoutée aux émissions d’exploitation.",
                "Embodied: spread over an assumed or declared life. It is never added to operational emissions.",
            )
        ),
        Sentence(
            tr(
                "Périmètre : ni l’entraînement des modèles, ni le réseau, ni les terminaux.",
                "Boundary: neither the training of models, nor the network, nor users’ devices.",
            )
        ),
    )
