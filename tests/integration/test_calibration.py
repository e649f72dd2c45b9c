"""Calibration from the meter's file to the edition: before, while the certificate holds, and after it has run out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from footprint.cli.app import status_of
from footprint.config import Config
from footprint.editions.publication import draft_edition, publish_edition
from footprint.editions.verification import verify
from footprint.ledger.certificates import add_certificate, stored_certificates
from footprint.server.alert_rules import expired_certificates
from footprint.storage.database import Store
from tests.support import quarters
from tests.support.commands import printed_rows
from tests.support.edition_office import office, office_template
from tests.support.quarters import compute, instant, seconds

__all__ = ["office", "office_template"]

Office = tuple[Config, Store, Path]
UPLIFT, FIXED_W = 1.18, 12.0


def meter_file(folder: Path, start: str, end: str, *, growth: float = 0.4, uplift: float = UPLIFT, noise: float = 0.004) -> Path:
    """Hourly counter of a wall meter of the office's server: uplift times its parts, and a fixed power."""
    rng = np.random.default_rng(5)
    sums: dict[int, float] = {}
    for line in quarters.energy_lines(seconds("2026-07-31"), seconds("2026-10-01"), growth=growth)[1:]:
        at, *_, joules = line.split(",")
        sums[int(at)] = sums.get(int(at), 0.0) + float(joules)
    times = [at for at in sorted(sums) if seconds(start) <= at <= seconds(end)]
    steps = np.diff([sums[at] for at in times]) * uplift + FIXED_W * quarters.HOUR_S
    steps *= np.maximum(1 + noise * rng.standard_normal(len(steps)), 0)
    readings = np.concatenate([[0.0], np.cumsum(steps)])
    path = folder / f"meter-{start}.csv"
    path.write_text("time,energy_j\n" + "".join(f"{at},{joules:.0f}\n" for at, joules in zip(times, readings, strict=True)))
    return path


def calibrate(folder: Path, meter: Path, *more: str, expires: str = "2026-09-01", serial: str = "WM-17") -> int:
    return status_of(
        [
            *("calibrate", "a", "--meter", str(meter), "--serial", serial, "--expires", expires, "--meter-class", "0.5"),
            *(*more, "--config", str(folder / "footprint.toml")),
        ]
    )


def months(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, dict[str, Any]]:
    rows = printed_rows(capsys, "query", "--every", "month", "--config", str(folder / "footprint.toml"))
    return {row["period_end"][:10]: row for row in rows}


def width(row: dict[str, Any]) -> float:
    return float((row["energy_high_kwh"] - row["energy_low_kwh"]) / row["energy_kwh"])


def words(sentences: Sequence[Any]) -> str:
    return " ".join(f"{sentence.text.fr} {sentence.text.en}" for sentence in sentences)


