"""Options that several commands share, and what they open."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import Exit
from footprint.core.table_output import Format, emit

if TYPE_CHECKING:
    from footprint.config import Config
    from footprint.storage.database import Store


class Every(StrEnum):
    """Periods that rows are cut into."""

    hour = "hour"
    day = "day"
    week = "week"
    month = "month"
    quarter = "quarter"
    year = "year"
    all = "all"


class QueryView(StrEnum):
    """Whether idle energy stands in its own row, or is divided over a service's own use cases."""

    active = "active"
    full = "full"


class Language(StrEnum):
    """Language of labels."""

    fr = "fr"
    en = "en"


ConfigOption = Annotated[str | None, typer.Option("--config", metavar="FILE", help="Configuration; default ./footprint.toml.")]
FromOption = Annotated[str | None, typer.Option("--from", metavar="T", help="Start: RFC 3339, or a date of the organisation.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="T", help="End, exclusive.")]
GroupOption = Annotated[
    str | None, typer.Option("--group", metavar="NAMES", help="service, use_case, model, device, host, site, charter; by comma.")
]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", metavar="NAME=VALUE", help="Keep only these rows; may be repeated.")
]
EveryOption = Annotated[Every, typer.Option("--every", help="Length of a period.")]
ViewOption = Annotated[QueryView, typer.Option("--view", help="full: idle energy divided over the service's use cases.")]
LanguageOption = Annotated[Language, typer.Option("--lang", help="Language of labels.")]
FormatOption = Annotated[Format, typer.Option("--format", help="Format of the data.")]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="File to write the data to.")]


def say(text: str) -> None:
    """Print a message for people on standard error."""
    print(text, file=sys.stderr)


def open_store(config: Config) -> Store:
    """Open the store that the configuration names; figures of an earlier release are converted under a bar of progress."""
    from footprint.cli.progress import Progress
    from footprint.storage.database import Store

    progress = Progress("Converting figures", unit="days", quiet_s=5)
    try:
        return Store(config.store_url, demo=config.demo, progress=progress.count)
    finally:
        progress.close()


def opened(config_file: str | None) -> tuple[Config, Store]:
    """Configuration and open store of a command."""
    from footprint.config import load_config

    config = load_config(config_file)
    return config, open_store(config)


def bounds_of(config: Config, from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Bounds [µs] of the options ``--from`` and ``--to``; None where one is absent."""
    from footprint.figures.query import parse_bound

    return parse_bound("from", from_, config.timezone), parse_bound("to", to, config.timezone)


def print_rows(columns: list[str], rows: list[dict[str, Any]], form: Format, output: Path | None, empty: str) -> int:
    """Print a table; without rows say ``empty`` and give the status 7."""
    emit(columns, rows, form, output)
    if not rows:
        say(empty)
        return Exit.NO_DATA
    return Exit.OK
