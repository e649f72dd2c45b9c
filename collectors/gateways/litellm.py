"""Callback of the LiteLLM proxy: one line per request, of an explicit list of fields, in a file for the agent.

Requirements: LiteLLM's own environment and nothing else; copy this file beside the proxy's configuration:

    litellm_settings:
      callbacks: ["footprint_litellm.handler"]       # this file, copied as footprint_litellm.py

    FOOTPRINT_REQUESTS   the file, default ./footprint-requests.jsonl; several workers and proxies may share it
    FOOTPRINT_USE_CASE   sources of the use case, in order, separated by commas: metadata.NAME, tag.NAME (a tag
                         "NAME:value"), header.NAME, team;
                         default metadata.use_case,tag.use_case,header.x-use-case,team.
                         "key" (the alias of the key) exists too; people name keys after themselves, so write it only
                         where every alias names an application

It writes times, model, tokens, status, the host of the deployment and the call's ID. Prompts, answers, users, keys and
clients' addresses are never read. A value with an @, or that begins like a key, is no use case.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import urlsplit

try:
    from litellm.integrations.custom_logger import CustomLogger
except ModuleNotFoundError:  # read or tested outside of the proxy
    CustomLogger = object

RULES = "metadata.use_case,tag.use_case,header.x-use-case,team"
_HEALTH_CHECK = "litellm-internal-health-check"
_CANCELLED = re.compile(r"client disconnected|cancelled", re.IGNORECASE)
_PERSONAL = re.compile(r"@|^\s*(?:sk|pk|hf|ghp)[-_]|^\s*eyJ|^\s*bearer\s", re.IGNORECASE)


def row_of(payload: dict[str, Any], rules: str = RULES) -> dict[str, Any]:
    """Columns of a request from LiteLLM's standard logging payload; no other field is read."""
    metadata = payload.get("metadata") or {}
    details = (metadata.get("usage_object") or {}).get("prompt_tokens_details") or {}
    row: dict[str, Any] = {
        "start": payload.get("startTime"),
        "end": payload.get("endTime"),
        "first_token": payload.get("completionStartTime"),
        "model": payload.get("model_group") or payload.get("model"),
        "input_tokens": payload.get("prompt_tokens"),
        "cached_input_tokens": details.get("cached_tokens"),
        "output_tokens": payload.get("completion_tokens"),
        "status": status_of(payload),
        "id": payload.get("litellm_call_id"),
        "replica": replica_of(payload),
        "use_case": use_case_of(payload, metadata, rules),
    }
    if row["first_token"] is not None and not (row["start"] or 0) <= row["first_token"] < (row["end"] or 0):
        del row["first_token"]  # of a failed call, and of one that is not streamed, LiteLLM gives the time of its end
    return {name: value for name, value in row.items() if value is not None}


def status_of(payload: dict[str, Any]) -> str:
    """Outcome of a request; ``cached`` and ``check`` are requests that no model worked on."""
    if payload.get("cache_hit") in (True, "True", "true"):
        return "cached"  # an answer of the response cache repeats the tokens of the first one
    if _HEALTH_CHECK in (payload.get("request_tags") or ()):
        return "check"
    error = payload.get("error_str")
    if isinstance(error, str) and _CANCELLED.search(error[:1000]):
        return "cancelled"  # LiteLLM counts a client that hangs up as a success
    return "ok" if payload.get("status") == "success" else "error"


def replica_of(payload: dict[str, Any]) -> str | None:
    """Host of the deployment that answered, else the id of the deployment."""
    api_base, model_id = payload.get("api_base"), payload.get("model_id")
    try:
        host = urlsplit(api_base).hostname if isinstance(api_base, str) else None
    except ValueError:  # such as http://[
        host = None
    return host or (model_id if isinstance(model_id, str) and model_id else None)


def use_case_of(payload: dict[str, Any], metadata: dict[str, Any], rules: str) -> str:
    """Use case by the first rule that matches; empty if none does."""
    request_metadata = metadata.get("requester_metadata") or {}
    for rule in rules.split(","):
        kind, _, name = rule.strip().partition(".")
        value: Any = None
        if kind == "metadata":
            value = request_metadata.get(name)
        elif kind == "tag":
            tags = (tag for tag in payload.get("request_tags") or () if isinstance(tag, str))
            value = next((tag.partition(":")[2].strip() for tag in tags if tag.partition(":")[0] == name), None)
        elif kind == "header":
            value = (metadata.get("requester_custom_headers") or {}).get(name)
        elif kind in ("team", "key"):
            value = metadata.get(f"user_api_key_{kind}_alias")
        if isinstance(value, str) and value and not _PERSONAL.search(value):
            return value
    return ""


class Footprint(CustomLogger):  # type: ignore[misc]
    """Callback that appends each request to the file; a line is one write, so that processes may share the file."""

    def __init__(self) -> None:
        super().__init__()
        self.path = os.environ.get("FOOTPRINT_REQUESTS", "footprint-requests.jsonl")
        self.rules = os.environ.get("FOOTPRINT_USE_CASE", RULES)

    def append(self, kwargs: dict[str, Any]) -> None:
        """Append one request, whatever its outcome."""
        payload = kwargs.get("standard_logging_object")
        if not payload:
            return
        line = json.dumps(row_of(payload, self.rules), ensure_ascii=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            os.write(descriptor, line.encode("utf-8", "replace"))  # half a surrogate pair loses no request
        finally:
            os.close(descriptor)

    async def async_log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Append a successful request."""
        self.append(kwargs)

    async def async_log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Append a failed or aborted request: it may have used energy all the same."""
        self.append(kwargs)

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Append a successful request if LiteLLM is called without an event loop."""
        self.append(kwargs)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Append a failed request if LiteLLM is called without an event loop."""
        self.append(kwargs)


handler = Footprint()
