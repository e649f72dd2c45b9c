"""The command line: ``footprint``. One file a subject; commands import what they need when they run, so that help stays fast.

app.py        the commands, and how errors become exit codes
shared.py     options that every command has, and what they open
output.py     tables as text, CSV, JSON and Parquet
importing.py  import energy, requests, users, list, withdraw
asking.py     aggregate, query, check
factors.py    factors list, show
benchmarking.py  bench-model: run, show, compare, import, list, references; progress.py: its bar
running.py    init, up, serve, token, doctor
"""


def main() -> None:
    """Entry point; a missing extra is one clear line."""
    try:
        from footprint.cli.app import run
    except ModuleNotFoundError as missing:
        import sys

        if (missing.name or "").partition(".")[0] in ("footprint", "collectors", "dashboards"):
            raise
        print(f"footprint: {missing.name} is not installed; pip install 'footprint[server]'", file=sys.stderr)
        sys.exit(1)
    run()
