"""Entry point of ``python -m collectors``, the same as ``footprint-agent``."""

import sys

from collectors.cli import main

sys.exit(main())
