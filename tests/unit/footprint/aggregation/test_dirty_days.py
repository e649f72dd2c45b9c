"""Dirty days: what a run looks at, what it leaves alone, and that any sequence of runs ends in the same rows."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from footprint.aggregation import aggregate as aggregation
from footprint.aggregation.aggregate import aggregate
from footprint.config import Config, parse_config
from footprint.core.records import ContextReading, EnergyReading, RequestRecord, to_line
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.impact.factor_book import shipped_book
from footprint.ledger.archive_writer import seal
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ingest import IngestService
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.retention import erase_requests
from footprint.queries.energy_balance import energy_balance
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support.contract_files import DAY_S, NOW_US, compute, query_rows, write

FIRST_DAY = DAY_S // 86_400
ENERGY = "time,host,device,component,energy_j,power_w"
REQUESTS = "start,end,service,use_case,model,requests,input_tokens,output_tokens,id"
CONFIG = """
[organisation]
timezone = "Europe/Paris"
[[site]]
name = "paris-1"
pue = 1.35
[[host]]
name = "a"
site = "paris-1"
[[service]]
name = "chat"
devices = ["a/gpu:0", "b/gpu:0"]
[[service]]
name = "code"
devices = ["a/gpu:1"]
"""
FACTS = parse_config(CONFIG)


def energy_lines(hosts: str, first: int, days: int, step_s: int = 7200, start_s: int = 0) -> list[str]:
    """Power of two GPUs and a counter of the CPU, for some days counted from the first one."""
    lines = [ENERGY]
    for host in hosts:
        for second in range(first * 86_400 + start_s, (first + days) * 86_400, step_s):
            at = DAY_S + second
            lines.append(f"{at},{host},gpu:0,gpu,,{80 + (second // step_s * 37) % 200}")
            lines.append(f"{at},{host},gpu:1,gpu,,{90 + (second // step_s * 53) % 150}")
            lines.append(f"{at},{host},cpu:0,cpu,{second * 60},")
    return lines


def request_lines(service: str, first: int, days: int, step_s: int = 9000, length_s: int = 1200) -> list[str]:
    return [
        REQUESTS,
        *(
            f"{DAY_S + at},{DAY_S + at + length_s},{service},{('drafting', 'search')[number % 2]},m,1,{100 + number % 7},50,{service}{at}"
            for number, at in enumerate(range(first * 86_400, (first + days) * 86_400, step_s))
        ),
    ]


def shards(store: Store) -> dict[tuple[str, int], tuple[str, bool]]:
    """Fingerprint of every stored shard, and whether it is provisional."""
    shard = table(schema.Shard)
    with store.read() as connection:
        rows = connection.execute(select(shard)).all()
    return {(row.members, row.day): (row.fingerprint, bool(row.provisional)) for row in rows}


def figures(store: Store, facts: Config = FACTS) -> list[Any]:
    """Hourly figures and the state of every shard."""
    return [query_rows(store, facts, group=("service", "use_case", "host", "device"), every="hour"), shards(store)]


def marks(store: Store) -> int:
    with store.read() as connection:
        return len(connection.execute(select(table(schema.DirtyDay))).all())


def test_late_readings_amid_sealed_days_reach_the_days_that_learn_from_them(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, write(tmp_path / "e.csv", energy_lines("a", 0, 34)), NOW_US)
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", request_lines("chat", 0, 34)), NOW_US)
    compute(sqlite, FACTS)
    seal(sqlite, ObjectStore(str(tmp_path / "sealed")), NOW_US, after_days=1, keep_days=10_000)
    edited = parse_config(CONFIG.replace("pue = 1.35", "pue = 1.9"))
    assert compute(sqlite, edited).computed == 0  # an edit without a date
    assert [row["closes"] for row in energy_balance(sqlite, edited, None, None)] == [True]

    late = [ENERGY, *(f"{DAY_S + 3 * 86_400 + 60 + 7200 * n},a,gpu:0,gpu,,{70 + n}" for n in range(12))]
    import_energy(sqlite, write(tmp_path / "late.csv", late), NOW_US)
    (balance,) = energy_balance(sqlite, edited, None, None)
    assert balance["pending_days"] == 30  # days 2 to 4 rest on its readings, and those up to 31 learn from them
    assert compute(sqlite, edited).computed == 30
    (balance,) = energy_balance(sqlite, edited, None, None)
    assert (balance["closes"], balance["state"]) == (True, "closes")
    incremental = figures(sqlite, edited)
    compute(sqlite, edited, force=True)
    assert figures(sqlite, edited) == incremental


EDITS = (
    CONFIG,
    CONFIG.replace("pue = 1.35", "pue = 1.9"),
    CONFIG + '[[site]]\nname = "paris-1"\npue = 1.6\nsince = "2026-07-05"\n',
    CONFIG.replace('"a/gpu:1"', '"a/gpu:1", "b/gpu:1"'),
    CONFIG.replace('name = "code"\n', 'name = "code"\nprocesses = ["vllm*"]\n'),
)


class Office:
    """A ledger to which random things happen, with the facts and the clock of the moment."""

    def __init__(self, store: Store, folder: Path, seed: int) -> None:
        self.store, self.folder, self.luck = store, folder, random.Random(seed)
        self.facts, self.now_us = FACTS, DAY_S * US_PER_S
        self.ingest = IngestService(store, lambda _model: {"chat"})
        self._files = itertools.count()

    def import_readings(self) -> None:
        """A file of some days of one or two hosts; others surround it sooner or later, with gaps of days and weeks."""
        first, start_s = self.luck.choice([0, 1, 2, 4, 8, 31]), self.luck.choice([0, 60])
        lines = energy_lines(self.luck.choice("ab"), first, self.luck.choice([1, 1, 2]), start_s=start_s)
        if self.luck.random() < 0.7:
            lines = [line for line in lines if "cpu" not in line or line == ENERGY]  # a counter bridges every gap
        lines = [ENERGY, *self.luck.sample(lines[1:], len(lines) * self.luck.choice([2, 4]) // 4 - 1)]
        import_energy(self.store, write(self.folder / f"{next(self._files)}.csv", lines), self.now_us)

    def import_log(self) -> None:
        """A log of some days; one in five requests of a service may be in flight for days."""
        first, length_s = self.luck.choice([0, 2, 4, 8]), self.luck.choice([600, 600, 200_000])
        lines = request_lines(self.luck.choice(["chat", "code"]), first, self.luck.choice([1, 3]), 20_000, length_s)
        import_requests(self.store, self.facts, write(self.folder / f"{next(self._files)}.csv", lines), self.now_us)

    def withdraw(self) -> None:
        """A batch is taken back."""
        batches = [row["id"] for row in list_batches(self.store) if row["withdrawn_us"] is None]
        if batches:
            withdraw_batch(self.store, self.luck.choice(batches), "wrong", self.now_us)

    def ship(self) -> None:
        """An agent sends readings of a device that it names, at times with the process that holds it; a gateway a request."""
        day, host = self.luck.choice([3, 5, 10]), self.luck.choice("ac")
        at_us = (DAY_S + day * 86_400 + self.luck.randrange(80_000)) * US_PER_S
        device = self.luck.choice(["GPU-x", "GPU-y"])
        times = [at_us + n * 60 * US_PER_S for n in range(3)]
        records: list[Any] = [
            EnergyReading(host, device, "gpu", "nvml-energy", "e", 1, time_us, time_us * 150, 0, alias="gpu:3")
            for time_us in times
        ]
        if self.luck.random() < 0.3:
            records.append(
                ContextReading(host, device, "gpu", "nvml", "e", 1, at_us, {"holding/vllm-1": self.luck.choice([0, 1])})
            )
        if self.luck.random() < 0.5:
            end_us = at_us + 40 * US_PER_S
            records.append(RequestRecord(at_us, "chat", "drafting", end_us, model="m", output_tokens=7, id=str(at_us)))
        self.ingest.accept(None, [to_line(record).encode() for record in records], at_us)

    def edit(self) -> None:
        """Facts change, with or without a date, or back to what they were."""
        self.facts = parse_config(self.luck.choice(EDITS))

    def wait(self) -> None:
        """Time goes on, to an open day or to one that has just closed."""
        moments = [DAY_S + day * 86_400 + second for day in (5, 6, 10, 11, 40) for second in (60, 200, 40_000)]
        later = [moment * US_PER_S for moment in moments if moment * US_PER_S > self.now_us]
        self.now_us = later[min(self.luck.randrange(4), len(later) - 1)] if later else self.now_us

    def run(self, **options: Any) -> Any:
        """One aggregation."""
        return aggregate(self.store, self.facts, shipped_book(), self.now_us, **options)

    def run_part(self) -> None:
        """A run of some days only."""
        first, last = sorted(self.luck.sample(range(12), 2))
        self.run(from_us=(FIRST_DAY + first) * US_PER_DAY, to_us=(FIRST_DAY + last) * US_PER_DAY, force=self.luck.random() < 0.5)

    def run_cut_off(self) -> None:
        """A run that ends before it clears its marks, or before it stores a day."""
        target, name = self.luck.choice([(aggregation._AggregationRun, "finish"), (aggregation, "store_days")])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, name, _cut)
            with contextlib.suppress(Cut):
                self.run()

    def run_while_data_come(self) -> None:
        """Data arrive, and another process starts a run, while days are being computed."""
        other = Store(self.store.url)
        process = threading.Thread(target=aggregate, args=(other, self.facts, shipped_book(), self.now_us))
        compute_days = aggregation._AggregationRun.compute

        def interrupted(run: Any, stamps: Any) -> None:
            self.luck.choice([self.import_readings, self.import_log, self.withdraw, self.ship])()
            if process.ident is None:
                process.start()
            compute_days(run, stamps)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aggregation._AggregationRun, "compute", interrupted)
            self.run()
        process.join()
        other.close()


class Cut(Exception):
    pass


def _cut(*_: object) -> None:
    raise Cut


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 20))])
def test_any_sequence_of_runs_ends_in_the_same_rows(tmp_path: Path, seed: int) -> None:
    """Also with withdrawals, late data, edits, runs of parts, runs cut off, and data that come while a run computes.

    A comparison of all days after some of the runs has nothing to compute that they overlooked.
    """
    office = Office(Store(f"sqlite:///{tmp_path / 'one.db'}"), tmp_path, seed)
    happenings = [office.import_readings, office.import_log, office.withdraw, office.ship, office.edit, office.wait]
    runs = [office.run, office.run, office.run_part, office.run_cut_off, office.run_while_data_come]
    office.import_readings()
    office.run()
    for _ in range(10):
        for _ in range(office.luck.randrange(1, 4)):
            office.luck.choice(happenings)()
        office.luck.choice(runs)()
        if office.luck.random() < 0.3:
            office.run()
            assert office.run(verify=True).computed == 0
    office.now_us = NOW_US
    office.run()
    assert marks(office.store) == 0
    one_by_one = figures(office.store, office.facts)
    overlooked = office.run(verify=True)
    assert (overlooked.computed, overlooked.removed, overlooked.unmarked) == (0, 0, 0)
    office.run(force=True)
    assert figures(office.store, office.facts) == one_by_one
    assert not any(provisional for _, provisional in shards(office.store).values())
    office.store.close()


@contextlib.contextmanager
def counted(store: Store) -> Iterator[dict[str, int]]:
    """Statements, and instructions of SQLite's machine, which every row costs that is read, shown or not."""
    counts = {"statements": 0, "instructions": 0}

    def on_statement(*_: object) -> None:
        counts["statements"] += 1

    def on_instruction() -> None:
        counts["instructions"] += 1

    def on_checkout(connection: Any, *_: object) -> None:
        connection.set_progress_handler(on_instruction, 1)

    event.listen(store.engine, "before_cursor_execute", on_statement)
    event.listen(store.engine, "checkout", on_checkout)
    yield counts
    event.remove(store.engine, "before_cursor_execute", on_statement)
    event.remove(store.engine, "checkout", on_checkout)


