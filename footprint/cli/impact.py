"""This file prints impacts beside the query: scores, inventory lines, hourly figures, scenarios, sensitivities, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.audit import GroupOption, WhereOption, bounds_of, print_rows
from footprint.cli.options import ConfigOption, Exit, FormatOption, OutputOption, opened, say
from footprint.cli.query import FromOption, ToOption
from footprint.core.table_output import Format
from footprint.core.timestamps import now_us

EveryOption = Annotated[str, typer.Option(help="As of query.")]
LanguageOption = Annotated[str, typer.Option("--lang", help="fr or en, of labels and boundaries.")]


def language_of(text: str) -> str:
    """fr or en.

    Raises
    ------
    BadQuestion
        If it is another.
    """
    from footprint.figures.query import BadQuery

    if text not in ("fr", "en"):
        raise BadQuery(f"lang {text!r} is not known; it may be fr, en")
    return text


def scores(
    group: GroupOption = None,
    every: EveryOption = "all",
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    language: LanguageOption = "en",
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """SCI per request and per 1,000 output tokens, energy per request, each with its formula and boundary."""
    from footprint.impact.indicators import INDICATORS

    return _scored(INDICATORS, group, every, (from_, to), where, language, config, form, output)


def inventory(
    group: GroupOption = None,
    every: EveryOption = "year",
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    language: LanguageOption = "en",
    config: ConfigOption = None,
    form: FormatOption = Format.csv,
    output: OutputOption = None,
) -> int:
    """Lines for a greenhouse gas inventory: scope 2 by location and by market, scope 3 capital goods."""
    from footprint.impact.indicators import INVENTORY

    return _scored(INVENTORY, group, every, (from_, to), where, language, config, form, output)


def _scored(
    registry: Any, group: Any, every: str, bounds: Any, where: Any, language: str, config: Any, form: Any, output: Any
) -> int:
    from footprint.figures import parse_query
    from footprint.queries.indicators import COLUMNS
    from footprint.queries.indicators import scores as ask

    language_of(language)
    facts, store = opened(config)
    question = parse_query(facts.timezone, group=group, every=every, from_=bounds[0], to=bounds[1], where=where or ())
    rows = ask(store, facts, question, registry, language, now_us())
    return print_rows([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def hourly(
    series: Annotated[str, typer.Argument(help="A series that was fetched or imported, such as eco2mix.")],
    group: GroupOption = None,
    every: EveryOption = "all",
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """The time-aware figure: energy of each hour x the intensity of that hour; beside the yearly one, never added to it."""
    from footprint.figures import parse_query
    from footprint.queries.hourly_emissions import COLUMNS
    from footprint.queries.hourly_emissions import hourly as ask

    facts, store = opened(config)
    question = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to)
    rows = ask(store, facts, question, series)
    return print_rows([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def what_if(
    zone: Annotated[str | None, typer.Option(help="Another grid zone.")] = None,
    pue: Annotated[float | None, typer.Option(min=1.0, help="Another PUE.")] = None,
    uplift: Annotated[float | None, typer.Option(min=1.0, help="Another uplift.")] = None,
    lifetime_years: Annotated[float | None, typer.Option(min=0.5, help="Another life of servers.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model, as it was measured in the same period.")] = None,
    shift_hours: Annotated[int | None, typer.Option(help="The same work so many hours later; with --series.")] = None,
    series: Annotated[str | None, typer.Option(help="A series of hourly intensity, such as eco2mix.")] = None,
    group: GroupOption = None,
    every: EveryOption = "all",
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """What the same work would have cost elsewhere, at another hour, by another model: a scenario, not a measurement."""
    from footprint.figures import parse_query
    from footprint.figures.query import BadQuery
    from footprint.queries import what_if

    asked = what_if.ScenarioParameters(zone, pue, uplift, lifetime_years)
    kinds = [asked != what_if.ScenarioParameters(), model is not None, shift_hours is not None]
    if sum(kinds) != 1:
        raise BadQuery("ask for one kind: facts (--zone, --pue, --uplift, --lifetime-years), --model, or --shift-hours")
    if (shift_hours is None) != (series is None):
        raise BadQuery("--shift-hours and --series go together")
    facts, store = opened(config)
    question = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    columns: tuple[str, ...]
    if model is not None:
        columns, rows = what_if.MODEL_COLUMNS, what_if.other_model(store, facts, question, model, now_us())
    elif shift_hours is not None and series is not None:
        columns, rows = what_if.SHIFT_COLUMNS, what_if.other_hours(store, facts, question, series, shift_hours)
    else:
        columns, rows = what_if.COLUMNS, what_if.scenario(store, facts, question, asked, now_us())
    return print_rows([*question.group, *columns], rows, form, output, "no data in the period")


def sensitivity(
    group: GroupOption = None,
    every: EveryOption = "all",
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """The same figures under the choices that others make: other factor sources, other lives of servers, other water factors."""
    from footprint.figures import parse_query
    from footprint.queries.sensitivity import COLUMNS
    from footprint.queries.sensitivity import sensitivity as ask

    facts, store = opened(config)
    question = parse_query(facts.timezone, group=group, every=every, from_=from_, to=to, where=where or ())
    rows = ask(store, facts, question, now_us())
    return print_rows([*question.group, *COLUMNS], rows, form, output, "no data in the period")


def methods(language: LanguageOption = "en", form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """Every figure with its formula, its source and the version of the method, from the registry that pages print too."""
    from footprint.queries.methods import COLUMNS, described

    return print_rows(list(COLUMNS), described(language_of(language)), form, output, "")


def facts(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """Sites and hosts as declared, each with its dates, bounds and evidence, and what is assumed where nothing is."""
    from footprint.queries.declared_facts import COLUMNS, declared

    found, _ = opened(config)
    return print_rows(list(COLUMNS), declared(found), form, output, "no site and no host is declared; all facts are assumed")


def export(
    form_: Annotated[str, typer.Argument(metavar="FORM", help="codecarbon (columns of its emissions.csv) or boamps (reports).")],
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.csv,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="A file; for boamps a folder.")] = None,
) -> int:
    """Figures in the form of another program."""
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
