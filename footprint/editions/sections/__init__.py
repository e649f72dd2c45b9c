"""Sections of an edition, in the order in which they are read: one file each, ``section(facts, book)``, and this tuple."""

from __future__ import annotations

from collections.abc import Callable

from footprint.editions.document import Section
from footprint.editions.facts import Facts
from footprint.editions.figures import FigureBook
from footprint.editions.sections import (
    change,
    charter,
    confidentiality,
    coverage,
    decisions,
    definitions,
    efficiency,
    key,
    limits,
    methods,
    objectives,
    points,
    quality,
    revisions,
    trend,
    uncertainty,
    uses,
)

Write = Callable[[Facts, FigureBook], Section | None]  # None: nothing is known of it

SECTIONS: tuple[Write, ...] = (
    points.section, key.section, trend.section, uses.section, charter.section, change.section, objectives.section,
    efficiency.section, coverage.section, uncertainty.section, limits.section, revisions.section, confidentiality.section,
    decisions.section, quality.section, methods.section, definitions.section,
)  # fmt: skip
