"""This file knows which electricity zones there are: ISO 3166-1 alpha-2 codes, and the places of the factor book."""

from __future__ import annotations

import re

from footprint.impact.factor_book import shipped_book


def is_zone(code: str) -> bool:
    """Whether a code names a country, a grid zone within one (``IT-NO``), or a place of the factor book."""
    if code in shipped_book().places():
        return True
    country, _, part = code.partition("-")
    return bool(part) and country in shipped_book().places() and re.fullmatch(r"[A-Z0-9-]{1,8}", part) is not None
