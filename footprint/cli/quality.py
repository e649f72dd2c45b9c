"""What figures rest on: balance, coverage, splits, uncertainty, change and avoidable energy."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from footprint.cli.exit_status import CheckFailed
from footprint.cli.options import (
    ConfigOption,
    Every,
    EveryOption,
    FormatOption,
    FromOption,
    GroupOption,
    OutputOption,
    ToOption,
    WhereOption,
    bounds_of,
    loaded,
    open_store,
    opened,
    print_rows,
    say,
)
from footprint.core.table_output import Format
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_S, kwh_from_uj


def log_quality(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List what was found in the logs of requests.

    A request in quarantine counts, and its share of the energy is bounded. Answers from a cache, checks and evaluations count,
    and no model worked on them. An attempt is no request: another one answered. Mended and refused records are of all time.
    """
    from footprint.queries.log_quality import COLUMNS, log_quality

    facts = loaded(config)
    rows = log_quality(open_store(facts), *bounds_of(facts, from_, to))
    return print_rows(list(COLUMNS), rows, form, output, "nothing was found in the logs of the period")


def balance(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Compare meters with attributed energy, and wall with parts.

    By host: meters = services + idle + unattributed, wall = parts + unseen, with the uplift to declare. Exits with 6 where a
    balance does not close. Days that wait to be computed are pending, which is no fault.
    """
    from footprint.aggregation.wall_balance import wall_balances
    from footprint.ledger.ledger_view import LedgerView
    from footprint.queries.aggregation_lag import pending_hosts
    from footprint.queries.energy_balance import COLUMNS, OPEN, energy_balance

    facts = loaded(config)
    bounds = bounds_of(facts, from_, to)
    store = open_store(facts)
    rows = energy_balance(store, facts, *bounds)
    uplifts: dict[str, dict[str, Any]] = {}
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is not None:
            start, end = (bound if bound is not None else edge for bound, edge in zip(bounds, extent, strict=True))
            for host, wall in wall_balances(view, facts.window_s * US_PER_S, start, end):
                uplift = wall.uplift
                uplifts[host] = {
                    "wall_kwh": kwh_from_uj(int(wall.wall_uj.sum())),
                    "parts_kwh": kwh_from_uj(int(wall.parts_uj.sum())),
                    "uplift": uplift and uplift.value,
                    "uplift_low": uplift and uplift.low,
                    "uplift_high": uplift and uplift.high,
                    "windows": len(wall.wall_uj),
                }
                if uplift is not None:
                    say(
                        f'[[host]] name = "{host}": uplift = [{uplift.low:.3f}, {uplift.value:.3f}, {uplift.high:.3f}]  '
                        f"# calibrated on {len(wall.wall_uj)} windows of {format_instant(start)} to {format_instant(end)}"
                    )
    unknown = dict.fromkeys(("parts_kwh", "uplift", "uplift_low", "uplift_high", "windows"))
    rows = [{**row, **unknown, **uplifts.get(row["host"], {})} for row in rows]
    status = print_rows([*COLUMNS, *unknown], rows, form, output, "no reading in the period")
    if pending := pending_hosts(rows):
        say(pending)
    failed = [row["host"] for row in rows if row["state"] == OPEN]
    if failed:
        raise CheckFailed(f"the balance does not close: {', '.join(failed)}")
    return status


def coverage(
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Device time expected, known, measured, estimated and missing.

    In seconds, by host, device and period. known = measured (by a sensor) + estimated (modelled, or interpolated over a gap of a
    counter); missing = expected - known. Of the missing time, standing and implausible had a source that stood still, or
    claimed more than the device can draw.
    """
    from footprint.figures import parse_query
    from footprint.figures.coverage import device_coverage_seconds
    from footprint.figures.engine import open_result

    facts = loaded(config)
    query = parse_query(facts.timezone, group="host,device", every=every, from_=from_, to=to)
    store = open_store(facts)
    rows: list[dict[str, Any]] = []
    with open_result(store, facts, query, now_us()) as result:
        if result is not None:
            for index, (host, device), amounts in device_coverage_seconds(result.coverage_index, result.periods):
                start, end = result.periods[index]
                period = {"period_start": format_instant(start), "period_end": format_instant(end)}
                rows.append({"host": host, "device": device, **period, **amounts})
    kinds = ("expected", "measured", "estimated", "modelled", "interpolated", "known", "missing", "standing", "implausible")
    seconds = [f"{kind}_s" for kind in kinds]
    return print_rows(["host", "device", "period_start", "period_end", *seconds], rows, form, output, "no reading in the period")


def quality(
    doubted: Annotated[bool, typer.Option("--doubted", help="Only sensors with something wrong, or disputed energy.")] = False,
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """What witnesses say of each sensor, and how much energy rests on it.

    By host, device and source: the state and the verdict of now, its witness and reason, since when, and the size of a
    disagreement; of the period the energy of the device, the part that a witness confirms and the part that it disputes, by how
    much it may be too high or too low, and the time in which its only source was not believed. A device that is gone, or never
    opened, has a row too.
    """
    from footprint.queries.sensor_quality import COLUMNS, sensor_rows

    facts = loaded(config)
    bounds = bounds_of(facts, from_, to)
    rows = sensor_rows(open_store(facts), facts, *bounds, now_us())
    if doubted:
        rows = [row for row in rows if row["is_troubled"] or row["disputed_kwh"] or row["standing_s"] or row["implausible_s"]]
    return print_rows(list(COLUMNS), rows, form, output, "no sensor was judged in the period")


def splits(
    shares: Annotated[bool, typer.Option("--shares", help="Share of each use case by the model, with its bounds.")] = False,
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """How the energy of each service was divided each day.

    By which fit and how good it is, or why declared weights were used.
    """
    from footprint.queries import split_diagnostics

    facts = loaded(config)
    bounds = bounds_of(facts, from_, to)
    store = open_store(facts)
    rows = split_diagnostics.model_shares(store, *bounds) if shares else split_diagnostics.split_diagnostics(store, *bounds)
    columns = list(split_diagnostics.SHARE_COLUMNS if shares else split_diagnostics.COLUMNS)
    return print_rows(columns, rows, form, output, "no service with requests was placed on a device in the period")


def avoidable(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy that served nobody, by cause, and who acts on it.

    Causes are hours without a request, and failed and cancelled requests.
    """
    from footprint.queries.avoidable_energy import REGISTER_COLUMNS, action_register

    facts, store = opened(config)
    rows = action_register(store, facts, *bounds_of(facts, from_, to))
    return print_rows(list(REGISTER_COLUMNS), rows, form, output, "nothing avoidable is known in the period")


def uncertainty(
    group: GroupOption = None,
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Uncertainty budget of a figure, cause by cause.

    Half-widths of about 95 %.
    """
    from footprint.figures import parse_query
    from footprint.queries.uncertainty_budget import COLUMNS, uncertainty_budget

    facts = loaded(config)
    query = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    store = open_store(facts)
    rows = uncertainty_budget(store, facts, query, now_us())
    return print_rows([*query.group, *COLUMNS], rows, form, output, "no data in the period")


def change(
    before: Annotated[str, typer.Argument(metavar="FROM/TO", help="Period before: two dates or instants.")],
    after: Annotated[str, typer.Argument(metavar="FROM/TO", help="Period after.")],
    group: GroupOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Change of energy between two periods, with its interval.

    Errors that both periods share cancel.
    """
    from footprint.figures import parse_query
    from footprint.figures.query import BadQuery
    from footprint.queries.uncertainty_budget import CHANGE_COLUMNS, energy_change

    facts, store = opened(config)
    queries = []
    for text in (before, after):
        start, slash, end = text.partition("/")
        if not slash:
            raise BadQuery(f"period {text!r} must be written FROM/TO")
        queries.append(parse_query(facts.timezone, group=group, from_=start, to=end, where=where or ()))
    rows = energy_change(store, facts, queries[0], queries[1], now_us())
    return print_rows([*queries[1].group, *CHANGE_COLUMNS], rows, form, output, "no data in either period")
