"""This file keeps the collectors of a host open: one fails, the others go on; what was missing is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors.base import Collector, DeviceContext, PermissionRequired, Unavailable
from collectors.config import AgentConfig
from footprint.core.samples import Sample

_COMPONENT = {"gpu": "gpu", "cpu": "cpu", "dram": "dram", "wall": "host"}
LOOK_AGAIN_US = 60 * 1_000_000


class Sensors:
    """Working collectors, of those that cover the same only the first; and why the others do not work."""

    def __init__(self, config: AgentConfig, makers: Sequence[type[Collector]]) -> None:
        self._config, self._makers = config, makers
        self.working: dict[type[Collector], Collector] = {}
        self.reasons: dict[str, str] = {}
        self.refused: set[str] = set()  # those that are there, and may not be read
        self.failures: dict[str, int] = {}
        self._looked_us: int | None = None

    def look(self, mono_us: int) -> None:
        """Open what is not open yet, once a minute; a better source takes over from one that stood in for it."""
        if self._looked_us is not None and mono_us < self._looked_us + LOOK_AGAIN_US:
            return
        self._looked_us = mono_us
        covered: set[str] = set()
        for make in self._makers:
            if make.covers in covered:
                self._drop(make)
            elif make in self.working or self._open(make):
                covered.add(make.covers)

    def _open(self, make: type[Collector]) -> bool:
        try:
            self.working[make] = make(self._config)
        except Unavailable as why:
            self.reasons[make.name] = str(why)
            if isinstance(why, PermissionRequired):
                self.refused.add(make.name)
            return False
        except Exception as bad:  # a sensor that is broken in a new way must not stop the others
            self.reasons[make.name] = f"{make.name}: {type(bad).__name__}: {bad}"
            return False
        self.reasons.pop(make.name, None)
        self.refused.discard(make.name)
        return True

    def _drop(self, make: type[Collector]) -> None:
        found = self.working.pop(make, None)
        if found is not None:
            found.close()

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Samples of all collectors; one that fails is counted and gives none."""
        for collector in list(self.working.values()):
            try:
                yield from collector.collect(at_us, mono_us)
            except Exception as bad:
                self._failed(collector, bad)

    def context(self) -> Iterator[DeviceContext]:
        """Circumstances that the collectors know."""
        for collector in list(self.working.values()):
            try:
                yield from collector.context()
            except Exception as bad:
                self._failed(collector, bad)

    def components(self) -> set[str]:
        """Components that a working collector measures."""
        return {_COMPONENT[make.covers.partition("-")[0]] for make in self.working if make.covers.partition("-")[0] in _COMPONENT}

    def remarks(self) -> Iterator[str]:
        """What could be measured better, with the remedy."""
        for collector in self.working.values():
            yield from collector.remarks()

    def _failed(self, collector: Collector, bad: Exception) -> None:
        self.failures[collector.name] = self.failures.get(collector.name, 0) + 1
        self.reasons[collector.name] = str(bad) if isinstance(bad, Unavailable) else f"{type(bad).__name__}: {bad}"

    def close(self) -> None:
        """Give all sources back."""
        for make in list(self.working):
            self._drop(make)
