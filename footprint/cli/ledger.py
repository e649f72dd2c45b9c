"""Ledger keeping: sealed days, hash chains, retention, backup and restore; and the jobs of the scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.exit_status import CheckFailed, Exit, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import (
    ConfigOption,
    FormatOption,
    Language,
    LanguageOption,
    OutputOption,
    loaded,
    opened,
    print_lines,
    say,
)
from footprint.core.limits import printable
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_DAY, US_PER_S

app = command_group("Seal, verify, list and erase what was measured.")


@app.command("seal")
def seal(config: ConfigOption = None) -> int:
    """Seal the closed days and move old ones out of the database.

    The scheduler does so each hour.
    """
    from footprint.server.job_runs import run_job
    from footprint.server.jobs import job_named

    facts, store = opened(config)
    result = run_job(store, facts, job_named("seal"), now_us())
    say(f"{facts.sealed_url()}: {result or 'another process is sealing'}")
    return Exit.OK


@app.command("verify")
def verify(
    folder: Annotated[str | None, typer.Argument(metavar="FOLDER", help="Default: where this ledger seals.")] = None,
    config: ConfigOption = None,
) -> int:
    """Verify the sealed files, the figures and the balances; exit 6 names what changed.

    Days that wait to be computed are pending, which is no fault.
    """
    from footprint.ledger.object_store import ObjectStore
    from footprint.queries.ledger_verification import verify_folder, verify_ledger

    facts, store = opened(config)
    if folder is None:
        verification = verify_ledger(store, facts)
    else:
        with ObjectStore(folder).local() as files:
            verification = verify_folder(files)
    for note in verification.notes:
        say(f"note: {note}")
    for fault in verification.faults:
        print(printable(fault))
    if verification.faults:
        raise CheckFailed(f"{len(verification.faults)} faults")
    if not verification.finding:
        say(
            f"nothing to verify: {folder or facts.sealed_url()} holds no sealed day"
            + ("" if folder else ", the store no reading")
        )
        return Exit.NO_DATA
    say(verification.finding)
    return Exit.OK


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the sealed parts: source, day, file, sha256 and rows."""
    from sqlalchemy import select

    from footprint.storage import schema
    from footprint.storage.database import table

    _, store = opened(config)
    target = table(schema.Sealed)
    with store.read() as connection:
        parts = connection.execute(select(target).order_by(target.c.source, target.c.seq)).all()
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
        for row in parts
    ]
    emit(columns, rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


@app.command("retention")
def retention(
    language: LanguageOption = Language.en,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List what each table holds, for how long, and whether it is about persons."""
    from footprint.ledger.retention import COLUMNS, retention_rows

    emit(list(COLUMNS), retention_rows(loaded(config), language), form, output)
    return Exit.OK


@app.command("register")
def register(language: LanguageOption = Language.fr, config: ConfigOption = None) -> int:
    """Print the record for a data-protection register, as Markdown."""
    from footprint.ledger.retention import processing_register

    print_lines(processing_register(loaded(config), language))
    return Exit.OK


@app.command("erase")
def erase(
    before: Annotated[str, typer.Option("--before", metavar="DATE", help="Sealed requests of days before this one (UTC).")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the chain.")],
    config: ConfigOption = None,
) -> int:
    """Erase sealed requests; their figures stay and can no longer be recomputed."""
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
        erased = erase_requests(store, ObjectStore(facts.sealed_url()), instant // US_PER_DAY, reason, now_us())
    say(f"{erased} sealed parts erased; the chain keeps their sha256")
    return Exit.OK


@app.command("rename-use-case")
def rename_use_case(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The stored name, such as that of a person.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name in its place; an existing use case takes the figures in.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the chain.")],
    config: ConfigOption = None,
) -> int:
    """Replace a stored name of a use case everywhere.

    In the database, the figures, the sealed files and the mirror. Published editions do not change.
    """
    from footprint.editions.publication import erase_drafts
    from footprint.editions.withdrawal import editions_with_name
    from footprint.figures.mirror import update_mirror
    from footprint.ledger.name_replacement import replace_use_case
    from footprint.ledger.object_store import ObjectStore
    from footprint.storage.figure_writer import compact

    if not reason.strip():
        raise UsageError("--reason must say why")
    facts, store = opened(config)
    done = replace_use_case(store, facts, ObjectStore(facts.sealed_url()), old, new, reason.strip(), now_us())
    compact(store, facts.timezone, now_us())
    mirrored = update_mirror(store, facts)
    drafts = erase_drafts(facts)
    say(
        f"{done.requests} requests, figures of {done.days} days, {done.files} sealed files and {done.texts} texts bear {new} now"
        + (f"; {mirrored}" if mirrored else "")
        + (f"; {drafts} files of drafts erased, `footprint report build` writes new ones" if drafts else "")
    )
    if done.unknown_users:
        say(f"{done.unknown_users} counts of users held for one of the two names and are unknown now: import them again")
    if done.other_roles:
        say(f"the old name also names a {', a '.join(done.other_roles)} and stays there")
    if any(fact.name == old for fact in facts.use_cases):
        say("the configuration still declares the old name")
    for edition in editions_with_name(store, old):
        say(
            f"{edition} prints the old name and does not change: withdraw it (footprint report withdraw {edition}), "
            "then publish a corrected version (footprint report publish)"
        )
    say("restart running servers, and correct what sends the name: the map of the gateway, backups and spools may still hold it")
    return Exit.OK


def jobs(
    all_: Annotated[bool, typer.Option("--all", help="Every recorded run, not only the last of each job.")] = False,
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="Run one job now.")] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List the scheduler's jobs, or run one now.

    With the start, the duration and the result of the last run.
    """
    from footprint.server.job_runs import latest_runs, run_job
    from footprint.server.jobs import job_named

    facts, store = opened(config)
    if run is not None:
        say(run_job(store, facts, job_named(run), now_us()) or "another process is running it")
    rows: list[dict[str, Any]] = [
        {
            "job": job_run["name"],
            "status": job_run["status"],
            "started": format_instant(job_run["started_us"]),
            "duration_s": None if job_run["ended_us"] is None else (job_run["ended_us"] - job_run["started_us"]) / US_PER_S,
            "said": job_run["said"] or None,
        }
        for job_run in latest_runs(store, all_runs=all_)
    ]
    emit(["job", "status", "started", "duration_s", "said"], rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Zip file to write; only its owner can read it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    config: ConfigOption = None,
) -> int:
    """Write the whole database to one file.

    Of one moment; copy sealed files by other means. An existing file is kept unless --force is given.
    """
    from footprint.ledger.backup import backup as write_backup

    facts, store = opened(config)
    rows = write_backup(store, file, now_us(), replace=force)
    say(f"{file}: {sum(rows.values())} rows of {len(rows)} tables; sealed days stand at {facts.sealed_url()}")
    return Exit.OK


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that `footprint backup` wrote.")], config: ConfigOption = None
) -> int:
    """Fill an empty store from a backup.

    The store that the configuration names, on SQLite or PostgreSQL.
    """
    from footprint.ledger.backup import restore as restore_backup
    from footprint.storage.database import Store

    store = Store(loaded(config).store_url)
    try:
        rows = restore_backup(store, file)
        say(f"{file}: {sum(rows.values())} rows restored into {store.location}")
    finally:
        store.close()
    return Exit.OK
