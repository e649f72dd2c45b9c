"""Keys and secrets in files that only their owner may read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from footprint.config import ConfigError

KEY_BYTES = 32


def read_secret(path: str, description: str) -> str:
    """Read a secret from its file; ``description`` names it in errors.

    Raises
    ------
    ConfigError
        If it cannot be read, is empty, or others may read it.
    """
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {description} cannot be read: {error}") from None
    if mode & 0o077:
        raise ConfigError(f"{path}: {description} may be read by others (mode {mode:04o}); chmod 600 {path}")
    if not text:
        raise ConfigError(f"{path}: {description} is empty")
    return text


def load_session_key(path: str) -> str:
    """Read the key that signs sessions, or create it at the first start.

    Raises
    ------
    ConfigError
        If it cannot be read or created, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_secret(path, "the key of sessions")
    except OSError as error:
        raise ConfigError(f"{path}: the key of sessions cannot be made: {error}; set [access] session_key_file") from None
    key = secrets.token_urlsafe(KEY_BYTES)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
    return key
