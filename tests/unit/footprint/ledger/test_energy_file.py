"""Energy files in every format of the contract, and the parsing of each value."""

import gzip
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footprint.ledger.importers import import_energy
from footprint.ledger.record_batch import UnreadableFile
from footprint.storage.database import Store
from tests.support import ledger_contents as ledgers
from tests.support.contract_files import NOW_US, write

US = 1_000_000
HEADER = "time,host,device,component,energy_j,power_w,source"
START_S = 1_782_864_000  # 2026-07-01T00:00:00Z
LINES = [
    HEADER,
    "2026-07-01T00:00:00Z,a,gpu:0,gpu,,61.5,nvml-power",
    "2026-07-01T00:00:01Z,a,gpu:0,gpu,,62.25,nvml-power",
    "2026-07-01T00:00:00Z,a,cpu:0,cpu,1000.000001,,rapl",
    "2026-07-01T00:00:01Z,a,cpu:0,cpu,1001,,rapl",
]
HELD = {
    ("a", "gpu:0", "gpu", "power", "power", START_S * US, 61_500_000),
    ("a", "gpu:0", "gpu", "power", "power", (START_S + 1) * US, 62_250_000),
    ("a", "cpu:0", "cpu", "energy", "counter", START_S * US, 1_000_000_001),
    ("a", "cpu:0", "cpu", "energy", "counter", (START_S + 1) * US, 1_001_000_000),
}


def rows() -> list[dict[str, Any]]:
    names = HEADER.split(",")
    return [{name: cell or None for name, cell in zip(names, line.split(","), strict=True)} for line in LINES[1:]]


def as_csv(folder: Path) -> Path:
    return Path(write(folder / "e.csv", LINES))


def as_gzip(folder: Path) -> Path:
    path = folder / "e.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(LINES) + "\n").encode()))
    return path


def as_two_gzip_members(folder: Path) -> Path:
    path = folder / "e.csv.gz"
    path.write_bytes(b"".join(gzip.compress((line + "\n").encode()) for line in LINES) + b"\0" * 9)
    return path


def as_json(folder: Path) -> Path:
    numbers = [
        row | {name: None if row[name] is None else float(row[name]) for name in ("energy_j", "power_w")} for row in rows()
    ]
    return Path(write(folder / "e.jsonl", [json.dumps(row) for row in numbers]))


def as_json_gzip(folder: Path) -> Path:
    path = folder / "e.ndjson.gz"
    path.write_bytes(gzip.compress(as_json(folder).read_bytes()))
    return path


def as_parquet(folder: Path) -> Path:
    columns: dict[str, Any] = {name: [row[name] for row in rows()] for name in HEADER.split(",")}
    columns["time"] = pa.array([datetime.fromisoformat(time) for time in columns["time"]], pa.timestamp("ns", "Europe/Paris"))
    for name in ("energy_j", "power_w"):
        columns[name] = pa.array([None if cell is None else float(cell) for cell in columns[name]], pa.float64())
    columns["host"] = pa.array(columns["host"]).dictionary_encode()
    columns["device"] = pa.array(columns["device"], pa.large_string())
    path = folder / "e.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def as_parquet_gzip(folder: Path) -> Path:
    path = folder / "e.parquet.gz"
    path.write_bytes(gzip.compress(as_parquet(folder).read_bytes()))
    return path


def as_windows_csv(folder: Path) -> Path:
    path = folder / "e.csv"
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in LINES]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(quoted).encode())
    return path


def as_wide_csv(folder: Path) -> Path:
    """More columns, in another order, one of them with commas, quotes and line ends within quotes."""
    remark = '"one, ""two""\nthree,,,,,,\n2026-07-01T00:00:00Z,x,y,gpu,1,,"'
    names = HEADER.split(",")
    lines = [",".join(["remark", *reversed(names), ""])]
    for line in LINES[1:]:
        lines.append(",".join([remark, *(f" {cell} " for cell in reversed(line.split(","))), ""]))
    return Path(write(folder / "e.csv", lines))


