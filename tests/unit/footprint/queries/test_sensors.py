"""Sensors of a host: read and unread sources with verdict, self-test and calibration, in the table, the page and the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collectors import selftest
from dashboards.page_shell import render_shell
from footprint.aggregation.aggregate import aggregate
from footprint.cli.app import status_of
from footprint.config import Config, load_config
from footprint.config.certificates import CalibrationCertificate, SensorGain, from_uncertainties
from footprint.core.records import ContextReading, to_line
from footprint.core.sensor_verdicts import Reason, SensorState, SensorVerdict, Verdict, Witness, verdict_to_values
from footprint.impact.factor_book import shipped_book
from footprint.ledger.certificates import add_certificate
from footprint.ledger.importers import import_energy
from footprint.ledger.ingest import IngestService
from footprint.ledger.selftests import BadSelftest, import_selftest, latest_selftests
from footprint.queries.sensors import COLUMNS, sensor_hosts, sensor_table, wall_comparison
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.components import elements, page_context, page_text

S = 1_000_000
START_S = 1_790_812_800  # 2026-10-01
NOW_US = (START_S + 7200) * S
CONFIG = """
[organisation]
timezone = "UTC"
[store]
url = "sqlite:///sensors.db"
[[host]]
name = "a"
uplift = 1.2
"""
SLOPE, FIXED_W = 1.15, 20.0


@pytest.fixture
def office(tmp_path: Path) -> Iterator[tuple[Config, Store, Path]]:
    """A host with a wall meter of its own, a GPU and a CPU of which one source stands still, and one that does not open."""
    (tmp_path / "footprint.toml").write_text(CONFIG)
    config = load_config(str(tmp_path / "footprint.toml"))
    store = Store(config.store_url, demo=False)
    rng = np.random.default_rng(3)
    lines = ["time,host,device,component,power_w,source"]
    for at in range(0, 7200, 10):
        gpu, cpu = 100 + 300 * (at // 900 % 3) / 2, 60 + 40 * (at // 1800 % 2)
        wall = SLOPE * (gpu + cpu) + FIXED_W + rng.normal(0, 3)
        lines += [f"{START_S + at},a,gpu:0,gpu,{gpu},nvml-power", f"{START_S + at},a,cpu:0,cpu,{cpu},"]
        lines += [f"{START_S + at},a,wall,host,{wall:.1f},ipmi", f"{START_S + at},b,cpu:0,cpu,50,"]
    (tmp_path / "energy.csv").write_text("\n".join(lines) + "\n")
    import_energy(store, str(tmp_path / "energy.csv"), NOW_US)
    yield config, store, tmp_path
    store.close()


def ship(store: Store, config: Config, *records: Any) -> None:
    service = IngestService(store, config.services_of_model, config.hosts_of_service)
    answer = service.accept("a", [to_line(record).encode() for record in records], NOW_US)
    assert not answer.rejects


def judged(source: str, verdict: SensorVerdict, device: str = "gpu:0", **more: int) -> ContextReading:
    values = verdict_to_values(source, verdict) | {f"{name}/{source}": value for name, value in more.items()}
    return ContextReading("a", device, "gpu" if device.startswith("gpu") else "dram", "nvml", "e", 1, verdict.at_us, values)


def report(**changes: Any) -> dict[str, Any]:
    result = selftest.SensorResult(
        *("gpu:0", "gpu:0", "gpu", "nvml-power", "H100", "power", "agrees", "utilisation", "none"),
        *(1e4, 0.0, 1e6, 2400, 2.5, 0.1, 0.001, "W", (60.0, 300.0, 300.0, 60.0), 0.4, 240.0, True, 0.3, {}),
    )
    document = selftest.SelftestReport(
        "2026-10-01T01:00:00Z", "a", "0.2.0", "6.1", {}, 120.0, 8, (), (result,), ("RAPL: no package zone",), ()
    )
    return asdict(document) | changes


def written(folder: Path, **changes: Any) -> str:
    path = folder / "selftest.json"
    path.write_text(json.dumps(report(**changes)))
    return str(path)


def certificate(**changes: Any) -> CalibrationCertificate:
    values: dict[str, Any] = {
        "host": "a", "serial": "WM-17", "meter_class_percent": 0.5, "made_us": NOW_US - 10 * S, "since_us": START_S * S,
        "until_us": NOW_US + 86_400 * S, "measured_from_us": START_S * S, "measured_to_us": NOW_US, "windows": 24, "window_s": 300,
        "load_low_w": 160.0, "load_high_w": 500.0, "lag_s": 0.0, "uplift": from_uncertainties(1.21, 0.01, 0.02),
        "gains": (SensorGain("gpu", "", 1.02, 0.98, 1.06, "steps"),), "sha256": "ab", "method": "m", "role": "administrator",
    }  # fmt: skip
    return CalibrationCertificate(**values | changes)


def test_a_row_holds_verdict_self_test_and_calibration(office: tuple[Config, Store, Path]) -> None:
    config, store, folder = office
    at_us = NOW_US - 60 * S
    verdict = SensorVerdict(
        at_us, Verdict.DISAGREES, Witness.UTILISATION, Reason.BUSY_WITHOUT_POWER, 40 * S, 300 * S, 900 * S, 60 * S, 0, 0
    )
    ship(store, config, judged("nvml-power", verdict))
    import_selftest(store, written(folder), NOW_US)
    add_certificate(store, certificate())
    rows = {(row["device"], row["source"]): row for row in sensor_table(store, config, NOW_US, host="a")}
    gpu = rows["gpu:0", "nvml-power"]
    assert set(gpu) == set(COLUMNS)
    assert (gpu["verdict"], gpu["judged_j"], gpu["witness_low_j"], gpu["witness_high_j"]) == ("disagrees", 40, 300, 900)
    assert gpu["reason"]
    assert (gpu["update_period_s"], gpu["resolution"], gpu["jitter_ms"], gpu["selftest_verdict"]) == (0.1, 0.001, 2.5, "agrees")
    assert (gpu["gain"], gpu["serial"]) == (1.02, "WM-17")
    assert rows["cpu:0", "power"]["verdict"] == "no witness"
    assert sensor_hosts(store) == ["a", "b"]
    assert {row["host"] for row in sensor_table(store, config, NOW_US)} == {"a", "b"}


def test_a_source_that_never_gave_a_value_has_a_row_with_its_reason(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    states = {"sensor_state/rapl": int(SensorState.NOT_PERMITTED), "sensor_reason/rapl": int(Reason.ROOT_ONLY)}
    ship(store, config, ContextReading("a", "dram:0", "dram", "rapl", "e", 1, NOW_US - 60 * S, states))
    (row,) = [row for row in sensor_table(store, config, NOW_US, host="a") if row["device"] == "dram:0"]
    assert row["last_reading"] is None
    assert row["state"] == "not permitted"
    assert "root" in row["reason"]
    shown = page_text(store, config, "/sensors", "?host=a", now_us=NOW_US)
    assert "dram:0" in shown


def test_the_whole_server_is_compared_with_its_parts(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    comparison = wall_comparison(store, config, "a", NOW_US)
    assert comparison is not None
    assert comparison.slope is not None
    assert abs(comparison.slope - SLOPE) < max(comparison.slope_half_width, 0.02)
    assert comparison.intercept_w == pytest.approx(FIXED_W, abs=6)
    assert wall_comparison(store, config, "b", NOW_US) is None


def test_the_page_shows_all_of_it_in_both_languages(office: tuple[Config, Store, Path]) -> None:
    config, store, folder = office
    empty = page_text(store, config, "/sensors", "?host=a", "fr", NOW_US)
    assert "Aucun autotest n’a été importé" in empty
    assert "Ce serveur n’a pas de certificat" in empty
    import_selftest(store, written(folder), NOW_US)
    add_certificate(store, certificate())
    for language, words in (
        ("fr", ("Capteurs du serveur a", "WM-17", "Un certificat d’étalonnage est valable", "RAPL: no package zone", "au mur")),
        ("en", ("Sensors of a", "WM-17", "A calibration certificate is valid", "RAPL: no package zone", "at the wall")),
    ):
        shown = page_text(store, config, "/sensors", "?host=a", language, NOW_US)
        assert [word for word in words if word not in shown] == []


def test_the_page_shows_a_self_test_of_sources_that_have_no_readings(office: tuple[Config, Store, Path]) -> None:
    config, store, folder = office
    (sensor,) = json.loads(Path(written(folder)).read_text())["sensors"]
    import_selftest(store, written(folder, sensors=[sensor | {"source": "nvml-energy"}]), NOW_US)
    shown = page_text(store, config, "/sensors", "?host=a", "fr", NOW_US)
    assert "nvml-energy" in shown
    assert "Aucun autotest n’a été importé" not in shown


def test_a_self_test_of_another_host_is_not_stored(
    office: tuple[Config, Store, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, store, folder = office
    assert status_of(["sensors", "b", "--import", written(folder), "--config", str(folder / "footprint.toml")]) != 0
    assert "self-test of a, not of b" in capsys.readouterr().err
    with store.read() as connection:
        assert latest_selftests(connection) == {}


def test_the_newest_self_test_is_told_by_its_instant_in_any_zone(sqlite: Store, tmp_path: Path) -> None:
    import_selftest(sqlite, written(tmp_path, at="2026-10-01T01:30:00+02:00"), NOW_US)
    import_selftest(sqlite, written(tmp_path, at="2026-10-01T00:30:00Z"), NOW_US)
    with sqlite.read() as connection:
        assert latest_selftests(connection)["a"]["at"] == "2026-10-01T00:30:00Z"


def test_the_page_says_that_a_certificate_has_expired(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    add_certificate(store, certificate(until_us=NOW_US - S))
    assert "The calibration certificate has expired" in page_text(store, config, "/sensors", "?host=a", now_us=NOW_US)


def test_the_quality_page_counts_expired_certificates(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    aggregate(store, config, shipped_book(), NOW_US)
    add_certificate(store, certificate(until_us=NOW_US - S))
    period = "?from=2026-10-01&to=2026-10-02"
    assert "Expired calibration certificates: 1" in page_text(store, config, "/quality", period, now_us=NOW_US)
    add_certificate(store, certificate(serial="WM-18", made_us=NOW_US - S))
    shown = page_text(store, config, "/quality", period, now_us=NOW_US)
    assert "WM-18" in shown
    assert "Expired calibration certificates" not in shown


def test_the_page_without_a_host_takes_the_first_and_says_an_unknown_one(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    assert "Sensors of a" in page_text(store, config, "/sensors", "", now_us=NOW_US)
    assert "No sensor of the host nobody is known" in page_text(store, config, "/sensors", "?host=nobody", now_us=NOW_US)
    links = [getattr(link, "href", "") for link in elements(render_shell(page_context(store, config, "/sensors")).header, "A")]
    assert any(link.startswith("/sensors") for link in links)


def test_an_empty_store_shows_what_to_do(sqlite: Store, tmp_path: Path) -> None:
    assert "footprint doctor" in page_text(sqlite, Config(), "/sensors", "", now_us=NOW_US)


def test_the_command_imports_and_lists(office: tuple[Config, Store, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, store, folder = office
    path = written(folder, at="2026-10-01T01:00:00Z")
    rows = printed_rows(capsys, "sensors", "a", "--import", path, "--config", str(folder / "footprint.toml"))
    assert any(row["selftest_at"] == "2026-10-01T01:00:00Z" for row in rows)
    assert status_of(["sensors", "nobody", "--config", str(folder / "footprint.toml")]) == 7
    assert status_of(["sensors", "a", "--import", path, "--config", str(folder / "footprint.toml")]) == 0
    with store.read() as connection:
        assert set(latest_selftests(connection)) == {"a"}


@pytest.mark.parametrize(
    "changes",
    [
        {"form": "other"},
        {"host": ""},
        {"host": "a\u202e"},
        {"at": "yesterday"},
        {"at": "2099-01-01T00:00:00Z"},
        {"sensors": "none"},
        {"sensors": [{"jitter_ms": "x"}]},
        {"sensors": [[]]},
        {"not_read": [1]},
        {"duration_s": True},
        {"duration_s": 10**400},
        {"sensors": [{"verdict": "great"}]},
    ],
)
def test_a_file_that_is_no_report_is_refused(sqlite: Store, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BadSelftest):
        import_selftest(sqlite, written(tmp_path, **changes), NOW_US)
    with sqlite.read() as connection:
        assert latest_selftests(connection) == {}


def test_a_large_or_binary_file_is_refused(sqlite: Store, tmp_path: Path) -> None:
    for raw in (b"\xff\xfe", b"[" * 100_000, b" " * (2 << 20)):
        (tmp_path / "bad.json").write_bytes(raw)
        with pytest.raises(BadSelftest):
            import_selftest(sqlite, str(tmp_path / "bad.json"), NOW_US)
