"""What a map can say of a log, what it refuses to take, and how it says what is wrong with itself."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.config import Gateway
from collectors.log_tailer import LogTailer, request_lines
from footprint.core.csv_dialect import find_dialect, point_number
from footprint.core.log_formats import BadMap, FieldMap, Options, load_map, parse_map, shipped_maps
from footprint.core.log_times import NEVER, NO_ORDER, NO_ZONE, TWICE, parse_span_us, parse_time, zone_of
from footprint.core.records import from_line
from footprint.core.timestamps import BadTimestamp, format_instant
from tests.support.map_fixtures import EXPECTED, documents_of, map_of, read_file

SECRET = "alice@example.org"


def first_row(text: str, document: dict[str, Any]) -> dict[str, Any]:
    (row,) = parse_map(text).mapped(document)
    return row


@pytest.mark.parametrize(("field", "document", "value"), [
    ('"a.b"', {"a": {"b": 3}}, 3),
    ('"a.b"', {"a": '{"b": 3}'}, 3),  # JSON inside a text
    ("'\"a.b\"'", {"a.b": 3}, 3),
    ('"a.1"', {"a": [1, 2]}, 2),
    ('"a.-1"', {"a": [1, 2, 5]}, 5),
    ('"a.*.b"', {"a": [{"c": 1}, {"b": 4}]}, 4),
    ('"a.*.b"', {"a": {"x": {"b": 7}}}, 7),
    ('["a", "b"]', {"a": None, "b": 2}, 2),
    ('["a", "b"]', {"a": "-", "b": 2}, 2),
    ('{ sum = ["a", "b.*.n"] }', {"a": 1, "b": [{"n": 2}, {"n": 3}]}, 6),
    ('{ sum = ["a", "b"] }', {"b": "4"}, 4),
    ('{ path = "a", plus = ["b", "c"] }', {"a": 10, "b": 5}, 15),
    ('{ path = "a", plus = "b" }', {"b": 5}, None),  # an unknown base is no zero
    ('{ path = "a", minus = "b" }', {"a": "10", "b": 4}, 6),
    ('[{ path = "a", match = "n=([0-9]+)" }, "b"]', {"a": "x n=12"}, "12"),
    ('"a"', {"a": {"b": SECRET}}, None),
    ('"a"', {"a": [1, 2]}, None),
    ('"a.b.c"', {"a": {"b": SECRET}}, None),
])  # fmt: skip
def test_paths_and_sums(field: str, document: dict[str, Any], value: Any) -> None:
    row = first_row(f'[fields]\nstart = "t"\ninput_tokens = {field}\n', {"t": 1760000000} | document)
    assert row.get("input_tokens") == value


@pytest.mark.parametrize(("field", "document", "instant"), [
    ('"t"', {"t": "2026-10-14T00:01:09.787+02:00"}, "2026-10-13T22:01:09.787Z"),
    ('{ path = "t", minus = "ms", span_unit = "ms" }', {"t": "2026-10-14T00:01:09.787+02:00", "ms": 2475}, "2026-10-13T22:01:07.312Z"),
    ('{ path = "t", plus = "d" }', {"t": 1760000000, "d": "1m2.5s"}, "2025-10-09T08:54:22.5Z"),
    ('{ path = "t", unit = "ms", plus = ["a", "b"], span_unit = "us" }', {"t": 1760000000000, "a": 1, "b": "2"}, "2025-10-09T08:53:20.000003Z"),
    ('{ path = "t", unit = "ns" }', {"t": "1760000000123456789"}, "2025-10-09T08:53:20.123457Z"),
    ('"t"', {"t": "2026-10-14 00:00:00"}, "2026-10-13T22:00:00Z"),
    ('"t"', {"t": "2026/10/14 00:00:00.047"}, "2026-10-13T22:00:00.047Z"),
    ('"t"', {"t": "14/10/2026 00:00"}, "2026-10-13T22:00:00Z"),
    ('"t"', {"t": "12/Mar/2026:16:24:57 +0530"}, "2026-03-12T10:54:57Z"),
])  # fmt: skip
def test_times_with_zones_and_durations(field: str, document: dict[str, Any], instant: str) -> None:
    row = first_row(f'zone = "Europe/Paris"\ndates = "dmy"\n[fields]\nstart = {field}\n', document)
    assert format_instant(parse_time(str(row["start"]))) == instant


@pytest.mark.parametrize(("text", "reason"), [
    ("2026-10-25 02:30:00", TWICE),
    ("2026-03-29 02:30:00", NEVER),
    ("14/10/2026 00:00", NO_ORDER),
    ("2026-02-30 00:00:00", "not a time: no such day or hour"),
])  # fmt: skip
def test_a_time_that_is_not_one_instant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadTimestamp) as refusal:
        parse_time(text, zone_of("Europe/Paris"))
    assert str(refusal.value) == reason
    with pytest.raises(BadTimestamp, match="without a zone"):
        parse_time("2026-10-25 02:30:00")
    assert "--timezone" in NO_ZONE


def test_relative_times_need_an_origin_and_count_from_it() -> None:
    text = 'relative = true\n[fields]\nstart = { path = "t", unit = "ms" }\n'
    with pytest.raises(BadMap, match="--origin"):
        parse_map(text).check_readable()
    row = first_row(text.replace("relative = true", 'relative = true\norigin = "2026-01-01T00:00:00Z"'), {"t": 1500})
    assert format_instant(parse_time(row["start"])) == "2026-01-01T00:00:01.5Z"


def test_several_records_of_a_document_with_the_object_around_them() -> None:
    field_map = parse_map('records = "data.*.results.*"\n[fields]\nstart = { path = "^.start", unit = "s" }\nid = "^.^.page"\n')
    document = {"page": "p", "data": [{"start": 1, "results": [{"n": 1}, {"n": 2}]}, {"start": 3, "results": [{"n": 1}]}]}
    assert [(row["start"], row["id"]) for row in field_map.mapped(document)] == [(1, "p"), (1, "p"), (3, "p")]
    assert field_map.mapped({"other": 1}) == []
    assert field_map.left_out == {"nothing at data.*.results.*": 1}


@pytest.mark.parametrize(("keep", "documents"), [
    ('equals = "true"', {True: True, "true": True, "True": True, False: False, None: False}),
    ('not = ["load", "unload"]', {"stop": True, "load": False, None: True}),
    ("", {"x": True, 0: True, None: False, "": False}),
    ("equals = [2, 5]", {2: True, "5": True, 3: False, None: False}),
])  # fmt: skip
def test_conditions_keep_a_document_or_count_it(keep: str, documents: dict[Any, bool]) -> None:
    for value, is_kept in documents.items():
        field_map = parse_map(f'[fields]\nstart = "t"\n[[keep]]\npath = "k"\n{keep}\n')
        assert bool(field_map.mapped({"t": 1, "k": value})) == is_kept
        assert field_map.left_out.total() == (not is_kept)


def test_a_rule_that_meets_an_object_takes_nothing_and_counts_it() -> None:
    field_map = parse_map('[fields]\nstart = "t"\nmodel = "m"\n[[use_case]]\npath = "tags"\n[[use_case]]\npath = "app"\n')
    (row,) = field_map.mapped({"t": 1, "m": {"name": SECRET}, "tags": {"u": SECRET}, "app": "chat"})
    assert row == {"start": 1, "use_case": "chat"}
    assert field_map.unusable == {"use_case": 1, "model": 1}
    assert SECRET not in " ".join(field_map.remarks())


MISTAKES = {
    'fields = "x"': "[fields]: is no table; write [fields]",
    '[fields]\nstart = "t"\n[keep]\npath = "x"': "[keep]: is one table, where several may stand; write [[keep]]",
    '[fields]\nstart = "t"\nmodel = { path = ["model", 3] }': '[fields] model: path: the path 3 is no text; write it as "3"',
    '[fields]\nstart = "t"\nstatus = { path = "s", values = "x" }': "[fields] status: values: is no table of texts",
    '[fields]\nstart = "t"\nstatus = { path = "s", values = { a = "good" } }': "'good' is no status; such are ok, error",
    '[fields]\nstart = "t"\nstatus = { path = "s", below = "x" }': "below: is 'x', which is no whole number; write below = 400",
    '[fields]\nstart = "a..b"': "the path 'a..b' has an empty step",
    '[fields]\nstart = { minus = "x" }': "needs one of path, constant and sum",
    '[fields]\nstart = { path = "x", units = "s" }': "units is not known; known are",
    '[fields]\nstart = "t"\nuse_case = "u"': "is not read from [fields]; write it as a rule: [[use_case]]",
    '[fields]\nstart = "t"\ntokens = "u"': "is no column of requests; columns are start, end",
    'zone = "Mars"\n[fields]\nstart = "t"': "no time zone is named 'Mars'",
    'zone = 3\n[fields]\nstart = "t"': "zone: is 3, which is no text",
    'origin = "yesterday"\n[fields]\nstart = "t"': "origin: not a time",
    'format = "text"\n[fields]\nstart = "t"': "line: a log of text needs a pattern with named groups",
    'kind = "energy"\n[fields]\ndevice = "d"': "time is missing",
    'records = 3\n[fields]\nstart = "t"': "records: is no text and no list of texts",
    '[[fields]]\nstart = "t"': "[fields]: is written [[…]]; write [fields]",
    'use_case = "x"\n[fields]\nstart = "t"': "use_case: is no array of tables; write [[use_case]]",
    '[fields]\nstart = "t"\n[[keep]]\npath = "x"\nequal = "y"': "equal is not known; known are",
    '[fields]\nstart = "t"\n[users]\nuser = 3': "[users] user: 3 is neither a path nor a table",
}


@pytest.mark.parametrize("text", sorted(MISTAKES))
def test_a_mistake_in_a_map_names_file_key_and_remedy(text: str) -> None:
    with pytest.raises(BadMap) as refusal:
        parse_map(text, "own.toml")
    assert str(refusal.value).startswith("own.toml: ")
    assert MISTAKES[text] in str(refusal.value)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**19),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "{", "[1", "[N/A]"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)


@settings(deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(EXPECTED)))
def test_mistyped_documents_give_scalars_only_and_never_an_error(data: st.DataObject, name: str) -> None:
    """Every field of a program's own document may hold anything at all."""
    field_map = map_of(name)
    documents = list(documents_of(name.rpartition(".")[0]))
    document = json.loads(json.dumps(data.draw(st.sampled_from(documents))))
    for path in data.draw(st.lists(st.sampled_from(sorted(field_map.paths)), min_size=1, max_size=4)):
        place: Any = document
        for step in path[:-1]:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = data.draw(VALUES)
    rows = field_map.read(document)
    for row in rows:
        assert len(row) == len(field_map.columns)
        assert all(value is None or isinstance(value, str | int | float) for value in row)
    if field_map.kind == "requests":
        for line in request_lines(field_map, [document], "1"):
            assert not line or from_line(line)