def test_a_certificate_narrows_the_interval_while_it_holds_and_no_longer(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    config, store, folder = office
    before = months(capsys, folder)
    meter = meter_file(folder, "2026-08-01", "2026-08-15")
    assert calibrate(folder, meter) == 0
    compute(store, config, "2026-10-01")
    after = months(capsys, folder)
    august, september = sorted(before)[1:3]
    assert width(after[august]) < 0.8 * width(before[august])
    assert after[september] == before[september]  # the certificate has run out: the declared uplift holds again
    with store.read() as connection:
        (certificate,) = stored_certificates(connection)
    assert certificate.uplift is not None
    assert certificate.sha256 == hashlib.sha256(meter.read_bytes()).hexdigest()
    assert UPLIFT < certificate.uplift.value < UPLIFT + 0.1
    assert after[august]["energy_kwh"] > before[august]["energy_kwh"] * 0.99


def test_the_edition_says_by_how_much_and_when_the_certificate_ran_out(office: Office) -> None:
    config, store, folder = office
    plain = draft_edition(store, config, "2026-Q3", instant("2026-10-12"))
    assert plain.data.calibration.certificates == ()
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15")) == 0
    compute(store, config, "2026-10-01")
    draft = draft_edition(store, config, "2026-Q3", 2 * instant("2026-10-12"))
    effect = draft.data.calibration
    assert effect.half_with is not None
    assert effect.half_without is not None
    assert 0 < effect.half_with < effect.half_without
    value = plain.data.current.row["energy_kwh"]
    assert effect.half_without == pytest.approx(max(plain.data.current.energy.half_widths()) / value, rel=0.05)
    section = next(section for section in draft.edition.sections if section.name == "uncertainty_budget")
    text = words(section.blocks[1].sentences)  # type: ignore[union-attr]
    assert "l’incertitude élargie de l’énergie est de ±" in text
    assert "certificate of meter WM-17, expired on" in text
    figures = {figure.indicator: figure.value for figure in draft.edition.figures}
    assert figures["expanded_uncertainty_certificates"] == effect.half_with
    assert figures["expanded_uncertainty_no_certificates"] == effect.half_without


def test_a_published_edition_rebuilds_after_later_certificates_and_expiries(office: Office) -> None:
    config, store, folder = office
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15")) == 0
    compute(store, config, "2026-10-01")
    # Certificates are dated by the clock of the machine: publish after it.
    now_us = max(stored(store)[0].made_us, instant("2026-10-12")) + 1_000_000
    published = publish_edition(store, config, "2026-Q3", now_us)
    later = stored(store)[0]
    add_certificate(
        store,
        replace(
            later, serial="WM-18", made_us=now_us + 1_000_000, since_us=instant("2026-10-02"), until_us=instant("2027-10-02")
        ),
    )
    compute(store, config, "2026-10-05")
    rows = verify(store, config, published, now_us + 10_000_000)
    assert [row for row in rows if not row["same"]] == []


def stored(store: Store) -> Any:
    with store.read() as connection:
        return stored_certificates(connection)


def test_the_list_and_the_alert_tell_an_expired_certificate(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15")) == 0
    rows = printed_rows(capsys, "calibrate", "--list", "--config", str(folder / "footprint.toml"))
    assert {(row["host"], row["serial"], row["state"]) for row in rows} == {("a", "WM-17", "expired")}
    alerts = list(expired_certificates(store, config, instant("2026-10-01")))
    assert [alert.event for alert in alerts] == ["certificate-expired"]
    assert "WM-17" in alerts[0].text[0]
    assert list(expired_certificates(store, config, instant("2026-08-20"))) == []


def test_a_dry_run_stores_nothing(office: Office) -> None:
    _, store, folder = office
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15"), "--dry-run") == 0
    assert stored(store) == ()


@pytest.mark.parametrize(
    ("options", "words"), [({"uplift": 0.7}, "read more than the wall"), ({"noise": 3.0}, "does not follow the sensors")]
)
def test_what_cannot_be_is_refused_with_the_reason(
    office: Office, capsys: pytest.CaptureFixture[str], options: dict[str, float], words: str
) -> None:
    _, store, folder = office
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15", **options)) == 6
    assert words in capsys.readouterr().err
    assert stored(store) == ()


def test_a_host_without_readings_and_a_file_of_another_form_are_refused(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    _, store, folder = office
    meter = meter_file(folder, "2026-08-01", "2026-08-15")
    base = ["--serial", "X", "--expires", "2027-01-01", "--config", str(folder / "footprint.toml")]
    assert status_of(["calibrate", "nobody", "--meter", str(meter), *base]) == 6
    assert "it has readings of: a" in capsys.readouterr().err
    other = folder / "other.csv"
    other.write_text("time,watts\n2026-08-01T00:00:00Z,12.5\n2026-08-01T00:01:00Z,12.5\n")
    assert status_of(["calibrate", "a", "--meter", str(other), *base]) == 1
    assert "power_w or energy_j" in capsys.readouterr().err
    assert status_of(["calibrate", "a", "--meter", str(meter), "--serial", "X", "--config", str(folder / "footprint.toml")]) == 2
    assert stored(store) == ()


def test_a_french_spreadsheet_gives_the_same_certificate(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    _, store, folder = office
    meter = meter_file(folder, "2026-08-01", "2026-08-15")
    assert calibrate(folder, meter) == 0
    meter.write_text(meter.read_text().replace(",", ";").replace("0\n", "0,0\n"))
    assert calibrate(folder, meter, serial="WM-18") == 0
    assert "were not taken" not in capsys.readouterr().err
    first, second = stored(store)
    assert second.uplift == first.uplift


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("time;power_w\n10/08/2026 10:00:00;612,4\n11/08/2026 10:00:01;611,9\n", "write times as 2026-10-14T09:00:00+02:00"),
        ("time,power_w\n2026-08-10T10:00:00,612.4\n", "1 lines were not taken, the first: line 2, time"),
        ("time,power_w\n2026-08-10T10:00:00Z,-5\n", "power_w negative"),
        ("time,power_w\n", "a header without rows"),
        ("Date;Puissance (W)\n10/08/2026;612,4\n", "name the columns time and power_w or energy_j"),
    ],
)
def test_a_file_of_which_nothing_is_taken_says_why(
    office: Office, capsys: pytest.CaptureFixture[str], lines: str, words: str
) -> None:
    _, _, folder = office
    meter = folder / "wrong.csv"
    meter.write_text(lines)
    assert calibrate(folder, meter) == 1
    message = capsys.readouterr().err
    assert words in message
    assert "maps guess" not in message
    assert "--dates" not in message


def test_the_same_certificate_is_stored_once(office: Office) -> None:
    _, store, folder = office
    meter = meter_file(folder, "2026-08-01", "2026-08-15")
    assert [calibrate(folder, meter), calibrate(folder, meter)] == [0, 0]
    assert len(stored(store)) == 1
    assert calibrate(folder, meter, expires="2026-09-02") == 0
    assert len(stored(store)) == 2


def test_the_edition_tells_a_successor_and_leaves_out_what_was_replaced(office: Office) -> None:
    config, store, folder = office
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15")) == 0
    first = stored(store)[0]
    add_certificate(store, replace(first, serial="WM-18", made_us=first.made_us + 1, until_us=instant("2026-09-10")))
    add_certificate(
        store,
        replace(first, serial="WM-19", made_us=first.made_us + 2, since_us=instant("2026-09-05"), until_us=instant("2027-09-05")),
    )
    compute(store, config, "2026-10-01")
    draft = draft_edition(store, config, "2026-Q3", 2 * instant("2026-10-12"))
    section = next(section for section in draft.edition.sections if section.name == "uncertainty_budget")
    text = words(section.blocks[1].sentences)  # type: ignore[union-attr]
    assert "WM-17" not in text
    assert "that of meter WM-19 holds since then" in text
    assert "holds again" not in text


def test_the_facts_name_the_certificate(office: Office) -> None:
    from tests.support.services import api_over, local_client

    config, store, folder = office
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15")) == 0
    rows = json.loads(local_client(api_over(store, config, lambda: instant("2026-10-01"))).get("/api/v1/tables/facts").text)[
        "rows"
    ]
    certified = [row for row in rows if row["evidence"] and "WM-17" in row["evidence"]]
    assert [row["of"] for row in certified] == ["a"]


def test_errors_of_sensors_cancel_in_the_sum_and_stay_in_a_device(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    bounds = ["--from", "2026-08-01", "--to", "2026-08-31", "--config", str(folder / "footprint.toml")]

    def halves(*more: str) -> dict[str, float]:
        rows = printed_rows(capsys, "uncertainty", *bounds, *more)
        return {row["cause"].split()[0]: row["high_kwh"] for row in rows if row["cause"].startswith(("gain", "uplift"))}

    of_device = halves("--where", "device=gpu:0")
    assert {*halves()} >= {"gain", "uplift"}
    assert calibrate(folder, meter_file(folder, "2026-08-01", "2026-08-15")) == 0
    compute(store, config, "2026-10-01")
    certified = halves()
    assert certified.get("gain", 0.0) < 0.01 * certified["uplift"]
    assert halves("--where", "device=gpu:0")["gain"] == pytest.approx(of_device["gain"], rel=0.01)
