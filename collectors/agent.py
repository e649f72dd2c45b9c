"""Agent without its clock: samples update meters, meters give records, records go to the spool."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collectors import checkpoint
from collectors.base import DeviceContext, SourceState
from collectors.config import AgentConfig
from collectors.device_context import ContextChangeFilter
from collectors.log_tailer import LogTailer
from collectors.mig_split import start_instances, update_instances
from collectors.overlaps import MIN_SILENT_US, SILENT_PERIODS
from collectors.process_groups import GroupUsage, ProcessGroups
from collectors.procfs import PAGE_BYTES, ProcessTable
from collectors.sensor_set import SensorSet
from collectors.spool import Spool
from collectors.witness import SOURCE_NAME, Key, SensorWitness, doubt_since, suspicion
from footprint.core.counter_correction import CLOSED, Meter, is_credible, start_meter, to_record, update_meter
from footprint.core.records import ActivityReading, ContextReading, to_line
from footprint.core.samples import Sample
from footprint.core.sensor_verdicts import Reason, SensorState, SensorVerdict, Verdict, verdict_to_values
from footprint.core.units import US_PER_S
from footprint.core.version import VERSION

if TYPE_CHECKING:
    from collectors.otlp import OtlpReceiver

HOST_GROUP, AGENT_GROUP = "(host)", "footprint-agent"
MAX_BOUNDARY_LINES = 10_000
WITNESS_INTERVAL_US = 60 * US_PER_S  # between records of a source that does not count, while all sources agree


@dataclass(slots=True)
class Agent:
    """Meters of every device, and the spool that takes their records.

    ``boundary_lines`` are records at the ends of epochs that are not on disk yet. They wait while other records may be
    refused: without them the energy up to the end of the epoch would be lost.
    """

    config: AgentConfig
    sensors: SensorSet
    spool: Spool
    groups: ProcessGroups
    boot: str
    standalone: bool = True  # not started by a server that counts the agent's processes as its own
    sync: str = "unknown"
    meters: dict[Key, Meter] = field(default_factory=dict)
    instances: dict[Key, dict[str, Meter]] = field(default_factory=dict)  # of a partitioned board, by device
    witness: SensorWitness = field(default_factory=SensorWitness)
    boundary_lines: list[str] = field(default_factory=list)
    usage: dict[str, GroupUsage] = field(default_factory=dict)
    busy_us: dict[str, int] = field(default_factory=dict)
    external_sources: list[Callable[[], Iterable[Sample]]] = field(default_factory=list)  # samples of other programs
    log_tailers: list[LogTailer] = field(default_factory=list)
    receivers: list[OtlpReceiver] = field(default_factory=list)
    context_changes: ContextChangeFilter = field(default_factory=ContextChangeFilter)
    sample_count: int = 0
    refused_records: int = 0
    judgement_failures: int = 0
    seq: int = 0
    started: str = ""
    _spool_is_full: bool = False
    _recorded_us: dict[Key, int] = field(default_factory=dict)
    _logged_doubts: dict[Key, SensorState] = field(default_factory=dict)

    def read_sensors(self, at_us: int, mono_us: int) -> None:
        """Read every sensor and every external source once."""
        self.sensors.open_missing(mono_us)
        external = [sample for source in self.external_sources for sample in source()]
        for sample in self.sensors.collect(at_us, mono_us, external):
            self.add_sample(sample)
        if self.witness.is_due(mono_us):
            self.witness.note(at_us, mono_us, self.meters)

    def add_sample(self, sample: Sample) -> None:
        """Update the meter of the sample's device."""
        self.sample_count += 1
        channel = sample.channel
        key = channel.device, channel.source
        before = self.meters.get(key)
        if before is None:
            if not is_credible(sample):
                self.witness.refuse(sample, Reason.ABOVE_CEILING, has_meter=False)
                return
            self.witness.refusals.pop(key, None)
            self.meters[key] = self._open_epoch(start_meter(sample, self.boot))
            return
        after, closed = update_meter(before, sample, self.boot, self.config.sample_us)
        if closed is not None:
            self._close_epoch(closed)
            before = self._open_epoch(after)
            after, _ = update_meter(before, sample, self.boot, self.config.sample_us)
        if after.suspect is sample:
            self.witness.refuse(sample, suspicion(after), has_meter=True)
        if before.last.channel.parts and after is not before:
            self.instances[key] = update_instances(before, after, self.instances[key])
        if after.last is sample and channel.parts != before.last.channel.parts:
            after = self._repartition(before, after)
        self.meters[key] = after

    def _repartition(self, before: Meter, after: Meter) -> Meter:
        """Follow a new partition of a board: remaining parts go on, others end here, new ones start here."""
        key = after.last.channel.device, after.last.channel.source
        if not before.last.channel.parts:
            after = self._record_boundary(after, CLOSED)
        old, new = self.instances.pop(key, {}), start_instances(after, self.boot)
        for name in old.keys() - new.keys():
            self._record_boundary(old[name], CLOSED)
        if new:
            self.instances[key] = {name: old.get(name) or self._record_boundary(meter) for name, meter in new.items()}
            return after
        return self._record_boundary(start_meter(after.last, self.boot, after.seq, after.resets + 1))

    def _open_epoch(self, meter: Meter) -> Meter:
        """Record a meter at its first sample: energy is the difference to it."""
        if meter.last.channel.parts:
            parts = start_instances(meter, self.boot)
            key = meter.last.channel.device, meter.last.channel.source
            self.instances[key] = {name: self._record_boundary(part) for name, part in parts.items()}
            return meter
        return self._record_boundary(meter)

    def _close_epoch(self, meter: Meter) -> None:
        parts = self.instances.pop((meter.last.channel.device, meter.last.channel.source), None)
        for part in [meter] if parts is None else parts.values():
            self._record_boundary(part, CLOSED)

    def _record_boundary(self, meter: Meter, status: str = "") -> Meter:
        reading, meter = to_record(meter, self.config.host, self.sync, VERSION, status)
        if reading is not None and len(self.boundary_lines) < MAX_BOUNDARY_LINES:
            self.boundary_lines.append(to_line(reading))
        return meter

    def write_records(self, at_us: int, mono_us: int) -> None:
        """Write records of energy, CPU time, operating conditions, verdicts on sensors and requests to the spool."""
        contexts = list(self.sensors.context())
        requests = [line for tailer in self.log_tailers for line in tailer.read()]
        host_us = self._host_us()
        self.witness.note(at_us, mono_us, self.meters)
        self.witness.note_load(mono_us, contexts, host_us)
        self._judge_sensors(at_us)
        # A source whose samples are refused or doubted delivers nothing.
        self.sensors.distrust(self.witness.contradicted(), [*self.doubted_since(at_us), *self.witness.refusals])
        lines = [
            *self._energy_lines(mono_us),
            *self._activity_lines(contexts, at_us, mono_us, host_us),
            *self._context_lines(contexts, at_us),
            *self._verdict_lines(at_us),
            *self._context_lines(self._state_contexts(at_us, mono_us), at_us),
        ]
        self.seq += 1
        all_lines = [*self.boundary_lines, *lines, *requests]
        logs = {tailer.pattern: tailer.logs.pending_state() for tailer in self.log_tailers}
        try:
            checkpoint.save(self.spool.folder, self.boot, self._checkpoint(all_lines, logs))
            self.spool.append(all_lines)
        except OSError as error:
            # Older records stay. Energy remains in the counters and comes with the next record that fits;
            # requests are read again from their logs.
            self.refused_records += len(lines)
            self._log_spool_state(str(error))
            return
        for tailer in self.log_tailers:
            tailer.commit()
        self.boundary_lines.clear()
        self._log_spool_state("")

    def _judge_sensors(self, at_us: int) -> None:
        """Judge the sensors; an error, a defect of this program, stops no measurement, and confirms no sensor any longer."""
        try:
            self.witness.judge()
        except Exception as error:
            self.judgement_failures += 1
            verdicts = self.witness.verdicts
            verdicts |= {key: SensorVerdict(at_us) for key, verdict in verdicts.items() if verdict.verdict == Verdict.AGREES}
            if self.judgement_failures == 1:
                print(f"footprint-agent: the sensors cannot be judged: {type(error).__name__}: {error}", file=sys.stderr)

    def _log_spool_state(self, problem: str) -> None:
        if problem and not self._spool_is_full:
            print(f"footprint-agent: NEW RECORDS ARE REFUSED, older ones are kept: {problem}", file=sys.stderr)
        elif not problem and self._spool_is_full:
            print("footprint-agent: records are kept again", file=sys.stderr)
        self._spool_is_full = bool(problem)

    def _energy_lines(self, mono_us: int) -> list[str]:
        lines = []

        def append_record(meter: Meter) -> Meter:
            reading, updated = to_record(meter, self.config.host, self.sync, VERSION)
            if reading is not None:
                lines.append(to_line(reading))
            return updated

        for key in self._due_meters(mono_us):
            meter = self.meters[key]
            if meter.last.channel.parts:
                self.instances[key] = {name: append_record(part) for name, part in self.instances[key].items()}
            else:
                self.meters[key] = append_record(meter)
        return lines

    def _due_meters(self, mono_us: int) -> list[Key]:
        """Meters to record now: of each device the source that counts, its others once a minute, and all while one is doubted."""
        by_device: dict[str, list[Key]] = {}
        for key in self.meters:
            by_device.setdefault(key[0], []).append(key)
        due = []
        for device, keys in by_device.items():
            chosen = keys
            if len(keys) > 1 and not self.witness.is_doubted(device):
                primary = self._primary(keys)
                chosen = [
                    key
                    for key in keys
                    if key == primary or mono_us >= self._recorded_us.get(key, -WITNESS_INTERVAL_US) + WITNESS_INTERVAL_US
                ]
            self._recorded_us |= dict.fromkeys(chosen, mono_us)
            due += chosen
        return due

    def _primary(self, keys: list[Key]) -> Key:
        """Source of a device that counts; one that fell silent does not, however good it was."""
        newest_us = max(self.meters[key].last.mono_us for key in keys)

        def order(key: Key) -> tuple[bool, tuple[bool, int, str]]:
            last = self.meters[key].last
            is_silent = last.mono_us + max(MIN_SILENT_US, SILENT_PERIODS * last.channel.period_us) < newest_us
            return is_silent, self.witness.rank(key, is_power=last.power_uw is not None)

        return min(keys, key=order)

    def _host_us(self) -> tuple[int, int] | None:
        """Busy time and capacity of the host's processors [µs]; None if unknown."""
        try:
            return self.groups.table.host_us()
        except (OSError, ValueError):
            return None

    def _activity_lines(
        self, contexts: list[DeviceContext], at_us: int, mono_us: int, host_us: tuple[int, int] | None
    ) -> list[str]:
        if host_us is None:
            return []  # shares of groups need the host's time
        busy_us, total_us = host_us
        readings = [ActivityReading(self.config.host, HOST_GROUP, self.boot, self.seq, at_us, busy_us, total_us, agent=VERSION)]
        computing = {pid for context in contexts for pid in context.processes or ()}
        usage = self.groups.scan(mono_us, computing)
        if self.standalone:
            usage[AGENT_GROUP] = agent_usage(self.groups.table)
        self.usage = usage
        readings += [
            ActivityReading(
                self.config.host,
                name,
                self.started or self.boot,
                self.seq,
                at_us,
                group.cpu_us,
                total_us,
                group.memory_bytes or None,
                VERSION,
            )
            for name, group in sorted(usage.items())
        ]
        return [to_line(reading) for reading in readings]

    def _context_lines(self, contexts: list[DeviceContext], at_us: int) -> list[str]:
        lines = []
        for context in contexts:
            if "busy_us" in context.values:
                self.busy_us[context.device] = context.values["busy_us"]
            values = self.context_changes.changed_values(context, self.groups.group_of, at_us)
            if values:
                lines.append(self._context_line(context.device, context.component, context.source, at_us, values))
        return lines

    def _context_line(self, device: str, component: str, source: str, at_us: int, values: dict[str, int]) -> str:
        epoch = self.started or self.boot
        return to_line(ContextReading(self.config.host, device, component, source, epoch, self.seq, at_us, values, VERSION))

    def _verdict_lines(self, at_us: int) -> list[str]:
        return [
            self._context_line(
                channel.device, channel.component, SOURCE_NAME, verdict.at_us, verdict_to_values(channel.source, verdict)
            )
            for channel, verdict in self.witness.due(at_us, self.meters)
        ]

    def sensor_states(self, at_us: int, mono_us: int) -> list[SourceState]:
        """State of each source of each device: by its meter if that has something to say, else by its collector."""
        states = {(state.device, state.source): state for state in self.sensors.states()}
        for channel, state, reason in self.witness.states(mono_us, at_us, self.meters):
            key = channel.device, channel.source
            if key not in states or state is not SensorState.READS:
                states[key] = SourceState(channel.device, channel.component, channel.source, state, reason, alias=channel.alias)
        return list(states.values())

    def _state_contexts(self, at_us: int, mono_us: int) -> list[DeviceContext]:
        """States of sources as operating conditions of their devices."""
        values: dict[tuple[str, str], dict[str, int]] = {}
        for state in self.sensor_states(at_us, mono_us):
            self._log_doubt(state)
            of_device = values.setdefault((state.device, state.component), {})
            of_device |= {f"sensor_state/{state.source}": int(state.state), f"sensor_reason/{state.source}": int(state.reason)}
        return [DeviceContext(device, component, SOURCE_NAME, values[device, component]) for device, component in values]

    def _log_doubt(self, state: SourceState) -> None:
        """Print once which source is doubted or contradicted, and why."""
        key = state.device, state.source
        doubt = state.state if state.state in (SensorState.DOUBTED, SensorState.SET_ASIDE) else SensorState.READS
        before = self._logged_doubts.get(key, SensorState.READS)
        if doubt == before or (doubt == SensorState.SET_ASIDE and key not in self.witness.contradicted()):
            return
        self._logged_doubts[key] = doubt
        if before == SensorState.READS:
            name = state.alias or state.device
            print(f"footprint-agent: {name} ({state.source}): {self.witness.doubt_text(key, state.reason)}", file=sys.stderr)

    def _checkpoint(self, pending: list[str], logs: dict[str, checkpoint.LogState]) -> checkpoint.Checkpoint:
        """State for a restart; counters go on after it, unlike integrated powers."""
        counters = [meter for meter in self.meters.values() if meter.last.counter_uj is not None]
        boards = {(meter.last.channel.device, meter.last.channel.source) for meter in counters}
        instances = {board: list(parts.values()) for board, parts in self.instances.items() if board in boards}
        return checkpoint.Checkpoint(counters, instances, pending, logs, self.witness.to_rows())

    def doubted_since(self, at_us: int) -> dict[Key, tuple[int, int]]:
        """Since when [µs] and with how much energy [µJ] in suspense sources have been doubted for longer than a minute."""
        return {
            key: (since_us, meter.suspense_uj)
            for key, meter in list(self.meters.items())
            if (since_us := doubt_since(meter, at_us))
        }

    def restore(self) -> None:
        """Continue the counters of an earlier run of this boot; the time between stays uncovered."""
        state = checkpoint.load(self.spool.folder, self.boot)
        self.boundary_lines = state.pending
        for tailer in self.log_tailers:
            tailer.logs.restore(state.logs.get(tailer.pattern, {}))
        self.meters = {(meter.last.channel.device, meter.last.channel.source): meter for meter in state.meters}
        self.instances = {
            board: {meter.last.channel.device: meter for meter in parts} for board, parts in state.instances.items()
        }
        self.witness.restore(state.verdicts)


def agent_usage(table: ProcessTable) -> GroupUsage:
    """Use by the agent itself: CPU time [µs] since its start, current memory [bytes]."""
    resident = table.read_file(os.getpid(), "statm").split()
    return GroupUsage(time.process_time_ns() // 1000, int(resident[1]) * PAGE_BYTES if len(resident) > 1 else 0)
