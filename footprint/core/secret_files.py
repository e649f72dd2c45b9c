"""Secret files: keys, passwords and tokens that only their owner may read, and the mode of every file that a program creates."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from footprint.core.records import FootprintError

TOKEN_BYTES = 32
_OTHERS = 0o077  # permission bits of everybody but the owner
_inherited_umask: list[int] = []  # of the program, once it restricts its own files


class SecretFileError(FootprintError):
    """A file of a secret that is missing, unreadable, empty, or open to others."""


def restrict_new_files() -> None:
    """Give every file that this program creates to its owner alone; ``share_file`` opens the ones that people asked for."""
    previous = os.umask(_OTHERS)
    if not _inherited_umask:
        _inherited_umask.append(previous)


def share_file(path: str | Path) -> None:
    """Give a file or folder that a person asked for (a report, a table) the mode that the umask of the person allows."""
    if _inherited_umask:
        full_mode = 0o777 if os.path.isdir(path) else 0o666
        os.chmod(path, full_mode & ~_inherited_umask[0])


def exposure(path: str | Path) -> str:
    """Why a file is open to others, with the remedy; empty if only its owner may read it, or if it does not exist."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return ""
    if not mode & _OTHERS:
        return ""
    owner_mode = 700 if os.path.isdir(path) else 600
    return f"others may read or change it (mode {mode:04o}); chmod {owner_mode} {path}"


def read_secret(path: str | Path, description: str) -> str:
    """Read a secret from its file; ``description`` names it in errors.

    Raises
    ------
    SecretFileError
        If it cannot be read, is empty, or others may read it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text in UTF-8"
        raise SecretFileError(f"{path}: {description} cannot be read: {reason}") from None
    if reason := exposure(path):
        raise SecretFileError(f"{path}: {description}: {reason}")
    if not text:
        raise SecretFileError(f"{path}: {description} is empty")
    return text


def write_secret(path: str | Path, text: str) -> None:
    """Create the file of a secret for its owner alone (mode 0600).

    Raises
    ------
    FileExistsError
        If the file exists.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def new_token() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def read_or_create_secret(path: str | Path, description: str, create: Callable[[], str] = new_token) -> str:
    """Read a secret, or create it in a new file; two programs that start at once get the same.

    Raises
    ------
    SecretFileError
        If it cannot be read or created, or others may read it.
    """
    if not os.path.lexists(path):
        # Another program reads either no file or the whole secret: it is written beside, then given its name.
        partial = f"{path}.{secrets.token_hex(4)}.part"
        try:
            write_secret(partial, create())
            try:
                os.link(partial, path)
            except FileExistsError:
                pass  # another program was faster
            finally:
                os.unlink(partial)
        except OSError as error:
            raise SecretFileError(f"{path}: {description} cannot be created: {error.strerror}") from None
    return read_secret(path, description)
