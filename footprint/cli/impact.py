"""Impact beside the query: scores, inventory, hourly emissions, scenarios, sensitivity, methods, facts and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.exit_status import Exit
from footprint.cli.options import (
    ConfigOption,
    Every,
    EveryOption,
    FormatOption,
    FromOption,
    GroupOption,
    Language,
    LanguageOption,
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
from footprint.core.timestamps import now_us


def scores(
    group: GroupOption = None,
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    language: LanguageOption = Language.en,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """SCI and energy per request, with formula and boundary.

    SCI per request and per 1,000 output tokens, energy per request.
    """
    from footprint.impact.indicators import INDICATORS

    return _scored(INDICATORS, group, every, (from_, to), where, language, config, form, output)


def inventory(
    group: GroupOption = None,
    every: EveryOption = Every.year,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    language: LanguageOption = Language.en,
    config: ConfigOption = None,
    form: FormatOption = Format.csv,
    output: OutputOption = None,
) -> int:
    """Lines for a greenhouse gas inventory: scopes 2 and 3.

    Scope 2 by location and by market, scope 3 capital goods.
    """
    from footprint.impact.indicators import INVENTORY

    return _scored(INVENTORY, group, every, (from_, to), where, language, config, form, output)


def _scored(
    registry: Any, group: Any, every: str, bounds: Any, where: Any, language: str, config: Any, form: Any, output: Any
) -> int:
    from footprint.figures import parse_query
    from footprint.queries.indicators import COLUMNS, indicator_rows

    facts = loaded(config)
    query = parse_query(facts.timezone, group=group, every=every, from_=bounds[0], to=bounds[1], where=where or ())
    store = open_store(facts)
    rows = indicator_rows(store, facts, query, registry, language, now_us())
    return print_rows([*query.group, *COLUMNS], rows, form, output, "no data in the period")


def hourly(
    series: Annotated[str, typer.Argument(help="A series that was fetched or imported, such as eco2mix.")],
    group: GroupOption = None,
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Emissions with the grid intensity of each hour.

    Energy of each hour x the intensity of that hour: beside the yearly figure, never added to it.
    """
    from footprint.figures import parse_query
    from footprint.queries.hourly_emissions import COLUMNS, hourly_emissions

    facts = loaded(config)
    query = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to)
    store = open_store(facts)
    rows = hourly_emissions(store, facts, query, series)
    return print_rows([*query.group, *COLUMNS], rows, form, output, "no data in the period")


def what_if(
    zone: Annotated[str | None, typer.Option(help="Another grid zone.")] = None,
    pue: Annotated[float | None, typer.Option(min=1.0, help="Another PUE.")] = None,
    uplift: Annotated[float | None, typer.Option(min=1.0, help="Another uplift.")] = None,
    lifetime_years: Annotated[float | None, typer.Option(min=0.5, help="Another lifetime of servers.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model, as it was measured in the same period.")] = None,
    shift_hours: Annotated[int | None, typer.Option(help="Hours by which the same work is moved; needs --series.")] = None,
    series: Annotated[str | None, typer.Option(help="A series of hourly intensity, such as eco2mix.")] = None,
    group: GroupOption = None,
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """The same work elsewhere, later or on another model.

    A scenario, not a measurement.
    """
    from footprint.figures import parse_query
    from footprint.figures.query import BadQuery
    from footprint.queries import what_if

    parameters = what_if.ScenarioParameters(zone, pue, uplift, lifetime_years)
    kinds = [parameters != what_if.ScenarioParameters(), model is not None, shift_hours is not None]
    if sum(kinds) != 1:
        raise BadQuery("ask for one kind: facts (--zone, --pue, --uplift, --lifetime-years), --model, or --shift-hours")
    if (shift_hours is None) != (series is None):
        raise BadQuery("--shift-hours and --series go together")
    facts = loaded(config)
    query = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    store = open_store(facts)
    columns: tuple[str, ...]
    if model is not None:
        columns, rows = what_if.MODEL_COLUMNS, what_if.model_scenario(store, facts, query, model, now_us())
    elif shift_hours is not None and series is not None:
        columns, rows = what_if.SHIFT_COLUMNS, what_if.shift_scenario(store, facts, query, series, shift_hours)
    else:
        columns, rows = what_if.COLUMNS, what_if.parameter_scenario(store, facts, query, parameters, now_us())
    return print_rows([*query.group, *columns], rows, form, output, "no data in the period")


def sensitivity(
    group: GroupOption = None,
    every: EveryOption = Every.all,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Figures under other factors and server lifetimes.

    Other sources of factors, other lives of servers, other water factors.
    """
    from footprint.figures import parse_query
    from footprint.queries.sensitivity import COLUMNS
    from footprint.queries.sensitivity import sensitivity as sensitivity_rows

    facts = loaded(config)
    query = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    store = open_store(facts)
    rows = sensitivity_rows(store, facts, query, now_us())
    return print_rows([*query.group, *COLUMNS], rows, form, output, "no data in the period")


def methods(language: LanguageOption = Language.en, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """Formula, source and version of every figure.

    From the registry that pages print too.
    """
    from footprint.queries.methods import COLUMNS, method_rows

    return print_rows(list(COLUMNS), method_rows(language), form, output, "")


def facts(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the declared facts by the time for which they hold.

    Sites and hosts with their dates, bounds and evidence, and what is assumed where nothing is declared.
    """
    from footprint.queries.declared_facts import COLUMNS, declared_facts

    configuration = loaded(config)
    return print_rows(
        list(COLUMNS), declared_facts(configuration), form, output, "no site and no host is declared; all facts are assumed"
    )


def export(
    form_: Annotated[str, typer.Argument(metavar="FORM", help="codecarbon (columns of its emissions.csv) or boamps (reports).")],
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.csv,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="A file; for boamps a folder.")] = None,
) -> int:
    """Export figures for CodeCarbon or BoAmps."""
    from footprint.figures.query import BadQuery

    if form_ == "codecarbon":
        from footprint.queries.codecarbon_export import COLUMNS, codecarbon_rows

        facts, store = opened(config)
        rows = codecarbon_rows(store, facts, *bounds_of(facts, from_, to), now_us())
        return print_rows(list(COLUMNS), rows, form, output, "no data in the period")
    if form_ != "boamps":
        raise BadQuery(f"no form {form_!r}; there are codecarbon and boamps")
    from footprint.queries.boamps_export import boamps_reports, write_reports

    facts, store = opened(config)
    reports = boamps_reports(store, facts, *bounds_of(facts, from_, to), now_us())
    for line in write_reports(reports, output):
        say(line)
    return Exit.OK if reports else Exit.NO_DATA
