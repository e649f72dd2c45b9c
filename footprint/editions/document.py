"""Content of an edition, free of any form: figures, and the sections, sentences, tables and charts that cite them.

HTML, PDF and data package are made from these types alone, so that a figure reads the same in all of them. All text is
bilingual; a form chooses one language. Values are in the units that they name and never rounded; only ``figure_format.py``
rounds. A suppressed figure has no value here: a form cannot leak a value that it never received.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from footprint.core.stored_forms import stored_as

Language = Literal["fr", "en"]
Letter = Literal["A", "B", "C", "D", ""]
# Flags in brackets, after the ONS: c confidential, e estimated, p provisional, r revised, u low coverage, x unavailable,
# z not applicable, low rounds to zero.
Flag = Literal["c", "e", "p", "r", "u", "x", "z", "low"]


@stored_as("Text", "fr en")
@dataclass(frozen=True, slots=True)
class Text:
    """A phrase in both languages. In a sentence, ``{name}`` stands for one of its references."""

    fr: str
    en: str

    def in_(self, language: str) -> str:
        """The phrase in one of the languages."""
        return self.fr if language == "fr" else self.en


@stored_as(
    "Figure",
    "id indicator label kind unit period value low high display where quality coverage obs_status conf_status flags "
    "method_version factor_version question formula",
)
@dataclass(frozen=True, slots=True)
class Figure:
    """One published number: what it is, its value with bounds of about 95 %, how it is known, and where it comes from.

    ``value`` is None where it is suppressed (``conf_status`` "C") or unknown (``obs_status`` "M"); then so are its bounds.
    ``display`` is (size, unit): the unit shown, and how many of ``unit`` one of it is, the same in both languages.
    ``question`` holds the parameters of ``footprint query`` that give the rows it is made of, and ``formula`` how.
    """

    id: str  # F-2026Q3-07; DEMO-F-2026Q3-07 in a demonstration
    indicator: str  # from queries/methods.py, impact/indicators.py or editions/indicators.py
    label: Text
    kind: Literal["level", "change", "share", "ratio", "count", "effect"]  # a change and a share are fractions (0.22 is 22 %);
    # an effect is a level with its sign
    unit: str
    period: str
    value: float | None
    low: float | None = None
    high: float | None = None
    display: tuple[float, str] = (1.0, "")
    where: tuple[tuple[str, str], ...] = ()  # the cell: service, use_case, model …; empty is the whole organisation
    quality: Letter = ""
    coverage: float | None = None
    obs_status: Literal["A", "E", "P", "U", "M"] = "A"  # SDMX CL_OBS_STATUS
    conf_status: Literal["F", "C"] = "F"  # SDMX CL_CONF_STATUS
    flags: tuple[Flag, ...] = ()
    method_version: str = ""
    factor_version: str = ""
    question: Mapping[str, str | list[str]] = field(default_factory=dict)
    formula: str = ""


@stored_as("Ref", "figure form note")
@dataclass(frozen=True, slots=True)
class Ref:
    """A figure cited: its value (bold) and interval, or one of the two; ``note`` prints the end of its id beside it."""

    figure: str  # Figure.id
    form: Literal["full", "value", "interval", "value-unit"] = "full"
    note: bool = False


@stored_as("Mark", "flag")
@dataclass(frozen=True, slots=True)
class FigureMark:
    """A cell without a value: a flag in brackets, explained under the table."""

    flag: Flag


@stored_as("Sentence", "text refs evidence")
@dataclass(frozen=True, slots=True)
class Sentence:
    """A phrase with figures in it: ``Text`` whose ``{name}`` are ``refs``. ``evidence`` are the figures that it rests on."""

    text: Text
    refs: Mapping[str, Ref] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()


@stored_as("Cited", "fr en")
@dataclass(frozen=True, slots=True)
class Cited:
    """A source: text in the edition's language around titles in others, each part with its language if it differs."""

    fr: tuple[tuple[str, str], ...]  # (text, language or empty)
    en: tuple[tuple[str, str], ...]

    def in_(self, language: str) -> tuple[tuple[str, str], ...]:
        """Its parts in one of the languages."""
        return self.fr if language == "fr" else self.en


Cell = Text | Ref | FigureMark | Sentence | Cited


