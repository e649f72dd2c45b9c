"""Laws of the ledger: the order, splitting and repetition of files make no difference."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.core import line_chunks
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage import schema
from footprint.storage.database import Store
from tests.support import ledger_contents as ledgers
from tests.support.contract_files import NOW_US, config, write

START_S = 1_782_864_000
ENERGY = "time,host,device,component,energy_j,power_w,source"
REQUESTS = "start,end,service,use_case,model,requests,input_tokens,output_tokens,id"

DEVICES = [("gpu:0", "gpu"), ("gpu:1", "gpu"), ("cpu:0", "cpu")]
numbered = itertools.count()


@st.composite
def energy_files(draw: st.DrawFn) -> list[str]:
    """Rows without conflicts: one value per device and instant; some are invalid."""
    rows = []
    for device, component in DEVICES:
        for at in draw(st.lists(st.integers(0, 200_000), max_size=12, unique=True)):
            # A counter never runs faster than a CPU draws: a step beyond is refused within a file, and unseen between two.
            value = draw(st.decimals(0, 5_000 if component == "cpu" else 10**6, places=3))
            cells = f"{value},,rapl" if component == "cpu" else f",{value},nvml-power"
            rows.append(f"{START_S + at},a,{device},{component},{cells}")
    bad = draw(st.lists(st.sampled_from(["", "torn", "2026-07-01T00:00:00,a,b,gpu,1,,", f"{START_S},a,b,tpu,1,,"]), max_size=3))
    return draw(st.permutations(rows + bad))


@st.composite
def request_files(draw: st.DrawFn) -> list[str]:
    rows = []
    for number in range(draw(st.integers(0, 12))):
        start, length = draw(st.integers(0, 200_000)), draw(st.integers(0, 100_000))
        rows.append(f"{START_S + start},{START_S + start + length},chat,u,m,1,{draw(st.integers(0, 99))},3,r{number}")
    return draw(st.permutations(rows))


def import_files(folder: Path, kind: str, files: list[list[str]]) -> tuple[Store, list[Any]]:
    """A new ledger with files imported one after the other, and the results."""
    subfolder = folder / str(next(numbered))
    subfolder.mkdir()
    store = Store(f"sqlite:///{subfolder / 'ledger.db'}")
    results = []
    for number, rows in enumerate(files):
        header = ENERGY if kind == "energy" else REQUESTS
        path = write(subfolder / f"{number}.csv", [header, *rows])
        results.append(import_energy(store, path, NOW_US) if kind == "energy" else import_requests(store, config(), path, NOW_US))
    store.close()
    return store, results


def ledger_content(store: Store) -> tuple[Any, ...]:
    return ledgers.readings(store), ledgers.requests(store), set(ledgers.stream_days(store)), set(ledgers.service_days(store))


@given(rows=energy_files(), data=st.data())
def test_splitting_an_energy_file_changes_nothing(tmp_path_factory: Any, rows: list[str], data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("cut")
    cut = data.draw(st.integers(0, len(rows)))
    complete, _ = import_files(folder, "energy", [rows])
    for parts in ([rows[:cut], rows[cut:]], [rows[cut:], rows[:cut]]):
        assert ledger_content(import_files(folder, "energy", parts)[0]) == ledger_content(complete)


@given(rows=request_files(), data=st.data())
def test_splitting_a_request_file_changes_nothing(tmp_path_factory: Any, rows: list[str], data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("cut")
    cut = data.draw(st.integers(0, len(rows)))
    complete, _ = import_files(folder, "requests", [rows])
    for parts in ([rows[:cut], rows[cut:]], [rows[cut:], rows[:cut]]):
        assert ledger_content(import_files(folder, "requests", parts)[0]) == ledger_content(complete)


@given(rows=energy_files(), more=st.data())
def test_overlapping_files_count_once(tmp_path_factory: Any, rows: list[str], more: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("again")
    begin = more.draw(st.integers(0, len(rows)))
    complete, first = import_files(folder, "energy", [rows])
    overlapping, results = import_files(folder, "energy", [rows, rows[begin:], rows])
    assert ledger_content(overlapping) == ledger_content(complete)
    assert [result.accepted for result in results] == [first[0].accepted, 0, 0]
    assert results[2].duplicates == first[0].accepted
    assert len(results[2].rejects) == len(first[0].rejects)


@pytest.mark.parametrize("size", [64, 100, 257, 1000])
def test_the_chunk_size_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """With quoted line ends, blank lines and truncated lines, wherever a chunk ends."""
    rows = [f'{START_S + n},a,gpu:0,gpu,,{100 + n},nvml,"a\n""{n}"""' for n in range(40)]
    for position in (3, 11, 30):
        rows.insert(position, f"{START_S},torn")
    rows.insert(20, "")
    path = write(tmp_path / "e.csv", [f"{ENERGY},note", *rows])
    complete, _ = import_files(tmp_path, "energy", [])
    first = import_energy(complete, path, NOW_US)
    monkeypatch.setattr(line_chunks, "CHUNK_BYTES", size)
    monkeypatch.setattr(line_chunks, "READ_BYTES", size // 3)
    small, _ = import_files(tmp_path, "energy", [])
    result = import_energy(small, path, NOW_US)
    assert (result.accepted, list(result.rejects)) == (40, list(first.rejects))
    assert [reject.column for reject in result.rejects] == ["line"] * 3
    assert ledgers.readings(small) == ledgers.readings(complete)


def test_a_second_import_only_counts_duplicates(store: Store, tmp_path: Path) -> None:
    energy = write(tmp_path / "e.csv", [ENERGY, *(f"{START_S + n},a,gpu:0,gpu,,{n},x" for n in range(500))])
    requests = write(tmp_path / "r.csv", [REQUESTS, *(f"{START_S + n},,chat,u,m,1,5,6,{n % 400 or ''}" for n in range(500))])
    first = [import_energy(store, energy, NOW_US), import_requests(store, config(), requests, NOW_US)]
    before = ledger_content(store), ledgers.stream_days(store), ledgers.service_days(store)
    second = [import_energy(store, energy, NOW_US + 1), import_requests(store, config(), requests, NOW_US + 1)]
    assert [result.accepted for result in first] == [500, 401]
    assert [result.accepted for result in second] == [0, 0]
    assert [result.duplicates for result in second] == [500, 401 + first[1].duplicates]
    assert (ledger_content(store), ledgers.stream_days(store), ledgers.service_days(store)) == before
    assert ledgers.count(store, schema.ReadingClaim) == ledgers.count(store, schema.RequestClaim) == 0


def test_an_interrupted_import_keeps_complete_steps_and_the_next_adds_the_rest(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_chunks, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(line_chunks, "READ_BYTES", 4096)
    path = write(tmp_path / "e.csv", [ENERGY, *(f"{START_S + n},a,gpu:0,gpu,,{n},x" for n in range(1000))])

    def interrupt(rows: int) -> None:
        if rows > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_energy(store, path, NOW_US, interrupt)
    stored = len(ledgers.readings(store))
    assert 300 < stored < 1000
    with store.read() as connection:
        accepted, sha256 = connection.exec_driver_sql("SELECT accepted, sha256 FROM batch").one()
    assert (accepted, sha256) == (stored, "")
    result = import_energy(store, path, NOW_US)
    assert (result.accepted, result.duplicates) == (1000 - stored, stored)
    assert len(ledgers.readings(store)) == 1000


def test_another_value_is_a_conflict_and_the_first_stays(store: Store, tmp_path: Path) -> None:
    def rows(value: int, count: int) -> list[str]:
        return [ENERGY, *(f"{START_S + n},a,gpu:0,gpu,,{value if n == 250 else n},x" for n in range(count))]

    import_energy(store, write(tmp_path / "e.csv", rows(1, 300)), NOW_US)
    result = import_energy(store, write(tmp_path / "f.csv", [*rows(2, 400), f"{START_S + 399},a,gpu:0,gpu,,7,x"]), NOW_US)
    assert (result.accepted, result.duplicates) == (100, 299)
    assert [(reject.line, reject.column) for reject in result.rejects] == [(252, "power_w"), (402, "power_w")]
    assert all(reject.reason.startswith("conflict") for reject in result.rejects)
    values = {row[5] // 10**6 - START_S: row[6] // 10**6 for row in ledgers.readings(store)}
    assert (values[250], values[399]) == (1, 399)