TOML_VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 5), st.sampled_from(["", "a", "a.b", "a.", '"a', "*", "^", "ms", "ok", "(", "UTC"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "constant", "plus", "minus", "match", "values", "below", "unit", "sum", "*"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
KEYS = [
    "kind",
    "format",
    "zone",
    "dates",
    "origin",
    "relative",
    "records",
    "fields",
    "record",
    "use_case",
    "keep",
    "users",
    "line",
    "block",
    "columns",
]
TABLE = st.dictionaries(
    st.sampled_from(["start", "end", "model", "time", "power_w", "status", "user", "team", "path", "equals", "not"]), TOML_VALUES
)


@settings(deadline=None)
@given(
    document=st.dictionaries(st.sampled_from(KEYS), TOML_VALUES | TABLE | st.lists(TABLE, max_size=2)),
    row=st.dictionaries(st.sampled_from("ab"), VALUES),
)
def test_any_map_is_read_or_refused_with_its_file(document: dict[str, Any], row: dict[str, Any]) -> None:
    try:
        field_map = FieldMap("own", Path("own.toml"), document, Options())
    except BadMap:
        with pytest.raises(BadMap, match=r"^own\.toml: "):
            FieldMap("own", Path("own.toml"), document, Options())
        return
    for values in field_map.read(row):
        assert all(value is None or isinstance(value, str | int | float) for value in values)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), name=st.sampled_from(sorted(file for file in EXPECTED if file.endswith((".jsonl", ".csv")))))
