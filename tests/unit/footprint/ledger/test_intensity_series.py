"""Live series of carbon intensity: recorded responses from a server that also fails, and hourly values."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.cli.app import status_of
from footprint.config import ConfigError, parse_config
from footprint.config.loader import LIVE_SOURCES
from footprint.core.prometheus_metrics import SourceUnavailable
from footprint.core.timestamps import parse_instant
from footprint.impact.hourly_intensity import hourly_intensity
from footprint.ledger import intensity_series
from footprint.ledger.sources import SOURCES
from footprint.server.scheduler import run_job_once
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.contract_files import DAY_S, write
from tests.support.http_servers import QuietHandler, serving

PARIS = ZoneInfo("Europe/Paris")
H = 3_600_000_000
RECORDED = Path(__file__).resolve().parents[5] / "shared" / "recordings" / "grid" / "odre"
DAY_US = parse_instant("2025-08-22T00:00:00Z")

Answer = Callable[[BaseHTTPRequestHandler, dict[str, str]], tuple[int, dict[str, str], bytes]]


class Grid:
    """Scripted responses of a local server; it records the requests."""

    url = ""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        grid = self

        class Handler(QuietHandler):
            def get(self) -> None:
                parts = urlsplit(self.path)
                parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
                grid.asked.append((parts.path, parameters, {k.lower(): v for k, v in self.headers.items()}))
                answer = grid.answers.pop(0) if len(grid.answers) > 1 else grid.answers[0]
                status, headers, body = answer(self, parameters)
                self.respond(status, body, headers)

        self.handler = Handler


@pytest.fixture
def grid() -> Iterator[Grid]:
    grid = Grid()
    with serving(grid.handler) as grid.url:
        yield grid


def body_of(content: object, content_type: str = "application/json") -> Answer:
    return lambda *_: (200, {"content-type": content_type}, json.dumps(content).encode())


def status(code: int, **headers: str) -> Answer:
    return lambda *_: (code, {name.replace("_", "-"): value for name, value in headers.items()}, b"no")


def quarters(day_us: int, value: float = 20.0) -> list[dict[str, object]]:
    """A day of eco2mix: a value every quarter, with the ones of the future empty."""
    times = range(day_us, day_us + 24 * H, H // 4)
    return [{"date_heure": _iso(at), "taux_co2": value} for at in times]


def _iso(at_us: int) -> str:
    return str(np.datetime64(at_us, "us"))[:19] + "+00:00"


def fetch(
    store: Store,
    grid: Grid,
    waits: list[float] | None = None,
    *,
    name: str = "eco2mix",
    zone: str = "FR",
    from_us: int | None = DAY_US,
    to_us: int = DAY_US + 24 * H,
    key: str = "",
) -> int:
    return intensity_series.fetch_series(
        store, name, zone, from_us, to_us, 1, key=key, url=grid.url, sleep=(waits if waits is not None else []).append
    )


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings are not part of the project")
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("eco2mix-national-tr_2025-08-22_v2_records.json", 96, ("2025-08-22T00:45:00Z", 14.0)),
        ("eco2mix-national-tr_2023-09-21_v1_response.json", 97, ("2023-09-21T00:45:00Z", 13.0)),
    ],
)
def test_recorded_responses_are_parsed(name: str, count: int, first: tuple[str, float]) -> None:
    samples = SOURCES["eco2mix"].parse_response(json.loads((RECORDED / name).read_text()))
    assert len(samples) == count
    assert (samples[0].start_us, samples[0].g_per_kwh) == (parse_instant(first[0]), first[1])
    wrapped = SOURCES["eco2mix"].parse_response(
        {
            "total_count": 1,
            "results": [{"date_heure": first[0], "taux_co2": first[1]}, {"date_heure": first[0], "taux_co2": None}],
        }
    )
    assert len(wrapped) == 1


def test_a_day_is_fetched_once_and_stored(sqlite: Store, grid: Grid) -> None:
    grid.answers = [body_of(quarters(DAY_US))]
    assert fetch(sqlite, grid) == 96
    path, parameters, _ = grid.asked[0]
    assert path.endswith("/eco2mix-national-tr/exports/json")
    assert "2025-08-22T00:00:00Z" in parameters["where"]
    starts, values, lengths = intensity_series.series_values(sqlite, "eco2mix", "FR", DAY_US, DAY_US + 24 * H)
    assert (len(starts), set(values.tolist()), set(lengths.tolist())) == (96, {20.0}, {H // 4})
    assert fetch(sqlite, grid) == 0  # the same again changes nothing


def test_a_revised_value_is_stored_beside_the_first(sqlite: Store, grid: Grid) -> None:
    grid.answers = [body_of(quarters(DAY_US)), body_of(quarters(DAY_US, 21.0))]
    fetch(sqlite, grid)
    assert (
        intensity_series.fetch_series(sqlite, "eco2mix", "FR", DAY_US, DAY_US + 24 * H, 2, url=grid.url, sleep=lambda _: None)
        == 96
    )
    assert set(intensity_series.series_values(sqlite, "eco2mix", "FR", 0, 2**62)[1].tolist()) == {21.0}
    with sqlite.read() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM intensity").scalar() == 192


def test_only_temporary_errors_are_retried(sqlite: Store, grid: Grid) -> None:
    good = body_of(quarters(DAY_US), "text/html")  # and it lies about what it is
    cut: Answer = lambda *_: (200, {}, json.dumps(quarters(DAY_US)).encode()[:500])  # noqa: E731
    waits: list[float] = []
    grid.answers = [status(429, retry_after="7"), status(500), cut, good]
    assert fetch(sqlite, grid, waits) == 96
    assert waits == [7.0, 2.0, 4.0]
    for bad in (status(503), cut):
        grid.answers = [bad]
        with pytest.raises(SourceUnavailable, match="4 times"):
            fetch(sqlite, grid, from_us=DAY_US + 24 * H, to_us=DAY_US + 48 * H)
    grid.asked.clear()
    for bad in (
        status(401),
        body_of({"error": "no such dataset"}),
        body_of([{"date_heure": "yesterday", "taux_co2": 3}]),
        body_of([{"date_heure": _iso(DAY_US), "taux_co2": -3}]),
    ):
        grid.answers = [bad]
        with pytest.raises(SourceUnavailable):
            fetch(sqlite, grid, from_us=DAY_US + 24 * H, to_us=DAY_US + 48 * H)
    assert len(grid.asked) == 4  # once each


def test_a_silent_server_is_an_error(sqlite: Store, monkeypatch: pytest.MonkeyPatch, grid: Grid) -> None:
    def late(*_: object) -> tuple[int, dict[str, str], bytes]:
        threading.Event().wait(1.0)
        return 200, {}, b"[]"

    monkeypatch.setattr(intensity_series, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(intensity_series, "MAX_ATTEMPTS", 2)
    grid.answers = [late]
    with pytest.raises(SourceUnavailable, match="2 times"):
        fetch(sqlite, grid)


def test_an_interrupted_backfill_resumes(sqlite: Store, grid: Grid) -> None:
    served = [body_of(quarters(DAY_US)), body_of(quarters(DAY_US + 24 * H)), status(403), body_of(quarters(DAY_US + 48 * H))]
    grid.answers = served
    with pytest.raises(SourceUnavailable):
        fetch(sqlite, grid, to_us=DAY_US + 72 * H)
    assert len(intensity_series.series_values(sqlite, "eco2mix", "FR", 0, 2**62)[0]) == 192
    grid.answers = [body_of(quarters(DAY_US + 24 * H)[-1:]), body_of(quarters(DAY_US + 48 * H))]
    grid.asked.clear()
    assert fetch(sqlite, grid, from_us=None, to_us=DAY_US + 72 * H) == 96
    assert "2025-08-23T23:45:00Z" in grid.asked[0][1]["where"]


def test_electricity_maps_requests_carry_the_key(sqlite: Store, grid: Grid) -> None:
    data = [{"datetime": _iso(DAY_US + n * H), "carbonIntensity": 30 + n, "isEstimated": n == 2} for n in range(24)]
    grid.answers = [body_of({"zone": "DE", "data": data})]
    with pytest.raises(SourceUnavailable, match="ELECTRICITYMAPS_TOKEN"):
        fetch(sqlite, grid, name="electricity-maps", zone="DE")
    assert fetch(sqlite, grid, name="electricity-maps", zone="DE", key="secret") == 24
    assert grid.asked[0][1]["zone"] == "DE"
    assert grid.asked[0][2]["auth-token"] == "secret"
    assert (
        SOURCES["electricity-maps"].parse_response({"zone": "FR", "carbonIntensity": 55, "datetime": _iso(DAY_US)})[0].g_per_kwh
        == 55
    )
    with pytest.raises(SourceUnavailable, match="FR only"):
        fetch(sqlite, grid, zone="DE")


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 900)), max_size=60))
def test_hours_lie_between_their_samples_and_keep_their_mean(pairs: list[tuple[int, float]]) -> None:
    hourly = dict(pairs)
    start = np.array(sorted(hourly), dtype=np.int64) * (H // 2)
    values = np.array([hourly[k] for k in sorted(hourly)])
    hours = hourly_intensity(start, values, np.full(len(start), H // 2), PARIS)
    for hour, value in hours.known.items():
        inside = [v for at, v in zip(start.tolist(), values.tolist(), strict=True) if hour <= at < hour + H]
        assert value == pytest.approx(np.mean(inside))
    assert all(min(values) - 1e-9 <= mean <= max(values) + 1e-9 for mean in hours.month_mean.values())


@pytest.mark.parametrize("night", ["2026-03-28T22:00:00Z", "2026-10-24T21:00:00Z"])
def test_half_hours_across_a_change_of_clocks_are_whole_hours_in_utc(night: str) -> None:
    begin = parse_instant(night)
    start = begin + np.arange(12, dtype=np.int64) * (H // 2)
    hours = hourly_intensity(start, np.arange(12.0), np.full(12, H // 2), PARIS)
    assert [hours.known[begin + n * H] for n in range(6)] == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]


def test_a_hole_of_46_hours_is_filled_by_the_month_and_flagged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 W x 4 days at 20 g and 40 g, two days unknown: 30 g, the month's mean, stands in for 46 hours and says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(
        '[organisation]\ntimezone = "UTC"\n[[site]]\nname = "p"\npue = 1.0\n[[host]]\nname = "a"\nsite = "p"\nuplift = 1.0\n'
    )
    energy = [f"{DAY_S + s},a,gpu:0,gpu,100" for s in range(0, 4 * 86_400 + 1, 60)]
    assert status_of(["import", "energy", write(tmp_path / "e.csv", ["time,host,device,component,power_w", *energy])]) == 0
    assert status_of(["aggregate"]) == 0
    known = [n for n in range(96) if not 25 <= n < 71]
    lines = [f"{DAY_S + n * 3600 + half * 1800},{20 if n % 2 else 40}" for n in known for half in (0, 1)]
    lines += [f"{DAY_S + 26 * 3600},"]  # an empty value is a hole
    series = write(tmp_path / "s.csv", ["time,g_per_kwh", *lines])
    assert status_of(["factors", "series", series, "--name", "mix", "--length-s", "1800"]) == 0
    capsys.readouterr()
    (row,) = printed_rows(capsys, "hourly", "mix")
    assert row["energy_kwh"] == pytest.approx(9.6, rel=1e-6)
    assert row["co2e_hourly_g"] == pytest.approx(9.6 * 30, rel=1e-3)
    assert row["filled_share"] == pytest.approx(46 / 96, rel=1e-6)
    assert row["flags"] == "hourly-filled"
    days = printed_rows(capsys, "hourly", "mix", "--every", "day")
    assert [day["filled_share"] for day in days] == pytest.approx([0, 23 / 24, 23 / 24, 0], abs=1e-6)
    (row,) = printed_rows(capsys, "hourly", "unheard-of")
    assert (row["co2e_hourly_g"], row["flags"]) == (None, "hourly-unknown")
    assert status_of(["factors", "series", write(tmp_path / "bad.csv", ["time,g_per_kwh", "soon,3"]), "--name", "x"]) == 1
    assert "bad.csv:2" in capsys.readouterr().err
    assert status_of(["factors", "fetch", "sunshine"]) == 2
    assert status_of(["factors", "fetch", "electricity-maps"]) == 4


def test_energy_is_weighted_by_its_hour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 kWh in an hour of 10 g and 1 kWh in one of 50 g are 80 g; the mean of the hours would say 120 g."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text('[[site]]\nname = "p"\npue = 1.0\n[[host]]\nname = "a"\nsite = "p"\nuplift = 1.0\n')
    energy = [f"{DAY_S},a,gpu:0,gpu,0", f"{DAY_S + 3600},a,gpu:0,gpu,{3 * 3.6e6}", f"{DAY_S + 7200},a,gpu:0,gpu,{4 * 3.6e6}"]
    assert status_of(["import", "energy", write(tmp_path / "e.csv", ["time,host,device,component,energy_j", *energy])]) == 0
    assert status_of(["aggregate"]) == 0
    series = write(tmp_path / "s.csv", ["time,g_per_kwh", f"{DAY_S},10", f"{DAY_S + 3600},50"])
    assert status_of(["factors", "series", series, "--name", "mix"]) == 0
    capsys.readouterr()
    (row,) = printed_rows(capsys, "hourly", "mix", "--group", "host")
    assert (row["host"], row["co2e_hourly_g"], row["mean_g_per_kwh"]) == ("a", pytest.approx(80.0), pytest.approx(20.0))


def test_the_server_fetches_only_declared_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(SOURCES) == LIVE_SOURCES
    assert parse_config("").live == ()
    assert parse_config('[factors]\nlive = ["eco2mix"]\n').live == ("eco2mix",)
    for wrong in ('live = "eco2mix"', 'live = ["sunshine"]'):
        with pytest.raises(ConfigError, match="live"):
            parse_config(f"[factors]\n{wrong}\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text('[factors]\nlive = ["electricity-maps"]\n')
    Store("sqlite:///footprint.db").close()
    monkeypatch.delenv("ELECTRICITYMAPS_TOKEN", raising=False)
    with pytest.raises(SourceUnavailable, match="ELECTRICITYMAPS_TOKEN"):
        run_job_once(str(tmp_path / "footprint.toml"), "refresh")
    (tmp_path / "footprint.toml").write_text("")
    assert run_job_once(str(tmp_path / "footprint.toml"), "refresh") == "0 samples new or changed"


def test_great_britain_has_half_hourly_samples(sqlite: Store, grid: Grid) -> None:
    """Shape of the public documentation; a forecast stands in, marked, where nothing was measured."""
    grid.answers = [
        body_of(
            {
                "data": [
                    {
                        "from": "2025-08-22T00:00Z",
                        "to": "2025-08-22T00:30Z",
                        "intensity": {"forecast": 120, "actual": 118, "index": "low"},
                    },
                    {
                        "from": "2025-08-22T00:30Z",
                        "to": "2025-08-22T01:00Z",
                        "intensity": {"forecast": 121, "actual": None, "index": "low"},
                    },
                ]
            }
        )
    ]
    assert fetch(sqlite, grid, name="neso", zone="GB") == 2
    assert grid.asked[0][0] == "/intensity/2025-08-22T00:00:00Z/2025-08-23T00:00:00Z"
    _, values, _ = intensity_series.series_values(sqlite, "neso", "GB", DAY_US, DAY_US + 24 * H)
    assert values.tolist() == [118.0, 121.0]
    recorded = grid.answers[0](None, {})[2]  # type: ignore[arg-type]
    assert [sample.estimated for sample in SOURCES["neso"].parse_response(json.loads(recorded))] == [False, True]
    with pytest.raises(SourceUnavailable, match="GB only"):
        fetch(sqlite, grid, name="neso", zone="FR")


def test_marginal_rates_are_converted_and_kept_apart(sqlite: Store, grid: Grid) -> None:
    """1000 lb/MWh are 453.59 g/kWh; another unit is refused."""
    answer = {
        "data": [{"point_time": "2025-08-22T00:00:00+00:00", "value": 1000.0}],
        "meta": {"region": "FR", "units": "lbs_co2_per_mwh"},
    }
    grid.answers = [body_of(answer)]
    assert fetch(sqlite, grid, name="watttime-marginal", key="secret") == 1
    assert grid.asked[0][2]["authorization"] == "Bearer secret"
    _, values, _ = intensity_series.series_values(sqlite, "watttime-marginal", "FR", DAY_US, DAY_US + 24 * H)
    assert values.tolist() == [pytest.approx(453.59237)]
    assert [name for name, source in SOURCES.items() if source.marginal] == ["watttime-marginal"]
    grid.answers = [body_of({**answer, "meta": {"units": "kg"}})]
    with pytest.raises(SourceUnavailable, match="not lbs_co2_per_mwh"):
        fetch(sqlite, grid, name="watttime-marginal", key="secret")
    with pytest.raises(SourceUnavailable, match="WATTTIME_TOKEN"):
        fetch(sqlite, grid, name="watttime-marginal")
