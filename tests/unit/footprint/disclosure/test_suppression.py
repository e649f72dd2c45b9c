"""Statistical disclosure control: primary and secondary suppression, and attacks on published tables."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from footprint.config import ConfigError, parse_config
from footprint.disclosure.audit import ContradictoryTable, PublishedTable, attack
from footprint.disclosure.primary_suppression import (
    BadSuppressionRules,
    Cell,
    Key,
    NotAdditive,
    Status,
    SuppressionReason,
    SuppressionRules,
    primary_reason,
)
from footprint.disclosure.secondary_suppression import Protection, protect
from footprint.editions.protected_cells import disclosure_rules
from tests.simulation.cells import MONTHS, organisation

RULES = SuppressionRules()
Q3 = "2026-Q3"
HIDDEN_BY_RULE = {
    SuppressionReason.UNKNOWN_USERS,
    SuppressionReason.FEW_USERS,
    SuppressionReason.FEW_TEAMS,
    SuppressionReason.DOMINATED,
}


def row(
    energy_kwh: float, users: int | None, requests: int = 100, **more: float
) -> tuple[dict[str, float], int | None, dict[str, float]]:
    return {"energy_kwh": energy_kwh, "requests": requests}, users, more


def table(rows: dict[tuple[str, str], tuple], period: str = Q3, margins: dict[tuple[str, str], int] | None = None) -> list[Cell]:  # type: ignore[type-arg]
    """Cells of one period with every margin; users of margins are many unless told."""
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for (service, use_case), (amounts, _, _) in rows.items():
        for key in {(service, ""), ("", use_case), ("", "")}:
            own = sums.setdefault(key, {"energy_kwh": 0.0, "requests": 0.0})
            for measure, amount in amounts.items():
                own[measure] += amount
    cells = [Cell(period, *key, users, amounts=amounts, **more) for key, (amounts, users, more) in rows.items()]
    return cells + [Cell(period, *key, (margins or {}).get(key, 50), amounts=amounts) for key, amounts in sums.items()]


def shown(cells: Iterable[Cell], protection: Protection) -> PublishedTable:
    hidden = protection.hidden()
    ratios = {
        c.key: {"co2e_location_g": c.amounts["co2e_location_g"] / c.amounts["energy_kwh"]}
        for c in cells
        if "co2e_location_g" in c.amounts
    }
    return PublishedTable({c.key: c.amounts for c in cells if c.key not in hidden}, hidden, RULES.linked, ratios)


def recovered(cells: list[Cell], protection: Protection, rules: SuppressionRules = RULES) -> list[tuple[Key, str]]:
    """Hidden cells that a reader recovers; those that rules hide must lie open on both sides."""
    truth = {(0, cell.key): cell.amounts for cell in cells}
    within, found = rules.protection, []
    for (_, key), bounds in attack([shown(cells, protection)], truth, within).items():
        for measure, known in bounds.items():
            amount = truth[0, key][measure]
            near = known.nears_from_below(amount, within) or known.nears_from_above(amount, within)
            if key not in protection.exposed and (
                known.recovers(amount, within) or (near and protection.statuses[key] is Status.PRIMARY)
            ):
                found.append((key, measure))
    return found


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (Cell(Q3, "a", "x", 5, 0.85), SuppressionReason.SAFE),
        (Cell(Q3, "a", "x", 4), SuppressionReason.FEW_USERS),
        (Cell(Q3, "a", "x", None, amounts={"requests": 1}), SuppressionReason.UNKNOWN_USERS),
        (Cell(Q3, "a", "x", None, amounts={"requests": 0, "energy_kwh": 0.2}), SuppressionReason.NOBODY),
        (Cell(Q3, "a", "x", 0, amounts={"requests": 0}), SuppressionReason.NOBODY),
        (Cell(Q3, "a", "x", 0, amounts={"requests": 3}), SuppressionReason.FEW_USERS),
        (Cell(Q3, "a", "x", 20, 0.851), SuppressionReason.DOMINATED),
        (Cell(Q3, "a", "", 4), SuppressionReason.FEW_USERS),
        (Cell(Q3, "", "x", None, amounts={"requests": 1}), SuppressionReason.UNKNOWN_USERS),
        (Cell(Q3, "a", "(idle)", None, amounts={"energy_kwh": 1}), SuppressionReason.NO_USERS_BY_NATURE),
        (Cell(Q3, "(unattributed)", "", None, amounts={"energy_kwh": 1}), SuppressionReason.NO_USERS_BY_NATURE),
        (Cell(Q3, "", "", 2), SuppressionReason.TOTAL),
    ],
)
def test_what_the_rules_say_of_one_cell(cell: Cell, reason: SuppressionReason) -> None:
    assert primary_reason(cell, RULES) == reason


def test_teams_count_where_they_are_asked_for() -> None:
    rules = SuppressionRules(min_teams=3)
    assert [primary_reason(Cell(Q3, "a", "x", 9, teams=teams), rules) for teams in (3, 2, None)] == [
        SuppressionReason.SAFE,
        SuppressionReason.FEW_TEAMS,
        SuppressionReason.FEW_TEAMS,
    ]


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"min_users": 2}, "min_users is 2"),
        ({"dominance": 0.2}, "dominance is 0.2"),
        ({"min_teams": 0}, "min_teams is 0"),
        ({"protection": 0.0}, "protection is 0"),
    ],
)
def test_rules_that_protect_nobody_are_refused(given_: dict[str, float], said: str) -> None:
    with pytest.raises(BadSuppressionRules, match=said):
        SuppressionRules(**given_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "users"), [("", 5), ('profile = "strict"', 11), ('profile = "floor"', 3), ('profile = "strict"\nmin_users = 7', 7)]
)
def test_configuration_declares_the_rules(text: str, users: int) -> None:
    rules = disclosure_rules(parse_config(f"[disclosure]\n{text}\ndominance = 0.8\nmin_teams = 3"))
    assert rules == SuppressionRules(users, 0.8, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min_users = 2", r"footprint.toml:2: min_users is 2; in a cell of fewer than 3 users"),
        ('profile = "none"', "footprint.toml:2: profile is 'none'; it must be one of default, strict, floor"),
        ("dominance = 85", "dominance is the largest share"),
        ("min_teams = -1", "min_teams must be"),
        ("users = 5", "unknown key 'users' in disclosure"),
    ],
)
def test_configuration_below_the_floor_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(f"[disclosure]\n{text}")


def test_nothing_is_hidden_where_every_cell_has_users_enough() -> None:
    cells = table({("a", "x"): row(10, 8), ("a", "y"): row(20, 9), ("a", "(idle)"): row(3, 0, 0)})
    protection = protect(cells, RULES)
    assert set(protection.statuses.values()) == {Status.PUBLIC}
    assert len(protection.statuses) == len(cells)


def test_the_complement_of_one_hidden_use_is_hidden_and_the_idle_row_stays() -> None:
    """Service a: x has 3 users; y is the smaller of the two others, and so is hidden with it, here and at service b."""
    cells = table(
        {
            ("a", "x"): row(10, 3),
            ("a", "y"): row(20, 9),
            ("a", "z"): row(90, 30),
            ("a", "(idle)"): row(30, 0, 0),
            ("b", "x"): row(15, 12),
            ("b", "y"): row(25, 9),
            ("b", "z"): row(80, 30),
        }
    )
    protection = protect(cells, RULES)
    assert protection.hidden() == {(Q3, s, u) for s in ("a", "b") for u in ("x", "y")}
    assert protection.status(Q3, "a", "x") is Status.PRIMARY
    assert protection.reasons[Q3, "b", "y"] is SuppressionReason.COMPLEMENT
    assert recovered(cells, protection) == []


def test_a_row_without_requests_cannot_stand_in_for_one_with() -> None:
    """Service a has one use of 3 users and an idle row: the idle row has no requests, so the service itself must be hidden too."""
    cells = table(
        {
            ("a", "x"): row(10, 3),
            ("a", "(idle)"): row(30, 0, 0),
            ("b", "x"): row(15, 12),
            ("b", "y"): row(25, 9),
            ("c", "x"): row(25, 12),
            ("c", "y"): row(25, 9),
        }
    )
    protection = protect(cells, RULES)
    assert protection.status(Q3, "a") is Status.SECONDARY
    assert recovered(cells, protection) == []


def test_two_hidden_uses_of_the_same_few_people_take_a_third_with_them() -> None:
    """x and y hide each other, but their sum could still be of three people."""
    cells = table(
        {
            ("a", "x"): row(10, 3),
            ("a", "y"): row(12, 3),
            ("a", "z"): row(90, 30),
            ("b", "x"): row(11, 3),
            ("b", "y"): row(13, 3),
            ("b", "z"): row(80, 30),
        }
    )
    protection = protect(cells, RULES)
    assert protection.status(Q3, "a", "z") is Status.SECONDARY
    assert protection.status(Q3, "b", "z") is Status.SECONDARY


def test_a_month_takes_another_month_or_its_quarter_with_it() -> None:
    months = [
        table({("a", "x"): row(10, users), ("a", "y"): row(20, 9), ("b", "x"): row(15, 12), ("b", "y"): row(25, 9)}, month)
        for month, users in (("2026-07", 8), ("2026-08", 3), ("2026-09", 8))
    ]
    whole = table(
        {("a", "x"): row(30, 8, 300), ("a", "y"): row(60, 9, 300), ("b", "x"): row(45, 12, 300), ("b", "y"): row(75, 9, 300)}
    )
    cells = [cell for month in months for cell in month] + whole
    protection = protect(cells, RULES)
    assert protection.status("2026-08", "a", "x") is Status.PRIMARY
    beside = {period for period in ("2026-07", "2026-09", Q3) if protection.status(period, "a", "x") is Status.SECONDARY}
    assert len(beside) == 1
    assert recovered(cells, protection) == []


def test_what_an_organisation_must_show_is_said_to_give_a_cell_away() -> None:
    """One service with one use: its total is the organisation's."""
    protection = protect(table({("a", "x"): row(10, 3)}, margins={("a", ""): 3, ("", "x"): 3, ("", ""): 3}), RULES)
    assert protection.exposed == {(Q3, "a", "x"), (Q3, "a", ""), (Q3, "", "x")}
    assert protection.status(Q3) is Status.PUBLIC


