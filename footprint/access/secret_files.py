"""This file reads keys and secrets from files that only their owner may read, and makes the key of sessions."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from footprint.config import ConfigError

KEY_BYTES = 32


def secret_of(path: str, what: str) -> str:
    """The text of a secret's file.

    Raises
    ------
    ConfigError
        If it cannot be read, is empty, or others may read it.
    """
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as bad:
        raise ConfigError(f"{path}: {what} cannot be read: {bad}") from None
    if mode & 0o077:
        raise ConfigError(f"{path}: {what} may be read by others (mode {mode:04o}); chmod 600 {path}")
    if not text:
        raise ConfigError(f"{path}: {what} is empty")
    return text


def session_key(path: str) -> str:
    """The key that signs sessions, made at the first start.

    Raises
    ------
    ConfigError
        If it cannot be read or made, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return secret_of(path, "the key of sessions")
    except OSError as bad:
        raise ConfigError(f"{path}: the key of sessions cannot be made: {bad}; set [access] session_key_file") from None
    key = secrets.token_urlsafe(KEY_BYTES)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
    return key
