"""Verdicts of agents in the ledger: figures, intervals, coverage, quality and flags of a host whose sensors contradict each other."""

from __future__ import annotations

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
from footprint.ledger.ingest import IngestService
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

    def __init__(self, path: Path) -> None:
        self.store = Store(f"sqlite:///{path}")
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
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "f.db")


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
    ledger.take(counter("nvml-energy", 0) + counter("nvml-power", 300))
    assert ledger.day() is None  # a zero that nothing contradicts
    ledger.take(judged("nvml-energy", Verdict.STANDS_STILL, (0, 285, 315), ALL_DAY))
    assert ledger.day()["energy_kwh"] == pytest.approx(kwh(300))


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
