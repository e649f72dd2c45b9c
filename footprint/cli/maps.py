"""Field maps on the command line: list, show, check and propose maps from other programs' files to requests and readings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import Exit
from footprint.cli.groups import command_group
from footprint.cli.options import FormatOption, OutputOption, say
from footprint.core.output_files import write_output
from footprint.core.table_output import Format, emit, render

if TYPE_CHECKING:
    from footprint.core.log_formats import FieldMap

app = command_group("List, show, check and propose maps that read other programs' files.")


@app.command("list")
def list_(form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the shipped maps: what each reads, and where its form is published."""
    from footprint.core.log_formats import load_map, shipped_maps

    maps = [load_map(name) for name in shipped_maps()]
    rows: list[dict[str, Any]] = [
        {"map": field_map.name, "kind": field_map.kind, "about": field_map.about, "source": ", ".join(field_map.sources)}
        for field_map in maps
    ]
    emit(["map", "kind", "about", "source"], rows, form, output)
    return Exit.OK


@app.command("show")
def show(name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped map.")]) -> int:
    """Print a shipped map, as a start for one of your own."""
    from footprint.core.log_formats import load_map
    from footprint.core.resources import data_path

    load_map(name)
    path = Path(name) if name.endswith(".toml") else data_path("maps") / f"{name}.toml"
    print(path.read_text(encoding="utf-8"), end="")
    return Exit.OK


@app.command("check")
def check(
    file: Annotated[str, typer.Argument(metavar="MAP", help="A TOML file, or the name of a shipped map.")],
    log: Annotated[str | None, typer.Argument(metavar="[LOG]", help="A file to try it on; nothing is stored.")] = None,
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Zone of times without one.")] = "",
    origin: Annotated[str, typer.Option(metavar="T", help="Origin of times that count from one.")] = "",
) -> int:
    """Check a map, and try it on a file: rows, what is left out and why, and ten rows."""
    from footprint.core.log_formats import Options, load_map

    field_map = load_map(file, Options(zone=timezone, origin=origin))
    say(f"{field_map.name}: reads {field_map.kind}; columns {', '.join(field_map.columns)}")
    if log is None:
        return Exit.OK
    return _try(field_map, log)


@app.command("guess")
def guess(
    log: Annotated[str, typer.Argument(metavar="LOG", help="JSON or a table, of a program that no shipped map reads.")],
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="File to write the map to.")] = None,
) -> int:
    """Propose a map for an unknown log, and show ten rows that it reads; never prompts, answers or names of people."""
    from footprint.ledger.map_proposal import propose_map, shown_rows

    proposal = propose_map(log)
    field_map = proposal.field_map
    if proposal.shipped:
        say(f"{log}: the shipped map {proposal.shipped} reads it")
    elif output is not None:
        write_output(output, proposal.text)
    else:
        print(proposal.text, end="")
    _show(field_map, shown_rows(field_map, proposal.documents))
    say(*field_map.remarks())
    name = proposal.shipped or str(output or f"{field_map.name}.toml")
    options = proposal.options
    options += " --host NAME" if field_map.kind == "energy" and "host" not in field_map.columns else ""
    written = "" if proposal.shipped or output is not None else f"Keep it: footprint maps guess {log} --output {name}. "
    say(f"{written}Check it, then: footprint import {field_map.kind} --as {name}{options} {log}")
    return Exit.OK


def _show(field_map: FieldMap, rows: list[dict[str, Any]]) -> None:
    columns = [name for name in field_map.columns if name != "id"]
    say(*render(columns, rows, Format.table).decode().splitlines())


def _try(field_map: FieldMap, log: str) -> int:
    from footprint.ledger.map_proposal import try_map

    rows, taken, rejects = try_map(field_map, log)
    _show(field_map, rows)
    say(f"{log}: {taken} rows, {len(rejects)} lines that cannot be read", *field_map.remarks())
    for reason, count in sorted(rejects.by_reason.items()):
        say(f"{count} lines: {reason}")
    if not taken:
        return Exit.FAILURE
    return Exit.INCOMPLETE if rejects else Exit.OK
