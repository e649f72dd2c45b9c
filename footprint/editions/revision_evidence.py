"""Evidence for revisions: inputs and totals by host and day, stored at publication, from which a revision derives its causes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from footprint.core.units import US_PER_S, kwh_from_uj
from footprint.editions.release_context import Change
from footprint.figures.dataset import Dataset
from footprint.figures.energy_cells import load_bases
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.storage.database import Store

CAUSES = ("late-data", "method", "facts", "factors")
MAX_OVERHEAD = 100  # times IT energy: a building that draws more does not draw it because of IT


@dataclass(frozen=True, slots=True)
class HostEvidence:
    """A host's UTC day: fingerprint of its readings, IT and building energy [µJ], emissions [g] (None: no factor)."""

    data: str
    it_uj: int
    facility_uj: int
    grams: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of a period by host and day, with the method version that it was computed under."""

    method_version: str = ""
    days: Mapping[tuple[str, int], HostEvidence] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [[host, day, e.data, e.it_uj, e.facility_uj, e.grams] for (host, day), e in sorted(self.days.items())]
        return {"method_version": self.method_version, "days": rows}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evidence:
        """The evidence from the output of ``to_json``."""
        days = {(row[0], int(row[1])): HostEvidence(*row[2:]) for row in document["days"]}
        return cls(document["method_version"], days)


def evidence_of(store: Store, zone: ZoneInfo, start_us: int, end_us: int, method_version: str) -> Evidence:
    """Evidence of the stored rows of [start, end) and their readings, as of now."""
    with store.read() as connection:
        view = LedgerView(store, connection)
        rows = Dataset(store, connection, zone).rows(
            "energy",
            start_us // US_PER_S,
            end_us // US_PER_S,
            "SELECT host, start_s // 86400, basis, SUM(active_uj + idle_uj + host_uj), SUM(facility_uj) FROM rows GROUP BY ALL "
            "ORDER BY ALL",
        )
        texts = store.texts(connection, {row[0] for row in rows})
        bases = load_bases(view, {int(row[2]) for row in rows})
        sums: dict[tuple[str, int], list[Any]] = defaultdict(lambda: [0, 0, 0.0])
        for host, day, basis, it, facility in rows:
            totals, factor = sums[texts[host], int(day)], bases[int(basis)].factor
            totals[0] += int(it)
            totals[1] += int(facility)
            totals[2] = (
                None if totals[2] is None or factor is None else totals[2] + kwh_from_uj(int(it) + int(facility)) * factor[0]
            )
        fingerprints = {host_day: _readings_fingerprint(view, *host_day) for host_day in sums}
    return Evidence(
        method_version, {host_day: HostEvidence(fingerprints[host_day], *totals) for host_day, totals in sums.items()}
    )


def _readings_fingerprint(view: LedgerView, host: str, day: int) -> str:
    """Fingerprint of a host's readings around a day: versions grow with any change."""
    parts: list[object] = []
    for stream in view.streams().get(host, []):
        days = view.stream_days(stream.id)
        near = [(d, v) for d, v in zip(days.day.tolist(), days.version.tolist(), strict=True) if day - 1 <= d <= day + 1]
        if near:
            parts.append((stream.device, stream.quantity, stream.grade, near))
    return fingerprint(parts)


def changes_between(before: Evidence, after: Evidence) -> tuple[Change, ...]:
    """Causes of a revision with the energy and emissions that each moved; they sum to the change.

    Factors: today's energy with today's factor, minus the same with the earlier factor. Facts: IT energy with today's building
    share, minus the same with the earlier share. The remainder of a day is late data if its readings changed, else method (or
    undated facts); if both changed, the method is taken to move the day as it moved that host's days with unchanged readings.
    """
    method = before.method_version != after.method_version
    ratios = _method_ratios(before, after) if method else {}
    sums: dict[str, list[float]] = {cause: [0.0, 0.0] for cause in CAUSES}
    grams_known = True
    empty = HostEvidence("", 0, 0, 0.0)
    for host_day in sorted(set(before.days) | set(after.days)):
        then, now = before.days.get(host_day, empty), after.days.get(host_day, empty)
        grams_known = grams_known and then.grams is not None and now.grams is not None
        for cause, kwh, grams in _day_causes(then, now, ratios.get(host_day[0], 1.0), method=method):
            sums[cause][0] += kwh
            sums[cause][1] += grams
    significant = _without_rounding(sums, before, after)
    return tuple(Change(cause, kwh, grams if grams_known else None) for cause, (kwh, grams) in significant.items())


