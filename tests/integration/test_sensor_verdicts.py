"""Verdicts of agents in the ledger: figures, intervals, coverage, quality and flags of a host whose sensors contradict each other."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.config import parse_config
from footprint.core.records import ContextReading, EnergyReading, Record, to_line
from footprint.core.sensor_verdicts import Reason, SensorVerdict, Verdict, Witness, verdict_to_values
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy
from footprint.ledger.ingest import IngestService
from footprint.queries.sensor_quality import device_evidence
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S

S = 1_000_000
HOURS = 4
FACTS = parse_config(
    """
[organisation]
timezone = "UTC"
[[site]]
name = "s"
pue = [1.0, 1.0, 1.0]
[[host]]
name = "a"
site = "s"
uplift = [1.0, 1.0, 1.0]
"""
)
GPU = ("a", "GPU-1", "gpu")


def counter(
    source: str, power_w: float, *, step_s: int = 60, hours: int = HOURS, device: tuple[str, str, str] = GPU
) -> list[Record]:
    """Readings of a counter that rises by a steady power."""
    return [
        EnergyReading(
            *device, source, f"boot/{source}", second // step_s, (DAY_S + second) * S, round(power_w * second * S), second * S,
            mono_us=(second + 1) * S,
        )
        for second in range(0, hours * 3600 + 1, step_s)
    ]  # fmt: skip


def judged(
    source: str,
    verdict: Verdict,
    powers_w: tuple[float, float, float],
    ends_s: Sequence[int],
    witness: Witness = Witness.OWN_POWER,
    window_s: int = 60,
) -> list[Record]:
    """Context records of verdicts: judged power, the lowest and the highest that the witness allows."""
    records: list[Record] = []
    for number, end in enumerate(ends_s):
        at_us = (DAY_S + end) * S
        energies = [round(power * window_s * S) for power in powers_w]
        values = verdict_to_values(source, SensorVerdict(at_us, verdict, witness, Reason.NONE, *energies, window_s * S))
        records.append(ContextReading(*GPU, "nvml", f"boot/{source}", number, at_us, values))
    return records


class Ledger:
    """A ledger that agents fill."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ingest = IngestService(self.store, lambda _model: set())
        self.now_us = (DAY_S + 3 * 86_400) * S

    def take(self, records: Sequence[Record]) -> None:
        result = self.ingest.accept("a", [to_line(record).encode() for record in records], self.now_us)
        assert not list(result.rejects)

    def day(self) -> Any:
        """The row of the day after aggregation; None where it holds no energy."""
        aggregate(self.store, FACTS, shipped_book(), self.now_us)
        query = Query(from_us=DAY_S * S, to_us=(DAY_S + HOURS * 3600) * S)
        rows = run_query(self.store, FACTS, query, self.now_us).rows
        return rows[0] if rows else None


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def kwh(power_w: float, hours: float = HOURS) -> float:
    return power_w * hours / 1000


ALL_DAY = range(60, HOURS * 3600 + 60, 60)


def test_a_standing_counter_gives_way_to_the_power_of_its_board(ledger: Ledger) -> None:
    ledger.take(counter("nvml-energy", 0) + counter("nvml-power", 300))
    ledger.take(judged("nvml-energy", Verdict.STANDS_STILL, (0, 285, 315), ALL_DAY))
    row = ledger.day()
    assert row["energy_kwh"] == pytest.approx(kwh(300))
    assert row["coverage"] == pytest.approx(1.0)


def test_a_standing_counter_alone_is_no_measured_zero(ledger: Ledger) -> None:
    ledger.take(counter("nvml-energy", 0))
    ledger.take(judged("nvml-energy", Verdict.STANDS_STILL, (0, 285, 315), ALL_DAY, Witness.UTILISATION))
    row = ledger.day()
    assert row["coverage"] == 0.0
    assert row["energy_low_kwh"] == 0.0
    assert row["energy_high_kwh"] >= kwh(300)
    assert row["quality"] != "A"
    assert "sensor-in-doubt" in row["flags"]


