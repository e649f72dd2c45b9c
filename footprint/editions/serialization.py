"""JSON form of an edition: the same edition gives the same bytes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from footprint.core.stored_forms import to_plain
from footprint.editions.document import Edition

SCHEMA_VERSION = "1"


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - half a second that listing editions does not need

    return TypeAdapter(Edition)


def to_json(edition: Edition) -> bytes:
    """One JSON document: ``schema_version``, ``demonstration`` if it is one, and the edition, with sorted keys."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    if edition.masthead.demo:
        document["demonstration"] = True
    document |= to_plain(edition)
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def from_json(raw: bytes) -> Edition:
    """The edition from the output of ``to_json``."""
    document = json.loads(raw)
    for key in ("schema_version", "demonstration"):
        document.pop(key, None)
    edition: Edition = _adapter().validate_python(document)
    return edition
