"""This file tells whether the last line of a CSV file, which lacks its line end, was cut off.

A file copied while it was written ends anywhere, and ``…,1234`` may be all that came of 1234567.8. Many
whole files lack the last line end too. So the last cell is compared with those above it, and refused
where it looks like the beginning of one: the next copy of the file brings the whole line.
"""

from __future__ import annotations

from collections.abc import Sequence

_COMPARED = 1000
_ENOUGH = 3  # so many cells make a rule of what they have in common


def is_torn(last: bytes, before: bytes, names: Sequence[str]) -> bool:
    """Whether the last cell of ``last`` looks cut off, beside the lines ``before`` it."""
    if b'"' in last or last.endswith(b"\r") or last.count(b",") + 1 != len(names):
        return False  # whole, or refused for its form
    cell = _last_cell(last)
    above = [_last_cell(line.removesuffix(b"\r")) for line in before.split(b"\n")[-_COMPARED:] if line.strip()]
    if len(above) < _ENOUGH or cell in above:
        return False
    if any(other.startswith(cell) for other in above):  # all begin with an empty one
        return True
    if _is_number(cell):
        if all(b"." in other for other in above) and b"." not in cell:
            return True
        # A device that was reset in the last line has its next readings in the next file.
        return names[-1] == "energy_j" and float(cell) < min((float(x) for x in above if _is_number(x)), default=0.0)
    lengths = {len(other) for other in above}
    return len(lengths) == 1 and len(cell) < min(lengths)


def _last_cell(line: bytes) -> bytes:
    return line.rpartition(b",")[2].strip()


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
