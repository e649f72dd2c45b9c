"""This file drives an agent on a simulated clock and reads back what it put on disk; shared by tests."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from collectors.agent import Agent
from collectors.base import Collector
from collectors.config import AgentConfig
from collectors.process_groups import ProcessGroups
from collectors.sensor_set import SensorSet
from collectors.spool import Spool
from footprint.core.records import ActivityReading, ContextReading, EnergyReading, Record, from_line

S = 1_000_000
WALL_US = 1_790_000_000 * S  # the wall clock when the simulated one says 0


def make(folder: Path, *makers: type[Collector], **options: object) -> Agent:
    """An agent with a host of its own under a folder; it goes on from what an earlier one left there."""
    proc, sysfs = folder / "proc", folder / "sys"
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text("cpu 50 0 0 150 0 0 0 0\n")
    config = AgentConfig(**{"host": "a", "spool": folder / "spool", "proc": proc, "sysfs": sysfs} | options)  # type: ignore[arg-type]
    groups = ProcessGroups(config.processes, proc, sysfs, discover=config.discover)
    agent = Agent(config, SensorSet(config, makers), Spool(config.spool, config.spool_max_mb), groups, "boot")
    agent.restore()
    return agent


def told(agent: Agent) -> list[Record]:
    """Every record on disk, in order."""
    return [from_line(line) for line in agent.spool.read(10**12)[1]]


def energy(agent: Agent) -> list[EnergyReading]:
    """Every record of energy on disk."""
    return [record for record in told(agent) if isinstance(record, EnergyReading)]


def circumstances(agent: Agent) -> list[ContextReading]:
    """Every record of circumstances on disk."""
    return [record for record in told(agent) if isinstance(record, ContextReading)]


def activity(agent: Agent) -> list[ActivityReading]:
    """Every record of CPU time on disk."""
    return [record for record in told(agent) if isinstance(record, ActivityReading)]


def epochs(records: list[EnergyReading]) -> dict[tuple[str, str, str], list[EnergyReading]]:
    """Records by device, source and epoch, in order of time."""
    found: dict[tuple[str, str, str], list[EnergyReading]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.at_us):
        found[record.device, record.source, record.epoch].append(record)
    return dict(found)


def used_uj(records: list[EnergyReading], device: str) -> int:
    """Energy of a device [µJ]: differences within epochs, as the ledger takes them."""
    return sum(group[-1].energy_uj - group[0].energy_uj for key, group in epochs(records).items() if key[0] == device)


def covered_us(records: list[EnergyReading], device: str) -> int:
    """Time of a device that was watched [µs]."""
    return sum(group[-1].covered_us - group[0].covered_us for key, group in epochs(records).items() if key[0] == device)
