"""This file turns blocks of a request file into records (contract, section 5), by an explicit list of columns.

Nothing but the columns listed here is looked at: prompts, answers, user names and addresses that
stand in a file never reach the store, nor the reject file.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.ledger import columns
from footprint.ledger.files import Block, UnreadableFile
from footprint.ledger.rejects import Marks, Reject
from footprint.readings import STATUSES, RequestRecord

Ints = NDArray[np.int64]
REQUIRED = ("start", "use_case")
UNKNOWN = columns.UNKNOWN
UNKNOWN_USE_CASE = "(unknown)"  # the log names none: energy is still its, and the row shows the gap


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests as columns of shape (n,); -1 is an unknown count or instant, NaN an unknown number of units."""

    lines: Ints
    start_us: Ints
    end_us: Ints
    first_token_us: Ints
    service: list[str]
    use_case: list[str]
    model: list[str]
    requests: Ints
    input_tokens: Ints
    cached_input_tokens: Ints
    output_tokens: Ints
    units: NDArray[np.float64]
    unit: list[str]
    status: list[str]
    id: list[str]

    def __len__(self) -> int:
        return len(self.start_us)


def parse_requests(
    path: str, blocks: Iterable[Block], services_of_model: Callable[[str], set[str]]
) -> Iterator[tuple[Requests, list[Reject]]]:
    """Requests and rejects of each block; a service left out is the one declared to serve the model.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before anything is given out.
    """
    checked = False
    for block in blocks:
        if not checked and (block.columns or not block.rejects):
            missing = [name for name in REQUIRED if name not in block.columns]
            if not {"service", "model"} & set(block.columns):
                missing.append("service or model")
            if missing:
                raise UnreadableFile(f"{path}: required column missing: {', '.join(missing)}; nothing was stored")
            checked = True
        yield _requests(block, services_of_model)


def _requests(block: Block, services_of_model: Callable[[str], set[str]]) -> tuple[Requests, list[Reject]]:
    marks = Marks(block.lines)
    start = columns.instants(block.column("start"), "start", marks, required=True)
    end = columns.instants(block.column("end"), "end", marks, required=False)
    first = columns.instants(block.column("first_token"), "first_token", marks, required=False)
    marks.mark((end >= 0) & (end < start) & ~marks.bad, "end", "before start")
    service = columns.texts(block.column("service"), "service", marks, required=False)
    marks.mark((first >= 0) & ((first < start) | ((end >= 0) & (first > end))) & ~marks.bad, "first_token",
               "not between start and end")  # fmt: skip
    use_case = columns.texts(block.column("use_case"), "use_case", marks, required=False)
    model = columns.texts(block.column("model"), "model", marks, required=False)
    for name, column in (("service", service), ("use_case", use_case), ("model", model)):
        kept = np.asarray(pc.starts_with(column, "("))
        marks.mark(kept, name, "begins with a bracket, which is kept for (idle) and (unattributed)")
    number = columns.counts(block.column("requests"), "requests", marks)
    marks.mark(number == 0, "requests", "must be at least 1")
    tokens = {
        name: columns.counts(block.column(name), name, marks)
        for name in ("input_tokens", "cached_input_tokens", "output_tokens")
    }
    cached, given = tokens["cached_input_tokens"], tokens["input_tokens"]
    marks.mark((given >= 0) & (cached > given), "cached_input_tokens", "above input_tokens, of which it is a part")
    units = columns.numbers(block.column("units"), "units", marks)
    unit = columns.texts(block.column("unit"), "unit", marks, required=False)
    status = columns.texts(block.column("status"), "status", marks, required=False)
    known = np.asarray(pc.is_in(status, value_set=pa.array(["", *STATUSES])))
    marks.mark(~known, "status", f"must be one of {', '.join(STATUSES)}")
    ids = columns.texts(_identity(block.column("id")), "id", marks, required=False)
    use_case = pc.if_else(pc.equal(use_case, ""), UNKNOWN_USE_CASE, use_case)
    named = _name_services(service, model, marks, services_of_model)
    keep = ~marks.bad
    kept = pa.array(keep)
    result = Requests(
        lines=block.lines[keep], start_us=start[keep], end_us=end[keep],
        first_token_us=first[keep],
        service=named.filter(kept).to_pylist(), use_case=use_case.filter(kept).to_pylist(),
        model=model.filter(kept).to_pylist(), requests=np.maximum(number, 1)[keep],
        input_tokens=given[keep], cached_input_tokens=cached[keep], output_tokens=tokens["output_tokens"][keep],
        units=units[keep], unit=unit.filter(kept).to_pylist(), status=status.filter(kept).to_pylist(),
        id=ids.filter(kept).to_pylist(),
    )  # fmt: skip
    return result, block.rejects + marks.rejects()


