"""This file estimates CPU power where no sensor can be read: CodeCarbon's table of TDP, and the load.

Requirements: the extra ``tdp`` (CodeCarbon, MIT). Only where RAPL cannot be read; quality C, said aloud.

Metrics
-------
estimate   power [W] = TDP x (0.1 + 0.9 x load); device cpu:0

The shape is CodeCarbon's: at rest a CPU draws a tenth of its TDP, and half where its model is not known the
whole of CodeCarbon's default is taken (https://mlco2.github.io/codecarbon, methodology, CPU).
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from footprint.core.samples import Channel, Sample

AT_REST = 0.1  # share of the TDP drawn at no load (CodeCarbon, CPU load mode)


class TdpCollector(Collector):
    """Power of the CPU by a model."""

    name = "tdp"
    covers = "cpu"

    def __init__(self, config: AgentConfig) -> None:
        self._stat = config.proc / "stat"
        self._tdp_w, model = _tdp()
        self._channel = Channel("cpu:0", "cpu", "estimate", model=model)
        self._before = _busy_and_all(self._stat)

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """The mean power since the sample before."""
        now = _busy_and_all(self._stat)
        busy, whole = now[0] - self._before[0], now[1] - self._before[1]
        if whole <= 0:
            return
        self._before = now
        load = min(max(busy / whole, 0.0), 1.0)
        power_uw = round(self._tdp_w * (AT_REST + (1 - AT_REST) * load) * 1e6)
        yield Sample(self._channel, at_us, mono_us, None, power_uw)

    def remarks(self) -> Iterator[str]:
        """That figures are estimates."""
        yield (
            f"cpu:0: no sensor of the CPU can be read; its energy is ESTIMATED (quality C) from a TDP of "
            f"{self._tdp_w:g} W ({self._channel.model or 'model not known'}) and the load"
        )


def _tdp() -> tuple[float, str]:
    # CodeCarbon logs and prints as it loads; the agent says what matters itself.
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            from codecarbon.core.cpu import TDP  # noqa: PLC0415 - heavy, and only where no sensor is
        found = TDP()  # type: ignore[no-untyped-call,unused-ignore]
    except ModuleNotFoundError:
        raise Unavailable("TDP model: pip install 'footprint[tdp]' estimates the CPU without a sensor") from None
    finally:
        logging.disable(logging.NOTSET)
    if not found.tdp:
        raise Unavailable(f"TDP model: CodeCarbon knows no TDP for {found.model or 'this CPU'}")
    return float(found.tdp), str(found.model or "")


def _busy_and_all(stat: Path) -> tuple[int, int]:
    """Ticks in which any CPU worked, and all ticks, since boot (proc(5), /proc/stat)."""
    try:
        with stat.open(encoding="ascii") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError) as bad:
        raise Unavailable(f"TDP model: {stat}: {bad}") from None
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)
