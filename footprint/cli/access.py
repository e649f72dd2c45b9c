"""Access log on the command line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from footprint.cli.exit_status import Exit, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import (
    ConfigOption,
    FormatOption,
    FromOption,
    OutputOption,
    ToOption,
    bounds_of,
    opened,
    print_rows,
    say,
)
from footprint.core.table_output import Format

app = command_group("Print the administrator's link, list accesses to unprotected figures, end sessions.")


@app.command("link")
def link(
    show: Annotated[bool, typer.Option("--show", help="Print the link although the output is not a terminal.")] = False,
    port: Annotated[int | None, typer.Option("--port", help="Port of the service; default [server] port.")] = None,
    config: ConfigOption = None,
) -> int:
    """Print the link that opens the service of this machine as administrator, where [access] is not declared."""
    from footprint.access.authentication import access_mode, administrator_link, needs_token
    from footprint.config import load_config

    facts = load_config(config)
    if not needs_token(facts):
        raise UsageError(f'no link is needed: access is "{access_mode(facts)}" here; it is for a service without [access]')
    if not (show or sys.stdout.isatty()):
        raise UsageError("the link is a secret, and the output is not a terminal; --show prints it anyway")
    print(administrator_link(facts, port or facts.port))
    return Exit.OK


@app.command("end-sessions")
def end_sessions(config: ConfigOption = None) -> int:
    """End the session of every signed-in reader, for example after a change of groups."""
    from footprint.access.sessions import end_all_sessions

    _, store = opened(config)
    say(f"{end_all_sessions(store)} sessions ended")
    return Exit.OK


@app.command("list")
def list_(
    from_: FromOption = None,
    to: ToOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List accesses to unprotected cells: time, role and cells, never the person."""
    from footprint.access.audit_log import COLUMNS, read_accesses
    from footprint.access.authentication import access_mode

    facts, store = opened(config)
    rows = read_accesses(store, *bounds_of(facts, from_, to))
    mode = access_mode(facts)
    empty = "no access to unprotected cells in the period"
    if mode == "open":
        empty += "; access is open here: roles do not differ and nothing is logged"
    return print_rows(list(COLUMNS), rows, form, output, empty)
