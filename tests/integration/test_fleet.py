"""Machines of the fleet through agent, ledger and query, against the energy that their things truly drew."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.simulation.fleet_host import MachineRun
from tests.simulation.fleet_ledger import MachineFigures, expectation_problems, law_problems, message_problems
from tests.simulation.fleet_machine import DEFAULT_SECONDS, US, Machine, known_failures, load_machine, machine_names
from tests.simulation.fleet_messages import command_beside, probe_machine, unnamed_devices, untrue_claims
from tests.simulation.fleet_report import run_fleet

# A machine that is mended must leave the list of known failures.
STRICT = True
Fleet = dict[str, tuple[Machine, MachineRun, MachineFigures]]


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The machines of the selected tests, run one after the other into one ledger."""
    selected = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    machines = [load_machine(name) for name in machine_names() if name in selected]
    return run_fleet(machines, tmp_path_factory.mktemp("fleet"))


def marked(kind: str = "") -> list[object]:
    """Names of all machines; those that fail today are expected to, and those that take long are slow."""
    failures = known_failures().get(kind, {})
    assert failures.keys() <= set(machine_names()), "a known failure of a machine that is not in the fleet"
    names = []
    for name in machine_names():
        marks = [pytest.mark.xfail(reason=failures[name], strict=STRICT)] if name in failures else []
        machine = load_machine(name)
        # Programs are started for each reading of a service processor.
        marks += [pytest.mark.slow] if "command" in machine.table or machine.seconds > DEFAULT_SECONDS else []
        names.append(pytest.param(name, marks=marks))
    return names


@pytest.mark.parametrize("name", marked("law"))
def test_no_figure_is_wrong_by_more_than_its_interval_unseen_or_an_estimate(fleet: Fleet, name: str) -> None:
    machine, _, figures = fleet[name]
    assert law_problems(machine, figures) == []


@pytest.mark.parametrize("name", marked("expect"))
def test_figures_are_as_near_to_the_truth_as_the_sensors_allow(fleet: Fleet, name: str) -> None:
    machine, _, figures = fleet[name]
    assert expectation_problems(machine, figures) == []


@pytest.mark.parametrize("name", marked("messages"))
def test_the_agent_says_only_what_it_saw(fleet: Fleet, name: str) -> None:
    machine, run, _ = fleet[name]
    assert message_problems(machine, run.messages) == []
    assert untrue_claims(machine, run.messages) == []


@pytest.mark.parametrize("name", marked("probe"))
def test_the_probe_says_only_what_is_so_and_names_every_device(name: str, tmp_path: Path) -> None:
    machine = load_machine(name)
    lines = probe_machine(machine, tmp_path / name)
    assert untrue_claims(machine, lines) == []
    assert unnamed_devices(machine, lines) == []


# Machines of files alone, which a program sees as well.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["psys-between-the-packages", "xe-card-and-package-channels", "rapl-second-package-unreadable"])
@pytest.mark.parametrize("command", [["collectors", "probe"], ["footprint.cli", "doctor"]])
def test_the_commands_say_only_what_is_so(name: str, command: list[str], tmp_path: Path) -> None:
    machine = load_machine(name)
    status, lines = command_beside(machine, command, tmp_path)
    assert status == 0, lines
    assert untrue_claims(machine, lines) == []
    assert unnamed_devices(machine, lines) == []


@pytest.mark.parametrize("name", marked())
def test_the_truth_of_a_machine_is_the_energy_of_its_things(name: str) -> None:
    machine = load_machine(name)
    energies = [thing.energy_uj(machine.seconds) / US for thing in machine.things.values()]
    sums = {sum(chosen) for size in range(1, len(energies) + 1) for chosen in itertools.combinations(energies, size)}
    for pattern, truth_j in machine.truth_j.items():
        assert any(abs(total - truth_j) <= 1 for total in sums), (pattern, sorted(sums))
    assert machine.table["source"]
    assert machine.table["story"]
