"""What becomes of every cell of small tables, each decision by hand."""

from __future__ import annotations

import pytest

from footprint.disclosure.primary_suppression import Cell, Key, Status, SuppressionReason, SuppressionRules
from footprint.disclosure.secondary_suppression import Protection, protect

Q = "2026-Q3"
Row = tuple[float, int | None]


def cells(
    rows: dict[str, Row], margins: dict[str, int] | None = None, *, linked: dict[str, float] | None = None, period: str = Q
) -> list[Cell]:
    """``ax`` is service a, use x, ``ai`` its idle row; energy and users of each, requests as much; 50 users of a margin."""
    names = {"i": "(idle)"}
    sums: dict[Key, list[float]] = {}
    made: list[Cell] = []
    for name, (energy, users) in rows.items():
        use = names.get(name[1], name[1])
        amounts = [energy, 0.0 if use == "(idle)" else energy, energy * (linked or {}).get(name, 50.0)]
        for key in ((period, name[0], ""), (period, "", use), (period, "", "")):
            sums[key] = [a + b for a, b in zip(sums.get(key, [0.0] * 3), amounts, strict=True)]
        made.append(cell((period, name[0], use), users, amounts, linked))
    return made + [cell(key, (margins or {}).get(f"{key[1]}_{key[2]}", 50), amounts, linked) for key, amounts in sums.items()]


def cell(key: Key, users: int | None, amounts: list[float], linked: object) -> Cell:
    names = ("energy_kwh", "requests", "co2e_location_g") if linked is not None else ("energy_kwh", "requests")
    return Cell(*key, users, amounts=dict(zip(names, amounts, strict=False)))


def hidden(found: Protection) -> set[str]:
    return {(s or "_") + (u or "_") for _, s, u in found.hidden()}


SAFE = {"ax": (10.0, 9), "ay": (20.0, 9), "az": (90.0, 9), "bx": (15.0, 9), "by": (25.0, 9), "bz": (80.0, 9)}


def test_the_cheapest_complements_are_hidden() -> None:
    found = protect(cells(SAFE | {"ax": (10.0, 3)}), SuppressionRules())
    assert hidden(found) == {"ax", "ay", "bx", "by"}
    assert {
        key[1:]: reason
        for key, reason in found.reasons.items()
        if reason not in (SuppressionReason.SAFE, SuppressionReason.TOTAL)
    } == {
        ("a", "x"): SuppressionReason.FEW_USERS,
        ("a", "y"): SuppressionReason.COMPLEMENT,
        ("b", "x"): SuppressionReason.COMPLEMENT,
        ("b", "y"): SuppressionReason.COMPLEMENT,
    }
    assert (found.count(Status.PRIMARY), found.count(Status.SECONDARY), found.count(Status.PUBLIC)) == (1, 3, 8)
    assert found.exposed == frozenset()
    assert (found.status(Q, "a", "x"), found.status(Q, "a", "y"), found.status(Q, "a"), found.status(Q)) == (
        Status.PRIMARY, Status.SECONDARY, Status.PUBLIC, Status.PUBLIC,
    )  # fmt: skip
    assert found.status(Q, "nobody") is Status.PRIMARY
    assert list(found.statuses) == sorted(found.statuses)


def test_energy_is_what_is_lost_and_requests_where_there_is_none() -> None:
    rows = SAFE | {"ax": (10.0, 3)}
    both = [Cell(*c.key, c.users, amounts={"energy_kwh": c.amounts["energy_kwh"]}) for c in cells(rows)]
    assert hidden(protect(both, SuppressionRules())) == {"ax", "ay", "bx", "by"}
    counted = [Cell(*c.key, c.users, amounts={"requests": c.amounts["requests"]}) for c in cells(rows)]
    assert hidden(protect(counted, SuppressionRules())) == {"ax", "ay", "bx", "by"}


def test_a_complement_too_small_to_protect_is_passed_over() -> None:
    """Of 10 no one may come nearer than 1.5: 1.4 of y are too few, so that z goes."""
    found = protect(cells(SAFE | {"ax": (10.0, 3), "ay": (1.4, 9)}), SuppressionRules())
    assert {"ax", "az", "bx", "bz"} <= hidden(found)
    assert "ay" not in hidden(found)
    assert hidden(protect(cells(SAFE | {"ax": (10.0, 3), "ay": (1.5, 9)}), SuppressionRules())) == {"ax", "ay", "bx", "by"}
    assert hidden(protect(cells(SAFE | {"ax": (10.0, 3), "ay": (1.25, 9)}), SuppressionRules(protection=0.125))) == {
        "ax",
        "ay",
        "bx",
        "by",
    }


def test_nothing_is_hidden_of_safe_cells() -> None:
    assert hidden(protect(cells(SAFE), SuppressionRules())) == set()
    assert protect([], SuppressionRules()).statuses == {}


