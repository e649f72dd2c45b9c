"""Factor book on the command line: list, show, import, compare and fetch factors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.exit_status import Exit, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, FormatOption, FromOption, OutputOption, ToOption, opened, opened_if_any, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import now_us
from footprint.core.units import US_PER_S

app = command_group("List, show, import and compare emission factors.")


def _columns() -> tuple[str, ...]:
    from footprint.impact.factor_book import COLUMNS

    return (*COLUMNS, "sha256")


def _row(factor: Any) -> dict[str, Any]:
    row = {name: getattr(factor, name) for name in _columns()}
    for name in ("valid_from", "valid_to"):
        row[name] = None if row[name] is None else row[name].isoformat()
    return row


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Kinds that begin with this, such as carbon_intensity.")] = None,
    where: Annotated[str | None, typer.Option(help="Country or grid zone.")] = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> int:
    """List factors by kind, place and date."""
    from footprint.ledger.factor_store import load_factor_book

    _, store = opened_if_any(config)
    rows = [
        _row(factor)
        for factor in load_factor_book(store).factors
        if (kind is None or factor.kind.startswith(kind)) and (where is None or factor.where == where)
    ]
    emit(_columns(), rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


@app.command("show")
def show(
    kind: str,
    where: str,
    at: Annotated[str | None, typer.Option(help="A date or an instant; default now.")] = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> int:
    """Show the factor that holds at a place and an instant."""
    from footprint.figures.query import parse_bound
    from footprint.ledger.factor_store import load_factor_book

    facts, store = opened_if_any(config)
    book = load_factor_book(store)
    if not kind.startswith(("carbon_intensity",)) and not any(factor.kind == kind for factor in book.factors):
        raise UsageError(f"no factor of kind {kind!r}; `footprint factors list` shows the kinds")
    instant = parse_bound("at", at, facts.timezone)
    factor = book.find(kind, where, now_us() if instant is None else instant, facts.timezone)
    emit(_columns(), [_row(factor)], form, output)
    return Exit.OK


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with the columns of data/factors.")],
    bundle: Annotated[str | None, typer.Option(help="Name of the bundle; default the file's name and digest.")] = None,
    config: ConfigOption = None,
) -> int:
    """Import the factors of a file.

    `footprint factors diff FILE` first shows what they change.
    """
    from footprint.ledger.factor_store import import_factors

    _, store = opened(config, create=True)
    imported = import_factors(store, file, bundle, now_us())
    state = "already known" if imported.known else "imported; `footprint aggregate` recomputes the figures that rest on them"
    say(f"{file}: {imported.rows} factors, bundle {imported.bundle} (sha256 {imported.sha256[:16]}…), {state}")
    return Exit.OK


@app.command("diff")
def diff(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with the columns of data/factors.")],
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Show what a file of factors would change in the figures.

    Both values, the energy that rests on them, and both results.
    """
    from footprint.impact.factor_book import FactorBook
    from footprint.ledger.factor_store import load_factor_book, read_bundle
    from footprint.queries.factor_diff import REVISION_COLUMNS, revised_figures

    facts, store = opened(config)
    before = load_factor_book(store)
    factors, _, _ = read_bundle(file, None, now_us())
    rows = revised_figures(store, facts, before, FactorBook([*before.factors, *factors]))
    emit(list(REVISION_COLUMNS), rows, form, output)
    if not rows:
        say("no figure rests on a factor that this file would change")
    return Exit.OK


@app.command("fetch")
def fetch(
    source: Annotated[str, typer.Argument(help="eco2mix or electricity-maps.")],
    zone: Annotated[str | None, typer.Option(help="Grid zone; default the organisation's.")] = None,
    from_: FromOption = None,
    to: ToOption = None,
    key_file: Annotated[Path | None, typer.Option(help="File with the key; else the source's environment variable.")] = None,
    url: Annotated[str, typer.Option(help="Another address of the same interface.")] = "",
    config: ConfigOption = None,
) -> int:
    """Fetch carbon intensities of a live source, from where the last fetch ended."""
    from footprint.figures.query import parse_bound
    from footprint.ledger.intensity_series import fetch_series
    from footprint.ledger.sources import SOURCES

    if source not in SOURCES:
        raise UsageError(f"no source {source!r}; there are {', '.join(sorted(SOURCES))}")
    facts, store = opened(config, create=True)
    known = SOURCES[source]
    key = key_file.read_text(encoding="utf-8").strip() if key_file else os.environ.get(known.key_variable or "-", "")
    from_us, to_us = parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)
    now = now_us()
    changed = fetch_series(store, source, zone or facts.zone, from_us, now if to_us is None else to_us, now, key=key, url=url)
    say(f"{source} {zone or facts.zone}: {changed} samples new or changed; {known.scope}; {known.licence}")
    return Exit.OK


@app.command("series")
def series(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with the columns time and g_per_kwh.")],
    name: Annotated[str, typer.Option(help="Name of the series.")],
    zone: Annotated[str | None, typer.Option(help="Grid zone; default the organisation's.")] = None,
    length_s: Annotated[int, typer.Option(min=60, max=86_400, help="Maximum time for which a sample holds, in seconds.")] = 3600,
    config: ConfigOption = None,
) -> int:
    """Import a series of carbon intensities from a file."""
    from footprint.ledger.intensity_series import read_series, store_samples

    facts, store = opened(config, create=True)
    changed = store_samples(store, name, zone or facts.zone, read_series(file, now_us()), length_s * US_PER_S, now_us())
    say(f"{file}: {changed} samples new or changed, series {name}, zone {zone or facts.zone}")
    return Exit.OK
