"""WattTime source (v3): marginal operating emissions every five minutes; needs a login token.

A marginal rate is the emissions of one more kilowatt-hour: advice on when to run, never a figure of an inventory. The name of
the series says so, and no inventory reads it.
"""

from __future__ import annotations

from typing import Any

from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S
from footprint.ledger.sources.base import BadAnswer, IntensitySample, IntensitySource, SourceRequest, parse_sample

G_PER_KWH_OF_LB_PER_MWH = 0.45359237  # the international pound [kg], by definition (1959)


def _build_request(zone: str, start_us: int, end_us: int, key: str) -> SourceRequest:
    parameters = {"region": zone, "start": format_instant(start_us), "end": format_instant(end_us), "signal_type": "co2_moer"}
    return SourceRequest("/v3/historical", parameters, {"authorization": f"Bearer {key}"})


def _parse_response(body: Any) -> list[IntensitySample]:
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise BadAnswer(f"no data: {body.get('error', 'no message') if isinstance(body, dict) else 'no object'}")
    units = (body.get("meta") or {}).get("units", "")
    if units != "lbs_co2_per_mwh":
        raise BadAnswer(f"units {units!r} are not lbs_co2_per_mwh")
    rows = [(row.get("point_time"), row.get("value")) for row in body["data"]]
    samples = [parse_sample(time, None if value is None else float(value) * G_PER_KWH_OF_LB_PER_MWH) for time, value in rows]
    return [sample for sample in samples if sample is not None]


SOURCE = IntensitySource(
    name="watttime-marginal",
    url="https://api.watttime.org",
    zones=(),
    length_us=300 * US_PER_S,
    scope="marginal operating emissions: when to run, never an inventory",
    licence="commercial terms; the raw series is not published",
    key_variable="WATTTIME_TOKEN",
    build_request=_build_request,
    parse_response=_parse_response,
    marginal=True,
)
