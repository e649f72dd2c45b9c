"""Events that explain figures: numbered on the trend, and listed under it with the figures that contain them.

An annotation that names a confidential cell, in its fields or in its text, is confidential like that cell: it is only counted.
Its date alone would disclose on which days of a public total to look for a hidden cell.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from footprint.calendar.periods import parse_period, period_at
from footprint.config.models import Annotation
from footprint.core.timestamps import to_datetime
from footprint.editions.document import Chart, EditionEvent, Figure, Paragraphs, Section, Sentence, Text, Trend
from footprint.editions.edition_data import RESERVED_NAMES, EditionData, Where
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.indicators import ENERGY
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.texts import EMPTY_TEXT, date_text, join_texts, tr

MAX_LISTED = 9  # the latest annotations; earlier ones are counted
MAX_FIGURES = 6  # figure ids an event, longest periods first
COLUMNS = ("service", "use_case", "model", "host")
KINDS = {
    "service": tr("service {}", "service {}"),
    "use_case": tr("usage {}", "use {}"),
    "model": tr("modèle {}", "model {}"),
    "host": tr("hôte {}", "host {}"),
}


def with_annotations(sections: Iterable[Section], data: EditionData, registry: FigureRegistry) -> Iterator[Section]:
    """The same sections, with events on the trend and under it, or before the use cases if there is no trend."""
    visible, confidential_count = visible_annotations(data)
    events = [_event(number, note, data, registry) for number, note in enumerate(visible[-MAX_LISTED:], 1)]
    blocks, other_sections = _event_blocks(events, max(len(visible) - MAX_LISTED, 0), confidential_count), list(sections)
    has_trend = any(section.name == "trend" for section in other_sections)
    for section in other_sections:
        if blocks and section.name == "trend":
            yield replace(
                section,
                note=join_texts(section.note, _NOTE) if events else section.note,
                blocks=(*(_with_events(block, events) for block in section.blocks), *blocks),
            )
            continue
        yield section
        if blocks and section.name == "key_figures" and not has_trend:
            title = tr("Ce qui s’est passé", "What happened")
            label = tr("Événements", "Events")
            yield Section("annotations", label, EMPTY_TEXT, title, EMPTY_TEXT, blocks, source_line(data))


_NOTE = tr("Cercle : événement, expliqué dessous.", "Circle: an event, explained below.")


def visible_annotations(data: EditionData) -> tuple[list[Annotation], int]:
    """Annotations since the first known month that may be shown, oldest first, and the number of those that may not."""
    zone = data.config.timezone
    begin = parse_period(min(data.months, default=str(data.period))).bounds_us(zone)[0]
    end = data.period.bounds_us(zone)[1]
    in_range = [note for note in data.context.annotations if note.at_us < end and note.until_us > begin]
    visible = [note for note in in_range if not is_confidential(note, data, begin, end)]
    return visible, len(in_range) - len(visible)


def is_confidential(note: Annotation, data: EditionData, begin_us: int, end_us: int) -> bool:
    """Whether an annotation names a cell that is hidden in the edition's period or in a period that it falls in."""
    zone, length = data.config.timezone, data.period.length
    first = period_at(max(note.at_us, begin_us), zone, length)
    last = period_at(min(note.until_us, end_us) - 1, zone, length)
    periods = {str(data.period), *(str(first.shifted(step)) for step in range(last.periods_since(first) + 1))}
    where = tuple((name, value) for name, value in _where(note) if name != "host")
    if any(data.is_confidential((pair,), period) for period in periods for pair in where):
        return True
    if len(where) > 1 and any(data.is_confidential(where, period) for period in periods):
        return True
    return any(_contains_name(name, f"{note.text}\n{note.english}") for name in _confidential_names(data, periods))


def _confidential_names(data: EditionData, periods: Iterable[str]) -> set[str]:
    """Services, use cases and models whose figures are confidential in one of these periods."""
    hidden = set()
    for period in periods:
        for column, rows in (("use_case", data.uses), ("service", data.services), ("model", {str(data.period): data.models})):
            names = {name for (name,) in rows.get(period, {}) if name and name not in RESERVED_NAMES}
            hidden |= {name for name in names if data.is_confidential(((column, name),), period)}
    return hidden


