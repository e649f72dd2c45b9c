"""Output rows of commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from footprint.cli.app import status_of


def printed_rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Rows that a command prints as JSON; it must succeed."""
    capsys.readouterr()
    assert status_of([*arguments, "--format", "json"]) == 0
    return list(json.loads(capsys.readouterr().out)["rows"])
