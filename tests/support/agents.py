"""Agents on a simulated clock for tests, and readers of the records that they store."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from collectors.agent import Agent
from collectors.base import Collector
from collectors.config import AgentConfig
from collectors.process_groups import ProcessGroups
from collectors.sensor_set import SensorSet
from collectors.spool import Spool
from footprint.core.records import ActivityReading, ContextReading, EnergyReading, Record, from_line, grade_of

S = 1_000_000
WALL_US = 1_790_000_000 * S  # wall clock at time 0 of the simulated clock
_GRADES = ("counter", "power", "modelled", "witness", "estimate")  # the best first


def make_agent(folder: Path, *collector_types: type[Collector], **options: object) -> Agent:
    """Agent with its own host under a folder; it continues from the checkpoint of an earlier one."""
    proc, sysfs = folder / "proc", folder / "sys"
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text("cpu 50 0 0 150 0 0 0 0\n")
    config = AgentConfig(**{"host": "a", "spool": folder / "spool", "proc": proc, "sysfs": sysfs} | options)  # type: ignore[arg-type]
    groups = ProcessGroups(config.processes, proc, sysfs, discover=config.discover)
    agent = Agent(config, SensorSet(config, collector_types), Spool(config.spool, config.spool_max_mb), groups, "boot")
    agent.restore()
    return agent


def stored_records(agent: Agent) -> list[Record]:
    """All records on disk, in order."""
    return [from_line(line) for line in agent.spool.read(10**12)[1]]


def energy_readings(agent: Agent) -> list[EnergyReading]:
    """All energy records on disk."""
    return [record for record in stored_records(agent) if isinstance(record, EnergyReading)]


def context_readings(agent: Agent) -> list[ContextReading]:
    """All records of operating conditions on disk."""
    return [record for record in stored_records(agent) if isinstance(record, ContextReading)]


def activity_readings(agent: Agent) -> list[ActivityReading]:
    """All records of CPU time on disk."""
    return [record for record in stored_records(agent) if isinstance(record, ActivityReading)]


def readings_by_epoch(records: list[EnergyReading]) -> dict[tuple[str, str, str], list[EnergyReading]]:
    """Records by device, source and epoch, in order of time."""
    grouped: dict[tuple[str, str, str], list[EnergyReading]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.at_us):
        grouped[record.device, record.source, record.epoch].append(record)
    return dict(grouped)


def counted(records: list[EnergyReading]) -> list[EnergyReading]:
    """Records of the best source of each device: the others are its witnesses."""
    best: dict[str, tuple[int, str]] = {}
    for record in records:
        rank = _GRADES.index(grade_of(record.source, counter=True)), record.source
        best[record.device] = min(best.get(record.device, rank), rank)
    return [record for record in records if record.source == best[record.device][1]]


def used_uj(records: list[EnergyReading], device: str, source: str = "") -> int:
    """Energy of a device [µJ] by a source, by default its best: the sum of the differences within epochs, as in the ledger."""
    chosen = [record for record in records if record.source == source] if source else counted(records)
    return sum(group[-1].energy_uj - group[0].energy_uj for key, group in readings_by_epoch(chosen).items() if key[0] == device)


def covered_us(records: list[EnergyReading], device: str) -> int:
    """Covered time of a device [µs] by its best source."""
    groups = readings_by_epoch(counted(records)).items()
    return sum(group[-1].covered_us - group[0].covered_us for key, group in groups if key[0] == device)