def test_what_was_hidden_stays_hidden_and_what_was_shown_stays_shown() -> None:
    kept = {(Q, "a", "y")}
    found = protect(cells(SAFE), SuppressionRules(), hidden_before=kept)
    assert found.reasons[Q, "a", "y"] is SuppressionReason.KEPT
    assert found.status(Q, "a", "y") is Status.SECONDARY
    assert len(hidden(found)) == 4
    # A cell that was shown counts as shown: neither kept nor taken beside another.
    both = protect(cells(SAFE), SuppressionRules(), published_before=kept, hidden_before=kept)
    assert hidden(both) == set()
    found = protect(cells(SAFE | {"ax": (10.0, 3)}), SuppressionRules(), published_before={(Q, "a", "y")})
    assert hidden(found) == {"ax", "az", "bx", "bz"}
    assert found.exposed == frozenset()
    # What was shown before and is to be hidden now is known all the same.
    found = protect(cells(SAFE | {"ax": (10.0, 3)}), SuppressionRules(), published_before={(Q, "a", "x")})
    assert found.exposed == {(Q, "a", "x")}


def test_idle_rows_can_be_kept_and_hide_by_themselves_never() -> None:
    rows = SAFE | {"ai": (30.0, None), "bi": (30.0, None)}
    assert hidden(protect(cells(rows), SuppressionRules())) == set()
    found = protect(cells(rows), SuppressionRules(), hidden_before={(Q, "a", "(idle)")})
    assert found.reasons[Q, "a", "(idle)"] is SuppressionReason.KEPT
    assert "a(idle)" in hidden(found)


def test_hidden_parts_of_a_sum_hold_one_that_is_safe() -> None:
    """Two uses of few people in both services hide each other; together they would be told, so the cheapest safe one goes too."""
    rows = SAFE | {"ax": (10.0, 3), "ay": (12.0, 3), "bx": (11.0, 3), "by": (13.0, 3)}
    found = protect(cells(rows), SuppressionRules())
    assert hidden(found) >= {"ax", "ay", "az", "bx", "by", "bz"}
    assert found.reasons[Q, "a", "z"] is SuppressionReason.COMPLEMENT
    # Where none is left the sum itself is hidden.
    alone = protect(
        cells({"ax": (10.0, 3), "ay": (12.0, 3), "bx": (50.0, 9), "by": (60.0, 9), "cx": (55.0, 9), "cy": (66.0, 9)}),
        SuppressionRules(),
    )
    assert "a_" in hidden(alone)


def test_what_only_the_total_holds_is_exposed() -> None:
    found = protect(cells({"ax": (10.0, 3)}, {"a_": 3, "_x": 3}), SuppressionRules())
    assert found.exposed == {(Q, "a", "x"), (Q, "a", ""), (Q, "", "x")}
    assert found.status(Q) is Status.PUBLIC


def test_cells_of_nobody_are_shown_and_protect_nobody() -> None:
    rows = SAFE | {"ax": (10.0, 3), "ay": (0.0, 0)}
    found = protect(cells(rows), SuppressionRules())
    assert found.reasons[Q, "a", "y"] is SuppressionReason.NOBODY
    assert hidden(found) == {"ax", "az", "bx", "bz"}


@pytest.mark.parametrize(("factor", "y"), [(50.0, True), (50.0 * (1 + 1e-12), True), (80.0, False)])
def test_a_complement_of_another_intensity_would_tell_the_move(factor: float, y: bool) -> None:
    """With one intensity emissions say nothing new; a y of another, beside an x of 10 kWh, would give it away."""
    linked = dict.fromkeys(SAFE, 50.0) | {"ay": factor}
    found = protect(cells(SAFE | {"ax": (10.0, 3)}, linked=linked), SuppressionRules())
    assert (hidden(found) == {"ax", "ay", "bx", "by"}) is y
    assert not found.exposed


def test_where_intensities_differ_a_tenth_more_protection_is_asked_for() -> None:
    """z of another service is dirtier, so that ratios are looked at: 1.6 of y are too few for 1.1 x 1.5, and 1.65 enough."""
    linked = dict.fromkeys(SAFE, 50.0) | {"bz": 50.5}
    for energy, enough in ((1.6, False), (1.66, True)):
        found = protect(cells(SAFE | {"ax": (10.0, 3), "ay": (energy, 9)}, linked=linked), SuppressionRules())
        assert ("ay" in hidden(found) and "az" not in hidden(found)) is enough


