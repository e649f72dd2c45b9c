"""This file prints the access log."""

from __future__ import annotations

import typer

from footprint.cli.asking import FromOption, ToOption
from footprint.cli.auditing import bounds_of, print_rows
from footprint.cli.output import Format
from footprint.cli.shared import ConfigOption, FormatOption, OutputOption, opened

app = typer.Typer(help="Who may see what, and what was seen.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``list`` a word of its own."""


@app.command("list")
def list_(
    from_: FromOption = None, to: ToOption = None, config: ConfigOption = None,
    form: FormatOption = Format.table, output: OutputOption = None,
) -> int:  # fmt: skip
    """Accesses to unprotected cells: when, in which role, to what; never who."""
    from footprint.access.knowing import mode_of
    from footprint.access.noting import COLUMNS, accesses

    facts, store = opened(config)
    rows = accesses(store, *bounds_of(facts, from_, to))
    mode = mode_of(facts)
    nothing = "no access to unprotected cells in the period"
    if mode == "open":
        nothing += "; access is open here: nobody is told apart, and nothing is noted"
    return print_rows(list(COLUMNS), rows, form, output, nothing)
