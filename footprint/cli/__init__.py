"""Command line ``footprint``: a module a group of commands, imported only when one of its commands runs."""


def main() -> None:
    """Entry point; a missing extra is one clear line."""
    try:
        from footprint.cli.app import run
        from footprint.core.secret_files import restrict_new_files
        from footprint.core.standard_streams import open_missing_streams
    except ModuleNotFoundError as missing:
        import sys

        if (missing.name or "").partition(".")[0] in ("footprint", "collectors", "dashboards"):
            raise
        print(f"footprint: {missing.name} is not installed; pip install 'footprint[server]'", file=sys.stderr)
        sys.exit(1)
    restrict_new_files()
    open_missing_streams()
    run()
