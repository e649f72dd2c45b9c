"""This file reads the prompts of a benchmark: JSON Lines, whose sha256 stands in the result; they themselves nowhere.

A line is ``{"prompt": "…"}`` or ``{"messages": [{"role": …, "content": …}, …]}``; whatever else it holds (``id``,
``reference`` …) goes to the grader with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprint.core.records import FootprintError
from footprint.core.resources import data_path
from footprint.ledger.verifier import sha256_of

RECOMMENDED_PROMPTS = 1000  # the protocol's; fewer are said, not refused


class BadPrompts(FootprintError):
    """A file of prompts that cannot be used; the line is named, its content is not shown."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Lines as they were read, the messages of each, and the hash of the whole file."""

    lines: tuple[dict[str, Any], ...]
    sha256: str

    def messages(self, index: int) -> list[dict[str, Any]]:
        """What is sent for one of them."""
        line = self.lines[index]
        return list(line["messages"]) if "messages" in line else [{"role": "user", "content": line["prompt"]}]


def read_prompts(path: Path | None) -> Prompts:
    """Prompts of a file; without one, the small set that is shipped.

    Raises
    ------
    BadPrompts
        If it cannot be read, is empty, or a line is no prompt.
    """
    path = path or data_path("prompts.jsonl")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadPrompts(f"{path}: {error.strerror}") from None
    lines = tuple(_parse_prompt(path, number, text) for number, text in enumerate(raw.splitlines(), 1) if text.strip())
    if not lines:
        raise BadPrompts(f'{path}: no prompt in it; one a line, {{"prompt": "…"}}')
    return Prompts(lines, sha256_of(raw))


def _parse_prompt(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if isinstance(record, dict):
        prompt, messages = record.get("prompt"), record.get("messages")
        if messages is None and isinstance(prompt, str) and prompt.strip():
            return record
        if (
            isinstance(messages, list)
            and messages
            and all(isinstance(message, dict) and "role" in message for message in messages)
        ):
            return record
    raise BadPrompts(f'{path}: line {number} is no prompt; {{"prompt": "…"}} or {{"messages": [{{"role": …, "content": …}}]}}')
