"""Primary suppression: cells, the rules that they are tested against, and the reasons for their status.

The protected unit is the distinct user. The rules follow INSEE's for business tables (fewest units in a cell, largest
contributor), with users in the place of businesses.

References
----------
A. Hundepool et al., Statistical Disclosure Control, Wiley 2012, chapter 4.
Values and reasons: ``docs/explanation/disclosure-control.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from footprint.core.records import FootprintError

Key = tuple[str, str, str]  # period (2026, 2026-Q3, 2026-07), service, use case; an empty name is the margin over all
MIN_USERS_FLOOR = 3  # of two users, each knows what the other did
PROFILES: Mapping[str, int] = {"default": 5, "strict": 11, "floor": MIN_USERS_FLOOR}  # fewest distinct users
DOMINANCE = 0.85
UNDECLARED_USE_CASES = "(undeclared)"  # use cases that nobody declared, as one: it has users like any other


class BadSuppressionRules(FootprintError):
    """Rules that would protect nobody."""


class NotAdditive(FootprintError):
    """Cells whose margin is not the sum of its parts, so that no protection can be proved."""


class Status(StrEnum):
    """Status of a cell: public, hidden by a rule (primary), or hidden to protect another cell (secondary)."""

    PUBLIC = "public"
    PRIMARY = "primary"
    SECONDARY = "secondary"


class SuppressionReason(StrEnum):
    """Reason for the status of a cell."""

    SAFE = "safe"
    NOBODY = "nobody"  # no request, so nobody to protect
    NO_USERS_BY_NATURE = "by-nature"  # (idle), (unattributed)
    TOTAL = "total"  # of the organisation
    UNKNOWN_USERS = "unknown-users"
    FEW_USERS = "few-users"
    FEW_TEAMS = "few-teams"
    DOMINATED = "dominated"
    KEPT = "kept"  # hidden in an earlier edition; late data would reveal it
    COMPLEMENT = "complement"  # a hidden cell could be derived from it


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its users, and its amounts by measure (additive, not negative, each measure in one unit).

    ``users`` is the number of distinct users, None where nobody counted them. ``max_share`` is the largest user's share of the
    tokens; where it is None, dominance is not tested. ``teams`` is the number of teams, None where unknown.
    """

    period: str
    service: str
    use_case: str
    users: int | None
    max_share: float | None = None
    teams: int | None = None
    amounts: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Key of the cell: period, service, use case."""
        return self.period, self.service, self.use_case

    @property
    def by_nature(self) -> bool:
        """Whether the row has no users by nature: (idle), (unattributed)."""
        return (self.use_case.startswith("(") and self.use_case != UNDECLARED_USE_CASES) or self.service.startswith("(")


@dataclass(frozen=True, slots=True)
class SuppressionRules:
    """Thresholds below which a cell is hidden, and how well it is protected.

    Parameters
    ----------
    min_users
        Fewest distinct users of a public cell.
    dominance
        Largest share of the tokens that one user of a public cell may have.
    min_teams
        Fewest teams of a public cell; None for no such rule.
    protection
        Fraction of a hidden amount within which no reader may derive it.
    linked
        Measures that are a multiple of another by a factor that a reader may know: one of the two gives the other.
    ratio_known
        Fraction within which a reader knows such a factor.

    Raises
    ------
    BadSuppressionRules
        If a value is below the floor or out of range.
    """

    min_users: int = PROFILES["default"]
    dominance: float = DOMINANCE
    min_teams: int | None = None
    protection: float = 0.15
    linked: tuple[tuple[str, str], ...] = (("co2e_location_g", "energy_kwh"), ("water_l", "energy_kwh"))
    ratio_known: float = 0.01

    def __post_init__(self) -> None:
        if self.min_users < MIN_USERS_FLOOR:
            raise BadSuppressionRules(
                f"min_users is {self.min_users}: a cell of fewer than {MIN_USERS_FLOOR} users shows each what the others did; "
                f"set {MIN_USERS_FLOOR} or more ({PROFILES['default']} is usual, {PROFILES['strict']} strict)"
            )
        if not 0.5 <= self.dominance < 1:
            raise BadSuppressionRules(
                f"dominance is {self.dominance:g}: it is the largest share one user may have, from 0.5 to below 1"
            )
        if self.min_teams is not None and self.min_teams < 1:
            raise BadSuppressionRules(f"min_teams is {self.min_teams}: set at least 1, or leave it out")
        if not 0 < self.protection <= 1:
            raise BadSuppressionRules(f"protection is {self.protection:g}: it is a fraction of the amount, above 0 and at most 1")


def primary_reason(cell: Cell, rules: SuppressionRules) -> SuppressionReason:
    """Reason that the rules give for one cell by itself.

    Parameters
    ----------
    cell
        Cell to test; a cell whose amount ``requests`` is 0 has nobody to protect.
    rules
        Thresholds.

    Returns
    -------
    SuppressionReason
        The first reason that holds; ``SuppressionReason.SAFE`` if none does.

    Examples
    --------
    >>> primary_reason(Cell("2026-07", "chat", "a", users=4), SuppressionRules(min_users=5)).value
    'few-users'
    """
    enough_teams = rules.min_teams is None or (cell.teams is not None and cell.teams >= rules.min_teams)
    tests = (
        (SuppressionReason.TOTAL, not cell.service and not cell.use_case),
        (SuppressionReason.NO_USERS_BY_NATURE, cell.by_nature),
        (SuppressionReason.NOBODY, not cell.users and (cell.amounts.get("requests") == 0 or not any(cell.amounts.values()))),
        (SuppressionReason.UNKNOWN_USERS, cell.users is None),
        (SuppressionReason.FEW_USERS, (cell.users or 0) < rules.min_users),
        (SuppressionReason.FEW_TEAMS, not enough_teams),
        (SuppressionReason.DOMINATED, (cell.max_share or 0.0) > rules.dominance),
    )
    return next((reason for reason, holds in tests if holds), SuppressionReason.SAFE)


HIDING_REASONS = frozenset(
    {SuppressionReason.UNKNOWN_USERS, SuppressionReason.FEW_USERS, SuppressionReason.FEW_TEAMS, SuppressionReason.DOMINATED}
)
