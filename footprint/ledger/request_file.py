"""Request files: an explicit list of columns to request rows (docs/reference/contract.md, section 5).

Only the columns listed here are read: prompts, answers, user names and addresses in a file never reach the store or the
reject file.
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

from footprint.attribution.array_types import Ints
from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.limits import (
    MAX_COUNT,
    MAX_REQUEST_US,
    MAX_REQUESTS,
    MAX_REQUESTS_PER_S,
    MAX_TOKENS_PER_REQUEST,
    MAX_WINDOW_US,
    RejectList,
    requests_fault,
    tokens_fault,
)
from footprint.core.records import COUNT_COLUMNS, STATUSES, RequestRecord
from footprint.core.units import US_PER_S
from footprint.ledger import column_parsers
from footprint.ledger.input_description import looks_like
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import ColumnErrors

REQUIRED = ("start", "use_case")
COLUMNS = (
    "start",
    "end",
    "first_token",
    "service",
    "use_case",
    "model",
    *COUNT_COLUMNS,
    "units",
    "unit",
    "status",
    "id",
    "replica",
)
UNKNOWN = column_parsers.UNKNOWN
UNKNOWN_USE_CASE = "(unknown)"  # the log names none; the request still gets its energy, and the row shows the gap


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
    replica: list[str]

    def __len__(self) -> int:
        return len(self.start_us)

    def names(self) -> set[str]:
        """All texts that the store refers to by id."""
        return {*self.service, *self.use_case, *self.model, *self.unit, *self.status, *self.replica}


def parse_requests(
    path: str, batches: Iterable[RecordBatch], services_of_model: Callable[[str], set[str]], now_us: int, *, anyway: bool = False
) -> Iterator[tuple[RequestRows, RejectList, int]]:
    """Requests and rejects of each batch; an empty service is filled with the one declared to serve the model.

    With ``anyway``, implausible rows are taken; the last item is their number.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before the first result.
    """
    checked = False
    for batch in batches:
        if not checked and (batch.columns or not batch.rejects):
            missing = [name for name in REQUIRED if name not in batch.columns]
            if not {"service", "model"} & set(batch.columns):
                missing.append("service or model")
            if missing:
                raise UnreadableFile(
                    f"{path}: required column missing: {', '.join(missing)}; nothing was stored{looks_like(path)}"
                )
            checked = True
        yield _parse_rows(batch, ColumnErrors(batch.lines, anyway=anyway), services_of_model, now_us)


def _parse_rows(
    batch: RecordBatch, errors: ColumnErrors, services_of_model: Callable[[str], set[str]], now_us: int
) -> tuple[RequestRows, RejectList, int]:
    start, end, first = _parse_times(batch, errors, now_us)
    service, use_case, model = _parse_names(batch, errors, services_of_model)
    requests, input_tokens, cached_tokens, output_tokens = _parse_counts(batch, errors)
    _mark_implausible(errors, start, end, requests, {"input_tokens": input_tokens, "output_tokens": output_tokens})
    units = column_parsers.parse_non_negative(batch.column("units"), "units", errors)
    unit = column_parsers.parse_texts(batch.column("unit"), "unit", errors, required=False)
    status = column_parsers.parse_texts(batch.column("status"), "status", errors, required=False)
    known = np.asarray(pc.is_in(status, value_set=pa.array(["", *STATUSES])))
    errors.mark(~known, "status", f"must be one of {', '.join(STATUSES)}")
    ids = column_parsers.parse_texts(batch.column("id"), "id", errors, required=False)
    replica = column_parsers.parse_texts(batch.column("replica"), "replica", errors, required=False)
    names = {"service": service, "use_case": use_case, "model": model, "unit": unit, "replica": replica}
    for name, column in names.items():
        column_parsers.mark_personal_names(column, name, errors, is_host=name == "replica")
    valid = ~errors.bad
    valid_mask = pa.array(valid)
    result = RequestRows(
        lines=batch.lines[valid],
        start_us=start[valid],
        end_us=end[valid],
        first_token_us=first[valid],
        service=service.filter(valid_mask).to_pylist(),
        use_case=use_case.filter(valid_mask).to_pylist(),
        model=model.filter(valid_mask).to_pylist(),
        requests=requests[valid],
        input_tokens=input_tokens[valid],
        cached_input_tokens=cached_tokens[valid],
        output_tokens=output_tokens[valid],
        units=units[valid],
        unit=unit.filter(valid_mask).to_pylist(),
        status=status.filter(valid_mask).to_pylist(),
        id=ids.filter(valid_mask).to_pylist(),
        replica=replica.filter(valid_mask).to_pylist(),
    )
    return result, errors.add_to(batch.rejects), int(errors.implausible[valid].sum())


def _mark_implausible(errors: ColumnErrors, start_us: Ints, end_us: Ints, requests: Ints, tokens: dict[str, Ints]) -> None:
    """Mark durations and counts beyond the limits."""
    duration_us = np.where(end_us == UNKNOWN, 0, end_us - start_us)
    errors.mark_implausible((requests == 1) & (duration_us > MAX_REQUEST_US), "end", "a request longer than 7 days")
    errors.mark_implausible(duration_us > MAX_WINDOW_US, "end", "a window longer than 62 days")
    most = np.where(end_us == UNKNOWN, MAX_REQUESTS, np.minimum(MAX_REQUESTS_PER_S * (duration_us // US_PER_S + 1), MAX_REQUESTS))
    errors.mark_implausible(requests > most, "requests", requests_fault(MAX_COUNT, None))
    for name, counts in tokens.items():
        too_many = counts > MAX_TOKENS_PER_REQUEST * np.minimum(requests, MAX_REQUESTS)
        errors.mark_implausible(too_many, name, tokens_fault(MAX_COUNT, 1))


def _parse_times(batch: RecordBatch, errors: ColumnErrors, now_us: int) -> tuple[Ints, Ints, Ints]:
    start = column_parsers.parse_instants(batch.column("start"), "start", errors, now_us, required=True)
    end = column_parsers.parse_instants(batch.column("end"), "end", errors, now_us, required=False)
    first = column_parsers.parse_instants(batch.column("first_token"), "first_token", errors, now_us, required=False)
    errors.mark((end != UNKNOWN) & (end < start), "end", "before start")
    outside = (first < start) | ((end != UNKNOWN) & (first > end))
    errors.mark((first != UNKNOWN) & outside, "first_token", "not between start and end")
    return start, end, first


def _parse_counts(batch: RecordBatch, errors: ColumnErrors) -> tuple[Ints, ...]:
    requests, input_tokens, cached_tokens, output_tokens = (
        column_parsers.parse_counts(batch.column(name), name, errors) for name in COUNT_COLUMNS
    )
    errors.mark(requests == 0, "requests", "must be at least 1")
    errors.mark(
        (input_tokens != UNKNOWN) & (cached_tokens > input_tokens),
        "cached_input_tokens",
        "above input_tokens, of which it is a part",
    )
    return np.where(requests == UNKNOWN, 1, requests), input_tokens, cached_tokens, output_tokens


def _parse_names(
    batch: RecordBatch, errors: ColumnErrors, services_of_model: Callable[[str], set[str]]
) -> tuple[pa.Array, pa.Array, pa.Array]:
    columns = []
    for name in ("service", "use_case", "model"):
        column = column_parsers.parse_texts(batch.column(name), name, errors, required=False)
        reserved = np.asarray(pc.and_(pc.starts_with(column, "("), pc.not_equal(column, UNKNOWN_USE_CASE)))
        errors.mark(reserved, name, "begins with a bracket, which is kept for (idle) and (unattributed)")
        columns.append(column)
    service, use_case, model = columns
    use_case = pc.if_else(pc.equal(use_case, ""), UNKNOWN_USE_CASE, use_case)
    service = _fill_services(service, model, errors, services_of_model)
    errors.mark(np.asarray(pc.equal(service, OWN_SERVICE)), "service", OWN_SERVICE_RESERVED)
    return service, use_case, model


def _fill_services(
    service: pa.Array, model: pa.Array, errors: ColumnErrors, services_of_model: Callable[[str], set[str]]
) -> pa.Array:
    """Services, with empty ones filled in from the model."""
    unnamed = np.asarray(pc.equal(service, ""))
    if not unnamed.any():
        return service
    encoded = model.filter(pa.array(unnamed)).dictionary_encode()  # one look a model: a file may hold a new one a line
    codes = np.asarray(encoded.indices)
    answers = [_service_of(name, services_of_model) for name in encoded.dictionary.to_pylist()]
    names = np.asarray(service.to_pylist(), dtype=object)
    names[unnamed] = np.array([name for name, _ in answers], dtype=object)[codes]
    reasons = np.array([reason for _, reason in answers], dtype=object)
    for reason in sorted(set(reasons) - {""}):
        rows = np.zeros(len(names), dtype=bool)
        rows[unnamed] = (reasons == reason)[codes]
        errors.mark(rows, "service", reason)
    return pa.array(names, pa.string())


def _service_of(model: str, services_of_model: Callable[[str], set[str]]) -> tuple[str, str]:
    """The only service that is declared to serve a model, or an empty name and why there is none."""
    serving = services_of_model(model) if model else set()
    if len(serving) == 1:
        return next(iter(serving)), ""
    if serving:
        return "", "empty, and several services serve the model"
    return "", "empty, and no declared service serves the model" if model else "empty, and so is the model"


# Columns of the content digest; an id is not part of it, and a replica only where there is one.
_NUMBERS = ("start_us", "end_us", "first_token_us", "requests", "input_tokens", "cached_input_tokens", "output_tokens")
_TEXTS = ("service", "use_case", "model", "unit", "status")
_FIXED = struct.Struct(">7qd")


def request_keys(requests: RequestRows, seen: dict[bytes, int]) -> tuple[list[bytes], list[bytes]]:
    """Key (16 bytes) and content digest (8 bytes) of each request.

    With an id the key is derived from (service, id). Without one it is derived from the whole row and its ordinal among
    equal rows of one file, counted in ``seen``; it starts with the start instant, so that rows of one time are adjacent.
    """
    row_keys, contents = [], []
    numeric = [getattr(requests, name).tolist() for name in _NUMBERS]
    units = np.nan_to_num(requests.units, nan=-1.0).tolist()
    texts_by_name = [getattr(requests, name) for name in _TEXTS]
    rows = zip(zip(*numeric, units, strict=True), zip(*texts_by_name, strict=True), requests.id, requests.replica, strict=True)
    for values, texts, identity, replica in rows:
        body = _FIXED.pack(*values) + "\0".join((*texts, replica) if replica else texts).encode()
        content = hashlib.blake2b(body, digest_size=8).digest()
        if identity:
            key = hashlib.blake2b(f"{texts[0]}\0{identity}".encode(), digest_size=16, person=b"id").digest()
        else:
            ordinal = seen.get(content, 0)
            seen[content] = ordinal + 1
            tail = hashlib.blake2b(body + ordinal.to_bytes(8, "big"), digest_size=8, person=b"row").digest()
            key = values[0].to_bytes(8, "big") + tail
        row_keys.append(key)
        contents.append(content)
    return row_keys, contents


def rows_from_records(records: list[RequestRecord], lines: Ints) -> RequestRows:
    """Request rows from records."""

    def ints(name: str) -> Ints:
        return np.array([_or_unknown(getattr(record, name)) for record in records], dtype=np.int64)

    def texts(name: str) -> list[str]:
        return [getattr(record, name) for record in records]

    columns_of = {field.name: field for field in fields(RequestRows)}
    values: dict[str, object] = {"lines": lines}
    for name in columns_of:
        if name in _NUMBERS:
            values[name] = ints(name)
        elif name in (*_TEXTS, "id", "replica"):
            values[name] = texts(name)
    values["units"] = np.array([np.nan if request.units is None else request.units for request in records], dtype=np.float64)
    return RequestRows(**values)  # type: ignore[arg-type]


def _or_unknown(value: int | None) -> int:
    return UNKNOWN if value is None else value
