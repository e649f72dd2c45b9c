"""Aggregation, queries and checks: `aggregate`, `query`, `check`, `unlogged` and `hosted`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import CheckFailed, Exit
from footprint.cli.options import (
    ConfigOption,
    Every,
    EveryOption,
    FormatOption,
    FromOption,
    GroupOption,
    OutputOption,
    QueryView,
    ToOption,
    ViewOption,
    WhereOption,
    bounds_of,
    loaded,
    open_store,
    opened,
    say,
)
from footprint.core.limits import printable
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_DAY, US_PER_S

if TYPE_CHECKING:
    from footprint.config import Config
    from footprint.storage.database import Store

MinCoverage = Annotated[float | None, typer.Option("--min-coverage", min=0, max=1, help="Exit with 6 below this share.")]


def aggregate(
    from_: FromOption = None,
    to: ToOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Compute every day again.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every day with the ledger, not only those that changed.")
    ] = False,
    min_coverage: MinCoverage = None,
    config: ConfigOption = None,
) -> int:
    """Compute attribution and impact for the days that need it.

    A run looks at the days that changed since the last one and at those that rest on them. It looks at all days where facts,
    factors or the method changed, and with --verify, which exits with 6 where figures are lost. With --from or --to, compute the
    days between them again.
    """
    from footprint.aggregation.aggregate import aggregate as compute
    from footprint.figures.mirror import update_mirror
    from footprint.figures.query import parse_bound
    from footprint.ledger.factor_store import load_factor_book

    facts, store = opened(config)
    from_us, to_us = parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)
    again = all_ or from_us is not None or to_us is not None
    with store.exclusive_lock("aggregate", wait=True):
        summary = compute(
            store, facts, load_factor_book(store), now_us(), from_us, to_us, force=again, verify=verify, progress=_progress
        )
    message = f"{summary.computed} days of hosts and services computed, {summary.unchanged} unchanged"
    if summary.removed:
        message += f", {summary.removed} removed"
    if summary.provisional:
        message += f", {summary.provisional} provisional until they close"
    say(message)
    if summary.computed:
        say(_peak_memory(summary.worker_peak_bytes))
    for note in summary.notes:
        say(note)
    mirrored = update_mirror(store, facts) if facts.mirror else None
    if mirrored is not None and mirrored.is_changed:
        say(str(mirrored))
    if verify and summary.faults:
        raise CheckFailed(f"figures of {len(summary.faults)} days of hosts and services are lost")
    if min_coverage is not None:
        _require_coverage(_coverage(facts, store, from_us, to_us), min_coverage)
    return Exit.OK


def _peak_memory(worker_bytes: int) -> str:
    from footprint.aggregation.executors import MIB, peak_memory_bytes

    text = f"peak memory: {peak_memory_bytes() // MIB} MiB"
    return text + (f", {worker_bytes // MIB} MiB in the largest worker" if worker_bytes else "")


def _progress(members: str, day: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{format_instant(day * US_PER_DAY)[:10]} {printable(members)}\x1b[K\r", end="", file=sys.stderr, flush=True)


def query(
    group: GroupOption = None,
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    view: ViewOption = QueryView.active,
    min_coverage: MinCoverage = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy, requests and emissions by period and group."""
    from footprint.figures import parse_query, run_query

    facts = loaded(config)
    query_ = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or (), view=view)
    store = open_store(facts)
    result = run_query(store, facts, replace(query_, own_traffic=True), now_us())
    columns = [*result.columns, "demonstration"] if facts.demo else result.columns
    emit(columns, [{**row, "demonstration": True} for row in result.rows], form, output)
    if not result.rows:
        say("no data in the period; `footprint import list` shows what there is, `footprint aggregate` computes it")
        return Exit.NO_DATA
    if min_coverage is not None:
        shares = [row["coverage"] for row in result.rows if row["coverage"] is not None]
        _require_coverage(min(shares, default=None), min_coverage)
    return Exit.OK


def _require_coverage(coverage: float | None, wanted: float) -> None:
    if coverage is None or coverage < wanted:
        value = "unknown" if coverage is None else f"{coverage:.4f}"
        raise CheckFailed(f"coverage is {value}, below {wanted:g}")


def _coverage(facts: Config, store: Store, from_us: int | None, to_us: int | None) -> float | None:
    """Coverage of the whole slots that a range touches."""
    from footprint.calendar.slots import widen_to_slots
    from footprint.figures import Query, run_query

    low, high = widen_to_slots(from_us or 0, to_us or 0, facts.timezone)
    query = Query(from_us=None if from_us is None else low, to_us=None if to_us is None else high)
    rows = run_query(store, facts, query, now_us()).rows
    return rows[0]["coverage"] if rows else None


