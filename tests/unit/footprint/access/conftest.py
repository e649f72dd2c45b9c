"""Fixtures of the protected quarter, once per session."""

from tests.support.protected_quarter import quarter, reader

__all__ = ["quarter", "reader"]
