"""Report of the fleet: what is wrong of which machine, by how much.

``python -m tests.simulation.fleet_report [NAME…]`` prints it; with ``--write`` it becomes the list of known failures. A machine that is
mended leaves the list; the lines of generated machines stay as they are.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from tests.simulation.fleet_host import MachineRun, run_machine
from tests.simulation.fleet_ledger import MachineFigures, expectation_problems, figures_of, law_problems, message_problems
from tests.simulation.fleet_machine import KNOWN_FAILURES, Machine, known_failures, load_machine, machine_names
from tests.simulation.fleet_messages import probe_machine, unnamed_devices, untrue_claims

MEMORY = Path("/dev/shm")  # every record is synchronised to its file; there it costs nothing
MAX_REASON = 220  # characters
HEAD = """# Machines that fail today, by kind of test, with the symptom. A machine that is mended must leave this list:
# python -m tests.simulation.fleet_report --write"""


def run_fleet(machines: Sequence[Machine], folder: Path) -> dict[str, tuple[Machine, MachineRun, MachineFigures]]:
    """Run machines one after the other, and put their records into one ledger."""
    with tempfile.TemporaryDirectory(prefix="footprint-fleet-", dir=MEMORY if MEMORY.is_dir() else None) as trees:
        runs = [run_machine(machine, Path(trees) / machine.name) for machine in machines]
    figures = figures_of(runs, machines, folder)
    return {machine.name: (machine, run, figures[machine.name]) for machine, run in zip(machines, runs, strict=True)}


def problems_by_kind(machine: Machine, run: MachineRun, figures: MachineFigures) -> dict[str, list[str]]:
    """Problems of one machine by kind of test."""
    return {
        "law": law_problems(machine, figures),
        "expect": expectation_problems(machine, figures),
        "messages": [*message_problems(machine, run.messages), *untrue_claims(machine, run.messages)],
        "probe": [
            *untrue_claims(machine, run.probed),
            *(f"not named: {device}" for device in unnamed_devices(machine, run.probed)),
        ],
    }


def main(arguments: Sequence[str]) -> None:
    """Print the report, or write it as the list of known failures."""
    is_written = "--write" in arguments
    names = [name for name in arguments if not name.startswith("--")] or machine_names()
    with tempfile.TemporaryDirectory() as folder:
        fleet = run_fleet([load_machine(name) for name in names], Path(folder))
        for name, (machine, run, _) in fleet.items():
            run.probed = probe_machine(machine, Path(folder) / name)
    lines = [HEAD] if is_written else []
    for kind, reasons in known_failures().items():
        lines += ["", f"[{kind}]"]
        if kind.startswith("generated") and is_written:
            lines += [f"{json.dumps(name)} = {json.dumps(reason, ensure_ascii=False)}" for name, reason in reasons.items()]
        for name, results in fleet.items():
            problems = "; ".join(problems_by_kind(*results).get(kind, []))
            if problems and is_written:
                problems = shorten(problems, MAX_REASON, placeholder=" …")
            if problems:
                lines.append(f"{name} = {json.dumps(problems, ensure_ascii=False)}")
    text = "\n".join(lines) + "\n"
    if is_written:
        KNOWN_FAILURES.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
