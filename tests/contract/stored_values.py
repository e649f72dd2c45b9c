"""One value of every stored form, built by position: the names of classes and fields are nowhere in it."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq

from collectors import checkpoint
from collectors.spool import Spool
from footprint.access.agent_tokens import add_token, host_of
from footprint.access.audit_log import describe_cells, read_accesses, write_access
from footprint.aggregation.fleet import place_service
from footprint.attribution.idle import IdleHistograms
from footprint.attribution.step import regression
from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.day_statistics import DayStatistics
from footprint.attribution.step.features import REQUEST_FEATURES
from footprint.attribution.step.model import Diagnosis
from footprint.attribution.step.serialization import dump_statistics
from footprint.benchmark import result as b
from footprint.benchmark.energy_source import Machine
from footprint.benchmark.runner import MeasuredPoint
from footprint.calendar.periods import Period
from footprint.config import parse_config
from footprint.config.models import Annotation
from footprint.config.objectives import Objective
from footprint.core.counter_correction import Meter
from footprint.core.log_formats import load_map
from footprint.core.records import ActivityReading, ContextReading, EnergyReading, RequestRecord, to_line
from footprint.core.samples import Channel, DevicePart, Sample
from footprint.core.stored_forms import digest_text, to_plain
from footprint.core.user_counts import DistinctUsers
from footprint.editions import document as d
from footprint.editions.release_context import Change, CommitteeDecision, ReleaseContext, ReleasedVersion
from footprint.editions.revision_evidence import Evidence, HostEvidence
from footprint.editions.serialization import to_json
from footprint.figures import Query
from footprint.impact.calculation_basis import CalculationBasis
from footprint.impact.factor_book import Factor, FactorBook
from footprint.ledger.archive_writer import seal
from footprint.ledger.backup import backup
from footprint.ledger.ledger_view import Alias, fingerprint
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.parquet_segments import SCHEMAS, pack_rows
from footprint.ledger.placements import Tenure
from footprint.ledger.request_file import request_keys, rows_from_records
from footprint.ledger.verifier import row_digests
from footprint.queries.lineage import LineageLevel
from footprint.server.alerts import dispatch
from footprint.server.job_runs import JobKind, run_job
from footprint.storage.database import Store
from tests.support.contract_files import compute, config, energy_lines, import_files, request_lines

AT_US = 1_782_893_700_123_456
CONFIG = """
[organisation]
timezone = "Europe/Paris"
[[site]]
name = "l’Étang"
zone = "FR"
pue = [1.2, 1.25, 1.3]
wue_l_per_kwh = 0.4
market_factor_g_per_kwh = 12.0
market_evidence = "GO 2026"
[[site]]
name = "lille"
pue = 1.5
since = "2026-07-01"
[[host]]
name = "a"
site = "lille"
uplift = 1.2
embodied = { server_kgco2e = 5700, lifetime_years = 5 }
[[service]]
name = "chat"
model = "m1"
devices = ["a/gpu:0", "a/gpu:1"]
processes = ["vllm*"]
[[use_case]]
name = "drafting"
charter = "authorised"
owner = "office"
since = "2026-06-01"
until = "2027-01-01"
"""

RECORDS = {
    "energy": EnergyReading(
        "inf-01",
        "GPU-7",
        "gpu",
        "nvml-energy",
        "boot/1",
        3,
        AT_US,
        5_000_000,
        60_000_000,
        61_000_000,
        "gpu:0",
        "L4",
        "synchronised",
        "gap",
        "0.1.0",
    ),
    "energy of defaults": EnergyReading("inf-01", "GPU-7", "gpu", "nvml-energy", "boot/1", 0, AT_US, 0, 0),
    "activity": ActivityReading("inf-01", "vllm", "boot/1", 4, AT_US, 70, 0, 1_000_000, "0.1.0"),
    "activity of a host": ActivityReading("inf-01", "(host)", "boot/1", 4, AT_US, 70, 800),
    "context": ContextReading(
        "inf-01", "GPU-7", "gpu", "nvml", "boot/1", 5, AT_US, {"power_limit_uw": 72, "holding/vllm": 1}, "0.1.0"
    ),
    "request": RequestRecord(AT_US, "chat", "rédaction", AT_US + 9, AT_US + 4, "m1", 2, 30, 10, 20, 1.5, "images", "ok", "r-1"),
    "arrival": RequestRecord(AT_US, "chat", "rédaction"),
}

CHANNEL = Channel(
    "GPU-7", "gpu", "nvml-energy", 2**32, 400_000_000, "gpu:0", "L4", 60_000_000, (DevicePart("MIG-1", "gpu:0/1", 3, "L4-1g"),)
)
METER = Meter(Sample(CHANNEL, 1, 2, 3, None), "boot/1", 4, 5, 6, 7, Sample(CHANNEL, 8, 9, None, 10), 11, 12, 13, 14)
CHECKPOINT = checkpoint.Checkpoint(
    [METER],
    {("GPU-7", "nvml-energy"): [METER]},
    ["{}"],
    {"/var/log/*.json": {"/var/log/a.json": (7, 99)}},
    [["GPU-7", "nvml-energy", AT_US, 1, 1, 5, 57, 90, 110, 30_000_000, 0, 0, AT_US]],
)

WINDOWS = regression.FitWindows(
    np.array([0.0, 300.0]),
    np.array([300.0, 299.5]),
    np.array([1.5, 2.5]),
    np.arange(2.0 * len([*REQUEST_FEATURES, *COUNT_FEATURES])).reshape(2, -1),
    np.arange(2.0 * len(regression.AWAKE_TAUS_S)).reshape(2, -1),
    np.array([[3.0], [4.0]]),
    np.array([[5.0], [6.0]]),
    ("drafting/m1",),
    np.array([4.0, 3.5]),
)
STATISTICS = DayStatistics(WINDOWS, 7, 0.25, 0.5, 0.125, 8, 0.75, True, False, 1.5, False)
DIAGNOSIS = Diagnosis(
    "ok",
    "because",
    288,
    3,
    900,
    0.25,
    12.5,
    float("nan"),
    0.5,
    0.75,
    0.001,
    4,
    0.125,
    True,
    False,
    1.5,
    False,
    True,
    {"idle": 90.0, "out": 0.5},
    20.0,
)
QUIET = IdleHistograms({60: (10, 600)}, {61: (20, 1220)}, {70: (30, 2100)}, {71: (40, 2840)})
BASIS = CalculationBasis(
    "a",
    "l’Étang",
    "FR",
    (1.2, 1.1, 1.3),
    False,
    (1.5, 1.4, 1.6),
    True,
    (21.0, 20.0, 22.0),
    "carbon_intensity/FR/2026-01-01",
    "2026-11",
    "gpu",
    "L4",
    "counter",
    True,
    12.0,
    (0.4, 0.3, 0.5),
    False,
    (1.0, 0.5, 2.0),
    1e-6,
    10.5,
    0.2,
    True,
    False,
    "ok",
    "2.0",
)

RESULT = b.BenchmarkResult(
    AT_US,
    "footprint 0.1.0",
    False,
    b.Conditions(
        "small", "vllm 0.9", "fp8", "inf-01", ("L4",), ("gpu:0",), "560.1", 72.0, "0" * 64, 40, 256, 0.0, 1, 60.0, 600, "local"
    ),
    (
        b.MeasurementPoint(0, 0, b.Energy(AT_US, 20.0, 1800.0, 1750.0, 1850.0, {"gpu": 1800.0}, "A", 200, None), None),
        b.MeasurementPoint(
            8,
            0,
            b.Energy(AT_US, 60.0, 9000.0, 8900.0, 9100.0, {"gpu": 8000.0, "cpu": 1000.0}, "A", 600, 1.5e9),
            b.Steady(12.5, 2500.0, 1250.0, 7.9, 7.5, 12, 1, 0.05, 0.09, 0.0125, None, 1.01, 0.1),
        ),
    ),
    (0.5, None, 1.0),
    "exact match",
)
MACHINE = Machine("inf-01", ("L4",), ("gpu:0",), "560.1", None)

T = d.Text("Énergie", "Energy")
FIGURE = d.Figure(
    "F-2026Q3-01",
    "energy_kwh",
    T,
    "level",
    "kWh",
    "2026-Q3",
    12.5,
    11.0,
    14.0,
    (1000.0, "MWh"),
    (("service", "chat"),),
    "B",
    0.97,
    "P",
    "F",
    ("p",),
    "2.0",
    "2026-11",
    {"group": ["service"], "every": "quarter"},
    "sum",
)
SENTENCE = d.Sentence(d.Text("{a} kWh", "{a} kWh"), {"a": d.Ref("F-2026Q3-01", "interval", True)}, ("F-2026Q3-01",))
EFFECT = d.Effect(T, "F-2026Q3-01")
DRAWINGS = (
    d.Trend(
        "kWh",
        (d.MonthPoint("2026-07", 1.5, 1.0, 2.0, "final"), d.MonthPoint("2026-08", None, None, None, "missing")),
        (("2026-07", "1.0", "2.0"),),
        (d.EditionEvent(1, "2026-07-02", "2026-07-03", T, (("host", "a"),), ("F-2026Q3-01",)),),
    ),
    d.Bars("kWh", (d.Bar(T, "F-2026Q3-01", "idle"),)),
    d.Waterfall("kWh", EFFECT, (EFFECT,), EFFECT),
    d.Shares((("A", "F-2026Q3-01"),)),
    d.Dumbbell("Wh", (d.Pair(T, "F-1", "F-2", "F-3", 12),)),
    d.Tornado("kWh", "F-2026Q3-01", (d.Swing(T, -1.5, 2.5),)),
    d.Stacks("kWh", (T,), (("2026-Q3", ("F-2026Q3-01",)),)),
    d.Vintages("kWh", (("v1", "2026-10-14", 1.5, 1.0, 2.0),)),
)
EDITION = d.Edition(
    d.Masthead(
        "Office",
        "IT",
        "a@example.org",
        "2026-Q3",
        T,
        2,
        "revised",
        "2026-10-16T10:00:00Z",
        "2026-11-30",
        "2027-01-15",
        "https://example.org",
        True,
        "Europe/Paris",
        "CC-BY-4.0",
    ),
    SENTENCE,
    (d.Day("2026-07-01", "measured"),),
    "F-2026Q3-01",
    (
        d.Section(
            "uses",
            T,
            T,
            T,
            T,
            (
                d.Paragraphs((SENTENCE,), "bullets"),
                d.Table(
                    "uses",
                    (d.Column(T, "value"),),
                    (
                        d.TableRow(
                            (
                                T,
                                d.Ref("F-2026Q3-01"),
                                d.FigureMark("c"),
                                SENTENCE,
                                d.Cited((("GHG Protocol", "en"),), (("GHG Protocol", ""),)),
                            ),
                            "total",
                        ),
                    ),
                    T,
                ),
                *(d.Chart(f"chart-{number}", drawing, T) for number, drawing in enumerate(DRAWINGS)),
            ),
            T,
            ("F-2026Q3-01",),
            True,
            False,
        ),
    ),
    (FIGURE,),
    d.EditionBasis("2.0", "2026-11", "0.1.0", "abc", (("2026-07-01", "def"),), "ghi"),
)
CONTEXT = ReleaseContext(
    "2026-Q3",
    2,
    "revised",
    "2026-10-16T10:00:00Z",
    AT_US,
    "0.1.0",
    "2026-11-30",
    "2027-01-15",
    "routine",
    "late",
    {"energy_kwh||": 1},
    (
        ReleasedVersion(
            "2026-Q3",
            1,
            "provisional",
            "2026-10-14T10:00:00Z",
            "2.0",
            "2026-11",
            "",
            "",
            {"energy_kwh||": (1.5, 1.0, None)},
            (Change("method", 1.0, None),),
        ),
    ),
    (Change("late-data", 0.5, 20.0),),
    (CommitteeDecision("2026-07-02", "Décidé", "Decided", "moins", "less"),),
    (("2026-Q3", "chat", ""),),
    (("2026-Q3", "", "drafting"),),
    (
        Objective("less", "energy_kwh", (("service", "chat"),), "IT", 4000.0, 3, None, None, None),
        Objective("drafting", "requests", (), "", None, 3, Period(2026, 4, 3), -0.1, Period(2026, 10, 3)),
    ),
    (Annotation(AT_US, "Modèle", "chat", AT_US + 1, "Model", "drafting", "a", "m1"),),
    "a reason",
    (("2026-Q2.v1", 15, 14),),
)
EVIDENCE = Evidence("2.0", {("a", 20635): HostEvidence("f00", 1000, 500, 1.5), ("b", 20635): HostEvidence("f01", 1, 2, None)})


def _lines() -> bytes:
    return "".join(to_line(record) + "\n" for record in RECORDS.values()).encode()


def _checkpoint() -> bytes:
    with TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), "boot", CHECKPOINT)
        return (Path(folder) / checkpoint.FILE_NAME).read_bytes()


def _spool() -> bytes:
    with TemporaryDirectory() as folder:
        spool = Spool(Path(folder), 1)
        spool.append(['{"a":1}', "é"])
        spool.append(["{}"])
        return b"".join(f"{path.name}\n".encode() + path.read_bytes() for path in sorted(Path(folder).iterdir()))


def _columns() -> bytes:
    """Names and types of the columns of sealed files, and what a file says of itself."""
    with TemporaryDirectory() as folder:
        columns_by_kind = {}
        for kind in SCHEMAS:
            path = Path(folder) / kind
            path.write_bytes(pack_rows(f"{kind} a", 20635, []))
            schema = pq.read_schema(path)
            metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
            columns_by_kind[kind] = {"columns": [[field.name, str(field.type)] for field in schema], "metadata": metadata}
        return _json(columns_by_kind)


def _rows() -> bytes:
    columns = [["GPU-7", "GPU-8"], [1, -2], [None, 2.5], [b"\1\2", b""]]
    return _json([digest.hex() for digest in row_digests(columns, 2)])


def _chain() -> bytes:
    """Every link and head of a small ledger; the bytes of Parquet files are the library's, and what follows from them."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        store, archive = Store(f"sqlite:///{home / 'store.db'}"), ObjectStore(str(home / "sealed"))
        start_s = AT_US // 1_000_000
        import_files(store, config(), home, energy_lines(start_s, 600), request_lines(start_s, 600, 3))
        seal(store, archive, AT_US + 30 * 86_400_000_000, after_days=2, keep_days=62)
        store.close()
        documents = {}
        for path in sorted((home / "sealed").glob("*/**/*.json")):
            raw = path.read_bytes()
            document = json.loads(raw)
            assert raw == (json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()
            document |= {key: "…" for key in ("sha256", "bytes") if key in document}
            if "sources" in document:
                document["sources"] = {source: [count, "…"] for source, (count, _) in document["sources"].items()}
            documents[str(path.relative_to(home / "sealed"))] = document
        return _json(documents)


def _backup() -> bytes:
    """Tables and columns of a backup, and the keys of its contents."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        store = Store(f"sqlite:///{home / 'store.db'}")
        backup(store, home / "all.zip", AT_US)
        store.close()
        with zipfile.ZipFile(home / "all.zip") as package:
            manifest = json.loads(package.read("backup.json"))
            for name, table in manifest["tables"].items():
                table["sha256"] = "…"
                with package.open(f"{name}.parquet") as file:
                    table["columns"] = [[field.name, str(field.type)] for field in pq.read_schema(file)]
        return _json(manifest)


def _packed() -> bytes:
    """The arrays as they are before compression, whose bytes are zlib's."""
    document = json.loads(dump_statistics(STATISTICS))
    assert dump_statistics(STATISTICS) == json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return _json(
        {
            key: zlib.decompress(base64.b64decode(value)).hex() if isinstance(value, str) else value
            for key, value in document.items()
        }
    )


def _placement_keys() -> bytes:
    """Keys of the statistics of a service on one host, and on several."""
    tenures = {host: [Tenure("chat", f"gpu:{n}", share, 0, 2**62) for n, share in enumerate((1.0, 0.5))] for host in ("a", "b")}
    alone = place_service("chat", {"a": tenures["a"]}, 3, alone=True)
    several = place_service("chat", tenures, 3, alone=False)
    assert alone is not None
    assert several is not None
    return f"{alone.key}\n{several.key}\n".encode()


def _configuration() -> bytes:
    facts = parse_config(CONFIG)
    day_us = 86_400_000_000
    return f"{facts.facts_digest()}\n{facts.dated_digest(AT_US, AT_US + day_us)}\n{facts.dated_digest(0, day_us)}\n".encode()


def _book() -> bytes:
    day = datetime.date(2026, 1, 1)
    rows = [
        Factor("carbon_intensity", "FR", day, None, 21.0, None, None, "g/kWh", "2", "RTE", "CC-BY", "2026-02-01", "2026-11"),
        Factor(
            "adpe",
            "FR",
            day,
            datetime.date(2027, 1, 1),
            1e-8,
            5e-9,
            2e-8,
            "kg/kWh",
            "3",
            "l’ADEME",
            "CC-BY",
            "2026-02-01",
            "mine",
            5,
            "f" * 64,
        ),
    ]
    return f"{FactorBook(rows).digest()}\n{FactorBook([]).digest()}\n".encode()


def _token() -> bytes:
    """What the table of tokens holds of a token is its sha256."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        token = add_token(store, "inf-01", AT_US)
        with store.read() as connection:
            row = dict(connection.exec_driver_sql("SELECT * FROM token").mappings().one())
        assert host_of(store, token) == "inf-01"
        store.close()
    return _json({key: "sha256" if value == hashlib.sha256(token.encode()).hexdigest() else value for key, value in row.items()})


def _keys() -> bytes:
    """Keys and digests of requests: with an identity, without, and the second of two equal ones."""
    records = [RECORDS["request"], RECORDS["arrival"], RECORDS["arrival"]]
    keys_and_digests = request_keys(rows_from_records(records, np.arange(3)), {})  # type: ignore[arg-type]
    return _json([[key.hex() for key in one] for one in keys_and_digests])


def _users() -> bytes:
    users = DistinctUsers(load_map("litellm"), ZoneInfo("Europe/Paris"), {"m1": "chat"})
    for user, tokens in (("Hortense", 60), ("Barnabé", 20), ("Hortense", 20)):
        users.add(
            {"end_user": user}, {"start": "2026-09-30T12:00:00Z", "model": "m1", "use_case": "drafting", "output_tokens": tokens}
        )
    return _json(list(users.rows()))


def _accesses() -> bytes:
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        question = Query(("service", "use_case"), "month", AT_US, None, (("service", "chat"),))
        write_access(store, AT_US, "analyst", "GET", "/api/v1/footprint", "every=month", [describe_cells(question, 3)])
        with store.read() as connection:
            row = dict(connection.exec_driver_sql("SELECT * FROM access").mappings().one())
        log = _json([row, read_accesses(store, None, None)])
        store.close()
        return log


def _announced() -> bytes:
    """What is kept of a matter that people were told of: its key."""
    budget = '[[objective]]\nname = "peu"\nmetric = "requests"\nat_most = 1\nevery = "month"\n'
    start_s = AT_US // 1_000_000

    def fails(*_: Any) -> str:
        raise ValueError("disk full")

    with TemporaryDirectory() as folder:
        store, facts = Store(f"sqlite:///{folder}/store.db"), parse_config(CONFIG + budget)
        import_files(store, facts, Path(folder), energy_lines(start_s, 600), request_lines(start_s, 600, 3))
        compute(store, facts)
        with suppress(ValueError):
            run_job(store, facts, JobKind("seal", 60, fails), AT_US + 3600 * 1_000_000)
        dispatch(store, facts, AT_US + 86_400 * 1_000_000)
        run_job(store, facts, JobKind("seal", 60, lambda *_: "well"), AT_US + 86_500 * 1_000_000)
        dispatch(store, facts, AT_US + 86_600 * 1_000_000)
        with store.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT kind, text FROM event WHERE kind IN ('announced', 'settled') ORDER BY id"
            ).all()
        store.close()
        return _json([list(row) for row in rows])


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


FORMS: dict[str, Callable[[], bytes]] = {
    "wire.ndjson": _lines,
    "checkpoint.json": _checkpoint,
    "spool.txt": _spool,
    "sealed-columns.json": _columns,
    "sealed-row-digests.json": _rows,
    "chain.json": _chain,
    "backup.json": _backup,
    "basis.json": lambda: BASIS.to_json().encode(),
    "quiet-day.json": lambda: _json(QUIET.to_json()),
    "day-statistics.json": _packed,
    "diagnosis.json": lambda: _json(DIAGNOSIS.to_json()),
    "placement-key.txt": _placement_keys,
    "edition.json": lambda: to_json(EDITION),
    "release-context.json": lambda: _json(CONTEXT.to_json()),
    "first-context.json": lambda: _json(ReleaseContext("2026-Q3").to_json()),
    "evidence.json": lambda: _json(EVIDENCE.to_json()),
    "configuration-digests.txt": _configuration,
    "factor-book-digests.txt": _book,
    "benchmark.json": RESULT.to_bytes,
    "token.json": _token,
    "request-keys.json": _keys,
    "distinct-users.json": _users,
    "access.json": _accesses,
    "trace-digest.txt": LineageLevel("rows", ("a", "b"), [{"a": 0.1, "b": "é"}, {"a": None, "b": True}]).sha256.encode,
    "aliases.txt": lambda: digest_text([Alias("gpu:0", "GPU-7", AT_US)]).encode(),
    "benchmark-progress.json": lambda: _json(to_plain([MACHINE, MeasuredPoint(RESULT.points[1], ((0, 1.5, 200.0),))])),
    "announced.json": _announced,
    "fingerprint.txt": lambda: fingerprint(["2.0", 3, ("gpu:0", [(1, 2)])]).encode(),
}
