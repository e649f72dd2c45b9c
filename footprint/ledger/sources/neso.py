"""NESO source (National Energy System Operator): half-hourly carbon intensity of Great Britain; needs no key.

Operational emissions of generation, imports included; no upstream. Where no measurement is available yet, the forecast is used
and marked as an estimate.
"""

from __future__ import annotations

from typing import Any

from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S
from footprint.ledger.sources.base import BadAnswer, IntensitySample, IntensitySource, SourceRequest, parse_sample


def _build_request(zone: str, start_us: int, end_us: int, key: str) -> SourceRequest:
    del zone, key
    return SourceRequest(f"/intensity/{format_instant(start_us)}/{format_instant(end_us)}", {}, {"accept": "application/json"})


def _parse_response(body: Any) -> list[IntensitySample]:
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise BadAnswer("no data")
    samples = []
    for row in body["data"]:
        intensity = row.get("intensity") or {}
        measured = intensity.get("actual")
        samples.append(
            parse_sample(row.get("from"), intensity.get("forecast") if measured is None else measured, estimated=measured is None)
        )
    return [sample for sample in samples if sample is not None]


SOURCE = IntensitySource(
    name="neso",
    url="https://api.carbonintensity.org.uk",
    zones=("GB",),
    length_us=1800 * US_PER_S,
    scope="operational emissions of generation and imports; no upstream",
    licence="CC-BY-4.0",
    key_variable="",
    build_request=_build_request,
    parse_response=_parse_response,
)
