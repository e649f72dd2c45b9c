"""Sensors of now and the energy that rests on them: verdicts, states, since when, by every door that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.core.records import ContextReading, to_line
from footprint.core.sensor_verdicts import Reason, SensorState, SensorVerdict, Verdict, Witness, verdict_to_values
from footprint.i18n import sensor_words
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy
from footprint.ledger.ingest import IngestService
from footprint.queries.agents import agent_rows
from footprint.queries.sensor_quality import GONE, IN_DOUBT, STANDS_STILL, UNREAD, sensor_findings, sensor_rows, troubled_sensors
from footprint.server.alert_rules import troubled_devices
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, config

S = 1_000_000
START_US = DAY_S * S


def send(store: Store, device: str, at_s: int, values: dict[str, int]) -> None:
    reading = ContextReading("a", device, "gpu", "nvml", "boot", at_s, START_US + at_s * S, values)
    result = IngestService(store, lambda _model: set()).accept("a", [to_line(reading).encode()], START_US + 86_400 * S)
    assert not list(result.rejects)


def verdict(store: Store, at_s: int, verdict: Verdict, reason: Reason = Reason.NONE, **named: int) -> None:
    judged = SensorVerdict(
        START_US + at_s * S, verdict, Witness.OWN_POWER, reason, 0, 285 * 60 * S, 315 * 60 * S, 60 * S, **named
    )
    send(store, "GPU-1", at_s, verdict_to_values("nvml-energy", judged))


def state(store: Store, device: str, source: str, at_s: int, code: SensorState, reason: Reason) -> None:
    send(store, device, at_s, {f"sensor_state/{source}": code, f"sensor_reason/{source}": reason})


def test_trouble_counts_from_where_it_began_and_after_a_minute(store: Store) -> None:
    verdict(store, 0, Verdict.AGREES)
    for at_s in range(600, 700, 10):
        verdict(store, at_s, Verdict.STANDS_STILL, Reason.COUNTER_STANDS)
    (finding,) = sensor_findings(store, START_US + 700 * S)
    assert (finding.trouble, finding.since_us, finding.at_us) == (STANDS_STILL, START_US + 600 * S, START_US + 690 * S)
    assert [found.source for found in troubled_sensors(store, START_US + 700 * S)] == ["nvml-energy"]
    assert not troubled_sensors(store, START_US + 655 * S)
    assert "stands still (the counter stands still)" in (agent_rows(store, config(), START_US + 700 * S)[0]["sensors"] or "")
    (alert,) = troubled_devices(store, config(), START_US + 700 * S)
    assert alert.event == "sensor-stands-still"
    assert "immobile" in alert.text[0]
    verdict(store, 710, Verdict.AGREES)
    assert not troubled_sensors(store, START_US + 800 * S)
    assert not list(troubled_devices(store, config(), START_US + 800 * S))


def test_energy_in_suspense_is_doubt_since_it_began(store: Store) -> None:
    verdict(store, 600, Verdict.AGREES, doubt_uj=5 * 10**9, doubt_since_us=START_US + 480 * S)
    (finding,) = troubled_sensors(store, START_US + 601 * S)
    assert (finding.trouble, finding.since_us) == (IN_DOUBT, START_US + 480 * S)
    (row,) = sensor_rows(store, config(), None, None, START_US + 601 * S)
    assert row["doubt_kwh"] == pytest.approx(5e9 / 3.6e12)


def test_devices_that_are_gone_or_never_opened_are_named_with_their_reason(store: Store) -> None:
    state(store, "GPU-1", "nvml-energy", 0, SensorState.READS, Reason.NONE)
    state(store, "GPU-1", "nvml-energy", 600, SensorState.GONE, Reason.WAS_SEEN)
    state(store, "GPU-2", "nvml-energy", 0, SensorState.UNREADABLE, Reason.CANNOT_OPEN)
    state(store, "GPU-3", "nvml-power", 0, SensorState.SET_ASIDE, Reason.OVERLAPS)
    found = {(finding.device, finding.trouble): finding for finding in sensor_findings(store, START_US + 700 * S)}
    assert set(found) == {("GPU-1", GONE), ("GPU-2", UNREAD), ("GPU-3", "")}
    assert found["GPU-1", GONE].since_us == START_US + 600 * S
    assert [alert.event for alert in troubled_devices(store, config(), START_US + 700 * S)] == ["device-gone"]
    rows = {row["device"]: row for row in sensor_rows(store, config(), None, None, START_US + 700 * S, "fr")}
    assert rows["GPU-2"]["state"] == "illisible"
    assert rows["GPU-2"]["reason"] == "l’appareil ne s’ouvre pas"


def test_a_verdict_of_a_silent_host_is_not_of_now(store: Store) -> None:
    verdict(store, 600, Verdict.DISAGREES)
    assert troubled_sensors(store, START_US + 700 * S)
    assert not troubled_sensors(store, START_US + 4 * 3600 * S)


def test_the_only_source_of_an_imported_device_has_no_witness(store: Store, tmp_path: Path) -> None:
    """Also where physics refutes it; two sources witness for each other in the figures."""
    lines = ["time,host,device,component,source,energy_j,power_w"]
    for at_s in range(0, 7200, 10):
        lines += [
            f"{DAY_S + at_s},b,cpu:0,cpu,rapl,{90 * at_s},",
            f"{DAY_S + at_s},b,cpu:1,cpu,rapl,{60 * min(at_s, 3600)},",
            f"{DAY_S + at_s},b,GPU-2,gpu,nvml-energy,{300 * at_s},",
            f"{DAY_S + at_s},b,GPU-2,gpu,nvml-power,,300",
        ]
    path = tmp_path / "energy.csv"
    path.write_text("\n".join(lines) + "\n")
    verdict(store, 7000, Verdict.AGREES)
    now_us = START_US + 7200 * S
    import_energy(store, str(path), now_us)
    aggregate(store, config(), shipped_book(), now_us)
    findings = {finding.device: finding for finding in sensor_findings(store, now_us)}
    assert set(findings) == {"GPU-1", "cpu:0", "cpu:1"}
    for device in ("cpu:0", "cpu:1"):
        assert (findings[device].source, findings[device].trouble) == ("rapl", "")
        assert findings[device].verdict == SensorVerdict(START_US + 7190 * S)
    rows = {row["device"]: row for row in sensor_rows(store, config(), None, None, now_us)}
    assert {device: row["verdict"] for device, row in rows.items()} == {
        "GPU-1": "agrees",
        "GPU-2": "agrees",
        "cpu:0": "no witness",
        "cpu:1": "disagrees",
    }
    assert not troubled_sensors(store, now_us)


@pytest.mark.parametrize("kind", [Verdict, Witness, SensorState, Reason])
def test_every_code_has_words_in_both_languages(kind: type) -> None:
    for code in kind:  # type: ignore[attr-defined]
        french, english = (sensor_words.sensor_word(code, language) for language in ("fr", "en"))
        assert bool(french) == bool(english) == (code.name != "NONE")
