"""Electricity Maps source (v3): hourly carbon intensity of consumption; needs a key.

The terms of use forbid publishing the raw series; derived figures may be published.
"""

from __future__ import annotations

from typing import Any

from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_HOUR
from footprint.ledger.sources.base import BadAnswer, IntensitySample, IntensitySource, SourceRequest, parse_sample


def _build_request(zone: str, start_us: int, end_us: int, key: str) -> SourceRequest:
    parameters = {"zone": zone, "start": format_instant(start_us), "end": format_instant(end_us)}
    return SourceRequest("/v3/carbon-intensity/past-range", parameters, {"auth-token": key})


def _parse_response(body: Any) -> list[IntensitySample]:
    """Samples of ``past-range`` (data), ``history`` and ``latest`` (one)."""
    if not isinstance(body, dict):
        raise BadAnswer("no object")
    rows = [body] if "carbonIntensity" in body else body.get("data", body.get("history"))
    if not isinstance(rows, list):
        raise BadAnswer(f"no data: {body.get('error', body.get('message', 'no message'))}")
    samples = [
        parse_sample(row.get("datetime"), row.get("carbonIntensity"), estimated=bool(row.get("isEstimated"))) for row in rows
    ]
    return [sample for sample in samples if sample is not None]


SOURCE = IntensitySource(
    name="electricity-maps",
    url="https://api.electricitymaps.com",
    zones=(),
    length_us=US_PER_HOUR,
    scope="life cycle, consumption mix with exchanges",
    licence="commercial terms; the raw series is not published",
    key_variable="ELECTRICITYMAPS_TOKEN",
    build_request=_build_request,
    parse_response=_parse_response,
)
