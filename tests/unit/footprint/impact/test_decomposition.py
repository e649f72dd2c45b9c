"""A change divided over its causes: the worked example by hand, and the sum that is always the change."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.impact.decomposition import EFFECTS, IDLE_EFFECTS, IdleTerm, Term, decompose, decompose_idle, log_mean


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


TERM = Term(requests=100, tokens=1000, it_kwh=10, pue=1.5, g_per_kwh=50, timing=1.2)
IDLE = IdleTerm(hours=100, watts=60, pue=1.5, g_per_kwh=50, timing=1.2)


def test_grams() -> None:
    assert TERM.grams == pytest.approx(900)
    assert Term(1, 1, 10, 1.5, 50).grams == pytest.approx(750)
    assert IDLE.grams == pytest.approx(540)
    assert IdleTerm(100, 60, 1.5, 50).grams == pytest.approx(450)


def test_logarithmic_mean() -> None:
    assert log_mean(math.e, 1.0) == pytest.approx(math.e - 1)
    assert log_mean(1.0, math.e) == pytest.approx(math.e - 1)
    assert log_mean(7.0, 7.0) == 7.0


@pytest.mark.parametrize(
    ("after", "effect"),
    [
        (Term(300, 3000, 30, 1.5, 50, 1.2), "volume"),
        (Term(100, 3000, 30, 1.5, 50, 1.2), "length"),
        (Term(100, 1000, 30, 1.5, 50, 1.2), "efficiency"),
        (Term(100, 1000, 10, 4.5, 50, 1.2), "overhead"),
        (Term(100, 1000, 10, 1.5, 150, 1.2), "grid"),
        (Term(100, 1000, 10, 1.5, 50, 3.6), "timing"),
    ],
)
def test_a_threefold_of_one_cause_is_its_effect(after: Term, effect: str) -> None:
    found = decompose({"a": TERM}, {"a": after})
    assert found == {name: pytest.approx(1800 if name == effect else 0, abs=1e-9) for name in EFFECTS}


def test_a_mix_that_shifts_has_no_volume() -> None:
    """From 1 to 1 to 3 to 1, the second four times as heavy: both shares' logarithms weigh by their own emissions."""
    light, heavy = Term(100, 1000, 10, 1, 10), Term(100, 1000, 40, 1, 10)
    found = decompose({"a": light, "b": heavy}, {"a": Term(150, 1500, 15, 1, 10), "b": Term(50, 500, 20, 1, 10)})
    assert found["volume"] == pytest.approx(0)
    assert found["mix"] == pytest.approx(50 - 200)
    assert found["length"] == pytest.approx(0)


def test_what_begins_and_stops_is_apart_and_does_not_count_as_volume() -> None:
    found = decompose({"a": TERM, "old": Term(7, 7, 2, 1, 10)}, {"a": TERM, "new": Term(7, 7, 3, 1, 10)})
    assert found == {name: pytest.approx({"new": 30, "stopped": -20}.get(name, 0)) for name in EFFECTS}


@pytest.mark.parametrize(
    ("after", "effect"),
    [
        (IdleTerm(300, 60, 1.5, 50, 1.2), "idle_hours"),
        (IdleTerm(100, 180, 1.5, 50, 1.2), "idle_power"),
        (IdleTerm(100, 60, 4.5, 50, 1.2), "overhead"),
        (IdleTerm(100, 60, 1.5, 150, 1.2), "grid"),
        (IdleTerm(100, 60, 1.5, 50, 3.6), "timing"),
    ],
)
def test_a_threefold_of_one_cause_of_waiting_is_its_effect(after: IdleTerm, effect: str) -> None:
    found = decompose_idle({"a": IDLE}, {"a": after})
    assert found == {name: pytest.approx(1080 if name == effect else 0, abs=1e-9) for name in IDLE_EFFECTS}


def test_services_that_begin_and_stop_waiting() -> None:
    found = decompose_idle({"a": IDLE, "old": IdleTerm(10, 100, 1, 10)}, {"a": IDLE, "new": IdleTerm(10, 200, 1, 10)})
    assert found == {name: pytest.approx({"new": 20, "stopped": -10}.get(name, 0)) for name in IDLE_EFFECTS}