def _contains_name(name: str, text: str) -> bool:
    """Whether a text contains a name as a separate word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _where(note: Annotation) -> Where:
    return tuple((name, getattr(note, name)) for name in COLUMNS if getattr(note, name))


def _event(number: int, note: Annotation, data: EditionData, registry: FigureRegistry) -> EditionEvent:
    zone, where = data.config.timezone, _where(note)
    start, end = (to_datetime(at).astimezone(zone).date().isoformat() for at in (note.at_us, note.until_us - 1))
    touched = [
        figure
        for key, figure in registry.by_key().items()
        if _explains(note, dict(where), figure, data) and _is_current(key, figure, registry)
    ]
    touched.sort(key=lambda figure: (-parse_period(figure.period).length, not figure.where, len(figure.id), figure.id))
    ids = tuple(figure.id for figure in touched[:MAX_FIGURES])
    return EditionEvent(number, start, end, Text(note.text_in("fr"), note.text_in("en")), where, ids)


def _explains(note: Annotation, where: dict[str, str], figure: Figure, data: EditionData) -> bool:
    """Whether the energy of a figure contains the event: same cell or the whole, in a period that the annotation falls in."""
    if (figure.indicator, figure.kind) != (ENERGY.indicator, "level") or figure.value is None or not figure.period:
        return False
    begin, end = parse_period(figure.period).bounds_us(data.config.timezone)
    return note.at_us < end and note.until_us > begin and set(figure.where) <= set(where.items())


def _is_current(key: str, figure: Figure, registry: FigureRegistry) -> bool:
    """Whether a figure is this edition's own value, not one cited from an earlier version."""
    return key == registry.figure_key(figure.indicator, parse_period(figure.period), figure.where)


def _with_events(block: object, events: list[EditionEvent]) -> Chart:
    assert isinstance(block, Chart)
    assert isinstance(block.drawing, Trend)
    if not events:
        return block
    drawing = replace(block.drawing, events=tuple(events))
    count = tr(f"Événements marqués : {len(events)}.", f"Events marked: {len(events)}.")
    return replace(block, drawing=drawing, alternative=join_texts(block.alternative, count))


def _event_blocks(events: list[EditionEvent], earlier: int, confidential_count: int) -> tuple[Paragraphs, ...]:
    blocks = [Paragraphs(tuple(_sentence(event) for event in events), "numbered")] if events else []
    remarks = []
    if earlier:
        remarks.append(
            Sentence(tr(f"Événements plus anciens, non repris : {earlier}.", f"Earlier events, not listed: {earlier}."))
        )
    if confidential_count:
        remarks.append(
            Sentence(
                tr(
                    f"[c] Événements non publiés : {confidential_count} ; ils nomment des cellules dont les chiffres ne le sont pas.",
                    f"[c] Events not published: {confidential_count}; they name cells whose figures are not published.",
                )
            )
        )
    return (*blocks, Paragraphs(tuple(remarks))) if remarks else tuple(blocks)


def _sentence(event: EditionEvent) -> Sentence:
    """Date, text, subject, and the figures that contain the event."""
    about = [Text(*(KINDS[name].in_(language).format(value) for language in ("fr", "en"))) for name, value in event.where]
    subjects = join_texts(*about, by=", ")
    when, words, ids = _date_range(event), event.words, ", ".join(event.figures)
    fr = (
        f"{when.fr}\u00a0: {words.fr}"
        + (f" ({subjects.fr})" if about else "")
        + (f". Chiffres concernés\u00a0: {ids}" if ids else "")
    )
    en = f"{when.en}: {words.en}" + (f" ({subjects.en})" if about else "") + (f". Figures concerned: {ids}" if ids else "")
    return Sentence(Text(_escape_braces(f"{fr}."), _escape_braces(f"{en}.")), {}, event.figures)


def _escape_braces(text: str) -> str:
    """Free text as a phrase: its braces are not references."""
    return text.replace("{", "{{").replace("}", "}}")


def _date_range(event: EditionEvent) -> Text:
    first, last = (date_text(datetime.date.fromisoformat(day)) for day in (event.start, event.end))
    if event.start == event.end:
        return first
    return Text(f"Du {first.fr} au {last.fr}", f"From {first.en} to {last.en}")
