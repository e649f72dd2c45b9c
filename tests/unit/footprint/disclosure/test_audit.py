"""What a reader derives, by hand: subtraction, ratios, versions, months of a quarter."""

from __future__ import annotations

import math

import pytest

from footprint.disclosure.audit import Bounds, ContradictoryTable, PublishedTable, attack, leaf_keys
from footprint.disclosure.primary_suppression import Key

Q = "2026-Q3"
LINKED = (("c", "e"),)


def pair(bounds: Bounds) -> tuple[object, object]:
    return pytest.approx(bounds.low, rel=1e-4, abs=1e-4), pytest.approx(bounds.high, rel=1e-4, abs=1e-4)


def energy(**amounts: float) -> dict[Key, dict[str, float]]:
    """``ax`` is service a, use x of the quarter, an underscore a margin."""
    return {(Q, k[0].strip("_"), k[1].strip("_")): {"e": v} for k, v in amounts.items()}


def hidden(*names: str, period: str = Q) -> frozenset[Key]:
    return frozenset((period, k[0].strip("_"), k[1].strip("_")) for k in names)


@pytest.mark.parametrize(("low", "high", "below", "above"), [
    (85.1, 114.9, True, True), (85.0, 115.0, False, False), (85.1, 115.0, True, False), (84.9, 114.9, False, True), (100, 100, True, True),
])  # fmt: skip
def test_what_recovers_an_amount(low: float, high: float, below: bool, above: bool) -> None:
    found = Bounds(low, high)
    assert (found.nears_from_below(100, 0.15), found.nears_from_above(100, 0.15)) == (below, above)
    assert found.recovers(100, 0.15) is (below and above)


def test_the_tolerance_leaves_what_is_just_within_open() -> None:
    assert not Bounds(85.00005, 115).nears_from_below(100, 0.15)
    assert Bounds(85.0002, 115).nears_from_below(100, 0.15)
    assert not Bounds(85, 114.99995).nears_from_above(100, 0.15)
    assert Bounds(85, 114.9998).nears_from_above(100, 0.15)
    assert not Bounds(0, 0).recovers(0, 0.15)
    assert Bounds(0.5, 0.5).recovers(0.5, 0.15)


def test_the_finest_keys_that_a_key_is_the_sum_of() -> None:
    found = leaf_keys(
        [(Q, "a", "x"), (Q, "a", "y"), (Q, "a", ""), (Q, "b", ""), (Q, "", ""), ("2026-07", "a", "x"), ("2026-08", "b", "")]
    )
    assert {key: sorted(leaves) for key, leaves in found.items()} == {
        ("2026-07", "a", "x"): [("2026-07", "a", "x")],
        ("2026-08", "b", ""): [("2026-08", "b", "")],
        (Q, "a", "x"): [("2026-07", "a", "x")],
        (Q, "a", "y"): [(Q, "a", "y")],
        (Q, "a", ""): [("2026-07", "a", "x"), (Q, "a", "y")],
        (Q, "b", ""): [("2026-08", "b", "")],
        (Q, "", ""): [("2026-07", "a", "x"), ("2026-08", "b", ""), (Q, "a", "y")],
    }


@pytest.mark.parametrize(
    ("period", "within"), [("2026-06", False), ("2026-07", True), ("2026-09", True), ("2026-10", False), ("2025-08", False)]
)
def test_months_of_a_quarter(period: str, within: bool) -> None:
    assert (leaf_keys([(period, "a", ""), (Q, "a", "")])[Q, "a", ""] == [(period, "a", "")]) is within


def test_two_hidden_parts_leave_their_sum_between_them() -> None:
    found = attack([PublishedTable(energy(a_=100.0, az=70.0), hidden("ax", "ay"))])
    assert set(found) == {(0, (Q, "a", "x")), (0, (Q, "a", "y"))}
    for bounds in found.values():
        assert pair(bounds["e"]) == (0, 30)


def test_one_hidden_part_is_the_rest_of_the_sum_at_any_scale() -> None:
    for scale in (1.0, 1e-6, 1e9):
        found = attack([PublishedTable(energy(a_=100.0 * scale, az=70.0 * scale), hidden("ax"))])[0, (Q, "a", "x")]["e"]
        assert (found.low / scale, found.high / scale) == (pytest.approx(30, rel=1e-3), pytest.approx(30, rel=1e-3))


def test_a_hidden_margin_of_shown_parts_is_their_sum_and_what_nothing_holds_is_open() -> None:
    found = attack([PublishedTable(energy(ax=5.0, ay=7.0), hidden("a_", "bx"))])
    assert pair(found[0, (Q, "a", "")]["e"]) == (12, 12)
    assert (found[0, (Q, "b", "x")]["e"].low, found[0, (Q, "b", "x")]["e"].high) == (0, math.inf)


def test_a_hidden_margin_of_hidden_and_shown_parts() -> None:
    found = attack([PublishedTable(energy(ax=5.0, _y=9.0), hidden("a_", "ay", "by"))])
    assert pair(found[0, (Q, "a", "")]["e"]) == (5, 14)
    assert pair(found[0, (Q, "b", "y")]["e"]) == (0, 9)


def test_rows_and_columns_are_solved_together() -> None:
    """Four hidden cells of two rows (30 and 40) and two columns (25 and 45): the first lies from 0 to 25, the last from 15."""
    found = attack([PublishedTable(energy(a_=30.0, b_=40.0, _x=25.0, _y=45.0), hidden("ax", "ay", "bx", "by"))])
    assert pair(found[0, (Q, "a", "x")]["e"]) == (0, 25)
    assert pair(found[0, (Q, "a", "y")]["e"]) == (5, 30)
    assert pair(found[0, (Q, "b", "y")]["e"]) == (15, 40)


