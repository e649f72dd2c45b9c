"""HTML form of an edition: one file without scripts or external resources, charts inline with their tables."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path

from footprint.charts.canvas import COLOURS
from footprint.charts.palette import colours, css_declarations
from footprint.editions.forms import phrases
from footprint.editions.forms.layout import BlockSheet, ChartSheet, ParagraphsSheet, SectionSheet, Sheet, TableSheet, TextRun
from footprint.editions.forms.pdf import MARK_SVG, badge_svg

_TAGS = {
    "": "{}",
    "strong": "<strong>{}</strong>",
    "quiet": '<span class="q">{}</span>',
    "note": '<span class="n">{}</span>',
    "flag": '<span class="f">{}</span>',
    "code": "<code>{}</code>",
}
_ROWS = {"part": "part-row", "apart": "apart", "total": "total"}
SKIP = {"fr": "Aller au contenu", "en": "Skip to content"}
TABLE = {"fr": "Tableau", "en": "Table"}
FORMS = {"fr": "Autres formes", "en": "Other forms"}


@cache
def style_sheet() -> str:
    """The style sheet of an edition, on one line: colours of both themes, of charts by class, then the layout."""
    themes = (
        f":root{{color-scheme:light dark;{css_declarations('light')}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{css_declarations('dark')}}}}}"
    )
    charts = "".join(f"svg .{name}{{fill:var(--{name})}}svg .s-{name}{{stroke:var(--{name})}}" for name in colours())
    return themes + charts + (Path(__file__).parent / "page.css").read_text(encoding="utf-8").replace("\n", "")


def render(sheet: Sheet) -> str:
    """Render the document; it links to ``report.pdf``, the other language's folder and ``annexes.zip``."""
    language, title = sheet.language, f"{sheet.title} – {sheet.subject}, {sheet.period}"
    other = "en" if language == "fr" else "fr"
    demo = f'<div class="demo" role="note">{escape(phrases.DEMO.in_(language))}</div>' if sheet.demo else ""
    nav = (
        f'<nav aria-label="{FORMS[language]}"><a href="../{other}/report.html" lang="{other}" hreflang="{other}">'
        f'{phrases.OTHER_LANGUAGE.in_(language)}</a> · <a href="report.pdf">{phrases.PDF.in_(language)}</a> · '
        f'<a href="../annexes.zip">{phrases.ANNEXES.in_(language)}</a></nav>'
    )
    head = (
        f'<header><div class="top"><span class="mark">{MARK_HTML}Footprint</span><span>{escape(sheet.subject)} · '
        f"<strong>{escape(sheet.period)}</strong> · {escape(sheet.released)}</span>{nav}</div>"
        f'<div class="strip">{sheet.strip}</div><p class="under"><span>{escape(phrases.STRIP.in_(language))}</span>'
        f"<span>{_runs(sheet.covered)}</span></p></header>"
    )
    opening = "".join(
        render_block(block, language) for section in sheet.sections if not section.title for block in section.blocks
    )
    side = "".join(f"<dt>{escape(label)}</dt><dd>{'<br>'.join(map(escape, lines))}</dd>" for label, lines in sheet.side)
    address = f'<a href="{escape(sheet.address)}">{escape(sheet.address)}</a>' if sheet.address else ""
    return (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f'<meta name="generator" content="Footprint"><style>{style_sheet()}</style></head>'
        f'<body><a class="skip" href="#main">{SKIP[language]}</a>{demo}{head}<main id="main"><h1>{escape(sheet.title)}</h1>'
        f'<div class="lead"><aside aria-label="{escape(phrases.STATUS.in_(language))}"><dl>{side}</dl></aside>'
        f"<div>{opening}</div></div>"
        + "".join(_section(section, language) for section in sheet.sections if section.title)
        + f"</main><footer><span>{escape(sheet.footer)}</span><span>{address}</span></footer></body></html>\n"
    )


