"""This file checks sealed days with Python's standard library alone: it travels with the annexes of editions.

    python verifier.py FOLDER

A sealed folder holds ``days/DAY/…parquet``, one chain of links per source (``chains/SOURCE/00000000.json``, each of which
names its file's sha256 and the sha256 of the link before it), and heads (``heads/00000000.json``, likewise chained), each of
which names the last link of every source. Who changes, deletes, inserts or reorders anything below a head that is printed
somewhere else cannot do so unseen. With pyarrow at hand the row is named too: rows bear digests that follow each other.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROW_DIGEST_BYTES = 8
DIGEST_COLUMN = "digest"


def sha256_of(raw: bytes) -> str:
    """Of the very bytes of a file, as sha256sum prints it."""
    return hashlib.sha256(raw).hexdigest()


def row_digests(columns: Sequence[Sequence[Any]], count: int) -> list[bytes]:
    """A digest of each row that holds the one before it: BLAKE2b of 8 bytes over the values in order of the columns.

    Whole numbers are 8 bytes little-endian, texts and bytes bear their length, None is a byte of its own.
    """
    digests, before = [], b"\0" * ROW_DIGEST_BYTES
    for row in zip(*columns, strict=True) if count else ():
        before = hashlib.blake2b(before + b"".join(map(_pack_value, row)), digest_size=ROW_DIGEST_BYTES).digest()
        digests.append(before)
    return digests


def _pack_value(value: Any) -> bytes:
    if type(value) is int:
        return struct.pack("<q", value)
    if value is None:
        return b"\xff"
    if isinstance(value, float):
        return struct.pack("<d", value)
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return struct.pack("<I", len(raw)) + raw


def verify(folder: Path) -> tuple[list[str], list[str]]:
    """(faults, notes) of a sealed folder; no fault means that it is as it was sealed."""
    faults: list[str] = []
    notes: list[str] = []
    known: dict[str, str] = {}  # file -> what its link says
    erased: set[str] = set()
    last: dict[str, list[str]] = {}
    for source in sorted(path for path in (folder / "chains").glob("*") if path.is_dir()):
        hashes, found = _check_chain(source, faults)
        last[source.name] = hashes
        for link in found:
            if link.get("erased"):
                erased.add(str(link["erased"]))
            elif link.get("file"):  # a part without a file notes that rows were taken back
                known[str(link["file"])] = str(link["sha256"])
    for name, expected in sorted(known.items()):
        _check_file(folder, name, expected, name in erased, faults, notes)
    for path in sorted((folder / "days").rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in known:
            faults.append(f"{name}: no link names it: inserted, or sealed in a run that was cut off")
    _check_heads(folder, last, faults, notes)
    return faults, notes


def _check_chain(source: Path, faults: list[str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Hashes of a chain's links in order, and what they say."""
    hashes: list[str] = []
    found: list[dict[str, Any]] = []
    previous = ""
    for number, path in enumerate(_json_files(source)):
        name = f"chains/{source.name}/{path.name}"
        if path.name != f"{number:08d}.json":
            faults.append(f"chains/{source.name}/{number:08d}.json: deleted, or the links were renumbered")
            break
        raw = path.read_bytes()
        link = _parse_object(raw)
        if link is None or not {"source", "sha256"} <= set(link) or not {"file", "erased"} & set(link):
            faults.append(f"{name}: is no link: changed")
            break
        if link.get("previous") != previous:
            faults.append(f"{name}: does not follow the link before it: one of the two was changed, inserted or reordered")
        if link.get("seq") != number:
            faults.append(f"{name}: says that it is number {link.get('seq')}: reordered")
        previous = sha256_of(raw)
        hashes.append(previous)
        found.append(link)
    return hashes, found


def _parse_object(raw: bytes) -> dict[str, Any] | None:
    """A JSON object; None where it is none."""
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _json_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _check_file(folder: Path, name: str, expected: str, erased: bool, faults: list[str], notes: list[str]) -> None:
    path = folder / name
    if not path.is_file():
        if erased:
            notes.append(f"{name}: erased by a rule of retention; its sha256 stays in the chain")
        else:
            faults.append(f"{name}: deleted")
        return
    if sha256_of(path.read_bytes()) != expected:
        faults.append(f"{name}: changed, its bytes are not those that were sealed{_find_changed_row(path)}")


def _find_changed_row(path: Path) -> str:
    """Which row a change fell on, where pyarrow is at hand and can still read the file."""
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - may be absent
    except ModuleNotFoundError:
        return ""
    try:
        table = pq.read_table(path)
        names = [name for name in table.column_names if name != DIGEST_COLUMN]
        told = table.column(DIGEST_COLUMN).to_pylist()
        own = row_digests([table.column(name).to_pylist() for name in names], table.num_rows)
    except Exception as bad:
        return f"; it cannot be read any more ({type(bad).__name__})"
    first = next((number for number, pair in enumerate(zip(told, own, strict=True)) if pair[0] != pair[1]), None)
    return "; its rows are intact, the change is beside them" if first is None else f"; the first row at fault is {first}"


def _check_heads(folder: Path, last: dict[str, list[str]], faults: list[str], notes: list[str]) -> None:
    previous = ""
    head: dict[str, Any] = {"sources": {}}
    for number, path in enumerate(_json_files(folder / "heads")):
        name = f"heads/{path.name}"
        raw = path.read_bytes()
        if path.name != f"{number:08d}.json":
            faults.append(f"heads/{number:08d}.json: deleted, or the heads were renumbered")
            return
        found = _parse_object(raw)
        if found is None or not isinstance(found.get("sources"), dict):
            faults.append(f"{name}: is no head: changed or reordered")
            return
        head = found
        if head.get("previous") != previous:
            faults.append(f"{name}: does not follow the head before it: one of the two was changed, inserted or reordered")
        for source, (count, expected) in sorted(head["sources"].items()):
            hashes = last.get(source, [])
            if len(hashes) < count:
                faults.append(f"chains/{source}: {name} knows {count} links, {len(hashes)} are there: deleted at the end")
            elif count and hashes[count - 1] != expected:
                faults.append(f"chains/{source}/{count - 1:08d}.json: is not the link that {name} knows: changed")
        previous = sha256_of(raw)
    for source, hashes in sorted(last.items()):
        count = head.get("sources", {}).get(source, [0, ""])[0]
        if len(hashes) > count:
            notes.append(f"chains/{source}: {len(hashes) - count} links are under no head yet")
    if previous:
        notes.append(f"the last head is {previous}: compare it with the one that an edition prints")


def main(arguments: Sequence[str]) -> Iterator[str]:
    """What to print; the last line says whether all is well."""
    folder = Path(arguments[0] if arguments else ".")
    faults, notes = verify(folder)
    yield from (f"note: {note}" for note in notes)
    yield from (f"FAULT: {fault}" for fault in faults)
    yield f"{len(faults)} faults" if faults else "as it was sealed"


if __name__ == "__main__":
    lines = list(main(sys.argv[1:]))
    print("\n".join(lines))
    sys.exit(6 if any(line.startswith("FAULT") for line in lines) else 0)
