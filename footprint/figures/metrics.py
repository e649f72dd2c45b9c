"""This file computes what ``figures.py`` says of a row for all rows at once, by arrays, in the same order and so to the same bit.

Where 64 bits are too few for an amount, it is not used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.calculation_basis import CalculationBasis
from footprint.attribution.shard import HOST_DEVICE
from footprint.core.assumptions import assumption
from footprint.core.estimate import COVERAGE_FACTOR, Estimate
from footprint.core.units import UG_PER_G, UJ_PER_KWH
from footprint.figures.cell_table import AMOUNTS, CellTable, Ints, combined
from footprint.impact.uncertainty import UncertaintyBudget

Floats = NDArray[np.float64]
_INDEX = {name: index for index, name in enumerate(AMOUNTS)}
_ROOT = math.sqrt(3)


@dataclass(frozen=True, slots=True)
class BasisParameters:
    """What a basis puts into the arithmetic: values and half-spreads, and the names of its causes."""

    numbers: tuple[float, ...]
    causes: tuple[str, str, str, str, str]  # pue, estimate, gain, uplift, factor


# In Terms.numbers, in this order.
_FIELDS = (
    "pue",
    "pue_low",
    "pue_high",
    "pue_assumed",
    "factor",
    "factor_low",
    "factor_high",
    "factor_known",
    "whole_server",
    "uplift",
    "uplift_low",
    "uplift_high",
    "gain_low",
    "gain_high",
    "estimate_low",
    "estimate_high",
    "market",
    "water",
    "wue",
    "adpe",
    "primary",
    "price",
    "embodied_known",
)


@lru_cache(maxsize=100_000)
def terms_of(basis: CalculationBasis) -> BasisParameters:
    """A basis as numbers; NaN where a factor is not known."""
    pue, uplift = Estimate(*basis.pue), Estimate(*basis.uplift)
    factor = Estimate(*basis.factor) if basis.factor else None
    whole_server = basis.component == "host"
    method = basis.method if basis.method in ("counter", "modelled") else "power"
    gain = assumption("gain_host_power" if whole_server else f"gain_{basis.component}_{method}")
    estimate = assumption("gain_estimate")

    def known(value: float | None) -> float:
        return math.nan if value is None else value

    numbers = (
        pue.value,
        pue.u_low,
        pue.u_high,
        basis.pue_assumed,
        factor.value if factor else 0.0,
        factor.u_low if factor else 0.0,
        factor.u_high if factor else 0.0,
        factor is not None,
        whole_server,
        uplift.value,
        uplift.u_low,
        uplift.u_high,
        gain.u_low,
        gain.u_high,
        estimate.u_low,
        estimate.u_high,
        known(basis.market),
        known(basis.water[0] if basis.water else None),
        basis.wue[0],
        known(basis.adpe_kgsb_per_kwh),
        known(basis.primary_mj_per_kwh),
        known(basis.price_eur_per_kwh),
        basis.embodied_known,
    )
    causes = (
        f"pue {'assumed' if basis.pue_assumed else basis.site}",
        "gain estimate",
        f"gain {HOST_DEVICE} {basis.host}" if whole_server else f"gain {basis.component} {method} {basis.device_model}",
        f"uplift {'assumed' if basis.uplift_assumed else basis.host}",
        f"factor {basis.factor_id}",
    )
    return BasisParameters(tuple(float(number) for number in numbers), causes)


class GroupedMetrics:
    """Figures of groups of cells: ``order`` lists cells group by group, ``starts`` where each group begins."""

    def __init__(self, table: CellTable, order: Ints, starts: Ints, *, apart: bool) -> None:
        self.groups = len(starts)
        self._starts, self._apart = starts, apart
        self._table = table
        self._group = np.repeat(np.arange(self.groups), np.diff([*starts.tolist(), len(order)]))
        self._basis = table.basis[order]
        amounts = table.amounts[order].astype(np.int64)
        self._of = {name: amounts[:, index] for name, index in _INDEX.items()}
        self._services = table.names["service"][order]
        told = [terms_of(basis) for basis in table.bases]
        numbers = np.array([each.numbers for each in told], dtype=np.float64).reshape(-1, len(_FIELDS))
        self._is = {name: numbers[self._basis, index] for index, name in enumerate(_FIELDS)}
        self._causes = [each.causes for each in told]
        self._it = self._of["active_uj"] + self._of["idle_uj"] + self._of["host_uj"]
        self._whole = self._it + self._of["facility_uj"]
        self.totals = self._totals()
        self._budgets()

    def _totals(self) -> list[dict[str, int]]:
        """Sums of amounts by group, Python integers."""
        sums: dict[str, list[int]] = {}
        for name, column in self._of.items():
            high, low = (np.add.reduceat(part, self._starts) for part in (column >> 20, column & (2**20 - 1)))
            sums[name] = [(int(above) << 20) + int(below) for above, below in zip(high.tolist(), low.tolist(), strict=True)]
        return [{name: sums[name][group] for name in AMOUNTS} for group in range(self.groups)]

    def _sum(self, weights: Floats, group: Ints | None = None) -> Floats:
        group = self._group if group is None else group
        return np.bincount(group, weights=weights, minlength=self.groups).astype(np.float64)

    def _numbered(self, place: int) -> Ints:
        """Each cell's cause of one kind, by a number that all cells share."""
        names = [causes[place] for causes in self._causes]
        for name in names:
            self._names.setdefault(name, len(self._names))
        return np.array([self._names[name] for name in names], dtype=np.int64)[self._basis]

    def _budgets(self) -> None:
        """Standard uncertainties of each group by cause: of energy and of emissions, towards low and high."""
        self._names: dict[str, int] = {}
        of, terms = self._of, self._is
        host = terms["whole_server"] > 0
        it_kwh = _over(self._it, UJ_PER_KWH)
        facility = np.abs(of["facility_uj"])
        spared = np.where(terms["pue_assumed"] > 0, facility, 0)
        estimated = _over(np.maximum(of["grade_c_uj"] - spared, 0), UJ_PER_KWH)
        added_uj = np.maximum(of["grade_b_uj"] + of["grade_c_uj"] - facility, 0)
        added, pue = _over(added_uj, UJ_PER_KWH), terms["pue"]
        everywhere, lifted = np.ones(len(host), dtype=bool), host & (added_uj > 0) & (terms["uplift"] > 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            uplifting = added * pue / (terms["uplift"] - 1)
        slots: list[tuple[NDArray[np.bool_], Ints, Floats, Floats, Floats]] = [
            (everywhere, self._numbered(0), it_kwh, terms["pue_low"], terms["pue_high"]),
            (~host, self._numbered(1), estimated * pue, terms["estimate_low"], terms["estimate_high"]),
            (~host, self._numbered(2), (it_kwh - estimated) * pue, terms["gain_low"], terms["gain_high"]),
            (lifted, self._numbered(3), uplifting, terms["uplift_low"], terms["uplift_high"]),
            (host, self._numbered(2), (it_kwh - added) * pue, terms["gain_low"], terms["gain_high"]),
        ]
        if self._apart:
            slots.append(self._splits(host, pue))
        factor = self._numbered(4)
        keys, energy, emitted = self._contributions(slots)
        grams_key = self._group * len(self._names) + factor
        held = terms["factor_known"] > 0
        size = _over(self._whole, UJ_PER_KWH)
        by_factor = _towards(size, terms["factor_low"], terms["factor_high"])
        self._energy = self._by_cause(keys, energy)
        self._emitted = self._by_cause(
            np.concatenate([keys, grams_key[held]]),
            [np.concatenate([side, more[held]]) for side, more in zip(emitted, by_factor, strict=True)],
        )
        self._scale(host, added_uj)
        grams = self._sum(np.where(held, size * terms["factor"], 0.0))
        unknown = self._sum((~held & (self._whole != 0)).astype(np.float64)) > 0
        self.grams: list[float | None] = [None if u else g for g, u in zip(grams.tolist(), unknown.tolist(), strict=True)]

    def _splits(self, host: NDArray[np.bool_], pue: Floats) -> tuple[NDArray[np.bool_], Ints, Floats, Floats, Floats]:
        """How energy was divided over use cases, by service."""
        a, b = self._of["spread_a_uj"], self._of["spread_b_uj"]
        low, high = np.minimum(np.minimum(a, b), 0), np.maximum(np.maximum(a, b), 0)
        numbers = np.array([self._names.setdefault(f"split {text}", len(self._names)) for text in self._table.texts])
        present = ~host & ((a != 0) | (b != 0))
        return present, numbers[self._services], pue / UJ_PER_KWH, (0.0 - low) / _ROOT, (high - 0.0) / _ROOT

    def _contributions(
        self, slots: Sequence[tuple[NDArray[np.bool_], Ints, Floats, Floats, Floats]]
    ) -> tuple[Ints, list[Floats], list[Floats]]:
        keys, energy, emitted = [], [], []
        for present, cause, sensitivity, low, high in slots:
            keys.append((self._group * len(self._names) + cause)[present])
            energy.append(tuple(side[present] for side in _towards(sensitivity, low, high)))
            emitted.append(tuple(side[present] for side in _towards(sensitivity * self._is["factor"], low, high)))
        joined = [[np.concatenate([each[side] for each in found]) for side in (0, 1)] for found in (energy, emitted)]
        return np.concatenate(keys), joined[0], joined[1]

    def _by_cause(self, keys: Ints, sides: Sequence[Floats]) -> tuple[Ints, Floats, Floats]:
        found, place = np.unique(keys, return_inverse=True)
        low, high = (np.bincount(place, weights=side, minlength=len(found)).astype(np.float64) for side in sides)
        return found, low, high

    def _scale(self, host: NDArray[np.bool_], added_uj: Ints) -> None:
        """What an uplift adds errs with the sensors that it multiplies; host energy with the split of the accelerators."""
        sensed = self._sum(np.where(host, 0, self._it).astype(np.float64))
        uplifted = self._sum(np.where(host, added_uj, 0).astype(np.float64))
        accelerator = self._sum((self._of["active_uj"] + self._of["idle_uj"]).astype(np.float64))
        followed = self._sum(self._of["host_uj"].astype(np.float64))
        names = list(self._names)
        sensors = np.array([name.startswith(("gain gpu", "gain cpu", "gain dram")) for name in names], dtype=bool)
        splits = np.array([name.startswith("split ") for name in names], dtype=bool)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_sensor = np.where((sensed > 0) & (uplifted > 0), 1 + uplifted / sensed, 1.0)
            by_split = np.where((accelerator > 0) & (followed > 0), 1 + followed / accelerator, 1.0)
        for keys, *sides in (self._energy, self._emitted):
            group, cause = keys // len(names), keys % len(names)
            more = np.where(sensors[cause], by_sensor[group], 1.0), np.where(splits[cause], by_split[group], 1.0)
            for side, factor in itertools.product(sides, more):
                np.multiply(side, factor, out=side)

    def budgets(self, group: int) -> tuple[UncertaintyBudget, UncertaintyBudget]:
        """The uncertainty budgets of one group: of its energy [kWh] and of its emissions [g]."""
        names = list(self._names)
        found = []
        for keys, low, high in (self._energy, self._emitted):
            first, last = np.searchsorted(keys, [group * len(names), (group + 1) * len(names)]).tolist()
            causes = [names[key % len(names)] for key in keys[first:last].tolist()]
            halves = zip(low[first:last].tolist(), high[first:last].tolist(), strict=True)
            found.append(UncertaintyBudget.from_uncertainties(dict(zip(causes, halves, strict=True))))
        return found[0], found[1]

    def half_widths(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """(low, high) U = 2u of each group: of energy [kWh], of emissions [g]."""
        found = []
        for keys, low, high in (self._energy, self._emitted):
            ends = np.searchsorted(keys, np.arange(self.groups + 1) * len(self._names)).tolist()
            squares = [(side * side).tolist() for side in (low, high)]
            found.append(
                [
                    tuple(COVERAGE_FACTOR * math.sqrt(math.fsum(side[first:last])) for side in squares)
                    for first, last in itertools.pairwise(ends)
                ]
            )
        return list(zip(*found, strict=True))  # type: ignore[arg-type]

    def impacts(self) -> dict[str, list[float | None]]:
        """Impacts beside location-based emissions, by group; see ``figures.impact_figures``."""
        whole = _over(self._whole, UJ_PER_KWH)
        it = whole - _over(self._of["facility_uj"], UJ_PER_KWH)
        known = self._is["embodied_known"] > 0
        embodied = np.where(known, _over(self._of["embodied_ug"], UG_PER_G), whole)
        return {
            "co2e_market_g": self._impact(whole, self._is["market"]),
            "embodied_g": self._impact(embodied, np.where(known, 1.0, np.nan)),
            "water_l": self._impact(
                np.stack([whole, it], axis=1).ravel(),
                np.stack([self._is["water"], self._is["wue"]], axis=1).ravel(),
                np.repeat(self._group, 2),
            ),
            "adpe_kgsb": self._impact(whole, self._is["adpe"]),
            "primary_energy_mj": self._impact(whole, self._is["primary"]),
            "cost_eur": self._impact(whole, self._is["price"]),
        }

    def _impact(self, amount: Floats, factor: Floats, group: Ints | None = None) -> list[float | None]:
        missing = np.isnan(factor)
        sums = self._sum(amount * np.where(missing, 0.0, factor), group)
        lacks = self._sum((missing & (amount != 0)).astype(np.float64), group) > 0
        return [None if without else total for total, without in zip(sums.tolist(), lacks.tolist(), strict=True)]

    def any_amount(self) -> list[bool]:
        """Whether a group holds anything at all."""
        told = np.zeros(len(self._group), dtype=bool)
        for column in self._of.values():
            told |= column != 0
        return (self._sum(told.astype(np.float64)) > 0).tolist()  # type: ignore[no-any-return]

    def texts(self, of: Any) -> list[set[str]]:
        """The texts that a function tells of the bases of each group."""
        told = [of(basis) for basis in self._table.bases]
        names = sorted(set(told))
        place = {text: number for number, text in enumerate(names)}
        return self.sets(np.array([place[text] for text in told], dtype=np.int64)[self._basis], names)

    def sets(self, codes: Ints, names: Sequence[str]) -> list[set[str]]:
        """The names that codes of cells, in this order, stand for in each group."""
        found: list[set[str]] = [set() for _ in range(self.groups)]
        keys = np.unique(combined([(self._group, self.groups), (codes, max(len(names), 1))])) if len(codes) else codes
        for group, code in zip((keys // max(len(names), 1)).tolist(), (keys % max(len(names), 1)).tolist(), strict=True):
            found[group].add(names[code])
        return found


def _towards(sensitivity: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """|sensitivity| times the spread towards low and high of the figure: they change places where it is negative."""
    forward = sensitivity >= 0
    size = np.abs(sensitivity)
    return size * np.where(forward, low, high), size * np.where(forward, high, low)


def _over(amounts: Ints, unit: int) -> Floats:
    """Amounts over a unit, rounded once as Python does it: a number of more than 53 bits is not made a float first."""
    found = amounts / unit
    for index in np.flatnonzero(np.abs(amounts) >= 2**53).tolist():
        found[index] = int(amounts[index]) / unit
    return found
