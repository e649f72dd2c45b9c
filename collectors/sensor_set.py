"""Open collectors of a host: a failure of one does not stop the others, and unavailable ones are retried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors.base import Collector, DeviceContext, PermissionRequired, Unavailable
from collectors.config import AgentConfig
from footprint.core.samples import Sample

_COMPONENT = {"gpu": "gpu", "cpu": "cpu", "dram": "dram", "wall": "host"}
RETRY_INTERVAL_US = 60 * 1_000_000


class SensorSet:
    """Working collectors, of those that cover the same only the first, and why the others do not work."""

    def __init__(self, config: AgentConfig, collector_types: Sequence[type[Collector]]) -> None:
        self._config, self._collector_types = config, collector_types
        self.working: dict[type[Collector], Collector] = {}
        self.reasons: dict[str, str] = {}
        self.permission_denied: set[str] = set()  # sensors that exist and may not be read
        self.failures: dict[str, int] = {}
        self._opened_us: int | None = None

    def open_missing(self, mono_us: int) -> None:
        """Open collectors that are not open yet, once a minute; a preferred one replaces its substitute."""
        if self._opened_us is not None and mono_us < self._opened_us + RETRY_INTERVAL_US:
            return
        self._opened_us = mono_us
        covered: set[str] = set()
        for collector_type in self._collector_types:
            if collector_type.covers in covered:
                self._close_collector(collector_type)
            elif collector_type in self.working or self._open_collector(collector_type):
                covered |= self.working[collector_type].components()

    def _open_collector(self, collector_type: type[Collector]) -> bool:
        try:
            self.working[collector_type] = collector_type(self._config)
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
        if collector is not None:
            collector.close()

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Samples of all collectors; a failing collector is counted and gives none."""
        for collector in list(self.working.values()):
            try:
                yield from collector.collect(at_us, mono_us)
            except Exception as error:
                self._count_failure(collector, error)

    def context(self) -> Iterator[DeviceContext]:
        """Operating conditions of the devices of all collectors."""
        for collector in list(self.working.values()):
            try:
                yield from collector.context()
            except Exception as error:
                self._count_failure(collector, error)

    def components(self) -> set[str]:
        """Components that the working collectors measure."""
        covered = {name.partition("-")[0] for collector in self.working.values() for name in collector.components()}
        return {_COMPONENT[name] for name in covered if name in _COMPONENT}

    def remarks(self) -> Iterator[str]:
        """Possible improvements of the measurement, each with its remedy."""
        for collector in self.working.values():
            yield from collector.remarks()

    def _count_failure(self, collector: Collector, error: Exception) -> None:
        self.failures[collector.name] = self.failures.get(collector.name, 0) + 1
        self.reasons[collector.name] = str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Close all collectors."""
        for collector_type in list(self.working):
            self._close_collector(collector_type)
