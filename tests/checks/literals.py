"""No number of the world stands in the code: those are rows of data/ with their source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Small numbers that every formula has, and powers of ten, which convert.
PLAIN = {0.0, 0.5, 1.0, 2.0, *(10.0**n for n in range(-12, 13)), 1e-300, 2000.0, 1000.0}
# What may stay, with its reason: procedure, not knowledge of the world.
REASONS = {
    "footprint/core/units.py": "definitions of units",
    "footprint/attribution/step/": "grids and tolerances of the numerical search; the study gives them, DESIGN.md cites it",
    "footprint/attribution/balance.py": "the 2.5 and 97.5 % quantiles of a 95 % interval; a guard of a window's length",
    "footprint/attribution/idle.py": "tolerances of the idle search, stated beside them",
    "footprint/ledger/intensity_series.py": "waits and time limits of a client",
    "footprint/ledger/sources/watttime.py": "the international pound, a definition",
    "footprint/core/prometheus_metrics.py": "the largest counter that fits 64 bits",
    "footprint/cli/query.py": "the default of an option, shown in its help",
    "footprint/queries/boamps_export.py": "limits of another program's words of quality",
    "footprint/queries/model_comparison.py": "the 95th percentile that the columns name",
    "footprint/queries/batch_efficiency.py": "the width of a bin",
    "footprint/charts/": "sizes of what is drawn",
    "footprint/access/": "how long a decision stands before it is looked at again",
    "footprint/editions/forms/": "sizes and shapes of what is drawn and printed",
    "footprint/figures/coverage.py": "policy of publication: when a day counts as read in full",
    "footprint/disclosure/": "the protection that the attack test asks for; the largest integer that a float holds",
    "footprint/editions/diff.py": "policy of publication: from which change on a revision is published",
    "footprint/editions/figure_registry.py": "policy of publication: from which coverage on a figure is flagged",
    "footprint/editions/sections/coverage.py": "from which share on a sentence says nearly all",
    "dashboards/": "sizes and shapes of what is drawn",
    "collectors/": "time limits, periods and paces of programs; factors of estimates are in data/",
}
CALENDAR = {3600, 86_400, 8_760, 1_000_000, 3_600_000_000}  # these have names in core/units.py


def literals(path: Path) -> list[tuple[int, float]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(n.lineno, n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) in (int, float)]


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def findings() -> list[str]:
    """Numbers that belong in data/, units without their name, and reasons that nothing needs any more."""
    return [*numbers_of_the_world(), *unnamed_units(), *stale_reasons()]


def numbers_of_the_world() -> list[str]:
    """Decimal numbers outside the files that REASONS lists."""
    findings = []
    for path in sources("footprint", "collectors", "dashboards"):
        name = path.relative_to(ROOT).as_posix()
        if not any(name.startswith(prefix) for prefix in REASONS):
            findings += [
                f"{name}:{line}: {value!r} is a number of the world" for line, value in literals(path) if is_of_the_world(value)
            ]
    return findings


def unnamed_units() -> list[str]:
    """Conversions of units that core/units.py names."""
    findings = []
    for path in sources("footprint/impact", "footprint/attribution", "footprint/figures", "footprint/aggregation"):
        name = path.relative_to(ROOT).as_posix()
        findings += [
            f"{name}:{line}: {value} has a name in core/units.py"
            for line, value in literals(path)
            if type(value) is int and value in CALENDAR
        ]
    return findings


def stale_reasons() -> list[str]:
    """Reasons of files that hold no such number any more."""
    names = [path.relative_to(ROOT).as_posix() for path in sources("footprint", "collectors", "dashboards")]
    return [
        f"tests/checks/literals.py: the reason of {prefix} is no longer needed"
        for prefix in REASONS
        if not any(is_of_the_world(value) for name in names if name.startswith(prefix) for _, value in literals(ROOT / name))
    ]


def is_of_the_world(value: float) -> bool:
    """Whether a literal is a decimal number other than those that every formula has."""
    return isinstance(value, float) and value not in PLAIN
