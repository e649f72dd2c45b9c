"""Sensors of hosts: what they read, and what is known of them."""

from __future__ import annotations

from typing import Annotated

import typer

from footprint.cli.options import ConfigOption, FormatOption, Language, LanguageOption, OutputOption, opened, print_rows, say
from footprint.core.table_output import Format
from footprint.core.timestamps import now_us


def sensors(
    host: Annotated[str | None, typer.Argument(metavar="HOST", help="Host, as its readings name it; default all.")] = None,
    import_: Annotated[
        str | None,
        typer.Option("--import", metavar="FILE", help="First store a report of `footprint-agent selftest --output FILE`."),
    ] = None,
    language: LanguageOption = Language.en,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List the sensors of hosts: verdict, witness, self-test and calibration.

    One row a source of a device, read or not, with the verdict of its witness, what the last self-test found of it, and the
    calibration that holds now.
    """
    from footprint.ledger.selftests import import_selftest
    from footprint.queries.sensors import COLUMNS, sensor_table

    facts, store = opened(config)
    if import_ is not None:
        report = import_selftest(store, import_, now_us(), host)
        say(f"{import_}: self-test of {report['host']}, {report['at']}, sensors: {len(report['sensors'])}")
    rows = sensor_table(store, facts, now_us(), language, host=host)
    empty = f"no sensor of {host} is known" if host else "no sensor is known; `footprint doctor` shows what can be measured here"
    return print_rows(list(COLUMNS), rows, form, output, empty)
