"""This file is a plugin of pytest: ``--footprint`` prints the joules of each test, ``footprint_measure`` measures a stretch.

    def test_of_mine(footprint_measure):
        with footprint_measure("answering") as found:
            answer()
        assert found.energy_j < 500

Sensors are read once a session, by the agent's own program, and only where they are asked for; without the option and the
fixture nothing is imported. What else runs on this host meanwhile is in every figure: it says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from footprint.notebook.measurement import Measurement, SensorProcess

MIN_UPDATES = 10  # of the sensors within a test: with fewer, their own pace is more than a tenth of the figure
_HEAD = ("J", "95 % interval", "above idle J", "s", "quality")


class _Session:
    """The sensors of one session, and what its tests took."""

    def __init__(self) -> None:
        self._sensors: SensorProcess | None = None
        self.why = ""
        self.spans: dict[str, tuple[int, int]] = {}

    def sensors(self) -> SensorProcess:
        """The sensors, started at the first call.

        Raises
        ------
        CannotMeasure
            If none can be read here.
        """
        from footprint.notebook.measurement import BASELINE_S, SensorProcess  # noqa: PLC0415 - nothing is imported until it is asked for

        if self._sensors is None:
            sensors = SensorProcess()
            sensors.__enter__()
            time.sleep(BASELINE_S)  # what the host draws before any test
            self._sensors = sensors
        return self._sensors

    def began(self, name: str) -> None:
        """A test starts now."""
        self.spans[name] = (_now_us(), 0)

    def ended(self, name: str) -> None:
        """A test ends now."""
        self.spans[name] = (self.spans[name][0], _now_us())

    def close(self) -> list[tuple[str, ...]]:
        """Stop reading; a row a test."""
        if self._sensors is None:
            return []
        ends = [end for _, end in self.spans.values() if end]
        self._sensors.wait_for_readings_after(max(ends, default=0))
        self._sensors.close()
        return [_row(self._sensors, name, begin, end) for name, (begin, end) in self.spans.items() if end]


def _row(sensors: SensorProcess, name: str, begin_us: int, end_us: int) -> tuple[str, ...]:
    seconds = (end_us - begin_us) / 1_000_000
    instants = {reading.at_us for reading in sensors.readings() if begin_us <= reading.at_us <= end_us}
    if len(instants) < MIN_UPDATES:
        pace = f"its {seconds:.2g} s are too short: the sensors were read {len(instants)} times, {MIN_UPDATES} are needed"
        return (name, "–", pace)
    rows = sensors.rows(begin_us, end_us)
    if not rows:
        return (name, "–", "not read from its begin to its end")
    total = rows[-1]
    idle = _idle_w(sensors, [row["device"] for row in rows])
    above = "" if idle is None else f"{total['energy_j'] - idle * seconds:.3g}"
    bracket = f"[{total['energy_low_j']:.3g} ; {total['energy_high_j']:.3g}]"
    return (name, f"{total['energy_j']:.4g}", bracket, above, f"{seconds:.3g}", str(total["quality"]))


def _idle_w(sensors: SensorProcess, devices: list[str]) -> float | None:
    """What the host drew before the first test [W]; None where it is not known of every device."""
    from footprint.notebook.measurement import BASELINE_S  # noqa: PLC0415 - as above

    first_us = min(reading.at_us for reading in sensors.readings())
    rows = sensors.rows(first_us, first_us + round(BASELINE_S * 1_000_000 * 4 / 5))
    known = {row["device"]: row for row in rows}
    return known["(total)"]["energy_j"] / (BASELINE_S * 4 / 5) if set(devices) <= set(known) else None


def _now_us() -> int:
    return time.time_ns() // 1000


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option."""
    parser.addoption("--footprint", action="store_true", help="print the energy of each test, in joules")


def pytest_configure(config: pytest.Config) -> None:
    """Start the sensors, where they are asked for; a host without any goes on, and says why at the end."""
    session = _Session()
    config.stash[_KEY] = session
    if not config.getoption("--footprint"):
        return
    if hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None):
        session.why = "tests that run side by side share the host's energy; -n 0 runs one after the other"
        return
    from footprint.notebook.measurement import CannotMeasure  # noqa: PLC0415 - as above

    try:
        session.sensors()
    except CannotMeasure as why:
        session.why = str(why)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """From set-up to tear-down."""
    session = item.config.stash[_KEY]
    asked = item.config.getoption("--footprint") and not session.why
    if asked:
        session.began(item.nodeid)
    yield
    if asked:
        session.ended(item.nodeid)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line a test."""
    session = config.stash[_KEY]
    rows = session.close()
    if not config.getoption("--footprint"):
        return
    terminalreporter.write_sep("=", "energy of this host by test")
    if session.why:
        terminalreporter.write_line(f"not measured: {session.why}")
        return
    width = max((len(row[0]) for row in rows), default=0)
    terminalreporter.write_line(_line("", _HEAD, width))
    for name, *cells in rows:
        if len(cells) == len(_HEAD):
            terminalreporter.write_line(_line(name, cells, width))
        else:
            terminalreporter.write_line(f"{name:{width}}  {cells[0]:>8}  {cells[1]}")
    terminalreporter.write_line("whatever else ran on this host is in these figures")


def _line(name: str, cells: Sequence[str], width: int) -> str:
    return f"{name:{width}}  {cells[0]:>8}  {cells[1]:<18}  {cells[2]:>12}  {cells[3]:>7}  {cells[4]}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Where there was no summary, nobody has stopped the sensors."""
    session = config.stash.get(_KEY, None)
    if session is not None:
        session.close()


@pytest.fixture
def footprint_measure(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Measurement]]:
    """``with footprint_measure("name") as found:`` measures the block with the session's sensors."""
    from footprint.notebook.measurement import CannotMeasure, Measurement  # noqa: PLC0415 - as above

    session = request.config.stash[_KEY]

    @contextmanager
    def measured(name: str = request.node.name) -> Iterator[Measurement]:
        sensors = session.sensors()
        found = Measurement(name, begin_us=_now_us())
        try:
            yield found
        finally:
            end_us = _now_us()
            found.seconds = (end_us - found.begin_us) / 1_000_000
            sensors.wait_for_readings_after(end_us)
            found.rows = sensors.rows(found.begin_us, end_us)
        if not found.rows:
            raise CannotMeasure(f"{name}: the sensors gave no two readings around it")

    return measured


_KEY = pytest.StashKey[_Session]()