def long_store(path: Path, days: int) -> Store:
    """Two hosts with readings and requests of some days, computed."""
    store = Store(f"sqlite:///{path / str(days)}.db")
    lines = [line for line in energy_lines("ab", 0, days, 21_600) if "gpu:1" not in line]
    import_energy(store, write(path / "e.csv", lines), NOW_US)
    import_requests(store, FACTS, write(path / "r.csv", request_lines("chat", 0, days, 40_000)), NOW_US)
    compute(store, FACTS)
    return store


def test_what_a_run_reads_does_not_grow_with_history(tmp_path: Path) -> None:
    """Neither an idle run, nor one after new readings of an open day."""
    idle, live = [], []
    for days in (40, 100):
        store = long_store(tmp_path, days)
        with counted(store) as counts:
            assert (compute(store, FACTS).computed, marks(store)) == (0, 0)
        idle.append(counts)
        ingest = IngestService(store, lambda _model: set())
        for second in (60, 50, 40):
            at_us = (FIRST_DAY + days) * US_PER_DAY - second * US_PER_S
            readings = [EnergyReading(host, "gpu:0", "gpu", "nvml-energy", "e", 1, at_us, at_us * 150, 0) for host in "ab"]
            ingest.accept(None, [to_line(reading).encode() for reading in readings], at_us)
            with counted(store) as counts:
                assert aggregate(store, FACTS, shipped_book(), at_us).computed == 2
        live.append(counts)
        store.close()
    assert idle[0] == idle[1]
    assert all(live[1][name] < 1.05 * live[0][name] for name in live[0]), live


