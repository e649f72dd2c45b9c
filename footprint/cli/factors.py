"""This file shows the factor book: every factor with its dates, bounds, source and licence."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from footprint.cli.output import Format, emit
from footprint.cli.shared import Exit, FormatOption, OutputOption, UsageError

app = typer.Typer(help="The versioned factor book.", no_args_is_help=True)


def _row(factor: Any) -> dict[str, Any]:
    from footprint.impact.book import COLUMNS

    row = {name: getattr(factor, name) for name in COLUMNS}
    for name in ("valid_from", "valid_to"):
        row[name] = None if row[name] is None else row[name].isoformat()
    return row


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Kinds that begin with this, such as carbon_intensity.")] = None,
    where: Annotated[str | None, typer.Option(help="A country or grid zone.")] = None,
    form: FormatOption = Format.table, output: OutputOption = None,
    config: Annotated[str | None, typer.Option("--config", metavar="FILE")] = None,
) -> int:  # fmt: skip
    """Factors, in order of kind, place and date."""
    del config  # the shipped book is the same for every configuration
    from footprint.impact.book import COLUMNS, shipped_book

    rows = [
        _row(factor) for factor in shipped_book().factors
        if (kind is None or factor.kind.startswith(kind)) and (where is None or factor.where == where)
    ]  # fmt: skip
    emit(COLUMNS, rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


@app.command("show")
def show(
    kind: str, where: str,
    at: Annotated[str | None, typer.Option(help="A date or an instant; default now.")] = None,
    form: FormatOption = Format.table, output: OutputOption = None,
    config: Annotated[str | None, typer.Option("--config", metavar="FILE")] = None,
) -> int:  # fmt: skip
    """The factor that holds at a place and an instant."""
    from footprint.cli.shared import now_us
    from footprint.config import load_config
    from footprint.impact.book import COLUMNS, shipped_book
    from footprint.querying.question import parse_bound

    facts = load_config(config)
    if not kind.startswith(("carbon_intensity",)) and not any(f.kind == kind for f in shipped_book().factors):
        raise UsageError(f"no factor of kind {kind!r}; `footprint factors list` shows the kinds")
    instant = parse_bound("at", at, facts.timezone)
    found = shipped_book().find(kind, where, now_us() if instant is None else instant, facts.timezone)
    emit(COLUMNS, [_row(found)], form, output)
    return Exit.OK
