"""Section: the five quality indicators of official statistics, known gaps, and who saw the edition before its release."""

from __future__ import annotations

from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_HOUR
from footprint.editions.document import (
    Cell,
    Column,
    Figure,
    FigureMark,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Table,
    TableRow,
    Text,
)
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.texts import date_text, tr


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """Completeness, imputation rate, mean absolute revision, punctuality, closure residual."""
    rows = tuple(
        TableRow((label, _cell(registry, identity), words)) for identity, label, words in _quality_numbers(data, registry)
    )
    columns = (
        Column(tr("indicateur", "indicator")),
        Column(tr("valeur", "value"), "value"),
        Column(tr("définition", "definition")),
    )
    return Section(
        "quality",
        tr("Qualité", "Quality"),
        tr("Au sens des statistiques officielles.", "As official statistics mean it."),
        tr("Cinq nombres de qualité", "Five numbers of quality"),
        tr("Période de l’édition, sauf mention", "Period of the edition, unless said"),
        (
            Table("quality", columns, rows, tr("Indicateurs de qualité", "Quality indicators")),
            Paragraphs(_known_limits(data), "bullets"),
        ),
        source_line(data),
        annex=True,
    )


def _cell(registry: FigureRegistry, identity: str) -> Cell:
    return FigureMark(registry[identity].flags[0]) if registry[identity].value is None else Ref(identity, "value-unit")


def _quality_numbers(data: EditionData, registry: FigureRegistry) -> list[tuple[str, Text, Text]]:
    def figure(name: str, label: Text, value: float | None, unit: str, kind: str, formula: str) -> str:
        return registry.add_figure(
            f"{name}|",
            Figure(
                id="",
                indicator=name,
                label=label,
                kind=kind,  # type: ignore[arg-type]
                unit=unit,
                period=str(data.period),
                value=value,
                display=(1.0, "" if unit == "1" else unit),
                flags=() if value is not None else ("x",),
                obs_status="A" if value is not None else "M",
                formula=formula,
            ),
        )

    total = data.coverage.total
    imputed = (total.modelled + total.bridged) / total.expected if total.expected else None
    residual = float(sum(abs(row["residual_uj"]) for row in data.closure)) / 1e6 if data.closure else None
    lateness = [taken - allowed for _, allowed, taken in data.context.delays]
    indicators = (
        (
            "completeness",
            tr("Complétude", "Completeness"),
            data.current.row["coverage"],
            "1",
            "share",
            "device-seconds read / expected",
            tr("temps des appareils relevé, sur attendu", "device time read, over expected"),
        ),
        (
            "imputation_rate",
            tr("Taux d’imputation", "Imputation rate"),
            imputed,
            "1",
            "share",
            "(modelled + bridged) / expected",
            tr("temps modélisé ou comblé par un compteur, sur attendu", "time modelled or bridged by a counter, over expected"),
        ),
        (
            "mean_absolute_revision",
            tr("Révision absolue moyenne", "Mean absolute revision"),
            _revision(data),
            "1",
            "share",
            "mean of |last - first| / first over periods published twice",
            tr(
                "de l’énergie, de la première à la dernière version des périodes déjà publiées",
                "of energy, from the first to the last version of periods published before",
            ),
        ),
        (
            "punctuality",
            tr("Ponctualité", "Punctuality"),
            float(max(lateness)) if lateness else None,
            "d",
            "level",
            "largest of days taken - days announced",
            tr(
                "plus grand retard, en jours, sur la date annoncée ; négatif, en avance",
                "largest delay, in days, on the announced date; negative, ahead of it",
            ),
        ),
        (
            "closure_residual",
            tr("Résidu du bilan", "Closure residual"),
            residual,
            "J",
            "level",
            "sum of |read - rows| over hosts",
            tr("énergie relevée qui ne se retrouve dans aucune ligne", "energy read that stands in no row"),
        ),
    )
    return [
        (figure(name, label, value, unit, kind, formula), label, words)
        for name, label, value, unit, kind, formula, words in indicators
    ]


def _revision(data: EditionData) -> float | None:
    """Mean absolute relative revision over the periods published twice or more."""
    key = f"{ENERGY.indicator}||+0m{data.period.length}"
    of_period: dict[str, list[float]] = {}
    for vintage in sorted(data.context.vintages, key=lambda version: (version.period, version.version)):
        value = vintage.figures.get(key, (None, None, None))[0]
        if value:
            of_period.setdefault(vintage.period, []).append(value)
    revisions = [abs(values[-1] - values[0]) / values[0] for values in of_period.values() if len(values) > 1]
    return sum(revisions) / len(revisions) if revisions else None


def _known_limits(data: EditionData) -> tuple[Sentence, ...]:
    sentences = []
    for gap in data.coverage.gaps:
        day = date_text(to_datetime(gap.start_us).astimezone(data.config.timezone).date())
        hours = round((gap.end_us - gap.start_us) / US_PER_HOUR)
        sentences.append(
            Sentence(
                tr(
                    f"Trou connu : {gap.host}, {hours} heures à partir du {day.fr}.",
                    f"Known gap: {gap.host}, {hours} hours from {day.en} on.",
                )
            )
        )
    sentences.append(
        Sentence(
            tr(
                "Exclus : entraînement des modèles, réseau, terminaux des utilisateurs, modèles hébergés chez un fournisseur.",
                "Excluded: training of models, network, users’ devices, models hosted by a supplier.",
            )
        )
    )
    early_readers = data.config.editions.seen_before
    sentences.append(
        Sentence(
            tr(
                f"Ont eu connaissance de l’édition avant sa parution : {', '.join(early_readers)}.",
                f"Saw the edition before its release: {', '.join(early_readers)}.",
            )
            if early_readers
            else tr("Personne n’a eu connaissance de l’édition avant sa parution.", "Nobody saw the edition before its release.")
        )
    )
    return tuple(sentences)
