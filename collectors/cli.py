"""This file is the agent's command line: ``footprint-agent``."""

from __future__ import annotations

import argparse
import sys
import time

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
        if given.command == "run":
            from collectors.run import run

            run(load(given.config), with_parent=given.with_parent)
            return 0
        return _probe() if given.command == "probe" else _list()
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


def _probe() -> int:
    from collectors.registry import open_collectors

    working, reasons = open_collectors()
    time.sleep(0.2)  # a load is a difference: it needs two instants
    found = 0
    for collector in working:
        for sample in collector.collect(time.time_ns() // 1000, time.monotonic_ns() // 1000):
            counter, power = sample.counter_uj, sample.power_uw or 0
            said = f"{counter / 1e6:.3f} J" if counter is not None else f"{power / 1e6:.1f} W"
            quality = "C, estimated" if sample.source == "estimate" else "A"
            place = sample.alias or sample.device
            print(f"{collector.name:6} {place:8} {sample.component:5} {said:>18}  {quality}  {sample.model}")
            found += 1
        collector.close()
    for why in reasons.values():
        print(f"footprint-agent: {why}", file=sys.stderr)
    return 0 if found else UNAVAILABLE


def _list() -> int:
    from collectors.registry import COLLECTORS, FALL_BACK

    for make in (*COLLECTORS, FALL_BACK):
        module = sys.modules[make.__module__]  # type: ignore[attr-defined]
        first = (module.__doc__ or "").splitlines()[0].removeprefix("This file ")
        print(f"{make.name:6} {first}")  # type: ignore[attr-defined]
    return 0
