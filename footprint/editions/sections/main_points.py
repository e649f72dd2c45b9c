"""Section and headline: main points, each a claim with the figures that it needs; left out without them."""

from __future__ import annotations

from footprint.core.estimate import Estimate
from footprint.editions.document import Figure, Paragraphs, Ref, Section, Sentence, Text
from footprint.editions.edition_data import RESERVED_NAMES, EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY, LOCATION, PER_REQUESTS, REQUESTS, Measure
from footprint.editions.texts import EMPTY_TEXT, in_comparison, in_sentence, join_texts, list_names, number_word, tr

MAX_POINTS = 5
NAMED_USES = 2  # use cases that the fourth point names


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """At most five sentences, in the same order each quarter."""
    claims = (
        _level_point(
            data,
            registry,
            ENERGY,
            tr("Les services d’IA ont consommé {value}, refroidissement compris", "AI services used {value}, cooling included"),
        ),
        _level_point(
            data,
            registry,
            LOCATION,
            tr("Les émissions d’exploitation atteignent {value}", "Operational emissions reached {value}"),
        ),
        _level_point(
            data, registry, PER_REQUESTS, tr("Chaque millier de requêtes demande {value}", "Every thousand requests took {value}")
        ),
        _leading_uses_point(data, registry),
        _overhead_point(data, registry),
    )
    points = tuple(claim for claim in claims if claim is not None)[:MAX_POINTS]
    return Section("points", EMPTY_TEXT, EMPTY_TEXT, EMPTY_TEXT, EMPTY_TEXT, (Paragraphs(points, "lead"),), EMPTY_TEXT)


def is_measurable(change: Figure) -> bool | None:
    """Whether the interval of a change excludes 0; None if the change is unknown."""
    if change.value is None:
        return None
    if change.low is None or change.high is None:
        return change.value != 0
    return not change.low <= 0 <= change.high


def total_change(data: EditionData, registry: FigureRegistry, measure: Measure) -> Figure | None:
    """The change of the total against the base period; None without one."""
    base = data.base
    if base is None:
        return None
    identity = registry.add_change(measure, data.current, data.totals[str(base)], (data.period, base))
    return registry[identity]


def _level_point(data: EditionData, registry: FigureRegistry, measure: Measure, beginning: Text) -> Sentence | None:
    """A level, and its change if known."""
    level = registry.add_level(measure, data.current, data.period)
    if registry[level].value is None:
        return None
    refs, evidence = {"value": Ref(level, note=True)}, [level]
    change = total_change(data, registry, measure)
    is_clear = None if change is None else is_measurable(change)
    if change is None or is_clear is None or data.base is None:
        return Sentence(join_texts(beginning, tr(".", "."), by=""), refs, tuple(evidence))
    against, period = in_sentence(data.base), tr("soit", "that is")
    if is_clear:
        ending = Text(
            f", {period.fr} {{change}} par rapport {in_comparison(data.base).fr}.",
            f", {period.en} {{change}} against {against.en}.",
        )
    else:
        ending = Text(
            f". L’écart avec {against.fr} n’est pas mesurable\u00a0: {{change}}.",
            f". The difference from {against.en} is not measurable: {{change}}.",
        )
    refs["change"] = Ref(change.id)
    return Sentence(join_texts(beginning, ending, by=""), refs, (level, change.id))


def _leading_uses_point(data: EditionData, registry: FigureRegistry) -> Sentence | None:
    """The share of the largest use cases in the energy."""
    rows = data.uses.get(str(data.period), {})
    names = [name for name in data.ranked_use_cases() if not data.is_confidential((("use_case", name),), str(data.period))][
        :NAMED_USES
    ]
    if len(names) < NAMED_USES or len(data.ranked_use_cases()) <= NAMED_USES:
        return None
    total_kwh = data.current.row["energy_kwh"]
    indicators = [rows[name,] for name in names]
    energy_kwh = sum(row.row["energy_kwh"] for row in indicators)
    # Errors of sensors and PUE cancel between part and total; only the uncertainty of the split remains.
    half_width_kwh = sum(_half_width(row.energy.filtered(only=("split ",)).interval(0.0)) for row in indicators)
    share = Estimate(
        energy_kwh / total_kwh,
        max(energy_kwh - half_width_kwh, 0.0) / total_kwh,
        min((energy_kwh + half_width_kwh) / total_kwh, 1.0),
    )
    label = tr("Part des deux premiers usages dans l’énergie", "Share of the two largest uses in energy")
    identity = registry.add_share(
        "leading_share",
        label,
        share,
        f"({' + '.join(names)}) / energy_kwh",
        query_parameters={
            **registry.query_parameters(data.period, ()),
            "group": "use_case",
            "where": [f"use_case={name}" for name in names],
        },
    )
    if registry[identity].value is None:
        return None
    names_text, count_word = list_names(names), number_word(len(names))
    text = Text(
        f"{count_word.fr} usages, {names_text.fr}, font {{share}} de l’énergie.",
        f"{count_word.en} uses, {names_text.en}, make up {{share}} of the energy.",
    )
    return Sentence(text, {"share": Ref(identity, note=True)}, (identity,))


