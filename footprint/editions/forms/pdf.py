"""PDF form of an edition, printed with Typst: tagged (PDF/UA-1), archivable (PDF/A-3a), the same bytes from the same sheet.

The layout is in ``edition.typ``; fonts are the project's own, never the machine's.
"""

from __future__ import annotations

import calendar
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from footprint.charts.canvas import COLOURS
from footprint.core.resources import data_path
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_S
from footprint.editions.forms import phrases
from footprint.editions.forms.layout import BlockSheet, ChartSheet, ParagraphsSheet, SectionSheet, Sheet, TableSheet, TextRun

STANDARDS = ["a-3a", "ua-1"]
MAX_COLUMNS = 7  # a table with more takes the full width
_TYPES = {".json": "application/json", ".csv": "text/csv", ".zip": "application/zip"}


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file embedded in the PDF: the data of the edition (ISO 19005-3, associated files)."""

    name: str
    content: bytes
    description: str


def render(sheet: Sheet, released: str, attached: Sequence[AttachedFile] = ()) -> bytes:
    """Render a sheet as PDF; ``released`` (RFC 3339, empty for a draft) is its date, so that the bytes depend on no clock.

    Raises
    ------
    ModuleNotFoundError
        If the extra ``report`` is not installed.
    """
    import typst  # noqa: PLC0415 - an extra

    files: dict[str, bytes] = {
        "main.typ": (Path(__file__).parent / "edition.typ").read_bytes(),
        "strip.svg": sheet.strip.encode(),
        "mark.svg": MARK_SVG.encode(),
        **{f"{letter}.svg": badge_svg(letter).encode() for letter in "ABCD"},
        **{attachment.name: attachment.content for attachment in attached},
    }
    document = _typst_data(sheet, files)
    document["attachments"] = [
        {
            "name": attachment.name,
            "type": _TYPES[Path(attachment.name).suffix],
            "description": attachment.description,
            "relationship": "data",
        }
        for attachment in attached
    ]
    files["sheet.json"] = json.dumps(document, ensure_ascii=False).encode()
    with tempfile.TemporaryDirectory() as folder:
        for name, raw in files.items():
            (Path(folder) / name).write_bytes(raw)
        compile_: Any = typst.compile
        pdf: bytes = compile_(
            str(Path(folder) / "main.typ"),
            root=folder,
            format="pdf",
            font_paths=[str(data_path("fonts"))],
            ignore_system_fonts=True,
            pdf_standards=STANDARDS,
            timestamp=_timestamp(released, sheet),
        )
    return pdf


def _timestamp(released: str, sheet: Sheet) -> int:
    """Date of the document [s since 1970]: its release, or 1 January of the period's year for a draft."""
    if released:
        return parse_instant(released) // US_PER_S
    return calendar.timegm((*date(int(sheet.identity[:4]), 1, 1).timetuple()[:3], 0, 0, 0))


def _typst_data(sheet: Sheet, files: dict[str, bytes]) -> dict[str, Any]:
    language = sheet.language
    body = [section for section in sheet.sections if section.title or section.label]
    main = [section for section in body if not section.annex]
    chart_tables = _chart_tables(main, language)
    annex = [section for section in body if section.annex]
    document: dict[str, Any] = {
        "language": language,
        "colours": COLOURS,
        "title": sheet.title,
        "subject": sheet.subject,
        "period": sheet.period,
        "released": sheet.released,
        "organisation": sheet.organisation,
        "demo": sheet.demo,
        "demo_words": phrases.DEMO.in_(language),
        "footer": sheet.footer,
        "strip_alternative": sheet.strip_alternative,
        "strip_note": phrases.STRIP.in_(language),
        "covered": _runs(sheet.covered),
        "side": [{"label": label, "lines": lines} for label, lines in sheet.side],
        "code": bool(sheet.address),
        "code_words": f"{phrases.CODE_ALT.in_(language)} {sheet.address}",
        "committee_words": phrases.COMMITTEE.in_(language),
        "annex_words": phrases.ANNEX.in_(language),
        "quality": "qualité" if language == "fr" else "quality",
        "lead": [_block(block, language, files) for section in sheet.sections if not section.title for block in section.blocks],
        "sections": [_section(section, _front_blocks(section), language, files) for section in main],
        "annex": [_section(section, section.blocks, language, files) for section in (*chart_tables, *annex)],
    }
    if sheet.address:
        files["code.svg"] = qr_code_svg(sheet.address)
    return document


