"""Layout of an edition in one language: every string as printed, still free of markup.

HTML and PDF are made from a sheet alone, so that both read the same, letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from string import Formatter

from babel.dates import format_date, format_datetime

from footprint.core.timestamps import parse_instant, to_datetime
from footprint.editions.document import (
    Cell,
    Chart,
    Cited,
    Column,
    Edition,
    Figure,
    FigureMark,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Table,
    Text,
)
from footprint.editions.figure_format import format_figure, format_reference, short_id
from footprint.editions.forms import phrases
from footprint.editions.forms.charts import draw_chart, strip

LOCALES = {"fr": "fr", "en": "en_GB"}
ALIGNMENTS = {"value": "right", "change": "left", "interval": "left", "badge": "right", "text": "left", "code": "left"}


@dataclass(frozen=True, slots=True)
class TextRun:
    """A run of text of one look: plain, strong, quiet (intervals), note (ids), badge, flag, code.

    ``language`` is set if it differs from the sheet's.
    """

    text: str
    look: str = ""
    language: str = ""


Runs = tuple[TextRun, ...]


@dataclass(frozen=True, slots=True)
class TableSheet:
    """A table: heads with alignment, rows of runs, and the badges and flags to explain below it."""

    caption: str
    heads: tuple[tuple[str, str], ...]  # (text, left | right)
    rows: tuple[tuple[str, tuple[Runs, ...]], ...]  # (look, cells)
    badges: tuple[str, ...]
    flags: tuple[str, ...]
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class ChartSheet:
    """A drawing as SVG, with its name and text alternative."""

    name: str
    svg: str
    alternative: str
    kind: str = "chart"


@dataclass(frozen=True, slots=True)
class ParagraphsSheet:
    """Sentences."""

    look: str
    items: tuple[Runs, ...]
    kind: str = "paragraphs"


BlockSheet = TableSheet | ChartSheet | ParagraphsSheet


@dataclass(frozen=True, slots=True)
class SectionSheet:
    """A section, ready to print."""

    name: str
    label: str
    note: str
    title: str
    subtitle: str
    blocks: tuple[BlockSheet, ...]
    source: str
    committee: bool
    annex: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """An edition in one language."""

    language: str
    title: str  # of the document: the finding
    subject: str
    period: str
    released: str
    organisation: str
    strip: str
    strip_alternative: str
    covered: Runs
    side: tuple[tuple[str, tuple[str, ...]], ...]
    sections: tuple[SectionSheet, ...]
    footer: str
    address: str
    demo: bool
    identity: str  # 2026-Q3 v1
    figures: Mapping[str, Figure] = field(default_factory=dict)


def lay_out(edition: Edition, language: str) -> Sheet:
    """Lay an edition out in a language."""
    figures = {figure.id: figure for figure in edition.figures}
    head = edition.masthead
    counts = {state: str(sum(day.state == state for day in edition.strip)) for state in ("measured", "estimated", "missing")}
    alternative = phrases.STRIP_ALT.in_(language).format(**counts)
    share = format_figure(figures[edition.coverage], language).value if edition.coverage in figures else "[x]"
    before, _, after = phrases.COVERED.in_(language).partition("{share}")
    return Sheet(
        language=language,
        title="".join(run.text for run in sentence_runs(edition.headline, figures, language)),
        subject=phrases.SUBJECT.in_(language),
        period=head.period_label.in_(language),
        released=_released_text(edition, language),
        organisation=head.organisation,
        strip=strip.draw(edition.strip, phrases.STRIP.in_(language), alternative).svg(),
        strip_alternative=alternative,
        covered=tuple(run for run in (TextRun(before), TextRun(share, "strong"), TextRun(after)) if run.text),
        side=tuple(_side_notes(edition, language)),
        sections=tuple(_section(section, figures, language) for section in edition.sections),
        footer=_footer(edition, language),
        address=head.address,
        demo=head.demo,
        identity=f"{head.period}.v{head.version}",
        figures=figures,
    )


def _date_text(text: str, edition: Edition, language: str) -> str:
    """A date, or an instant in the organisation's zone."""
    if "T" not in text:
        return str(format_date(_parse_date(text), "d MMM y", locale=LOCALES[language])).replace(" ", "\u00a0")
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    local = to_datetime(parse_instant(text)).astimezone(ZoneInfo(edition.masthead.timezone))
    pattern = "d MMMM y 'à' H 'h' mm" if language == "fr" else "d MMMM y 'at' HH:mm"
    formatted = str(format_datetime(local, pattern, locale=LOCALES[language]))
    return formatted.removesuffix(" 00") if language == "fr" else formatted


def _parse_date(text: str) -> date:
    return date.fromisoformat(text)


def _released_text(edition: Edition, language: str) -> str:
    if not edition.masthead.released:
        return phrases.DRAFT.in_(language)
    return phrases.RELEASED.in_(language).format(when=_date_text(edition.masthead.released, edition, language))


