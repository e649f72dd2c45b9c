"""Context of an edition: all inputs that the ledger does not hold, such as version, instants and earlier publications.

Publishing stores it, so that an edition can be rebuilt byte by byte, whatever is published later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from footprint.config.models import Annotation
from footprint.config.objectives import Objective, objective_from_json, objective_to_json
from footprint.core.stored_forms import from_plain, stored_as, to_plain

_OMITTED_IF_EMPTY = ("objectives", "annotations", "accepted", "undeclared_together")
Status = Literal["draft", "provisional", "final", "revised"]
Key = tuple[str, str, str]  # period, service, use case; empty is the margin
Bounds = tuple[float | None, float | None, float | None]  # value, low, high


@stored_as("Change", "cause energy_kwh co2e_g")
@dataclass(frozen=True, slots=True)
class Change:
    """One cause of a revision and its effect: energy [kWh], emissions [g] (None if unknown)."""

    cause: str  # late-data | factors | method | facts
    energy_kwh: float
    co2e_g: float | None


@stored_as("Vintage", "period version status released method_version factor_version kind reason figures changes")
@dataclass(frozen=True, slots=True)
class ReleasedVersion:
    """A version published before, with its key figures, so that old and new values can be compared."""

    period: str
    version: int
    status: Status
    released: str
    method_version: str
    factor_version: str
    kind: str = ""  # routine | major | unscheduled; empty for a first version
    reason: str = ""
    figures: Mapping[str, Bounds] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


@stored_as("Decision", "date fr en effect_fr effect_en")
@dataclass(frozen=True, slots=True)
class CommitteeDecision:
    """A decision of the committee: date, text in French and English (equal if one is missing), and its follow-up."""

    date: str
    fr: str
    en: str
    effect_fr: str = ""
    effect_en: str = ""


@stored_as(
    "Context",
    "period version status released cut_us code_version final_on next_release kind reason numbers vintages changes "
    "decisions shown kept objectives annotations accepted delays undeclared_together",
)
@dataclass(frozen=True, slots=True)
class ReleaseContext:
    """Context of one version of an edition; ``cut_us`` is the instant up to which links of sealed days count."""

    period: str
    version: int = 1
    status: Status = "draft"
    released: str = ""
    cut_us: int = 0
    code_version: str = ""
    final_on: str = ""
    next_release: str = ""
    kind: str = ""
    reason: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)  # figure key -> number, of the version before
    vintages: tuple[ReleasedVersion, ...] = ()
    changes: tuple[Change, ...] = ()
    decisions: tuple[CommitteeDecision, ...] = ()
    published_before: tuple[Key, ...] = ()  # cells published before: they cannot be unpublished
    hidden_before: tuple[Key, ...] = ()  # cells hidden before: they stay hidden
    objectives: tuple[Objective, ...] = ()  # as declared at publication
    annotations: tuple[Annotation, ...] = ()  # as written at publication
    accepted: str = ""  # reason for publishing although hidden cells can be derived; empty if none can
    delays: tuple[tuple[str, int, int], ...] = ()  # (edition, days allowed, days taken) of earlier editions
    undeclared_together: bool = False  # undeclared use cases are one row; False as in editions of earlier releases

    def latest(self, period: str) -> ReleasedVersion | None:
        """The last version of a period published before this one."""
        versions = [version for version in self.vintages if version.period == period]
        return max(versions, key=lambda version: version.version, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        document = {**to_plain(self), "objectives": [objective_to_json(objective) for objective in self.objectives]}
        return {name: value for name, value in document.items() if value or name not in _OMITTED_IF_EMPTY}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ReleaseContext:
        """The context from the output of ``to_json``."""
        vintages = tuple(
            from_plain(
                ReleasedVersion,
                {
                    **version,
                    "figures": {key: tuple(value) for key, value in version["figures"].items()},
                    "changes": tuple(from_plain(Change, change) for change in version["changes"]),
                },
            )
            for version in document["vintages"]
        )
        return from_plain(
            cls,
            {
                **document,
                "vintages": vintages,
                "changes": tuple(from_plain(Change, change) for change in document["changes"]),
                "shown": tuple((a, b, c) for a, b, c in document["shown"]),
                "kept": tuple((a, b, c) for a, b, c in document["kept"]),
                "decisions": tuple(from_plain(CommitteeDecision, decision) for decision in document["decisions"]),
                "objectives": tuple(objective_from_json(objective) for objective in document.get("objectives", ())),
                "annotations": tuple(from_plain(Annotation, annotation) for annotation in document.get("annotations", ())),
                "delays": tuple((name, allowed, taken) for name, allowed, taken in document["delays"]),
            },
        )
