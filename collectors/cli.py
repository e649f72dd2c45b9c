"""This file is the agent's command line: ``footprint-agent``."""

from __future__ import annotations

import argparse
import sys

from collectors.base import Unavailable
from collectors.config import BadConfig, load

FAILURE, CONFIGURATION, UNAVAILABLE, INTERRUPTED = 1, 3, 4, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status (contract, section 2)."""
    parser = argparse.ArgumentParser(prog="footprint-agent", description="Measures this host and ships what it reads.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, said in (
        ("run", "sample, record and ship until stopped"),
        ("probe", "one reading of each sensor, and what cannot be read"),
        ("list", "sensors that the agent knows"),
    ):
        command = commands.add_parser(name, help=said, description=said)
        command.add_argument("--config", metavar="FILE", help="default ./footprint.toml")
        if name == "run":
            command.add_argument("--with-parent", action="store_true", help="stop when the process that started it ends")
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except (BadConfig, ValueError) as bad:
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
        from collectors.run import run

        run(load(given.config), with_parent=given.with_parent)
        return 0
    from collectors.probe import listing, probe

    if given.command == "probe":
        return 0 if probe(load(given.config)) else UNAVAILABLE
    print("\n".join(listing()))
    return 0
