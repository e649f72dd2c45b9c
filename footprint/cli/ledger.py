"""This file keeps the ledger: seals days, checks hashes, erases by rule, backs up and restores; and shows the jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.impact import LanguageOption, language_of
from footprint.cli.options import CheckFailed, ConfigOption, Exit, FormatOption, OutputOption, UsageError, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_DAY, US_PER_S

app = typer.Typer(help="Sealed days, their hash chains, retention.", no_args_is_help=True)


@app.command("seal")
def seal(config: ConfigOption = None) -> int:
    """Seal every day that is closed, take old ones out of the database; what the scheduler does each hour."""
    from footprint.server.job_runs import run_job
    from footprint.server.jobs import job_named

    facts, store = opened(config)
    said = run_job(store, facts, job_named("seal"), now_us())
    say(f"{facts.sealed_url()}: {said or 'another process is at it'}")
    return Exit.OK


@app.command("verify")
def verify(
    folder: Annotated[str | None, typer.Argument(metavar="[FOLDER]", help="Default: where this ledger seals.")] = None,
    config: ConfigOption = None,
) -> int:
    """Every hash of the sealed files, and every balance of the ledger; exit 6 names what was changed."""
    from footprint.ledger.object_store import ObjectStore
    from footprint.ledger.verifier import verify as check
    from footprint.queries.energy_balance import energy_balance

    facts, store = opened(config)
    with ObjectStore(folder or facts.sealed_url()).local() as files:
        faults, notes = check(files)
    for note in notes:
        say(f"note: {note}")
    if folder is None:
        open_ = [row["host"] for row in energy_balance(store, facts, None, None) if not row["closes"]]
        faults += [f"the balance of {host} does not close" for host in open_]
    for fault in faults:
        print(fault)
    if faults:
        raise CheckFailed(f"{len(faults)} faults")
    say("as it was sealed" + ("" if folder else ", and every balance closes"))
    return Exit.OK


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """Sealed parts: source, day, file, sha256, rows, whether they left the database."""
    from sqlalchemy import select

    from footprint.storage import schema
    from footprint.storage.database import table

    _, store = opened(config)
    target = table(schema.Sealed)
    with store.read() as connection:
        found = connection.execute(select(target).order_by(target.c.source, target.c.seq)).all()
    columns = ["source", "seq", "day", "part", "file", "sha256", "rows", "sealed", "retired"]
    rows = [
        {
            "source": row.source,
            "seq": row.seq,
            "day": format_instant(row.day * US_PER_DAY)[:10],
            "part": row.part,
            "file": row.file or None,
            "sha256": row.sha256 or None,
            "rows": row.rows,
            "sealed": format_instant(row.sealed_us),
            "retired": row.retired,
        }
        for row in found
    ]
    emit(columns, rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


@app.command("retention")
def retention(
    language: LanguageOption = "en", config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None
) -> int:
    """Of every table what it holds, for how long, and whether that is about persons."""
    from footprint.ledger.retention import COLUMNS, retention_rows

    facts, _ = opened(config)
    emit(list(COLUMNS), retention_rows(facts, language_of(language)), form, output)
    return Exit.OK


@app.command("register")
def register(language: LanguageOption = "fr", config: ConfigOption = None) -> int:
    """The record for a data-protection register, as Markdown, generated from the rules of retention."""
    from footprint.ledger.retention import processing_register as written

    facts, _ = opened(config)
    print(written(facts, language_of(language)), end="")
    return Exit.OK


@app.command("erase")
def erase(
    before: Annotated[str, typer.Option("--before", metavar="DATE", help="Sealed requests of days before this one (UTC).")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the chain.")],
    config: ConfigOption = None,
) -> int:
    """Erase sealed requests; their figures stand, and can no longer be computed again."""
    from footprint.figures.query import parse_bound
    from footprint.ledger.object_store import ObjectStore
    from footprint.ledger.retention import erase_requests

    if not reason.strip():
        raise UsageError("--reason must say why")
    facts, store = opened(config)
    instant = parse_bound("before", f"{before}T00:00:00Z" if len(before) == len("2026-01-01") else before, facts.timezone)
    if instant is None or instant > now_us():
        raise UsageError("--before must be a date that is past")
    with store.exclusive_lock("seal", wait=True):
        gone = erase_requests(store, ObjectStore(facts.sealed_url()), instant // US_PER_DAY, reason, now_us())
    say(f"{gone} sealed parts erased; the chain keeps their sha256")
    return Exit.OK


def jobs(
    all_: Annotated[bool, typer.Option("--all", help="Every run that is kept, not only each job's last.")] = False,
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="Run one now.")] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Jobs of the scheduler: when each last ran, how long, what came of it."""
    from footprint.server.job_runs import latest_runs, run_job
    from footprint.server.jobs import job_named

    facts, store = opened(config)
    if run is not None:
        say(run_job(store, facts, job_named(run), now_us()) or "another process is at it")
    rows: list[dict[str, Any]] = [
        {
            "job": found["name"],
            "status": found["status"],
            "started": format_instant(found["started_us"]),
            "duration_s": None if found["ended_us"] is None else (found["ended_us"] - found["started_us"]) / US_PER_S,
            "said": found["said"] or None,
        }
        for found in latest_runs(store, every=all_)
    ]
    emit(["job", "status", "started", "duration_s", "said"], rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A zip that is written.")], config: ConfigOption = None
) -> int:
    """The whole database in one file, of one moment; sealed files are copied by other means."""
    from footprint.ledger.backup import backup as write

    facts, store = opened(config)
    rows = write(store, file, now_us())
    say(f"{file}: {sum(rows.values())} rows of {len(rows)} tables; sealed days stand at {facts.sealed_url()}")
    return Exit.OK


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `footprint backup` wrote.")], config: ConfigOption = None
) -> int:
    """Fill the empty store that the configuration names from a backup; SQLite and PostgreSQL alike."""
    from footprint.config import load_config
    from footprint.ledger.backup import restore as read
    from footprint.storage.database import Store

    store = Store(load_config(config).store_url)
    rows = read(store, file)
    say(f"{file}: {sum(rows.values())} rows restored into {store.engine.url!r}")
    return Exit.OK