def test_lost_figures_of_erased_requests_are_a_fault_and_never_computed(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, write(tmp_path / "e.csv", energy_lines("a", 0, 3)), NOW_US)
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", request_lines("chat", 0, 3)), NOW_US)
    compute(sqlite, FACTS)
    archive = ObjectStore(str(tmp_path / "sealed"))
    seal(sqlite, archive, NOW_US, after_days=1, keep_days=2)
    erase_requests(sqlite, archive, FIRST_DAY + 2, "retention", NOW_US)
    before = figures(sqlite)
    assert compute(sqlite, FACTS, verify=True).faults == []
    shard = table(schema.Shard)
    with sqlite.begin() as connection:
        connection.execute(shard.delete().where(shard.c.members == "host a", shard.c.day == FIRST_DAY + 1))
    summary = compute(sqlite, FACTS, verify=True)
    assert (summary.computed, len(summary.faults)) == (0, 1)
    assert "host a of 2026-07-02 are missing" in summary.faults[0]
    assert figures(sqlite) != before


def test_a_day_is_final_once_it_has_closed_although_nothing_came(sqlite: Store) -> None:
    ingest, end_us = IngestService(sqlite, lambda _model: set()), (FIRST_DAY + 1) * US_PER_DAY
    times = [end_us - second * US_PER_S for second in (120, 60)]
    records = [EnergyReading("a", "GPU-x", "gpu", "nvml-energy", "e", 1, at_us, at_us * 150, 0) for at_us in times]
    ingest.accept(None, [to_line(record).encode() for record in records], end_us - US_PER_S)
    summary = aggregate(sqlite, FACTS, shipped_book(), end_us)
    assert (summary.computed, summary.provisional) == (1, 1)
    for seconds, computed in ((0, 0), (119, 0), (120, 1), (130, 0)):
        assert aggregate(sqlite, FACTS, shipped_book(), end_us + seconds * US_PER_S).computed == computed
    assert shards(sqlite)["host a", FIRST_DAY][1] is False
