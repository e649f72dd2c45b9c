"""This file lists what was corrected: old, new, cause and date, since the version before and in earlier periods."""

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
REVISED = 1e-9  # relative: below, two values are the same


def section(facts: EditionData, book: FigureRegistry) -> Section:
    """A table of this period's versions and of earlier periods that say otherwise today."""
    rows = [row for row in _rows(facts, book) if row is not None]
    if not rows:
        text = tr("Aucun chiffre publié n’a été révisé.", "No published figure was revised.")
        return _made(facts, (Paragraphs((Sentence(text),)),))
    columns = (
        Column(tr("période", "period")),
        Column(tr("indicateur", "indicator")),
        Column(tr("ancien", "old"), "value"),
        Column(tr("nouveau", "new"), "value"),
        Column(tr("cause", "cause")),
        Column(tr("publié le", "published")),
    )
    table = Table("revisions", columns, tuple(rows), tr("Révisions", "Revisions"))
    drawn = _vintages(facts, book)
    if drawn is None:
        return _made(facts, (table,))
    unit, period = book[book.level(ENERGY, facts.now, facts.period)].display[1], short_period(facts.period)
    said = tr(f"Énergie, {period.fr}, {unit}, version par version", f"Energy, {period.en}, {unit}, version by version")
    return _made(facts, (table, drawn), said)


def _made(facts: EditionData, blocks: tuple[Block, ...], subtitle: Text = EMPTY_TEXT) -> Section:
    reason = facts.context.reason
    note = join_texts(
        tr("Toutes les versions restent en ligne.", "All versions stay online."), KINDS[facts.context.kind], Text(reason, reason)
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


def _rows(facts: EditionData, book: FigureRegistry) -> list[TableRow | None]:
    told = []
    own = facts.context.latest(str(facts.period))
    if own is not None:
        told += [
            _row(facts, book, facts.period, measure, own, facts.context.changes, facts.now) for measure in (ENERGY, LOCATION)
        ]
    for period in (facts.previous, facts.year_ago):
        vintage = facts.context.latest(str(period))
        asked = facts.quarters.get(str(period))
        if vintage is not None and asked is not None:
            told += [_row(facts, book, period, measure, vintage, (), asked) for measure in (ENERGY, LOCATION)]
    return told


def _row(
    facts: EditionData,
    book: FigureRegistry,
    period: Period,
    measure: Measure,
    vintage: ReleasedVersion,
    changes: tuple[Change, ...],
    asked: IndicatorRow,
) -> TableRow | None:
    """Of one indicator; None where it stands as it was published."""
    old = vintage.figures.get(f"{measure.indicator}||+0m{facts.period.length}", (None, None, None))
    told = measure.of(asked)
    if old[0] is None or told is None or abs(told[0] - old[0]) <= REVISED * abs(old[0]):
        return None
    new = book.level(measure, asked, period)
    before = book.plain(
        f"{measure.indicator}|v{vintage.version}|{book.offset(period)}",
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
            display=book[new].display,
            question=book.question(period, ()),
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
        _cause(measure, vintage, changes, asked),
        _day(facts, vintage),
    )
    return TableRow(cells)


def _cause(measure: Measure, vintage: ReleasedVersion, changes: tuple[Change, ...], asked: IndicatorRow) -> Text:
    """What moved the indicator, largest first; of an earlier period, what its versions tell."""
    moved = [(abs(each.energy_kwh if measure is ENERGY else each.co2e_g or 0.0), each.cause) for each in changes]
    names = [cause for size, cause in sorted(moved, reverse=True) if size > 0]
    if not names and vintage.method_version != asked.row["method_version"]:
        names = ["method"]
    if not names and vintage.factor_version != asked.row["factor_version"] and measure is LOCATION:
        names = ["factors"]
    texts = [CAUSES[name] for name in names] or [CAUSES["late-data"]]
    return Text(", ".join(text.fr for text in texts), ", ".join(text.en for text in texts))


def _day(facts: EditionData, vintage: ReleasedVersion) -> Text:
    return date_text(to_datetime(parse_instant(vintage.released)).astimezone(facts.config.timezone).date())


def _vintages(facts: EditionData, book: FigureRegistry) -> Chart | None:
    """The period as each version gave it; a line of one point says nothing."""
    key = f"{ENERGY.indicator}||+0m{facts.period.length}"
    size, unit = book[book.level(ENERGY, facts.now, facts.period)].display
    told = []
    for vintage in sorted(facts.context.vintages, key=lambda each: each.version):
        value, low, high = vintage.figures.get(key, (None, None, None))
        if vintage.period == str(facts.period) and value is not None and low is not None and high is not None:
            told.append((f"v{vintage.version}", vintage.released[:10], value / size, low / size, high / size))
    now = ENERGY.of(facts.now)
    if not told or now is None or now[1] is None or now[2] is None:
        return None
    told.append((f"v{facts.context.version}", facts.context.released[:10], now[0] / size, now[1] / size, now[2] / size))
    text = tr(
        f"Énergie de {parse_period(str(facts.period))} en {len(told)} versions.",
        f"Energy of {parse_period(str(facts.period))} in {len(told)} versions.",
    )
    return Chart("vintages", Vintages(unit, tuple(told)), text)
