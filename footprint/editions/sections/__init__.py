"""Sections of an edition in reading order: one module each with ``section(data, registry)``, listed in ``SECTIONS``."""

from __future__ import annotations

from collections.abc import Callable

from footprint.editions.document import Section
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.sections import (
    change,
    charter,
    confidentiality,
    coverage,
    decisions,
    definitions,
    efficiency,
    key_figures,
    limits,
    main_points,
    methods,
    objectives,
    quality,
    revisions,
    trend,
    uncertainty,
    use_cases,
)

SectionWriter = Callable[[EditionData, FigureRegistry], Section | None]  # None: no data for the section

SECTIONS: tuple[SectionWriter, ...] = (
    main_points.section,
    key_figures.section,
    trend.section,
    use_cases.section,
    charter.section,
    change.section,
    objectives.section,
    efficiency.section,
    coverage.section,
    uncertainty.section,
    limits.section,
    revisions.section,
    confidentiality.section,
    decisions.section,
    quality.section,
    methods.section,
    definitions.section,
)
