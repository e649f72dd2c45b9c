"""This file prints what figures rest on: balance, coverage, splits, causes of uncertainty, changes, avoidable energy."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from footprint.cli.asking import FromOption, ToOption
from footprint.cli.output import Format, emit
from footprint.cli.shared import CheckFailed, ConfigOption, Exit, FormatOption, OutputOption, now_us, opened, say
from footprint.config import Config
from footprint.instants import format_instant
from footprint.units import US_PER_S, kwh_from_uj

GroupOption = Annotated[str | None, typer.Option("--group", help="As of query; by comma.")]
WhereOption = Annotated[list[str] | None, typer.Option("--where", metavar="NAME=VALUE", help="As of query; may be repeated.")]


def _bounds(facts: Config, from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    from footprint.querying.question import parse_bound

    return parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)


def _print(columns: list[str], rows: list[dict[str, Any]], form: Format, output: Any, nothing: str) -> int:
    emit(columns, rows, form, output)
    if not rows:
        say(nothing)
        return Exit.NO_DATA
    return Exit.OK


def balance(
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """Meters = services + idle + unattributed, and wall = parts + unseen, by host; with the uplift to declare. Exit 6 if not."""
    from footprint.aggregation.balancing import balances
    from footprint.ledger.reading import LedgerView
    from footprint.querying.closure import COLUMNS, closure

    facts, store = opened(config)
    bounds = _bounds(facts, from_, to)
    rows = closure(store, facts, *bounds)
    uplifts: dict[str, dict[str, Any]] = {}
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is not None:
            start, end = (given if given is not None else known for given, known in zip(bounds, extent, strict=True))
            for host, found in balances(view, facts.window_s * US_PER_S, start, end):
                uplift = found.uplift
                uplifts[host] = {
                    "wall_kwh": kwh_from_uj(int(found.wall_uj.sum())), "parts_kwh": kwh_from_uj(int(found.parts_uj.sum())),
                    "uplift": uplift and uplift.value, "uplift_low": uplift and uplift.low,
                    "uplift_high": uplift and uplift.high, "windows": len(found.wall_uj),
                }  # fmt: skip
                if uplift is not None:
                    say(
                        f'[[host]] name = "{host}": uplift = [{uplift.low:.3f}, {uplift.value:.3f}, {uplift.high:.3f}]  '
                        f"# calibrated on {len(found.wall_uj)} windows of {format_instant(start)} to {format_instant(end)}"
                    )
    none = dict.fromkeys(("parts_kwh", "uplift", "uplift_low", "uplift_high", "windows"))
    rows = [{**row, **none, **uplifts.get(row["host"], {})} for row in rows]
    status = _print([*COLUMNS, *none], rows, form, output, "no reading in the period")
    failed = [row["host"] for row in rows if not row["closes"]]
    if failed:
        raise CheckFailed(f"the balance does not close: {', '.join(failed)}")
    return status


def coverage(
    every: Annotated[str, typer.Option(help="hour, day, week, month, quarter, year or all.")] = "all",
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """Seconds of every device: expected, measured, modelled, interpolated, missing."""
    from footprint.querying import parse_question
    from footprint.querying.answering import gathered
    from footprint.querying.coverage import coverage_ledger

    facts, store = opened(config)
    question = parse_question(facts.timezone, group="host,device", every=every, from_=from_, to=to)
    rows: list[dict[str, Any]] = []
    with gathered(store, facts, question, now_us()) as found:
        if found is not None:
            for index, (host, device), amounts in coverage_ledger(found.watched, found.periods):
                start, end = found.periods[index]
                period = {"period_start": format_instant(start), "period_end": format_instant(end)}
                rows.append({"host": host, "device": device, **period, **amounts})
    seconds = [f"{kind}_s" for kind in ("expected", "measured", "modelled", "interpolated", "missing")]
    return _print(["host", "device", "period_start", "period_end", *seconds], rows, form, output, "no reading in the period")


def splits(
    shares: Annotated[bool, typer.Option("--shares", help="The model's share of each use case, with its bounds.")] = False,
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """How the energy of each service was divided on each day: by which fit, how good, or why by declared weights."""
    from footprint.querying import splits as reading

    facts, store = opened(config)
    bounds = _bounds(facts, from_, to)
    rows = reading.shares(store, *bounds) if shares else reading.splits(store, *bounds)
    columns = list(reading.SHARE_COLUMNS if shares else reading.COLUMNS)
    return _print(columns, rows, form, output, "no service with requests was placed on a device in the period")


def avoidable(
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """Energy that served nobody, by cause: hours awake without a request, failed and cancelled requests."""
    from footprint.querying.avoidable import COLUMNS
    from footprint.querying.avoidable import avoidable as ask

    facts, store = opened(config)
    rows = ask(store, facts, *_bounds(facts, from_, to))
    return _print(list(COLUMNS), rows, form, output, "nothing avoidable is known in the period")


def uncertainty(
    group: GroupOption = None, every: Annotated[str, typer.Option(help="As of query.")] = "all",
    from_: FromOption = None, to: ToOption = None, where: WhereOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """What makes a figure uncertain, cause by cause: half-widths of about 95 %."""
    from footprint.querying import parse_question
    from footprint.querying.causes import COLUMNS, causes

    facts, store = opened(config)
    question = parse_question(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    rows = causes(store, facts, question, now_us())
    return _print([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def change(
    before: Annotated[str, typer.Argument(metavar="FROM/TO", help="The period before, two dates or instants.")],
    after: Annotated[str, typer.Argument(metavar="FROM/TO", help="The period after.")],
    group: GroupOption = None, where: WhereOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """Energy of one period over that of another, with its interval: what errs alike in both cancels."""
    from footprint.querying import parse_question
    from footprint.querying.causes import CHANGE_COLUMNS
    from footprint.querying.causes import change as ask
    from footprint.querying.question import BadQuestion

    facts, store = opened(config)
    questions = []
    for text in (before, after):
        start, slash, end = text.partition("/")
        if not slash:
            raise BadQuestion(f"period {text!r} must be written FROM/TO")
        questions.append(parse_question(facts.timezone, group=group, from_=start, to=end, where=where or ()))
    rows = ask(store, facts, questions[0], questions[1], now_us())
    return _print([*questions[1].group, *CHANGE_COLUMNS], rows, form, output, "no data in either period")


LanguageOption = Annotated[str, typer.Option("--lang", help="fr or en, of labels and boundaries.")]


def scores(
    group: GroupOption = None, every: Annotated[str, typer.Option(help="As of query.")] = "all",
    from_: FromOption = None, to: ToOption = None, where: WhereOption = None, language: LanguageOption = "en",
    config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """SCI per request and per 1,000 output tokens, energy per request, each with its formula and boundary."""
    from footprint.impact.scores import SCORES

    return _scored(SCORES, group, every, (from_, to), where, language, config, form, output)


def inventory(
    group: GroupOption = None, every: Annotated[str, typer.Option(help="As of query.")] = "year",
    from_: FromOption = None, to: ToOption = None, where: WhereOption = None, language: LanguageOption = "en",
    config: ConfigOption = None, form: FormatOption = Format.csv, output: OutputOption = None,
) -> int:  # fmt: skip
    """Lines for a greenhouse gas inventory: scope 2 by location and by market, scope 3 capital goods."""
    from footprint.impact.scores import INVENTORY

    return _scored(INVENTORY, group, every, (from_, to), where, language, config, form, output)


def _scored(
    registry: Any, group: Any, every: str, bounds: Any, where: Any, language: str, config: Any, form: Any, output: Any
) -> int:
    from footprint.querying import parse_question
    from footprint.querying.question import BadQuestion
    from footprint.querying.scoring import COLUMNS
    from footprint.querying.scoring import scores as ask

    if language not in ("fr", "en"):
        raise BadQuestion(f"lang {language!r} is not known; it may be fr, en")
    facts, store = opened(config)
    question = parse_question(facts.timezone, group=group, every=every, from_=bounds[0], to=bounds[1], where=where or ())
    rows = ask(store, facts, question, registry, language, now_us())
    return _print([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def hourly(
    series: Annotated[str, typer.Argument(help="A series that was fetched or imported, such as eco2mix.")],
    group: GroupOption = None, every: Annotated[str, typer.Option(help="As of query.")] = "all",
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """The time-aware figure: energy of each hour x the intensity of that hour; beside the yearly one, never added to it."""
    from footprint.querying import parse_question
    from footprint.querying.hourly import COLUMNS
    from footprint.querying.hourly import hourly as ask

    facts, store = opened(config)
    question = parse_question(facts.timezone, group=group, every=every, from_=from_, to=to)
    rows = ask(store, facts, question, series)
    return _print([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def what_if(
    zone: Annotated[str | None, typer.Option(help="Another grid zone.")] = None,
    pue: Annotated[float | None, typer.Option(min=1.0, help="Another PUE.")] = None,
    uplift: Annotated[float | None, typer.Option(min=1.0, help="Another uplift.")] = None,
    lifetime_years: Annotated[float | None, typer.Option(min=0.5, help="Another life of servers.")] = None,
    group: GroupOption = None, every: Annotated[str, typer.Option(help="As of query.")] = "all",
    from_: FromOption = None, to: ToOption = None, where: WhereOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """What the same work would have cost elsewhere: a scenario, not a measurement."""
    from footprint.querying import parse_question
    from footprint.querying.question import BadQuestion
    from footprint.querying.scenario import COLUMNS, Facts, scenario

    asked = Facts(zone, pue, uplift, lifetime_years)
    if asked == Facts():
        raise BadQuestion("nothing is asked: --zone, --pue, --uplift or --lifetime-years")
    facts, store = opened(config)
    question = parse_question(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    rows = scenario(store, facts, question, asked, now_us())
    return _print([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def export(
    form_: Annotated[str, typer.Argument(metavar="FORM", help="codecarbon: the columns of its emissions.csv.")],
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.csv, output: OutputOption = None,
) -> int:  # fmt: skip
    """Figures in the columns of another program."""
    from footprint.querying.exporting import COLUMNS, codecarbon_rows
    from footprint.querying.question import BadQuestion

    if form_ != "codecarbon":
        raise BadQuestion(f"no form {form_!r}; there is codecarbon")
    facts, store = opened(config)
    rows = codecarbon_rows(store, facts, *_bounds(facts, from_, to), now_us())
    return _print(list(COLUMNS), rows, form, output, "no data in the period")
