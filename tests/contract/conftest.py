"""Fixtures of contract tests."""

from tests.support.edition_office import made, office

__all__ = ["made", "office"]
