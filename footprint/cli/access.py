"""This file prints the access log."""

from __future__ import annotations

import typer

from footprint.cli.audit import bounds_of, print_rows
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, opened
from footprint.cli.query import FromOption, ToOption
from footprint.core.table_output import Format

app = typer.Typer(help="Who may see what, and what was seen.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``list`` a word of its own."""


@app.command("list")
def list_(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Accesses to unprotected cells: when, in which role, to what; never who."""
    from footprint.access.audit_log import COLUMNS, read
    from footprint.access.authentication import mode_of

    facts, store = opened(config)
    rows = read(store, *bounds_of(facts, from_, to))
    mode = mode_of(facts)
    nothing = "no access to unprotected cells in the period"
    if mode == "open":
        nothing += "; access is open here: nobody is told apart, and nothing is noted"
    return print_rows(list(COLUMNS), rows, form, output, nothing)