def test_a_counter_that_lies_for_an_hour_widens_its_interval_and_loses_its_letter(ledger: Ledger) -> None:
    """It counts 57 % of what the board draws, in one hour of four, and nothing else reads the board."""
    ledger.take(counter("nvml-energy", 171))
    ledger.take(judged("nvml-energy", Verdict.DISAGREES, (171, 285, 315), range(3660, 7260, 60), Witness.UTILISATION))
    ledger.take(judged("nvml-energy", Verdict.AGREES, (171, 160, 180), range(7260, HOURS * 3600 + 60, 60), Witness.UTILISATION))
    row = ledger.day()
    assert row["energy_low_kwh"] <= kwh(171)
    assert row["energy_high_kwh"] >= kwh(171, 3) + kwh(300, 1)
    assert row["energy_kwh"] == pytest.approx(kwh(171, 3) + kwh(285, 1), rel=1e-3)
    assert row["quality"] == "B"
    assert row["coverage"] == pytest.approx(1.0)


def test_a_late_verdict_makes_its_day_stale(ledger: Ledger) -> None:
    ledger.take(counter("nvml-energy", 171))
    assert ledger.day()["energy_kwh"] == pytest.approx(kwh(171))
    ledger.take(judged("nvml-energy", Verdict.DISAGREES, (171, 285, 315), ALL_DAY, Witness.UTILISATION))
    assert ledger.day()["energy_kwh"] == pytest.approx(kwh(285), rel=1e-3)


def test_the_server_sees_over_the_day_what_an_agent_left_open(ledger: Ledger) -> None:
    """The agent found no witness while the load jumped; counter and power of the whole stretch tell that the counter stood."""
    ledger.take(counter("nvml-energy", 0) + counter("nvml-power", 300))
    ledger.take(judged("nvml-energy", Verdict.NO_WITNESS, (0, 0, 0), range(3600, HOURS * 3600 + 60, 3600), Witness.NONE))
    row = ledger.day()
    assert row["energy_kwh"] == pytest.approx(kwh(300), rel=0.01)


def test_a_witness_stream_counts_only_while_the_first_is_not_believed(ledger: Ledger) -> None:
    ledger.take(counter("redfish", 400) + counter("ipmi-witness", 410))
    assert ledger.day()["energy_kwh"] == pytest.approx(kwh(400))
    ledger.take(judged("redfish", Verdict.STANDS_STILL, (400, 500, 600), range(3660, 7260, 60)))
    ledger.take(judged("redfish", Verdict.AGREES, (400, 390, 410), range(7260, 7320, 60)))
    assert ledger.day()["energy_kwh"] == pytest.approx(kwh(400, 3) + kwh(410, 1))


def test_a_confirmed_day_keeps_its_figures(ledger: Ledger) -> None:
    ledger.take(counter("nvml-energy", 300))
    before = ledger.day()
    ledger.take(judged("nvml-energy", Verdict.AGREES, (300, 285, 315), range(3600, HOURS * 3600 + 60, 3600), window_s=60))
    assert ledger.day() == before


def test_a_step_between_two_shipments_is_missing_not_counted(ledger: Ledger) -> None:
    """The counter jumps by a gigajoule between two shipments: each of them is plausible by itself."""
    first, rest = counter("nvml-energy", 300)[:120], counter("nvml-energy", 300)[120:]
    moved = [
        EnergyReading(
            r.host, r.device, r.component, r.source, r.epoch, r.seq, r.at_us, r.energy_uj + 10**15, r.covered_us,
            mono_us=r.mono_us + 10**12,
        )
        for r in rest if isinstance(r, EnergyReading)
    ]  # fmt: skip
    ledger.take(first)
    ledger.take(moved)
    row = ledger.day()
    assert row["energy_kwh"] == pytest.approx(kwh(300, HOURS - 1 / 60))
    assert row["coverage"] == pytest.approx(1 - 1 / 60 / HOURS)


