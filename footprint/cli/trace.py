"""Provenance of a published figure, level by level, and its recomputation."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.exit_status import CheckFailed, Exit, UsageError
from footprint.cli.options import ConfigOption, FormatOption, Language, LanguageOption, OutputOption, opened, say
from footprint.core.limits import printable
from footprint.core.output_files import write_output
from footprint.core.table_output import Format, emit, json_text
from footprint.core.timestamps import now_us

PREVIEW_ROWS = 8  # rows of a level in the readable text


class Level(StrEnum):
    """Levels of a trace, from the definition down."""

    definition = "definition"
    formula = "formula"
    facts = "facts"
    days = "days"
    hours = "hours"
    readings = "readings"
    origins = "origins"


def trace(
    figure: Annotated[str, typer.Argument(metavar="FIGURE", help="An id such as F-2026Q3-07.")],
    edition: Annotated[str, typer.Option(help="2026-Q3.v1; default: the latest version, or the draft.")] = "",
    verify: Annotated[bool, typer.Option("--verify", help="Recompute it from the ledger; exit 6 where it differs.")] = False,
    level: Annotated[Level | None, typer.Option(help="Print this level alone.")] = None,
    host: Annotated[str, typer.Option(help="Hours and readings of this host.")] = "",
    device: Annotated[str, typer.Option(help="Readings of this device.")] = "",
    day: Annotated[str, typer.Option(metavar="DATE", help="Hours and readings of this UTC day.")] = "",
    language: LanguageOption = Language.en,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Follow a published figure down to the readings.

    Definition, formula, facts, days, hours, readings and their origin.
    """
    from footprint.editions import provenance
    from footprint.editions.collect import NoData

    at = _day(day) if day else None
    facts, store = opened(config)
    try:
        traced = provenance.find_figure(store, facts, figure, now_us(), edition)
    except NoData as nothing:
        say(str(nothing))
        return Exit.NO_DATA
    recomputed = None
    if verify:
        recomputed = provenance.describe_difference(traced.figure, provenance.recompute(store, facts, traced, now_us()))
    levels = provenance.trace_figure(store, facts, traced, now_us(), language=language, host=host, device=device, day=at)
    if level:
        chosen = next((candidate for candidate in levels if candidate.name == level), None)
        if chosen is None:
            say(f"{figure} is confidential: only its definition is shown" if len(levels) == 1 else f"{figure} has no {level}")
            return Exit.NO_DATA
        emit(list(chosen.columns), chosen.rows, form, output)
        say(f"sha256 of {len(chosen.rows)} rows: {chosen.sha256}")
    elif form is Format.json:
        _write(output, json_text(provenance.trace_document(traced, levels, recomputed), indent=1) + "\n")
    elif form is Format.table:
        _write(output, _text(traced, levels))
    else:
        raise UsageError(f"--format {form.value} prints one level: add --level days, for example")
    if recomputed is not None:
        say(f"recomputed from the ledger: {recomputed}")
        if not recomputed.startswith("identical"):
            raise CheckFailed(f"{figure} {recomputed}")
    return Exit.OK


def _day(text: str) -> int:
    """Days since the epoch of a UTC date."""
    from footprint.core.timestamps import BadTimestamp, parse_instant
    from footprint.core.units import US_PER_DAY

    try:
        return parse_instant(f"{text}T00:00:00Z") // US_PER_DAY
    except BadTimestamp:
        raise UsageError(f"--day {text!r} must be written 2026-09-10") from None


def _write(output: Path | None, text: str) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    write_output(output, text)


def _text(traced: Any, levels: list[Any]) -> str:
    """For people: the definition line by line, then the head of every level."""
    from footprint.core.table_output import render

    (definition,), figure = levels[0].rows, traced.figure.id
    lines = [f"{figure}  {definition['shown']}  {definition['label']}", ""]
    lines += [f"  {name:15} {definition[name]}" for name in levels[0].columns if definition[name] not in (None, "", figure)]
    for number, level in enumerate(levels[1:], 2):
        head = "" if len(level.rows) <= PREVIEW_ROWS else f", the first {PREVIEW_ROWS}"
        lines += ["", f"{number}. {level.name}: {len(level.rows)} rows{head}; sha256 {level.sha256[:16]}…"]
        shown = render(list(level.columns), level.rows[:PREVIEW_ROWS], Format.table).decode().rstrip("\n")
        lines += [f"   {line}" for line in shown.splitlines()]
        if head:
            lines.append(f"   all of them: {traced.command} --level {level.name} --format csv")
    if len(levels) == 1:
        lines += ["", "  confidential: the rows behind it would tell it, and are not shown"]
    lines += ["", f"computed again: {traced.command} --verify", ""]
    return "\n".join(map(printable, lines))
