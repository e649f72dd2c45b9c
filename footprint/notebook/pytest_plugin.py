"""pytest plugin: ``--footprint`` prints the energy of each test [J], the fixture ``footprint_measure`` measures a block.

    def test_answer(footprint_measure):
        with footprint_measure("answering") as measurement:
            answer()
        assert measurement.energy_j < 500

One agent process reads the sensors for the whole session, and only on demand: without the option or the fixture nothing is
imported. Figures include everything else that runs on the host at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from footprint.notebook.measurement import Measurement, SensorProcess

MIN_UPDATES = 10  # of the sensors within a test: with fewer, their sampling period is more than a tenth of the test
_HEAD = ("J", "95 % interval", "above idle J", "s", "quality")


class _Session:
    """Sensors of one session, and the time ranges of its tests."""

    def __init__(self) -> None:
        self._sensors: SensorProcess | None = None
        self.skip_reason = ""
        self.ranges_us: dict[str, tuple[int, int]] = {}

    def sensors(self) -> SensorProcess:
        """Sensors of the session, started at the first call.

        Raises
        ------
        CannotMeasure
            If none is readable.
        """
        from footprint.notebook.measurement import BASELINE_S, SensorProcess  # noqa: PLC0415 - imported on demand only

        if self._sensors is None:
            sensors = SensorProcess()
            sensors.__enter__()
            time.sleep(BASELINE_S)  # for the idle power of the host
            self._sensors = sensors
        return self._sensors

    def start(self, name: str) -> None:
        """Mark the start of a test."""
        self.ranges_us[name] = (_now_us(), 0)

    def end(self, name: str) -> None:
        """Mark the end of a test."""
        self.ranges_us[name] = (self.ranges_us[name][0], _now_us())

    def close(self) -> list[tuple[str, ...]]:
        """Stop the sensors; return one row per test."""
        if self._sensors is None:
            return []
        ends = [end for _, end in self.ranges_us.values() if end]
        self._sensors.wait_for_readings_after(max(ends, default=0))
        self._sensors.close()
        return [_row(self._sensors, name, begin, end) for name, (begin, end) in self.ranges_us.items() if end]


def _row(sensors: SensorProcess, name: str, begin_us: int, end_us: int) -> tuple[str, ...]:
    seconds = (end_us - begin_us) / 1_000_000
    instants = {reading.at_us for reading in sensors.readings() if begin_us <= reading.at_us <= end_us}
    if len(instants) < MIN_UPDATES:
        reason = f"its {seconds:.2g} s are too short: the sensors were read {len(instants)} times, {MIN_UPDATES} are needed"
        return (name, "–", reason)
    rows = sensors.rows(begin_us, end_us)
    if not rows:
        return (name, "–", "not read from its begin to its end")
    total = rows[-1]
    idle = _idle_w(sensors, [row["device"] for row in rows])
    above = "" if idle is None else f"{total['energy_j'] - idle * seconds:.3g}"
    bracket = f"[{total['energy_low_j']:.3g} ; {total['energy_high_j']:.3g}]"
    return (name, f"{total['energy_j']:.4g}", bracket, above, f"{seconds:.3g}", str(total["quality"]))


def _idle_w(sensors: SensorProcess, devices: list[str]) -> float | None:
    """Power of the host before the first test [W]; None unless it is known for every device."""
    from footprint.notebook.measurement import BASELINE_S  # noqa: PLC0415 - as above

    first_us = min(reading.at_us for reading in sensors.readings())
    rows = sensors.rows(first_us, first_us + round(BASELINE_S * 1_000_000 * 4 / 5))
    rows_by_device = {row["device"]: row for row in rows}
    return rows_by_device["(total)"]["energy_j"] / (BASELINE_S * 4 / 5) if set(devices) <= set(rows_by_device) else None


def _now_us() -> int:
    return time.time_ns() // 1000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--footprint``."""
    parser.addoption("--footprint", action="store_true", help="print the energy of each test, in joules")


def pytest_configure(config: pytest.Config) -> None:
    """Start the sensors if requested; without readable sensors the tests run, and the summary gives the reason."""
    session = _Session()
    config.stash[_KEY] = session
    if not config.getoption("--footprint"):
        return
    if hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None):
        session.skip_reason = "tests that run side by side share the host's energy; -n 0 runs one after the other"
        return
    from footprint.notebook.measurement import CannotMeasure  # noqa: PLC0415 - as above

    try:
        session.sensors()
    except CannotMeasure as error:
        session.skip_reason = str(error)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Record the time of a test, from set-up to tear-down."""
    session = item.config.stash[_KEY]
    is_measured = item.config.getoption("--footprint") and not session.skip_reason
    if is_measured:
        session.start(item.nodeid)
    yield
    if is_measured:
        session.end(item.nodeid)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line per test."""
    session = config.stash[_KEY]
    rows = session.close()
    if not config.getoption("--footprint"):
        return
    terminalreporter.write_sep("=", "energy of this host by test")
    if session.skip_reason:
        terminalreporter.write_line(f"not measured: {session.skip_reason}")
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
    """Stop the sensors if there was no summary."""
    session = config.stash.get(_KEY, None)
    if session is not None:
        session.close()


@pytest.fixture
def footprint_measure(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Measurement]]:
    """``with footprint_measure("name") as measurement:`` measures a block with the sensors of the session."""
    from footprint.notebook.measurement import CannotMeasure, Measurement  # noqa: PLC0415 - as above

    session = request.config.stash[_KEY]

    @contextmanager
    def measure(name: str = request.node.name) -> Iterator[Measurement]:
        sensors = session.sensors()
        measurement = Measurement(name, begin_us=_now_us())
        try:
            yield measurement
        finally:
            end_us = _now_us()
            measurement.seconds = (end_us - measurement.begin_us) / 1_000_000
            sensors.wait_for_readings_after(end_us)
            measurement.rows = sensors.rows(measurement.begin_us, end_us)
        if not measurement.rows:
            raise CannotMeasure(f"{name}: the sensors gave no two readings around it")

    return measure


_KEY = pytest.StashKey[_Session]()