def read_file(ledger: Ledger, path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Import readings of a file: no agent stands beside them."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["time", "host", "device", "component", "source", "energy_j", "power_w"])
        writer.writeheader()
        writer.writerows(rows)
    import_energy(ledger.store, str(path), ledger.now_us)


def file_rows(source: str, device: str, component: str, power_w: Any, *, is_power: bool = False) -> list[dict[str, Any]]:
    """Rows each minute of a counter or a power; ``power_w`` is the power at a second of the day."""
    rows, energy_j = [], 0.0
    for second in range(0, HOURS * 3600 + 1, 60):
        watts = power_w(second) if callable(power_w) else power_w
        row = {"time": DAY_S + second, "host": "a", "device": device, "component": component, "source": source}
        rows.append(row | ({"power_w": watts} if is_power else {"energy_j": energy_j}))
        energy_j += watts * 60
    return rows


def test_a_frozen_counter_of_a_file_gives_way_to_its_power(ledger: Ledger, tmp_path: Path) -> None:
    rows = file_rows("dcgm", "GPU-1", "gpu", lambda second: 300 if second < 3600 else 0)
    read_file(ledger, tmp_path / "e.csv", rows + file_rows("nvml-power", "GPU-1", "gpu", 300, is_power=True))
    row = ledger.day()
    assert row["energy_kwh"] == pytest.approx(kwh(300), rel=0.01)
    assert row["coverage"] == pytest.approx(1.0)


@pytest.mark.parametrize("factor", [0.5, 1.8, 10])
def test_a_scaled_counter_of_a_file_and_its_power_leave_an_interval_that_holds_both(
    ledger: Ledger, tmp_path: Path, factor: float
) -> None:
    rows = file_rows("dcgm", "GPU-1", "gpu", 300 * factor) + file_rows("nvml-power", "GPU-1", "gpu", 300, is_power=True)
    read_file(ledger, tmp_path / "e.csv", rows)
    row = ledger.day()
    assert row["energy_low_kwh"] <= kwh(300 * min(factor, 1)) * 1.001
    assert row["energy_high_kwh"] >= kwh(300 * max(factor, 1)) * 0.999
    assert row["quality"] != "A"
    assert "sensor-in-doubt" in row["flags"]


def test_two_sources_of_a_file_that_agree_confirm_each_other(ledger: Ledger, tmp_path: Path) -> None:
    rows = file_rows("dcgm", "GPU-1", "gpu", 300)
    read_file(ledger, tmp_path / "e.csv", rows + file_rows("nvml-power", "GPU-1", "gpu", 303, is_power=True))
    row = ledger.day()
    assert row["energy_kwh"] == pytest.approx(kwh(300))
    assert (row["quality"], row["flags"]) == ("A", "assumed-wue")
    confirmed = device_evidence(ledger.store, FACTS, None, None)["a", "GPU-1"]
    assert confirmed.confirmed_uj == pytest.approx(confirmed.energy_uj, rel=0.05)


def test_a_package_counter_that_never_moves_is_not_zero(ledger: Ledger, tmp_path: Path) -> None:
    """A guest whose powercap zone is constant: its processor cannot have been off."""
    read_file(ledger, tmp_path / "e.csv", file_rows("rapl", "package-15", "cpu", 0))
    row = ledger.day()
    assert row["coverage"] < 0.1
    assert row["quality"] != "A"


def test_a_board_whose_only_counter_stops_in_a_file_is_not_zero_from_then_on(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever wrote the rows read the board, so it was powered."""
    read_file(ledger, tmp_path / "e.csv", file_rows("dcgm", "GPU-1", "gpu", lambda second: 300 if second < 3600 else 0))
    row = ledger.day()
    assert row["coverage"] == pytest.approx(1 / HOURS, abs=0.02)
    assert row["energy_high_kwh"] >= kwh(300)
    assert row["quality"] != "A"


def test_parts_that_exceed_the_wall_are_doubted_with_it(ledger: Ledger, tmp_path: Path) -> None:
    """A board that claims 900 W in a server that draws 400 W: the interval holds what the wall leaves for it."""
    rows = file_rows("dcgm", "GPU-1", "gpu", 900) + file_rows("wall", "wall", "host", 400)
    read_file(ledger, tmp_path / "e.csv", rows)
    row = ledger.day()
    assert row["energy_low_kwh"] <= kwh(400)
    assert row["energy_high_kwh"] >= kwh(900)
    assert row["quality"] != "A"


def test_a_single_source_that_physics_allows_has_no_witness(ledger: Ledger, tmp_path: Path) -> None:
    read_file(ledger, tmp_path / "e.csv", file_rows("dcgm", "GPU-1", "gpu", 300))
    row = ledger.day()
    assert (row["quality"], row["flags"]) == ("A", "assumed-wue")
    evidence = device_evidence(ledger.store, FACTS, None, None)["a", "GPU-1"]
    assert (evidence.confirmed_uj, evidence.disputed_uj) == (0, 0)
