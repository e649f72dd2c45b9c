"""Runs all checks of the repository (``python -m tests.checks``); exits with status 1 on a finding."""

from __future__ import annotations

import sys

from tests.checks import documents, house, literals, named_tests, styles, texts

CHECKS = (house.findings, literals.findings, documents.findings, named_tests.findings, styles.findings, texts.findings)


def main() -> int:
    """Print all findings; return 0 without any, else 1."""
    findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        print(finding)
    print(f"{len(CHECKS)} checks, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