def _identity(column: pa.Array) -> pa.Array:
    """Identifiers may be numbers in JSON and Parquet; they are compared as texts."""
    return column.cast(pa.string()) if pa.types.is_integer(column.type) else column


def _name_services(
    service: pa.Array, model: pa.Array, marks: Marks, services_of_model: Callable[[str], set[str]]
) -> pa.Array:
    unnamed = np.asarray(pc.equal(service, "")) & ~marks.bad
    if not unnamed.any():
        return service
    names = service.to_pylist()
    for index in np.flatnonzero(unnamed).tolist():
        found = services_of_model(model[index].as_py()) if model[index].as_py() else set()
        if len(found) == 1:
            names[index] = next(iter(found))
        elif found:
            marks.mark_one(index, "service", "empty, and the model is served by several services")
        else:
            marks.mark_one(index, "service", "empty, and no declared service serves the model")
    return pa.array(names, pa.string())


_NUMBERS = ("start_us", "end_us", "first_token_us", "requests", "input_tokens", "cached_input_tokens", "output_tokens")
_TEXTS = ("service", "use_case", "model", "unit", "status")
_FIXED = struct.Struct(">7qd")


def keys(requests: Requests, seen: dict[bytes, int]) -> tuple[list[bytes], list[bytes]]:
    """Key (16 bytes) and content digest (8 bytes) of each request.

    With an id the key is (service, id). Without one it is the whole row and its ordinal among equal
    rows of one file, counted in ``seen``; it begins with the start, so that rows of one time lie together.
    """
    found_keys, contents = [], []
    numeric = [getattr(requests, name).tolist() for name in _NUMBERS]
    units = np.nan_to_num(requests.units, nan=-1.0).tolist()
    named = [getattr(requests, name) for name in _TEXTS]
    rows = zip(zip(*numeric, units, strict=True), zip(*named, strict=True), requests.id, strict=True)
    for values, texts, identity in rows:
        body = _FIXED.pack(*values) + "\0".join(texts).encode()
        content = hashlib.blake2b(body, digest_size=8).digest()
        if identity:
            key = hashlib.blake2b(f"{texts[0]}\0{identity}".encode(), digest_size=16, person=b"id").digest()
        else:
            ordinal = seen.get(content, 0)
            seen[content] = ordinal + 1
            tail = hashlib.blake2b(body + ordinal.to_bytes(8, "big"), digest_size=8, person=b"row").digest()
            key = values[0].to_bytes(8, "big") + tail
        found_keys.append(key)
        contents.append(content)
    return found_keys, contents


def from_records(records: list[RequestRecord], lines: Ints) -> Requests:
    """The same columns from records that came over the wire."""
    def ints(name: str) -> Ints:
        return np.array([_known(getattr(record, name)) for record in records], dtype=np.int64)

    def texts(name: str) -> list[str]:
        return [getattr(record, name) for record in records]

    columns_of = {field.name: field for field in fields(Requests)}
    values: dict[str, object] = {"lines": lines}
    for name in columns_of:
        if name in _NUMBERS:
            values[name] = ints(name)
        elif name in (*_TEXTS, "id"):
            values[name] = texts(name)
    values["units"] = np.array([np.nan if r.units is None else r.units for r in records], dtype=np.float64)
    return Requests(**values)  # type: ignore[arg-type]


def _known(value: int | None) -> int:
    return UNKNOWN if value is None else value
