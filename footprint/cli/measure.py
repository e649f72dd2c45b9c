"""Energy of one command on this host."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from footprint.cli.exit_status import MEASURING_FAILED
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, say
from footprint.core.records import FootprintError
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S

if TYPE_CHECKING:
    from footprint.config import Config


def measure(
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="Command, after --.")],
    baseline_s: Annotated[float, typer.Option(min=0, help="Time for which the idle host is read first, in seconds.")] = 2.0,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Measure the energy of one command on this host.

    By device, with its interval, and above what the host drew before. The exit status is the command's own, 128 + n after
    signal n, and 125 for wrong usage or where measuring itself failed.
    """
    from footprint.config import load_config
    from footprint.notebook.measurement import COLUMNS, measure_command

    try:
        facts = load_config(config)
        measurement, status = measure_command(command, baseline_s=baseline_s)
    except (FootprintError, OSError) as why:
        say(f"footprint: {why}")
        return MEASURING_FAILED
    try:
        emit(list(COLUMNS), measurement.rows or [], form, output)
        say(measurement.sentence())
        _say_recorded_by_agent(facts, measurement.begin_us, measurement.seconds)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stdout = None  # type: ignore[assignment]
    except OSError as why:
        say(f"footprint: {why}")
        return MEASURING_FAILED
    return status


def _say_recorded_by_agent(facts: Config, begin_us: int, seconds: float) -> None:
    """Say where this host's own agent recorded the same time, where a server answers."""
    import socket
    from urllib.parse import urlencode
    from urllib.request import urlopen

    host = str(facts.agent.get("host") or socket.gethostname())
    server = str(facts.agent.get("server") or f"http://{facts.bind}:{facts.port}").rstrip("/")
    try:
        with urlopen(f"{server}/healthz", timeout=1):
            pass
    except (OSError, ValueError):
        return
    since, until = (format_instant(at) for at in (begin_us, begin_us + round(seconds * US_PER_S)))
    data = urlencode({"group": "host,device", "where": f"host={host}", "from": since, "to": until})
    say(f"what this host's agent recorded: {server}/hosts?{urlencode({'name': host, 'period': 'today'})}")
    say(f"the same time, as data:        {server}/api/v1/footprint?{data}")