FORMATS = [as_csv, as_gzip, as_two_gzip_members, as_json, as_json_gzip, as_parquet, as_parquet_gzip, as_windows_csv, as_wide_csv]


@pytest.mark.parametrize("made", FORMATS, ids=lambda made: made.__name__)
def test_every_format_brings_the_same_readings(store: Store, tmp_path: Path, made: Any) -> None:
    result = import_energy(store, str(made(tmp_path)), NOW_US)
    assert not result.rejects
    assert result.accepted == len(HELD)
    assert ledgers.readings(store) == HELD


@pytest.mark.parametrize("made", [made for made in FORMATS if made is not as_parquet_gzip], ids=lambda made: made.__name__)
def test_standard_input_is_recognised_by_its_first_bytes(
    sqlite: Store, tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made(tmp_path).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert import_energy(sqlite, "-", NOW_US).accepted == len(HELD)
    assert ledgers.readings(sqlite) == HELD


@pytest.mark.parametrize(
    ("time", "instant_us"),
    [
        ("2026-07-01T02:00:00+02:00", 0),
        ("2026-06-30T19:30:00-04:30", 0),
        ("2026-07-01t00:00:00z", 0),
        ("2026-07-01 00:00:00Z", 0),
        ("2026-07-01T00:00:00-00:00", 0),
        ("2026-07-01T00:00:00.5Z", 500_000),
        ("2026-07-01T00:00:00.123456789Z", 123_457),
        ("2026-07-01T00:00:00.1234567890123Z", 123_457),
        ("2026-06-30T23:59:60Z", 0),
        (str(START_S), 0),
        (f"{START_S}.123457", 123_457),
        (f"{START_S}.1234567", 123_457),
        ("1.782864e9", 0),
        (f" {START_S}", 0),
    ],
)
def test_times_are_rfc_3339_or_unix_seconds(sqlite: Store, tmp_path: Path, time: str, instant_us: int) -> None:
    result = import_energy(sqlite, write(tmp_path / "e.csv", [HEADER, f"{time},a,gpu:0,gpu,,1,"]), NOW_US)
    assert not result.rejects
    assert {row[5] for row in ledgers.readings(sqlite)} == {START_S * US + instant_us}


@pytest.mark.parametrize(
    "time",
    [
        "2026-07-01T00:00:00",
        "2026-07-01",
        "01/07/2026 00:00",
        "yesterday",
        "",
        "nan",
        "inf",
        "1782864000000",
        "-5",
        "1e99",
        "2026-07-01T24:00:00Z",
        "2026-07-01T00:00:00+25:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "1_782_864_000",
        "10000-01-01T00:00:00Z",
        "٢٠٢٦",
        "1" * 400,
    ],
)
@pytest.mark.parametrize("as_json_line", [False, True])
def test_an_invalid_time_is_rejected(sqlite: Store, tmp_path: Path, time: str, as_json_line: bool) -> None:
    if as_json_line:
        row = {"time": time, "host": "a", "device": "gpu:0", "component": "gpu", "power_w": 1}
        path = write(tmp_path / "e.jsonl", [json.dumps(row), json.dumps(row | {"time": START_S})])
    else:
        path = write(tmp_path / "e.csv", [HEADER, f"{time},a,gpu:0,gpu,,1,", f"{START_S},a,gpu:0,gpu,,1,"])
    result = import_energy(sqlite, path, NOW_US)
    assert result.accepted == 1
    assert [reject.column for reject in result.rejects] == ["time"]


@pytest.mark.parametrize(
    ("cell", "value_uj"),
    [
        ("0", 0),
        ("0.0000004", 0),
        ("0.0000006", 1),
        ("1e3", 10**9),
        ("+5.", 5_000_000),
        (".5", 500_000),
        ("123456789012.345678", 123_456_789_012_345_678),
        ("9007199254.740993", 9_007_199_254_740_993),
    ],
)
def test_counters_are_exact_to_the_microjoule(sqlite: Store, tmp_path: Path, cell: str, value_uj: int) -> None:
    result = import_energy(sqlite, write(tmp_path / "e.csv", [HEADER, f"{START_S},a,gpu:0,gpu,{cell},,"]), NOW_US)
    assert not result.rejects
    assert {row[6] for row in ledgers.readings(sqlite)} == {value_uj}


@pytest.mark.parametrize("cell", ["NaN", "inf", "-inf", "-1", "-0.1", "1e400", "1e30", "9" * 60, "1,5", "5 W", "0x10", "1_0"])
@pytest.mark.parametrize("column", ["energy_j", "power_w"])
def test_an_invalid_energy_is_rejected(sqlite: Store, tmp_path: Path, cell: str, column: str) -> None:
    lines = [f"time,host,device,component,{column}", f'{START_S},a,gpu:0,gpu,"{cell}"', f"{START_S},a,gpu:0,gpu,7"]
    result = import_energy(sqlite, write(tmp_path / "e.csv", lines), NOW_US)
    assert result.accepted == 1
    assert [(reject.line, reject.column) for reject in result.rejects] == [(2, column)]
    assert cell not in result.rejects[0].reason


@pytest.mark.parametrize("value", [True, [1], {"j": 1}, "a", float("nan"), 10**40, "\ud800", -1])
def test_json_values_that_are_no_energy_are_rejected(sqlite: Store, tmp_path: Path, value: object) -> None:
    row = {"time": START_S, "host": "a", "device": "gpu:0", "component": "gpu", "power_w": value}
    lines = [json.dumps(row), json.dumps(row | {"power_w": 3})]
    result = import_energy(sqlite, write(tmp_path / "e.jsonl", lines), NOW_US)
    assert result.accepted == 1
    assert [(reject.line, reject.column) for reject in result.rejects] == [(1, "power_w")]


@pytest.mark.parametrize("host", ["", "  ", "x" * 201, "a\0b", "\ud800", ["a"], True, None, {"name": "a"}, 1.5])
def test_json_values_that_are_no_name_are_rejected(store: Store, tmp_path: Path, host: object) -> None:
    row = {"time": START_S, "host": host, "device": "gpu:0", "component": "gpu", "power_w": 3}
    result = import_energy(store, write(tmp_path / "e.jsonl", [json.dumps(row), json.dumps(row | {"host": "b"})]), NOW_US)
    if host == 1.5:
        assert result.accepted == 2  # a number is the text that says it
    else:
        assert [(reject.line, reject.column) for reject in result.rejects] == [(1, "host")]


@pytest.mark.parametrize(
    ("cells", "column"), [(",", "energy_j"), ("5,6", "power_w")], ids=["neither quantity", "both quantities"]
)
def test_exactly_one_quantity_is_given(sqlite: Store, tmp_path: Path, cells: str, column: str) -> None:
    result = import_energy(sqlite, write(tmp_path / "e.csv", [HEADER, f"{START_S},a,gpu:0,gpu,{cells},"]), NOW_US)
    assert [(reject.line, reject.column) for reject in result.rejects] == [(2, column)]


def test_a_counter_that_falls_is_a_sample_like_any_other(sqlite: Store, tmp_path: Path) -> None:
    lines = [HEADER, *(f"{START_S + n},a,gpu:0,gpu,{value},," for n, value in enumerate((100, 200, 5, 90)))]
    assert import_energy(sqlite, write(tmp_path / "e.csv", lines), NOW_US).accepted == 4


@pytest.mark.parametrize("missing", ["time", "host", "device", "component", "energy_j,power_w"])
def test_a_header_without_a_required_column_stores_nothing(sqlite: Store, tmp_path: Path, missing: str) -> None:
    names = [name for name in HEADER.split(",") if name not in missing.split(",")]
    with pytest.raises(UnreadableFile, match=missing.split(",", maxsplit=1)[0]):
        import_energy(sqlite, write(tmp_path / "e.csv", [",".join(names), ",".join("1" for _ in names)]), NOW_US)
    row = dict.fromkeys(names, START_S)
    with pytest.raises(UnreadableFile, match=missing.split(",", maxsplit=1)[0]):
        import_energy(sqlite, write(tmp_path / "e.jsonl", [json.dumps(row)]), NOW_US)
    pq.write_table(pa.table({name: [] for name in names}), tmp_path / "e.parquet")
    with pytest.raises(UnreadableFile, match=missing.split(",", maxsplit=1)[0]):
        import_energy(sqlite, str(tmp_path / "e.parquet"), NOW_US)
    assert ledgers.readings(sqlite) == set()
    with sqlite.read() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM batch").scalar() == 0
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM name").scalar() == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no-such.csv", None),
        ("e.csv", b""),
        ("e.csv", b"\n\n"),
        ("e.csv", b"\xff\xfe\x00"),
        ("e.csv.gz", b"\x1f\x8b"),
        ("e.csv", b"time,time,host,device,component,power_w\n"),
        ("e.parquet", b"PAR1 and no more"),
        ("e.parquet", b""),
        ("e.parquet.gz", gzip.compress(b"PAR1", mtime=0)[:-4]),
        (".", None),
    ],
)
def test_a_file_of_another_format_is_unreadable(sqlite: Store, tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile):
        import_energy(sqlite, str(tmp_path / name), NOW_US)


