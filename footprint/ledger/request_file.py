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

from footprint.core.records import STATUSES, RequestRecord
from footprint.ledger import column_parsers
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import ColumnErrors, Reject

Ints = NDArray[np.int64]
REQUIRED = ("start", "use_case")
COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")
COLUMNS = ("start", "end", "first_token", "service", "use_case", "model", *COUNTS, "units", "unit", "status", "id")
UNKNOWN = column_parsers.UNKNOWN
UNKNOWN_USE_CASE = "(unknown)"  # the log names none: energy is still its, and the row shows the gap


@dataclass(frozen=True, slots=True)
class RequestRows:
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

    def names(self) -> set[str]:
        """Every text of theirs that the store refers to by number."""
        return {*self.service, *self.use_case, *self.model, *self.unit, *self.status}


def parse_requests(
    path: str, blocks: Iterable[RecordBatch], services_of_model: Callable[[str], set[str]]
) -> Iterator[tuple[RequestRows, list[Reject]]]:
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
        yield _parse_rows(block, services_of_model)


def _parse_rows(block: RecordBatch, services_of_model: Callable[[str], set[str]]) -> tuple[RequestRows, list[Reject]]:
    marks = ColumnErrors(block.lines)
    start, end, first = _parse_times(block, marks)
    service, use_case, model = _parse_names(block, marks, services_of_model)
    number, given, cached, output = _parse_counts(block, marks)
    units = column_parsers.parse_numbers(block.column("units"), "units", marks)
    unit = column_parsers.parse_texts(block.column("unit"), "unit", marks, required=False)
    status = column_parsers.parse_texts(block.column("status"), "status", marks, required=False)
    known = np.asarray(pc.is_in(status, value_set=pa.array(["", *STATUSES])))
    marks.mark(~known, "status", f"must be one of {', '.join(STATUSES)}")
    ids = column_parsers.parse_texts(block.column("id"), "id", marks, required=False)
    keep = ~marks.bad
    kept = pa.array(keep)
    result = RequestRows(
        lines=block.lines[keep],
        start_us=start[keep],
        end_us=end[keep],
        first_token_us=first[keep],
        service=service.filter(kept).to_pylist(),
        use_case=use_case.filter(kept).to_pylist(),
        model=model.filter(kept).to_pylist(),
        requests=number[keep],
        input_tokens=given[keep],
        cached_input_tokens=cached[keep],
        output_tokens=output[keep],
        units=units[keep],
        unit=unit.filter(kept).to_pylist(),
        status=status.filter(kept).to_pylist(),
        id=ids.filter(kept).to_pylist(),
    )
    return result, block.rejects + marks.rejects()


def _parse_times(block: RecordBatch, marks: ColumnErrors) -> tuple[Ints, Ints, Ints]:
    start = column_parsers.parse_instants(block.column("start"), "start", marks, required=True)
    end = column_parsers.parse_instants(block.column("end"), "end", marks, required=False)
    first = column_parsers.parse_instants(block.column("first_token"), "first_token", marks, required=False)
    marks.mark((end != UNKNOWN) & (end < start), "end", "before start")
    outside = (first < start) | ((end != UNKNOWN) & (first > end))
    marks.mark((first != UNKNOWN) & outside, "first_token", "not between start and end")
    return start, end, first


def _parse_counts(block: RecordBatch, marks: ColumnErrors) -> tuple[Ints, ...]:
    number, given, cached, output = (column_parsers.parse_counts(block.column(name), name, marks) for name in COUNTS)
    marks.mark(number == 0, "requests", "must be at least 1")
    marks.mark((given != UNKNOWN) & (cached > given), "cached_input_tokens", "above input_tokens, of which it is a part")
    return np.where(number == UNKNOWN, 1, number), given, cached, output


def _parse_names(
    block: RecordBatch, marks: ColumnErrors, services_of_model: Callable[[str], set[str]]
) -> tuple[pa.Array, pa.Array, pa.Array]:
    found = []
    for name in ("service", "use_case", "model"):
        column = column_parsers.parse_texts(block.column(name), name, marks, required=False)
        kept = np.asarray(pc.and_(pc.starts_with(column, "("), pc.not_equal(column, UNKNOWN_USE_CASE)))
        marks.mark(kept, name, "begins with a bracket, which is kept for (idle) and (unattributed)")
        found.append(column)
    service, use_case, model = found
    use_case = pc.if_else(pc.equal(use_case, ""), UNKNOWN_USE_CASE, use_case)
    return _fill_services(service, model, marks, services_of_model), use_case, model


def _fill_services(
    service: pa.Array, model: pa.Array, marks: ColumnErrors, services_of_model: Callable[[str], set[str]]
) -> pa.Array:
    """Services, those left out by the model that they run."""
    unnamed = np.asarray(pc.equal(service, ""))
    if not unnamed.any():
        return service
    names, models = np.asarray(service.to_pylist(), dtype=object), np.asarray(model.to_pylist(), dtype=object)
    for each in sorted(set(models[unnamed])):
        rows = unnamed & (models == each)
        serving = services_of_model(each) if each else set()
        if len(serving) == 1:
            names[rows] = next(iter(serving))
            continue
        told = "no declared service serves the model" if each else "so is the model"
        marks.mark(rows, "service", f"empty, and {'several services serve the model' if serving else told}")
    return pa.array(names, pa.string())


# What a request is compared by; the identity, where it has one, stands beside.
_NUMBERS = ("start_us", "end_us", "first_token_us", "requests", "input_tokens", "cached_input_tokens", "output_tokens")
_TEXTS = ("service", "use_case", "model", "unit", "status")
_FIXED = struct.Struct(">7qd")


def request_keys(requests: RequestRows, seen: dict[bytes, int]) -> tuple[list[bytes], list[bytes]]:
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


def rows_from_records(records: list[RequestRecord], lines: Ints) -> RequestRows:
    """The same columns from records that came over the wire."""

    def ints(name: str) -> Ints:
        return np.array([_or_unknown(getattr(record, name)) for record in records], dtype=np.int64)

    def texts(name: str) -> list[str]:
        return [getattr(record, name) for record in records]

    columns_of = {field.name: field for field in fields(RequestRows)}
    values: dict[str, object] = {"lines": lines}
    for name in columns_of:
        if name in _NUMBERS:
            values[name] = ints(name)
        elif name in (*_TEXTS, "id"):
            values[name] = texts(name)
    values["units"] = np.array([np.nan if r.units is None else r.units for r in records], dtype=np.float64)
    return RequestRows(**values)  # type: ignore[arg-type]


def _or_unknown(value: int | None) -> int:
    return UNKNOWN if value is None else value
