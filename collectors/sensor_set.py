"""Open collectors of a host: a failure of one does not stop the others, and unavailable ones are retried.

All sensors are opened and read; ``collectors.overlaps`` decides, device by device and by what each source delivers, which of
them count. Estimates are opened only while nothing delivers the energy of their component.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from collectors.base import Collector, DeviceContext, PermissionRequired, Scope, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.overlaps import DeviceSource, OverlapFilter
from footprint.core.samples import Sample
from footprint.core.sensor_verdicts import Reason, SensorState

_COMPONENT = {"gpu": "gpu", "cpu": "cpu", "dram": "dram", "wall": "host"}
RETRY_INTERVAL_US = 60 * 1_000_000
MAX_COSTLY_RETRY_US = 960 * 1_000_000
MIN_WITNESS_BMC_S = 60.0  # a second service processor is read rarely: each reading starts a program or asks a slow processor


class SensorSet:
    """Working collectors, why the others do not work, and which of their sources count."""

    def __init__(self, config: AgentConfig, collector_types: Sequence[type[Collector]]) -> None:
        self._config, self._collector_types = config, collector_types
        self._rank = {collector_type: rank for rank, collector_type in enumerate(collector_types)}
        self.working: dict[type[Collector], Collector] = {}
        self.reasons: dict[str, str] = {}
        self.permission_denied: set[str] = set()  # sensors that exist and may not be read
        self.failures: dict[str, int] = {}
        self.overlaps = OverlapFilter()
        self._delivered: set[type[Collector]] = set()
        self._doubted: set[tuple[str, str]] = set()
        self._opened_us: int | None = None
        self._costly_retries: dict[type[Collector], tuple[int, int]] = {}  # when to try again, and the wait before [µs]

    def open_missing(self, mono_us: int) -> None:
        """Open collectors that are not open yet, once a minute (costly ones ever more rarely); close estimates not needed now."""
        if self._opened_us is not None and mono_us < self._opened_us + RETRY_INTERVAL_US:
            return
        is_first, self._opened_us = self._opened_us is None, mono_us
        for collector_type in sorted(self._collector_types, key=lambda collector_type: collector_type.is_estimate):
            if collector_type.is_estimate and self._is_covered(collector_type.covers, is_first=is_first):
                self._close_collector(collector_type)
            elif collector_type not in self.working and mono_us >= self._costly_retries.get(collector_type, (mono_us, 0))[0]:
                is_open = self._open_collector(collector_type)
                if collector_type.is_costly_to_open:
                    self._delay_retry(collector_type, mono_us, is_open=is_open)
        self._learn_devices()

    def _delay_retry(self, collector_type: type[Collector], mono_us: int, *, is_open: bool) -> None:
        """Wait twice as long after each vain attempt that starts a program or loads a library."""
        if is_open:
            self._costly_retries.pop(collector_type, None)
            return
        wait_us = min(2 * self._costly_retries.get(collector_type, (0, RETRY_INTERVAL_US // 2))[1], MAX_COSTLY_RETRY_US)
        self._costly_retries[collector_type] = mono_us + wait_us, wait_us

    def _is_covered(self, component: str, *, is_first: bool) -> bool:
        """Whether an estimate of a component has to wait: something delivers it, or may do so with its first sample."""
        if not is_first:
            return self.overlaps.delivers(component)
        sensors = (collector for collector in self.working.values() if not collector.is_estimate)
        return bool(self._config.scrape) or any(component in collector.components() for collector in sensors)

    def _open_collector(self, collector_type: type[Collector]) -> bool:
        config = self._config
        if collector_type.covers == "wall" and any(other.covers == "wall" for other in self.working):
            config = replace(config, bmc_s=max(config.bmc_s, MIN_WITNESS_BMC_S))
        try:
            self.working[collector_type] = collector_type(config)
        except Unavailable as unavailable:
            self.reasons[collector_type.name] = str(unavailable)
            if isinstance(unavailable, PermissionRequired):
                self.permission_denied.add(collector_type.name)
            return False
        except Exception as error:  # a sensor that is broken in a new way must not stop the others
            self.reasons[collector_type.name] = f"{collector_type.name}: {type(error).__name__}: {error}"
            return False
        self.reasons.pop(collector_type.name, None)
        self.permission_denied.discard(collector_type.name)
        return True

    def _close_collector(self, collector_type: type[Collector]) -> None:
        collector = self.working.pop(collector_type, None)
        self._delivered.discard(collector_type)
        if collector is not None:
            collector.close()

    def _learn_devices(self) -> None:
        """Tell the filter which devices the collectors know, and what their sensors measure."""
        scopes: dict[str, Scope] = {}
        known: dict[str, str] = {}
        for collector in list(self.working.values()):
            try:
                scopes.update(collector.scopes())
                known.update({state.device: state.alias for state in collector.states()})
            except Exception as error:
                self._count_failure(collector, error)
        self.overlaps.scopes, self.overlaps.known = scopes, known

    def collect(self, at_us: int, mono_us: int, external: Iterable[Sample] = ()) -> list[Sample]:
        """Samples of all collectors and of other programs that count or witness; a failing collector is counted."""
        batch: list[tuple[int, bool, Sample]] = []
        for collector_type, collector in list(self.working.items()):
            rank, before = self._rank[collector_type], len(batch)
            try:
                batch.extend((rank, True, sample) for sample in collector.collect(at_us, mono_us))
                if self.reasons and len(batch) > before:
                    self.reasons.pop(collector.name, None)
            except Exception as error:
                self._count_failure(collector, error)
            if len(batch) > before:
                self._delivered.add(collector_type)
        batch += [(len(self._rank), False, sample) for sample in external]
        return self.overlaps.accept(batch, mono_us, self._config.sample_us)

    def context(self) -> Iterator[DeviceContext]:
        """Operating conditions of the devices of all collectors."""
        for collector in list(self.working.values()):
            try:
                yield from collector.context()
            except Exception as error:
                self._count_failure(collector, error)
        self._learn_devices()

    def delivering(self) -> list[str]:
        """Names of the collectors that gave a sample since they were opened."""
        return [collector_type.name for collector_type in self.working if collector_type in self._delivered]

    def distrust(self, contradicted: Iterable[tuple[str, str]], doubted: Iterable[tuple[str, str]] = ()) -> None:
        """Set the sources, by device and source, that give way to others while they are named.

        ``contradicted`` are those that their witness contradicts, ``doubted`` those whose values are refused or await
        confirmation.
        """
        self._doubted = set(doubted)
        self.overlaps.distrusted = self._doubted.union(contradicted)

    def components(self) -> set[str]:
        """Components that the working collectors measure."""
        covered = {name.partition("-")[0] for collector in self.working.values() for name in collector.components()}
        return {_COMPONENT[name] for name in covered if name in _COMPONENT}

    def states(self) -> list[SourceState]:
        """State of every source that was ever read, and of those that a collector knows and cannot read."""
        states: dict[tuple[str, str], SourceState] = {}
        for source in list(self.overlaps.sources.values()):
            if source.grade == "estimate" and (source.aside or not source.is_fresh):
                continue  # it gave way to what is measured
            channel = source.passes_as or source.channel
            is_doubted = (channel.device, channel.source) in self._doubted
            state = _state_of(source, is_doubted=is_doubted, is_distrusted=self.overlaps.is_distrusted(source))
            states[state.device, state.source] = state
        for collector in list(self.working.values()):
            try:
                for state in collector.states():
                    current = states.get((state.device, state.source))
                    if current is None or current.state is not SensorState.READS:
                        states[state.device, state.source] = state
            except Exception as error:
                self._count_failure(collector, error)
        return list(states.values())

    def remarks(self) -> Iterator[str]:
        """What is not read or does not count, each once with its reason, then possible improvements with their remedies."""
        yield from dict.fromkeys(state.message for state in self.states() if state.message)
        for collector in list(self.working.values()):
            yield from collector.remarks()

    def _count_failure(self, collector: Collector, error: Exception) -> None:
        self.failures[collector.name] = self.failures.get(collector.name, 0) + 1
        self.reasons[collector.name] = str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Close all collectors."""
        for collector_type in list(self.working):
            self._close_collector(collector_type)


def _state_of(source: DeviceSource, *, is_doubted: bool, is_distrusted: bool) -> SourceState:
    """State of a source that was read at least once."""
    channel = source.passes_as or source.channel
    label = source.channel.alias or source.channel.device
    state, reason, message = SensorState.READS, Reason.NONE, ""
    if source.aside:
        state, reason = SensorState.SET_ASIDE, Reason.OVERLAPS
        message = f"{label} ({channel.source}) is read and does not count: {source.aside}"
    elif not source.is_fresh:
        state, reason = SensorState.SILENT, Reason.NO_SAMPLE
        message = f"{label} ({channel.source}) was read and gives no value now"
    elif is_doubted:
        state, reason = SensorState.DOUBTED, Reason.ABOVE_CEILING
        message = f"{label} ({channel.source}): its values are refused or await confirmation: no such device draws what they say"
    elif is_distrusted:
        state = SensorState.SET_ASIDE
        message = f"{label} ({channel.source}) is contradicted by its witness and gives way to any other source"
    return SourceState(channel.device, channel.component, channel.source, state, reason, message, source.channel.alias)
