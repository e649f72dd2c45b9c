"""Configuration: ``footprint.toml``, validated and turned into frozen facts.

``loader`` reads the file, ``models`` holds the facts, ``toml_document`` the text with the line of each key. Each other
module is one section of the file. Errors name file, line and remedy.
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