def test_a_margin_that_nobody_publishes_asks_for_nothing() -> None:
    cells = [cell for cell in table({("a", "x"): row(10, 3), ("a", "y"): row(20, 9)}) if cell.service]
    assert protect(cells, RULES).hidden() == {(Q3, "a", "x"), (Q3, "a", "y")}


def test_parts_that_do_not_add_up_are_refused() -> None:
    cells = table({("a", "x"): row(10, 8), ("a", "y"): row(20, 9)})
    with pytest.raises(NotAdditive, match="give every part, idle and unattributed rows too"):
        protect([cell for cell in cells if cell.use_case != "y" or not cell.service], RULES)
    with pytest.raises(NotAdditive, match="is given twice"):
        protect([*cells, cells[0]], RULES)
    with pytest.raises(NotAdditive, match="is -1; amounts are known and not negative"):
        protect([Cell(Q3, "a", "x", 8, amounts={"energy_kwh": -1})], RULES)


def test_of_nothing_nothing_is_said() -> None:
    protection = protect([], RULES)
    assert (dict(protection.statuses), protection.hidden()) == ({}, frozenset())
    assert protection.status(Q3, "a", "x") is Status.PRIMARY  # nobody knows its users


def test_an_attack_finds_what_was_hidden_badly() -> None:
    """The complement of one hidden use is shown: subtraction gives it, and the attack says so."""
    cells = table({("a", "x"): row(10, 3), ("a", "y"): row(20, 9)})
    hidden = frozenset({(Q3, "a", "x"), (Q3, "", "x")})
    bounds = attack([PublishedTable({c.key: c.amounts for c in cells if c.key not in hidden}, hidden)])
    assert bounds[0, (Q3, "a", "x")]["energy_kwh"].low == pytest.approx(10)
    assert bounds[0, (Q3, "a", "x")]["energy_kwh"].recovers(10, 0.15)


