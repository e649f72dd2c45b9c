"""Verifier of sealed days. It needs only Python's standard library, so a third party can run a copy of it.

    python verifier.py FOLDER

A sealed folder holds ``days/DAY/…parquet``, one chain of links per source (``chains/SOURCE/00000000.json``, each with the
sha256 of its file and of the previous link), and heads (``heads/00000000.json``, likewise chained), each with the last link of
every source. Any change, deletion, insertion or reordering below a head that is printed elsewhere is detected. With pyarrow
installed the changed row is named too, because rows carry chained digests.
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
    """SHA-256 of bytes, in hex as sha256sum prints it."""
    return hashlib.sha256(raw).hexdigest()


def row_digests(columns: Sequence[Sequence[Any]], count: int) -> list[bytes]:
    """Chained digest of each row: 8-byte BLAKE2b over the previous digest and the values in column order.

    Integers are 8 bytes little-endian, texts and bytes are prefixed with their length, None is one byte (0xff).
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
    """(faults, notes) of a sealed folder; without faults it is as it was sealed."""
    faults: list[str] = []
    notes: list[str] = []
    expected_sha256: dict[str, str] = {}  # file -> sha256 in its link
    erased: dict[str, str] = {}  # file -> what a later link says of it
    hashes_by_source: dict[str, list[str]] = {}
    for source in sorted(path for path in (folder / "chains").glob("*") if path.is_dir()):
        hashes, links = _check_chain(source, faults)
        hashes_by_source[source.name] = hashes
        for link in links:
            if link.get("erased"):
                is_replaced = bool(link.get("file"))
                erased[str(link["erased"])] = f"replaced by {link['file']}" if is_replaced else "erased by a rule of retention"
            if link.get("file"):  # a part without a file records a withdrawal
                expected_sha256[str(link["file"])] = str(link["sha256"])
    for name, expected in sorted(expected_sha256.items()):
        _check_file(folder, name, expected, erased.get(name, ""), faults, notes)
    for path in sorted((folder / "days").rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in expected_sha256:
            faults.append(f"{name}: no link names it: inserted, or sealed in a run that was cut off")
    _check_heads(folder, hashes_by_source, faults, notes)
    return faults, notes


def is_sealed(folder: Path) -> bool:
    """Whether a folder holds any chain or sealed file; a head alone says that there was nothing to seal."""
    return any(next((folder / name).rglob("*"), None) is not None for name in ("chains", "days"))


def _check_chain(source: Path, faults: list[str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Hashes of the links of a chain in order, and the links."""
    hashes: list[str] = []
    links: list[dict[str, Any]] = []
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
        links.append(link)
    return hashes, links


def _parse_object(raw: bytes) -> dict[str, Any] | None:
    """A JSON object; None if the bytes are not one."""
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _json_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _check_file(folder: Path, name: str, expected: str, erased: str, faults: list[str], notes: list[str]) -> None:
    path = folder / name
    if not path.is_file():
        if erased:
            notes.append(f"{name}: {erased}; its sha256 stays in the chain")
        else:
            faults.append(f"{name}: deleted")
        return
    if sha256_of(path.read_bytes()) != expected:
        faults.append(f"{name}: changed, its bytes are not those that were sealed{_find_changed_row(path)}")


def _find_changed_row(path: Path) -> str:
    """Describe the first changed row, if pyarrow is installed and can still read the file."""
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - may be absent
    except ModuleNotFoundError:
        return ""
    try:
        table = pq.read_table(path)
        names = [name for name in table.column_names if name != DIGEST_COLUMN]
        stored = table.column(DIGEST_COLUMN).to_pylist()
        computed = row_digests([table.column(name).to_pylist() for name in names], table.num_rows)
    except Exception as error:
        return f"; it cannot be read any more ({type(error).__name__})"
    first = next((number for number, pair in enumerate(zip(stored, computed, strict=True)) if pair[0] != pair[1]), None)
    return "; its rows are intact, the change is beside them" if first is None else f"; the first row at fault is {first}"


def _check_heads(folder: Path, hashes_by_source: dict[str, list[str]], faults: list[str], notes: list[str]) -> None:
    previous = ""
    head: dict[str, Any] = {"sources": {}}
    for number, path in enumerate(_json_files(folder / "heads")):
        name = f"heads/{path.name}"
        raw = path.read_bytes()
        if path.name != f"{number:08d}.json":
            faults.append(f"heads/{number:08d}.json: deleted, or the heads were renumbered")
            return
        parsed = _parse_object(raw)
        if parsed is None or not isinstance(parsed.get("sources"), dict):
            faults.append(f"{name}: is no head: changed or reordered")
            return
        head = parsed
        if head.get("previous") != previous:
            faults.append(f"{name}: does not follow the head before it: one of the two was changed, inserted or reordered")
        for source, (count, expected) in sorted(head["sources"].items()):
            hashes = hashes_by_source.get(source, [])
            if len(hashes) < count:
                faults.append(f"chains/{source}: {name} knows {count} links, {len(hashes)} are there: deleted at the end")
            elif count and hashes[count - 1] != expected:
                faults.append(f"chains/{source}/{count - 1:08d}.json: is not the link that {name} knows: changed")
        previous = sha256_of(raw)
    for source, hashes in sorted(hashes_by_source.items()):
        count = head.get("sources", {}).get(source, [0, ""])[0]
        if len(hashes) > count:
            notes.append(f"chains/{source}: {len(hashes) - count} links are under no head yet")
    if previous:
        notes.append(f"the last head is {previous}: compare it with the one that an edition prints")


def main(arguments: Sequence[str]) -> Iterator[str]:
    """Lines to print; the last one is the verdict."""
    folder = Path(arguments[0] if arguments else ".")
    faults, notes = verify(folder)
    yield from (f"note: {note}" for note in notes)
    yield from (f"FAULT: {fault}" for fault in faults)
    verdict = "as it was sealed" if is_sealed(folder) else f"nothing to verify: {folder} holds no sealed day"
    yield f"{len(faults)} faults" if faults else verdict


if __name__ == "__main__":
    lines = list(main(sys.argv[1:]))
    print("\n".join(lines))
    sys.exit(6 if any(line.startswith("FAULT") for line in lines) else 0)
