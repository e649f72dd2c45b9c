"""This file is the agent without its clock: samples go to meters, meters to records, records to the spool."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from collectors import checkpoint
from collectors.base import DeviceContext
from collectors.config import AgentConfig
from collectors.device_context import Circumstances
from collectors.log_tailer import Follower
from collectors.mig_split import begun, share
from collectors.process_groups import Groups, Usage
from collectors.procfs import PAGE_BYTES, ProcessTable
from collectors.sensor_set import Sensors
from collectors.spool import Spool
from footprint.core.counter_correction import CLOSED, Meter, is_credible, start_meter, to_record, update_meter
from footprint.core.records import ActivityReading, ContextReading, to_line
from footprint.core.samples import Sample
from footprint.core.version import VERSION

HOST_GROUP, OWN_GROUP = "(host)", "footprint-agent"
MAX_EDGES = 10_000


@dataclass(slots=True)
class Agent:
    """Meters of every device, and where their records go.

    ``edges`` are records at the ends of epochs that are not on disk yet: without them the energy up to the end
    would be lost, hence they wait where other records may be left out.
    """

    config: AgentConfig
    sensors: Sensors
    spool: Spool
    groups: Groups
    boot: str
    alone: bool = True  # not started by a server that counts the agent's processes as its own
    sync: str = "unknown"
    meters: dict[tuple[str, str], Meter] = field(default_factory=dict)
    instances: dict[str, dict[str, Meter]] = field(default_factory=dict)  # of a partitioned board, by device
    edges: list[str] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    busy_us: dict[str, int] = field(default_factory=dict)
    sources: list[Callable[[], Iterable[Sample]]] = field(default_factory=list)  # samples that other programs took
    followers: list[Follower] = field(default_factory=list)
    circumstances: Circumstances = field(default_factory=Circumstances)
    samples: int = 0
    refused: int = 0
    seq: int = 0
    started: str = ""
    _told_full: bool = False

    def sample(self, at_us: int, mono_us: int) -> None:
        """Read every sensor once."""
        self.sensors.look(mono_us)
        for each in self.sensors.collect(at_us, mono_us):
            self.take(each)
        covered = self.sensors.components()
        for source in self.sources:
            for each in source():
                # What a sensor of our own measures would be counted twice.
                if each.channel.component not in covered:
                    self.take(each)

    def take(self, sample: Sample) -> None:
        """One sample of one device."""
        self.samples += 1
        channel = sample.channel
        place = channel.device, channel.source
        before = self.meters.get(place)
        if before is None:
            if not is_credible(sample):
                return
            self.meters[place] = self._opened(start_meter(sample, self.boot))
            return
        after, closed = update_meter(before, sample, self.boot, self.config.sample_us)
        if closed is not None:
            self._close(closed)
            before = self._opened(after)
            after, _ = update_meter(before, sample, self.boot, self.config.sample_us)
        if before.last.channel.parts and after is not before:
            self.instances[channel.device] = share(before, after, self.instances[channel.device])
        if after.last is sample and channel.parts != before.last.channel.parts:
            after = self._divided_otherwise(before, after)
        self.meters[place] = after

    def _divided_otherwise(self, before: Meter, after: Meter) -> Meter:
        """The board was partitioned anew: parts that stay go on, others end here, new ones begin here."""
        device = after.last.channel.device
        if not before.last.channel.parts:
            after = self._edge(after, CLOSED)
        old, new = self.instances.pop(device, {}), begun(after, self.boot)
        for name in old.keys() - new.keys():
            self._edge(old[name], CLOSED)
        if new:
            self.instances[device] = {name: old.get(name) or self._edge(each) for name, each in new.items()}
            return after
        return self._edge(start_meter(after.last, self.boot, after.seq, after.resets + 1))

    def _opened(self, meter: Meter) -> Meter:
        """A meter at its first sample, told: energy is the difference to it."""
        if meter.last.channel.parts:
            parts = begun(meter, self.boot)
            self.instances[meter.last.channel.device] = {name: self._edge(each) for name, each in parts.items()}
            return meter
        return self._edge(meter)

    def _close(self, meter: Meter) -> None:
        parts = self.instances.pop(meter.last.channel.device, None)
        for each in [meter] if parts is None else parts.values():
            self._edge(each, CLOSED)

    def _edge(self, meter: Meter, status: str = "") -> Meter:
        found, meter = to_record(meter, self.config.host, self.sync, VERSION, status)
        if found is not None and len(self.edges) < MAX_EDGES:
            self.edges.append(to_line(found))
        return meter

    def record(self, at_us: int, mono_us: int) -> None:
        """One record a device that was read since the last, of CPU times and circumstances, onto the disk."""
        contexts = list(self.sensors.context())
        requests = [line for follower in self.followers for line in follower.read()]
        lines = [*self._energy(), *self._activity(contexts, at_us, mono_us), *self._circumstances(contexts, at_us)]
        self.seq += 1
        whole = [*self.edges, *lines, *requests]
        logs = {follower.pattern: follower.ahead() for follower in self.followers}
        try:
            checkpoint.save(self.spool.folder, self.boot, *self._remembered(), whole, logs)
            self.spool.append(whole)
        except OSError as bad:
            # The oldest are kept; energy stays in the counters and comes with the next record that fits.
            # Requests are read again from their logs.
            self.refused += len(lines)
            self._say_full(str(bad))
            return
        for follower in self.followers:
            follower.keep()
        self.edges.clear()
        self._say_full("")

    def _say_full(self, why: str) -> None:
        if why and not self._told_full:
            print(f"footprint-agent: NEW RECORDS ARE REFUSED, older ones are kept: {why}", file=sys.stderr)
        elif not why and self._told_full:
            print("footprint-agent: records are kept again", file=sys.stderr)
        self._told_full = bool(why)

    def _energy(self) -> list[str]:
        lines = []

        def tell(meter: Meter) -> Meter:
            found, told = to_record(meter, self.config.host, self.sync, VERSION)
            if found is not None:
                lines.append(to_line(found))
            return told

        for place, meter in self.meters.items():
            if meter.last.channel.parts:
                parts = self.instances[meter.last.channel.device]
                self.instances[meter.last.channel.device] = {name: tell(each) for name, each in parts.items()}
            else:
                self.meters[place] = tell(meter)
        return lines

    def _activity(self, contexts: list[DeviceContext], at_us: int, mono_us: int) -> list[str]:
        try:
            busy_us, whole_us = self.groups.table.host_us()
        except (OSError, ValueError):
            return []  # without the host's time that of its groups says nothing
        found = [ActivityReading(self.config.host, HOST_GROUP, self.boot, self.seq, at_us, busy_us, whole_us, agent=VERSION)]
        computing = {pid for context in contexts for pid in context.processes or ()}
        usage = self.groups.scan(mono_us, computing)
        if self.alone:
            usage[OWN_GROUP] = own_usage(self.groups.table)
        self.usage = usage
        found += [
            ActivityReading(
                self.config.host,
                name,
                self.started or self.boot,
                self.seq,
                at_us,
                group.cpu_us,
                whole_us,
                group.memory_bytes or None,
                VERSION,
            )
            for name, group in sorted(usage.items())
        ]
        return [to_line(each) for each in found]

    def _circumstances(self, contexts: list[DeviceContext], at_us: int) -> list[str]:
        lines = []
        for context in contexts:
            if "busy_us" in context.values:
                self.busy_us[context.device] = context.values["busy_us"]
            values = self.circumstances.changed(context, self.groups.group_of, at_us)
            if values:
                reading = ContextReading(
                    self.config.host,
                    context.device,
                    context.component,
                    context.source,
                    self.started or self.boot,
                    self.seq,
                    at_us,
                    values,
                    VERSION,
                )
                lines.append(to_line(reading))
        return lines

    def _remembered(self) -> tuple[list[Meter], dict[str, list[Meter]]]:
        """Meters of counters, which go on after a restart; a power that nobody read meanwhile is lost."""
        kept = [meter for meter in self.meters.values() if meter.last.counter_uj is not None]
        boards = {meter.last.channel.device for meter in kept}
        return kept, {board: list(parts.values()) for board, parts in self.instances.items() if board in boards}

    def recall(self) -> None:
        """Go on with the counters of an earlier run of this boot; unseen time stays uncovered."""
        meters, instances, self.edges, logs = checkpoint.load(self.spool.folder, self.boot)
        for follower in self.followers:
            follower.places = logs.get(follower.pattern, {})
        self.meters = {(meter.last.channel.device, meter.last.channel.source): meter for meter in meters}
        self.instances = {board: {meter.last.channel.device: meter for meter in parts} for board, parts in instances.items()}


def own_usage(table: ProcessTable) -> Usage:
    """What the agent itself used: CPU time [µs] since it began, memory now [bytes]."""
    resident = table.text(os.getpid(), "statm").split()
    return Usage(time.process_time_ns() // 1000, int(resident[1]) * PAGE_BYTES if len(resident) > 1 else 0)