def test_a_file_with_a_header_and_no_rows_is_empty_and_right(sqlite: Store, tmp_path: Path) -> None:
    result = import_energy(sqlite, write(tmp_path / "e.csv", [HEADER]), NOW_US)
    assert (result.accepted, result.duplicates, len(result.rejects)) == (0, 0, 0)
    (tmp_path / "e.jsonl").write_bytes(b"")
    assert not import_energy(sqlite, str(tmp_path / "e.jsonl"), NOW_US).rejects


def test_lines_are_counted_as_an_editor_counts_them(sqlite: Store, tmp_path: Path) -> None:
    lines = [
        "",
        HEADER,
        "",
        f"{START_S},a,gpu:0,gpu,,1,",
        "",
        "torn,line",
        f"{START_S + 1},a,gpu:0,gpu,,x,",
        "",
        f"{START_S + 2},a,gpu:0,gpu,,1,",
    ]
    result = import_energy(sqlite, write(tmp_path / "e.csv", lines), NOW_US)
    assert result.accepted == 2
    assert [(reject.line, reject.column) for reject in result.rejects] == [(6, "line"), (7, "power_w")]


def test_one_device_is_one_component_and_the_first_stays(sqlite: Store, tmp_path: Path) -> None:
    lines = [
        HEADER,
        f"{START_S},a,x,gpu,,1,",
        f"{START_S + 1},a,x,cpu,,1,",
        f"{START_S + 2},a,x,gpu,,1,",
        f"{START_S},b,x,cpu,,1,",
    ]
    result = import_energy(sqlite, write(tmp_path / "e.csv", lines), NOW_US)
    assert result.accepted == 3
    assert [(reject.line, reject.column) for reject in result.rejects] == [(3, "component")]
    later = import_energy(sqlite, write(tmp_path / "f.csv", [HEADER, f"{START_S + 9},a,x,dram,5,,"]), NOW_US)
    assert [(reject.line, reject.column) for reject in later.rejects] == [(2, "component")]


def test_energy_and_power_of_one_device_are_separate_streams(sqlite: Store, tmp_path: Path) -> None:
    """A counter, a power and an estimate of one device and instant are three readings."""
    cells = ("5,,nvml-energy", ",6,nvml-power", "7,,estimate")
    lines = [HEADER, *(f"{START_S},a,gpu:0,gpu,{cell}" for cell in cells)]
    assert import_energy(sqlite, write(tmp_path / "e.csv", lines), NOW_US).accepted == 3
    assert {row[3:5] for row in ledgers.readings(sqlite)} == {("energy", "counter"), ("power", "power"), ("energy", "estimate")}


def test_an_import_leaves_a_trace(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, str(as_csv(tmp_path)), NOW_US)
    with sqlite.read() as connection:
        kind, message = connection.exec_driver_sql("SELECT kind, text FROM event").one()
    assert kind == "import"
    assert "4 new, 0 known, 0 refused" in message
    assert datetime.fromtimestamp(NOW_US / US, UTC).strftime("%Y-%m-%d") in message
