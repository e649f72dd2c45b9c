"""Check of the reference pages that answer for something with a test: every test that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = "docs/reference/known-faults.md"
PROMISES = "docs/reference/promises.md"
EXPECTED_FAULTS = [*(f"C{number}" for number in range(1, 21)), *(f"A{number}" for number in range(1, 21))]


def findings() -> list[str]:
    """Faults of other programs and promises of this one that name no existing test."""
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in (path.stem, *re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    }
    return [*_fault_findings(tests), *_promise_findings(tests)]


def _fault_findings(tests: set[str]) -> list[str]:
    """Missing or misordered faults, and lines without an existing test."""
    text = (ROOT / FAULTS).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"- [AC]\d+ ", line)]
    listed = [line.split()[1] for line in lines]
    faults = [f"{FAULTS}: faults are {', '.join(EXPECTED_FAULTS)}, each once and in order"] if listed != EXPECTED_FAULTS else []
    for line in lines:
        named = _tests_of(line)
        faults += [f"{FAULTS}: no test {name}" for name in sorted(named - tests)]
        if not named and "cannot occur" not in line and "`make check`" not in line:
            faults.append(f"{FAULTS}: {line.split()[1]} names no test and does not say why it cannot occur")
    return faults


def _promise_findings(tests: set[str]) -> list[str]:
    """Rows of the tables of promises without a test, or with one that does not exist."""
    faults = []
    for line in (ROOT / PROMISES).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[-1] == "test" or set(cells[-1]) <= set("-:"):
            continue
        named = _tests_of(cells[-1])
        faults += [f"{PROMISES}: no test {name}" for name in sorted(named - tests)]
        if not named:
            faults.append(f"{PROMISES}: no test stands for: {cells[0]}")
    return faults


def _tests_of(text: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", text))
