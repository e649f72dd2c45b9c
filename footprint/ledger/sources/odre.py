"""ODRE source (eco2mix of RTE): direct emissions of French production every quarter of an hour; needs no key.

These are not life-cycle figures: no upstream, no imports. They show when to run, not how much to report in an inventory.
"""

from __future__ import annotations

from typing import Any

from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S
from footprint.ledger.sources.base import BadAnswer, IntensitySample, IntensitySource, SourceRequest, parse_sample

DATASET = "eco2mix-national-tr"


def _build_request(zone: str, start_us: int, end_us: int, key: str) -> SourceRequest:
    del zone, key
    where = (
        f"date_heure >= date'{format_instant(start_us)}' and date_heure < date'{format_instant(end_us)}' and taux_co2 is not null"
    )
    parameters = {"select": "date_heure,taux_co2", "where": where, "order_by": "date_heure", "timezone": "UTC"}
    return SourceRequest(f"/api/explore/v2.1/catalog/datasets/{DATASET}/exports/json", parameters, {})


def _parse_response(body: Any) -> list[IntensitySample]:
    """Samples of the three shapes of the API: v2.1 records, its export (a bare list), and v1."""
    if isinstance(body, dict) and "results" in body:
        rows = body["results"]
    elif isinstance(body, dict) and "records" in body:
        rows = [record.get("fields", {}) for record in body["records"]]
    elif isinstance(body, list):
        rows = body
    else:
        raise BadAnswer("neither records nor results")
    samples = [parse_sample(row.get("date_heure"), row.get("taux_co2")) for row in rows]
    return [sample for sample in samples if sample is not None]


SOURCE = IntensitySource(
    name="eco2mix",
    url="https://odre.opendatasoft.com",
    zones=("FR",),
    length_us=900 * US_PER_S,
    scope="direct emissions of national production; no upstream, no imports",
    licence="Licence Ouverte 2.0",
    key_variable="",
    build_request=_build_request,
    parse_response=_parse_response,
)
