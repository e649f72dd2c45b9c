"""This file holds the options that every command has, and opens what they name."""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from footprint.config import Config, load_config
from footprint.core.records import FootprintError
from footprint.core.table_output import Format
from footprint.storage.database import Store


class Exit(IntEnum):
    """Exit statuses (contract, section 2)."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    UNAVAILABLE = 4
    INCOMPLETE = 5
    CHECK_FAILED = 6
    NO_DATA = 7
    INTERRUPTED = 130


class SensorUnavailable(FootprintError):
    """A sensor or a source that cannot be reached."""


class CheckFailed(FootprintError):
    """A budget, a coverage or a verification that is not met."""


class UsageError(FootprintError):
    """Options that do not go together."""


ConfigOption = Annotated[str | None, typer.Option("--config", metavar="FILE", help="Configuration; default ./footprint.toml.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print data.")]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write data to a file.")]


def say(text: str) -> None:
    """A message for people, on standard error."""
    print(text, file=sys.stderr)


def open_store(config: Config) -> Store:
    """The store that the configuration names."""
    return Store(config.store_url, demo=config.demo)


def opened(config_file: str | None) -> tuple[Config, Store]:
    """Configuration and store of a command."""
    config = load_config(config_file)
    return config, open_store(config)