def test_where_no_box_protects_several_cells_together_do() -> None:
    """1.5 of x must move, b and c have 1 each; the margins were shown before, so that nothing else may move."""
    rows = {"ax": (10.0, 3), "ay": (12.0, 9), "bx": (1.0, 9), "by": (1.0, 9), "cx": (1.0, 9), "cy": (1.0, 9)}
    known = {(Q, s, u) for s, u in (("a", ""), ("b", ""), ("c", ""), ("", "x"), ("", "y"))}
    found = protect(cells(rows), SuppressionRules(), published_before=known)
    assert hidden(found) == set(rows)
    assert not found.exposed
    # With 1.4 in both together there is nothing left that could move so far.
    short = {"ax": (10.0, 3), "ay": (20.0, 9), "bx": (0.7, 9), "by": (0.7, 9), "cx": (0.7, 9), "cy": (0.7, 9)}
    assert (Q, "a", "x") in protect(cells(short), SuppressionRules(), published_before=known).exposed


def test_small_organisations_are_protected_as_large_ones_are() -> None:
    for scale in (1e-3, 1e6):
        rows = {name: (energy * scale, 3 if name == "ax" else users) for name, (energy, users) in SAFE.items()}
        assert hidden(protect(cells(rows), SuppressionRules())) == {"ax", "ay", "bx", "by"}


def test_complements_are_large_enough_for_every_cell_they_protect() -> None:
    """13.5 of az must move: ax has 10, so that column y goes; ax is then protected by bx beside it."""
    assert hidden(protect(cells(SAFE | {"ax": (10.0, 3), "az": (90.0, 3)}), SuppressionRules())) == set(SAFE)
    # Two cells of one box protect each other.
    assert hidden(protect(cells(SAFE | {"ax": (10.0, 3), "by": (25.0, 3)}), SuppressionRules())) == {"ax", "ay", "bx", "by"}


def test_a_sum_without_safe_part_is_hidden_and_protected_in_turn() -> None:
    """Use x is of few people in both services: their sum is hidden, and that of y beside it."""
    found = protect(cells(SAFE | {"ax": (10.0, 3), "bx": (15.0, 3)}), SuppressionRules())
    assert hidden(found) == {"ax", "bx", "ay", "by", "_x", "_y"}
    assert not found.exposed


@pytest.mark.parametrize(("absent", "expected"), [("service", {"ax", "bx"}), ("use_case", {"ax", "ay"})])
def test_a_margin_that_is_not_published_moves_freely(absent: str, expected: set[str]) -> None:
    """Without sums of a service (or of a use) only the other sum could tell the hidden cell."""
    rows = cells(SAFE | {"ax": (10.0, 3)})
    other = {"service": "use_case", "use_case": "service"}[absent]
    given = [each for each in rows if getattr(each, other)]
    assert hidden(protect(given, SuppressionRules())) == expected


def test_a_month_is_protected_by_another_month_of_its_quarter() -> None:
    """September is the smallest, hence the cheapest."""
    given, quarter = [], dict.fromkeys(SAFE, 0.0)
    for month, size in (("2026-07", 1.0), ("2026-08", 1.0), ("2026-09", 0.9)):
        given += cells(
            {name: (energy * size, 3 if (month, name) == ("2026-07", "ax") else 9) for name, (energy, _) in SAFE.items()},
            period=month,
        )
        quarter = {name: energy + SAFE[name][0] * size for name, energy in quarter.items()}
    given += cells({name: (energy, 9) for name, energy in quarter.items()}, period="2026-Q3")
    found = protect(given, SuppressionRules())
    assert found.hidden() == {(month, s, u) for month in ("2026-07", "2026-09") for s in "ab" for u in "xy"}


def test_a_large_complement_is_protected_in_turn() -> None:
    """by must move by 30, and bx beside it has 25: by shrinks as bx grows, under hidden sums of both uses."""
    rows = {"ax": (10.0, 3), "ay": (40.0, 9), "az": (90.0, 9), "bx": (25.0, 9), "by": (200.0, 9), "bz": (300.0, 9)}
    assert hidden(protect(cells(rows), SuppressionRules())) == {"ax", "ay", "bx", "by", "_x", "_y"}


def test_up_and_down_can_be_protected_by_different_cells() -> None:
    """ax moves by 1.5: up as ay and bx shrink, down as az and bx grow; together by and az have too little for the reverse."""
    rows = {"ax": (10.0, 3), "ay": (20.0, 9), "az": (0.7, 9), "bx": (15.0, 9), "by": (0.7, 9), "bz": (20.0, 9)}
    known = {(Q, s, u) for s, u in (("a", ""), ("b", ""), ("", "x"), ("", "y"), ("", "z"))}
    found = protect(cells(rows), SuppressionRules(), published_before=known)
    assert (hidden(found), found.exposed) == (set(rows), frozenset())


def test_one_intensity_asks_for_no_more_protection() -> None:
    linked = dict.fromkeys(SAFE, 50.0)
    assert hidden(protect(cells(SAFE | {"ax": (10.0, 3), "ay": (1.6, 9)}, linked=linked), SuppressionRules())) == {
        "ax",
        "ay",
        "bx",
        "by",
    }
