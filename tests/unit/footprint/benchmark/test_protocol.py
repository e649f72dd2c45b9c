"""Schedule and steady state are pure: laws by example and by hypothesis."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.benchmark.design import Slot, measurement_slots, prompt_order, remaining_s, remaining_slots
from footprint.benchmark.steady_state import (
    AnsweredRequest,
    drawn_prompts,
    mean_lengths,
    prompt_mix,
    steady_figures,
    steady_window,
)


def answer(start: float, first: float, end: float, tokens: int = 10, prompt: int = 0) -> AnsweredRequest:
    step = (end - first) / max(tokens - 1, 1)
    return AnsweredRequest(prompt, start, end, tuple(first + n * step for n in range(tokens)), 5, tokens)


def test_every_repeat_holds_every_concurrency_and_the_rest_once_in_an_order_of_its_own() -> None:
    found = measurement_slots((8, 1, 64), 5, seed=3)
    assert len(found) == 20
    orders = [[slot.concurrency for slot in found if slot.repeat == repeat] for repeat in range(5)]
    assert all(sorted(order) == [0, 1, 8, 64] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert measurement_slots((8, 1, 64), 5, seed=3) == found
    assert measurement_slots((8, 1, 64), 5, seed=4) != found


def test_what_is_done_is_not_done_again() -> None:
    found = measurement_slots((1, 2), 2, seed=1)
    assert remaining_slots(found, {slot.name for slot in found[:3]}) == found[3:]
    assert remaining_slots(found, {slot.name for slot in found}) == []


def test_prompts_are_drawn_alike_for_two_models_and_each_once_a_round() -> None:
    once = list(islice(prompt_order(7, Slot(0, 4), 1), 21))
    assert [sorted(once[n : n + 7]) for n in (0, 7, 14)] == [list(range(7))] * 3
    assert once == list(islice(prompt_order(7, Slot(0, 4), 1), 21))
    assert once != list(islice(prompt_order(7, Slot(1, 4), 1), 21))


def test_time_left_is_what_the_points_before_took() -> None:
    assert remaining_s(10, [], 65) == 650
    assert remaining_s(4, [60, 80], 65) == 280


def test_steady_by_hand() -> None:
    """Two in flight: first tokens at 1 and 2, so it begins at 2; the last instant at which both are there is 9."""
    told = [answer(0, 1, 5), answer(0, 2, 9), answer(5, 6, 11)]
    assert steady_window(told, 2) == (2, 9)
    assert steady_window(told, 4) is None
    found = steady_figures(told, 2, 9)
    assert found.in_flight == pytest.approx((3 + 7 + 4) / 7)
    assert found.decoding == pytest.approx((3 + 7 + 3) / 7)
    # Tokens of the second, but its first (at the very begin); of the first, those after 2; of the third, those up to 9.
    assert found.output_tokens == pytest.approx(7 + 9 + 6)
    assert found.requests == pytest.approx(2.2)
    assert found.answered == 2


def test_one_after_another_is_steady_from_the_first_token_to_the_last() -> None:
    told = [answer(n, n + 0.2, n + 1) for n in range(5)]
    assert steady_window(told, 1) == (0.2, 5)


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 2), st.floats(0.01, 20), st.integers(1, 40)), min_size=1, max_size=30),
    st.integers(1, 8),
)
def test_steady_laws(raw: list[tuple[float, float, float, int]], concurrency: int) -> None:
    told = [answer(start, start + wait, start + wait + run, tokens) for start, wait, run, tokens in raw]
    whole = steady_figures(told, -1, 1000)
    assert whole.output_tokens == pytest.approx(sum(each.output_tokens for each in told))
    assert whole.requests == pytest.approx(len(told))
    found = steady_window(told, concurrency)
    if found is not None:
        begin, end = found
        inside = steady_figures(told, begin, end)
        assert 0 <= inside.requests <= len(told)
        assert inside.decoding <= inside.in_flight + 1e-9
        middle = (begin + end) / 2
        parts = [steady_figures(told, begin, middle), steady_figures(told, middle, end)]
        assert sum(each.output_tokens for each in parts) == pytest.approx(inside.output_tokens)


def test_pieces_of_several_tokens_count_by_the_servers_own_usage() -> None:
    told = [AnsweredRequest(0, 0.0, 2.0, (1.0, 2.0), 5, 30)]  # two pieces, thirty tokens
    found = steady_figures(told, 0.0, 3.0)
    assert found.output_tokens == 30
    assert found.itl_p50_s == pytest.approx(1 / 15)


def test_answers_of_one_token_have_no_time_between_tokens() -> None:
    assert steady_figures([answer(0, 1, 1.5, tokens=1)], 0, 2).itl_p50_s is None


def test_a_draw_of_short_prompts_is_made_comparable() -> None:
    """Prompts of 10 and 30 tokens; a point that drew the short one three times of four stands for both alike."""
    points = [[(0, 3.0, 30.0), (1, 1.0, 30.0)], [(0, 2.0, 20.0), (1, 2.0, 60.0)]]
    mean = mean_lengths(points)
    assert mean == {0: 10.0, 1: 30.0}
    assert prompt_mix(points[0], mean) == pytest.approx(20 / 15)
    assert prompt_mix(points[1], mean) == pytest.approx(1.0)
    assert drawn_prompts([answer(0, 1, 2, 10, prompt=3)], 0, 3) == [(3, 1.0, 10.0)]
