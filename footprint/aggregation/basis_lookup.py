"""Basis lookup: the facts and factors that hold for a device at an instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from footprint.aggregation import METHOD_VERSION
from footprint.attribution.row_columns import HOST_DEVICE
from footprint.config import Config, HostFact
from footprint.config.certificates import CalibrationCertificate, expanded
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.impact.calculation_basis import CalculationBasis
from footprint.impact.embodied import accelerator_kgco2e, embodied_ug_per_s, end_of_life_us
from footprint.impact.factor_book import Factor, FactorBook, MissingFactor


def estimate_bounds(estimate: Estimate) -> tuple[float, float, float]:
    """(value, low, high)."""
    return estimate.value, estimate.low, estimate.high


IMPACT_KINDS = ("water_offsite", "adpe", "primary_energy", "electricity_price")


def _factor_at(config: Config, book: FactorBook, kind: str, zone: str, instant_us: int) -> Factor | None:
    """The factor that holds; None where there is none."""
    try:
        return book.find(kind, zone, instant_us, config.timezone)
    except MissingFactor:
        return None


def basis_at(
    config: Config,
    book: FactorBook,
    host: str,
    instant_us: int,
    *,
    device: str = "",
    component: str,
    device_model: str,
    method: str,
    idle_known: bool,
    split: str = "",
) -> CalculationBasis:
    """Facts and factors of a device of a host at an instant; missing factors are None."""
    fact = config.host_at(host, instant_us)
    certificate = fact.certificate
    gain = None if certificate is None else certified_gain(certificate, component, device, method)
    site = config.site_at(fact.site, instant_us)
    electricity = _factor_at(config, book, config.electricity, site.zone, instant_us)
    wue = site.wue_l_per_kwh or assumption("wue_assumed")
    water = _factor_at(config, book, "water_offsite", site.zone, instant_us)
    adpe = _factor_at(config, book, "adpe", site.zone, instant_us)
    primary = _factor_at(config, book, "primary_energy", site.zone, instant_us)
    price = _factor_at(config, book, "electricity_price", site.zone, instant_us)
    return CalculationBasis(
        market=site.market_factor_g_per_kwh if site.market_evidence else None,
        wue=estimate_bounds(wue),
        wue_assumed=site.wue_l_per_kwh is None,
        water=estimate_bounds(water.estimate()) if water else None,
        adpe_kgsb_per_kwh=adpe.value if adpe else None,
        primary_mj_per_kwh=primary.value if primary else None,
        price_eur_per_kwh=price.value if price else None,
        embodied_known=fact.server_embodied_kgco2e is not None,
        life_over=is_past_life(fact, instant_us),
        host=host,
        site=site.name,
        zone=site.zone,
        uplift=estimate_bounds(fact.uplift),
        uplift_assumed=fact.uplift_assumed,
        pue=estimate_bounds(site.pue),
        pue_assumed=site.pue_assumed,
        factor=estimate_bounds(electricity.estimate()) if electricity else None,
        factor_id=f"{electricity.kind}/{electricity.where}/{electricity.valid_from}" if electricity else "",
        factor_version=electricity.bundle if electricity else "",
        component=component,
        device_model=device_model,
        method=method,
        idle_known=idle_known,
        split=split,
        method_version=METHOD_VERSION,
        certificate="" if certificate is None or (certificate.uplift is None and gain is None) else certificate.serial,
        replaced_uplift=None
        if certificate is None or certificate.uplift is None
        else estimate_bounds(replace(config, certificates=()).host_at(host, instant_us).uplift),
        gain=None if gain is None else estimate_bounds(gain),
    )


def certified_gain(certificate: CalibrationCertificate, component: str, device: str, method: str) -> Estimate | None:
    """Gain of a device by a certificate; None where its class is to be kept.

    A gain that was measured alone holds. One that steps of load separated bears the efficiency of the supply: it holds where it
    is narrower than the class, or where it contradicts the class.
    """
    gain = certificate.gain_of(component, "" if device == HOST_DEVICE else device)
    if device == HOST_DEVICE:
        gain = next((known for known in certificate.gains if known.component == "host"), None)
    if gain is None or method == "estimate":
        return None
    if gain.way != "steps":
        return gain.estimate
    kind = method if method in ("counter", "modelled") else "power"
    of_class = assumption(f"gain_{component}_{kind}")
    low, high = expanded(gain.estimate)
    contradicts = low > of_class.high or high < of_class.low
    return gain.estimate if contradicts or gain.high - gain.low < of_class.high - of_class.low else None


def is_past_life(fact: HostFact, instant_us: int) -> bool:
    """Whether a host is past its declared life."""
    end_us = end_of_life_us(fact.in_service_us, fact.lifetime_years)
    return end_us is not None and instant_us >= end_us


def host_embodied_ug_per_s(fact: HostFact, accelerators: Sequence[str], book: FactorBook, instant_us: int) -> float:
    """Embodied emissions of a host [µgCO2e/s]; 0 where its server is not declared or its life is over.

    ``accelerators`` are the models of its accelerators. Each takes the declared ``accelerator_kgco2e``, else that of the factor
    book.
    """
    if fact.server_embodied_kgco2e is None or is_past_life(fact, instant_us):
        return 0.0
    declared = fact.accelerator_embodied_kgco2e
    accelerators_kg = [declared if declared is not None else accelerator_kgco2e(model, book) for model in accelerators]
    return embodied_ug_per_s(fact.server_embodied_kgco2e, accelerators_kg, fact.lifetime_years)
