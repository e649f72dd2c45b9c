"""Parts that several sections share: the source line, a cell that cites a figure, a label with its unit."""

from __future__ import annotations

from footprint.editions.document import Cell, FigureMark, Ref, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.texts import tr


def source_line(data: EditionData) -> Text:
    """The source line of a section."""
    version = data.current.row["method_version"]
    return tr(f"Source : Footprint, méthode {version}", f"Source: Footprint, method {version}")


def figure_cell(registry: FigureRegistry, identity: str, form: str) -> Cell:
    """A table cell that cites a figure, or the flag of a figure without a value."""
    figure = registry[identity]
    if figure.value is None:
        return FigureMark(figure.flags[0])
    return Ref(identity, form)  # type: ignore[arg-type]


def label_with_unit(label: Text, unit: str) -> Text:
    """A label followed by the unit, unless it contains the unit."""
    if not unit or unit in label.fr.split():
        return label
    plural = f"{unit}s" if unit == "million" else unit
    return Text(f"{label.fr}, {plural}", f"{label.en}, {plural}")
