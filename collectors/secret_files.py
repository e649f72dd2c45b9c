"""Files with tokens and passwords: whether others may read them."""

from __future__ import annotations

import stat
from pathlib import Path

from collectors.base import Unavailable


def is_readable_by_others(path: Path) -> bool:
    """Whether the group or everybody may read a file; False if there is none."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False


def read_secret(path: Path, description: str) -> str:
    """Read a secret; ``description`` names it in errors.

    Raises
    ------
    Unavailable
        If it cannot be read, is empty, or others may read it.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{path}: {description} cannot be read: {error}") from None
    if is_readable_by_others(path):
        raise Unavailable(f"{path}: {description} may be read by others; chmod 600 {path}")
    if not text:
        raise Unavailable(f"{path}: {description} is empty")
    return text
