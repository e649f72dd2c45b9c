"""Session fixtures of the protected quarter."""

from tests.support.protected_quarter import quarter, reader

__all__ = ["quarter", "reader"]
