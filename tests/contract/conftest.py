"""Fixtures of contract tests."""

from tests.support.edition_office import office, office_template

__all__ = ["office", "office_template"]
