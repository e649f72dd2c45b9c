"""Records of agents and gateways are stored once, however often and in whatever order they arrive."""

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from footprint.core.records import ActivityReading, EnergyReading, RequestRecord, to_line
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.ingest import IngestService
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support import ledger_contents as ledgers
from tests.support.contract_files import DAY_S, NOW_US

US = 1_000_000
DAY = DAY_S // 86_400


def energy(n: int, device: str = "GPU-x", epoch: str = "e1", alias: str = "gpu:0", host: str = "a") -> bytes:
    at_us = (DAY_S + 10 * n) * US
    return to_line(EnergyReading(host, device, "gpu", "nvml-energy", epoch, n, at_us, n * 7, n * US, alias=alias)).encode()


def service(store: Store) -> IngestService:
    return IngestService(store, lambda model: {"chat"} if model == "m1" else {"x", "y"} if model == "shared" else set())


def aliases(store: Store) -> list[tuple[str, str, int]]:
    with store.read() as connection:
        rows = connection.execute(select(table(schema.AliasRow)).order_by("since_us")).all()
        names = store.texts(connection, {number for row in rows for number in (row.place_id, row.device_id)})
    return [(names[row.place_id], names[row.device_id], row.since_us // US - DAY_S) for row in rows]


def test_the_same_identity_with_two_epochs_is_one_reading(store: Store) -> None:
    """An agent that restarts within one instant repeats a reading; another value is a conflict."""
    second_line = json.loads(energy(2)) | {"epoch": "e2", "energy_uj": 9}
    result = service(store).accept("a", [energy(1), energy(1, epoch="e2"), energy(2), json.dumps(second_line).encode()], NOW_US)
    assert (result.accepted, result.duplicates) == (2, 1)
    assert [(reject.line, reject.column) for reject in result.rejects] == [(4, "energy_j")]
    assert {row[6] for row in ledgers.readings(store)} == {7, 14}


def test_a_batch_is_a_host_and_a_day(store: Store) -> None:
    ingest = service(store)
    ingest.accept("a", [energy(1), energy(8640)], NOW_US)
    ingest.accept("a", [energy(1), energy(2)], NOW_US)
    batches = [(row["name"], row["accepted"], row["duplicates"]) for row in list_batches(store)]
    assert batches == [(f"host a {DAY}", 2, 1), (f"host a {DAY + 1}", 1, 0)]


def test_records_after_a_withdrawal_open_another_batch(store: Store) -> None:
    """Also with a service that was running all the time."""
    ingest = service(store)
    ingest.accept("a", [energy(1)], NOW_US)
    withdraw_batch(store, list_batches(store)[0]["id"], "wrong", NOW_US)
    assert ingest.accept("a", [energy(1), energy(2)], NOW_US).accepted == 2
    assert [(row["accepted"], row["withdrawn_us"]) for row in list_batches(store)] == [(1, NOW_US), (2, None)]


def test_an_alias_refers_to_another_device_from_an_instant_on(store: Store) -> None:
    ingest = service(store)
    ingest.accept("a", [energy(5), energy(6), energy(20, device="GPU-y")], NOW_US)
    ingest.accept("a", [energy(21, device="GPU-y"), energy(6)], NOW_US)
    assert aliases(store) == [("gpu:0", "GPU-x", 50), ("gpu:0", "GPU-y", 200)]


def test_two_devices_with_one_alias_at_one_instant_are_stored(store: Store) -> None:
    result = service(store).accept("a", [energy(5), energy(5, device="GPU-y")], NOW_US)
    assert result.accepted == 2
    assert len(aliases(store)) == 1


def test_activity_is_stored_by_group_with_the_capacity_of_the_host(sqlite: Store) -> None:
    records = [ActivityReading("a", "(host)", "e", 1, DAY_S * US, 5, 40), ActivityReading("a", "vllm", "e", 1, DAY_S * US, 3, 40)]
    assert service(sqlite).accept("a", [to_line(record).encode() for record in records], NOW_US).accepted == 3
    assert {(row[1], row[6]) for row in ledgers.readings(sqlite)} == {("(host)", 5), ("(capacity)", 40), ("group:vllm", 3)}


REQUEST = {"kind": "request", "start": DAY_S, "end": DAY_S + 5, "service": "chat", "use_case": "u", "id": "r1"}


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"service": ""}, "service"),
        ({"service": "", "model": "shared"}, "service"),
        ({"service": "(idle)"}, "service"),
        ({"use_case": "(idle)"}, "use_case"),
        ({"end": DAY_S - 1}, "end"),
        ({"end": -1}, "end"),
        ({"requests": 0}, "requests"),
        ({"output_tokens": 10**16}, "output_tokens"),
        ({"kind": []}, "kind"),
        ({"use_case": "a\0b"}, "use_case"),
        ({"use_case": "\ud800"}, "use_case"),
        ({"start": [1]}, "start"),
        ({"start": None}, "start"),
    ],
)
def test_an_invalid_request_is_rejected(store: Store, fields: dict[str, object], column: str) -> None:
    lines = [json.dumps(REQUEST | fields).encode(), json.dumps(REQUEST).encode()]
    result = service(store).accept(None, lines, NOW_US)
    assert result.accepted == 1
    assert [(reject.line, reject.column) for reject in result.rejects] == [(1, column)]


def test_an_empty_service_is_filled_from_the_model(sqlite: Store) -> None:
    line = json.dumps(REQUEST | {"service": "", "use_case": "", "model": "m1", "end": None}).encode()
    assert service(sqlite).accept(None, [line], NOW_US).accepted == 1
    assert ledgers.requests(sqlite)[0][:3] == ("chat", "(unknown)", "m1")


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b"\xff", b"{}", b'"x"', b'{"kind": "energy"}', b"[" * 10_000])
def test_an_invalid_line_is_rejected_without_its_content(sqlite: Store, line: bytes) -> None:
    result = service(sqlite).accept("a", [b"", line, energy(1)], NOW_US)
    assert (result.accepted, [reject.line for reject in result.rejects]) == (1, [2])


@given(order=st.permutations(range(6)), cuts=st.lists(st.integers(0, 8), max_size=3), again=st.sets(st.integers(0, 5)))
def test_order_and_repetition_do_not_change_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: list[int], again: set[int]
) -> None:
    lines = [energy(n) for n in range(4)]
    lines += [to_line(RequestRecord(DAY_S * US + n, "chat", "u", output_tokens=n, id=f"r{n}")).encode() for n in range(2)]
    sent = [lines[n] for n in order] + [lines[n] for n in sorted(again)]

    def after(shipments: Iterable[list[bytes]]) -> tuple[object, ...]:
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('ship') / 'ledger.db'}")
        ingest = service(store)
        for shipment in shipments:
            ingest.accept("a", shipment, NOW_US)
        store.close()
        return ledgers.readings(store), ledgers.requests(store)

    edges = [0, *sorted(cuts), len(sent)]
    assert after(sent[a:b] for a, b in itertools.pairwise(edges)) == after([lines])
