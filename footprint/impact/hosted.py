"""Energy and emissions of hosted models, estimated with EcoLogits (MPL-2.0): no meter measures them, hence quality C.

For one request, EcoLogits' energy and emissions are affine in its output tokens, so that the numbers of requests and tokens
alone determine their sum. Two evaluations give the two coefficients.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from footprint.core.estimate import Estimate
from footprint.core.records import FootprintError

_FEW_TOKENS, _MANY_TOKENS = 1, 1001


class UnknownModel(FootprintError):
    """A provider or a model that EcoLogits does not know."""


@dataclass(frozen=True, slots=True)
class HostedEstimate:
    """Estimated consumption of requests: energy [kWh], usage and embodied emissions [gCO2e], with the range of EcoLogits."""

    energy_kwh: Estimate
    gwp_g: Estimate
    embodied_g: Estimate
    version: str


def estimate_hosted(name: str, requests: int, output_tokens: int) -> HostedEstimate:
    """Consumption of requests to a hosted model.

    Parameters
    ----------
    name
        Model as ``provider/model``.
    requests, output_tokens
        Number of requests and of all their output tokens.

    Raises
    ------
    UnknownModel
        If EcoLogits does not know the provider or the model.
    ModuleNotFoundError
        If EcoLogits is not installed (the extra ``hosted``).

    References
    ----------
    EcoLogits, LLM inference methodology, https://ecologits.ai/latest/methodology/llm_inference/
    """
    few, many, version = _coefficients(name)
    estimates = []
    for before, after in zip(few, many, strict=True):
        slope = tuple((b - a) / (_MANY_TOKENS - _FEW_TOKENS) for a, b in zip(before, after, strict=True))
        fixed = tuple(a - _FEW_TOKENS * s for a, s in zip(before, slope, strict=True))
        low, high = (requests * f + output_tokens * s for f, s in zip(fixed, slope, strict=True))
        estimates.append(Estimate((low + high) / 2, low, high))
    energy, usage, embodied = estimates
    return HostedEstimate(energy, usage.scaled(1000), embodied.scaled(1000), version)


Bounds = tuple[float, float]


@cache
def _coefficients(name: str) -> tuple[list[Bounds], list[Bounds], str]:
    import ecologits  # noqa: PLC0415 - an extra
    from ecologits.tracers.utils import llm_impacts  # noqa: PLC0415

    provider, _, model = name.partition("/")
    logging.getLogger("ecologits").setLevel(logging.ERROR)  # its warnings about unpublished architectures are part of the range
    answers = []
    for tokens in (_FEW_TOKENS, _MANY_TOKENS):
        try:
            answer: Any = llm_impacts(provider, model, tokens, math.inf)
        except KeyError:
            raise UnknownModel(f"EcoLogits knows no provider {provider!r} (modelled_as is provider/model)") from None
        if answer.errors:
            raise UnknownModel(f"EcoLogits: {answer.errors[0]}")
        answers.append([_bounds(answer.energy), _bounds(answer.usage.gwp), _bounds(answer.embodied.gwp)])
    return answers[0], answers[1], f"ecologits {ecologits.__version__}"


def _bounds(impact: Any) -> Bounds:
    value = impact.value
    return (float(value.min), float(value.max)) if hasattr(value, "min") else (float(value), float(value))
