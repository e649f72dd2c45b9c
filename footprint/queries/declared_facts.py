"""Declared facts of sites and hosts: PUE, WUE and uplift with dates, bounds, evidence, and whether they are assumed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from footprint.config import Config
from footprint.config.models import ALWAYS, ASSUMED_SITE, FOREVER_US
from footprint.core.timestamps import format_instant

COLUMNS = ("fact", "of", "since", "until", "value", "low", "high", "unit", "assumed", "category", "evidence")
PUE_STANDARD = "ISO/IEC 30134-2, category {}"


UNNAMED_HOSTS = "(hosts)"


def declared_facts(config: Config, *, hosts: bool = True) -> list[dict[str, Any]]:
    """Facts in the order of the configuration, then certificates; the default site for undeclared hosts comes after the sites.

    A certificate wins over the uplift of the configuration while it holds.

    Parameters
    ----------
    hosts : bool
        False replaces the names of hosts by ``(hosts)`` and lists each value once.

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``; ``unit`` names the unit of value and bounds.
    """
    rows: list[dict[str, Any]] = []

    def add_row(fact: str, owner: Any, estimate: Any, unit: str, **extra: Any) -> None:
        since, until = owner.since_us, owner.until_us
        rows.append(
            dict.fromkeys(COLUMNS)
            | {
                "fact": fact,
                "of": owner.name,
                "since": None if since == ALWAYS else format_instant(since),
                "until": None if until == FOREVER_US else format_instant(until),
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "unit": unit,
                "assumed": False,
                **extra,
            }
        )

    for site in (*config.sites, config.site_at(ASSUMED_SITE, 0)):
        category = PUE_STANDARD.format(site.pue_category) if site.pue_category else None
        add_row("pue", site, site.pue, "1", assumed=site.pue_assumed, category=category, evidence=site.pue_evidence or None)
        if site.wue_l_per_kwh is not None:
            add_row("wue", site, site.wue_l_per_kwh, "L/kWh of IT")
    for host in config.hosts:
        add_row("uplift", host, host.uplift, "1", assumed=host.uplift_assumed)
    for certificate in config.certificates:
        if certificate.uplift is not None:
            owner = SimpleNamespace(name=certificate.host, since_us=certificate.since_us, until_us=certificate.until_us)
            evidence = f"calibrated with wall meter {certificate.serial}" if hosts else None
            add_row("uplift", owner, certificate.uplift, "1", evidence=evidence)
    if hosts:
        return rows
    unnamed = [{**row, "of": UNNAMED_HOSTS} if row["fact"] == "uplift" else row for row in rows]
    return [row for index, row in enumerate(unnamed) if row not in unnamed[:index]]
