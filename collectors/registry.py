"""This file lists the collectors; a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from collectors.base import Collector, Unavailable
from collectors.nvml import NvmlCollector
from collectors.rapl import RaplCollector
from collectors.tdp import TdpCollector

# In order; the last stands in for the CPU only where no sensor of it can be read.
COLLECTORS: tuple[Callable[[], Collector], ...] = (NvmlCollector, RaplCollector)
FALL_BACK: Callable[[], Collector] = TdpCollector


def open_collectors() -> tuple[list[Collector], dict[str, str]]:
    """Collectors that work on this host, and by name why the others do not."""
    working: list[Collector] = []
    reasons: dict[str, str] = {}
    for make in COLLECTORS:
        try:
            working.append(make())
        except Unavailable as why:
            reasons[make.name] = str(why)  # type: ignore[attr-defined]
    if not any(collector.name == RaplCollector.name for collector in working):
        try:
            working.append(FALL_BACK())
        except Unavailable as why:
            reasons[TdpCollector.name] = str(why)
    return working, reasons
