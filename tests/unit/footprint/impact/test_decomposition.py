"""A change divided over its causes: the worked example by hand, and the sum that is always the change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.impact.decomposition import EFFECTS, IdleTerm, Term, decompose, decompose_idle


def term(requests: float, tokens_each: float, kwh_per_token: float, pue: float, grid: float) -> Term:
    tokens = requests * tokens_each
    return Term(requests, tokens, tokens * kwh_per_token, pue, grid)


BEFORE = {
    "chat": term(400e3, 800, 0.9e-6, 1.35, 52),
    "code": term(120e3, 1500, 1.4e-6, 1.35, 52),
    "ocr": term(30e3, 400, 2e-6, 1.35, 52),
}
AFTER = {
    "chat": term(520e3, 820, 0.8e-6, 1.32, 41),
    "code": term(180e3, 1650, 1.1e-6, 1.32, 41),
    "rag": term(60e3, 2500, 1e-6, 1.32, 41),
}


def test_the_worked_example() -> None:
    """Three uses, one stopped, one new; from 39,592.8 g to 44,260.4 g."""
    found = decompose(BEFORE, AFTER)
    expected = {
        "new": 8118.0,
        "stopped": -1684.8,
        "efficiency": -6541.4,
        "grid": -8796.7,
        "overhead": -831.8,
        "length": 2162.8,
        "volume": 11001.8,
        "mix": 1239.6,
        "timing": 0.0,
    }
    assert found == {name: pytest.approx(expected[name], abs=0.06) for name in EFFECTS}
    assert sum(found.values()) == pytest.approx(4667.6, abs=0.05)


_TERM = st.builds(Term, *(st.floats(1e-3, 1e9) for _ in range(3)), st.floats(1, 3), st.floats(1, 1000))
_SIDE = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), _TERM, max_size=4)


@given(_SIDE, _SIDE)
def test_the_effects_sum_to_the_change(before: dict[str, Term], after: dict[str, Term]) -> None:
    change = sum(t.grams for t in after.values()) - sum(t.grams for t in before.values())
    scale = max(sum(t.grams for t in (*before.values(), *after.values())), 1e-9)
    assert sum(decompose(before, after).values()) == pytest.approx(change, abs=1e-9 * scale)


@given(_SIDE)
def test_nothing_changed_is_no_effect(side: dict[str, Term]) -> None:
    assert all(effect == 0 for effect in decompose(side, side).values())


def test_a_grid_and_its_hours_are_two_effects() -> None:
    """The mean falls by a tenth and the use moves into hours a tenth dirtier than it: the two are told apart."""
    before, after = Term(100, 1000, 10, 1.5, 50), Term(100, 1000, 10, 1.5, 45, 1.1)
    found = decompose({"a": before}, {"a": after})
    assert found["grid"] < 0 < found["timing"]
    assert found["grid"] + found["timing"] == pytest.approx(after.grams - before.grams, abs=1e-9)


_IDLE = st.builds(IdleTerm, *(st.floats(1e-3, 1e6) for _ in range(2)), st.floats(1, 3), st.floats(1, 1000), st.floats(0.5, 2))


@given(*(st.dictionaries(st.sampled_from(["a", "b", "c"]), _IDLE, max_size=3) for _ in range(2)))
def test_idle_effects_sum_to_the_change(before: dict[str, IdleTerm], after: dict[str, IdleTerm]) -> None:
    change = sum(t.grams for t in after.values()) - sum(t.grams for t in before.values())
    scale = max(sum(t.grams for t in (*before.values(), *after.values())), 1e-9)
    assert sum(decompose_idle(before, after).values()) == pytest.approx(change, abs=1e-9 * scale)


def test_hours_off_are_an_effect_of_hours() -> None:
    found = decompose_idle({"a": IdleTerm(100, 60, 1.3, 50)}, {"a": IdleTerm(60, 60, 1.3, 50)})
    assert found["idle_hours"] == pytest.approx(-40 * 0.06 * 1.3 * 50)
    assert found["idle_power"] == 0