def check(
    min_coverage: Annotated[float, typer.Option(min=0, max=1, help="Minimum coverage of the last seven days.")] = 0.95,
    max_age_s: Annotated[int, typer.Option(min=1, help="Maximum age of the last reading of each host, in seconds.")] = 600,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Check freshness, coverage, balance, sensors and objectives; exit 6 if not met.

    One line a check, for cron and CI. Freshness is that of readings, never of requests: of each declared host, and of each other
    host that has read in the last 30 days. Days that wait to be computed are pending; the check fails once they wait for more
    than 15 minutes, because aggregation is then behind.
    """
    from footprint.calendar.slots import widen_to_slots
    from footprint.ledger.ledger_view import LedgerView
    from footprint.queries.aggregation_lag import BEHIND_AFTER_S, pending_hosts, pending_s
    from footprint.queries.energy_balance import OPEN, energy_balance
    from footprint.queries.objectives import EXCEEDED, objective_statuses
    from footprint.queries.sensor_quality import UNREAD, troubled_sensors

    facts, store = opened(config)
    now = now_us()
    with store.read() as connection:
        extent = LedgerView(store, connection).extent_us()
    if extent is None:
        emit(["check", "value", "limit", "met"], [], form, output)
        say("no data yet")
        return Exit.NO_DATA
    ages_s = _reading_ages_s(store, facts, now)
    week_us, _ = widen_to_slots(now - 7 * US_PER_DAY, now, facts.timezone)
    coverage = _coverage(facts, store, week_us if extent[0] < week_us else None, None) if extent[1] > week_us else None
    rows: list[dict[str, Any]] = [
        *(
            {
                "check": f"age of the last reading{f' of {host}' if host else ''} [s]",
                "value": age_s,
                "limit": max_age_s,
                "met": age_s is not None and age_s <= max_age_s,
            }
            for host, age_s in ages_s.items()
        ),
        {
            "check": "coverage of the last seven days",
            "value": coverage,
            "limit": min_coverage,
            "met": coverage is not None and coverage >= min_coverage,
        },
    ]
    balances = energy_balance(store, facts, now - 7 * US_PER_DAY, None)
    unbalanced, waiting_s = sum(row["state"] == OPEN for row in balances), pending_s(balances, now)
    rows += [
        {"check": "hosts whose balance of seven days does not close", "value": unbalanced, "limit": 0, "met": not unbalanced},
        {
            "check": "time for which days have been pending [s]",
            "value": waiting_s,
            "limit": BEHIND_AFTER_S,
            "met": waiting_s <= BEHIND_AFTER_S,
        },
    ]
    if pending := pending_hosts(balances):
        say(pending)
    troubled = [finding for finding in troubled_sensors(store, now) if finding.trouble != UNREAD]
    rows.append({"check": "sensors in doubt, standing still or gone", "value": len(troubled), "limit": 0, "met": not troubled})
    for finding in troubled:
        say(f"{finding.host}: {finding.words()}")
    for standing in objective_statuses(store, facts, now):
        value = standing.figure.value if standing.figure else None
        name = f"objective {standing.objective.name}, {standing.period}: {standing.state}"
        rows.append({"check": name, "value": value, "limit": standing.limit, "met": standing.state != EXCEEDED})
    emit(["check", "value", "limit", "met"], rows, form, output)
    failed = [str(row["check"]) for row in rows if not row["met"]]
    if failed:
        raise CheckFailed(f"not met: {', '.join(failed)}")
    return Exit.OK


def _reading_ages_s(store: Store, facts: Config, now: int) -> dict[str, float | None]:
    """Age [s] of the last reading of each host that is declared or not retired; None if it has none. At least one entry."""
    from footprint.queries.agent_liveness import RETIRED, host_liveness
    from footprint.queries.agents import declared_hosts

    ages: dict[str, float | None] = dict.fromkeys(sorted(declared_hosts(facts, now)))
    for host in host_liveness(store, facts, now):
        if host.host in ages or host.state != RETIRED:
            ages[host.host] = max(host.silent_us, 0) / US_PER_S
    return ages or {"": None}


def unlogged(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Requests that servers counted and no gateway logged.

    With their tokens, by service.
    """
    from footprint.calendar.slots import slot_length_us
    from footprint.ledger.ledger_view import LedgerView
    from footprint.queries.unlogged_traffic import MEASURES, unlogged_traffic

    facts, store = opened(config)
    with store.read() as connection:
        extent = LedgerView(store, connection).extent_us()
    bounds = bounds_of(facts, from_, to)
    rows: list[dict[str, Any]] = []
    if extent is not None:
        slot_us = slot_length_us(facts.timezone)
        whole_slots = extent[0] // slot_us * slot_us, -(-extent[1] // slot_us) * slot_us
        start, end = (bound if bound is not None else edge for bound, edge in zip(bounds, whole_slots, strict=True))
        period = {"period_start": format_instant(start), "period_end": format_instant(end)}
        rows = [row | period for row in unlogged_traffic(store, facts, start, end, now_us())]
    measures = [f"{kind}_{measure}" for measure in MEASURES for kind in ("served", "logged", "unlogged")]
    emit(["service", "period_start", "period_end", *measures], rows, form, output)
    if not rows:
        say("no inference server's own counters are known; `footprint import prometheus URL` brings them")
        return Exit.NO_DATA
    return Exit.OK


def hosted(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Modelled consumption of hosted models (EcoLogits, quality C).

    Beside the measurement where there is one.
    """
    from footprint.queries.hosted_models import COLUMNS, hosted_models

    facts = loaded(config)
    bounds = bounds_of(facts, from_, to)
    store = open_store(facts)
    rows, unknown = hosted_models(store, facts, bounds[0], bounds[1], now_us())
    emit(list(COLUMNS), rows, form, output)
    for service, reason in sorted(unknown.items()):
        say(f"{service} is not modelled: {reason}")
    if unknown:
        return Exit.INCOMPLETE
    if not rows:
        say('no requests of a service that is declared modelled_as = "provider/model"')
        return Exit.NO_DATA
    return Exit.OK


def units(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Functional units of requests, and energy per unit.

    By service and model: images, pages, seconds of audio, embeddings, reranked pairs, videos. Energy per unit is empty where
    requests of other units, or of none, share the energy.
    """
    from footprint.queries.functional_units import COLUMNS, functional_units

    facts, store = opened(config)
    bounds = bounds_of(facts, from_, to)
    rows = functional_units(store, facts, bounds[0], bounds[1], now_us())
    emit(list(COLUMNS), rows, form, output)
    if not rows:
        say("no request of the period has units (the columns `units` and `unit`)")
        return Exit.NO_DATA
    return Exit.OK
