"""Generated machines: honest sensors with noise, and one or two that lie, with and without a second source.

A device has a witness where another of its sensors shows the same energy independently. A lie about such a device is gross (a
quarter of its power and more): a witness of an honest class cannot show a smaller one. A device without a witness may be wrong,
but then it must say ``no witness``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.fleet_ledger import WHOLE, MachineFigures, breach_of_law, describe
from tests.simulation.fleet_machine import DEFAULT_SECONDS, US, Machine

OWN, LOAD, NONE = "own second sensor", "load of the host", "no witness"
MODELS = (("NVIDIA H100 80GB HBM3", 70, 700), ("NVIDIA A100-SXM4-80GB", 55, 400), ("NVIDIA L40S", 35, 350), ("NVIDIA L4", 16, 72))
# A witness of an honest class shows no lie below this share of the energy, nor where within a minute a lie began.
TOLERANCE, MINUTE_S = 0.10, 60
MAX_DELAY_S = 45

Lie = Callable[[random.Random, dict[str, Any], float], str]


@dataclass
class GeneratedDevice:
    """A device of a generated machine: its things, what may bear witness, and the lie about it (empty: honest)."""

    pattern: str
    things: tuple[str, ...]
    witness: str
    lie: str = ""


@dataclass
class GeneratedMachine:
    """A machine with its devices; ``sensors`` is how many signals it has."""

    machine: Machine
    devices: list[GeneratedDevice] = field(default_factory=list)

    @property
    def sensors(self) -> int:
        """Number of its signals."""
        return len(self.machine.signals)


class Draft:
    """Tables of a machine while it is made."""

    def __init__(self, rng: random.Random, name: str) -> None:
        self.rng, self.name = rng, name
        self.table: dict[str, Any] = {"thing": {}, "signal": {}, "files": {}, "truth_j": {}, "agent": {}}
        self.devices: list[GeneratedDevice] = []

    def thing(self, name: str, idle_w: float, peak_w: float) -> str:
        """Something whose load changes every few minutes, or never."""
        rng, at_s, steps = self.rng, 0.0, []
        while at_s < DEFAULT_SECONDS:
            load = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0)) if rng.random() < 0.8 else rng.random()
            steps.append([round(at_s), round(idle_w + load * (peak_w - idle_w), 3)])
            at_s += rng.choice((40, 120, 300, DEFAULT_SECONDS))
        self.table["thing"][name] = {"power_w": steps, "idle_w": idle_w, "peak_w": peak_w, "noise": rng.choice((0.0, 0.02, 0.1))}
        return name

    def signal(self, name: str, quantity: str, things: Any, error: float, **options: Any) -> dict[str, Any]:
        """A sensor with a gain within its class."""
        signal: dict[str, Any] = {quantity: things, "gain": 1 + error * (2 * self.rng.random() - 1)} | options
        self.table["signal"][name] = signal
        return signal

    def build(self) -> GeneratedMachine:
        """The machine, with the truth of its devices."""
        machine = Machine(self.name, self.table)
        for device in self.devices:
            self.table["truth_j"][device.pattern] = sum(machine.things[t].energy_uj(machine.seconds) for t in device.things) / US
        return GeneratedMachine(machine, self.devices)


def _nvidia(draft: Draft) -> None:
    rng = draft.rng
    model, idle_w, peak_w = rng.choice(MODELS)
    boards = draft.table.setdefault("nvml", [])
    for index in range(rng.choice((1, 1, 2, 4))):
        name = draft.thing(f"gpu{index}", idle_w, peak_w)
        draft.signal(f"counter_{name}", "counter_of", name, 0.02, unit=1000, start=rng.randrange(10**13))
        draft.signal(f"power_{name}", "power_of", name, 0.02, unit=1000, quantum=rng.choice((1, 1000, 1_000_000)))
        uuid = f"GPU-{draft.name}-{index}"
        board = {"uuid": uuid, "name": model, "bus": f"00000000:{index + 1:02X}:00.0", "of": name}
        board |= {"energy": f"counter_{name}", "power": f"power_{name}", "limit": peak_w, "enforced": peak_w}
        board |= {"average": f"power_{name}", "instant": f"power_{name}"} if rng.random() < 0.7 else {}
        boards.append(board)
        draft.devices.append(GeneratedDevice(f"{uuid}*", (name,), OWN))


def _amd(draft: Draft) -> None:
    rng = draft.rng
    boards = draft.table.setdefault("amdsmi", [])
    for index in range(rng.choice((1, 2))):
        name = draft.thing(f"gpu{index}", 110, 700)
        draft.signal(f"counter_{name}", "counter_of", name, 0.02, start=rng.randrange(10**13))
        draft.signal(f"power_{name}", "power_of", name, 0.02, unit=1e6)
        uuid = f"{draft.name}-{index}"
        board = {"uuid": uuid, "bdf": f"0000:{index + 1:02x}:00.0", "name": "AMD Instinct MI300X", "of": name}
        boards.append(board | {"cap_uw": 750_000_000, "current_socket_power": f"power_{name}", "energy": f"counter_{name}"})
        draft.devices.append(GeneratedDevice(f"gpu-{uuid}*", (name,), OWN))


def _intel(draft: Draft) -> None:
    name = draft.thing("gpu0", 30, 220)
    draft.signal(f"counter_{name}", "counter_of", name, 0.02, start=draft.rng.randrange(10**13))
    draft.table["files"]["sys/class/hwmon/hwmon5"] = {
        "name": "xe",
        "device": "->sys/devices/0000:03:00.0",
        "energy1_input": f"@counter_{name}@",
        "power1_max": "225000000",
    }
    draft.devices.append(GeneratedDevice("gpu-0000:03:00.0", (name,), NONE))


def _rapl(draft: Draft) -> None:
    rng = draft.rng
    range_uj = rng.choice((262_143_328_850, 65_532_610_987))
    for index in range(rng.choice((1, 2))):
        name = draft.thing(f"cpu{index}", 60, 280)
        draft.signal(f"counter_{name}", "counter_of", name, 0.02, start=rng.randrange(range_uj), wrap=range_uj)
        draft.table["files"][f"sys/class/powercap/intel-rapl:{index}"] = {
            "name": f"package-{index}",
            "max_energy_range_uj": str(range_uj),
            "energy_uj": f"@counter_{name}@",
            "constraint_0_max_power_uw": rng.choice(("0", "280000000")),
        }
        draft.devices.append(GeneratedDevice(f"cpu:{index}", (name,), LOAD))


def _dcgm(draft: Draft) -> None:
    lines = []
    for index in range(draft.rng.choice((1, 2))):
        name = draft.thing(f"gpu{index}", 55, 400)
        draft.signal(f"counter_{name}", "counter_of", name, 0.02, unit=1000, start=draft.rng.randrange(10**13))
        draft.signal(f"power_{name}", "power_of", name, 0.02, unit=1e6, decimals=3)
        labels = f'{{gpu="{index}",UUID="GPU-{draft.name}-{index}"}}'
        lines.append(f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} @counter_{name}@")
        lines.append(f"DCGM_FI_DEV_POWER_USAGE{labels} @power_{name}@")
        draft.devices.append(GeneratedDevice(f"GPU-{draft.name}-{index}", (name,), OWN))
    draft.table["exporter"] = [{"text": "\n".join(lines)}]


def _wall(draft: Draft) -> None:
    draft.thing("rest", 150, 250)
    draft.signal("wall", "power_of", [*draft.table["thing"]], 0.01, quantum=1_000_000)
    draft.table["files"]["sys/class/hwmon/hwmon1"] = {
        "name": "power_meter",
        "device": "->sys/devices/ACPI000D:00",
        "power1_average": "@wall@",
        "power1_average_interval": "1000",
    }
    draft.devices.append(GeneratedDevice(WHOLE, tuple(draft.table["thing"]), NONE))


# Each lie changes one signal from an instant on, and returns its name.


def _scale(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    gain = signal["gain"] * (rng.uniform(0.25, 0.7) if rng.random() < 0.6 else rng.uniform(1.4, 2.5))
    if since_s < 200:
        signal["gain"] = gain
    else:
        signal["script"] = [[since_s, 1e9, "gain", gain]]
    return "scaled"


def _freeze(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    signal["script"] = [[since_s if rng.random() < 0.7 else 0, 1e9, "hold"]]
    return "frozen"


def _zero(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    signal["script"] = [[since_s, 1e9, "value", 0]]
    return "zero"


def _spike(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    size = rng.choice((3, 20, 1000))
    action = ["add", size * 2_000_000_000 / signal.get("unit", 1)] if "counter_of" in signal else ["times", size]
    signal["every"] = [[rng.choice((30, 50, 110)), rng.randrange(30), *action]]
    return "spiking"


def _step(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    shift_uj = rng.choice((3e6, 3e9, 3e12)) if "counter_of" in signal else rng.uniform(1e8, 4e8)
    signal["script"] = [[since_s, 1e9, "add", shift_uj / signal.get("unit", 1)]]
    return "stepping"


def _drift(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    edges = [150, 300, 450, 600, 1e9]
    gains = [0.8, 0.6, 0.45, 0.35] if rng.random() < 0.6 else [1.3, 1.6, 2.0, 2.4]
    signal["script"] = [[edges[i], edges[i + 1], "gain", signal["gain"] * gains[i]] for i in range(4)]
    return "drifting"


def _delay(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    signal["lag_s"] = rng.choice((5, 20, MAX_DELAY_S))
    return "delayed"


def _quantise(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    signal["quantum"] = rng.choice((10**8, 10**9)) if "counter_of" in signal else 50_000_000
    return "quantised"


def _sentinel(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    value = rng.choice((2**32 - 1, 2**64 - 16, 65535)) if "power_of" in signal else 2**63 - 14
    signal["every"] = [[rng.choice((7, 45, 90)), 3, "value", value]]
    return "sentinel"


def _vanish(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    signal["script"] = [rng.choice(([since_s, 1e9, "absent"], [0, since_s, "absent"], [since_s, since_s + 200, "absent"]))]
    return "vanishing"


def _wrap(rng: random.Random, signal: dict[str, Any], since_s: float) -> str:
    if "power_of" in signal:
        return _scale(rng, signal, since_s)
    signal["wrap"] = rng.choice((2**32 * 1000, 20_000_000_000, 65_532_610_987))
    return "wrapping"


LIE_KINDS = (
    "honest",  # beside a sensor that lies
    *(
        f"{kind} {quantity}"
        for kind in (
            "scaled",
            "frozen",
            "zero",
            "spiking",
            "stepping",
            "drifting",
            "delayed",
            "quantised",
            "sentinel",
            "vanishing",
        )
        for quantity in ("counter", "power")
    ),
    "wrapping counter",
    "swapped",
    "duplicated",
    "limits",
)
LIES: tuple[Lie, ...] = (_scale, _freeze, _zero, _spike, _step, _drift, _delay, _quantise, _sentinel, _vanish, _wrap)


def tell_lie(draft: Draft) -> None:
    """Let one device's sensor lie, or the machine change around it."""
    rng = draft.rng
    device = rng.choice([device for device in draft.devices if not device.lie])
    of_device = ["wall"] if device.pattern == WHOLE else [n for n in draft.table["signal"] if n.endswith(f"_{device.things[0]}")]
    since_s = rng.randrange(100, 500)
    siblings = [d for d in draft.devices if d is not device and len(d.things) == 1 and d.things[0][:3] == device.things[0][:3]]
    boards = draft.table.get("nvml", [])
    special = rng.random()
    if special < 0.08 and siblings and device.pattern != WHOLE:
        thing = draft.table["thing"]
        thing[device.things[0]]["power_w"], thing[siblings[0].things[0]]["power_w"] = 250, 90
        draft.table["signal"][of_device[0]]["script"] = [[since_s, 1e9, "of", siblings[0].things[0]]]
        device.lie = "swapped"
    elif special < 0.16 and len(boards) > 1:
        for other in draft.devices:
            if other.pattern == f"{boards[1]['uuid']}*":
                boards[1]["uuid"] = boards[0]["uuid"]
                first = next(d for d in draft.devices if d.pattern == f"{boards[0]['uuid']}*")
                first.things, first.lie = (*first.things, *other.things), "duplicated"
                draft.devices.remove(other)
                return
    elif special < 0.24 and boards and device.pattern.startswith("GPU-"):
        peak_w = boards[0]["limit"]
        board = next(board for board in boards if f"{board['uuid']}*" == device.pattern)
        board["enforced"] = (
            [[0, peak_w], [since_s, rng.choice((0.2, 0.5)) * peak_w]] if rng.random() < 0.5 else [[0, 25], [since_s, peak_w]]
        )
        if rng.random() < 0.5:
            del board["limit"]
        device.lie = "limits"
    else:
        name = rng.choice(of_device)
        device.lie = rng.choice(LIES)(rng, draft.table["signal"][name], since_s)
        device.lie += " counter" if "counter_of" in draft.table["signal"][name] else " power"