def test_an_attack_knows_both_versions() -> None:
    """x and y hide each other in the first version; a second that shows both gives the first away but for what came late."""
    first = table({("a", "x"): row(10, 3), ("a", "y"): row(20, 3)})
    second = table({("a", "x"): row(10, 5), ("a", "y"): row(20.5, 9)})
    hidden = frozenset({(Q3, "a", "x"), (Q3, "a", "y"), (Q3, "", "x"), (Q3, "", "y")})
    one = PublishedTable({c.key: c.amounts for c in first if c.key not in hidden}, hidden)
    alone = attack([one])[0, (Q3, "a", "x")]["energy_kwh"]
    assert (alone.low, alone.high) == (pytest.approx(0), pytest.approx(30))
    both = attack([one, PublishedTable({c.key: c.amounts for c in second}, frozenset())])[0, (Q3, "a", "x")]["energy_kwh"]
    assert (both.low, both.high) == (pytest.approx(9.5, abs=1e-3), pytest.approx(10, abs=1e-3))
    # Hence what was hidden stays hidden, and its complement with it.
    assert {
        key for key, r in protect(second, RULES, hidden_before=hidden).reasons.items() if r is SuppressionReason.KEPT
    } == hidden


def test_an_attack_uses_what_two_linked_measures_say_together() -> None:
    """Energy of two months leaves open how it is divided; emissions at two known intensities solve it."""
    intensity, kwh = (
        {"2026-07": 40.0, "2026-08": 80.0},
        {("2026-07", "a"): 10.0, ("2026-08", "a"): 20.0, ("2026-07", "b"): 30.0, ("2026-08", "b"): 25.0},
    )

    def told(places: Iterable[tuple[str, str]]) -> dict[str, float]:
        found = [(kwh[place], kwh[place] * intensity[place[0]]) for place in places]
        return {"energy_kwh": sum(e for e, _ in found), "co2e_location_g": sum(c for _, c in found)}

    shown_ = {(Q3, s, "x"): told(p for p in kwh if p[1] == s) for s in ("a", "b")} | {
        (month, "", ""): told(p for p in kwh if p[0] == month) for month in intensity
    }
    hidden = frozenset((month, s, "x") for month, s in kwh)
    known = {(month, s, "x"): {"co2e_location_g": intensity[month]} for month, s in kwh}
    linked = attack([PublishedTable(shown_, hidden, RULES.linked, known)])[0, ("2026-07", "a", "x")]["energy_kwh"]
    apart = attack([PublishedTable(shown_, hidden)])[0, ("2026-07", "a", "x")]["energy_kwh"]
    assert linked.recovers(10, 0.15)
    assert not apart.recovers(10, 0.15)