def _section(section: SectionSheet, language: str) -> str:
    sub = f'<p class="sub">{escape(section.subtitle)}</p>' if section.subtitle else ""
    source = f'<p class="source">{escape(section.source)}</p>' if section.source else ""
    committee = f'<p class="committee-words">{escape(phrases.COMMITTEE.in_(language))}</p>' if section.committee else ""
    has_chart = any(isinstance(block, ChartSheet) for block in section.blocks)
    blocks = "".join(
        _details(block, language) if has_chart and isinstance(block, TableSheet) else render_block(block, language)
        for block in section.blocks
    )
    label = f"<strong>{escape(section.label)}</strong>" if section.label else ""
    note = f"<br>{escape(section.note)}" if section.note else ""
    return (
        f'<section class="part" aria-labelledby="{section.name}"><aside aria-label="{escape(section.label or section.title)}">'
        f"{label}{note}</aside>"
        f"<div{' class=committee' if section.committee else ''}>{committee}"
        f'<h2 id="{section.name}">{escape(section.title)}</h2>{sub}'
        f"{blocks}{source}</div></section>"
    )


def _details(block: BlockSheet, language: str) -> str:
    return f"<details><summary>{TABLE[language]}</summary>{render_block(block, language)}</details>"


def render_block(block: BlockSheet, language: str) -> str:
    """A chart, a table or paragraphs."""
    if isinstance(block, ChartSheet):
        alternative = escape(block.alternative)
        return f'<figure><div class="scroll" tabindex="0" role="group" aria-label="{alternative}">{block.svg}</div></figure>'
    if isinstance(block, ParagraphsSheet):
        if block.look in ("bullets", "numbered"):
            tag = "ul" if block.look == "bullets" else "ol"
            return f"<{tag}>" + "".join(f"<li>{_runs(item)}</li>" for item in block.items) + f"</{tag}>"
        inside = "".join(f"<p>{_runs(item)}</p>" for item in block.items)
        return inside if block.look == "lead" else f'<div class="{block.look}">{inside}</div>'
    return _table(block, language)


def _table(table: TableSheet, language: str) -> str:
    def attributes(column: int) -> str:
        return ' class="r"' if table.heads[column][1] == "right" else ""

    head = "".join(
        f'<th scope="col"{attributes(i)}>{escape(text)}</th>' if text else "<td></td>" for i, (text, _) in enumerate(table.heads)
    )
    body = ""
    for look, cells in table.rows:
        row = "".join(
            f'<th scope="row">{_runs(cell)}</th>' if i == 0 else f"<td{attributes(i)}>{_runs(cell)}</td>"
            for i, cell in enumerate(cells)
        )
        body += f"<tr{f' class={_ROWS[look]}' if look else ''}>{row}</tr>"
    keys = [f"<span>{_badge(letter)} {escape(phrases.quality_label(letter, language))}</span>" for letter in table.badges]
    keys += [f"<span>[{flag}] {escape(phrases.flag_label(flag).in_(language))}</span>" for flag in table.flags]
    key = f'<p class="key">{"".join(keys)}</p>' if keys else ""
    caption = escape(table.caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{key}"
    )


def _runs(runs: Iterable[TextRun]) -> str:
    return "".join(_badge(run.text) if run.look == "badge" else _run(run) for run in runs)


def _run(run: TextRun) -> str:
    text = _TAGS[run.look].format(escape(run.text))
    return f'<span lang="{run.language}">{text}</span>' if run.language else text


def _badge(letter: str) -> str:
    return f'<span class="badge">{_decorative(badge_svg(letter))}{letter}</span>'


def _decorative(svg: str) -> str:
    """A drawing hidden from assistive technology, since the letter beside it says the same; its colours follow the theme."""
    return (
        svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
        .replace(f'"{COLOURS["data"]}"', '"currentColor"')
        .replace(f'fill="{COLOURS["paper"]}"', 'fill="none"')
    )


MARK_HTML = MARK_SVG.replace("<svg ", '<svg aria-hidden="true" ', 1).replace(COLOURS["ink"], "currentColor")