@stored_as("Column", "head kind")
@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; the ``figure`` kind prints value and interval in two columns of their own under one head."""

    head: Text
    kind: Literal["text", "value", "interval", "change", "badge", "code"] = "text"


@stored_as("Row", "cells look")
@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; ``part`` is indented below the row before, ``apart`` follows a hairline, ``total`` is a sum."""

    cells: tuple[Cell, ...]
    look: Literal["", "part", "apart", "total"] = ""


@stored_as("Table", "name columns rows caption kind")
@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``name`` is that of its CSV in the annexes."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    caption: Text
    kind: Literal["table"] = "table"


@stored_as("Paragraphs", "sentences look kind")
@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Sentences, as paragraphs, bullets or by numbers from 1; ``lead`` are the main points."""

    sentences: tuple[Sentence, ...]
    look: Literal["plain", "bullets", "numbered", "lead", "box"] = "plain"
    kind: Literal["paragraphs"] = "paragraphs"


State = Literal["final", "provisional", "missing", "suppressed"]


@stored_as("Point", "month value low high state")
@dataclass(frozen=True, slots=True)
class MonthPoint:
    """One month of a trend; a missing month has no value and leaves a gap in the line."""

    month: str  # 2026-07
    value: float | None
    low: float | None
    high: float | None
    state: State


@stored_as("EditionEvent", "number start end words where figures")
@dataclass(frozen=True, slots=True)
class EditionEvent:
    """An event that explains figures: first and last day, text, and the cell that it concerns (empty is everything).

    ``figures`` are the ids of figures that contain it: of its own cell or of the whole, in a period that it falls in.
    """

    number: int  # on the chart and in the list
    start: str  # a date, in the organisation's zone
    end: str
    words: Text
    where: tuple[tuple[str, str], ...] = ()  # service, use_case, model, host
    figures: tuple[str, ...] = ()


@stored_as("Trend", "unit points breaks happenings kind")
@dataclass(frozen=True, slots=True)
class Trend:
    """A line with its band by month; ``breaks`` are (month from which on, name before, name after) of method versions."""

    unit: str
    points: tuple[MonthPoint, ...]
    breaks: tuple[tuple[str, str, str], ...] = ()
    events: tuple[EditionEvent, ...] = ()
    kind: Literal["trend"] = "trend"


@stored_as("Bar", "label figure look")
@dataclass(frozen=True, slots=True)
class Bar:
    """One ranked bar with its whisker; ``look`` distinguishes use cases, idle, unattributed and cells not shown."""

    label: Text
    figure: str  # Figure.id: value, interval, quality
    look: Literal["use", "idle", "unattributed", "other"] = "use"


@stored_as("Bars", "unit bars kind")
@dataclass(frozen=True, slots=True)
class Bars:
    """Ranked bars; idle and unattributed come last, below a hairline."""

    unit: str
    bars: tuple[Bar, ...]
    kind: Literal["bars"] = "bars"


@stored_as("Effect", "label figure")
@dataclass(frozen=True, slots=True)
class Effect:
    """One cause of a change."""

    label: Text
    figure: str


@stored_as("Waterfall", "unit before effects after kind")
@dataclass(frozen=True, slots=True)
class Waterfall:
    """Effects that lead from one total to the other; totals are points, since the scale may be cut."""

    unit: str
    before: Effect
    effects: tuple[Effect, ...]
    after: Effect
    kind: Literal["waterfall"] = "waterfall"


@stored_as("Shares", "parts kind")
@dataclass(frozen=True, slots=True)
class Shares:
    """One bar of 100 % split by how the value is known: A measured, B, C, D, and missing."""

    parts: tuple[tuple[Literal["A", "B", "C", "D", "missing"], str], ...]  # (look, Figure.id of a share)
    kind: Literal["shares"] = "shares"


@stored_as("Pair", "label current best ratio n")
@dataclass(frozen=True, slots=True)
class Pair:
    """Two measured options of one use case: the current one, the best one, their ratio, and the number of requests."""

    label: Text
    current: str
    best: str
    ratio: str  # Figure.id of a ratio; no measurable difference if its interval contains 1
    n: int


@stored_as("Dumbbell", "unit pairs kind")
@dataclass(frozen=True, slots=True)
class Dumbbell:
    """Current against best measured, interval by interval."""

    unit: str
    pairs: tuple[Pair, ...]
    kind: Literal["dumbbell"] = "dumbbell"


@stored_as("Swing", "label low high")
@dataclass(frozen=True, slots=True)
class Swing:
    """How far one parameter moves the published value over its interval (both signed, in the chart's unit)."""

    label: Text
    low: float
    high: float


@stored_as("Tornado", "unit centre swings kind")
@dataclass(frozen=True, slots=True)
class Tornado:
    """Sorted swings around the published value."""

    unit: str
    centre: str  # Figure.id
    swings: tuple[Swing, ...]
    kind: Literal["tornado"] = "tornado"


@stored_as("Stacks", "unit parts columns kind")
@dataclass(frozen=True, slots=True)
class Stacks:
    """Stacked columns by quarter; ``parts`` names the layers from the bottom, ``columns`` their figures in that order."""

    unit: str
    parts: tuple[Text, ...]
    columns: tuple[tuple[str, tuple[str, ...]], ...]  # (2026-Q3, ids; "" if unknown)
    kind: Literal["stacks"] = "stacks"


@stored_as("Vintages", "unit published kind")
@dataclass(frozen=True, slots=True)
class Vintages:
    """One period as each version published it: (version, day, value, low, high)."""

    unit: str
    published: tuple[tuple[str, str, float, float, float], ...]
    kind: Literal["vintages"] = "vintages"


Drawing = Trend | Bars | Waterfall | Shares | Dumbbell | Tornado | Stacks | Vintages


@stored_as("Chart", "name drawing alternative kind")
@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and its text alternative; ``name`` is that of its SVG in the annexes."""

    name: str
    drawing: Drawing
    alternative: Text
    kind: Literal["chart"] = "chart"


Block = Paragraphs | Table | Chart


@stored_as("Section", "name label note title subtitle blocks source figures committee annex")
@dataclass(frozen=True, slots=True)
class Section:
    """A part of an edition: a finding as title, a label and a reading note at the side, blocks, a source line."""

    name: str
    label: Text  # "Tableau 1"
    note: Text  # how to read it
    title: Text  # the finding
    subtitle: Text  # what, unit, place, period
    blocks: tuple[Block, ...]
    source: Text
    figures: tuple[str, ...] = ()  # ids named in the source line
    committee: bool = False  # the committee's text: typographically apart, never a statistic
    annex: bool = False  # after the four pages


@stored_as("Day", "date state")
@dataclass(frozen=True, slots=True)
class Day:
    """One day of the strip: the worst state of any host."""

    date: str
    state: Literal["measured", "estimated", "missing"]


@stored_as(
    "Masthead",
    "organisation producer contact period period_label version status released final_on next_release address demo timezone "
    "licence",
)
@dataclass(frozen=True, slots=True)
class Masthead:
    """The head of an edition: publisher, period, version, status and dates."""

    organisation: str
    producer: str
    contact: str
    period: str  # 2026-Q3
    period_label: Text  # "Troisième trimestre 2026"
    version: int
    status: Literal["draft", "provisional", "final", "revised"]
    released: str  # RFC 3339; empty for a draft
    final_on: str  # a date; empty if none is announced
    next_release: str
    address: str  # of this edition, for the QR code and the citation; empty if none is declared
    demo: bool
    timezone: str
    licence: str = ""  # of the published data


@stored_as("Basis", "method_version factor_version code_version ledger heads inputs")
@dataclass(frozen=True, slots=True)
class EditionBasis:
    """Versions and hashes of sealed days that the figures rest on, for verification."""

    method_version: str
    factor_version: str
    code_version: str
    ledger: str  # identity of the store
    heads: tuple[tuple[str, str], ...]  # (day, head of the hash chain over all sources)
    inputs: str  # fingerprint of every day that the figures were computed from


@stored_as("Edition", "masthead headline strip coverage sections figures basis")
@dataclass(frozen=True, slots=True)
class Edition:
    """One version of one period's report, complete."""

    masthead: Masthead
    headline: Sentence
    strip: tuple[Day, ...]
    coverage: str  # Figure.id
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...]
    basis: EditionBasis

    def figure(self, identity: str) -> Figure:
        """A figure by its id.

        Raises
        ------
        KeyError
            If the edition has none of that id.
        """
        for figure in self.figures:
            if figure.id == identity:
                return figure
        raise KeyError(identity)