def _without_rounding(sums: Mapping[str, list[float]], before: Evidence, after: Evidence) -> dict[str, list[float]]:
    """Causes above rounding errors; the rounding errors are added to the largest of them, so that the sum stands."""
    scale = [ROUNDING_TOLERANCE * max(abs(side) for side in pair) for pair in zip(_totals(before), _totals(after), strict=True)]
    significant = {
        cause: list(moved) for cause, moved in sums.items() if any(abs(x) > s for x, s in zip(moved, scale, strict=True))
    }
    for index in (0, 1):
        if significant:
            largest = max(significant, key=lambda cause: abs(significant[cause][index]))
            significant[largest][index] += math.fsum(moved[index] for cause, moved in sums.items() if cause not in significant)
    return significant


def _totals(side: Evidence) -> tuple[float, float]:
    days = side.days.values()
    return math.fsum(kwh_from_uj(e.it_uj + e.facility_uj) for e in days), math.fsum(e.grams or 0.0 for e in days)


ROUNDING_TOLERANCE = 1e-10  # relative to the total


def _method_ratios(before: Evidence, after: Evidence) -> dict[str, float]:
    """By host: IT energy today over the earlier one, on days with unchanged readings."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for host_day in set(before.days) & set(after.days):
        if before.days[host_day].data == after.days[host_day].data:
            sums[host_day[0]][0] += before.days[host_day].it_uj
            sums[host_day[0]][1] += after.days[host_day].it_uj
    return {host: now / then for host, (then, now) in sums.items() if then}


def _day_causes(then: HostEvidence, now: HostEvidence, ratio: float, *, method: bool) -> list[tuple[str, float, float]]:
    """(cause, kWh, g) of one host's day."""
    then_kwh, now_kwh = (kwh_from_uj(e.it_uj + e.facility_uj) for e in (then, now))
    now_factor = (now.grams or 0.0) / now_kwh if now_kwh else 0.0
    then_factor = (then.grams or 0.0) / then_kwh if then_kwh else now_factor
    now_overhead = _overhead(now) or 1.0
    then_overhead = _overhead(then) or now_overhead
    it_kwh = kwh_from_uj(now.it_uj - then.it_uj) * then_overhead
    method_kwh = kwh_from_uj(then.it_uj) * (ratio - 1.0) * then_overhead if method else 0.0
    parts = [("factors", 0.0, now_kwh * (now_factor - then_factor))]
    building_kwh = kwh_from_uj(now.it_uj) * (now_overhead - then_overhead)
    parts.append(("facts", building_kwh, building_kwh * then_factor))
    if then.data != now.data:
        parts.append(("method", method_kwh, method_kwh * then_factor))
        parts.append(("late-data", it_kwh - method_kwh, (it_kwh - method_kwh) * then_factor))
    else:
        parts.append(("method" if method else "facts", it_kwh, it_kwh * then_factor))
    # The building's energy without IT energy to attribute it to depends on declared facts.
    rest_kwh = now_kwh - then_kwh - sum(kwh for _, kwh, _ in parts)
    rest_grams = now_kwh * now_factor - then_kwh * then_factor - sum(g for _, _, g in parts)
    return [*parts, ("facts", rest_kwh, rest_grams)]


def _overhead(evidence: HostEvidence) -> float | None:
    """Total energy over IT energy; None if the building's energy is not a share of it but stands for itself."""
    whole_uj = evidence.it_uj + evidence.facility_uj
    return whole_uj / evidence.it_uj if evidence.it_uj and whole_uj <= MAX_OVERHEAD * evidence.it_uj else None
