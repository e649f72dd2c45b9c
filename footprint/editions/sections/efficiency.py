"""Section: energy of models for the same work, under equal conditions; no difference if the interval contains 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from footprint.core.estimate import Estimate
from footprint.editions.document import Block, Chart, Column, Dumbbell, Figure, Pair, Ref, Section, Table, TableRow, Text
from footprint.editions.edition_data import RESERVED_NAMES, EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import PER_REQUESTS, PER_TOKENS, TOKENS
from footprint.editions.sections.building_blocks import figure_cell, label_with_unit, source_line
from footprint.editions.texts import EMPTY_TEXT, name_text, number_word, tr


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """Energy per thousand output tokens by model, and per request for use cases that several models serve."""
    models = sorted(
        (
            names
            for names, indicators in data.models.items()
            if names[0] and names[0] not in RESERVED_NAMES and PER_TOKENS.level(indicators)
        ),
        key=lambda names: (PER_TOKENS.level(data.models[names]) or (0.0,))[0],
    )
    blocks: list[Block] = []
    pairs = [_pair(registry, comparison) for comparison in _public_comparisons(data)]
    if pairs:
        blocks.append(Chart("efficiency", Dumbbell("Wh", tuple(pairs)), _alternative(data)))
    if models:
        blocks.append(_table(data, registry, [names[0] for names in models]))
    if not blocks:
        return None
    return Section(
        "by_model",
        EMPTY_TEXT,
        tr(
            "Mêmes machines, même méthode, mélange de jetons comparable ; sinon rien n’est comparé.",
            "Same machines, same method, comparable mix of tokens; else nothing is compared.",
        ),
        _title(data),
        tr(
            "Énergie par réponse et pour 1 000 jetons produits, par modèle",
            "Energy per response and per 1,000 output tokens, by model",
        ),
        tuple(blocks),
        source_line(data),
    )


def _public_comparisons(data: EditionData) -> list[Mapping[str, Any]]:
    """Comparisons without a confidential cell: the use case, and the use case with either model."""

    def hidden(comparison: Mapping[str, Any]) -> bool:
        use = ("use_case", comparison["use_case"])
        cells = ((use,), *((use, ("model", comparison[side])) for side in ("current", "best")))
        return any(data.is_confidential(cell, str(data.period)) for cell in cells)

    return [comparison for comparison in data.comparisons if not hidden(comparison)]


def _is_measurable(ratio: Estimate) -> bool:
    return not ratio.low <= 1 <= ratio.high


def _title(data: EditionData) -> Text:
    comparisons = _public_comparisons(data)
    frugal_count = sum(_is_measurable(comparison["ratio"]) for comparison in comparisons)
    if not comparisons:
        return tr("L’énergie que demande chaque modèle", "The energy that each model takes")
    if not frugal_count:
        return tr("Aucune option mesurablement plus sobre", "No measurably more frugal option")
    number = number_word(frugal_count)
    noun = ("usage", "use") if frugal_count == 1 else ("usages", "uses")
    return Text(
        f"Une option plus sobre existe pour {number.fr.lower()} {noun[0]} sur {len(comparisons)}",
        f"A more frugal option exists for {number.en.lower()} of {len(comparisons)} uses",
    )


def _pair(registry: FigureRegistry, comparison: Mapping[str, object]) -> Pair:
    use_case, ids = str(comparison["use_case"]), {}
    for side in ("current", "best"):
        estimate, model = comparison[f"{side}_wh"], str(comparison[side])
        assert isinstance(estimate, Estimate)
        where = (("use_case", use_case), ("model", model))
        ids[side] = registry.add_figure(
            f"wh_per_request|{use_case}|{side}",
            _figure("wh_per_request", tr("Wh par réponse", "Wh per response"), estimate, where, "E / requests", "Wh"),
        )
    ratio = comparison["ratio"]
    assert isinstance(ratio, Estimate)
    ids["ratio"] = registry.add_figure(
        f"frugal_ratio|{use_case}",
        _figure(
            "frugal_ratio",
            tr("Actuel sur meilleur mesuré", "Current over best measured"),
            Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low) if ratio.low > 0 else Estimate.exactly(1 / ratio.value),
            (("use_case", use_case),),
            f"{comparison['current']} / {comparison['best']}",
            "1",
        ),
    )
    count = comparison["n"]
    return Pair(name_text(use_case), ids["current"], ids["best"], ids["ratio"], int(count) if isinstance(count, int) else 0)


def _figure(indicator: str, label: Text, value: Estimate, where: tuple[tuple[str, str], ...], formula: str, unit: str) -> Figure:
    return Figure(
        id="",
        indicator=indicator,
        label=label,
        kind="ratio",
        unit=unit,
        period="",
        value=value.value,
        low=value.low,
        high=value.high,
        where=where,
        display=(1.0, unit if unit != "1" else ""),
        formula=formula,
    )


def _table(data: EditionData, registry: FigureRegistry, models: list[str]) -> Table:
    measures = (TOKENS, PER_TOKENS, PER_REQUESTS)
    largest = max(data.models[name,].row["output_tokens"] or 0 for name in models)
    display = TOKENS.display(largest)
    rows = []
    for name in models:
        where = (("model", name),)
        ids = [
            registry.add_level(
                measure, data.models[name,], data.period, where=where, display=display if measure is TOKENS else None
            )
            for measure in measures
        ]
        rows.append(
            TableRow(
                (
                    name_text(name),
                    figure_cell(registry, ids[0], "value"),
                    figure_cell(registry, ids[1], "value"),
                    figure_cell(registry, ids[1], "interval"),
                    figure_cell(registry, ids[2], "value"),
                    Ref(ids[1]),
                )
            )
        )
    columns = (
        Column(tr("modèle", "model")),
        Column(label_with_unit(TOKENS.label, display[1]), "value"),
        Column(PER_TOKENS.label, "value"),
        Column(tr("intervalle", "interval"), "interval"),
        Column(PER_REQUESTS.label, "value"),
        Column(tr("qualité", "quality"), "badge"),
    )
    return Table(
        "by_model", columns, tuple(rows), tr("Énergie par modèle, tous usages confondus", "Energy by model, all uses together")
    )


def _alternative(data: EditionData) -> Text:
    names = [
        (str(comparison["use_case"]), str(comparison["current"]), str(comparison["best"]))
        for comparison in _public_comparisons(data)
    ]
    return tr(
        "; ".join(f"{use} : {current}, et {best}" for use, current, best in names).replace(";", " ;") + ".",
        "; ".join(f"{use}: {current}, and {best}" for use, current, best in names) + ".",
    )
