"""This file reads the colours of the visual language (``data/tokens.json``): one source for charts, pages and print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Literal

from footprint.core.resources import data_path

Theme = Literal["light", "dark"]


@cache
def colours(theme: Theme = "light") -> Mapping[str, str]:
    """Names, as the style sheets of the dashboard have them, and colours (#RRGGBB) of a theme."""
    found: dict[str, str] = json.loads(data_path("tokens.json").read_text(encoding="utf-8"))[theme]
    return found


def css_declarations(theme: Theme = "light") -> str:
    """The same as custom properties of a style sheet: ``--ink:#16202E;…``."""
    return "".join(f"--{name}:{colour};" for name, colour in colours(theme).items())
