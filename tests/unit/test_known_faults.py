"""What DESIGN.md claims of faults that are not ours is backed by tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES = [line for line in (ROOT / "DESIGN.md").read_text(encoding="utf-8").splitlines() if re.match(r"- [AC]\d+ ", line)]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_fault_has_a_line() -> None:
    assert [line.split()[1] for line in LINES] == [*(f"C{n}" for n in range(1, 21)), *(f"A{n}" for n in range(1, 21))]


def test_every_line_names_tests_that_exist_or_says_why_it_cannot_occur() -> None:
    for line in LINES:
        named = re.findall(r"`(test_\w+)`", line)
        assert set(named) <= TESTS, line
        assert named or "cannot occur" in line or "`tests/unit/test_known_faults.py`" in line, line
