"""Machines of the fleet: what they truly draw, and what their sensors answer at each second.

A machine is described by one table (``tests/fixtures/fleet/NAME/machine.toml``, or a table that the generator makes). Things
draw power; a signal is a sensor's view of them (a counter or a power, with its unit, range and lies); every text that a sensor
gives (a file, an exposition, the output of a command, an answer over HTTP) is a template in which ``@SIGNAL@`` stands for the
signal's present value. Nothing here knows how the agent reads.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

FLEET = Path(__file__).resolve().parents[1] / "fixtures" / "fleet"
KNOWN_FAILURES = FLEET / "known_failures.toml"
FAILURE_KINDS = (
    "law",
    "expect",
    "messages",
    "probe",
    "generated-agent",
    "generated-file",
    "generated-prometheus",
    "generated-honest",
)
US = 1_000_000
DEFAULT_SECONDS = 900  # one slot of figures
ABSENT, UNREADABLE, DENIED, LINK = "!absent", "!unreadable", "!denied", "->"
_SIGNAL = re.compile(r"@(\w+)@")
Table = Mapping[str, Any]


class SensorError(Exception):
    """A sensor that answers an error instead of a value; its argument names the error."""


def step_at(steps: Any, at_s: float) -> Any:
    """Value of ``[[from_s, value], …]`` at an instant; anything else is constant."""
    if not isinstance(steps, list):
        return steps
    return next((value for from_s, value in reversed(steps) if from_s <= at_s), None)


class Thing:
    """Something that draws power; truth is the power of each second [µW]."""

    def __init__(self, table: Table, seconds: int, seed: str) -> None:
        noise, rng = float(table.get("noise", 0.0)), random.Random(seed)
        self.idle_w, self.peak_w = float(table.get("idle_w", 0)), float(table.get("peak_w", 0))
        self.busy = table.get("busy")
        self.powers_uw = [
            round(float(step_at(table["power_w"], second)) * US * (1 + noise * (2 * rng.random() - 1)))
            for second in range(seconds)
        ]
        self._before_uj = [0]
        for power_uw in self.powers_uw:
            self._before_uj.append(self._before_uj[-1] + power_uw)
        self._busy_before = [0.0]
        for second in range(seconds):
            self._busy_before.append(self._busy_before[-1] + self._load(second))

    def energy_uj(self, at_s: float) -> int:
        """Energy from the start to an instant [µJ]; before the start it drew what it draws in the first second."""
        if at_s < 0:
            return round(self.powers_uw[0] * at_s)
        whole = min(max(int(at_s), 0), len(self.powers_uw))
        part = at_s - whole
        power_uw = self.powers_uw[min(whole, len(self.powers_uw) - 1)]
        return self._before_uj[whole] + (round(power_uw * part) if part > 0 else 0)

    def power_uw(self, at_s: float, mean_s: float = 1.0) -> int:
        """Mean power over the time before an instant [µW]."""
        if at_s <= 0:
            return self.powers_uw[0]
        length_s = min(mean_s, at_s)
        return round((self.energy_uj(at_s) - self.energy_uj(at_s - length_s)) / length_s)

    def load(self, at_s: float) -> float:
        """Share of the time before an instant in which it was busy, from 0 to 1."""
        return self._load(max(int(at_s) - 1, 0))

    def busy_s(self, at_s: float) -> float:
        """Busy time since the start [s]."""
        return self._busy_before[min(max(int(at_s), 0), len(self.powers_uw))]

    def _load(self, second: int) -> float:
        if self.busy is not None:
            return float(step_at(self.busy, second))
        if self.peak_w <= self.idle_w:
            return 0.5
        return min(max((self.powers_uw[second] / US - self.idle_w) / (self.peak_w - self.idle_w), 0.0), 1.0)


class Signal:
    """Value of a sensor at each second: a counter or a power of things, and how it lies.

    ``counter_of`` or ``power_of`` name things; ``unit`` is what one count is worth [µJ or µW]. ``script`` holds
    ``[from_s, to_s, action, value]``: ``value`` shows a constant, ``hold`` the value of the beginning, ``gain`` a multiple,
    ``add`` a shift, ``absent`` an empty answer, ``error`` an error of that name, ``of`` the same signal of another thing.
    ``every`` holds ``[period_s, phase_s, action, value]`` for single seconds. ``resets`` are instants at which a counter
    starts again from 0.
    """

    def __init__(self, table: Table, things: Mapping[str, Thing]) -> None:
        names = table.get("counter_of", table.get("power_of"))
        self._things = things
        self._of = [things[name] for name in ([names] if isinstance(names, str) else names)]
        self.is_counter = "counter_of" in table
        self._gain, self._add = float(table.get("gain", 1.0)), float(table.get("add", 0.0))
        self._start, self._wrap, self._unit = int(table.get("start", 0)), int(table.get("wrap", 0)), float(table.get("unit", 1))
        self._lag_s, self._mean_s = float(table.get("lag_s", 0)), float(table.get("mean_s", 1))
        self._quantum, self._decimals = int(table.get("quantum", 1)), table.get("decimals")
        self._from_s = float(table.get("from_s", 0))
        self._resets: list[float] = list(table.get("resets", []))
        self._every: list[list[Any]] = list(table.get("every", []))
        self._script: list[list[Any]] = list(table.get("script", []))
        # A counter counts each span with its own gain; the spans' ends are where the gain or the thing changes.
        self._changes = [line for line in self._script if line[2] in ("gain", "of")]
        self._others = [line for line in self._script if line[2] not in ("gain", "of")]
        self._seen: dict[float, Any] = {}

    def raw(self, at_s: float) -> int | float:
        """Value without constants, holes and errors."""
        at_s -= self._lag_s
        if not self.is_counter:
            value = self._instant(max(at_s, 0.0))
        else:
            since_s = max([min(at_s, 0.0), *(reset for reset in self._resets if reset <= at_s)])
            edges = sorted(
                {since_s, at_s, *(float(edge) for line in self._changes for edge in line[:2] if since_s < edge < at_s)}
            )
            value = (0 if since_s > 0 else self._start) + sum(self._between(low, high) for low, high in pairwise(edges))
            if self._wrap:
                value %= self._wrap
        value = round(value / self._quantum) * self._quantum if self._quantum > 1 else value
        return value / self._unit

    def _source(self, at_s: float) -> tuple[list[Thing], float]:
        things, gain = self._of, self._gain
        for low, high, action, value in self._changes:
            if low <= at_s < high:
                gain, things = (value, things) if action == "gain" else (gain, [self._things[value]])
        return things, gain

    def _between(self, low_s: float, high_s: float) -> float:
        things, gain = self._source(low_s)
        total = sum(thing.energy_uj(high_s) - thing.energy_uj(low_s) for thing in things)
        return round(total * gain + self._add * (high_s - low_s))

    def _instant(self, at_s: float) -> float:
        things, gain = self._source(max(at_s - 1, 0))
        return round(sum(thing.power_uw(at_s, self._mean_s) for thing in things) * gain + self._add)

    def value(self, at_s: float) -> str | None:
        """Text of the value; None where the sensor shows nothing.

        Raises
        ------
        SensorError
            Where it answers an error.
        """
        value: int | float = self.raw(at_s)
        for low, high, action, *rest in self._others:
            if low <= at_s < high:
                value = self._act(value, action, rest[0] if rest else None, low)  # type: ignore[assignment]
                if value is None:
                    return None
        for period_s, phase_s, action, *rest in self._every:
            if int(at_s) % period_s == phase_s:
                value = self._act(value, action, rest[0] if rest else None, at_s)  # type: ignore[assignment]
                if value is None:
                    return None
        if isinstance(value, str):
            return value
        return str(int(value)) if self._decimals is None else f"{value:.{self._decimals}f}"

    def _act(self, value: float, action: str, argument: Any, since_s: float) -> Any:
        if action == "absent":
            return None
        if action == "error":
            raise SensorError(argument)
        if action == "hold":
            return self.raw(since_s)
        if action == "add":
            return value + argument
        if action == "times":
            return value * argument
        if action == "value":
            return argument
        raise ValueError(f"a signal does not know {action!r}")


@dataclass
class Machine:
    """Description of a machine, its things and signals."""

    name: str
    table: Table
    seconds: int = DEFAULT_SECONDS
    things: dict[str, Thing] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seconds = int(self.table.get("seconds", DEFAULT_SECONDS))
        self.things = {
            name: Thing(thing, self.seconds, f"{self.name}/{name}") for name, thing in self.table.get("thing", {}).items()
        }
        self.signals = {name: Signal(signal, self.things) for name, signal in self.table.get("signal", {}).items()}

    @property
    def truth_j(self) -> dict[str, float]:
        """True energy [J] by device or group of devices."""
        return {name: float(joules) for name, joules in self.table["truth_j"].items()}

    def render(self, text: Any, at_s: float) -> str | None:
        """Text of a template at an instant; None if it is absent or one of its signals is."""
        template = step_at(text, at_s)
        if template is None or template == ABSENT:
            return None
        values = {}
        for name in _SIGNAL.findall(str(template)):
            value = self.signals[name].value(at_s)
            if value is None:
                return None
            values[name] = value
        return _SIGNAL.sub(lambda match: values[match[1]], str(template))

    def number(self, given: Any, at_s: float) -> float | None:
        """A number, steps of numbers, or the present value of a signal named by a text.

        Raises
        ------
        SensorError
            Where the signal answers an error, or the text names one (``!NOT_SUPPORTED``).
        """
        given = step_at(given, at_s)
        if isinstance(given, str):
            if given.startswith("!"):
                raise SensorError(given[1:])
            text = self.signals[given].value(at_s)
            return None if text is None else float(text)
        return None if given is None else float(given)

    def files(self) -> Iterable[tuple[str, Any]]:
        """(path, template) of all files."""
        for folder, entries in self.table.get("files", {}).items():
            for name, template in entries.items():
                yield f"{folder}/{name}", template

    def host_load(self, at_s: float) -> float:
        """Busy share of the processors since the start, times the time [s]."""
        processors = [thing for name, thing in self.things.items() if name.startswith("cpu")]
        if not processors:
            return 0.3 * at_s
        return sum(thing.busy_s(at_s) for thing in processors) / len(processors)


def load_machine(name: str) -> Machine:
    """A machine of the fixtures."""
    return Machine(name, tomllib.loads((FLEET / name / "machine.toml").read_text(encoding="utf-8")))


def machine_names() -> list[str]:
    """Names of all machines of the fixtures."""
    return sorted(path.parent.name for path in FLEET.glob("*/machine.toml"))


def known_failures() -> dict[str, dict[str, str]]:
    """What fails today, by kind of test, each with what is wrong and the item of the issue that mends it."""
    table: dict[str, dict[str, str]] = tomllib.loads(KNOWN_FAILURES.read_text(encoding="utf-8"))
    return {kind: table.get(kind, {}) for kind in FAILURE_KINDS}
