"""Units: factors between the base units used inside (µJ, µs, µW, g, L) and those that people read.

Every number here is exact, by definition; every other number of the project is a row under
``data/`` with its source.
"""

from __future__ import annotations

UG_PER_G = 1_000_000
G_PER_KG = 1_000
HOURS_PER_YEAR = 8_760
UJ_PER_J = 1_000_000
UJ_PER_KWH = 3_600_000_000_000
J_PER_KWH = 3_600_000
US_PER_S = 1_000_000
S_PER_HOUR = 3_600
US_PER_HOUR = S_PER_HOUR * US_PER_S
US_PER_DAY = 24 * US_PER_HOUR
UW_PER_W = 1_000_000
PJ_PER_UJ = 1_000_000  # a power in µW times a time in µs is an energy in pJ

INT64_MAX = 2**63 - 1


def kwh_from_uj(energy_uj: int) -> float:
    """Energy in kilowatt-hours [kWh] from integer microjoules [µJ]."""
    return energy_uj / UJ_PER_KWH
