"""Proposal of a field map for an unknown log: paths by their names and by the form of their values.

The values are looked at in memory only, to tell a time from a count; none is stored, and only those of the proposed columns are
shown. Texts that may be messages, addresses or names of people are never proposed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import Any

from footprint.core.csv_dialect import Dialect, find_dialect, named_separator
from footprint.core.limits import (
    FIRST_INSTANT_US,
    LAST_INSTANT_US,
    MIN_INSTANT_US,
    Reject,
    RejectList,
    personal_name_fault,
    printable,
)
from footprint.core.line_chunks import HashedStream, LineChunks, UnreadableFile
from footprint.core.log_documents import MAX_DOCUMENT_BYTES, read_documents, read_json
from footprint.core.log_formats import TIMES, BadMap, FieldMap, Options, load_map, parse_map, shipped_maps
from footprint.core.log_times import PER_SECOND, parse_span_us, parse_time
from footprint.core.log_values import number_of
from footprint.core.records import BadLine, read_request
from footprint.core.resources import data_path
from footprint.core.timestamps import BadTimestamp, format_instant
from footprint.core.units import US_PER_S
from footprint.ledger.input_description import looks_like

SAMPLE = 500  # documents that are looked at
SHOWN_ROWS = 10
MAX_SHOWN_LENGTH = 40
_MAX_DEPTH, _MAX_NAME_LENGTH, _MAX_NAMES, _MAX_STATUS_LENGTH = 8, 80, 60, 30
_SOME_ORIGIN = "2020-01-01T00:00:00Z"  # of relative times, which a person then states
_ENOUGH = 0.9  # of the values of a path must have its form
# Steps below which texts of people stand, or names of people.
_PRIVATE = re.compile(
    r"message|content|prompt(?!_tok|_eval)|completion(?!_tok)|answer|question|text|body|payload|"
    r"choices|delta|user|email|mail|customer|"
    r"client|consumer|person|login|ip$|address|key|token|secret|auth|cookie|password|header"
)

# Names of fields, most telling first; in small letters and underscores.
_TIME_NAMES = {
    "start": r"start|start_time|started_at|start_at|start_ts|start_timestamp|begin|request_start|request_created_at|received_at|"
    r"arrival|arrival_time|start_time_s|start_time_ms|request_timestamp|request_at|request_time_start|debut|date_debut|heure_debut",
    "end": r"end|end_time|ended_at|end_at|end_ts|end_timestamp|finish|finished_at|finish_time|completed_at|response_created_at|"
    r"stop_time|response_timestamp|finish_timestamp|response_at|fin|date_fin|heure_fin",
    "first_token": r"first_token|first_token_at|first_token_time|completion_start_time|first_chunk_at",
    "stamp": r"timestamp|ts|time|created_at|created|datetime|date|date_time|logged_at|event_time|at|t|asctime|time_local|msec|"
    r"horodatage|date_heure",
}
_UNIT_WORD = r"(_(s|secs?|seconds|ms|msec|millis|milliseconds|us|ns))?"
_SPAN_NAMES = (
    r"(total_|request_|response_|e2e_|e_2_e_|llm_)?(duration|duree|latency|elapsed|elapsed_time|response_time|request_time|"
    rf"processing_time|use_time|took|delay|run_time|runtime|wall_time|time_taken){_UNIT_WORD}"
)
_FIRST_SPAN_NAMES = rf"(ttft|time_to_first_token|first_token_latency|first_token_duration){_UNIT_WORD}"
_COUNT_NAMES = {
    "input_tokens": r"(prompt|input|in|context|request|n_prompt|num_prompt|num_input)_tokens?|tokens_(in|input|prompt)|"
    r"prompt_eval_count|(input|prompt)_token_count|(prompt|input)_length|token_input|tokens_sent|"
    r"(jetons|tokens)_(en_|d_)?entree",
    "cached_input_tokens": r"(input_)?cached_(input_|prompt_)?tokens|cache_read_input_tokens|prompt_cache_hit_tokens|"
    r"cache_tokens|input_cached_tokens|cache_read_tokens|cached_content_token_count",
    "output_tokens": r"(completion|output|out|generated|generation|response|n_gen|n_completion|num_output|num_completion|"
    r"num_generated)_tokens?|tokens_(out|output|completion|generated)|eval_count|"
    r"(output|candidates|completion)_token_count|output_length|token_output|tokens_received|"
    r"(jetons|tokens)_(en_|de_)?sortie",
    "requests": r"num_(model_)?requests|request_count|requests|n_requests|calls",
}
_TEXT_NAMES = {
    "model": r"(model|modele|llm|engine)(_name|_id|_group|_alias)?|(requested|response|request|deployed)_model(_name)?|"
    r"(model_)?deployment(_name)?|ai_model|gen_ai_(response|request)_model",
    "use_case": r"(x_)?use_?case(_name)?|cas_d_usage|projet|equipe|project(_name)?|"
    r"app(_name|lication|lication_name)?|team(_alias|_name)?|feature|"
    r"department|organi[sz]ation|product|workload|purpose|business_unit|cost_cent(er|re)",
    "service": r"service(_name)?|endpoint_name|upstream_cluster",
    "status": r"statut|(http_)?status(_code)?|response_(code|status)(_code)?|state|outcome|result_status|success|is_success|ok",
    "id": r"(request|call|completion|response|trace|log|event|correlation|x_request)_?id|id|uuid",
    # A pod or a node may be named after the person who started it.
    "replica": r"replica|upstream(_host|_addr)?|backend(_host|_name)?|served_by|server_name",
}
_POWER_NAMES = r"(.*_)?(power(_draw|_usage|_reading)?|puissance|watts?)(_(draw|usage|w|watts?|mw|kw|instant|average))*"
_DEVICE_NAMES = r"index|gpu(_index|_id)?|uuid|gpu_uuid|device|outlet(_name)?|channel"
_OK_WORDS = ("ok", "success", "succeeded", "completed", "complete", "done", "true", "1", "finished", "stop", "200")
_ERROR_WORDS = ("error", "failure", "failed", "fail", "false", "0", "timeout", "exception")
_CANCELLED_WORDS = ("cancelled", "canceled", "aborted", "abort")


@dataclass(slots=True)
class _Leaf:
    """A path with the values seen at it."""

    path: str
    name: str  # of its last step, in small letters and underscores
    depth: int
    is_private: bool
    values: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A map as TOML, compiled, with the documents that it was tried on.

    ``shipped`` names the map if it is one of ours, ``options`` are those that its import needs besides.
    """

    text: str
    field_map: FieldMap
    documents: list[dict[str, Any]]
    shipped: str = ""
    options: str = ""