def _side_notes(edition: Edition, language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Notes beside the main points: status, producer, next release, how to check a figure."""
    head = edition.masthead
    status = f"{phrases.STATUSES[head.status].in_(language)}, {phrases.VERSION.in_(language).format(version=head.version)}"
    lines = [status]
    if head.final_on:
        lines.append(phrases.FINAL_ON.in_(language).format(when=_date_text(head.final_on, edition, language)))
    yield phrases.STATUS.in_(language), tuple(lines)
    yield phrases.PRODUCER.in_(language), tuple(text for text in (head.producer, head.contact) if text)
    if head.next_release:
        yield phrases.NEXT.in_(language), (_date_text(head.next_release, edition, language),)
    if edition.figures:
        yield phrases.CHECK.in_(language), (phrases.CHECK_HOW.in_(language).format(id=edition.figures[0].id),)


def _footer(edition: Edition, language: str) -> str:
    head, basis = edition.masthead, edition.basis
    footer = phrases.FOOTER.in_(language).format(
        period=head.period,
        version=head.version,
        status=phrases.STATUSES[head.status].in_(language).lower(),
        method=basis.method_version,
        factors=basis.factor_version,
        licence=head.licence,
    )
    return footer.removesuffix(" · ")


def _section(section: Section, figures: Mapping[str, Figure], language: str) -> SectionSheet:
    title = section.title.in_(language)
    blocks: list[BlockSheet] = []
    for block in section.blocks:
        if isinstance(block, Chart):
            svg = draw_chart(block, figures, language, title)
            blocks.append(ChartSheet(block.name, svg, block.alternative.in_(language)))
        elif isinstance(block, Table):
            blocks.append(_table(block, figures, language))
        else:
            blocks.append(_paragraphs(block, figures, language))
    return SectionSheet(
        section.name,
        section.label.in_(language),
        section.note.in_(language),
        title,
        section.subtitle.in_(language),
        tuple(blocks),
        _source(section, language),
        section.committee,
        section.annex,
    )


def _source(section: Section, language: str) -> str:
    source = section.source.in_(language)
    return " · ".join(part for part in (source, ", ".join(section.figures)) if part)


def _paragraphs(block: Paragraphs, figures: Mapping[str, Figure], language: str) -> ParagraphsSheet:
    return ParagraphsSheet(block.look, tuple(sentence_runs(sentence, figures, language) for sentence in block.sentences))


def sentence_runs(sentence: Sentence, figures: Mapping[str, Figure], language: str) -> Runs:
    """A sentence as runs; references become figures as ``figure_format.py`` writes them."""
    runs: list[TextRun] = []
    for literal, name, _, _ in Formatter().parse(sentence.text.in_(language)):
        runs.append(TextRun(literal))
        if name is not None:
            runs += reference_runs(sentence.refs[name], figures, language)
    return tuple(run for run in runs if run.text)


def reference_runs(ref: Ref, figures: Mapping[str, Figure], language: str, look: str = "strong") -> list[TextRun]:
    """A cited figure as runs."""
    figure = figures[ref.figure]
    value, interval = format_reference(figure, ref, language)
    runs = [TextRun(value, look)] if value else []
    if interval:
        runs += [TextRun(" ")] * bool(runs) + [TextRun(interval, "quiet")]
    if ref.note:
        runs += [TextRun(" "), TextRun(short_id(figure), "note")]
    return runs


def _table(table: Table, figures: Mapping[str, Figure], language: str) -> TableSheet:
    columns = table.columns
    leading = next((index for index, column in enumerate(columns) if column.kind == "value"), -1)
    rows = []
    for row in table.rows:
        cells = tuple(
            _cell_runs(cell, columns[index], figures, language, strong=index == leading or row.look == "total")
            for index, cell in enumerate(row.cells)
        )
        rows.append((row.look, cells))
    runs = [run for _, cells in rows for cell in cells for run in cell]
    return TableSheet(
        table.caption.in_(language),
        tuple((column.head.in_(language), ALIGNMENTS[column.kind]) for column in columns),
        tuple(rows),
        _keys_in_use(runs, "badge", "ABCD"),
        _keys_in_use(runs, "flag", tuple(phrases.FLAGS)),
    )


def _keys_in_use(runs: Sequence[TextRun], look: str, order: Sequence[str]) -> tuple[str, ...]:
    occurring = {run.text.strip("[]") for run in runs if run.look == look}
    return tuple(name for name in order if name in occurring)


def _cell_runs(cell: Cell, column: Column, figures: Mapping[str, Figure], language: str, *, strong: bool) -> Runs:
    if isinstance(cell, FigureMark):
        return (TextRun(f"[{cell.flag}]", "flag"),)
    if isinstance(cell, Sentence):
        return sentence_runs(cell, figures, language)
    if isinstance(cell, Cited):
        return tuple(TextRun(text, "", own) for text, own in cell.in_(language))
    if isinstance(cell, Text):
        look = "strong" if strong and column.kind == "value" else "code" if column.kind == "code" else ""
        return (TextRun(cell.in_(language), look),)
    return _figure_runs(cell, column, figures, language, "strong" if strong else "")


def _figure_runs(cell: Ref, column: Column, figures: Mapping[str, Figure], language: str, look: str) -> Runs:
    formatted = format_figure(figures[cell.figure], language)
    runs: Runs = tuple(reference_runs(Ref(cell.figure, "full" if cell.form == "value" else cell.form), figures, language, look))
    if column.kind == "badge":
        runs = (TextRun(formatted.badge, "badge"),)
    elif not formatted.has_value:
        runs = (TextRun("" if column.kind == "interval" else formatted.value, "flag"),)
    elif column.kind == "interval":
        runs = (TextRun(formatted.interval, "quiet"),)
    elif column.kind == "value":
        runs = _with_flags((TextRun(formatted.value, look),), formatted.flags)
    return tuple(run for run in runs if run.text)


def _with_flags(runs: Runs, flags: str) -> Runs:
    return (*runs, TextRun(" "), TextRun(flags, "flag")) if flags else runs