def test_parts_that_have_nothing_to_do_with_each_other_are_kept_apart() -> None:
    found = attack([PublishedTable(energy(a_=30.0, b_=2000.0), hidden("ax", "ay", "bx", "by", "bz"))])
    assert pair(found[0, (Q, "a", "x")]["e"]) == (0, 30)
    assert pair(found[0, (Q, "b", "z")]["e"]) == (0, 2000)


def test_ratios_known_to_a_hundredth_cut_what_sums_leave_open() -> None:
    """x + y = 30 and 40 x + 60 y = 1500, each ratio to 1 %: x from 14.24 to 15.74."""
    shown = {(Q, "a", ""): {"e": 30.0, "c": 1500.0}}
    ratios = {(Q, "a", "x"): {"c": 40.0}, (Q, "a", "y"): {"c": 60.0}}
    found = attack([PublishedTable(shown, hidden("ax", "ay"), LINKED, ratios)])
    assert pair(found[0, (Q, "a", "x")]["e"]) == ((1782 - 1500) / 19.8, (1818 - 1500) / 20.2)
    assert found[0, (Q, "a", "x")]["c"].low > 550
    apart = attack([PublishedTable(shown, hidden("ax", "ay"))])
    assert pair(apart[0, (Q, "a", "x")]["c"]) == (0, 1500)


def test_the_ratio_of_a_shown_service_counts_as_known() -> None:
    """The service emits 50 g/kWh; one use's energy is told by its column, so that its emissions are known to 1 %."""
    shown = {(Q, "a", ""): {"e": 30.0, "c": 1500.0}, (Q, "", "x"): {"e": 10.0}}
    found = attack([PublishedTable({**shown, (Q, "", "x"): {"e": 10.0, "c": 900.0}}, hidden("ax", "ay", "bx"), LINKED)])
    bounds = found[0, (Q, "a", "x")]
    assert pair(bounds["e"]) == (0, 10)
    assert bounds["c"].high == pytest.approx(505, rel=1e-3)
    assert found[0, (Q, "a", "y")]["c"].low == pytest.approx(995, rel=1e-3)


def test_a_ratio_to_nothing_says_nothing() -> None:
    shown = {(Q, "a", ""): {"e": 0.0, "c": 0.0}, (Q, "", "x"): {"e": 10.0, "c": 900.0}}
    found = attack([PublishedTable(shown, hidden("ax", "bx"), LINKED)])
    assert pair(found[0, (Q, "b", "x")]["c"]) == (900, 900)


def test_a_measure_linked_to_one_that_nobody_publishes_is_attacked_alone() -> None:
    shown = {(Q, "a", ""): {"c": 1500.0}}
    assert pair(attack([PublishedTable(shown, hidden("ax", "ay"), LINKED)])[0, (Q, "a", "x")]["c"]) == (0, 1500)


def test_late_data_only_add() -> None:
    """The first version hides x and y (30 together), the second x and z beside a shown y of 21: x was at least 9."""
    first = PublishedTable(energy(a_=130.0, az=100.0), hidden("ax", "ay"))
    second = PublishedTable(energy(a_=140.0, ay=21.0), hidden("ax", "az"))
    found = attack([first, second])
    assert pair(found[0, (Q, "a", "x")]["e"]) == (9, 19)
    assert pair(found[0, (Q, "a", "y")]["e"]) == (11, 21)
    assert pair(found[1, (Q, "a", "x")]["e"]) == (9, 19)
    assert pair(found[1, (Q, "a", "z")]["e"]) == (100, 110)
    assert pair(attack([second])[0, (Q, "a", "x")]["e"]) == (0, 119)


def test_months_and_their_quarter_are_known_together() -> None:
    months = {("2026-07", "a", ""): {"e": 10.0}, ("2026-08", "a", ""): {"e": 20.0}, (Q, "a", ""): {"e": 45.0}}
    assert pair(attack([PublishedTable(months, hidden("a_", period="2026-09"))])[0, ("2026-09", "a", "")]["e"]) == (15, 15)


def test_with_the_truth_the_same_cells_are_recovered() -> None:
    published = PublishedTable(energy(a_=30.0, b_=40.0, _x=25.0, _y=45.0, c_=9.0), hidden("ax", "ay", "bx", "by", "cz"))
    truth = {
        (0, key): {"e": amount}
        for key, amount in (
            (((Q, "a", "x")), 13.0),
            ((Q, "a", "y"), 17.0),
            ((Q, "b", "x"), 12.0),
            ((Q, "b", "y"), 28.0),
            ((Q, "c", "z"), 9.0),
        )
    }
    quick, full = attack([published], truth, 0.15), attack([published])
    for place, amounts in truth.items():
        assert quick[place]["e"].recovers(amounts["e"], 0.15) is full[place]["e"].recovers(amounts["e"], 0.15)
        assert quick[place]["e"].nears_from_below(amounts["e"], 0.15) is full[place]["e"].nears_from_below(amounts["e"], 0.15)
        assert quick[place]["e"].nears_from_above(amounts["e"], 0.15) is full[place]["e"].nears_from_above(amounts["e"], 0.15)
        assert full[place]["e"].low <= quick[place]["e"].low + 1e-3
        assert quick[place]["e"].high <= full[place]["e"].high + 1e-3


def test_sums_that_nothing_gives_are_refused() -> None:
    with pytest.raises(ContradictoryTable, match="contradict"):
        attack([PublishedTable(energy(a_=30.0, ax=40.0), hidden("ay"))])
    assert attack([]) == {}
    assert attack([PublishedTable(energy(a_=30.0), frozenset())]) == {}
