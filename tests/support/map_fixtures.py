"""Files as programs write them, one or more for each shipped map, and the rows that each map reads from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footprint.core.line_chunks import HashedStream, LineChunks
from footprint.core.log_documents import MAX_DOCUMENT_BYTES, read_documents
from footprint.core.log_formats import FieldMap, Options, load_map

FOLDER = Path(__file__).parents[1] / "fixtures" / "maps"
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
# What a person adds where the file does not say it.
OPTIONS = {
    "burstgpt.csv": Options(origin="2026-07-01T00:00:00Z"),
    "mooncake.jsonl": Options(origin="2026-07-01T00:00:00Z"),
    "tgi.jsonl": Options(service="chat"),
    "ollama-server.log": Options(zone="UTC", service="chat"),
    "nvidia-smi.csv": Options(zone="Europe/Paris", constants={"host": "inf-01"}),
    "ipmi.log": Options(zone="Europe/Paris", constants={"host": "inf-01"}),
    "pdu.csv": Options(zone="Europe/Paris", dates="dmy", constants={"host": "inf-01"}),
    "dcgmi.log": Options(constants={"host": "inf-01"}),
    "turbostat.log": Options(constants={"host": "inf-01"}),
    "ups-powerchute.csv": Options(constants={"host": "inf-01"}),
}


def map_of(file: str) -> FieldMap:
    """The map that reads a fixture, with what a person adds."""
    name = file.rpartition(".")[0]
    options = next((options for known, options in OPTIONS.items() if known.rpartition(".")[0] == name), None)
    return load_map(name, options)


def read_file(path: Path, field_map: FieldMap) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Rows of a file, and the lines that cannot be read with their reasons."""
    with path.open("rb") as file:
        lines = LineChunks(HashedStream(file), MAX_DOCUMENT_BYTES)
        rows = [row for _, document in read_documents(str(path), lines, field_map) for row in field_map.mapped(document)]
        return rows, [(reject.line, reject.reason) for reject in lines.take_rejects()]


def first_document(name: str) -> dict[str, Any]:
    """The first document of the fixtures of a map that gives a row."""
    field_map = map_of(f"{name}.")
    return next(document for document in documents_of(name) if field_map.read(document))


def documents_of(name: str) -> Iterator[dict[str, Any]]:
    """Documents of the fixtures of a map."""
    for path in sorted(FOLDER.glob(f"{name}.*")):
        with path.open("rb") as file:
            lines = LineChunks(HashedStream(file), MAX_DOCUMENT_BYTES)
            yield from (document for _, document in read_documents(str(path), lines, map_of(path.name)))
