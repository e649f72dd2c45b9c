"""The law over generated machines: a thousand sensors in make test-all, ten thousand in make test-long, by three doors.

Honest machines are the converse: none of them may be doubted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.fleet_generator import LIE_KINDS, GeneratedMachine, generate, problems
from tests.simulation.fleet_imports import FILE, PROMETHEUS, generate_import, import_file, import_server
from tests.simulation.fleet_ledger import WHOLE, MachineFigures, figures_of
from tests.simulation.fleet_machine import known_failures
from tests.simulation.fleet_report import run_fleet

SENSORS, OTHER_SENSORS = 1000, 500  # of a batch: by the agent, and of the other tests
Figures = Mapping[str, MachineFigures]
Problems = Mapping[str, list[str]]
BATCHES = [
    pytest.param(number, marks=pytest.mark.slow if number == 0 else pytest.mark.long, id=f"batch-{number}")
    for number in range(10)
]
IMPORTS = {FILE: import_file, PROMETHEUS: import_server}
MAX_FALSE_ALARMS = 0.002  # share of honest devices that are ever doubted


def batch(make: Callable[[str], GeneratedMachine], number: int, sensors: int) -> list[GeneratedMachine]:
    """Machines of a batch, until they have that many sensors."""
    machines: list[GeneratedMachine] = []
    while sum(machine.sensors for machine in machines) < sensors:
        machines.append(make(f"{number}-{len(machines)}"))
    return machines


def figures_by_agent(batch_of: list[GeneratedMachine], folder: Path) -> Figures:
    fleet = run_fleet([generated.machine for generated in batch_of], folder)
    return {name: figures for name, (_, _, figures) in fleet.items()}


def figures_by_import(door: str, batch_of: list[GeneratedMachine], folder: Path) -> Figures:
    machines = [generated.machine for generated in batch_of]
    return figures_of([], machines, folder, [lambda store, now_us: IMPORTS[door](store, machines, folder, now_us)])


def problems_of(batch_of: list[GeneratedMachine], figures: Figures) -> Problems:
    by_lie: dict[str, list[str]] = defaultdict(list)
    for generated in batch_of:
        for lie, lines in problems(generated, figures[generated.machine.name]).items():
            by_lie[lie] += lines
    return by_lie


@pytest.fixture(scope="module", params=BATCHES)
def lies_by_agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Problems:
    generated = batch(generate, request.param, SENSORS)
    return problems_of(generated, figures_by_agent(generated, tmp_path_factory.mktemp("generated")))


@pytest.fixture(scope="module", params=BATCHES)
def lies_by_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Problems:
    generated = batch(partial(generate_import, door=FILE), request.param, OTHER_SENSORS)
    return problems_of(generated, figures_by_import(FILE, generated, tmp_path_factory.mktemp("generated")))


@pytest.fixture(scope="module", params=BATCHES)
def lies_by_prometheus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Problems:
    generated = batch(partial(generate_import, door=PROMETHEUS), request.param, OTHER_SENSORS)
    return problems_of(generated, figures_by_import(PROMETHEUS, generated, tmp_path_factory.mktemp("generated")))


def kinds(door: str, names: Sequence[str] = LIE_KINDS) -> list[object]:
    """Kinds of lies; those that break the law today are expected to."""
    failures = known_failures()[f"generated-{door}"]
    return [
        pytest.param(kind, marks=pytest.mark.xfail(reason=failures[kind], strict=True)) if kind in failures else kind
        for kind in names
    ]


@pytest.mark.parametrize("kind", kinds("agent"))
def test_no_lie_of_a_sensor_makes_a_measured_figure_wrong(lies_by_agent: Problems, kind: str) -> None:
    assert lies_by_agent.get(kind, []) == []


@pytest.mark.parametrize("kind", kinds("file"))
def test_no_lie_in_a_file_makes_a_measured_figure_wrong(lies_by_file: Problems, kind: str) -> None:
    assert lies_by_file.get(kind, []) == []


@pytest.mark.parametrize("kind", kinds("prometheus"))
def test_no_lie_on_a_server_makes_a_measured_figure_wrong(lies_by_prometheus: Problems, kind: str) -> None:
    assert lies_by_prometheus.get(kind, []) == []


def check_honest(batch_of: list[GeneratedMachine], figures: Figures) -> None:
    """Figures of honest machines are right, measured and complete, and almost none of their devices is ever doubted."""
    doubted, devices = [], 0
    for generated in batch_of:
        machine, result = generated.machine, figures[generated.machine.name]
        for device in generated.devices:
            devices += 1
            figure, truth_j = result.of(device.pattern), machine.truth_j[device.pattern]
            assert figure is not None, (machine.name, device)
            assert figure.energy_j == pytest.approx(truth_j, rel=0.06), (machine.name, figure)
            assert figure.low_j <= truth_j <= figure.high_j, (machine.name, figure)
            assert figure.quality == "A", (machine.name, figure)
            verdicts = result.ever_said("wall" if device.pattern == WHOLE else device.pattern)
            if verdicts & {"disagrees", "stands still"}:
                doubted.append((machine.name, device.pattern, verdicts))
    assert len(doubted) <= MAX_FALSE_ALARMS * devices, doubted


@pytest.mark.parametrize("door", kinds("honest", ("agent",)))
@pytest.mark.parametrize("number", BATCHES)
def test_honest_sensors_are_not_doubted(number: int, door: str, tmp_path: Path) -> None:
    generated = batch(lambda seed: generate(f"honest-{seed}", lies=0), number, OTHER_SENSORS)
    check_honest(generated, figures_by_agent(generated, tmp_path))


@pytest.mark.parametrize("door", kinds("honest", (FILE, PROMETHEUS)))
@pytest.mark.parametrize("number", BATCHES)
def test_honest_records_of_other_programs_are_not_doubted(number: int, door: str, tmp_path: Path) -> None:
    generated = batch(lambda seed: generate_import(f"honest-{seed}", door, lies=0), number, OTHER_SENSORS)
    check_honest(generated, figures_by_import(door, generated, tmp_path))
