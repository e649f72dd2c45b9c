"""This file says which cells of an edition are confidential: as disclosure control decided, and as other cells follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.disclosure.primary_suppression import Reason
from footprint.editions.edition_data import RESERVED_NAMES, EditionData, SuppressionSummary, Where
from footprint.editions.protected_cells import ProtectedCells, protect_period
from footprint.editions.release_context import ReleaseContext
from footprint.impact.factor_book import FactorBook
from footprint.storage.database import Store

PERSONAL_COLUMNS = frozenset({"service", "use_case", "charter", "model"})


class SuppressedCells:
    """Statuses of the cells of an edition's periods; a cell that nobody decided on is confidential."""

    def __init__(self, config: Config, data: EditionData, decided: Mapping[str, ProtectedCells]) -> None:
        self._config, self._data, self._decided = config, data, decided

    def __call__(self, where: Where, period: str) -> bool:
        cell = dict(where)
        if not set(cell) & PERSONAL_COLUMNS:
            return False
        found = self._decided.get(period)
        if found is None:
            return True
        if "charter" in cell:
            return self._charter_hides(found, period, cell["charter"])
        use_case = cell.get("use_case", "")
        if set(cell) == {"use_case"} and _nothing(found, period, use_case):
            return False
        if "model" not in cell:
            return not found.is_public(period, cell.get("service", ""), use_case)
        services = self._config.services_of_model(cell["model"])
        return not services or any(not found.is_public(period, service, use_case) for service in sorted(services))

    def _charter_hides(self, found: ProtectedCells, period: str, status: str) -> bool:
        """A status is shown where every use of it is: the sum of all but one would tell that one."""
        start, end = parse_period(period).bounds_us(self._config.timezone)
        uses = {name for (name,) in self._data.uses.get(period, {}) if name not in RESERVED_NAMES}
        mine = {name for name in uses if status in {self._config.charter_at(name, at) for at in (start, end - 1)}}
        return any(not found.is_public(period, "", name) for name in mine)


def _nothing(found: ProtectedCells, period: str, use_case: str) -> bool:
    """Whether a period that was decided on has no idle, or no unattributed energy: that is unknown to it, and no secret."""
    return use_case in RESERVED_NAMES and (period, "", "") in found.cells and (period, "", use_case) not in found.cells


def suppress_cells(
    store: Store, config: Config, context: ReleaseContext, data: EditionData, now_us: int, book: FactorBook | None = None
) -> EditionData:
    """The same facts, knowing what they may not show."""
    periods = sorted({*data.uses, *data.charters, *data.pairs, str(data.period)})
    decided = {
        period: protect_period(store, config, period, now_us, known=context.shown, kept=context.kept, book=book)
        for period in periods
    }
    mine = decided[str(data.period)]
    counts = mine.counts([str(data.period)])
    exposed = sorted(key for key in mine.protection.exposed if key[0] == str(data.period))
    uncounted = [key for key in exposed if mine.protection.reasons.get(key) is Reason.UNKNOWN_USERS]
    suppression = SuppressionSummary(
        mine.rules.min_users,
        mine.rules.dominance,
        counts.primary,
        counts.secondary,
        counts.fewest_users_shown,
        tuple(key[1:] for key in exposed if key not in uncounted),
        tuple(key[1:] for key in uncounted),
    )
    return replace(data, is_confidential=SuppressedCells(config, data, decided), suppression=suppression)