def _half_width(bounds: tuple[float, float]) -> float:
    return (bounds[1] - bounds[0]) / 2


def _overhead_point(data: EditionData, registry: FigureRegistry) -> Sentence | None:
    """The share of energy that serves no known use case: idle, building, unattributed."""
    rows, total_kwh = data.uses.get(str(data.period), {}), data.current.row["energy_kwh"]
    if not total_kwh:
        return None
    reserved_kwh = sum(rows[name,].it_kwh for name in RESERVED_NAMES if (name,) in rows)
    facility_kwh = data.current.row["facility_kwh"]
    value = (reserved_kwh + facility_kwh) / total_kwh
    pue = data.current.energy.filtered(only=("pue ",)).interval(0.0)
    half = _half_width(pue) * (total_kwh - facility_kwh - reserved_kwh) / total_kwh / total_kwh
    share = Estimate(value, max(value - half, 0.0), min(value + half, 1.0))
    label = tr("Part à vide, du bâtiment et non attribuée", "Idle, building and unattributed share")
    identity = registry.add_share(
        "overhead_share", label, share, "(IT energy of (idle) and (unattributed) + facility_kwh) / energy_kwh"
    )
    if registry[identity].value is None:
        return None
    text = tr(
        "{share} de l’énergie part à vide, en refroidissement, ou reste sans usage connu.",
        "{share} of the energy went idle, into cooling, or has no known use.",
    )
    return Sentence(text, {"share": Ref(identity, note=True)}, (identity,))


def headline_sentence(data: EditionData, registry: FigureRegistry) -> Sentence:
    """The finding on one line: a change only if its interval excludes 0."""
    energy = total_change(data, registry, ENERGY)
    is_clear = None if energy is None else is_measurable(energy)
    if energy is None or is_clear is None:
        level = registry.add_level(ENERGY, data.current, data.period)
        if registry[level].value is None:
            return Sentence(tr("Empreinte des services d’IA", "Footprint of AI services"))
        text = tr("Les services d’IA ont consommé {value}", "AI services used {value}")
        return Sentence(text, {"value": Ref(level, "value-unit")}, (level,))
    if is_clear:
        has_risen = (energy.value or 0) > 0
        text = (
            tr("La consommation a augmenté de {size}", "Consumption rose by {size}")
            if has_risen
            else tr("La consommation a diminué de {size}", "Consumption fell by {size}")
        )
        return Sentence(text, {"size": Ref(_change_size(registry, energy), "value")}, (energy.id,))
    text = tr("La consommation n’a pas mesurablement changé", "Consumption did not change measurably")
    requests = total_change(data, registry, REQUESTS)
    if requests is None or not requests.value or abs(requests.value) < 0.01:
        return Sentence(text, {}, (energy.id,))
    request_change = (
        tr(", pour {size} de requêtes en plus", ", with {size} more requests")
        if requests.value > 0
        else tr(", pour {size} de requêtes en moins", ", with {size} fewer requests")
    )
    return Sentence(
        join_texts(text, request_change, by=""),
        {"size": Ref(_change_size(registry, requests), "value")},
        (energy.id, requests.id),
    )


def _change_size(registry: FigureRegistry, change: Figure) -> str:
    """Add the size of a change without its sign, as a figure of its own, and return its id."""
    low, high = change.low, change.high
    negative = (change.value or 0) < 0
    bounds = (None, None) if low is None or high is None else (-high, -low) if negative else (low, high)
    sized = Figure(
        id="",
        indicator=f"{change.indicator}_change_size",
        label=change.label,
        kind="share",
        unit="1",
        period=change.period,
        value=abs(change.value or 0),
        low=bounds[0],
        high=bounds[1],
        quality=change.quality,
        coverage=change.coverage,
        obs_status=change.obs_status,
        flags=change.flags,
        method_version=change.method_version,
        factor_version=change.factor_version,
        question=change.question,
        formula=f"|{change.formula}|",
    )
    return registry.add_figure(f"{change.indicator}|size", sized)
