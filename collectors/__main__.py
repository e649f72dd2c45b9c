"""This file lets ``python -m collectors`` stand for ``footprint-agent``."""

import sys

from collectors.cli import main

sys.exit(main())
