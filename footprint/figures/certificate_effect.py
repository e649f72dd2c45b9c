"""Effect of calibration certificates on the interval of a row: the same energy without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from footprint.figures.group_by import Group
from footprint.figures.metrics import GroupedMetrics
from footprint.impact.calculation_basis import CalculationBasis


def half_width_without_certificates(group: Group) -> tuple[float, float] | None:
    """U = 2u of a row's energy [kWh], towards low and high, had no certificate been valid; None where none was."""
    if group.table is None or group.chosen is None or not len(group.chosen):
        return None
    chosen_bases = {group.table.bases[number] for number in set(group.table.basis[group.chosen].tolist())}
    if not any(basis.certificate for basis in chosen_bases):
        return None
    table = replace(group.table, bases=[without_certificate(basis) for basis in group.table.bases], _places={})
    return GroupedMetrics(table, group.chosen, np.zeros(1, dtype=np.int64), apart=False).half_widths()[0][0]


def without_certificate(basis: CalculationBasis) -> CalculationBasis:
    """A basis with the interval of the uplift that the certificate replaced, around the certified value, and without its gain.

    The energy of the row was computed with the certified value, so only the spread is exchanged.
    """
    if not basis.certificate:
        return basis
    uplift = basis.uplift
    if basis.replaced_uplift is not None:
        value, low, high = basis.replaced_uplift
        uplift = uplift[0], uplift[0] - (value - low), uplift[0] + (high - value)
    return replace(basis, uplift=uplift, certificate="", replaced_uplift=None, gain=None)
