"""Benchmark result: conditions and points, as a JSON document with a schema version.

Everything else (levels, fit, intervals) is computed from the points on demand. The document holds counts, instants, joules and
scores only, never a prompt or an answer.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, get_type_hints

from footprint.core.records import FootprintError
from footprint.core.stored_forms import keys_of, stored_as, to_plain

KIND, SCHEMA_VERSION = "footprint-benchmark", 1


class BadResult(FootprintError):
    """A file that is no benchmark result, or an implausible one."""


@stored_as(
    "Conditions",
    "model engine quantisation host machines devices driver power_limit_w prompts_sha256 prompts max_tokens temperature "
    "seed least_s least_updates sensors",
)
@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions under which the figures hold; an empty text or None is unknown."""

    model: str  # as served
    engine: str
    quantisation: str
    host: str
    machines: tuple[str, ...]  # models of the devices whose energy is counted
    devices: tuple[str, ...]
    driver: str
    power_limit_w: float | None
    prompts_sha256: str
    prompts: int
    max_tokens: int
    temperature: float
    seed: int
    least_s: float
    least_updates: int
    sensors: str  # local, or ledger


@stored_as("Energy", "begin_us seconds energy_j low_j high_j components quality updates clock_sm_hz")
@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a time span: joules of the selected devices, total and by component, with the interval of their sensors."""

    begin_us: int
    seconds: float
    energy_j: float
    low_j: float
    high_j: float
    components: dict[str, float]
    quality: str
    updates: int  # of the counter with the most energy
    clock_sm_hz: float | None = None


@stored_as(
    "Steady",
    "requests output_tokens input_tokens in_flight decoding answered failed ttft_p50_s ttft_p95_s itl_p50_s itl_p95_s mix "
    "client_busy",
)
@dataclass(frozen=True, slots=True)
class Steady:
    """Requests served in that time span. Requests that its ends cut count by the share of their tokens within it."""

    requests: float
    output_tokens: float
    input_tokens: float
    in_flight: float  # mean number of requests
    decoding: float  # mean number of requests after their first token
    answered: int
    failed: int
    ttft_p50_s: float
    ttft_p95_s: float
    itl_p50_s: float | None  # None if answers have one token
    itl_p95_s: float | None
    mix: float  # mean length of the answers to all prompts over that of the prompts drawn here; 1 where each was drawn as often
    client_busy: float  # share of one core that the client used


@stored_as("Point", "concurrency repeat energy steady")
@dataclass(frozen=True, slots=True)
class MeasurementPoint:
    """One measurement of one concurrency. Concurrency 0 is the loaded model at rest, without ``steady``."""

    concurrency: int
    repeat: int
    energy: Energy
    steady: Steady | None

    @property
    def watts(self) -> float:
        """Mean power [W]."""
        return self.energy.energy_j / self.energy.seconds

    @property
    def j_per_token(self) -> float:
        """Energy per output token [J], including the prefill of the input."""
        assert self.steady is not None
        return self.energy.energy_j / self.steady.output_tokens

    @property
    def j_per_request(self) -> float:
        """Energy per request [J], for the mix of all prompts."""
        assert self.steady is not None
        return self.energy.energy_j / self.steady.requests * self.steady.mix


@stored_as("Result", "made_us program demonstration conditions points scores grader")
@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """A benchmark result; ``scores`` of the grader in the order of the prompts, None if not graded."""

    made_us: int
    program: str
    demonstration: bool
    conditions: Conditions
    points: tuple[MeasurementPoint, ...]
    scores: tuple[float | None, ...] = ()
    grader: str = ""

    def served(self) -> list[MeasurementPoint]:
        """Points under load."""
        return [point for point in self.points if point.steady is not None]

    def idle(self) -> list[MeasurementPoint]:
        """Points of the loaded model at rest."""
        return [point for point in self.points if point.steady is None]

    def to_bytes(self) -> bytes:
        """The JSON document that is written and signed."""
        document = {"kind": KIND, "schema_version": SCHEMA_VERSION, **to_plain(self)}
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def parse_result(raw: bytes) -> BenchmarkResult:
    """A result from its JSON document.

    Raises
    ------
    BadResult
        If it is no result, has a newer schema, or is implausible (no duration, a negative energy).
    """
    try:
        document = json.loads(raw)
        if not isinstance(document, dict) or document.get("kind") != KIND:
            raise BadResult(f"not a benchmark result (kind {KIND} expected)")
        if document.get("schema_version") != SCHEMA_VERSION:
            raise BadResult(f"schema {document.get('schema_version')} of a benchmark result; this program knows {SCHEMA_VERSION}")
        points = tuple(_parse_point(point) for point in document["points"])
        conditions = _parse_dataclass(Conditions, document["conditions"])
        scores = tuple(None if score is None else float(score) for score in document["scores"])
        made_us, program, grader = int(document["made_us"]), str(document["program"]), str(document["grader"])
        result = BenchmarkResult(made_us, program, bool(document["demonstration"]), conditions, points, scores, grader)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadResult(f"not a benchmark result: {type(error).__name__} {error}") from None
    _check_plausible(result)
    return result


def parse_point(record: dict[str, Any]) -> MeasurementPoint:
    """A point from its stored form.

    Raises
    ------
    BadResult
        If it is no point.
    """
    try:
        return _parse_point(record)
    except (ValueError, KeyError, TypeError) as error:
        raise BadResult(f"not a point of a benchmark: {error}") from None


def _parse_point(record: dict[str, Any]) -> MeasurementPoint:
    steady = None if record["steady"] is None else _parse_dataclass(Steady, record["steady"])
    return MeasurementPoint(int(record["concurrency"]), int(record["repeat"]), _parse_dataclass(Energy, record["energy"]), steady)


def _parse_dataclass(kind: Any, record: dict[str, Any]) -> Any:
    """A flat object from its stored form; wrong types are rejected, except an integer for a float."""
    hints = get_type_hints(kind)
    values = {}
    for name, key in keys_of(kind):
        value, hint = record[key], str(hints[name])
        if "tuple" in hint:
            value = tuple(str(item) for item in value)
        elif "dict" in hint:
            value = {str(key): float(number) for key, number in value.items()}
        elif value is None and "None" in hint:
            pass
        elif "float" in hint and isinstance(value, int | float) and not isinstance(value, bool):
            value = float(value)
        elif not isinstance(value, str if hints[name] is str else int) or isinstance(value, bool):
            raise BadResult(f"{key} = {value!r} is not of the kind expected")
        values[name] = value
    return kind(**values)


def _check_plausible(result: BenchmarkResult) -> None:
    """Reject implausible values here, so that no page needs to handle them."""
    if not result.served():
        raise BadResult("a benchmark without any point")
    if len({(point.concurrency, point.repeat) for point in result.points}) != len(result.points):
        raise BadResult("a point stands twice")
    for point in result.points:
        where = f"concurrency {point.concurrency}, repeat {point.repeat}"
        energy, steady = point.energy, point.steady
        numbers = [energy.seconds, energy.energy_j]
        if steady is not None:
            numbers += [steady.requests, steady.output_tokens, steady.in_flight, steady.mix]
        if not all(math.isfinite(value) and value > 0 for value in numbers):
            raise BadResult(f"{where}: a duration, energy or count is not above zero")
        if not energy.low_j <= energy.energy_j <= energy.high_j:
            raise BadResult(f"{where}: the energy is outside of its interval")
        if (point.concurrency == 0) != (steady is None):
            raise BadResult(f"{where}: requests at rest, or none under load")
