"""This file prints where a published figure comes from, level by level, and computes it again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.impact import LanguageOption, language_of
from footprint.cli.options import CheckFailed, ConfigOption, Exit, FormatOption, OutputOption, UsageError, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import now_us

SHOWN = 8  # rows of a level in the readable text


def trace(
    figure: Annotated[str, typer.Argument(metavar="FIGURE", help="An id such as F-2026Q3-07.")],
    edition: Annotated[str, typer.Option(help="2026-Q3.v1; default: the last version, or the draft.")] = "",
    verify: Annotated[bool, typer.Option("--verify", help="Compute it again from the ledger; exit 6 where it differs.")] = False,
    level: Annotated[str, typer.Option(help="One level whole: definition, formula, facts, days, hours, readings, origins.")] = "",
    host: Annotated[str, typer.Option(help="Hours and readings of this host.")] = "",
    device: Annotated[str, typer.Option(help="Readings of this device.")] = "",
    day: Annotated[str, typer.Option(metavar="DATE", help="Hours and readings of this UTC day.")] = "",
    language: LanguageOption = "en",
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """From a published figure down to the readings: definition, formula, facts, days, hours, readings, where they came from."""
    from footprint.editions import provenance
    from footprint.editions.collect import NoData

    language_of(language)
    if level and level not in provenance.LEVELS:
        raise UsageError(f"--level {level!r} is not known; it may be {', '.join(provenance.LEVELS)}")
    at = _day(day) if day else None
    facts, store = opened(config)
    try:
        found = provenance.find_figure(store, facts, figure, now_us(), edition)
    except NoData as nothing:
        say(str(nothing))
        return Exit.NO_DATA
    told = None
    if verify:
        told = provenance.describe_difference(found.figure, provenance.recompute(store, facts, found, now_us()))
    levels = provenance.trace_figure(store, facts, found, now_us(), language=language, host=host, device=device, day=at)
    if level:
        chosen = next((each for each in levels if each.name == level), None)
        if chosen is None:
            say(f"{figure} is confidential: only its definition is shown" if len(levels) == 1 else f"{figure} has no {level}")
            return Exit.NO_DATA
        emit(list(chosen.columns), chosen.rows, form, output)
        say(f"sha256 of {len(chosen.rows)} rows: {chosen.sha256}")
    elif form is Format.json:
        _write(output, json.dumps(provenance.trace_document(found, levels, told), ensure_ascii=False, indent=1) + "\n")
    elif form is Format.table:
        _write(output, _text(found, levels))
    else:
        raise UsageError(f"--format {form.value} prints one level: add --level days, for example")
    if told is not None:
        say(f"computed again from the ledger: {told}")
        if not told.startswith("identical"):
            raise CheckFailed(f"{figure} {told}")
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
    part = output.with_name(output.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(output)


def _text(found: Any, levels: list[Any]) -> str:
    """For people: the definition line by line, then the head of every level."""
    from footprint.core.table_output import render

    (told,), figure = levels[0].rows, found.figure.id
    lines = [f"{figure}  {told['shown']}  {told['label']}", ""]
    lines += [f"  {name:15} {told[name]}" for name in levels[0].columns if told[name] not in (None, "", figure)]
    for number, each in enumerate(levels[1:], 2):
        head = "" if len(each.rows) <= SHOWN else f", the first {SHOWN}"
        lines += ["", f"{number}. {each.name}: {len(each.rows)} rows{head}; sha256 {each.sha256[:16]}…"]
        shown = render(list(each.columns), each.rows[:SHOWN], Format.table).decode().rstrip("\n")
        lines += [f"   {line}" for line in shown.splitlines()]
        if head:
            lines.append(f"   all of them: {found.command} --level {each.name} --format csv")
    if len(levels) == 1:
        lines += ["", "  confidential: the rows behind it would tell it, and are not shown"]
    lines += ["", f"computed again: {found.command} --verify", ""]
    return "\n".join(lines)
