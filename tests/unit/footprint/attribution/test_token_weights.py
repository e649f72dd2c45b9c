"""Declared token weights: 0.2 an uncached input token, 0 a cached one, 1 an output token."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.attribution.request_log import RequestLog
from footprint.attribution.token_weights import DeclaredWeights, token_weight


def weight(given: int, cached: int, output: int, weight_input: float | None = None) -> float:
    return float(token_weight(np.array([given]), np.array([cached]), np.array([output]), weight_input)[0])


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ((100, 40, 10), 22.0),
        ((100, -1, 10), 30.0),
        ((-1, -1, 10), 10.0),
        ((100, 40, -1), 12.0),
        ((10, 40, 3), 3.0),
        ((0, 0, 0), 0.0),
    ],
)
def test_weight_of_tokens(tokens: tuple[int, int, int], expected: float) -> None:
    assert weight(*tokens) == pytest.approx(expected)


def test_another_weight_of_input_takes_over_even_of_nothing() -> None:
    assert weight(100, 40, 10, 0.5) == pytest.approx(40)
    assert weight(100, 40, 10, 0.0) == pytest.approx(10)


def declared(*rows: tuple[int, int, float, int, int]) -> DeclaredWeights:
    """From start, end, requests, input and output tokens."""
    start, end, count, given, output = (np.array(column) for column in zip(*rows, strict=True))
    unknown = np.full(len(rows), -1)
    none = np.zeros(len(rows), dtype=bool)
    return DeclaredWeights(
        RequestLog(start, end, np.zeros(len(rows), dtype=np.int64), count.astype(float), given, unknown, output, unknown, none)
    )


def energies(weights: DeclaredWeights, *asked: tuple[int, int, int]) -> list[float]:
    request, start, end = (np.array(column) for column in zip(*asked, strict=True))
    return weights.model_energy(request, start, end).tolist()


def test_energy_lies_evenly_over_a_request_and_nowhere_else() -> None:
    weights = declared((100, 200, 1, 0, 50), (0, 10, 1, 100, 0))
    assert energies(weights, (0, 0, 300), (0, 120, 150), (0, 50, 110), (0, 0, 50), (1, 0, 5)) == pytest.approx([50, 15, 5, 0, 10])
    assert (weights.method, weights.has_coarse_stamps) == ("declared", False)


def test_a_request_of_unknown_tokens_weighs_as_the_mean_of_its_time() -> None:
    """Known: 50 tokens in 100 and 250 in 3 x 100, hence 0.75 a time; the unknown one counts for two."""
    weights = declared((0, 100, 1, -1, 50), (0, 100, 3, -1, 250), (0, 10, 2, -1, -1), (0, 10, 1, 0, -1), (0, 10, 1, -1, 0))
    known = 400 + 20
    assert energies(weights, (2, 0, 10), (3, 0, 10), (4, 0, 10)) == pytest.approx([2 * 10 * 300 / known, 0, 0])


def test_a_known_microsecond_is_enough() -> None:
    assert energies(declared((0, 1, 1, -1, 50), (0, 1, 1, -1, -1)), (1, 0, 1)) == pytest.approx([50])


def test_where_nothing_is_known_time_counts() -> None:
    assert energies(declared((0, 10, 2, -1, -1), (0, 10, 1, -1, -1)), (0, 0, 10), (1, 0, 5)) == pytest.approx([20, 5])
