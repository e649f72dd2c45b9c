"""Entry point of the command line: runs one command and turns errors into exit statuses, in one place."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from footprint.cli.exit_status import MEASURING_FAILED, CheckFailed, Exit, SensorUnavailable, UsageError
from footprint.cli.groups import program
from footprint.cli.options import close_stores, say
from footprint.core.records import FootprintError

# Which extra brings a library that is not installed; any other is part of the server.
_EXTRAS = {
    "codecarbon": "tdp",
    "dash": "dashboard",
    "ecologits": "hosted",
    "httpx": "prometheus",
    "plotly": "dashboard",
    "psycopg": "postgres",
    "segno": "report",
    "typst": "report",
}


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; errors that a person can act upon are one line, without a traceback."""
    sys.exit(status_of(arguments))


def status_of(arguments: list[str] | None = None) -> int:
    """Exit status of one command."""
    try:
        result = program().main(arguments, prog_name="footprint", standalone_mode=False)
        return int(result) if isinstance(result, int) else Exit.OK
    except FootprintError as error:
        say(f"footprint: {error}")
        return _status_of_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough.
        sys.stdout = None  # type: ignore[assignment]
        return Exit.OK
    except Exception as error:
        status = _status_of_unexpected(error)
        if status is None:
            raise
        return status
    finally:
        close_stores()


def _status_of_unexpected(error: Exception) -> int | None:
    """Exit status of an error that is not the program's own; None to raise it again, for debugging."""
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, OSError):
        say(f"footprint: {error}")
        return Exit.FAILURE
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # typer's own, which it does not export
        error.show()
        is_measure = getattr(getattr(error, "ctx", None), "info_name", "") == "measure"
        return MEASURING_FAILED if is_measure else int(error.exit_code)
    return None if os.environ.get("FOOTPRINT_DEBUG") else _unexpected(error)


def _status_of_error(error: FootprintError) -> Exit:
    from footprint.calendar.periods import BadPeriod
    from footprint.config import ConfigError
    from footprint.core.log_formats import BadMap
    from footprint.core.prometheus_metrics import SourceUnavailable
    from footprint.core.secret_files import SecretFileError
    from footprint.figures.query import BadQuery
    from footprint.storage.database import StoreMissing, StoreOutdated, StoreTooNew

    statuses: tuple[tuple[type[FootprintError], Exit], ...] = (
        (ConfigError, Exit.CONFIGURATION),
        (BadMap, Exit.CONFIGURATION),
        (StoreMissing, Exit.CONFIGURATION),
        (StoreOutdated, Exit.CONFIGURATION),
        (StoreTooNew, Exit.CONFIGURATION),
        (SecretFileError, Exit.CONFIGURATION),
        (BadQuery, Exit.USAGE),
        (BadPeriod, Exit.USAGE),
        (UsageError, Exit.USAGE),
        (SensorUnavailable, Exit.UNAVAILABLE),
        (SourceUnavailable, Exit.UNAVAILABLE),
        (CheckFailed, Exit.CHECK_FAILED),
    )
    return next((status for kind, status in statuses if isinstance(error, kind)), Exit.FAILURE)


def _unexpected(error: Exception) -> int:
    """One line about an error that nobody foresaw."""
    from sqlalchemy.exc import DBAPIError

    from footprint.storage.database import database_message

    if isinstance(error, DBAPIError):
        say(f"footprint: the store does not answer: {database_message(error)}")
        return Exit.FAILURE
    trace = traceback.extract_tb(error.__traceback__)[-1]
    say(
        f"footprint: unexpected {type(error).__name__}: {error} ({trace.filename}:{trace.lineno}); "
        "FOOTPRINT_DEBUG=1 prints the whole trace for a report"
    )
    return Exit.FAILURE


def _missing(missing: ModuleNotFoundError) -> int:
    name = (missing.name or "").partition(".")[0]
    if name in ("footprint", "collectors", "dashboards"):
        raise missing
    say(f"footprint: {name} is not installed; pip install 'footprint[{_EXTRAS.get(name, 'server')}]'")
    return Exit.FAILURE
