"""Runs the command ``footprint`` as ``python -m footprint.cli``."""

from footprint.cli import main

main()
