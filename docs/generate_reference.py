"""Writes the reference pages that come from the code: commands, configuration and metrics.

``python docs/generate_reference.py`` writes them, ``--check`` says which are stale (exit status 1). They are kept in the repository
so that a forge shows them.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
REFERENCE = ROOT / "docs" / "reference"


def commands() -> str:
    """Every command with its options, as ``--help`` prints them at 100 columns."""
    from footprint.cli.commands import FAMILIES
    from footprint.cli.groups import program

    group = program()
    lines = [
        "# Commands",
        "",
        "`footprint --help` lists the commands by family. Every command takes `--config FILE`, before or after its name, and `-h`.",
        "Where a command prints data it takes `--format table|csv|json|parquet` and `--output FILE`.",
        "Exit statuses are in the [contract](contract.md).",
    ]
    for family, members in FAMILIES:
        lines += ["", f"## {family}"]
        for member in members:
            command = group.commands[member.name]
            lines += ["", f"### footprint {member.name}", "", "```text", _help([member.name]), "```"]
            for name in getattr(command, "commands", {}):
                lines += ["", f"#### footprint {member.name} {name}", "", "```text", _help([member.name, name]), "```"]
    lines += ["", "## The agent", "", "```text", _agent_help(), "```"]
    return "\n".join(lines) + "\n"


def _help(words: list[str]) -> str:
    from footprint.cli.app import status_of

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status_of([*words, "--help"])
    return out.getvalue().rstrip()


def _agent_help() -> str:
    from collectors.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(["--help"])
    return out.getvalue().rstrip()


def configuration() -> str:
    """The commented configuration that ``footprint init`` writes."""
    text = (ROOT / "data" / "footprint.toml").read_text(encoding="utf-8").rstrip()
    return "\n".join(
        [
            "# Configuration",
            "",
            "`footprint init` writes this file. Keys in comments show optional settings; an unknown key is refused with its line.",
            "`FOOTPRINT_SECTION__KEY` in the environment overrides a key. Facts that change with time repeat their block with `since`",
            "and `until` (see the [contract](contract.md), section 3).",
            "",
            "```toml",
            text,
            "```",
            "",
        ]
    )


FIGURE_COUNTERS = """
The counters of figures never fall, so `rate()` and `increase()` show what was consumed. Closed days count by their increments:
after a withdrawal, another factor or another fact the counter keeps what it counted and goes on from there. An open day counts by
its highest sum so far; after a correction downwards within that day the counter stands still until the day exceeds that sum.
`footprint_restated_…` is the part of a counter that the figures no longer hold: counter - gauge = figures. The state lies in the
store, so a restart changes nothing and all servers of a store show the same. Restoring an older backup restores older counters,
which Prometheus takes for a reset.
"""


def metrics() -> str:
    """Metrics of the agent and of the server."""
    from collectors.metrics_server import METRICS as AGENT_METRICS
    from footprint.api.health import METRICS as SERVER_METRICS

    lines = [
        "# Metrics",
        "",
        "Base units, in Prometheus text.",
        "",
        "## Agent",
        "",
        "`[agent] metrics_port`, on the loopback.",
        "",
    ]
    lines += [
        "| metric | type | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {text} |" for name, kind, text in AGENT_METRICS),
    ]
    lines += ["", "## Server", "", "`GET /metrics`; what a role may see decides which are there.", ""]
    lines += [
        "| metric | type | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {text} |" for name, kind, text in SERVER_METRICS),
    ]
    return "\n".join(lines) + "\n" + FIGURE_COUNTERS


PAGES: dict[str, Callable[[], str]] = {"commands.md": commands, "configuration.md": configuration, "metrics.md": metrics}


def main() -> int:
    """Write the pages, or with ``--check`` compare them."""
    os.environ["COLUMNS"] = "100"
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/reference/{name} is stale: python docs/generate_reference.py")
        return 1 if stale else 0
    print(f"{len(stale)} of {len(PAGES)} pages written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
