"""Energy of a stretch: of this host's sensors or of a ledger; what was lost in it is said, and never counts as nothing."""

from __future__ import annotations

import asyncio

import pytest

from footprint.benchmark import ledger_energy_source
from footprint.benchmark.energy_source import count_updates, device_models, driver_version, energy_between
from footprint.benchmark.ledger_energy_source import LedgerEnergySource
from footprint.core.records import EnergyReading, to_line
from footprint.ledger.ingest import IngestService
from footprint.notebook.measurement import CannotMeasure
from footprint.storage.database import Store

US = 1_000_000
BEGIN = 1_790_000_000 * US


def told(watts: float, *, seconds: int = 20, since_us: int = BEGIN, **more: object) -> list[EnergyReading]:
    fields = {
        "host": "inf-01",
        "device": "gpu-a",
        "component": "gpu",
        "source": "nvml-energy",
        "epoch": "e",
        "alias": "gpu:0",
        "model": "NVIDIA H100",
    } | more
    return [
        EnergyReading(at_us=since_us + t * US, energy_uj=round(watts * t * US), covered_us=t * US, seq=t, **fields)  # type: ignore[arg-type]
        for t in range(seconds + 1)
    ]


def test_components_add_up_and_a_whole_server_meter_is_not_added() -> None:
    readings = [
        *told(300),
        *told(100, device="cpu:0", alias="", component="cpu", source="rapl"),
        *told(600, device="wall", alias="", component="host", source="ipmi"),
    ]
    found = energy_between(readings, BEGIN + 5 * US, BEGIN + 15 * US)
    assert found.energy_j == pytest.approx(4000)
    assert found.components == {"gpu": pytest.approx(3000), "cpu": pytest.approx(1000)}
    assert (found.quality, found.seconds, found.updates) == ("A", 10.0, 10)


def test_a_letter_counts_from_a_tenth_of_the_energy_on() -> None:
    little = [*told(300), *told(20, device="dram:0", alias="", component="dram", source="estimate")]
    much = [*told(300), *told(60, device="dram:0", alias="", component="dram", source="estimate")]
    assert [energy_between(each, BEGIN + US, BEGIN + 9 * US).quality for each in (little, much)] == ["A", "C"]


def test_a_device_that_was_reset_or_lost_ends_the_point() -> None:
    half = told(300, device="gpu-b", alias="gpu:1", seconds=7)
    with pytest.raises(CannotMeasure, match="gpu:1 was not read from begin to end"):
        energy_between([*told(300), *half], BEGIN + 5 * US, BEGIN + 15 * US)
    again = told(300, device="gpu-b", alias="gpu:1", seconds=13, since_us=BEGIN + 7 * US, epoch="f")
    with pytest.raises(CannotMeasure, match="gpu:1 was not read"):
        energy_between([*told(300), *half, *again], BEGIN + 5 * US, BEGIN + 15 * US)
    with pytest.raises(CannotMeasure, match="nothing was read from begin to end"):
        energy_between([], BEGIN, BEGIN + US)


def test_updates_are_changes_seen_of_the_counter_that_tells_most() -> None:
    still = told(0, device="gpu-b", alias="gpu:1")
    assert count_updates([*told(300), *still], BEGIN, BEGIN + 10 * US) == 10
    assert count_updates(still, BEGIN, BEGIN + 10 * US) == 0
    assert count_updates([], BEGIN, BEGIN + US) == 0


def test_models_and_driver_in_words() -> None:
    assert device_models([*told(1), *told(1, device="gpu-b")]) == ("2 x NVIDIA H100",)
    said = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  560.35.03  Fri Aug 16 21:39:15 UTC 2024\nGCC version:  gcc 13\n"
    assert driver_version(said) == "560.35.03"
    assert driver_version("nonsense") == ""


def test_the_ledger_tells_the_same_as_the_sensors(sqlite: Store) -> None:
    readings = [*told(300), *told(100, device="cpu:0", alias="", component="cpu", source="rapl")]
    IngestService(sqlite, lambda _: set()).accept("inf-01", [to_line(each).encode() for each in readings], BEGIN + 30 * US)

    async def both() -> tuple[float, tuple[str, ...]]:
        async with LedgerEnergySource(sqlite, "inf-01").watch() as watch:
            object.__setattr__(watch, "since_us", BEGIN)
            found = await watch.energy(BEGIN + 5 * US, BEGIN + 15 * US)
            return found.energy_j, watch.machine().devices

    assert asyncio.run(both()) == (pytest.approx(4000), ("cpu:0", "gpu:0"))


def test_a_host_of_which_nothing_comes_is_waited_for_and_named(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_energy_source, "TIMEOUT_S", 0)

    async def never() -> None:
        async with LedgerEnergySource(sqlite, "inf-02").watch() as watch:
            await watch.energy(BEGIN, BEGIN + US)

    with pytest.raises(CannotMeasure, match="no readings of inf-02 over this point; does its agent run"):
        asyncio.run(never())
