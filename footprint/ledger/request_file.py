"""Request files: an explicit list of columns to request rows (docs/reference/contract.md, section 5).

Only the columns listed here are read: prompts, answers, user names and addresses in a file never reach the store or the
reject file.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.limits import RejectList
from footprint.core.records import COUNT_COLUMNS, MAX_ATTEMPT, RequestRecord
from footprint.core.request_checks import IMPLAUSIBLE, MENDED, REFUSED, STATUSES, WITHOUT_WORK, RequestNumbers, examine, reason_of
from footprint.ledger import column_parsers
from footprint.ledger.attempts import row_key
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
    "attempt",
)
UNKNOWN = column_parsers.UNKNOWN
UNKNOWN_USE_CASE = "(unknown)"  # the log names none; the request still gets its energy, and the row shows the gap


@dataclass(frozen=True, slots=True)
class RequestRows:
    """Requests as columns of shape (n,); -1 is an unknown count, instant or attempt, NaN an unknown number of units."""

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
    attempt: Ints

    def __len__(self) -> int:
        return len(self.start_us)

    def numbers(self) -> RequestNumbers:
        """The instants and counts, as the checks take them."""
        return RequestNumbers(
            self.start_us,
            self.end_us,
            self.first_token_us,
            self.requests,
            self.input_tokens,
            self.cached_input_tokens,
            self.output_tokens,
        )

    def names(self) -> set[str]:
        """All texts that the store refers to by id."""
        return {*self.service, *self.use_case, *self.model, *self.unit, *self.status, *self.replica}


@dataclass(frozen=True, slots=True)
class ParsedRequests:
    """Requests of one batch with its rejected rows, the implausible ones taken anyway, and the fields mended, by reason."""

    rows: RequestRows
    rejects: RejectList
    implausible: int
    mended: Counter[str]


def parse_requests(
    path: str, batches: Iterable[RecordBatch], services_of_model: Callable[[str], set[str]], now_us: int, *, anyway: bool = False
) -> Iterator[ParsedRequests]:
    """Requests and rejects of each batch; an empty service is filled with the one declared to serve the model.

    With ``anyway``, implausible rows are taken.

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
) -> ParsedRequests:
    service, use_case, model = _parse_names(batch, errors, services_of_model)
    status = _parse_status(batch, errors)
    works = ~np.asarray(pc.is_in(status, value_set=pa.array(WITHOUT_WORK)))
    numbers = _parse_numbers(batch, errors, works, now_us)
    unit_errors, attempt_errors = (ColumnErrors(batch.lines) for _ in range(2))
    units = column_parsers.parse_non_negative(batch.column("units"), "units", unit_errors)
    units[errors.leave_out(unit_errors)] = np.nan
    attempt = column_parsers.parse_counts(batch.column("attempt"), "attempt", attempt_errors)
    attempt_errors.mark(attempt > MAX_ATTEMPT, "attempt", "too large")
    attempt[errors.leave_out(attempt_errors)] = UNKNOWN
    unit = column_parsers.parse_texts(batch.column("unit"), "unit", errors, required=False)
    ids = column_parsers.parse_texts(batch.column("id"), "id", errors, required=False)
    replica = column_parsers.parse_texts(batch.column("replica"), "replica", errors, required=False)
    names = {"service": service, "use_case": use_case, "model": model, "unit": unit, "replica": replica}
    for name, column in names.items():
        column_parsers.mark_personal_names(column, name, errors, is_host=name == "replica")
    valid = ~errors.bad
    valid_mask = pa.array(valid)
    result = RequestRows(
        lines=batch.lines[valid],
        start_us=numbers.start_us[valid],
        end_us=numbers.end_us[valid],
        first_token_us=numbers.first_token_us[valid],
        service=service.filter(valid_mask).to_pylist(),
        use_case=use_case.filter(valid_mask).to_pylist(),
        model=model.filter(valid_mask).to_pylist(),
        requests=numbers.requests[valid],
        input_tokens=numbers.input_tokens[valid],
        cached_input_tokens=numbers.cached_input_tokens[valid],
        output_tokens=numbers.output_tokens[valid],
        units=units[valid],
        unit=unit.filter(valid_mask).to_pylist(),
        status=status.filter(valid_mask).to_pylist(),
        id=ids.filter(valid_mask).to_pylist(),
        replica=replica.filter(valid_mask).to_pylist(),
        attempt=attempt[valid],
    )
    return ParsedRequests(result, errors.add_to(batch.rejects), int(errors.implausible[valid].sum()), errors.mended())


