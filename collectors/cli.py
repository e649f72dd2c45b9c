"""Command line of the agent: ``footprint-agent``."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys

from collectors.base import Unavailable
from collectors.config import BadConfig, load_config, load_organisation
from footprint.core.line_chunks import UnreadableFile
from footprint.core.log_formats import load_map
from footprint.core.records import FootprintError
from footprint.core.secret_files import restrict_new_files
from footprint.core.standard_streams import open_missing_streams

FAILURE, CONFIGURATION, UNAVAILABLE, INCOMPLETE, INTERRUPTED = 1, 3, 4, 5, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status (docs/reference/contract.md, section 2)."""
    open_missing_streams()
    parser = argparse.ArgumentParser(prog="footprint-agent", description="Measures this host and ships what it reads.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in (
        ("run", "sample, record and ship until stopped"),
        ("probe", "one reading of each sensor, and what cannot be read"),
        ("list", "sensors that the agent knows"),
        ("selftest", "two minutes of known load, and how each sensor follows it"),
        ("read", "another program's log as request lines, on standard output"),
        ("resend", "send the records that the server rejected again, after a mend"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--config", metavar="FILE", help="default $FOOTPRINT_CONFIG, else ./footprint.toml")
        if name == "read":
            command.add_argument("--as", dest="form", metavar="NAME", required=True, help="a shipped field map, or a TOML file")
            command.add_argument("file", metavar="FILE", nargs="+", help="JSON Lines or CSV, .gz too; - is standard input")
            command.add_argument("--users", metavar="FILE", help="write distinct users per cell, for footprint import users")
        if name == "resend":
            command.add_argument("--dry-run", action="store_true", help="count the records by reason, and send none")
        if name == "selftest":
            command.add_argument("--minutes", type=_positive, default=2.0, metavar="N", help="length of the test (default 2)")
            command.add_argument(
                "--load", type=_program, default="", metavar="CMD", help="program that loads the GPUs, started for the steps"
            )
            command.add_argument("--output", default="", metavar="FILE", help="keep the report as JSON")
        if name == "run":
            command.add_argument("--otlp", action="store_true", help="receive OTLP on 127.0.0.1:4318 ([agent] otlp_port)")
            command.add_argument("--with-parent", action="store_true", help="stop when the process that started it ends")
    options = parser.parse_args(arguments)
    if arguments is None:  # a program of its own, not a call from another
        restrict_new_files()
    try:
        return _run_command(options)
    except UnreadableFile as error:
        print(f"footprint-agent: {error}", file=sys.stderr)
        return FAILURE
    except (BadConfig, FootprintError, ValueError) as error:
        print(f"footprint-agent: {error}", file=sys.stderr)
        return CONFIGURATION
    except Unavailable as error:
        print(f"footprint-agent: {error}", file=sys.stderr)
        return UNAVAILABLE
    except OSError as error:
        print(f"footprint-agent: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError("more than 0 and at most 60 minutes")
    return value


def _program(text: str) -> str:
    """A command line whose program exists: a slip shows before the test, which takes minutes."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no command: {error}") from None
    if words and shutil.which(words[0]) is None:
        raise argparse.ArgumentTypeError(f"{words[0]!r} is no program here; for the syntax of a shell: --load \"sh -c '…'\"")
    return text


def _run_command(options: argparse.Namespace) -> int:
    if options.command == "run":
        from collectors.main_loop import run

        run(load_config(options.config), with_parent=options.with_parent, otlp=options.otlp)
        return 0
    if options.command == "read":
        return _read_logs(options)
    if options.command == "selftest":
        from collectors.selftest import run_selftest

        return run_selftest(load_config(options.config), options.minutes, options.load, options.output)
    if options.command == "resend":
        from collectors.resend import resend

        return resend(load_config(options.config), dry_run=options.dry_run)
    from collectors.probe import list_collectors, probe

    if options.command == "probe":
        return 0 if probe(load_config(options.config)) else UNAVAILABLE
    print("\n".join(list_collectors()))
    return 0


def _read_logs(options: argparse.Namespace) -> int:
    from collectors.log_tailer import read_file
    from footprint.core.csv_text import csv_text
    from footprint.core.user_counts import COLUMNS, DistinctUsers

    field_map, organisation = load_map(options.form), load_organisation(options.config)
    users = DistinctUsers(field_map, organisation.zone, organisation.service_of_model) if options.users else None
    unreadable, printed = [], 0
    for path in options.file:
        for number, line in read_file(field_map, path, users):
            if line is None:
                unreadable.append(f"{path} line {number}")
            else:
                print(line)
                printed += 1
    if users is not None:
        with open(options.users, "w", encoding="utf-8", newline="") as file:
            file.write(csv_text(COLUMNS, ([row[name] for name in COLUMNS] for row in users.rows())))
        if users.unnamed:
            print(f"footprint-agent: {users.unnamed} requests name no user and are in no count of users", file=sys.stderr)
    for remark in field_map.remarks():
        print(f"footprint-agent: {remark}", file=sys.stderr)
    if unreadable:
        print(f"footprint-agent: {len(unreadable)} lines cannot be read, first: {unreadable[0]}", file=sys.stderr)
    if not printed:
        print("footprint-agent: nothing was read", file=sys.stderr)
        return FAILURE
    return INCOMPLETE if unreadable else 0
