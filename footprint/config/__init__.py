"""The configuration: ``footprint.toml`` read, checked and turned into frozen facts.

facts.py     what the rest of the program sees
document.py  TOML text, environment overrides, and the line of each key
reading.py   document -> facts, refusing what cannot be right with file, line and remedy
objectives.py, notify.py   budgets and targets; to whom the service writes
access.py    who may see what: sign-in, roles
"""

from footprint.config.loader import find_config, load_config, parse_config
from footprint.config.models import (
    ALWAYS,
    ASSUMED_SITE,
    FOREVER_US,
    Config,
    HostFact,
    Placement,
    ServiceFact,
    SiteFact,
    UseCaseFact,
)
from footprint.config.toml_document import ConfigError

__all__ = [
    "ALWAYS",
    "ASSUMED_SITE",
    "FOREVER_US",
    "Config",
    "ConfigError",
    "HostFact",
    "Placement",
    "ServiceFact",
    "SiteFact",
    "UseCaseFact",
    "find_config",
    "load_config",
    "parse_config",
]
