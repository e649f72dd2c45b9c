"""Agents: what each host sends, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from footprint.cli.exit_status import CheckFailed
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, opened, print_rows
from footprint.core.table_output import Format
from footprint.core.timestamps import now_us


def agents(
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 6 where a host is silent, or declared and never heard.")
    ] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List the agents: last reading, backlog, clock and problems by host.

    Hosts that are declared, read, have a token or were heard of. The age is that of the last reading, never of a request.
    Backlog, clock and problems are what the agent said with its last shipment; refused is what this server did not take of it.
    Sensors are those in doubt, standing still, gone or unread for more than a minute: `footprint quality` shows all of them.
    """
    from footprint.queries.agents import COLUMNS, agent_rows, unwell_hosts

    facts, store = opened(config)
    rows = agent_rows(store, facts, now_us())
    status = print_rows(list(COLUMNS), rows, form, output, "no host is declared, and none has sent anything")
    if check and (unwell := unwell_hosts(rows)):
        raise CheckFailed(f"no reading of {', '.join(unwell)}")
    return status
