"""This file computes what is not done, answers questions, and checks that figures are fresh and covered."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from footprint.cli.options import CheckFailed, ConfigOption, Exit, FormatOption, OutputOption, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_DAY, US_PER_S

FromOption = Annotated[str | None, typer.Option("--from", metavar="T", help="RFC 3339, or a date of the organisation.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="T", help="End, not included.")]
MinCoverage = Annotated[float | None, typer.Option("--min-coverage", min=0, max=1, help="Exit 6 below this share.")]


def aggregate(
    from_: FromOption = None,
    to: ToOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Compute every day again.")] = False,
    min_coverage: MinCoverage = None,
    config: ConfigOption = None,
) -> int:
    """Attribution and impact for what is not done yet, or again for the times named."""
    from footprint.aggregation.aggregate import aggregate as compute
    from footprint.figures.query import parse_bound
    from footprint.ledger.factor_store import load_factor_book

    facts, store = opened(config)
    from_us, to_us = parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)
    again = all_ or from_us is not None or to_us is not None
    with store.exclusive_lock("aggregate", wait=True):
        done = compute(store, facts, load_factor_book(store), now_us(), from_us, to_us, again=again, progress=_progress)
    said = f"{done.computed} days of hosts and services computed, {done.unchanged} as they were"
    if done.removed:
        said += f", {done.removed} removed"
    if done.provisional:
        said += f", {done.provisional} provisional until they close"
    say(said)
    for note in done.notes:
        say(note)
    if min_coverage is not None:
        _require_coverage(_coverage(facts, store, from_us, to_us), min_coverage)
    return Exit.OK


def _progress(members: str, day: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{format_instant(day * US_PER_DAY)[:10]} {members}\x1b[K\r", end="", file=sys.stderr, flush=True)


def query(
    group: Annotated[str | None, typer.Option(help="service, use_case, model, device, host, site, charter; by comma.")] = None,
    every: Annotated[str, typer.Option(help="hour, day, week, month, quarter, year or all.")] = "all",
    from_: FromOption = None,
    to: ToOption = None,
    where: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Keep only these; may be repeated.")] = None,
    view: Annotated[str, typer.Option(help="active, or full: idle energy over a service's own use cases.")] = "active",
    min_coverage: MinCoverage = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy, requests and emissions by period and group."""
    from footprint.figures import parse_query
    from footprint.figures import run_query as ask

    facts, store = opened(config)
    question = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or (), view=view)
    answer = ask(store, facts, question, now_us())
    columns = [*answer.columns, "demonstration"] if facts.demo else answer.columns
    emit(columns, [{**row, "demonstration": True} for row in answer.rows], form, output)
    if not answer.rows:
        say("no data in the period; `footprint import list` shows what there is, `footprint aggregate` computes it")
        return Exit.NO_DATA
    if min_coverage is not None:
        known = [row["coverage"] for row in answer.rows if row["coverage"] is not None]
        _require_coverage(min(known, default=None), min_coverage)
    return Exit.OK


def _require_coverage(coverage: float | None, wanted: float) -> None:
    if coverage is None or coverage < wanted:
        found = "unknown" if coverage is None else f"{coverage:.4f}"
        raise CheckFailed(f"coverage is {found}, below {wanted:g}")


def _coverage(facts, store, from_us, to_us) -> float | None:  # type: ignore[no-untyped-def]
    from footprint.figures import Query
    from footprint.figures import run_query as ask

    rows = ask(store, facts, Query(from_us=from_us, to_us=to_us), now_us()).rows
    return rows[0]["coverage"] if rows else None


def check(
    min_coverage: Annotated[float, typer.Option(min=0, max=1, help="Least coverage of the last seven days.")] = 0.95,
    max_age_s: Annotated[int, typer.Option(min=1, help="Oldest acceptable last reading, in seconds.")] = 600,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Freshness, coverage, balance, budgets and targets, one line each; for cron and CI. Exit 6 where one is not met."""
    from footprint.ledger.ledger_view import LedgerView
    from footprint.queries.energy_balance import energy_balance
    from footprint.queries.objectives import EXCEEDED, objective_statuses

    facts, store = opened(config)
    now = now_us()
    with store.read() as connection:
        extent = LedgerView(store, connection).extent_us()
    if extent is None:
        emit(["check", "value", "limit", "met"], [], form, output)
        say("no data yet")
        return Exit.NO_DATA
    age_s = max(now - extent[1], 0) / US_PER_S
    coverage = _coverage(facts, store, max(now - 7 * US_PER_DAY, extent[0]), None) if extent[1] > now - 7 * US_PER_DAY else None
    rows: list[dict[str, Any]] = [
        {"check": "age of the last reading [s]", "value": age_s, "limit": max_age_s, "met": age_s <= max_age_s},
        {
            "check": "coverage of the last seven days",
            "value": coverage,
            "limit": min_coverage,
            "met": coverage is not None and coverage >= min_coverage,
        },
    ]
    open_ = [row["host"] for row in energy_balance(store, facts, now - 7 * US_PER_DAY, None) if not row["closes"]]
    rows.append({"check": "hosts whose balance of seven days does not close", "value": len(open_), "limit": 0, "met": not open_})
    for found in objective_statuses(store, facts, now):
        value = found.figure.value if found.figure else None
        named = f"objective {found.objective.name}, {found.period}: {found.state}"
        rows.append({"check": named, "value": value, "limit": found.limit, "met": found.state != EXCEEDED})
    emit(["check", "value", "limit", "met"], rows, form, output)
    failed = [str(row["check"]) for row in rows if not row["met"]]
    if failed:
        raise CheckFailed(f"not met: {', '.join(failed)}")
    return Exit.OK


def unlogged(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Requests and tokens that inference servers counted and no gateway logged, by service."""
    from footprint.figures.query import parse_bound
    from footprint.ledger.ledger_view import LedgerView
    from footprint.queries.unlogged_traffic import MEASURES
    from footprint.queries.unlogged_traffic import unlogged_traffic as ask

    facts, store = opened(config)
    with store.read() as connection:
        extent = LedgerView(store, connection).extent_us()
    bounds = [parse_bound(name, text, facts.timezone) for name, text in (("from", from_), ("to", to))]
    rows: list[dict[str, Any]] = []
    if extent is not None:
        start, end = (given if given is not None else known for given, known in zip(bounds, extent, strict=True))
        period = {"period_start": format_instant(start), "period_end": format_instant(end)}
        rows = [row | period for row in ask(store, facts, start, end, now_us())]
    told = [f"{kind}_{measure}" for measure in MEASURES for kind in ("served", "logged", "unlogged")]
    emit(["service", "period_start", "period_end", *told], rows, form, output)
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
    """What hosted models are modelled to consume (EcoLogits, quality C); beside the measurement where there is one."""
    from footprint.figures.query import parse_bound
    from footprint.queries.hosted_models import COLUMNS
    from footprint.queries.hosted_models import hosted_models as ask

    facts, store = opened(config)
    bounds = [parse_bound(name, text, facts.timezone) for name, text in (("from", from_), ("to", to))]
    rows = ask(store, facts, bounds[0], bounds[1], now_us())
    emit(list(COLUMNS), rows, form, output)
    if not rows:
        say('no requests of a service that is declared modelled_as = "provider/model"')
        return Exit.NO_DATA
    return Exit.OK
