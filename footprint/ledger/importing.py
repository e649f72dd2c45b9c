"""This file brings a file into the ledger: read, check, store block by block, each block one durable commit.

A file that is imported again changes nothing and says so. A kill in the middle leaves whole blocks;
importing again brings the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, update

from footprint import tables
from footprint.config import Config
from footprint.instants import format_instant
from footprint.ledger.accept import Outcome, StreamIds, accept_readings, accept_requests, add_batch
from footprint.ledger.energy import Readings, parse_energy
from footprint.ledger.files import Block, new_digest, read_blocks
from footprint.ledger.rejects import Reject
from footprint.ledger.requests import Requests, parse_requests
from footprint.ledger.users import UserRows, accept_users, parse_users
from footprint.store import Store, table


@dataclass(slots=True)
class Imported:
    """What became of one file."""

    path: str
    kind: str
    batch: int | None = None
    accepted: int = 0
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)


Progress = Callable[[int], None]
_Part = Callable[[Connection, int], Outcome]


def import_energy(store: Store, path: str, now_us: int, progress: Progress | None = None) -> Imported:
    """Readings of one file (contract, section 4).

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored then.
    """
    digest = new_digest()
    streams = StreamIds(store)

    def parts() -> Iterator[tuple[_Part, list[Reject]]]:
        for readings, rejects in parse_energy(path, read_blocks(path, digest)):
            ids = streams.of(readings.streams)
            yield partial(_accept_energy, store, ids, readings), rejects

    return _import(store, path, "energy", parts(), digest, now_us, progress)


def import_requests(
    store: Store, config: Config, path: str, now_us: int, progress: Progress | None = None,
    blocks: Iterable[Block] | None = None, digest: Any = None,
) -> Imported:  # fmt: skip
    """Requests of one file (contract, section 5), or of blocks that a field map made of another program's log.

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored then.
    """
    digest = digest or new_digest()
    seen: dict[bytes, int] = {}

    def parts() -> Iterator[tuple[_Part, list[Reject]]]:
        source = read_blocks(path, digest) if blocks is None else blocks
        for requests, rejects in parse_requests(path, source, config.services_of_model):
            names = store.name_ids(
                {text for texts in (requests.service, requests.use_case, requests.model, requests.unit, requests.status)
                 for text in texts}
            )  # fmt: skip
            yield partial(_accept_requests, store, names, requests, seen), rejects

    return _import(store, path, "requests", parts(), digest, now_us, progress)


def import_users(store: Store, path: str, now_us: int) -> Imported:
    """Distinct users of one file (contract, section 5b).

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored then.
    """
    digest = new_digest()

    def parts() -> Iterator[tuple[_Part, list[Reject]]]:
        for rows, rejects in parse_users(path, read_blocks(path, digest)):
            yield partial(_accept_users, store, rows), rejects

    return _import(store, path, "users", parts(), digest, now_us, None)


def _accept_users(store: Store, rows: UserRows, connection: Connection, batch: int) -> Outcome:
    return accept_users(store, connection, rows, batch)


def _accept_energy(store: Store, ids: list[int], readings: Readings, connection: Connection, batch: int) -> Outcome:
    return accept_readings(store, connection, ids, [0], readings, batch, claim=True)


def _accept_requests(
    store: Store, names: dict[str, int], requests: Requests, seen: dict[bytes, int], connection: Connection, batch: int
) -> Outcome:
    return accept_requests(store, connection, names, requests, seen, batch, claim=True)


def _import(
    store: Store, path: str, kind: str, parts: Iterable[tuple[_Part, list[Reject]]], digest: Any, now_us: int,
    progress: Progress | None,
) -> Imported:  # fmt: skip
    result = Imported(path, kind)
    for accept, rejects in parts:
        with store.begin() as connection:
            if result.batch is None:
                result.batch = add_batch(
                    connection, kind=kind, name=path, sha256="", imported_us=now_us, accepted=0, duplicates=0, rejected=0
                )
            _count(result, accept(connection, result.batch))
            result.rejects += rejects
            _write_down(connection, result)
        if progress is not None:
            progress(result.accepted + result.duplicates + len(result.rejects))
    with store.begin() as connection:
        if result.batch is not None:
            _write_down(connection, result, digest.hexdigest())
            said = f"{kind} {path}: {result.accepted} new, {result.duplicates} known, {len(result.rejects)} refused"
            store.log(connection, now_us, "import", f"batch {result.batch} at {format_instant(now_us)}: {said}")
    result.rejects.sort(key=lambda reject: reject.line)
    return result


def _count(result: Imported, outcome: Outcome) -> None:
    result.accepted += outcome.accepted
    result.duplicates += outcome.duplicates
    result.rejects += outcome.rejects


def _write_down(connection: Connection, result: Imported, sha256: str = "") -> None:
    target = table(tables.Batch)
    connection.execute(
        update(target)
        .where(target.c.id == result.batch)
        .values(
            accepted=result.accepted, duplicates=result.duplicates, rejected=len(result.rejects), sha256=sha256
        )
    )
