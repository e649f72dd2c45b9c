"""Calculation basis of a figure: the facts and factors that turn its energy into impact, with their bounds.

A basis is stored as JSON beside the figures, so that a figure can be traced after the configuration and the factor book have
changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from footprint.core.stored_forms import from_plain, stored_as, to_plain

_OMITTED_IF_EMPTY = ("certificate", "replaced_uplift", "gain")


@stored_as(
    "Basis",
    "host site zone uplift uplift_assumed pue pue_assumed factor factor_id factor_version component device_model method "
    "idle_known market wue wue_assumed water adpe_kgsb_per_kwh primary_mj_per_kwh price_eur_per_kwh embodied_known "
    "life_over split method_version certificate replaced_uplift gain",
)
@dataclass(frozen=True, slots=True)
class CalculationBasis:
    """Facts of one device over one segment of time; bounds as (value, low, high), a factor in g/kWh.

    ``method`` is how most of the device's energy of the day was read: counter, power or estimate. ``certificate`` is the serial
    of the meter whose calibration gives the uplift (``replaced_uplift`` is what would hold without it) or the ``gain`` of the
    device, true over read energy.
    """

    host: str
    site: str
    zone: str
    uplift: tuple[float, float, float]
    uplift_assumed: bool
    pue: tuple[float, float, float]
    pue_assumed: bool
    factor: tuple[float, float, float] | None
    factor_id: str
    factor_version: str
    component: str
    device_model: str
    method: str
    idle_known: bool
    market: float | None = None  # g/kWh, where there is evidence
    wue: tuple[float, float, float] = (0.0, 0.0, 0.0)  # L per kWh of IT
    wue_assumed: bool = False
    water: tuple[float, float, float] | None = None  # L per kWh of the facility, off site
    adpe_kgsb_per_kwh: float | None = None
    primary_mj_per_kwh: float | None = None
    price_eur_per_kwh: float | None = None
    embodied_known: bool = False
    life_over: bool = False  # past its declared life, a host has no embodied impact left to spread
    split: str = ""  # how shared energy was divided: a status of the step model, "" where nothing is placed
    method_version: str = ""
    certificate: str = ""
    replaced_uplift: tuple[float, float, float] | None = None  # None where no calibration replaces it
    gain: tuple[float, float, float] | None = None

    @property
    def is_certified(self) -> bool:
        """Whether the uplift is that of a calibration, which was measured with the very sensors that it multiplies."""
        return self.replaced_uplift is not None

    def to_json(self) -> str:
        """One line of JSON; equal facts give equal lines."""
        plain = {name: value for name, value in to_plain(self).items() if value or name not in _OMITTED_IF_EMPTY}
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> CalculationBasis:
        """Basis from the output of ``to_json``."""
        plain = json.loads(text)
        for key in ("uplift", "pue", "factor", "wue", "water", "replaced_uplift", "gain"):
            if plain.get(key) is not None:
                plain[key] = tuple(plain[key])
        return from_plain(cls, plain)
