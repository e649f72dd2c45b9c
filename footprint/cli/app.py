"""This file lists the commands, and turns errors into exit codes in one place."""

from __future__ import annotations

import sys

import typer

from footprint.calendar.periods import BadPeriod
from footprint.cli import (
    access,
    audit,
    bench_model,
    compare,
    factors,
    impact,
    imports,
    ledger,
    objectives,
    query,
    report,
    serve,
    trace,
)
from footprint.cli.options import CheckFailed, Exit, SensorUnavailable, UsageError
from footprint.config import ConfigError
from footprint.core.log_formats import BadMap
from footprint.core.prometheus_metrics import SourceUnavailable
from footprint.core.records import FootprintError
from footprint.figures.query import BadQuery

app = typer.Typer(
    name="footprint",
    help="Measures what AI services consume, says how sure it is, and publishes it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(serve.init)
app.command("up")(serve.up)
app.command("serve")(serve.serve)
app.add_typer(imports.app, name="import")
app.command("aggregate")(query.aggregate)
app.command("query")(query.query)
app.command("check")(query.check)
app.command("objectives")(objectives.objectives)
app.command("notify")(objectives.notify)
app.command("balance")(audit.balance)
app.command("coverage")(audit.coverage)
app.command("splits")(audit.splits)
app.command("uncertainty")(audit.uncertainty)
app.command("change")(audit.change)
app.command("avoidable")(audit.avoidable)
app.command("scores")(impact.scores)
app.command("inventory")(impact.inventory)
app.command("hourly")(impact.hourly)
app.command("what-if")(impact.what_if)
app.command("sensitivity")(impact.sensitivity)
app.command("methods")(impact.methods)
app.command("facts")(impact.facts)
app.command("export")(impact.export)
app.add_typer(ledger.app, name="ledger")
app.add_typer(report.app, name="report")
app.command("trace")(trace.trace)
app.add_typer(access.app, name="access")
app.command("jobs")(ledger.jobs)
app.command("backup")(ledger.backup)
app.command("restore")(ledger.restore)
app.command("compare")(compare.compare)
app.command("measure")(compare.measure)
app.add_typer(bench_model.app, name="bench-model")
app.command("unlogged")(query.unlogged)
app.command("hosted")(query.hosted)
app.add_typer(factors.app, name="factors")
app.add_typer(serve.token_app, name="token")
app.command("doctor")(serve.doctor)

_EXITS: tuple[tuple[type[FootprintError], Exit], ...] = (
    (ConfigError, Exit.CONFIGURATION),
    (BadQuery, Exit.USAGE),
    (BadPeriod, Exit.USAGE),
    (UsageError, Exit.USAGE),
    (SensorUnavailable, Exit.UNAVAILABLE),
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
        "ecologits": "hosted",
        "typst": "report",
        "segno": "report",
        "httpx": "prometheus",
        "dash": "dashboard",
        "plotly": "dashboard",
        "psycopg": "postgres",
        "codecarbon": "tdp",
    }
    name = (missing.name or "").partition(".")[0]
    if name in ("footprint", "collectors", "dashboards"):
        raise missing
    print(f"footprint: {name} is not installed; pip install 'footprint[{extras.get(name, 'server')}]'", file=sys.stderr)
    return Exit.FAILURE
