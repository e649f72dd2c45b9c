"""This file lets ``python -m footprint.cli`` be the command ``footprint``."""

from footprint.cli import main

main()
