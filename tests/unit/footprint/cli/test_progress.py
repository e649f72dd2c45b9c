"""A bar on a terminal after half a second, else a line every tenth of the way or every half minute."""

from __future__ import annotations

import io

import pytest

from footprint.cli import progress
from footprint.cli.progress import Progress, format_duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_elsewhere_a_line_every_tenth_or_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = Clock(monkeypatch), io.StringIO()
    shown = Progress("Benchmarking", out)
    for done in range(100):
        shown(done, 100, "", 0)
    assert len(out.getvalue().splitlines()) == 10
    clock.now += 31
    shown(99, 100, "concurrency 8", 65)
    assert out.getvalue().splitlines()[-1] == "Benchmarking 99/100 points · concurrency 8 · 65 s left"
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_a_bar_that_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = Clock(monkeypatch), Terminal()
    shown = Progress("Benchmarking", out)
    shown(1, 4, "at rest", 4000)
    assert out.getvalue() == ""  # what takes less than half a second needs none
    clock.now += 1
    shown(1, 4, "at rest", 4000)
    assert out.getvalue() == "\r\x1b[KBenchmarking ▓▓▓▓▓░░░░░░░░░░░░░░░ 1/4 points · at rest · 1 h 07 min left"
    shown.close()
    assert out.getvalue().endswith("\r\x1b[K")


def test_spans_as_people_say_them() -> None:
    assert [format_duration(each) for each in (45.4, 600, 3600, 5460)] == ["45 s", "10 min", "1 h 00 min", "1 h 31 min"]


def test_short_work_prints_no_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = Clock(monkeypatch), io.StringIO()
    shown = Progress("Converting figures", out, unit="days", quiet_s=5)
    clock.now += 1
    shown.count(30, 100)
    assert out.getvalue() == ""
    clock.now += 9
    shown.count(40, 100)
    assert out.getvalue() == "Converting figures 40/100 days · 15 s left\n"
