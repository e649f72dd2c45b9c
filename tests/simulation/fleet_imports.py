"""Generated devices by the other two doors: an energy file, and the answers of a Prometheus server."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from footprint.ledger.importers import import_energy
from footprint.ledger.prometheus_import import Fetch, import_prometheus
from footprint.storage.database import Store
from tests.simulation.fleet_generator import NONE, OWN, Draft, GeneratedDevice, GeneratedMachine, tell_lie
from tests.simulation.fleet_host import START_US
from tests.simulation.fleet_machine import US, Machine, SensorError

FILE, PROMETHEUS = "file", "prometheus"


@dataclass(frozen=True)
class _Series:
    """A signal as a row of a file or a series of a server."""

    device: str
    component: str
    source: str
    column: str
    metric: str
    signal: str


def generate_import(seed: str, door: str, *, lies: int | None = None) -> GeneratedMachine:
    """A machine whose sensors other programs recorded: boards with a counter and a power, perhaps a package with a counter."""
    rng = random.Random(f"{door} {seed}")
    draft = Draft(rng, f"{door}-{seed}")
    unit_j = {"unit": 1e6, "decimals": 6}
    unit_counter = {"unit": 1000} if door == PROMETHEUS else unit_j
    series = draft.table["series"] = []
    for index in range(rng.choice((1, 2))):
        name = draft.thing(f"gpu{index}", 55, 400)
        draft.signal(f"counter_{name}", "counter_of", name, 0.02, start=rng.randrange(10**12), **unit_counter)
        draft.signal(f"power_{name}", "power_of", name, 0.02, mean_s=10, **unit_j)
        uuid = f"GPU-{draft.name}-{index}"
        labels = f'{{"UUID": "{uuid}", "gpu": "{index}"}}'
        series.append(
            [uuid, "gpu", "nvml-energy", "energy_j", f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION {labels}", f"counter_{name}"]
        )
        series.append([uuid, "gpu", "nvml-power", "power_w", f"DCGM_FI_DEV_POWER_USAGE {labels}", f"power_{name}"])
        draft.devices.append(GeneratedDevice(uuid, (name,), OWN))
    if rng.random() < 0.4:
        name = draft.thing("cpu0", 60, 280)
        wrap = {"wrap": rng.choice((262_143_328_850, 65_532_610_987))} if door == PROMETHEUS else {}
        draft.signal(f"counter_{name}", "counter_of", name, 0.02, start=rng.randrange(10**10), **wrap, **unit_j)
        labels = '{"index": "0", "path": "/sys/class/powercap/intel-rapl:0"}'
        series.append(["cpu:0", "cpu", "rapl", "energy_j", f"node_rapl_package_joules_total {labels}", f"counter_{name}"])
        draft.devices.append(GeneratedDevice("cpu:0", (name,), NONE))
    for _ in range(1 if lies is None else lies):
        tell_lie(draft)
    return draft.build()


def _series(machine: Machine) -> list[_Series]:
    return [_Series(*row) for row in machine.table["series"]]


def _values(machine: Machine, name: str, period_s: int) -> Iterator[tuple[int, str]]:
    """(instant [s], value) of a signal, without those that it does not show."""
    for at_s in range(0, machine.seconds + 1, period_s):
        try:
            value = machine.signals[name].value(at_s)
        except SensorError:
            continue
        if value is not None:
            yield at_s, str(value)


def import_file(store: Store, machines: Sequence[Machine], folder: Path, now_us: int) -> None:
    """Import one energy file of all machines."""
    lines = ["time,host,device,component,source,energy_j,power_w"]
    for machine in machines:
        for series in _series(machine):
            for at_s, value in _values(machine, series.signal, 10):
                pair = f"{value}," if series.column == "energy_j" else f",{value}"
                lines.append(f"{START_US // US + at_s},{machine.name},{series.device},{series.component},{series.source},{pair}")
    path = folder / "energy.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    import_energy(store, str(path), now_us)


def prometheus_answers(machines: Sequence[Machine]) -> Fetch:
    """Answers of a server that scraped all machines each 15 seconds."""
    stored = []
    for machine in machines:
        for series in _series(machine):
            name, _, labels = series.metric.partition(" ")
            values = [[START_US / US + at_s, value] for at_s, value in _values(machine, series.signal, 15)]
            stored.append(
                {"metric": {"__name__": name, "instance": f"{machine.name}:9100"} | json.loads(labels), "values": values}
            )

    def fetch(path: str, parameters: dict[str, str]) -> bytes:
        if path.endswith("/label/__name__/values"):
            data: object = sorted({series["metric"]["__name__"] for series in stored})
        elif path.endswith("/series"):
            data = [series["metric"] for series in stored if series["metric"]["__name__"] == parameters["match[]"]]
        else:
            query = re.fullmatch(r"(.+)\[(\d+)s\]", parameters["query"])
            assert query is not None
            end_s, length_s = float(parameters["time"]), int(query[2])
            inside = [
                {"metric": series["metric"], "values": [v for v in series["values"] if end_s - length_s < v[0] <= end_s]}
                for series in stored
                if series["metric"]["__name__"] == query[1]
            ]
            data = {"resultType": "matrix", "result": [series for series in inside if series["values"]]}
        return json.dumps({"status": "success", "data": data}).encode()

    return fetch


def import_server(store: Store, machines: Sequence[Machine], folder: Path, now_us: int) -> None:
    """Import all machines from one Prometheus server."""
    end_us = START_US + (max(machine.seconds for machine in machines) + 1) * US
    import_prometheus(store, "http://prometheus.invalid", START_US, end_us, now_us, fetch=prometheus_answers(machines))
