"""Grouped metrics: impacts and uncertainty budgets of all rows of a query at once, as arrays.

Sums over cells run in the order of the table, so they are the same on every database. Amounts are Python integers where 64 bits
do not suffice.
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

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.row_columns import HOST_DEVICE
from footprint.core.assumptions import assumption
from footprint.core.estimate import COVERAGE_FACTOR, Estimate
from footprint.core.units import UG_PER_G, UJ_PER_KWH
from footprint.figures.cell_table import AMOUNTS, Amounts, CellTable, combine_codes
from footprint.impact.calculation_basis import CalculationBasis
from footprint.impact.uncertainty import UncertaintyBudget

# Bounds of what witnesses allow, not chances: they add up over devices, and half of a bound is its standard uncertainty, so that
# the interval U = 2u of a figure holds all of them whatever else it holds.
SENSORS_IN_DOUBT = "sensors in doubt"
_INDEX = {name: index for index, name in enumerate(AMOUNTS)}
_SQRT_3 = math.sqrt(3)


@dataclass(frozen=True, slots=True)
class BasisParameters:
    """Numbers of a basis (values and half-spreads), and the names of its error causes."""

    numbers: tuple[float, ...]
    causes: tuple[str, str, str, str, str]  # pue, estimate, gain, uplift, factor


# Order of BasisParameters.numbers.
_PARAMETER_NAMES = (
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
    "certified",
)


@lru_cache(maxsize=100_000)
def basis_parameters(basis: CalculationBasis) -> BasisParameters:
    """Parameters of a basis; NaN for unknown factors."""
    pue, uplift = Estimate(*basis.pue), Estimate(*basis.uplift)
    factor = Estimate(*basis.factor) if basis.factor else None
    whole_server = basis.component == "host"
    method = basis.method if basis.method in ("counter", "modelled") else "power"
    gain = assumption("gain_host_power" if whole_server else f"gain_{basis.component}_{method}")
    gain_low, gain_high = (gain.u_low, gain.u_high) if basis.gain is None else around_reading(Estimate(*basis.gain))
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
        gain_low,
        gain_high,
        estimate.u_low,
        estimate.u_high,
        known(basis.market),
        known(basis.water[0] if basis.water else None),
        basis.wue[0],
        known(basis.adpe_kgsb_per_kwh),
        known(basis.primary_mj_per_kwh),
        known(basis.price_eur_per_kwh),
        basis.embodied_known,
        basis.is_certified,
    )
    causes = (
        f"pue {'assumed' if basis.pue_assumed else basis.site}",
        "gain estimate",
        f"gain {HOST_DEVICE} {basis.host}" if whole_server else f"gain {basis.component} {method} {basis.device_model}",
        f"uplift {'assumed' if basis.uplift_assumed else basis.host}",
        f"factor {basis.factor_id}",
    )
    return BasisParameters(tuple(float(number) for number in numbers), causes)


def around_reading(gain: Estimate) -> tuple[float, float]:
    """Standard uncertainties of a reading that is shown as it was read, though its gain is known: the gain off 1 widens its side.

    References
    ----------
    JCGM 100:2008, F.2.4.5: an uncorrected bias is added to the expanded uncertainty.

    Examples
    --------
    >>> around_reading(Estimate.exactly(1.04))
    (0.0, 0.020000000000000018)
    """
    bias = gain.value - 1.0
    return gain.u_low + max(-bias, 0.0) / COVERAGE_FACTOR, gain.u_high + max(bias, 0.0) / COVERAGE_FACTOR


class GroupedMetrics:
    """Figures of groups of cells: ``order`` lists the cells group by group, ``starts`` the start of each group."""

    def __init__(self, table: CellTable, order: Ints, starts: Ints, *, apart: bool) -> None:
        self.groups = len(starts)
        self._starts, self._order, self._apart = starts, order, apart
        self._table = table
        self._group = np.repeat(np.arange(self.groups), np.diff([*starts.tolist(), len(order)]))
        self._basis = table.basis[order]
        amounts = table.amounts[order]
        self._of = {name: amounts[:, index] for name, index in _INDEX.items()}
        self._services = table.names["service"][order]
        parameters = [basis_parameters(basis) for basis in table.bases]
        numbers = np.array([basis_numbers.numbers for basis_numbers in parameters], dtype=np.float64).reshape(
            -1, len(_PARAMETER_NAMES)
        )
        self._is = {name: numbers[self._basis, index] for index, name in enumerate(_PARAMETER_NAMES)}
        self._causes = [basis_numbers.causes for basis_numbers in parameters]
        self._it = self._of["active_uj"] + self._of["idle_uj"] + self._of["host_uj"]
        self._whole = self._it + self._of["facility_uj"]
        self.totals = self._totals()
        self._budgets()

    def _totals(self) -> list[dict[str, int]]:
        """Sums of amounts by group [µJ], Python integers."""
        sums: dict[str, list[int]] = {}
        for name, column in self._of.items():
            if column.dtype == np.object_:
                sums[name] = [int(amount) for amount in np.add.reduceat(column, self._starts)]
                continue
            high, low = (np.add.reduceat(part, self._starts) for part in (column >> 20, column & (2**20 - 1)))
            sums[name] = [(int(above) << 20) + int(below) for above, below in zip(high.tolist(), low.tolist(), strict=True)]
        return [{name: sums[name][group] for name in AMOUNTS} for group in range(self.groups)]

    def _sum(self, weights: Floats, group: Ints | None = None) -> Floats:
        group = self._group if group is None else group
        return np.bincount(group, weights=weights, minlength=self.groups).astype(np.float64)

    def _numbered(self, kind: int) -> Ints:
        """Number of each cell's cause of one kind, shared by all cells."""
        names = [causes[kind] for causes in self._causes]
        for name in names:
            self._names.setdefault(name, len(self._names))
        return np.array([self._names[name] for name in names], dtype=np.int64)[self._basis]

    def _common(self, name: str) -> Ints:
        """Number of a cause that all cells share."""
        return np.full(len(self._group), self._names.setdefault(name, len(self._names)), dtype=np.int64)

    def _budgets(self) -> None:
        """Standard uncertainties of each group by cause, of energy and emissions, towards low and high."""
        self._names: dict[str, int] = {}
        amounts, parameters = self._of, self._is
        host = parameters["whole_server"] > 0
        it_kwh = _divide(self._it, UJ_PER_KWH)
        facility = np.abs(amounts["facility_uj"])
        building_share = np.where(parameters["pue_assumed"] > 0, facility, 0)
        estimated = _divide(np.maximum(amounts["grade_c_uj"] - building_share, 0), UJ_PER_KWH)
        added_uj = np.maximum(amounts["grade_b_uj"] + amounts["grade_c_uj"] - facility, 0)
        added, pue = _divide(added_uj, UJ_PER_KWH), parameters["pue"]
        doubt = [_divide(amounts[f"doubt_{side}_uj"], UJ_PER_KWH) / COVERAGE_FACTOR for side in ("low", "high")]
        everywhere, has_uplift = np.ones(len(host), dtype=bool), host & (added_uj > 0) & (parameters["uplift"] > 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            uplift_sensitivity = added * pue / (parameters["uplift"] - 1)
        left = self._uncertified_share(host, added_uj)
        contributions: list[tuple[NDArray[np.bool_], Ints, Floats, Floats, Floats]] = [
            (everywhere, self._numbered(0), it_kwh, parameters["pue_low"], parameters["pue_high"]),
            (~host, self._numbered(1), estimated * pue * left, parameters["estimate_low"], parameters["estimate_high"]),
            (~host, self._numbered(2), (it_kwh - estimated) * pue * left, parameters["gain_low"], parameters["gain_high"]),
            (has_uplift, self._numbered(3), uplift_sensitivity, parameters["uplift_low"], parameters["uplift_high"]),
            (host, self._numbered(2), (it_kwh - added) * pue, parameters["gain_low"], parameters["gain_high"]),
            (doubt[0] + doubt[1] > 0, self._common(SENSORS_IN_DOUBT), pue, *doubt),
        ]
        if self._apart:
            contributions.append(self._splits(host, pue))
        factor = self._numbered(4)
        keys, energy, emitted = self._contributions(contributions)
        grams_key = self._group * len(self._names) + factor
        has_factor = parameters["factor_known"] > 0
        size = _divide(self._whole, UJ_PER_KWH)
        by_factor = _towards_low_and_high(size, parameters["factor_low"], parameters["factor_high"])
        self._energy = self._by_cause(keys, energy)
        self._emitted = self._by_cause(
            np.concatenate([keys, grams_key[has_factor]]),
            [np.concatenate([side, extra[has_factor]]) for side, extra in zip(emitted, by_factor, strict=True)],
        )
        self._scale(host, added_uj)
        grams = self._sum(np.where(has_factor, size * parameters["factor"], 0.0))
        unknown = self._sum((~has_factor & (self._whole != 0)).astype(np.float64)) > 0
        self.grams: list[float | None] = [None if u else g for g, u in zip(grams.tolist(), unknown.tolist(), strict=True)]

    def _uncertified_share(self, host: NDArray[np.bool_], added_uj: Amounts) -> Floats:
        """Share of each device's row whose sensor error counts in its group.

        A certified uplift was measured with the same sensors: where it is added to their sum, what they read too much it adds too
        little. The share is 1 where a group holds the device without the energy that the uplift adds.
        """
        certified = self._is["certified"] > 0
        if not certified.any():
            return np.ones(len(host))
        codes, texts = self._table.codes("host")
        key = self._group * len(texts) + codes[self._order]
        keys = self.groups * len(texts)
        with np.errstate(divide="ignore", invalid="ignore"):
            multiplied = np.where(certified & host & (added_uj > 0), added_uj / (self._is["uplift"] - 1), 0.0).astype(np.float64)
        read = np.where(certified & ~host, self._it, 0).astype(np.float64)
        covered, sensed = (np.bincount(key, weights=weights, minlength=keys) for weights in (multiplied, read))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(sensed > 0, np.clip(1 - covered / sensed, 0.0, 1.0), 1.0)
        return np.where(certified & ~host, share[key], 1.0)

    def _splits(self, host: NDArray[np.bool_], pue: Floats) -> tuple[NDArray[np.bool_], Ints, Floats, Floats, Floats]:
        """Uncertainty of the division of energy over use cases, by service."""
        a, b = self._of["spread_a_uj"], self._of["spread_b_uj"]
        low, high = np.minimum(np.minimum(a, b), 0), np.maximum(np.maximum(a, b), 0)
        numbers = np.array([self._names.setdefault(f"split {text}", len(self._names)) for text in self._table.texts])
        present = ~host & ((a != 0) | (b != 0))
        downwards, upwards = ((0.0 - low).astype(np.float64), (high - 0.0).astype(np.float64))
        return present, numbers[self._services], pue / UJ_PER_KWH, downwards / _SQRT_3, upwards / _SQRT_3

    def _contributions(
        self, slots: Sequence[tuple[NDArray[np.bool_], Ints, Floats, Floats, Floats]]
    ) -> tuple[Ints, list[Floats], list[Floats]]:
        keys, energy, emitted = [], [], []
        for present, cause, sensitivity, low, high in slots:
            keys.append((self._group * len(self._names) + cause)[present])
            energy.append(tuple(side[present] for side in _towards_low_and_high(sensitivity, low, high)))
            emitted.append(tuple(side[present] for side in _towards_low_and_high(sensitivity * self._is["factor"], low, high)))
        joined = [[np.concatenate([part[side] for part in parts]) for side in (0, 1)] for parts in (energy, emitted)]
        return np.concatenate(keys), joined[0], joined[1]

    def _by_cause(self, keys: Ints, sides: Sequence[Floats]) -> tuple[Ints, Floats, Floats]:
        distinct, position = np.unique(keys, return_inverse=True)
        low, high = (np.bincount(position, weights=side, minlength=len(distinct)).astype(np.float64) for side in sides)
        return distinct, low, high

    def _scale(self, host: NDArray[np.bool_], added_uj: Ints) -> None:
        """Energy added by an uplift errs with the sensors it multiplies; host energy errs with the split of the accelerators.

        A certified uplift does not: it was measured with them.
        """
        certified = self._is["certified"] > 0
        sensed = self._sum(np.where(host | certified, 0, self._it).astype(np.float64))
        uplifted = self._sum(np.where(host & ~certified, added_uj, 0).astype(np.float64))
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
            factors = np.where(sensors[cause], by_sensor[group], 1.0), np.where(splits[cause], by_split[group], 1.0)
            for side, factor in itertools.product(sides, factors):
                np.multiply(side, factor, out=side)

    def budgets(self, group: int) -> tuple[UncertaintyBudget, UncertaintyBudget]:
        """Uncertainty budgets of a group: energy [kWh] and emissions [g]."""
        names = list(self._names)
        budgets = []
        for keys, low, high in (self._energy, self._emitted):
            first, last = np.searchsorted(keys, [group * len(names), (group + 1) * len(names)]).tolist()
            causes = [names[key % len(names)] for key in keys[first:last].tolist()]
            halves = zip(low[first:last].tolist(), high[first:last].tolist(), strict=True)
            budgets.append(UncertaintyBudget.from_uncertainties(dict(zip(causes, halves, strict=True))))
        return budgets[0], budgets[1]

    def half_widths(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """(low, high) U = 2u of each group: energy [kWh], emissions [g]."""
        by_quantity = []
        for keys, low, high in (self._energy, self._emitted):
            ends = np.searchsorted(keys, np.arange(self.groups + 1) * len(self._names)).tolist()
            squares = [(side * side).tolist() for side in (low, high)]
            by_quantity.append(
                [
                    tuple(COVERAGE_FACTOR * math.sqrt(math.fsum(side[first:last])) for side in squares)
                    for first, last in itertools.pairwise(ends)
                ]
            )
        return list(zip(*by_quantity, strict=True))  # type: ignore[arg-type]

    def impacts(self) -> dict[str, list[float | None]]:
        """Impacts beside location-based emissions, by group; None where a fact or factor lacks for some of the energy.

        Market-based: E x the contract's factor, with evidence only (GHG Protocol Scope 2, 2015). Water: IT x WUE + E x the water
        of power plants. ADPe and primary energy: those of the electricity. Embodied: what was spread over reserved time. Cost:
        E x a dated price, which the operator enters (kind ``electricity_price``, EUR/kWh).
        """
        total_kwh = _divide(self._whole, UJ_PER_KWH)
        it_kwh = total_kwh - _divide(self._of["facility_uj"], UJ_PER_KWH)
        known = self._is["embodied_known"] > 0
        embodied = np.where(known, _divide(self._of["embodied_ug"], UG_PER_G), total_kwh)
        return {
            "co2e_market_g": self._impact(total_kwh, self._is["market"]),
            "embodied_g": self._impact(embodied, np.where(known, 1.0, np.nan)),
            "water_l": self._impact(
                np.stack([total_kwh, it_kwh], axis=1).ravel(),
                np.stack([self._is["water"], self._is["wue"]], axis=1).ravel(),
                np.repeat(self._group, 2),
            ),
            "adpe_kgsb": self._impact(total_kwh, self._is["adpe"]),
            "primary_energy_mj": self._impact(total_kwh, self._is["primary"]),
            "cost_eur": self._impact(total_kwh, self._is["price"]),
        }

    def _impact(self, amount: Floats, factor: Floats, group: Ints | None = None) -> list[float | None]:
        missing = np.isnan(factor)
        sums = self._sum(amount * np.where(missing, 0.0, factor), group)
        lacks = self._sum((missing & (amount != 0)).astype(np.float64), group) > 0
        return [None if without else total for total, without in zip(sums.tolist(), lacks.tolist(), strict=True)]

    def any_amount(self) -> list[bool]:
        """Whether a group holds any amount."""
        has_amount = np.zeros(len(self._group), dtype=bool)
        for column in self._of.values():
            has_amount |= column != 0
        return (self._sum(has_amount.astype(np.float64)) > 0).tolist()  # type: ignore[no-any-return]

    def texts(self, text_of: Any) -> list[set[str]]:
        """Texts that a function returns for the bases of each group."""
        values = [text_of(basis) for basis in self._table.bases]
        names = sorted(set(values))
        code_of = {text: number for number, text in enumerate(names)}
        return self.sets(np.array([code_of[text] for text in values], dtype=np.int64)[self._basis], names)

    def sets(self, codes: Ints, names: Sequence[str]) -> list[set[str]]:
        """Names in each group, from the codes of the cells in their order."""
        names_by_group: list[set[str]] = [set() for _ in range(self.groups)]
        keys = np.unique(combine_codes([(self._group, self.groups), (codes, max(len(names), 1))])) if len(codes) else codes
        for group, code in zip((keys // max(len(names), 1)).tolist(), (keys % max(len(names), 1)).tolist(), strict=True):
            names_by_group[group].add(names[code])
        return names_by_group


def _towards_low_and_high(sensitivity: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """|sensitivity| times the spread towards low and high of the figure; swapped if the sensitivity is negative.

    Nothing errs by an unbounded spread if nothing rests on it.
    """
    forward, size = sensitivity >= 0, np.abs(sensitivity)
    downwards, upwards = (np.where(size == 0, 0.0, side) for side in (np.where(forward, low, high), np.where(forward, high, low)))
    return size * downwards, size * upwards


def _divide(amounts: Amounts, unit: int) -> Floats:
    """Amounts divided by a unit with a single rounding, as in Python, also above 53 bits."""
    if amounts.dtype == np.object_:
        return np.array([int(amount) / unit for amount in amounts.tolist()], dtype=np.float64)
    quotient: Floats = amounts / unit
    for index in np.flatnonzero(np.abs(amounts) >= 2**53).tolist():
        quotient[index] = int(amounts[index]) / unit
    return quotient
