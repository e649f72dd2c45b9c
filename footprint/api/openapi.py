"""Complete OpenAPI document: what every route may answer besides its result, the bearer scheme, and the body of a shipment."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

INGEST = "/api/v1/ingest"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what is wrong, and the remedy"}},
}
_COUNT = {"type": "integer", "minimum": 0}
_INGEST_ANSWER = {
    "type": "object",
    "required": ["accepted", "duplicate", "rejected"],
    "properties": {
        "accepted": _COUNT | {"description": "records stored"},
        "duplicate": _COUNT | {"description": "records that were stored before"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["line", "reason"],
                "properties": {"line": {"type": "integer", "minimum": 1}, "reason": {"type": "string"}},
            },
        },
        "rejected_count": _COUNT | {"description": "all rejected lines; `rejected` lists the first ones"},
        "rejected_by_reason": {"type": "object", "additionalProperties": _COUNT},
        "hosts": {"type": "array", "items": {"type": "string"}, "description": "hosts that the token may not write for (403)"},
        "refused_lines": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "description": "their lines, not taken (403)",
        },
        "error": {"type": "string"},
    },
}
_ERRORS = {
    "400": "A parameter that cannot be read; the error names it and the values that it may have",
    "401": "No valid token, or the session ended",
    "403": "Not allowed for this reader or token",
    "404": "No such address, or not visible to this reader",
    "429": "Too many requests at once; `Retry-After` says when to try again",
    "503": "The store does not answer; `Retry-After` says when to try again",
}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}


def complete_openapi(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application; computed once."""
    if api.openapi_schema is None:
        document = get_openapi(title=api.title, version=api.version, routes=api.routes)
        components = document.setdefault("components", {})
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "`footprint token add HOST` for agents; the token of the open mode for programs",
            }
        }
        components.setdefault("schemas", {}).update({"Error": _ERROR, "IngestAnswer": _INGEST_ANSWER})
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _complete_operation(path, operation)
        api.openapi_schema = document
    return api.openapi_schema


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    is_ingest = path == INGEST
    operation["security"] = [{"bearer": []}] if is_ingest else [{}, {"bearer": []}]
    responses = operation.setdefault("responses", {})
    errors = _ERRORS | ({"413": "A shipment that is too large; send less at a time"} if is_ingest else {})
    errors |= {"410": "A withdrawn edition; the error says why"} if path.startswith("/api/v1/reports/") else {}
    for status, description in errors.items():
        headers = {"headers": _RETRY_AFTER} if status in ("429", "503") else {}
        responses.setdefault(status, {"description": description, "content": _json("Error"), **headers})
    if is_ingest:
        operation["requestBody"] = {
            "required": True,
            "description": "One record a line (docs/reference/contract.md); may be gzip (`Content-Encoding: gzip`)",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
        responses["200"] = {"description": "Stored, after the commit", "content": _json("IngestAnswer")}
        responses["403"] = {"description": "Lines of another host wait; all others are stored", "content": _json("IngestAnswer")}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
