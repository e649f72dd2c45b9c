"""Options that several commands share, and what they open."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import Exit
from footprint.core.limits import printable
from footprint.core.table_output import Format, emit

if TYPE_CHECKING:
    from footprint.config import Config
    from footprint.storage.database import Store


_open_stores: list[Store] = []


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


ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Configuration; default $FOOTPRINT_CONFIG, else ./footprint.toml.")
]
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


def say(*lines: str) -> None:
    """Print a message for people on standard error, with control characters and line ends of names made visible."""
    for line in lines:
        print(printable(line), file=sys.stderr)


def print_lines(text: str) -> None:
    """Print a text of several lines on standard output, with control characters of names made visible."""
    for line in text.removesuffix("\n").split("\n"):
        print(printable(line))


def open_store(config: Config, *, create: bool = False) -> Store:
    """Open the store that the configuration names until the command ends; an absent one is refused unless ``create`` is set."""
    from footprint.storage.database import Opening, Store, StoreMissing

    try:
        store = Store(config.store_url, demo=config.demo, opening=Opening.create if create else Opening.existing)
    except StoreMissing:
        if config.path is not None or not config.store_url.startswith("sqlite:"):
            raise
        raise StoreMissing(
            f"no configuration and no store here ({Path.cwd()}); name one with --config FILE or FOOTPRINT_CONFIG=FILE, "
            "or begin here with `footprint init` and `footprint up`"
        ) from None
    _open_stores.append(store)
    return store


def close_stores() -> None:
    """Close the stores of a command that ends, so that SQLite removes its log."""
    while _open_stores:
        _open_stores.pop().close()


def opened(config_file: str | None, *, create: bool = False) -> tuple[Config, Store]:
    """Configuration and open store of a command; only commands that bring data set ``create``."""
    from footprint.config import load_config

    config = load_config(config_file)
    return config, open_store(config, create=create)


def loaded(config_file: str | None) -> Config:
    """Configuration of a command that needs no store."""
    from footprint.config import load_config

    return load_config(config_file)


def opened_if_any(config_file: str | None) -> tuple[Config, Store | None]:
    """Configuration and store of a command that also works without a store."""
    from footprint.storage.database import StoreMissing

    config = loaded(config_file)
    try:
        return config, open_store(config)
    except StoreMissing:
        return config, None


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
