"""Disclosure control of a period: reads users and amounts of every cell and decides which may be shown, in pages and editions.

A quarter is decided together with its months, a year after its quarters, whose decisions then stand for good. So the cells
shown of a quarter do not depend on later periods, and of a quarter that is not over only totals are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from footprint.calendar.periods import MONTHS_PER_PERIOD, Period, parse_period, period_at
from footprint.config import Config
from footprint.core.timestamps import parse_instant
from footprint.disclosure.primary_suppression import UNDECLARED_USE_CASES, Cell, Key, Status, SuppressionRules
from footprint.disclosure.secondary_suppression import Protection, protect
from footprint.editions.repository import PublishedEdition
from footprint.editions.serialization import from_json
from footprint.figures import Query, run_query
from footprint.figures.row_metrics import DeclaredNames
from footprint.impact.factor_book import FactorBook
from footprint.ledger.user_count_file import CellCounts
from footprint.storage import schema
from footprint.storage.database import Store, table

# Amounts checked against attack: all additive ones. Other figures of a cell derive from these and share its status.
ADDITIVE_MEASURES = ("requests", "input_tokens", "output_tokens", "energy_kwh", "co2e_location_g", "embodied_g", "water_l")
FULL_ENERGY = "energy_full_kwh"  # energy_kwh of the view in which idle energy is distributed over use cases
OTHER_USE_CASES = "(other)"
_QUARTER, _YEAR = MONTHS_PER_PERIOD["quarter"], MONTHS_PER_PERIOD["year"]


@dataclass(frozen=True, slots=True)
class DisclosureCounts:
    """Counts for a confidentiality box; ``merged`` are sums of hidden cells that a reader can form, shown as other uses."""

    shown: int
    primary: int
    secondary: int
    merged: int
    exposed: int
    fewest_users_shown: int | None


@dataclass(frozen=True, slots=True)
class ProtectedCells:
    """Status of the cells of a period and of the periods within it; ``cells`` by key."""

    period: str
    rules: SuppressionRules
    protection: Protection
    cells: Mapping[Key, Cell]

    def status(self, period: str, service: str = "", use_case: str = "") -> Status:
        """Status of one cell; an empty name is the margin. Unknown cells are hidden, since their users are unknown."""
        return self.protection.status(period, service, use_case)

    def is_public(self, period: str, service: str = "", use_case: str = "") -> bool:
        """Whether a cell may be shown, with all its figures."""
        return self.status(period, service, use_case) is Status.PUBLIC

    def merged_others(self, period: str, service: str = "") -> Cell | None:
        """The hidden use cases of a service (or of all) as one row, so that a table adds up; None unless its total is shown.

        A reader can subtract the cells shown from the total, so the row discloses nothing new. Its users are those of its largest
        part, a lower bound; its use case is ``(other)``.
        """
        if not self.is_public(period, service):
            return None
        parts = [cell for key, cell in self.cells.items() if key[:2] == (period, service) and key[2] and not self.is_public(*key)]
        if len(parts) < 2:
            return None
        amounts: dict[str, float] = defaultdict(float)
        for part in parts:
            for measure, amount in part.amounts.items():
                amounts[measure] += amount
        users = max((part.users or 0 for part in parts), default=0)
        return Cell(period, service, OTHER_USE_CASES, users, None, None, dict(amounts))

    def counts(self, periods: Collection[str] = ()) -> DisclosureCounts:
        """Counts for the confidentiality box, over the given periods or all of them."""
        statuses = {key: s for key, s in self.protection.statuses.items() if not periods or key[0] in periods}
        shown = [self.cells[key] for key, status in statuses.items() if status is Status.PUBLIC]
        users = [cell.users for cell in shown if cell.users and not cell.by_nature and (cell.service or cell.use_case)]
        merged = {key[:2] for key in statuses if self.merged_others(*key[:2]) is not None}
        return DisclosureCounts(
            len(shown),
            sum(s is Status.PRIMARY for s in statuses.values()),
            sum(s is Status.SECONDARY for s in statuses.values()),
            len(merged),
            sum(key in self.protection.exposed for key in statuses),
            min(users, default=None),
        )


def disclosure_rules(config: Config) -> SuppressionRules:
    """The suppression rules that a configuration declares."""
    declared = config.disclosure
    return SuppressionRules(declared.min_users, declared.dominance, declared.min_teams or None)


def protect_period(
    store: Store,
    config: Config,
    period: str,
    now_us: int,
    *,
    published: Collection[Key] = (),
    suppressed: Collection[Key] = (),
    factor_book: FactorBook | None = None,
    undeclared_together: bool = True,
) -> ProtectedCells:
    """Decide which cells of a month, quarter or year may be shown, and of the quarters and months within it.

    A month is decided with its quarter. ``published`` are cells that earlier versions and editions showed: they cannot be
    unpublished. ``suppressed`` are cells that those hid: they stay hidden. With ``undeclared_together``, use cases that the
    configuration does not declare are one use case, ``(undeclared)``.

    Raises
    ------
    BadPeriod
        If the period's name is not valid.
    """
    requested = parse_period(period)
    decided_period = (
        requested if requested.length == _YEAR else period_at(requested.bounds_us(config.timezone)[0], config.timezone, _QUARTER)
    )
    rules = disclosure_rules(config)
    cells, merged = _cells(store, config, decided_period, now_us, factor_book, undeclared_together=undeclared_together)
    shown, hidden = _decided_before(set(published), set(suppressed), merged)
    if decided_period.length == _YEAR:
        for quarter in decided_period.split(_QUARTER):
            names = {str(quarter), *map(str, quarter.split(1))}
            quarter_protection = protect([cell for cell in cells if cell.period in names], rules, shown, hidden)
            hidden |= quarter_protection.hidden() - shown
            shown |= quarter_protection.statuses.keys() - quarter_protection.hidden()
    protection = protect(cells, rules, shown, hidden)
    return ProtectedCells(period, rules, protection, {cell.key: cell for cell in cells})


def _cells(
    store: Store,
    config: Config,
    decided_period: Period,
    now_us: int,
    factor_book: FactorBook | None,
    *,
    undeclared_together: bool,
) -> tuple[list[Cell], dict[Key, set[Key]]]:
    """Cells of a quarter or year that is over and of the shorter periods within it, and the parts of merged cells.

    Nothing if it is not over.
    """
    start_us, end_us = decided_period.bounds_us(config.timezone)
    quarters = [q for q in decided_period.split(_QUARTER) if q.bounds_us(config.timezone)[1] <= now_us]
    if not quarters:
        return [], {}
    declared = DeclaredNames.of(config).use_cases
    merged: dict[Key, set[Key]] = defaultdict(set)
    longer_periods = {str(quarter): _above(quarter, decided_period, end_us <= now_us) for quarter in quarters}
    amounts: dict[Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    to_us = quarters[-1].bounds_us(config.timezone)[1]
    for view, measures in (("active", {name: name for name in ADDITIVE_MEASURES}), ("full", {"energy_kwh": FULL_ENERGY})):
        query = Query(("service", "use_case"), "month", start_us, to_us, view=view)
        for row in run_query(store, config, query, now_us, factor_book).rows:
            month = period_at(parse_instant(row["period_start"]), config.timezone, 1)
            quarter = period_at(month.bounds_us(config.timezone)[0], config.timezone, _QUARTER)
            use_case = row["use_case"]
            shown_as = use_case if use_case in declared or not undeclared_together else UNDECLARED_USE_CASES
            for key in _margins((str(month), *longer_periods[str(quarter)]), row["service"], shown_as):
                if key[2] != use_case and key[2]:
                    merged[key].add((*key[:2], use_case))
                for column, measure in measures.items():
                    amounts[key][measure] += float(row[column] or 0)
    counts = _users(store, {key[0] for key in amounts})
    counts |= {key: merged_counts for key, parts in merged.items() if (merged_counts := _merged_counts(parts, counts))}
    names = (*ADDITIVE_MEASURES, FULL_ENERGY)
    return [
        _cell(key, counts.get(key), {name: measured.get(name, 0.0) for name in names})
        for key, measured in sorted(amounts.items())
    ], dict(merged)


def _merged_counts(parts: set[Key], counts: Mapping[Key, CellCounts]) -> CellCounts | None:
    """Users of several cells together, on the safe side: at least those of the largest; None unless all were counted."""
    if not parts <= counts.keys():
        return None
    users, shares, teams = zip(*(counts[part] for part in parts), strict=True)
    return (
        max(users),
        None if None in shares else max(shares),  # of all tokens, no user has a larger share than the largest one of a part
        None if None in teams else max(teams),
    )


def _decided_before(shown: set[Key], hidden: set[Key], merged: Mapping[Key, set[Key]]) -> tuple[set[Key], set[Key]]:
    """Earlier decisions, also on cells that are parts now: a sum of shown cells is known, one with a hidden cell stays hidden.

    With one part hidden, or shown apart from others, the sum would give away the rest.
    """
    known = {key for key, parts in merged.items() if parts <= shown}
    withheld = {key for key, parts in merged.items() if key not in known | shown and parts & (shown | hidden)}
    return shown | known, hidden | withheld


def _cell(key: Key, counts: CellCounts | None, amounts: dict[str, float]) -> Cell:
    users, share, teams = counts or (None, None, None)
    return Cell(*key, users=users, max_share=share, teams=teams, amounts=amounts)


def _above(quarter: Period, decided_period: Period, is_over: bool) -> tuple[str, ...]:
    """The longer periods that a month of a quarter belongs to."""
    return (str(quarter), str(decided_period)) if is_over and decided_period != quarter else (str(quarter),)


def _margins(periods: Collection[str], service: str, use_case: str) -> list[Key]:
    return [(period, s, u) for period in periods for s in {service, ""} for u in {use_case, ""}]


def _users(store: Store, periods: Collection[str]) -> dict[Key, CellCounts]:
    target = table(schema.Users)
    with store.read() as connection:
        rows = connection.execute(select(target).where(target.c.period.in_(sorted(periods)))).all()
    return {(row.period, row.service, row.use_case): (row.users, row.max_share, row.teams) for row in rows}


def previously_published_cells(published: Iterable[PublishedEdition]) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
    """Cells that editions showed, and cells that they hid and never showed: a later edition must undo neither."""
    shown, hidden = set[Key](), set[Key]()
    for edition in published:
        for figure in from_json(edition.report).figures:
            cell = dict(figure.where)
            if cell and set(cell) <= {"service", "use_case"}:
                key = figure.period, cell.get("service", ""), cell.get("use_case", "")
                if figure.conf_status == "C":
                    hidden.add(key)
                elif figure.value is not None:
                    shown.add(key)
    return tuple(sorted(shown)), tuple(sorted(hidden - shown))
