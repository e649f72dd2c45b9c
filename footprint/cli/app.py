"""This file lists the commands, and turns errors into exit codes in one place."""

from __future__ import annotations

import sys

import typer

from footprint.cli import (
    accessing,
    asking,
    auditing,
    benchmarking,
    comparing,
    factors,
    following,
    impacts,
    importing,
    ledgering,
    reporting,
    running,
    tracing,
)
from footprint.cli.shared import CheckFailed, Exit, Unavailable, UsageError
from footprint.config import ConfigError
from footprint.exporters import SourceUnavailable
from footprint.fieldmaps import BadMap
from footprint.periods import BadPeriod
from footprint.querying.question import BadQuestion
from footprint.readings import FootprintError

app = typer.Typer(
    name="footprint",
    help="Measures what AI services consume, says how sure it is, and publishes it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(running.init)
app.command("up")(running.up)
app.command("serve")(running.serve)
app.add_typer(importing.app, name="import")
app.command("aggregate")(asking.aggregate)
app.command("query")(asking.query)
app.command("check")(asking.check)
app.command("objectives")(following.objectives)
app.command("notify")(following.notify)
app.command("balance")(auditing.balance)
app.command("coverage")(auditing.coverage)
app.command("splits")(auditing.splits)
app.command("uncertainty")(auditing.uncertainty)
app.command("change")(auditing.change)
app.command("avoidable")(auditing.avoidable)
app.command("scores")(impacts.scores)
app.command("inventory")(impacts.inventory)
app.command("hourly")(impacts.hourly)
app.command("what-if")(impacts.what_if)
app.command("sensitivity")(impacts.sensitivity)
app.command("methods")(impacts.methods)
app.command("facts")(impacts.facts)
app.command("export")(impacts.export)
app.add_typer(ledgering.app, name="ledger")
app.add_typer(reporting.app, name="report")
app.command("trace")(tracing.trace)
app.add_typer(accessing.app, name="access")
app.command("jobs")(ledgering.jobs)
app.command("backup")(ledgering.backup)
app.command("restore")(ledgering.restore)
app.command("compare")(comparing.compare)
app.command("measure")(comparing.measure)
app.add_typer(benchmarking.app, name="bench-model")
app.command("unlogged")(asking.unlogged)
app.command("hosted")(asking.hosted)
app.add_typer(factors.app, name="factors")
app.add_typer(running.token_app, name="token")
app.command("doctor")(running.doctor)

_EXITS: tuple[tuple[type[FootprintError], Exit], ...] = (
    (ConfigError, Exit.CONFIGURATION),
    (BadQuestion, Exit.USAGE),
    (BadPeriod, Exit.USAGE),
    (UsageError, Exit.USAGE),
    (Unavailable, Exit.UNAVAILABLE),
    (SourceUnavailable, Exit.UNAVAILABLE),
    (BadMap, Exit.CONFIGURATION),
    (CheckFailed, Exit.CHECK_FAILED),
)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; errors that a person can act upon are one line, without a traceback."""
    sys.exit(status_of(arguments))


def status_of(arguments: list[str] | None = None) -> int:
    """Exit status of one command."""
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="footprint", standalone_mode=False)
        return int(result) if isinstance(result, int) else Exit.OK
    except FootprintError as error:
        print(f"footprint: {error}", file=sys.stderr)
        return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILURE)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough.
        sys.stdout = None  # type: ignore[assignment]
        return Exit.OK
    except ModuleNotFoundError as missing:
        return _missing(missing)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # typer's own, which it does not export
            error.show()
            return int(error.exit_code)
        raise


def _missing(missing: ModuleNotFoundError) -> int:
    extras = {
        "ecologits": "hosted", "typst": "report", "segno": "report",
        "httpx": "prometheus", "dash": "dashboard", "plotly": "dashboard", "psycopg": "postgres",
        "codecarbon": "tdp",
    }  # fmt: skip
    name = (missing.name or "").partition(".")[0]
    if name in ("footprint", "collectors", "dashboards"):
        raise missing
    print(
        f"footprint: {name} is not installed; pip install 'footprint[{extras.get(name, 'server')}]'", file=sys.stderr
    )
    return Exit.FAILURE
