"""This file is the agent's command line: ``footprint-agent``."""

from __future__ import annotations

import argparse
import csv
import sys

from collectors.base import Unavailable
from collectors.config import BadConfig, load, organisation
from footprint.core.log_formats import BadMap, load_map

FAILURE, CONFIGURATION, UNAVAILABLE, INCOMPLETE, INTERRUPTED = 1, 3, 4, 5, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status (contract, section 2)."""
    parser = argparse.ArgumentParser(prog="footprint-agent", description="Measures this host and ships what it reads.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, said in (
        ("run", "sample, record and ship until stopped"),
        ("probe", "one reading of each sensor, and what cannot be read"),
        ("list", "sensors that the agent knows"),
        ("read", "another program's log as request lines, on standard output"),
    ):
        command = commands.add_parser(name, help=said, description=said)
        command.add_argument("--config", metavar="FILE", help="default ./footprint.toml")
        if name == "read":
            command.add_argument("--as", dest="form", metavar="NAME", required=True, help="a shipped field map, or a TOML file")
            command.add_argument("file", metavar="FILE", nargs="+", help="JSON Lines or CSV, .gz too; - is standard input")
            command.add_argument("--users", metavar="FILE", help="write distinct users per cell, for footprint import users")
        if name == "run":
            command.add_argument("--otlp", action="store_true", help="receive OTLP on 127.0.0.1:4318 ([agent] otlp_port)")
            command.add_argument("--with-parent", action="store_true", help="stop when the process that started it ends")
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except (BadConfig, BadMap, ValueError) as bad:
        print(f"footprint-agent: {bad}", file=sys.stderr)
        return CONFIGURATION
    except Unavailable as why:
        print(f"footprint-agent: {why}", file=sys.stderr)
        return UNAVAILABLE
    except OSError as bad:
        print(f"footprint-agent: {bad}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _do(given: argparse.Namespace) -> int:
    if given.command == "run":
        from collectors.main_loop import run

        run(load(given.config), with_parent=given.with_parent, otlp=given.otlp)
        return 0
    if given.command == "read":
        return _read(given)
    from collectors.probe import listing, probe

    if given.command == "probe":
        return 0 if probe(load(given.config)) else UNAVAILABLE
    print("\n".join(listing()))
    return 0


def _read(given: argparse.Namespace) -> int:
    from collectors.log_tailer import read_file
    from footprint.core.user_counts import COLUMNS, DistinctUsers

    found, facts = load_map(given.form), organisation(given.config)
    users = DistinctUsers(found, facts.zone, facts.service_of_model) if given.users else None
    refused = []
    for path in given.file:
        for number, line in read_file(found, path, users):
            if line is None:
                refused.append(f"{path} line {number}")
            else:
                print(line)
    if users is not None:
        with open(given.users, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(users.rows())
        if users.unnamed:
            print(f"footprint-agent: {users.unnamed} requests name no user and are in no count of users", file=sys.stderr)
    if refused:
        print(f"footprint-agent: {len(refused)} lines cannot be read, first: {refused[0]}", file=sys.stderr)
    return INCOMPLETE if refused else 0