def _front_blocks(section: SectionSheet) -> tuple[BlockSheet, ...]:
    """Blocks of the first pages: a table that repeats its chart goes to the annex."""
    return tuple(block for block in section.blocks if not (_has_chart(section) and isinstance(block, TableSheet)))


def _has_chart(section: SectionSheet) -> bool:
    return any(isinstance(block, ChartSheet) for block in section.blocks)


def _chart_tables(sections: Sequence[SectionSheet], language: str) -> list[SectionSheet]:
    """Annex sections with the tables behind charts."""
    annex_sections = []
    for section in sections:
        tables = tuple(block for block in section.blocks if isinstance(block, TableSheet))
        if _has_chart(section) and tables:
            annex_sections.append(
                SectionSheet(
                    f"{section.name}-data",
                    f"{phrases.TABLE_OF.in_(language)} · {section.label}",
                    "",
                    tables[0].caption,
                    "",
                    tables,
                    section.source,
                    committee=False,
                    annex=True,
                )
            )
    return annex_sections


def _section(section: SectionSheet, blocks: Sequence[BlockSheet], language: str, files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "label": section.label,
        "note": section.note,
        "title": section.title,
        "subtitle": section.subtitle,
        "committee": section.committee,
        "source": section.source,
        "blocks": [_block(block, language, files) for block in blocks],
    }


def _block(block: BlockSheet, language: str, files: dict[str, bytes]) -> dict[str, Any]:
    if isinstance(block, ChartSheet):
        files[f"{block.name}.svg"] = block.svg.encode()
        return {"kind": "chart", "file": f"{block.name}.svg", "alternative": block.alternative}
    if isinstance(block, ParagraphsSheet):
        return {"kind": "paragraphs", "look": block.look, "items": [_runs(item) for item in block.items]}
    weights = column_weights(block)
    return {
        "kind": "table",
        "full": len(block.heads) > MAX_COLUMNS,
        "heads": [{"text": text, "align": align, "weight": weights.get(i, 0)} for i, (text, align) in enumerate(block.heads)],
        "rows": [{"look": look, "cells": [_runs(cell) for cell in cells]} for look, cells in block.rows],
        "badges": [{"letter": letter, "words": phrases.quality_label(letter, language)} for letter in block.badges],
        "flags": [{"letter": flag, "words": phrases.flag_label(flag).in_(language)} for flag in block.flags],
    }


def column_weights(block: TableSheet, min_length: int = 24, max_length: int = 160) -> dict[int, float]:
    """Width shares of columns whose text wraps, of the first column if none does; the others take the width they need."""
    longest = [
        max((sum(len(run.text) for run in cells[column]) for _, cells in block.rows), default=0)
        for column in range(len(block.heads))
    ]
    weights = {
        column: min(length, max_length) / min_length
        for column, length in enumerate(longest)
        if length > min_length and block.heads[column][1] == "left"
    }
    return weights or {0: 1.0}


def _runs(runs: Sequence[TextRun]) -> list[dict[str, str]]:
    return [{"text": run.text, "look": run.look, "language": run.language} for run in runs]


def qr_code_svg(address: str) -> bytes:
    """The QR code of an address, as SVG."""
    import io  # noqa: PLC0415

    import segno  # noqa: PLC0415 - an extra

    out = io.BytesIO()
    segno.make(address, error="m", micro=False).save(out, kind="svg", border=0, dark=COLOURS["ink"], xmldecl=False, svgns=True)
    return out.getvalue()


def badge_svg(letter: str) -> str:
    """The square of a quality letter: full, cut on the diagonal, hatched, outline."""
    data, paper = COLOURS["data"], COLOURS["paper"]
    inside = {
        "A": f'<rect x="1" y="1" width="10" height="10" fill="{data}"/>',
        "B": f'<path d="M1 11L11 1V11Z" fill="{data}"/>',
        "C": f'<path d="M1 5L5 1M1 9L9 1M2 11L11 2M6 11L11 6" stroke="{data}" stroke-width="1.4"/>',
        "D": "",
    }[letter]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 12 12" width="12" height="12">'
        f'<rect x="1" y="1" width="10" height="10" fill="{paper}" stroke="{data}" stroke-width="1.4"/>{inside}</svg>'
    )


MARK_SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 26 12" width="26" height="12"><g stroke="{COLOURS["ink"]}" '
    'stroke-width="2" fill="none"><path d="M1 1V11M25 1V11M1 6H25"/></g>'
    f'<circle cx="13" cy="6" r="4.2" fill="{COLOURS["ink"]}"/></svg>'
)
