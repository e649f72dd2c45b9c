"""Ten thousand seeded schedules of kills, full disks, outages, repeats and disorder: no joule lost that a counter can recover."""

import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from collectors import checkpoint
from collectors.agent import Agent
from collectors.spool import Spool
from footprint.attribution.energy_intervals import MIN_GAP_US, Samples, intervals_from_counter
from footprint.core.records import EnergyReading, from_line
from footprint.core.samples import Channel, Sample
from tests.support.agents import WALL_US, S, make_agent

LIMIT_W = 500
TICKS = 150
# Of powercap's usual range, begun near its end; and of a counter that is set anew by the driver only.
RAPL = Channel("cpu:0", "cpu", "rapl", wrap_uj=262_143_328_850, ceiling_uw=LIMIT_W * S)
NVML = Channel("GPU-1", "gpu", "nvml-energy", ceiling_uw=LIMIT_W * S)
LOST, LATE, AWAY = "answer lost", "delivered late", "server away"


class KillNow(BaseException):
    """kill -9 at a place in the code: nothing after it happens."""


class FaultySpool(Spool):
    """A spool whose process is killed, or whose disk is full, where the schedule says."""

    fault = ""
    full = False

    def append(self, lines: list[str]) -> None:  # type: ignore[override]
        if self.full:
            raise OSError(28, "No space left on device")
        if self.fault == "before":
            raise KillNow
        if self.fault == "torn":
            (self.folder / f"{self._next:012d}.part").write_text("\n".join(lines)[: len(lines[0]) // 2])
            raise KillNow
        super().append(lines)
        if self.fault == "after":
            raise KillNow


@dataclass
class Ledger:
    """What the server keeps: the first value of each identity; another value would be a conflict."""

    rows: dict[tuple[str, int], EnergyReading] = field(default_factory=dict)

    def accept(self, lines: list[bytes]) -> None:
        for record in map(from_line, lines):
            if isinstance(record, EnergyReading):
                before = self.rows.setdefault((record.device, record.at_us), record)
                assert (before.energy_uj, before.epoch) == (record.energy_uj, record.epoch), "conflict"


class World:
    """One device, one agent that is killed now and then, one server; and what really happened."""

    def __init__(self, seed: int, folder: Path, disk_full: list[bool]) -> None:
        self.luck = random.Random(seed)
        self.folder, self.disk_full = folder, disk_full
        self.channel = self.luck.choice([RAPL, NVML])
        self.clock_only = self.luck.random() < 0.3  # schedules of clock steps have no second fault of the counter
        self.raw, self.true_uj, self.wall_offset_us = self._begin(), 0, 0
        self.ledger, self.late = Ledger(), list[list[bytes]]()
        self.truth: dict[int, int] = {}  # monotonic instant of each sample taken -> energy really used by then
        self.agent: Agent | None = None
        self.kills = self.down = 0
        self.breaks = 0  # counters set anew, memories torn: what lies around them no counter recovers
        self.misread, self.misreads = False, 0
        # What a kill forgets is what was sampled since the agent's memory was last put on disk.
        self.begun_us: int | None = None
        self.life_us, self.last_us, self.saved_us, self.forgotten_us = -1, -1, -1, 0

    def _begin(self) -> int:
        return self.channel.wrap_uj - self.luck.randrange(60_000 * S) if self.channel.wrap_uj else 10**15

    def start(self, mono_us: int) -> None:
        self.agent = make_agent(self.folder, discover=False)
        self.agent.spool = FaultySpool(self.agent.config.spool, 100)
        # What the agent remembers of a misreading must not be borne out by another one.
        self.life_us, self.misread = -1, True

    def kill(self) -> None:
        self.agent = None
        self.kills += 1
        if self.last_us >= 0:
            self.forgotten_us += self.last_us - max(self.saved_us, self.life_us)
        self.down = self.luck.choice([0, 1, 3, 20])
        if not self.clock_only and self.luck.random() < 0.08:
            path = self.folder / "spool" / checkpoint.FILE_NAME
            if path.exists():
                path.write_bytes(path.read_bytes()[: self.luck.randrange(50)])
                self.breaks += 1

    def _use(self) -> None:
        """A second of the device: energy, and now and then a counter set anew."""
        used = self.luck.randrange(LIMIT_W * S)
        self.true_uj += used
        self.raw += used
        if self.channel.wrap_uj:
            self.raw %= self.channel.wrap_uj
        elif not self.clock_only and self.luck.random() < 0.01:
            self.raw = 10**15 - (self.breaks + 1) * 10**12  # a lower value each time: no reset hides behind the energy since
            self.breaks += 1

    def tick(self, at: int) -> None:
        luck, mono_us = self.luck, at * S
        self._use()
        if self.clock_only and luck.random() < 0.04:
            self.wall_offset_us += luck.choice([-7, -1, 2, 3600]) * S  # NTP, or a sleep
        if self.agent is None:
            if self.down:
                self.down -= 1
                return
            self.start(mono_us)
        assert self.agent is not None
        spool = self.agent.spool
        assert isinstance(spool, FaultySpool)
        if luck.random() < 0.03:
            spool.full = self.disk_full[0] = not spool.full
        spool.fault = luck.choice(["before", "torn", "after"]) if luck.random() < 0.1 else ""
        hidden = luck.random() < 0.05  # the sensor does not answer
        # Two wrong values in a row that agree with each other would be a reset, and a wrong first one is believed: no
        # program can tell.
        if not hidden:
            self.misread = bool(self.agent.meters) and not self.misread and luck.random() < 0.02
        wrong = (
            [(self.raw + self.channel.wrap_uj // 2) % self.channel.wrap_uj]
            if self.channel.wrap_uj
            else [0, self.raw // 3, 10**17]
        )
        value = luck.choice(wrong) if self.misread else self.raw
        if not hidden:
            self.truth[mono_us] = self.true_uj
            self.misreads += self.misread
            self.last_us = mono_us
            if self.life_us < 0:
                self.life_us = mono_us
            self.agent.add_sample(Sample(self.channel, WALL_US + mono_us + self.wall_offset_us, mono_us, value))
        try:
            if at % 10 == 0:
                self._remembers()
                self.agent.write_records(WALL_US + mono_us + self.wall_offset_us, mono_us)
            if luck.random() < 0.03:
                raise KillNow
        except KillNow:
            self.disk_full[0] = False
            self.kill()
            return
        if luck.random() < 0.2:
            self.ship(spool)

    def _remembers(self) -> None:
        """The record that follows puts the agent's memory on disk, unless that is full."""
        if not self.disk_full[0] and self.life_us >= 0:
            self.saved_us = self.last_us
            if self.begun_us is None:
                self.begun_us = self.life_us

    def ship(self, spool: Spool) -> None:
        paths, lines = spool.read(self.luck.randrange(1, 5000))
        outcome = self.luck.choice([LOST, LATE, AWAY, "", "", ""])
        if outcome == AWAY or not paths:
            return
        if outcome == LATE:
            self.late.append(lines)
        self.ledger.accept(lines)
        if outcome != LOST:
            spool.delete(paths)

    def end(self) -> None:
        mono_us = (TICKS + 25) * S
        self.disk_full[0] = False
        for late in range(3):  # a sample after any doubt
            at_us = mono_us + late * S
            if self.agent is None:
                self.start(at_us)
            assert self.agent is not None
            used = self.luck.randrange(LIMIT_W * S)
            self.true_uj += used
            self.raw = (self.raw + used) % self.channel.wrap_uj if self.channel.wrap_uj else self.raw + used
            self.truth[at_us] = self.true_uj
            self.agent.add_sample(Sample(self.channel, WALL_US + at_us + self.wall_offset_us + 3600 * S, at_us, self.raw))
        assert self.agent is not None
        spool = self.agent.spool
        assert isinstance(spool, FaultySpool)
        spool.full, spool.fault = False, ""
        self.last_us = mono_us + 2 * S
        self.life_us = self.life_us if self.life_us >= 0 else mono_us
        self._remembers()
        self.agent.write_records(WALL_US + mono_us + self.wall_offset_us + 3603 * S, mono_us + 3 * S)
        self.ledger.accept(spool.read(10**9)[1])
        self.luck.shuffle(self.late)
        for lines in self.late:
            self.ledger.accept(lines)


def epochs_of(ledger: Ledger) -> Iterator[list[EnergyReading]]:
    found: dict[str, list[EnergyReading]] = {}
    for record in sorted(ledger.rows.values(), key=lambda r: r.at_us):
        found.setdefault(record.epoch, []).append(record)
    return iter(found.values())


def check(world: World) -> None:
    groups = list(epochs_of(world.ledger))
    held = 0
    for group in groups:
        first, last = group[0], group[-1]
        assert last.energy_uj - first.energy_uj == world.truth[last.mono_us] - world.truth[first.mono_us]
        held += last.energy_uj - first.energy_uj
        times = sorted(t for t in world.truth if first.mono_us <= t <= last.mono_us)
        watched = sum(b - a for a, b in itertools.pairwise(times) if b - a <= MIN_GAP_US)
        covered = last.covered_us - first.covered_us
        # Nothing is told as watched that was not; what is missing is what kills forgot, and the moments around them.
        assert watched - world.forgotten_us - 6 * S * (world.kills + world.misreads + world.breaks) <= covered <= watched
    assert len(groups) <= 1 + world.breaks
    if not world.breaks:
        assert len(groups) == 1
        assert groups[0][0].mono_us == world.begun_us
        assert groups[0][-1].mono_us == max(world.truth)
    # The ledger's own differences are the same, whatever the order in which records came.
    rows = sorted(world.ledger.rows.values(), key=lambda r: r.at_us)
    names = {epoch: index for index, epoch in enumerate(sorted({r.epoch for r in rows}))}
    columns = (
        np.array([value(r) for r in rows], dtype=np.int64)
        for value in (lambda r: r.at_us, lambda r: r.energy_uj, lambda r: r.covered_us, lambda r: names[r.epoch])
    )
    spans = intervals_from_counter(Samples(*columns), MIN_GAP_US)
    assert int(spans.energy_uj.sum()) == held


FULL = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "full" else 300


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A switch: while it is on, the disk takes the agent's memory as little as its records."""
    full = [False]
    save = checkpoint.save

    def saved(*arguments: object) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save", saved)
    return full


@pytest.mark.parametrize("part", range(10))
def test_schedules(part: int, disk: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.spool._synchronise", lambda folder: None)  # what fsync gives is proved by real kills
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    for seed in range(part * FULL // 10, (part + 1) * FULL // 10):
        folder = Path(tempfile.mkdtemp(dir=base, prefix="schedule"))
        disk[0] = False
        try:
            world = World(seed, folder, disk)
            for at in range(TICKS):
                world.tick(at)
            world.end()
            check(world)
        except AssertionError as bad:
            raise AssertionError(f"seed {seed}") from bad
        finally:
            shutil.rmtree(folder)
