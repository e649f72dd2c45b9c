"""Differences between two versions of an edition, figure by figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from footprint.core.csv_text import csv_text
from footprint.editions.document import Edition, Figure
from footprint.editions.repository import PublishedEdition
from footprint.editions.serialization import from_json

RELATIVE_TOLERANCE = 1e-9  # values that differ by less are equal
MIN_REVISION_RATIO = 0.02  # a larger change, or one above half of the interval's half-width, is published (C5)
COLUMNS = (
    "figure_id",
    "indicator",
    "cell",
    "period",
    "unit",
    "old",
    "old_low",
    "old_high",
    "new",
    "new_low",
    "new_high",
    "change",
    "change_ratio",
    "above_threshold",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure whose value differs between two versions; None where a version lacks the figure."""

    key: str
    old: Figure | None
    new: Figure | None

    @property
    def figure(self) -> Figure:
        """The figure as in the later version, else as in the earlier one."""
        figure = self.new or self.old
        assert figure is not None
        return figure

    @property
    def relative(self) -> float | None:
        """(new - old) / old."""
        old, new = _value(self.old), _value(self.new)
        return None if old is None or new is None or not old else (new - old) / abs(old)


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value


def is_significant(difference: Difference) -> bool:
    """Whether a change is large enough to publish a version for it."""
    old, new = difference.old, difference.new
    if old is None or new is None or (old.value is None) != (new.value is None):
        return True
    if old.value is None or new.value is None:
        return False
    change = abs(new.value - old.value)
    half_width = (old.high - old.low) / 2 if old.low is not None and old.high is not None else 0.0
    if half_width and change > half_width / 2:
        return True
    # Changes and shares are fractions already: the limit is two points, not 2 % of a fraction near 0.
    base = 1.0 if old.kind in ("change", "share") else abs(old.value)
    return change > MIN_REVISION_RATIO * base and old.kind != "effect"


def compare_with_published(before: PublishedEdition, after: Edition, ids: Mapping[str, str]) -> list[Difference]:
    """Figures whose values differ from a published version, or that only one of the two has; ``ids`` by key of the later one."""
    return compare_editions(from_json(before.report), before.figures, after, ids)


def compare_editions(before: Edition, old_ids: Mapping[str, str], after: Edition, new_ids: Mapping[str, str]) -> list[Difference]:
    """Differences of two editions, without figures that cite earlier versions or count revisions."""
    old_figures, new_figures = ({figure.id: figure for figure in edition.figures} for edition in (before, after))
    differences = []
    for key in sorted(set(old_ids) | set(new_ids)):
        old, new = old_figures.get(old_ids.get(key, "")), new_figures.get(new_ids.get(key, ""))
        if _cites_versions(key) or (old is not None and new is not None and _is_same(old, new)):
            continue
        differences.append(Difference(key, old, new))
    return differences


def _cites_versions(key: str) -> bool:
    """Whether a key belongs to a figure that cites earlier versions, or grows with their number."""
    name, _, rest = key.partition("|")
    return rest.startswith(("v", "published")) or name in ("mean_absolute_revision", "punctuality", "effect_method")


def _is_same(old: Figure, new: Figure) -> bool:
    if old.conf_status != new.conf_status:
        return False
    for a, b in ((old.value, new.value), (old.low, new.low), (old.high, new.high)):
        if (a is None) != (b is None):
            return False
        if a is not None and b is not None and abs(a - b) > RELATIVE_TOLERANCE * max(abs(a), abs(b), RELATIVE_TOLERANCE):
            return False
    return True


def difference_rows(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as rows of the diff CSV."""
    return [
        {
            "figure_id": difference.figure.id,
            "indicator": difference.figure.indicator,
            "cell": ";".join(f"{name}={value}" for name, value in difference.figure.where),
            "period": difference.figure.period,
            "unit": difference.figure.unit,
            **_bounds("old", difference.old),
            **_bounds("new", difference.new),
            "change": _change(difference),
            "change_ratio": difference.relative,
            "above_threshold": is_significant(difference),
        }
        for difference in differences
    ]


def _bounds(name: str, figure: Figure | None) -> dict[str, float | None]:
    values = (None, None, None) if figure is None else (figure.value, figure.low, figure.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _change(difference: Difference) -> float | None:
    old, new = _value(difference.old), _value(difference.new)
    return None if old is None or new is None else new - old


def diff_csv(differences: Sequence[Difference]) -> bytes:
    """The diff CSV of a revision: shortest round-trip decimals, empty for None."""
    rows = ([_csv_value(value) for value in row.values()] for row in difference_rows(differences))
    return csv_text(COLUMNS, rows).encode()


def _csv_value(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
