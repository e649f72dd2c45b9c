"""Import from a Prometheus: what exporters show, once, with the right range, and what is not taken is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from footprint.cli.app import status_of
from footprint.core.prometheus_metrics import OverlappingExporters
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.prometheus_import import Remarks, import_prometheus
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US
from tests.support.http_servers import QuietHandler, serving

S = 1_000_000
Series = tuple[dict[str, str], list[tuple[float, object]]]


class Prometheus:
    """The three answers of the HTTP API that an import asks for, over some series."""

    def __init__(self, *series: Series) -> None:
        self.series = series

    def fetch(self, path: str, parameters: dict[str, str]) -> bytes:
        start_s, end_s = float(parameters.get("start", 0)), float(parameters.get("end", 9e18))
        data: Any = sorted(
            {labels["__name__"] for labels, values in self.series if any(start_s < at <= end_s for at, _ in values)}
        )
        if path.endswith("/series"):
            data = [labels for labels, _ in self.series if labels["__name__"] == parameters["match[]"]]
        if path.endswith("/query"):
            match = re.fullmatch(r"(.+)\[(\d+)s\]", parameters["query"])
            assert match is not None
            name = json.loads(match[1][1:-1]) if match[1].startswith("{") else match[1]
            end_s = float(parameters["time"])
            data = {
                "result": [
                    {"metric": labels, "values": inside}
                    for labels, values in self.series
                    if labels["__name__"] == name
                    and (inside := [[at, str(value)] for at, value in values if end_s - int(match[2]) < at <= end_s])
                ]
            }
        return json.dumps({"status": "success", "data": data}).encode()


def series(metric_name: str, values: list[tuple[float, object]], /, **labels: str) -> Series:
    return {"__name__": metric_name, "instance": "inf-01:9100"} | labels, [(DAY_S + at, value) for at, value in values]


def counter(
    power_w: float, *, start_j: float = 1000, late_s: int = 0, every_s: int = 30, wrap_j: float = 262_143.328850
) -> list[Any]:
    return [(at + late_s, round((start_j + power_w * (at + late_s)) % wrap_j, 6)) for at in range(0, 3571, every_s)]


def imported(store: Store, *shown: Series, exporter: str = "") -> tuple[dict[tuple[str, str, str], float], str]:
    """Energy within epochs [J] (or the mean power) by host, device and source; and the remarks."""
    remarks = Remarks()
    fetch = Prometheus(*shown).fetch
    result = import_prometheus(
        store, "http://x", DAY_S * S, (DAY_S + 4000) * S, NOW_US, exporter=exporter, fetch=fetch, remarks=remarks
    )
    assert not result.rejects
    energies = {}
    with store.read() as connection:
        view = LedgerView(store, connection)
        for streams in view.streams().values():
            for stream in streams:
                samples = view.samples(stream.id, DAY_S * S, (DAY_S + 4000) * S)
                values = samples.value.tolist()
                if stream.quantity == "energy":
                    epochs = samples.epoch.tolist()
                    rises = zip(values, values[1:], epochs, epochs[1:], strict=False)
                    value = sum(after - before for before, after, one, other in rises if one == other) / S
                else:
                    value = sum(values) / len(values) / S
                energies[stream.host, stream.device, stream.source] = value
    return energies, "\n".join(remarks)


def test_markers_of_staleness_and_blanks_are_skipped_and_counted(sqlite: Store) -> None:
    values = counter(200)
    values[10] = (values[10][0], "NaN")
    values[20] = (values[20][0], "-5")
    energies, remarks = imported(sqlite, series("node_rapl_package_joules_total", values, index="0", path="/x/intel-rapl:0"))
    assert energies == {("inf-01", "cpu:0", "node_exporter-energy"): 200 * 3570}
    assert "1 samples of node_rapl_package_joules_total are no number" in remarks
    assert "1 samples of node_rapl_package_joules_total are no reading" in remarks


def test_one_exporter_under_two_names_counts_once_and_two_machines_twice(sqlite: Store, tmp_path: Path) -> None:
    name, zone = "node_rapl_package_joules_total", {"index": "0", "path": "/x/intel-rapl:0"}
    energies, remarks = imported(
        sqlite,
        series(name, counter(200), **zone, instance="10.0.0.7:9100"),
        series(name, counter(200, late_s=11), **zone, instance="inf-01:9100"),
        series("ipmi_dcmi_power_consumption_watts", [(at, 400) for at in range(0, 3600, 60)], instance="10.0.0.7:9290"),
    )
    assert energies == {("inf-01", "cpu:0", "node_exporter-energy"): 200 * 3581, ("inf-01", "wall", "ipmi_exporter-power"): 400}
    assert "10.0.0.7 and inf-01 show the same counters" in remarks
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    energies, remarks = imported(
        other,
        series(name, counter(200), **zone, instance="inf-01:9100"),
        series(name, counter(201, late_s=11), **zone, instance="inf-02:9100"),
    )
    assert {host for host, _, _ in energies} == {"inf-01", "inf-02"}
    assert remarks == ""
    other.close()


def test_two_names_are_one_machine_by_two_counters_or_by_their_kind(sqlite: Store, tmp_path: Path) -> None:
    def shown(first: str, second: str, packages: int) -> list[Series]:
        return [
            series(
                "node_rapl_package_joules_total",
                counter(200 - 50 * package, late_s=late_s),
                index=str(package),
                path=f"/x/intel-rapl:{package}",
                instance=f"{host}:9100",
            )
            for host, late_s in ((first, 0), (second, 11))
            for package in range(packages)
        ]

    hosts = {}
    for number, (first, second, packages) in enumerate(
        (("inf-01", "web-07", 2), ("inf-01", "web-07", 1), ("inf-01.example.org", "inf-01", 1), ("inf-01", "10.0.0.7", 1))
    ):
        store = Store(f"sqlite:///{tmp_path / str(number)}.db")
        energies, remarks = imported(store, *shown(first, second, packages))
        hosts[first, second, packages] = sorted({host for host, _, _ in energies}), "one machine?" in remarks
        store.close()
    assert list(hosts.values()) == [
        (["inf-01"], False),
        (["inf-01", "web-07"], True),  # one counter may be alike by chance: both count, and it is told
        (["inf-01"], False),
        (["inf-01"], False),
    ]


def test_series_that_name_no_device_are_told(sqlite: Store) -> None:
    energies, remarks = imported(sqlite, series("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", counter(200), gpu="0"))
    assert energies == {}
    assert "no label UUID or uuid" in remarks


def test_a_sum_lacks_no_part(sqlite: Store) -> None:
    whole = counter(100, wrap_j=1e12)
    energies, remarks = imported(
        sqlite,
        series("kepler_node_package_joules_total", whole, package="0", mode="idle"),
        series("kepler_node_package_joules_total", [v for n, v in enumerate(whole) if n != 50], package="0", mode="dynamic"),
    )
    assert energies == {("inf-01", "cpu:0", "kepler-energy"): 2 * 100 * 3570}
    assert "1 samples of kepler_node_package_joules_total lack one of the series that are summed" in remarks


def test_a_second_meter_of_a_server_is_a_witness(sqlite: Store) -> None:
    at = [(at, 400) for at in range(0, 3600, 60)]
    energies, _ = imported(
        sqlite,
        series("ceems_ipmi_dcmi_current_watts", at, hostname="inf-01"),
        series("ceems_redfish_current_watts", [(t, 410) for t, _ in at], hostname="inf-01", chassis="Self"),
    )
    assert energies == {("inf-01", "wall:Self", "ceems-power"): 410, ("inf-01", "wall:Self", "ceems-power-witness"): 400}


def test_exporters_that_count_one_group_are_refused_and_nothing_is_stored(sqlite: Store) -> None:
    shown = (
        series("node_rapl_package_joules_total", counter(200), index="0", path="/x/intel-rapl:0"),
        series("scaph_socket_energy_microjoules", [(at, joules * S) for at, joules in counter(200)], socket_id="0"),
    )
    with pytest.raises(OverlappingExporters, match="node_exporter and scaphandre"):
        imported(sqlite, *shown)
    energies, _ = imported(sqlite, *shown, exporter="scaphandre")
    assert energies == {("inf-01", "cpu:0", "scaphandre-energy"): 200 * 3570}


def test_names_in_utf_8_are_asked_for_in_quotes(sqlite: Store) -> None:
    energies, _ = imported(
        sqlite, series("hw.energy.joules_total", counter(200, wrap_j=1e12), **{"hw.id": "GPU-1", "hw.type": "gpu"})
    )
    assert energies == {("inf-01", "GPU-1", "opentelemetry-energy"): 200 * 3570}


class Api(QuietHandler):
    """A Prometheus over HTTP."""

    prometheus: Prometheus

    def get(self) -> None:
        parts = urlsplit(self.path)
        self.respond(200, self.prometheus.fetch(parts.path, dict(parse_qsl(parts.query))))


@pytest.mark.parametrize(
    ("shown", "status", "texts"),
    [
        ([], 1, ["no metric at all in this period", "nothing was taken"]),
        (
            [series("rPDU2OutletMeteredStatusPower", [(0, 395), (60, 395)], rPDU2OutletMeteredStatusName="inf-01")],
            1,
            ["not read, because the table of exporters does not know them: rPDU2OutletMeteredStatusPower", "--exporters"],
        ),
        ([series("codecarbon_cpu_energy", [(0, 1), (60, 2)])], 1, ["codecarbon_cpu_energy is known, and not read"]),
        (
            [series("node_rapl_package_joules_total", counter(5), index="0"), series("acme_board_watts", [(30, 5)])],
            0,
            ["acme_board_watts"],
        ),
    ],
)
def test_the_command_names_what_it_does_not_read_and_fails_if_it_took_nothing(
    shown: list[Series],
    status: int,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text("[store]\nurl = 'sqlite:///footprint.db'\n")
    handler = type("One", (Api,), {"prometheus": Prometheus(*shown)})
    with serving(handler) as address:
        arguments = ["import", "prometheus", address, "--from", str(DAY_S), "--to", str(DAY_S + 4000)]
        assert status_of(arguments) == status
        printed = capsys.readouterr().err
        for text in texts:
            assert text in printed
        table = tmp_path / "exporters.csv"
        table.write_text(
            "exporter,name,quantity,kind,to_micro,component,device,identity,where,duplicates,group,wrap_j,limit_w,trap\n"
            "pdu,rPDU2OutletMeteredStatusPower,power,gauge,1000000,host,wall,,,max,wall,,30000,\n"
        )
        if "rPDU" in str(shown):
            arguments += ["--exporters", str(table), "--host-label", "rPDU2OutletMeteredStatusName"]
            assert status_of(arguments) == 0
            assert "2 new" in capsys.readouterr().err
        table.write_text(table.read_text().splitlines()[0])
        status_of([*arguments[:7], "--exporters", str(table)])  # the table is the process's: without rows again
