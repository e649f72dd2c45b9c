"""This file gathers the facts and factors behind a row: everything that turns its energy into impact, and their bounds.

A basis is kept as JSON beside the rows, so that a figure can be followed to what it rests on after
the configuration and the factor book have changed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from footprint.aggregation import METHOD_VERSION
from footprint.config import Config
from footprint.estimate import Estimate
from footprint.impact.book import FactorBook, MissingFactor


@dataclass(frozen=True, slots=True)
class Basis:
    """Facts of one device over one segment of time; bounds as (value, low, high), a factor in g/kWh.

    ``method`` is how most of the device's energy of the day was read: counter, power or estimate.
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
    split: str = ""  # how shared energy was divided: a status of the step model, "" where nothing is placed
    method_version: str = METHOD_VERSION

    def to_json(self) -> str:
        """One line, the same for the same facts."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Basis:
        """From what ``to_json`` gave."""
        fields = json.loads(text)
        for name in ("uplift", "pue", "factor"):
            fields[name] = None if fields[name] is None else tuple(fields[name])
        return cls(**fields)


def bounds(estimate: Estimate) -> tuple[float, float, float]:
    """(value, low, high)."""
    return estimate.value, estimate.low, estimate.high


def basis_at(
    config: Config, book: FactorBook, host: str, instant_us: int,
    *, component: str, device_model: str, method: str, idle_known: bool, split: str = "",
) -> Basis:  # fmt: skip
    """What holds for a device of a host at an instant; a factor that is missing stays missing."""
    fact = config.host_at(host, instant_us)
    site = config.site_at(fact.site, instant_us)
    try:
        found = book.find(config.electricity, site.zone, instant_us, config.timezone)
    except MissingFactor:
        found = None
    return Basis(
        host=host, site=site.name, zone=site.zone,
        uplift=bounds(fact.uplift), uplift_assumed=fact.uplift_assumed,
        pue=bounds(site.pue), pue_assumed=site.pue_assumed,
        factor=bounds(found.estimate()) if found else None,
        factor_id=f"{found.kind}/{found.where}/{found.valid_from}" if found else "",
        factor_version=found.bundle if found else "",
        component=component, device_model=device_model, method=method, idle_known=idle_known, split=split,
    )  # fmt: skip
