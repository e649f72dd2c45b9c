"""Builder of editions: sections in order, numbered labels, and the figures that each section cites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from footprint.editions.document import (
    Cell,
    Chart,
    Day,
    Edition,
    EditionBasis,
    Masthead,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Table,
    Text,
)
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.sections import SECTIONS
from footprint.editions.sections.annotations import with_annotations
from footprint.editions.sections.coverage import add_coverage
from footprint.editions.sections.main_points import headline_sentence
from footprint.editions.texts import long_period

MAX_CITED = 4  # figure ids in the source line of a section


def build(data: EditionData) -> tuple[Edition, FigureRegistry]:
    """Build the edition and its figure registry, which numbers every figure key for the next version."""
    registry = FigureRegistry(data)
    coverage, head = add_coverage(data, registry), headline_sentence(data, registry)
    written = [section for section in (write(data, registry) for write in SECTIONS) if section is not None]
    written = list(with_annotations(written, data, registry))  # after all figures that an annotation may refer to
    days = tuple(Day(date, data.coverage.day_states[date]) for date in sorted(data.coverage.day_states))  # type: ignore[arg-type]
    return Edition(
        masthead=build_masthead(data),
        headline=head,
        strip=days,
        coverage=coverage,
        sections=tuple(_with_labels(written)),
        figures=registry.figures(),
        basis=build_basis(data),
    ), registry


def build_masthead(data: EditionData) -> Masthead:
    """The masthead: publisher, period, version, status and dates."""
    config, context = data.config, data.context
    rules = config.editions
    address = f"{rules.address.rstrip('/')}/editions/{context.period}/v{context.version}" if rules.address else ""
    return Masthead(
        organisation=config.organisation,
        producer=rules.producer or config.organisation,
        contact=rules.contact,
        period=str(data.period),
        period_label=long_period(data.period),
        version=context.version,
        status=context.status,
        released=context.released,
        final_on=context.final_on if context.status in ("draft", "provisional") else "",
        next_release=context.next_release,
        address=address,
        demo=config.demo,
        timezone=str(config.timezone),
        licence=rules.licence,
    )


def build_basis(data: EditionData) -> EditionBasis:
    """Versions and fingerprints that the figures rest on."""
    row = data.current.row
    versions = row["method_version"] or "", row["factor_version"] or "", data.context.code_version
    return EditionBasis(*versions, data.ledger, data.heads, data.inputs)


def _with_labels(sections: Iterable[Section]) -> Iterable[Section]:
    """Label sections without a label of their own (Figure 1, Tableau 1), and fill in the ids for their source lines."""
    figures = tables = 0
    for section in sections:
        label = section.label
        if not label.fr and section.title.fr:
            if any(isinstance(block, Chart) for block in section.blocks):
                figures += 1
                label = Text(f"Figure {figures}", f"Figure {figures}")
            else:
                tables += 1
                label = Text(f"Tableau {tables}", f"Table {tables}")
        cited = tuple(dict.fromkeys(_cited_figures(section)))[:MAX_CITED] if section.source.fr else ()
        yield replace(section, label=label, figures=section.figures or cited)


def _cited_figures(section: Section) -> Iterable[str]:
    for block in section.blocks:
        cells: Iterable[Cell] = ()
        if isinstance(block, Table):
            cells = (cell for row in block.rows for cell in row.cells)
        elif isinstance(block, Paragraphs):
            cells = block.sentences
        for cell in cells:
            if isinstance(cell, Ref):
                yield cell.figure
            elif isinstance(cell, Sentence):
                yield from (ref.figure for ref in cell.refs.values())
