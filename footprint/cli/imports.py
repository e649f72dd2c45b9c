"""Import into the ledger: readings, requests, users and other programs' data; list and withdraw batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import Exit, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, loaded, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from footprint.core.log_formats import FieldMap
    from footprint.core.log_values import Times
    from footprint.ledger.importers import ImportResult

app = command_group("Import readings, requests and users; list and withdraw batches.")
Files = Annotated[list[str], typer.Argument(metavar="FILE", help="CSV, JSON Lines or Parquet, .gz too; - is standard input.")]
RejectsOption = Annotated[
    Path | None, typer.Option("--rejects", metavar="FILE", help="Refused lines; default ./<input>.rejected.jsonl.")
]
ZoneOption = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="Zone of times that state none, such as Europe/Paris.")
]
DatesOption = Annotated[str, typer.Option("--dates", metavar="ORDER", help="Of dates with slashes: dmy or mdy.")]
OriginOption = Annotated[str, typer.Option("--origin", metavar="T", help="Instant from which the times of a trace count.")]
AnywayOption = Annotated[bool, typer.Option("--anyway", help="Take also what is refused as implausible, and flag it.")]


@app.command("energy")
def energy(
    files: Files,
    rejects: RejectsOption = None,
    anyway: AnywayOption = False,
    config: ConfigOption = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="A tool's output: nvidia-smi, turbostat, …, or a map as a TOML file."),
    ] = None,
    host: Annotated[str, typer.Option(metavar="NAME", help="With --as: the host, where the file names none.")] = "",
    device: Annotated[str, typer.Option(metavar="NAME", help="With --as: the device, in place of the map's.")] = "",
    timezone: ZoneOption = "",
    dates: DatesOption = "",
    origin: OriginOption = "",
) -> int:
    """Import readings of energy or power, also as other tools and spreadsheets write them."""
    from footprint.core.log_formats import Options, load_map
    from footprint.ledger.energy_file import COLUMNS
    from footprint.ledger.importers import import_energy

    times = _written_times(timezone, dates)
    if as_ is None:
        if host or device or origin:
            raise UsageError("--host, --device and --origin go with --as, which names the form of the file")
        _, store = opened(config, create=True)
        return _import_files(
            files, rejects, lambda path: import_energy(store, path, now_us(), times=times, anyway=anyway), COLUMNS
        )
    constants = {name: value for name, value in (("host", host), ("device", device)) if value}
    field_map = load_map(as_, Options(zone=timezone, dates=dates, origin=origin, constants=constants))
    _check_kind(field_map, "energy")
    if "host" not in field_map.columns:
        raise UsageError(f"the map {field_map.name} reads no host; name it: --host NAME")
    field_map.check_readable()
    _, store = opened(config, create=True)

    def import_one(path: str) -> ImportResult:
        return import_energy(store, path, now_us(), field_map=field_map, anyway=anyway)

    return _import_files(files, rejects, import_one, field_map=field_map)


@app.command("requests")
def requests(
    files: Files,
    rejects: RejectsOption = None,
    anyway: AnywayOption = False,
    config: ConfigOption = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Another program's log: a [[gateway]], a shipped map, a TOML file.")
    ] = None,
    service: Annotated[str, typer.Option(metavar="NAME", help="With --as: the service of all requests.")] = "",
    timezone: ZoneOption = "",
    dates: DatesOption = "",
    origin: OriginOption = "",
) -> int:
    """Import requests of gateways: time, service, use case and tokens."""
    from footprint.core.log_formats import Options
    from footprint.ledger.importers import import_mapped_log, import_requests
    from footprint.ledger.request_file import COLUMNS

    times = _written_times(timezone, dates)
    if as_ is None:
        if service or origin:
            raise UsageError("--service and --origin go with --as, which names the form of the log")
        facts, store = opened(config, create=True)

        def import_plain(path: str) -> ImportResult:
            return import_requests(store, facts, path, now_us(), times=times, anyway=anyway)

        return _import_files(files, rejects, import_plain, COLUMNS)
    facts = loaded(config)
    field_map = facts.field_map(as_, Options(service=service, zone=timezone, dates=dates, origin=origin))
    _check_kind(field_map, "requests")
    field_map.check_readable()
    facts, store = opened(config, create=True)

    def import_one(path: str) -> ImportResult:
        return import_mapped_log(store, facts, path, field_map, now_us(), anyway=anyway)

    return _import_files(files, rejects, import_one, field_map=field_map)


def _written_times(timezone: str, dates: str) -> Times | None:
    """How times are written that do not say their zone or order; None if nothing is stated."""
    from footprint.core.log_times import DATE_ORDERS, zone_of
    from footprint.core.log_values import Times

    if dates and dates not in DATE_ORDERS:
        raise UsageError(f"--dates is {dates!r}; it must be dmy (14/10/2026) or mdy (10/14/2026)")
    try:
        zone = zone_of(timezone) if timezone else None
    except ValueError as bad:
        raise UsageError(f"--timezone: {bad}") from None
    return Times(zone, dates) if timezone or dates else None


def _check_kind(field_map: FieldMap, kind: str) -> None:
    if field_map.kind != kind:
        raise UsageError(
            f"the map {field_map.name} reads {field_map.kind}: footprint import {field_map.kind} --as {field_map.name}"
        )


@app.command("prometheus")
def prometheus(
    url: Annotated[str, typer.Argument(metavar="URL", help="A Prometheus or VictoriaMetrics, such as http://prometheus:9090.")],
    from_: Annotated[str | None, typer.Option("--from", metavar="T", help="Default: an hour ago.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="T", help="Default: now.")] = None,
    exporter: Annotated[str, typer.Option(help="Only this exporter's metrics, where several show the same.")] = "",
    host_label: Annotated[str, typer.Option(help="The label that names the host; default the first usual one.")] = "",
    exporters: Annotated[
        Path | None,
        typer.Option(
            "--exporters", metavar="FILE", help="More exporters, in the columns of data/exporters.csv; they come first."
        ),
    ] = None,
    config: ConfigOption = None,
) -> int:
    """Import energy and counts from a Prometheus server.

    Raw samples of exporters and gateways; may be stopped and started again. Exits 1 if nothing was taken.
    """
    from footprint.core.prometheus_metrics import add_exporters
    from footprint.core.units import US_PER_HOUR
    from footprint.figures.query import parse_bound
    from footprint.ledger.prometheus_import import Remarks, import_prometheus
    from footprint.ledger.prometheus_request_import import import_gateway_counters

    facts, store = opened(config, create=True)
    now = now_us()
    start, end = parse_bound("from", from_, facts.timezone), parse_bound("to", to, facts.timezone)
    start, end = now - US_PER_HOUR if start is None else start, now if end is None else end
    if exporters is not None:
        add_exporters(exporters)
    remarks = Remarks()
    energies = import_prometheus(store, url, start, end, now, exporter=exporter, host_label=host_label, remarks=remarks)
    imports = [energies]
    say(_summary(energies, Path()))  # before the gateways are asked: this is stored, whatever comes
    if not exporter:
        gateways = import_gateway_counters(store, facts, url, start, end, now, remarks=remarks)
        imports.append(gateways)
        say(_summary(gateways, Path()))
    for text in remarks:
        say(text)
    if not any(imported.accepted or imported.duplicates for imported in imports):
        say("nothing was taken: no metric of this period is one that the table of exporters knows (data/exporters.csv)")
        return Exit.FAILURE
    return Exit.INCOMPLETE if any(imported.rejects for imported in imports) else Exit.OK


@app.command("codecarbon")
def codecarbon(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CodeCarbon's emissions.csv: training and batch jobs.")],
    host: Annotated[str, typer.Option(help="The host on which they ran; the file does not say.")] = "codecarbon",
    use_case: Annotated[str, typer.Option(help="The use case of the jobs.")] = "batch",
    rejects: RejectsOption = None,
    anyway: AnywayOption = False,
    config: ConfigOption = None,
) -> int:
    """Import the energy of jobs that CodeCarbon measured or modelled.

    Quality C; jobs are refused for times at which this service's own agent measured.
    """
    from footprint.ledger.codecarbon_import import placement_lines
    from footprint.ledger.importers import import_codecarbon
    from footprint.ledger.rejects import file_rejects, write_rejects

    facts, store = opened(config, create=True)
    imports, runs = import_codecarbon(store, facts, file, host, use_case, now_us(), anyway=anyway)
    refused = file_rejects()
    for imported in imports:
        refused.extend(imported.rejects)
    target = rejects or Path(f"{Path(file).name}.rejected.jsonl")
    write_rejects(target, refused)
    for imported in imports:
        say(_summary(imported, target))
    placed = {(placement.host, placement.device) for placement in facts.placements}
    missing = [line for line in placement_lines(host, runs) if not any(f"{h}/{d}" in line for h, d in placed)]
    if missing:
        say("their energy is (unattributed) until devices are placed:", *(f"  {line}" for line in missing))
    if refused and not runs:
        say(f"{file}: nothing was taken")
        return Exit.FAILURE
    return Exit.INCOMPLETE if refused else Exit.OK


@app.command("users")
def users(files: Files, rejects: RejectsOption = None, config: ConfigOption = None) -> int:
    """Import distinct users per publication cell, for disclosure control."""
    from footprint.ledger.importers import import_users

    _, store = opened(config, create=True)
    return _import_files(files, rejects, lambda path: import_users(store, path, now_us()))


def _import_files(
    files: list[str],
    rejects: Path | None,
    import_one: Callable[[str], ImportResult],
    columns: Collection[str] = (),
    field_map: FieldMap | None = None,
) -> int:
    from footprint.ledger.input_description import looks_like, unread_columns
    from footprint.ledger.rejects import write_rejects

    if rejects is not None and len(files) > 1:
        raise UsageError("--rejects takes one file at a time; without it each input has its own")
    refused, none_taken = 0, False
    for path in files:
        imported = import_one(path)
        target = rejects or Path(f"{'stdin' if path == '-' else Path(path).name}.rejected.jsonl")
        write_rejects(target, imported.rejects)
        refused += len(imported.rejects)
        say(_summary(imported, target))
        if unread := unread_columns(path, columns or (() if field_map is None else field_map.top_fields())):
            say(f"{path}: not read: {', '.join(unread)}")
        if field_map is not None:
            say(*(f"{path}: {remark}" for remark in field_map.take_remarks()))
        if not imported.accepted and not imported.duplicates:
            none_taken = True
            has_columns = any(not reason.startswith("line: ") for reason in imported.rejects.by_reason) or field_map is None
            say(f"{path}: nothing was taken{looks_like(path, has_columns=has_columns)}")
    if none_taken:
        return Exit.FAILURE
    return Exit.INCOMPLETE if refused else Exit.OK


def _summary(imported: ImportResult, target: Path) -> str:
    text = f"{imported.path}: {imported.accepted} new, {imported.duplicates} already known, {len(imported.rejects)} refused"
    if not imported.accepted and imported.duplicates and not imported.rejects:
        text += "; nothing changed"
    if imported.implausible:
        text += f"; {imported.implausible} implausible and taken anyway"
    if imported.mended:
        text += f"; mended: {', '.join(f'{count} x {reason}' for reason, count in imported.mended.most_common())}"
    if imported.batch is not None:
        text += f" (batch {imported.batch})"
    if imported.rejects:
        first = imported.rejects[0]
        text += f"; see {target}, first: line {first.line}, {first.column}: {first.reason}"
    return text


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the imported batches."""
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
    batch: int, reason: Annotated[str, typer.Option("--reason", help="Why; kept in the store.")], config: ConfigOption = None
) -> int:
    """Withdraw a batch: its rows count nowhere and its days are computed again."""
    from footprint.ledger.import_batches import withdraw_batch

    if not reason.strip():
        raise UsageError("--reason must say why")
    _, store = opened(config)
    rows = withdraw_batch(store, batch, reason, now_us())
    say(f"batch {batch} withdrawn: {rows} rows no longer count; `footprint aggregate` computes their days again")
    return Exit.OK