def test_mutated_files_lose_no_line_without_a_count(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    """Rows, refused lines and what the map leaves out add up to the lines of the file."""
    path = Path("tests/fixtures/maps") / name
    lines = path.read_bytes().splitlines()
    mutated = []
    for line in lines[1:] if name.endswith(".csv") else lines:
        kind = data.draw(st.sampled_from(["same", "twice", "cut", "noise"]))
        cut = data.draw(st.integers(1, max(1, len(line) - 1)))
        mutated += {"same": [line], "twice": [line, line], "cut": [line[:cut].rstrip()], "noise": [b"no json \xff", line]}[kind]
    mutated = [line.replace(b'"', b"") if name.endswith(".csv") else line for line in mutated]
    mutated = [line for line in mutated if line.strip()]
    header = [lines[0]] if name.endswith(".csv") and not map_of(name).form.columns else []
    target = tmp_path_factory.mktemp("log") / name
    target.write_bytes(b"\n".join([*header, *mutated]) + b"\n")
    field_map = map_of(name)
    rows, unread = read_file(target, field_map)
    assert len(rows) + len(unread) + field_map.left_out.total() == len(mutated)


@pytest.mark.parametrize("name", ["litellm", "envoy-ai-gateway", "ollama", "langfuse"])
def test_the_follower_reads_what_an_import_reads(tmp_path: Path, name: str) -> None:
    text = (Path("tests/fixtures/maps") / f"{name}.jsonl").read_text()
    log = tmp_path / "log.jsonl"
    tailer = LogTailer(Gateway(str(log), name))
    log.write_text("")
    assert tailer.read() == []
    tailer.commit()
    parts = [
        f"2026-07-01T00:00:00.1Z stdout P {line[:50]}\n2026-07-01T00:00:00.1Z stdout F {line[50:]}\n"
        for line in text.splitlines()
    ]
    first, second = parts[0].splitlines(keepends=True)
    with log.open("a") as file:
        file.write(first)
    assert tailer.read() == []
    tailer.commit()
    with log.open("a") as file:  # a part of a line waits for the rest, through a look that is not committed
        file.write(second + "".join(parts[1:]))
    assert tailer.read() == tailer.read()
    lines = tailer.read()
    expected = EXPECTED[f"{name}.jsonl"]
    assert [json.loads(line).get("model") for line in lines] == [row["model"] for row in expected]
    assert [json.loads(line).get("status") for line in lines] == [row.get("status") for row in expected]
    assert tailer.field_map.left_out == map_left_out(name)


def map_left_out(name: str) -> Counter[str]:
    field_map = map_of(f"{name}.jsonl")
    read_file(Path("tests/fixtures/maps") / f"{name}.jsonl", field_map)
    return field_map.left_out


def test_a_page_of_megabytes_on_one_line_is_read_and_one_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"num_model_requests": 1, "input_tokens": 2, "output_tokens": 3, "model": "m", "note": "x" * 900}
    page = {"data": [{"start_time": 1782864000, "end_time": 1782867600, "results": [result] * 6000}]}
    (tmp_path / "page.json").write_text(json.dumps(page) + "\n" + json.dumps(page) + "\n")
    rows, unread = read_file(tmp_path / "page.json", map_of("openai-usage.json"))
    assert (len(rows), unread) == (12_000, [])
    monkeypatch.setattr("tests.support.map_fixtures.MAX_DOCUMENT_BYTES", 5 << 20)
    rows, unread = read_file(tmp_path / "page.json", map_of("openai-usage.json"))
    assert (rows, [line for line, _ in unread]) == ([], [1, 2])


