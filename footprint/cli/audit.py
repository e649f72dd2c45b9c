"""This file prints what figures rest on: balance, coverage, splits, causes of uncertainty, changes, avoidable energy."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from footprint.cli.options import CheckFailed, ConfigOption, Exit, FormatOption, OutputOption, opened, say
from footprint.cli.query import FromOption, ToOption
from footprint.config import Config
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_S, kwh_from_uj

GroupOption = Annotated[str | None, typer.Option("--group", help="As of query; by comma.")]
WhereOption = Annotated[list[str] | None, typer.Option("--where", metavar="NAME=VALUE", help="As of query; may be repeated.")]


def bounds_of(facts: Config, from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """A period of two options [µs]."""
    from footprint.figures.query import parse_bound

    return parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)


def print_rows(columns: list[str], rows: list[dict[str, Any]], form: Format, output: Any, nothing: str) -> int:
    """Print a table; without rows say why, and exit 7."""
    emit(columns, rows, form, output)
    if not rows:
        say(nothing)
        return Exit.NO_DATA
    return Exit.OK


def balance(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Meters = services + idle + unattributed, and wall = parts + unseen, by host; with the uplift to declare. Exit 6 if not."""
    from footprint.aggregation.wall_balance import wall_balances
    from footprint.ledger.ledger_view import LedgerView
    from footprint.queries.energy_balance import COLUMNS, energy_balance

    facts, store = opened(config)
    bounds = bounds_of(facts, from_, to)
    rows = energy_balance(store, facts, *bounds)
    uplifts: dict[str, dict[str, Any]] = {}
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is not None:
            start, end = (given if given is not None else known for given, known in zip(bounds, extent, strict=True))
            for host, found in wall_balances(view, facts.window_s * US_PER_S, start, end):
                uplift = found.uplift
                uplifts[host] = {
                    "wall_kwh": kwh_from_uj(int(found.wall_uj.sum())),
                    "parts_kwh": kwh_from_uj(int(found.parts_uj.sum())),
                    "uplift": uplift and uplift.value,
                    "uplift_low": uplift and uplift.low,
                    "uplift_high": uplift and uplift.high,
                    "windows": len(found.wall_uj),
                }
                if uplift is not None:
                    say(
                        f'[[host]] name = "{host}": uplift = [{uplift.low:.3f}, {uplift.value:.3f}, {uplift.high:.3f}]  '
                        f"# calibrated on {len(found.wall_uj)} windows of {format_instant(start)} to {format_instant(end)}"
                    )
    none = dict.fromkeys(("parts_kwh", "uplift", "uplift_low", "uplift_high", "windows"))
    rows = [{**row, **none, **uplifts.get(row["host"], {})} for row in rows]
    status = print_rows([*COLUMNS, *none], rows, form, output, "no reading in the period")
    failed = [row["host"] for row in rows if not row["closes"]]
    if failed:
        raise CheckFailed(f"the balance does not close: {', '.join(failed)}")
    return status


def coverage(
    every: Annotated[str, typer.Option(help="hour, day, week, month, quarter, year or all.")] = "all",
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Seconds of every device: expected, measured, modelled, interpolated, missing."""
    from footprint.figures import parse_query
    from footprint.figures.coverage import coverage_ledger
    from footprint.figures.engine import open_result

    facts, store = opened(config)
    question = parse_query(facts.timezone, group="host,device", every=every, from_=from_, to=to)
    rows: list[dict[str, Any]] = []
    with open_result(store, facts, question, now_us()) as found:
        if found is not None:
            for index, (host, device), amounts in coverage_ledger(found.watched, found.periods):
                start, end = found.periods[index]
                period = {"period_start": format_instant(start), "period_end": format_instant(end)}
                rows.append({"host": host, "device": device, **period, **amounts})
    seconds = [f"{kind}_s" for kind in ("expected", "measured", "modelled", "interpolated", "missing")]
    return print_rows(["host", "device", "period_start", "period_end", *seconds], rows, form, output, "no reading in the period")


def splits(
    shares: Annotated[bool, typer.Option("--shares", help="The model's share of each use case, with its bounds.")] = False,
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """How the energy of each service was divided on each day: by which fit, how good, or why by declared weights."""
    from footprint.queries import split_diagnostics

    facts, store = opened(config)
    bounds = bounds_of(facts, from_, to)
    rows = split_diagnostics.shares(store, *bounds) if shares else split_diagnostics.splits(store, *bounds)
    columns = list(split_diagnostics.SHARE_COLUMNS if shares else split_diagnostics.COLUMNS)
    return print_rows(columns, rows, form, output, "no service with requests was placed on a device in the period")


def avoidable(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy that served nobody, by cause: hours awake without a request, failed and cancelled requests; who mends it."""
    from footprint.queries.action_register import COLUMNS, register

    facts, store = opened(config)
    rows = register(store, facts, *bounds_of(facts, from_, to))
    return print_rows(list(COLUMNS), rows, form, output, "nothing avoidable is known in the period")


def uncertainty(
    group: GroupOption = None,
    every: Annotated[str, typer.Option(help="As of query.")] = "all",
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """What makes a figure uncertain, cause by cause: half-widths of about 95 %."""
    from footprint.figures import parse_query
    from footprint.queries.uncertainty_budget import COLUMNS, uncertainty_budget

    facts, store = opened(config)
    question = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    rows = uncertainty_budget(store, facts, question, now_us())
    return print_rows([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def change(
    before: Annotated[str, typer.Argument(metavar="FROM/TO", help="The period before, two dates or instants.")],
    after: Annotated[str, typer.Argument(metavar="FROM/TO", help="The period after.")],
    group: GroupOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy of one period over that of another, with its interval: what errs alike in both cancels."""
    from footprint.figures import parse_query
    from footprint.figures.query import BadQuery
    from footprint.queries.uncertainty_budget import CHANGE_COLUMNS
    from footprint.queries.uncertainty_budget import change as ask

    facts, store = opened(config)
    questions = []
    for text in (before, after):
        start, slash, end = text.partition("/")
        if not slash:
            raise BadQuery(f"period {text!r} must be written FROM/TO")
        questions.append(parse_query(facts.timezone, group=group, from_=start, to=end, where=where or ()))
    rows = ask(store, facts, questions[0], questions[1], now_us())
    return print_rows([*questions[1].group, *CHANGE_COLUMNS], rows, form, output, "no data in either period")
