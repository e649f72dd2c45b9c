"""Confidentiality of an edition's cells: decided by disclosure control, and derived for cells that follow from those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.disclosure.primary_suppression import SuppressionReason
from footprint.editions.edition_data import RESERVED_NAMES, EditionData, SuppressionSummary, Where
from footprint.editions.protected_cells import ProtectedCells, protect_period
from footprint.editions.release_context import ReleaseContext
from footprint.impact.factor_book import FactorBook
from footprint.storage.database import Store

PERSONAL_COLUMNS = frozenset({"service", "use_case", "charter", "model"})


class SuppressedCells:
    """Predicate: whether a cell of the edition's periods is confidential; cells without a decision are."""

    def __init__(self, config: Config, data: EditionData, cells_by_period: Mapping[str, ProtectedCells]) -> None:
        self._config, self._data, self._decided = config, data, cells_by_period

    def __call__(self, where: Where, period: str) -> bool:
        cell = dict(where)
        if not set(cell) & PERSONAL_COLUMNS:
            return False
        period_cells = self._decided.get(period)
        if period_cells is None:
            return True
        if "charter" in cell:
            return self._charter_hides(period_cells, period, cell["charter"])
        use_case = cell.get("use_case", "")
        if set(cell) == {"use_case"} and _has_no_reserved_energy(period_cells, period, use_case):
            return False
        if "model" not in cell:
            return not period_cells.is_public(period, cell.get("service", ""), use_case)
        services = self._config.services_of_model(cell["model"])
        return not services or any(not period_cells.is_public(period, service, use_case) for service in sorted(services))

    def _charter_hides(self, period_cells: ProtectedCells, period: str, status: str) -> bool:
        """Whether a charter status is confidential: the sum of all but one of its use cases would disclose that one."""
        start, end = parse_period(period).bounds_us(self._config.timezone)
        uses = {name for (name,) in self._data.uses.get(period, {}) if name not in RESERVED_NAMES}
        status_uses = {name for name in uses if status in {self._config.charter_at(name, at) for at in (start, end - 1)}}
        return any(not period_cells.is_public(period, "", name) for name in status_uses)


def _has_no_reserved_energy(period_cells: ProtectedCells, period: str, use_case: str) -> bool:
    """Whether a decided period has no idle, or no unattributed, energy: that is known to be zero and no secret."""
    return (
        use_case in RESERVED_NAMES and (period, "", "") in period_cells.cells and (period, "", use_case) not in period_cells.cells
    )


def suppress_cells(
    store: Store, config: Config, context: ReleaseContext, data: EditionData, now_us: int, factor_book: FactorBook | None = None
) -> EditionData:
    """The same data with the predicate of confidential cells and the summary of suppressions."""
    periods = sorted({*data.uses, *data.charters, *data.pairs, str(data.period)})
    cells_by_period = {
        period: protect_period(
            store,
            config,
            period,
            now_us,
            published=context.published_before,
            suppressed=context.hidden_before,
            factor_book=factor_book,
            undeclared_together=context.undeclared_together,
        )
        for period in periods
    }
    current = cells_by_period[str(data.period)]
    counts = current.counts([str(data.period)])
    exposed = sorted(key for key in current.protection.exposed if key[0] == str(data.period))
    without_user_counts = [key for key in exposed if current.protection.reasons.get(key) is SuppressionReason.UNKNOWN_USERS]
    suppression = SuppressionSummary(
        current.rules.min_users,
        current.rules.dominance,
        counts.primary,
        counts.secondary,
        counts.fewest_users_shown,
        tuple(key[1:] for key in exposed if key not in without_user_counts),
        tuple(key[1:] for key in without_user_counts),
    )
    return replace(data, is_confidential=SuppressedCells(config, data, cells_by_period), suppression=suppression)