def test_numbers_that_contradict_each_other_cannot_be_attacked() -> None:
    published = PublishedTable(
        {(Q3, "a", ""): {"energy_kwh": 5.0}, (Q3, "a", "x"): {"energy_kwh": 9.0}}, frozenset({(Q3, "a", "y")})
    )
    with pytest.raises(ContradictoryTable, match="contradict"):
        attack([published])


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.3, 0.6, 1.0]))
def test_no_reader_recovers_a_hidden_cell(seed: int, services: int, uses: int, filled: float) -> None:
    cells = organisation(seed, services, uses, filled=filled)
    protection = protect(cells, RULES)
    for cell in cells:  # nothing that the rules hide is ever shown, and what they do not is never called primary
        assert (protection.reasons[cell.key] in HIDDEN_BY_RULE) == (protection.statuses[cell.key] is Status.PRIMARY)
        assert (protection.statuses[cell.key] is Status.PRIMARY) == (primary_reason(cell, RULES) in HIDDEN_BY_RULE)
    assert {key for key in protection.statuses if key[1:] == ("", "")} <= protection.statuses.keys() - protection.hidden()
    assert recovered(cells, protection) == []


@settings(max_examples=10, derandomize=True)
@given(st.integers(0, 10**6))
@example(476)
@example(23)
def test_intensities_that_change_with_month_and_service_help_no_reader(seed: int) -> None:
    cells = organisation(seed, 3, 3, intensity=(52.0, 0.2))
    assert recovered(cells, protect(cells, RULES)) == []


@pytest.mark.xfail(strict=True, reason="a known leak, to be closed by the gate over all published numbers")
def test_one_organisation_of_that_kind_still_gives_two_cells_away() -> None:
    """Found by chance: the hidden service of September is recovered within 15 % from both measures together."""
    cells = organisation(170363, 3, 3, intensity=(52.0, 0.2))
    assert recovered(cells, protect(cells, RULES)) == []


@given(st.integers(0, 10**6))
def test_the_same_cells_get_the_same_statuses_in_any_order(seed: int) -> None:
    cells = organisation(seed, 3, 3)
    assert protect(cells, RULES) == protect(cells[::-1], RULES)


@given(st.integers(0, 10**6))
def test_stricter_rules_hide_at_least_what_laxer_ones_hide_by_rule(seed: int) -> None:
    cells = organisation(seed, 3, 3)
    lax, strict = protect(cells, SuppressionRules(min_users=3)), protect(cells, SuppressionRules(min_users=11))
    primary = {key for key, status in lax.statuses.items() if status is Status.PRIMARY}
    assert all(strict.statuses[key] is Status.PRIMARY for key in primary)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_what_was_shown_counts_as_shown_and_what_was_hidden_stays_hidden(seed: int) -> None:
    """Months first, then their quarter: together they give nothing away but what is said to be exposed."""
    cells = organisation(seed, 3, 3)
    months = [cell for cell in cells if cell.period in MONTHS]
    first = protect(months, RULES)
    known = first.statuses.keys() - first.hidden()
    both = protect(cells, RULES, known, first.hidden())
    assert first.hidden() <= both.hidden()
    assert not {key for key, status in both.statuses.items() if status is Status.SECONDARY} & known
    assert recovered(cells, both) == []
