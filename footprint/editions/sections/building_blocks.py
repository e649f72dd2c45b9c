"""What several sections write alike: the source line, a cell that cites a figure, a label with its unit."""

from __future__ import annotations

from footprint.editions.document import Cell, FigureMark, Ref, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.texts import tr


def source_line(data: EditionData) -> Text:
    """Where the figures of a section come from."""
    version = data.current.row["method_version"]
    return tr(f"Source : Footprint, méthode {version}", f"Source: Footprint, method {version}")


def figure_cell(registry: FigureRegistry, identity: str, form: str) -> Cell:
    """A figure in a table, or the mark that stands for what it has not."""
    figure = registry[identity]
    if figure.value is None:
        return FigureMark(figure.flags[0])
    return Ref(identity, form)  # type: ignore[arg-type]


def label_with_unit(label: Text, unit: str) -> Text:
    """A label with the unit behind it, unless it says it already."""
    if not unit or unit in label.fr.split():
        return label
    plural = f"{unit}s" if unit == "million" else unit
    return Text(f"{label.fr}, {plural}", f"{label.en}, {plural}")
