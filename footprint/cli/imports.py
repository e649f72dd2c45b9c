"""This file brings files into the ledger, lists what was brought in, and takes a batch back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.options import ConfigOption, Exit, FormatOption, OutputOption, UsageError, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from footprint.ledger.importers import ImportResult

app = typer.Typer(help="Bring readings, requests and users into the ledger.", no_args_is_help=True)
Files = Annotated[list[str], typer.Argument(metavar="FILE…", help="CSV, JSON Lines or Parquet, .gz too; - is standard input.")]
RejectsOption = Annotated[
    Path | None, typer.Option("--rejects", metavar="FILE", help="Refused lines; default ./<input>.rejected.jsonl.")
]


@app.command("energy")
def energy(files: Files, rejects: RejectsOption = None, config: ConfigOption = None) -> int:
    """Readings of energy or power."""
    from footprint.ledger.importers import import_energy

    _, store = opened(config)
    return _each(files, rejects, lambda path: import_energy(store, path, now_us()))


@app.command("requests")
def requests(
    files: Files,
    rejects: RejectsOption = None,
    config: ConfigOption = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Another program's log: a [[gateway]], a shipped map, a TOML file.")
    ] = None,
) -> int:
    """Requests of the gateways: when, for which service and use case, how many tokens."""
    from footprint.ledger.importers import import_mapped_log, import_requests

    facts, store = opened(config)
    if as_ is None:
        return _each(files, rejects, lambda path: import_requests(store, facts, path, now_us()))
    found = facts.field_map(as_)
    return _each(files, rejects, lambda path: import_mapped_log(store, facts, path, found, now_us()))


@app.command("prometheus")
def prometheus(
    url: Annotated[str, typer.Argument(metavar="URL", help="A Prometheus or VictoriaMetrics, such as http://prometheus:9090.")],
    from_: Annotated[str | None, typer.Option("--from", metavar="T", help="Default: an hour ago.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="T", help="Default: now.")] = None,
    exporter: Annotated[str, typer.Option(help="Only this exporter's metrics, where several show the same.")] = "",
    host_label: Annotated[str, typer.Option(help="The label that names the host; default the first usual one.")] = "",
    config: ConfigOption = None,
) -> int:
    """Energy and counts that exporters and gateways gave to a Prometheus: raw samples; may be stopped and begun again."""
    from footprint.core.units import US_PER_HOUR
    from footprint.figures.query import parse_bound
    from footprint.ledger.prometheus_import import import_prometheus
    from footprint.ledger.prometheus_request_import import import_gateway_counters

    facts, store = opened(config)
    now = now_us()
    start, end = parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)
    start, end = now - US_PER_HOUR if start is None else start, now if end is None else end
    done = import_prometheus(store, url, start, end, now, exporter=exporter, host_label=host_label)
    asked = import_gateway_counters(store, facts, url, start, end, now) if not exporter else None
    for each in filter(None, (done, asked)):
        say(_told(each, Path()))
    if not any(each.accepted or each.duplicates for each in filter(None, (done, asked))):
        say("nothing new that the table of exporters knows (data/exporters.csv)")
    return Exit.OK


@app.command("codecarbon")
def codecarbon(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CodeCarbon's emissions.csv: training and batch jobs.")],
    host: Annotated[str, typer.Option(help="The host on which they ran; the file does not say.")] = "codecarbon",
    use_case: Annotated[str, typer.Option(help="The use case of the jobs.")] = "batch",
    rejects: RejectsOption = None,
    config: ConfigOption = None,
) -> int:
    """Energy of jobs that CodeCarbon measured or modelled; graded C. What our agent measured then is refused."""
    from footprint.ledger.codecarbon_import import placement_lines
    from footprint.ledger.importers import import_codecarbon
    from footprint.ledger.rejects import write_rejects

    facts, store = opened(config)
    done, runs = import_codecarbon(store, facts, file, host, use_case, now_us())
    refused = [reject for each in done for reject in each.rejects]
    target = rejects or Path(f"{Path(file).name}.rejected.jsonl")
    write_rejects(target, refused)
    for each in done:
        say(_told(each, target))
    placed = {(placement.host, placement.device) for placement in facts.placements}
    missing = [line for line in placement_lines(host, runs) if not any(f"{h}/{d}" in line for h, d in placed)]
    if missing:
        say("their energy is (unattributed) until devices are placed:\n  " + "\n  ".join(missing))
    return Exit.INCOMPLETE if refused else Exit.OK


@app.command("users")
def users(files: Files, rejects: RejectsOption = None, config: ConfigOption = None) -> int:
    """Distinct users per publication cell, for disclosure control."""
    from footprint.ledger.importers import import_users

    _, store = opened(config)
    return _each(files, rejects, lambda path: import_users(store, path, now_us()))


def _each(files: list[str], rejects: Path | None, bring: Callable[[str], ImportResult]) -> int:
    from footprint.ledger.rejects import write_rejects

    if rejects is not None and len(files) > 1:
        raise UsageError("--rejects takes one file at a time; without it each input has its own")
    refused = 0
    for path in files:
        done = bring(path)
        target = rejects or Path(f"{'stdin' if path == '-' else Path(path).name}.rejected.jsonl")
        write_rejects(target, done.rejects)
        refused += len(done.rejects)
        say(_told(done, target))
    return Exit.INCOMPLETE if refused else Exit.OK


def _told(done: ImportResult, target: Path) -> str:
    said = f"{done.path}: {done.accepted} new, {done.duplicates} already known, {len(done.rejects)} refused"
    if not done.accepted and done.duplicates and not done.rejects:
        said += "; nothing changed"
    if done.batch is not None:
        said += f" (batch {done.batch})"
    if done.rejects:
        first = done.rejects[0]
        said += f"; see {target}, first: line {first.line}, {first.column}: {first.reason}"
    return said


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """What was imported, batch by batch."""
    from footprint.ledger.import_batches import list_batches

    _, store = opened(config)
    columns = ["batch", "kind", "name", "imported", "accepted", "duplicates", "rejected", "withdrawn", "reason", "sha256"]
    rows: list[dict[str, Any]] = [
        {
            "batch": row["id"],
            "kind": row["kind"],
            "name": row["name"],
            "imported": format_instant(row["imported_us"]),
            "accepted": row["accepted"],
            "duplicates": row["duplicates"],
            "rejected": row["rejected"],
            "withdrawn": None if row["withdrawn_us"] is None else format_instant(row["withdrawn_us"]),
            "reason": row["reason"] or None,
            "sha256": row["sha256"] or None,
        }
        for row in list_batches(store)
    ]
    emit(columns, rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


@app.command("withdraw")
def withdraw(
    batch: int, reason: Annotated[str, typer.Option("--reason", help="Why; kept for good.")], config: ConfigOption = None
) -> int:
    """Take a batch back: its rows are kept apart and counted nowhere, its days are computed again."""
    from footprint.ledger.import_batches import withdraw_batch as take_back

    if not reason.strip():
        raise UsageError("--reason must say why")
    _, store = opened(config)
    gone = take_back(store, batch, reason, now_us())
    say(f"batch {batch} withdrawn: {gone} rows no longer count; `footprint aggregate` computes their days again")
    return Exit.OK
