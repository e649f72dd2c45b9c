"""Section: corrections: old value, new value, cause and date, since the last version and in earlier periods."""

from __future__ import annotations

from footprint.calendar.periods import Period, parse_period
from footprint.core.timestamps import parse_instant, to_datetime
from footprint.editions.document import (
    Block,
    Cell,
    Chart,
    Column,
    Figure,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Table,
    TableRow,
    Text,
    Vintages,
)
from footprint.editions.edition_data import EditionData, IndicatorRow
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY, LOCATION, Measure
from footprint.editions.release_context import Change, ReleasedVersion
from footprint.editions.texts import EMPTY_TEXT, date_text, join_texts, short_period, tr

CAUSES = {
    "late-data": tr("relevés tardifs", "late readings"),
    "factors": tr("facteurs", "factors"),
    "method": tr("méthode", "method"),
    "facts": tr("faits déclarés (PUE, placements…)", "declared facts (PUE, placements…)"),
}
KINDS = {
    "routine": tr("révision courante", "routine revision"),
    "major": tr("révision majeure", "major revision"),
    "unscheduled": tr("correction d’erreur", "correction of an error"),
    "": EMPTY_TEXT,
}
RELATIVE_TOLERANCE = 1e-9  # values that differ by less are equal


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """A table of this period's versions, and of earlier periods whose values changed since."""
    rows = [row for row in _rows(data, registry) if row is not None]
    if not rows:
        text = tr("Aucun chiffre publié n’a été révisé.", "No published figure was revised.")
        return _build_section(data, (Paragraphs((Sentence(text),)),))
    columns = (
        Column(tr("période", "period")),
        Column(tr("indicateur", "indicator")),
        Column(tr("ancien", "old"), "value"),
        Column(tr("nouveau", "new"), "value"),
        Column(tr("cause", "cause")),
        Column(tr("publié le", "published")),
    )
    table = Table("revisions", columns, tuple(rows), tr("Révisions", "Revisions"))
    chart = _version_chart(data, registry)
    if chart is None:
        return _build_section(data, (table,))
    unit, period = registry[registry.add_level(ENERGY, data.current, data.period)].display[1], short_period(data.period)
    subtitle = tr(f"Énergie, {period.fr}, {unit}, version par version", f"Energy, {period.en}, {unit}, version by version")
    return _build_section(data, (table, chart), subtitle)


def _build_section(data: EditionData, blocks: tuple[Block, ...], subtitle: Text = EMPTY_TEXT) -> Section:
    reason = data.context.reason
    note = join_texts(
        tr("Toutes les versions restent en ligne.", "All versions stay online."), KINDS[data.context.kind], Text(reason, reason)
    )
    return Section(
        "revisions",
        tr("Révisions", "Revisions"),
        note,
        tr("Ce qui a été corrigé", "What was corrected"),
        subtitle,
        blocks,
        EMPTY_TEXT,
    )


def _rows(data: EditionData, registry: FigureRegistry) -> list[TableRow | None]:
    rows = []
    latest = data.context.latest(str(data.period))
    if latest is not None:
        rows += [
            _row(data, registry, data.period, measure, latest, data.context.changes, data.current)
            for measure in (ENERGY, LOCATION)
        ]
    for period in (data.previous, data.year_ago):
        vintage = data.context.latest(str(period))
        indicators = data.totals.get(str(period))
        if vintage is not None and indicators is not None:
            rows += [_row(data, registry, period, measure, vintage, (), indicators) for measure in (ENERGY, LOCATION)]
    return rows


def _row(
    data: EditionData,
    registry: FigureRegistry,
    period: Period,
    measure: Measure,
    vintage: ReleasedVersion,
    changes: tuple[Change, ...],
    indicators: IndicatorRow,
) -> TableRow | None:
    """The row of one indicator; None if its published value stands."""
    old = vintage.figures.get(f"{measure.indicator}||+0m{data.period.length}", (None, None, None))
    bounds = measure.level(indicators)
    if old[0] is None or bounds is None or abs(bounds[0] - old[0]) <= RELATIVE_TOLERANCE * abs(old[0]):
        return None
    new = registry.add_level(measure, indicators, period)
    before = registry.add_figure(
        f"{measure.indicator}|v{vintage.version}|{registry.period_offset(period)}",
        Figure(
            id="",
            indicator=measure.indicator,
            label=measure.label,
            kind="level",
            unit=measure.unit,
            period=str(period),
            value=old[0],
            low=old[1],
            high=old[2],
            display=registry[new].display,
            question=registry.query_parameters(period, ()),
            method_version=vintage.method_version,
            factor_version=vintage.factor_version,
            formula=f"as published, version {vintage.version}",
        ),
    )
    cells: tuple[Cell, ...] = (
        short_period(period),
        measure.label,
        Ref(before, "value-unit"),
        Ref(new, "value-unit"),
        _cause_text(measure, vintage, changes, indicators),
        _release_day(data, vintage),
    )
    return TableRow(cells)


def _cause_text(measure: Measure, vintage: ReleasedVersion, changes: tuple[Change, ...], indicators: IndicatorRow) -> Text:
    """Causes by size, largest first; for an earlier period, as its versions suggest."""
    changes_by_size = [
        (abs(change.energy_kwh if measure is ENERGY else change.co2e_g or 0.0), change.cause) for change in changes
    ]
    names = [cause for size, cause in sorted(changes_by_size, reverse=True) if size > 0]
    if not names and vintage.method_version != indicators.row["method_version"]:
        names = ["method"]
    if not names and vintage.factor_version != indicators.row["factor_version"] and measure is LOCATION:
        names = ["factors"]
    texts = [CAUSES[name] for name in names] or [CAUSES["late-data"]]
    return Text(", ".join(text.fr for text in texts), ", ".join(text.en for text in texts))


def _release_day(data: EditionData, vintage: ReleasedVersion) -> Text:
    return date_text(to_datetime(parse_instant(vintage.released)).astimezone(data.config.timezone).date())


def _version_chart(data: EditionData, registry: FigureRegistry) -> Chart | None:
    """The period as each version gave it; None with a single version."""
    key = f"{ENERGY.indicator}||+0m{data.period.length}"
    size, unit = registry[registry.add_level(ENERGY, data.current, data.period)].display
    published = []
    for vintage in sorted(data.context.vintages, key=lambda version: version.version):
        value, low, high = vintage.figures.get(key, (None, None, None))
        if vintage.period == str(data.period) and value is not None and low is not None and high is not None:
            published.append((f"v{vintage.version}", vintage.released[:10], value / size, low / size, high / size))
    now = ENERGY.level(data.current)
    if not published or now is None or now[1] is None or now[2] is None:
        return None
    published.append((f"v{data.context.version}", data.context.released[:10], now[0] / size, now[1] / size, now[2] / size))
    text = tr(
        f"Énergie de {parse_period(str(data.period))} en {len(published)} versions.",
        f"Energy of {parse_period(str(data.period))} in {len(published)} versions.",
    )
    return Chart("vintages", Vintages(unit, tuple(published)), text)