def shown_rows(field_map: FieldMap, documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first rows that a map reads, without ids and with shortened names."""
    rows = (row for document in documents for row in field_map.mapped(document))
    return [{name: _shown(name, value) for name, value in row.items() if name != "id"} for row in islice(rows, SHOWN_ROWS)]


def try_map(field_map: FieldMap, path: str) -> tuple[list[dict[str, Any]], int, RejectList]:
    """The first rows of a file, how many rows there are that can be requests or readings, and the lines that cannot be read.

    Raises
    ------
    UnreadableFile
        If nothing in the file can be read.
    """
    first: list[dict[str, Any]] = []
    taken, rejects = 0, RejectList()
    try:
        with Path(path).open("rb") as file:
            lines = LineChunks(HashedStream(file), MAX_DOCUMENT_BYTES)
            for number, document in read_documents(path, lines, field_map):
                first += [document] if len(first) < SHOWN_ROWS else []
                for row in field_map.mapped(document):
                    reason = _fault(field_map.kind, row)
                    taken += not reason
                    if reason:
                        rejects.append(Reject(number, *reason))
            rejects.extend(lines.take_rejects())
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from None
    return shown_rows(field_map, first), taken, rejects


def _shown(name: str, value: Any) -> Any:
    if name in TIMES:
        try:
            return format_instant(parse_time(str(value)))
        except BadTimestamp:
            return "not a time"
    if isinstance(value, int | float):
        return value
    text = printable(str(value))
    return text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + "…"


def propose_map(path: str) -> Proposal:
    """A map for a log: a shipped one if it reads the log, else one made from the names of its fields.

    Raises
    ------
    UnreadableFile
        If the log is neither JSON nor a table, or no field of it is a time.
    """
    documents, form_text = _sample(path)
    leaves = _leaves(documents)
    records = _record_path(leaves, documents)
    if records:
        form_text += f'records = "{records}"\n'
        leaves = _leaves(_records_of(documents, records))
    text = _text_of(path, form_text, leaves)
    known = _best_shipped(path)
    if text is None and known is None:
        raise UnreadableFile(
            f"{path}: no field of it looks like the time of a request or of a reading; name one in a map of your own"
        )
    own = None if text is None else parse_map(text, f"{Path(path).stem or 'log'}.toml")
    if own is not None and (known is None or _merit(own, documents) > _merit(known[1], known[2])):
        return Proposal(text or "", own, documents)
    assert known is not None
    return Proposal(known[0], known[1], known[2], known[1].name, known[3])


def _sample(path: str) -> tuple[list[dict[str, Any]], str]:
    """The first documents of a log, and its form as lines of a map."""
    try:
        with Path(path).open("rb") as file:
            lines = LineChunks(HashedStream(file), MAX_DOCUMENT_BYTES)
            first = lines.peek().lstrip()
            if first[:1] not in (b"{", b"[") and b"{" not in first:
                return _sample_table(path, lines)
            documents = [document for _, document in islice(read_json(lines), SAMPLE)]
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from None
    if not documents:
        raise UnreadableFile(f"{path}: no line of it is a JSON object or a row of a table{looks_like(path)}")
    return documents, 'format = "jsonl"\n'


def _sample_table(path: str, lines: LineChunks) -> tuple[list[dict[str, Any]], str]:
    header = _header(lines)
    if named_separator(header):
        lines.take()
        header = _header(lines)
    names = [name.strip() for name in find_dialect(header).cells(header) or ()]
    if len(names) < 2 or any(not name or len(name) > _MAX_NAME_LENGTH for name in names):
        raise UnreadableFile(f"{path}: neither JSON nor a table with a header{looks_like(path)}")
    fields = {"start": [_quoted(name) for name in names]}  # all columns, so that each row has all cells
    every = FieldMap("sample", Path("sample.toml"), {"format": "csv", "fields": fields}, Options())
    return [document for _, document in islice(read_documents(path, lines, every), SAMPLE)], 'format = "csv"\n'


def _header(lines: LineChunks) -> str:
    return (Dialect(";").decoded(lines.peek()) or "").strip()


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[^.\"]+", name) else f'"{name}"'


def _leaves(documents: Iterable[Any]) -> list[_Leaf]:
    leaves: dict[str, _Leaf] = {}
    for document in documents:
        for path, names, value in _walk(document, "", (), 0):
            leaf = leaves.get(path)
            if leaf is None:
                private = any(_PRIVATE.search(name) for name in names[:-1]) or bool(names and _PRIVATE.search(names[-1]))
                leaf = leaves[path] = _Leaf(path, names[-1], len(names), private)
            leaf.values.append(value)
    return list(leaves.values())


def _walk(value: Any, path: str, names: tuple[str, ...], depth: int) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    if isinstance(value, str) and value[:1] == "{":
        try:
            opened = json.loads(value)
        except (ValueError, RecursionError):
            opened = None
        value = opened if isinstance(opened, dict) else value
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        for key, inner in value.items():
            if isinstance(key, str) and key and '"' not in key and len(key) <= _MAX_NAME_LENGTH and key not in ("*", "^"):
                yield from _walk(inner, f"{path}.{_quoted(key)}" if path else _quoted(key), (*names, _plain_name(key)), depth + 1)
    elif isinstance(value, list) and depth < _MAX_DEPTH and value and isinstance(value[0], dict):
        for inner in value[:20]:
            yield from _walk(inner, f"{path}.*", names, depth + 1)
    elif names and isinstance(value, str | int | float) and value not in ("", "-"):
        yield path, names, value


def _plain_name(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # Durée is duree
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()).strip("_")


def _record_path(leaves: Sequence[_Leaf], documents: Sequence[dict[str, Any]]) -> str:
    """The path of a list that holds the requests, where tokens stand below one and nowhere else; else empty."""
    counted = [leaf.path for leaf in leaves if re.fullmatch(_COUNT_NAMES["output_tokens"], leaf.name)]
    if not counted or any(".*" not in path for path in counted):
        return ""
    return counted[0].rpartition(".*")[0] + ".*"


def _records_of(documents: Sequence[dict[str, Any]], records: str) -> list[Any]:
    reader = parse_map(f'records = {json.dumps(records)}\n[fields]\nstart = "x"\n')
    return [record for document in documents for record in reader.records(document)]


def _text_of(path: str, form_text: str, leaves: Sequence[_Leaf]) -> str | None:
    """The map as TOML; None if no field is a time."""
    power = _find(leaves, _POWER_NAMES, _is_number)
    counts = {column: _find(leaves, names, _is_count) for column, names in _COUNT_NAMES.items()}
    head, times = _time_lines(leaves)
    if not times:
        return None
    is_energy = power is not None and not any(counts.values())
    lines = [f"# Proposed for {Path(path).name}: check each line before you use it.", 'about = "…"']
    lines += ['kind = "energy"'] if is_energy else []
    lines += [form_text.strip(), *head, "", "[fields]"]
    if is_energy and power is not None:
        return "\n".join([*lines, *_energy_lines(leaves, power, times)]) + "\n"
    lines += [f"{column} = {value}" for column, value in times.items()]
    for column in ("model", "service"):
        if leaf := _find(leaves, _TEXT_NAMES[column], _is_name):
            lines.append(f"{column} = {json.dumps(leaf.path)}")
    lines += [f"{column} = {json.dumps(leaf.path)}" for column, leaf in counts.items() if leaf is not None]
    if status := _find(leaves, _TEXT_NAMES["status"], _is_status):
        lines.append(f"status = {_status_value(status)}")
    if identity := _find(leaves, _TEXT_NAMES["id"], _is_identity):
        lines.append(f"id = {json.dumps(identity.path)}")
    if replica := _find(leaves, _TEXT_NAMES["replica"], _is_name):
        lines.append(f"replica = {json.dumps(replica.path)}")
    rule = _find(leaves, _TEXT_NAMES["use_case"], _is_name)
    rule_path = rule.path if rule is not None else ""
    lines += (
        ["", "[[use_case]]", f"path = {json.dumps(rule_path)}"]
        if rule_path
        else ["", "# [[use_case]]", '# path = "…"   # the field that names the purpose']
    )
    return "\n".join(lines) + "\n"


def _time_lines(leaves: Sequence[_Leaf]) -> tuple[list[str], dict[str, str]]:
    """Lines of the head of a map, and the values of its time columns."""
    spots = {column: _find(leaves, names, _is_time) for column, names in _TIME_NAMES.items()}
    span, first_span = _find(leaves, _SPAN_NAMES, _is_span), _find(leaves, _FIRST_SPAN_NAMES, _is_span)
    start, end, stamp = spots["start"], spots["end"], spots["stamp"]
    if start is None and end is None and stamp is None:
        return [], {}
    stated = [leaf for leaf in (start, end, stamp) if leaf is not None]
    head = [] if all(_has_zone(leaf) for leaf in stated) else ['zone = "UTC"   # its times have no zone: UTC is a guess']
    if any(_needs_order(leaf) for leaf in stated):
        head.append('dates = "dmy"   # day before month is a guess')
    times: dict[str, str] = {}
    if start is not None:
        times["start"] = _time_value(start)
        if end is not None or span is not None:
            times["end"] = _time_value(end) if end is not None else _time_value(start, "plus", span)
    elif end is not None:
        times["start"], times["end"] = _time_value(end, "minus", span), _time_value(end)
    elif stamp is not None and span is not None:
        times["start"], times["end"] = _time_value(stamp, "minus", span), _time_value(stamp)
        head.append(
            "# Most logs are written at the end: if the time is that of the start, write plus in end instead of minus in start."
        )
    elif stamp is not None:
        times["start"] = _time_value(stamp)
    if spots["first_token"] is not None:
        times["first_token"] = _time_value(spots["first_token"])
    elif first_span is not None and start is not None:
        times["first_token"] = _time_value(start, "plus", first_span)
    return head, times


def _energy_lines(leaves: Sequence[_Leaf], power: _Leaf, times: dict[str, str]) -> list[str]:
    unit = next((unit for unit in ("mW", "kW") if re.search(rf"(^|_|\W){unit.lower()}($|_|\W)", f"_{power.name}_")), "")
    device = _find(leaves, _DEVICE_NAMES, lambda values: True)
    is_gpu = any("gpu" in leaf.name for leaf in leaves) or (device is not None and device.name in ("index", "uuid"))
    lines = [f"time = {times.get('start') or times['end']}"]
    lines.append(f"power_w = {{ path = {json.dumps(power.path)}" + (f', unit = "{unit}" }}' if unit else " }"))
    if device is None:
        lines.append('device = { constant = "wall" }')
    else:
        prefix = 'prefix = "gpu:"' if is_gpu and device.name != "uuid" and "uuid" not in device.name else ""
        lines.append(f"device = {{ path = {json.dumps(device.path)}" + (f", {prefix} }}" if prefix else " }"))
    component = "gpu" if is_gpu else "host"
    return [*lines, f'component = {{ constant = "{component}" }}   # gpu, cpu, dram or host (the whole server)']


def _time_value(leaf: _Leaf, sign: str = "", span: _Leaf | None = None) -> str:
    parts = [f"path = {json.dumps(leaf.path)}"]
    unit = _time_unit(leaf.values)
    if unit:
        parts.append(f'unit = "{unit}"')
    if span is not None:
        parts += [f"{sign} = {json.dumps(span.path)}", f'span_unit = "{_span_unit(span)}"']
    return "{ " + ", ".join(parts) + " }" if len(parts) > 1 else json.dumps(leaf.path)


def _find(leaves: Sequence[_Leaf], names: str, fits: Callable[[list[Any]], bool]) -> _Leaf | None:
    """The best path of a name: the earliest alternative of the pattern, then the shallowest, whose values fit."""
    alternatives = re.compile(names)
    is_text = fits in (_is_name, _is_status, _is_identity)
    candidates = [
        leaf for leaf in leaves if alternatives.fullmatch(leaf.name) and fits(leaf.values) and not (is_text and _is_hidden(leaf))
    ]
    order = names.split("|")
    return min(
        candidates,
        key=lambda leaf: (
            ".*" in leaf.path,
            leaf.depth,
            order.index(leaf.name) if leaf.name in order else len(order),
            -len(leaf.values),
        ),
        default=None,
    )


def _is_hidden(leaf: _Leaf) -> bool:
    """Whether a text may be one of a person: below a message, or named like one."""
    return leaf.is_private and not re.fullmatch(r"(x_)?use_?case|model|id|status", leaf.name)


def _share(values: Sequence[Any], fits: Callable[[Any], bool]) -> float:
    return sum(map(fits, values)) / len(values) if values else 0.0


def _is_number(values: list[Any]) -> bool:
    return _share(values, _has_number) >= _ENOUGH


def _has_number(value: Any) -> bool:
    try:
        number_of(re.sub(r"\s?[A-Za-z]{1,5}$", "", value) if isinstance(value, str) else value)
    except ValueError:
        return isinstance(value, str) and value.startswith("[")  # [N/A]
    return True


def _is_count(values: list[Any]) -> bool:
    def fits(value: Any) -> bool:
        try:
            number = number_of(value)
            return number >= 0 and number == int(number)
        except (ValueError, OverflowError):  # no number, not finite
            return False

    return _share(values, fits) >= _ENOUGH


def _is_time(values: list[Any]) -> bool:
    return bool(_time_unit(values)) or _share(values, _is_written_time) >= _ENOUGH


def _is_written_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        at_us = parse_time(value, UTC, "dmy")
    except BadTimestamp:
        return False
    return MIN_INSTANT_US <= at_us <= LAST_INSTANT_US


def _time_unit(values: Sequence[Any]) -> str:
    """Unit in which numbers are times of this century; empty if they are none."""
    for unit, per_second in PER_SECOND.items():

        def fits(value: Any, per_second: int = per_second) -> bool:
            try:
                return MIN_INSTANT_US / US_PER_S <= number_of(value) / per_second <= LAST_INSTANT_US / US_PER_S
            except (ValueError, OverflowError):
                return False

        if _share(values, fits) >= _ENOUGH:
            return unit
    return ""


def _has_zone(leaf: _Leaf) -> bool:
    def fits(value: Any) -> bool:
        try:
            return parse_time(str(value), None, "dmy") >= FIRST_INSTANT_US
        except BadTimestamp:
            return False

    return bool(_time_unit(leaf.values)) or _share(leaf.values, fits) >= _ENOUGH


def _needs_order(leaf: _Leaf) -> bool:
    return any(isinstance(value, str) and re.match(r"\d{1,2}/\d{1,2}/\d{4}", value) for value in leaf.values)


def _is_span(values: list[Any]) -> bool:
    def fits(value: Any) -> bool:
        try:
            return parse_span_us(value, "s") >= 0
        except (ValueError, OverflowError):
            return False

    return _share(values, fits) >= _ENOUGH and not _time_unit(values)


def _span_unit(leaf: _Leaf) -> str:
    """Unit of a duration by its name, else by its size: requests last a second or two, hardly ever a minute."""
    for pattern, unit in (
        (r"_(ms|msec|millis|milliseconds)$", "ms"),
        (r"_us$", "us"),
        (r"_ns$", "ns"),
        (r"_(s|sec|secs|seconds)$", "s"),
    ):
        if re.search(pattern, leaf.name):
            return unit
    numbers = sorted(abs(number_of(value)) for value in leaf.values if _has_plain_number(value))
    middle = numbers[len(numbers) // 2] if numbers else 1.0
    return "ns" if middle > 5e6 else "us" if middle > 5e5 else "ms" if middle > 60 else "s"


def _has_plain_number(value: Any) -> bool:
    try:
        number_of(value)
    except ValueError:
        return False
    return True


def _is_name(values: list[Any]) -> bool:
    texts = {value for value in values if isinstance(value, str)}
    short = all(len(text) <= _MAX_NAME_LENGTH and "\n" not in text for text in texts)
    return (
        bool(texts) and short and len(texts) <= _MAX_NAMES and not any(personal_name_fault(text, is_host=True) for text in texts)
    )


def _is_status(values: list[Any]) -> bool:
    words = {str(value).lower() for value in values}
    return len(words) <= _MAX_NAMES and all(len(word) <= _MAX_STATUS_LENGTH for word in words)


def _status_value(leaf: _Leaf) -> str:
    if all(_has_plain_number(value) and 100 <= number_of(value) < 600 for value in leaf.values):
        return f"{{ path = {json.dumps(leaf.path)}, below = 400 }}"
    values = {}
    for value in {str(value).lower() if isinstance(value, bool) else str(value) for value in leaf.values}:
        word = value.lower()
        for words, status in ((_OK_WORDS, "ok"), (_ERROR_WORDS, "error"), (_CANCELLED_WORDS, "cancelled")):
            if word in words:
                values[value] = status
    pairs = ", ".join(f"{json.dumps(value)} = {json.dumps(status)}" for value, status in sorted(values.items()))
    return f"{{ path = {json.dumps(leaf.path)}, values = {{ {pairs} }} }}"


def _is_identity(values: list[Any]) -> bool:
    texts = [str(value) for value in values]
    return len(set(texts)) == len(texts) and all(len(text) <= _MAX_NAME_LENGTH for text in texts)


def _best_shipped(path: str) -> tuple[str, FieldMap, list[dict[str, Any]], str] | None:
    """Text, map and documents of the shipped map that reads most of a log, and the options that it needs."""
    best, best_merit = None, 0.0
    for name in shipped_maps():
        plain = load_map(name)
        zone, origin = ("" if plain.states_zone else "UTC"), (_SOME_ORIGIN if plain.needs_origin else "")
        field_map = load_map(name, Options(zone=zone, origin=origin))
        try:
            with Path(path).open("rb") as file:
                lines = LineChunks(HashedStream(file), MAX_DOCUMENT_BYTES)
                documents = [document for _, document in islice(read_documents(path, lines, field_map), SAMPLE)]
        except (UnreadableFile, BadMap):
            continue
        merit = _merit(field_map, documents)
        if merit > best_merit and merit >= 5:
            text = (data_path("maps") / f"{name}.toml").read_text(encoding="utf-8")
            options = " --origin T" if plain.needs_origin else " --timezone ZONE" if _lacks_zone(plain, documents) else ""
            best, best_merit = (text, field_map, documents, options), merit
    return best


def _lacks_zone(field_map: FieldMap, documents: Sequence[dict[str, Any]]) -> bool:
    """Whether times of a log state no zone, and its map neither."""
    rows = (row for document in documents for row in field_map.mapped(document))
    faults = (_fault(field_map.kind, row) for row in rows)
    return any(fault is not None and fault[0] in ("time", "start") for fault in faults)


def _merit(field_map: FieldMap, documents: Sequence[dict[str, Any]]) -> float:
    """Number of columns that a map fills, over all rows that can be requests or readings, in the mean of the documents."""
    rows = [row for document in documents for row in field_map.mapped(document)]
    taken = [row for row in rows if not _fault(field_map.kind, row)]
    if not documents or not taken:
        return 0.0
    filled = sum(len([value for value in row.values() if value != ""]) for row in taken) / len(taken)
    return filled * len(taken) / max(len(rows), 1)


def _fault(kind: str, row: dict[str, Any]) -> tuple[str, str] | None:
    """Column and reason why a row can be no request or reading; None if it can."""
    if kind == "energy":
        return _energy_fault(row)
    counts = {name: _whole(row[name]) for name in _COUNT_NAMES if name in row}
    texts: dict[str, Any] = {name: str(row[name]) for name in ("start", "end", "first_token", "model", "status") if name in row}
    try:
        record = read_request({**texts, **counts})
    except BadLine as bad:
        return bad.column, bad.reason
    except (ValueError, OverflowError):
        return "line", "not a request"
    if record.input_tokens is None and record.output_tokens is None and record.end_us is None:
        return "end", "neither an end nor tokens"
    return None


def _whole(value: Any) -> Any:
    try:
        return int(number_of(value))
    except (ValueError, OverflowError):
        return value


def _energy_fault(row: dict[str, Any]) -> tuple[str, str] | None:
    if "power_w" not in row and "energy_j" not in row:
        return "energy_j", "neither energy_j nor power_w"
    try:
        parse_time(str(row.get("time", "")))
        number_of(row.get("power_w", row.get("energy_j")))
    except ValueError as bad:  # BadTimestamp, too
        return "time" if isinstance(bad, BadTimestamp) else "power_w", str(bad)
    return None