def test_a_table_is_followed_only_where_the_map_lists_its_columns(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('format = "csv"\n[fields]\nstart = "t"\nmodel = "m"\n')
    with pytest.raises(BadMap, match="columns = "):
        LogTailer(Gateway(str(tmp_path / "log.csv"), str(own)))
    own.write_text('format = "csv"\ncolumns = ["t", "m"]\n[fields]\nstart = "t"\nmodel = "m"\n')
    tailer = LogTailer(Gateway(str(tmp_path / "log.csv"), str(own)))
    (tmp_path / "log.csv").write_text("t,m\n1782864100,m\n")
    assert [json.loads(line)["model"] for line in tailer.read()] == ["m"]


@pytest.mark.parametrize(("cell", "number"), [
    ("100,5", "100.5"), ("1 100,5", "1100.5"), ("1\u202f100,25 W", "1100.25 W"), ("-3,5", "-3.5"), ("a,b", "a,b"), ("100.5", "100.5"), ("1,2,3", "1,2,3"),
])  # fmt: skip
def test_decimal_commas(cell: str, number: str) -> None:
    assert point_number(cell) == number


def test_separators_are_told_by_the_header() -> None:
    headers = {"a,b,c": ",", "a;b;c": ";", "a\tb": "\t", '"x,y";b;c': ";", "a|b": "|"}
    assert {header: find_dialect(header).separator for header in headers} == headers


@pytest.mark.parametrize(
    ("text", "us"),
    [("4.709180529s", 4_709_181), ("1m1s", 61_000_000), ("350.1µs", 350), ("00:00:02.15", 2_150_000), ("PT2.5S", 2_500_000)],
)
def test_durations_that_state_their_unit(text: str, us: int) -> None:
    assert parse_span_us(text, "ms") == us


def test_every_shipped_map_loads_with_options() -> None:
    for name in shipped_maps():
        load_map(name, Options(service="s", zone="UTC", origin="2026-01-01T00:00:00Z", use_case=("a.b", "c =~ (x)")))
