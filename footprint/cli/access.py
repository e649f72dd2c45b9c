"""Access log on the command line."""

from __future__ import annotations

from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, FormatOption, FromOption, OutputOption, ToOption, bounds_of, opened, print_rows
from footprint.core.table_output import Format

app = command_group("List accesses to unprotected figures.")


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