def _parse_status(batch: RecordBatch, errors: ColumnErrors) -> pa.Array:
    """Statuses, empty where unknown."""
    faults = ColumnErrors(batch.lines)
    status = column_parsers.parse_texts(batch.column("status"), "status", faults, required=False)
    known = pc.is_in(status, value_set=pa.array(["", *STATUSES]))
    faults.mark(~np.asarray(known), "status", f"none of {', '.join(STATUSES)}")
    return pc.if_else(pa.array(~errors.leave_out(faults)), status, "")


def _parse_numbers(batch: RecordBatch, errors: ColumnErrors, works: NDArray[np.bool_], now_us: int) -> RequestNumbers:
    """Instants and counts: judged, with the fields mended that cannot be."""
    start = column_parsers.parse_instants(batch.column("start"), "start", errors, now_us, required=True)
    end = column_parsers.parse_instants(batch.column("end"), "end", errors, now_us, required=False)
    first_errors, cached_errors = (ColumnErrors(batch.lines) for _ in range(2))
    first = column_parsers.parse_instants(batch.column("first_token"), "first_token", first_errors, now_us, required=False)
    first[errors.leave_out(first_errors)] = UNKNOWN
    cached = column_parsers.parse_counts(batch.column("cached_input_tokens"), "cached_input_tokens", cached_errors)
    cached[errors.leave_out(cached_errors)] = UNKNOWN
    requests, inputs, outputs = (
        column_parsers.parse_counts(batch.column(name), name, errors) for name in ("requests", "input_tokens", "output_tokens")
    )
    requests = np.where(requests == UNKNOWN, 1, requests)
    numbers, findings = examine(RequestNumbers(start, end, first, requests, inputs, cached, outputs, works))
    for finding in findings:
        if finding.outcome == REFUSED:
            errors.mark(finding.rows, finding.column, finding.reason)
        elif finding.outcome == IMPLAUSIBLE:
            errors.mark_implausible(finding.rows, finding.column, finding.reason)
        elif finding.outcome == MENDED:
            errors.mark_mended(finding.rows, reason_of(finding))
    return numbers


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

    With an id the key is derived from (service, id), and the attempt. Without one, from the whole row and its ordinal among equal
    rows of one file, counted in ``seen``; it starts with the start instant, so that rows of one time are adjacent.
    """
    row_keys, contents = [], []
    numeric = [getattr(requests, name).tolist() for name in _NUMBERS]
    units = np.nan_to_num(requests.units, nan=-1.0).tolist()
    texts_by_name = [getattr(requests, name) for name in _TEXTS]
    rows = zip(
        zip(*numeric, units, strict=True),
        zip(*texts_by_name, strict=True),
        requests.id,
        requests.replica,
        requests.attempt.tolist(),
        strict=True,
    )
    for values, texts, identity, replica, number in rows:
        body = _FIXED.pack(*values) + "\0".join((*texts, replica) if replica else texts).encode()
        content = hashlib.blake2b(body, digest_size=8).digest()
        if identity:
            key = row_key(texts[0], identity, texts[4], number, values[0], values[1])
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
    values["attempt"] = ints("attempt")
    values["units"] = np.array([np.nan if request.units is None else request.units for request in records], dtype=np.float64)
    return RequestRows(**values)  # type: ignore[arg-type]


def _or_unknown(value: int | None) -> int:
    return UNKNOWN if value is None else value