ACCELERATORS = (_nvidia, _nvidia, _amd, _intel, _dcgm)


def generate(seed: str, *, lies: int | None = None) -> GeneratedMachine:
    """A machine of a seed, with one lying sensor or two unless ``lies`` says how many."""
    rng = random.Random(seed)
    draft = Draft(rng, f"gen-{seed}")
    draft.table["agent"]["sample_s"] = rng.choice((1, 1, 1, 2, 5))
    if rng.random() < 0.1:
        draft.table["agent_restarts"] = [rng.randrange(60, 840, 10)]
    if rng.random() < 0.85:
        rng.choice(ACCELERATORS)(draft)
    if rng.random() < 0.6 or not draft.devices:
        _rapl(draft)
    if rng.random() < 0.3:
        _wall(draft)
    for _ in range(min(rng.choice((1, 1, 1, 2)) if lies is None else lies, len(draft.devices))):
        if any(not device.lie for device in draft.devices):
            tell_lie(draft)
    return draft.build()


def device_problem(generated: GeneratedMachine, device: GeneratedDevice, figures: MachineFigures) -> str:
    """Why a device breaks the law as far as anything could show it; empty if it keeps it."""
    machine, truth_j = generated.machine, generated.machine.truth_j[device.pattern]
    breach = breach_of_law(machine, figures, device.pattern, truth_j)
    if not breach:
        return ""
    figure = figures.of(device.pattern)
    assert figure is not None
    peak_w = max(sum(power) for power in zip(*(machine.things[t].powers_uw for t in device.things), strict=True)) / US
    outside_j = max(figure.low_j - truth_j, truth_j - figure.high_j)
    if device.lie and device.witness == OWN and outside_j <= TOLERANCE * truth_j + MINUTE_S * peak_w * 0.25:
        return ""
    verdicts = figures.ever_said(device.pattern)
    if device.lie and device.witness == NONE and NONE in verdicts:
        return ""
    if device.lie.startswith(("scaled", "drifting", "wrapping", "swapped")) and device.witness == LOAD and verdicts:
        return ""  # load bounds a package's power by a factor only
    if device.lie.startswith("delayed") and outside_j <= MAX_DELAY_S * peak_w:
        return ""  # right, and late
    return f"{device.lie or 'honest'}, {device.witness}, verdicts {sorted(verdicts)}: {describe(figure, truth_j)}"


def problems(generated: GeneratedMachine, figures: MachineFigures) -> Mapping[str, list[str]]:
    """Problems of a machine by kind of lie."""
    by_lie: dict[str, list[str]] = {}
    for device in generated.devices:
        if problem := device_problem(generated, device, figures):
            by_lie.setdefault(device.lie or "honest", []).append(f"{generated.machine.name}: {problem}")
    return by_lie
