"""TDP estimate: CPU power from CodeCarbon's table of TDP and the load, if nothing measures the CPU.

Requirements: the extra ``tdp`` (CodeCarbon, MIT). Only while neither a sensor nor another program delivers; quality C, marked
by its source.

Metrics
-------
estimate   power [W] = TDP x (0.1 + 0.9 x load); device cpu:0

The formula is CodeCarbon's: an idle CPU draws a tenth of its TDP. For an unknown model CodeCarbon's default TDP is
used (https://mlco2.github.io/codecarbon, methodology, CPU).
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

IDLE_SHARE = 0.1  # share of the TDP drawn without load (CodeCarbon, CPU load mode)


class TdpCollector(Collector):
    """Modelled power of the CPU."""

    name = "tdp"
    covers = "cpu"
    is_estimate = True

    def __init__(self, config: AgentConfig) -> None:
        self._stat = config.proc / "stat"
        self._tdp_w, model = _load_tdp()
        self._channel = Channel("cpu:0", "cpu", "estimate", model=model)
        self._previous_ticks = _busy_and_total_ticks(self._stat)

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Mean power since the last sample."""
        ticks = _busy_and_total_ticks(self._stat)
        busy_ticks, total_ticks = ticks[0] - self._previous_ticks[0], ticks[1] - self._previous_ticks[1]
        if total_ticks <= 0:
            return
        self._previous_ticks = ticks
        load = min(max(busy_ticks / total_ticks, 0.0), 1.0)
        power_uw = round(self._tdp_w * (IDLE_SHARE + (1 - IDLE_SHARE) * load) * 1e6)
        yield Sample(self._channel, at_us, mono_us, None, power_uw)

    def remarks(self) -> Iterator[str]:
        """Note that the power is an estimate."""
        yield (
            f"cpu:0: nothing measures the CPU here; its energy is ESTIMATED (quality C) from a TDP of "
            f"{self._tdp_w:g} W ({self._channel.model or 'model not known'}) and the load"
        )


def _load_tdp() -> tuple[float, str]:
    # CodeCarbon logs and prints as it loads; the agent reports problems itself.
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            from codecarbon.core.cpu import TDP  # noqa: PLC0415 - heavy, and only where no sensor is
        tdp = TDP()  # type: ignore[no-untyped-call,unused-ignore]
    except ModuleNotFoundError:
        raise Unavailable("TDP model: pip install 'footprint[tdp]' estimates the CPU without a sensor") from None
    finally:
        logging.disable(logging.NOTSET)
    if not tdp.tdp:
        raise Unavailable(f"TDP model: CodeCarbon knows no TDP for {tdp.model or 'this CPU'}")
    return float(tdp.tdp), str(tdp.model or "")


def _busy_and_total_ticks(stat: Path) -> tuple[int, int]:
    """Busy and total ticks of all CPUs since boot (proc(5), /proc/stat)."""
    try:
        with stat.open(encoding="ascii") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError) as error:
        raise Unavailable(f"TDP model: {stat}: {error}") from None
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)
