"""Check of number literals: empirical values belong in data/, with their source, not in code."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Small numbers that occur in any formula, and powers of ten for unit conversion.
PLAIN = {0.0, 0.5, 1.0, 2.0, *(10.0**n for n in range(-12, 13)), 1e-300, 2000.0, 1000.0}
# Files that may hold decimal numbers, with the reason: parameters of a procedure, not empirical values.
REASONS = {
    "footprint/attribution/step/": "grids and tolerances of the numerical search, calibrated as docs/explanation/method.md describes",
    "footprint/aggregation/step_fits.py": "share of a day's requests that name their host, from which on hosts are fitted apart",
    "footprint/aggregation/odd_requests.py": "conditions of quarantine, stated beside them; the quantile of the slow twentieth",
    "footprint/attribution/wall_to_parts.py": "the 2.5 and 97.5 % quantiles of a 95 % interval; a guard of a window's length",
    "footprint/attribution/wall_calibration.py": "conditions under which a calibration is refused, stated beside them; quantiles of load",
    "footprint/aggregation/ledger_judgement.py": "shares of a window that a source must cover to be judged in it",
    "footprint/aggregation/calibration.py": "quantiles of a range of load",
    "footprint/attribution/idle.py": "tolerances of the idle search, stated beside them",
    "footprint/ledger/intensity_series.py": "retry delays and timeouts of a client",
    "footprint/ledger/map_proposal.py": "shares and sizes by which a proposal is guessed, which a person then checks",
    "footprint/ledger/sources/watttime.py": "the international pound, a definition",
    "footprint/core/prometheus_metrics.py": "the largest counter that fits 64 bits",
    "footprint/attribution/sensor_doubt.py": "the difference from which agreeing sources widen an interval, stated beside it",
    "footprint/core/sensor_judgement.py": "tolerances of the judgement, stated beside them; the limits of models are in data/",
    "footprint/core/counter_registers.py": "tolerances of the inference of ranges, stated beside them; the error of a median",
    "footprint/cli/query.py": "the default of an option, shown in its help",
    "footprint/queries/boamps_export.py": "thresholds of the quality words of BoAmps",
    "footprint/queries/model_comparison.py": "the 95th percentile that the columns name",
    "footprint/queries/batch_efficiency.py": "the width of a bin",
    "footprint/charts/": "dimensions of drawings",
    "footprint/access/": "lifetime of a cached decision",
    "footprint/editions/forms/": "dimensions of drawings and printed pages",
    "footprint/figures/coverage.py": "publication policy: minimum coverage of a complete day",
    "footprint/disclosure/": "protection interval of the attack test; largest integer that a float holds exactly",
    "footprint/editions/diff.py": "publication policy: smallest change that is published as a revision",
    "footprint/editions/figure_registry.py": "publication policy: coverage below which a figure is flagged",
    "footprint/editions/sections/coverage.py": "share from which a sentence says nearly all",
    "dashboards/": "dimensions of drawings",
    "collectors/": "timeouts and sampling periods; factors of estimates are in data/",
}
NAMED_UNITS = {3600, 86_400, 8_760, 1_000_000, 3_600_000_000}  # constants of core/units.py


def literals(path: Path) -> list[tuple[int, float]]:
    """(line, value) of the number literals of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(n.lineno, n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) in (int, float)]


def sources(*folders: str) -> list[Path]:
    """Python files under the folders."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def findings() -> list[str]:
    """Empirical values in code, unit factors without their name, and unused exceptions."""
    return [*empirical_values(), *unnamed_units(), *unused_reasons()]


def empirical_values() -> list[str]:
    """Decimal numbers outside the files that REASONS lists."""
    findings = []
    for path in sources("footprint", "collectors", "dashboards"):
        name = path.relative_to(ROOT).as_posix()
        if not any(name.startswith(prefix) for prefix in REASONS):
            findings += [
                f"{name}:{line}: {value!r} is an empirical value" for line, value in literals(path) if is_empirical(value)
            ]
    return findings


def unnamed_units() -> list[str]:
    """Conversion factors that core/units.py names."""
    findings = []
    for path in sources("footprint/impact", "footprint/attribution", "footprint/figures", "footprint/aggregation"):
        name = path.relative_to(ROOT).as_posix()
        findings += [
            f"{name}:{line}: {value} has a name in core/units.py"
            for line, value in literals(path)
            if type(value) is int and value in NAMED_UNITS
        ]
    return findings


def unused_reasons() -> list[str]:
    """Reasons for files that hold no decimal number."""
    names = [path.relative_to(ROOT).as_posix() for path in sources("footprint", "collectors", "dashboards")]
    return [
        f"tests/checks/literals.py: the reason of {prefix} is no longer needed"
        for prefix in REASONS
        if not any(is_empirical(value) for name in names if name.startswith(prefix) for _, value in literals(ROOT / name))
    ]


def is_empirical(value: float) -> bool:
    """Whether a literal is a decimal number that is not plain arithmetic."""
    return isinstance(value, float) and value not in PLAIN
