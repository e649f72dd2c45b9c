"""Data that the sections of an edition are written from: indicator rows with uncertainty budgets, coverage, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.periods import Period
from footprint.config import Config
from footprint.config.certificates import CalibrationCertificate
from footprint.editions.release_context import ReleaseContext
from footprint.impact.factor_book import Factor
from footprint.impact.uncertainty import UncertaintyBudget
from footprint.queries.objectives import ObjectiveStatus

GroupNames = tuple[str, ...]
Where = tuple[tuple[str, str], ...]
RESERVED_NAMES = (IDLE_NAME, UNATTRIBUTED_NAME)
MAX_RANKED_USE_CASES = 10
IsConfidential = Callable[[Where, str], bool]  # (cell, period): whether it is confidential


def nothing_confidential(where: Where, period: str) -> bool:
    """Predicate for editions about the whole organisation only: no cell is confidential."""
    return False


@dataclass(frozen=True, slots=True)
class IndicatorRow:
    """One row (docs/reference/contract.md, section 6), with the uncertainty budgets of its energy [kWh] and emissions [g].

    ``gap`` is the energy that may have been used while nothing was read, relative to the energy read; ``known_h`` the
    device-hours read or bridged by a counter; ``witnessed`` the shares of its IT energy whose sensors a witness confirms and
    contradicts.
    """

    row: Mapping[str, Any]
    energy: UncertaintyBudget
    grams: UncertaintyBudget
    gap: float
    known_h: float
    witnessed: tuple[float, float] = (0.0, 0.0)

    @property
    def it_kwh(self) -> float:
        """IT energy, without the building's overhead [kWh]."""
        return float(self.row["energy_kwh"] - self.row["facility_kwh"])


RowsByGroup = Mapping[GroupNames, IndicatorRow]


@dataclass(frozen=True, slots=True)
class SuppressionSummary:
    """Rules of disclosure control, and the number of cells hidden by them in the period.

    ``exposed`` are hidden cells (service, use case) that can be derived from cells that must be shown; ``uncounted`` are exposed
    cells without a known number of users: they are hidden as a precaution and do not prevent publication.
    """

    min_users: int
    dominance: float
    primary: int
    secondary: int
    fewest_users_shown: int | None
    exposed: tuple[tuple[str, str], ...] = ()
    uncounted: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceSeconds:
    """Device-seconds: expected, read by a sensor, modelled, bridged by a counter; the rest is missing."""

    expected: float = 0.0
    measured: float = 0.0
    modelled: float = 0.0
    bridged: float = 0.0

    def __add__(self, other: DeviceSeconds) -> DeviceSeconds:
        return DeviceSeconds(
            self.expected + other.expected,
            self.measured + other.measured,
            self.modelled + other.modelled,
            self.bridged + other.bridged,
        )

    @property
    def missing(self) -> float:
        """Seconds without any reading, model or counter."""
        return max(self.expected - self.measured - self.modelled - self.bridged, 0.0)


@dataclass(frozen=True, slots=True)
class Gap:
    """A range in which a host's device was expected and not read [µs]."""

    host: str
    device: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Coverage by day (the worst host decides its state) and by site, and the longest gaps, longest first."""

    total: DeviceSeconds = field(default_factory=DeviceSeconds)
    days: Mapping[str, DeviceSeconds] = field(default_factory=dict)
    day_states: Mapping[str, str] = field(default_factory=dict)  # day -> measured | estimated | missing
    sites: Mapping[str, DeviceSeconds] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class CalibrationEffect:
    """Certificates that were valid in a period, and U = 2u of its energy, relative, with them and had there been none."""

    certificates: tuple[CalibrationCertificate, ...] = ()
    half_with: float | None = None
    half_without: float | None = None


@dataclass(frozen=True, slots=True)
class EditionData:
    """Everything that the sections of an edition draw on; periods and months are keyed by name."""

    config: Config
    context: ReleaseContext
    period: Period
    totals: Mapping[str, IndicatorRow]
    months: Mapping[str, IndicatorRow]
    uses: Mapping[str, RowsByGroup]  # period -> (use case,)
    services: Mapping[str, RowsByGroup]
    charters: Mapping[str, RowsByGroup]
    models: RowsByGroup  # of the period
    pairs: Mapping[str, RowsByGroup]  # period -> (service, use case): this one and the one before
    coverage: CoverageReport
    closure: tuple[Mapping[str, Any], ...]
    sensitivity: tuple[Mapping[str, Any], ...]
    comparisons: tuple[Mapping[str, Any], ...]
    other_uses: tuple[tuple[str, ...], IndicatorRow | None] = ((), None)  # use cases after the first ten, and their sum
    hourly: Mapping[str, float] = field(default_factory=dict)  # period -> mean hourly intensity [g/kWh], if a series covers it
    factors: tuple[Factor, ...] = ()
    heads: tuple[tuple[str, str], ...] = ()
    inputs: str = ""
    ledger: str = ""
    objectives: tuple[ObjectiveStatus, ...] = ()
    calibration: CalibrationEffect = CalibrationEffect()
    is_confidential: IsConfidential = nothing_confidential
    suppression: SuppressionSummary | None = None

    @property
    def previous(self) -> Period:
        """The period before."""
        return self.period.shifted(-1)

    @property
    def year_ago(self) -> Period:
        """The same period a year before."""
        return self.period.year_before()

    @property
    def base(self) -> Period | None:
        """The period to compare with: a year ago if known, else the period before."""
        return next((period for period in (self.year_ago, self.previous) if str(period) in self.totals), None)

    def ranked_use_cases(self) -> list[str]:
        """Use cases of the period by energy, then the confidential ones by name, since their rank would disclose them."""
        rows = self.uses.get(str(self.period), {})
        names = [
            name
            for (name,), indicators in rows.items()
            if indicators.row["energy_kwh"] is not None and name not in RESERVED_NAMES
        ]
        confidential = {name for name in names if self.is_confidential((("use_case", name),), str(self.period))}
        return sorted(
            names, key=lambda name: (name in confidential, 0.0 if name in confidential else -rows[name,].row["energy_kwh"], name)
        )

    @property
    def current(self) -> IndicatorRow:
        """The row of the edition's period."""
        return self.totals[str(self.period)]
