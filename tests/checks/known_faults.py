"""Check of docs/reference/known-faults.md: each fault of another program names existing tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = "docs/reference/known-faults.md"
EXPECTED = [*(f"C{number}" for number in range(1, 21)), *(f"A{number}" for number in range(1, 21))]


def findings() -> list[str]:
    """Missing or misordered faults, and lines without an existing test."""
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"- [AC]\d+ ", line)]
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in (path.stem, *re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    }
    listed = [line.split()[1] for line in lines]
    faults = [f"{DOCUMENT}: faults are {', '.join(EXPECTED)}, each once and in order"] if listed != EXPECTED else []
    for line in lines:
        named = set(re.findall(r"`(test_\w+)`", line))
        faults += [f"{DOCUMENT}: no test {name}" for name in sorted(named - tests)]
        if not named and "cannot occur" not in line and "`make check`" not in line:
            faults.append(f"{DOCUMENT}: {line.split()[1]} names no test and does not say why it cannot occur")
    return faults
