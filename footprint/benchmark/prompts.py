"""Prompts of a benchmark: JSON Lines whose SHA-256 is part of the result; the prompts themselves are not.

A line is ``{"prompt": "…"}`` or ``{"messages": [{"role": …, "content": …}, …]}``; other keys (``id``, ``reference`` …) are passed
to the grader.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprint.core.records import FootprintError
from footprint.core.resources import data_path
from footprint.ledger.verifier import sha256_of

RECOMMENDED_PROMPTS = 1000  # of the protocol; with fewer, the command prints a note


class BadPrompts(FootprintError):
    """A prompt file that cannot be used; the message names the line and never shows its content."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The lines of a prompt file, and the SHA-256 of the whole file."""

    lines: tuple[dict[str, Any], ...]
    sha256: str

    def messages(self, index: int) -> list[dict[str, Any]]:
        """Messages to send for the prompt at an index."""
        line = self.lines[index]
        return list(line["messages"]) if "messages" in line else [{"role": "user", "content": line["prompt"]}]


def read_prompts(path: Path | None) -> Prompts:
    """Prompts of a file; default the small set that is shipped.

    Raises
    ------
    BadPrompts
        If the file cannot be read, is empty, or has an invalid line.
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
