"""Signatures with the minisign program and the operator's key."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from footprint.core.records import FootprintError

PROGRAM = "minisign"


class SigningError(FootprintError):
    """Content cannot be signed, or a signature does not verify."""


def sign(content: bytes, key_file: str, comment: str) -> bytes:
    """Sign bytes with a key without a password and return the signature (.minisig).

    Raises
    ------
    SigningError
        If minisign or the key is missing, or minisign fails.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise SigningError(f"{PROGRAM} is not installed (Debian: apt install {PROGRAM}), and [store] signing_key asks for it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        path.write_bytes(content)
        command = [program, "-S", "-W", "-s", key_file, "-m", str(path), "-t", comment]
        process = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        signature = path.with_name("content.minisig")
        if process.returncode or not signature.is_file():
            raise SigningError(f"{PROGRAM} did not sign with {key_file}: {process.stderr.decode(errors='replace').strip()}")
        return signature.read_bytes()


def verify_signature(content: bytes, signature: bytes, public_key: str) -> None:
    """Verify a signature (.minisig) of bytes; ``public_key`` is the key itself, as in the second line of its file.

    Raises
    ------
    SigningError
        If minisign is missing, or the signature does not match the key and the bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        path.write_bytes(content)
        path.with_name("content.minisig").write_bytes(signature)
        process = _minisign("-V", "-q", "-P", public_key, "-m", str(path))
        if process.returncode:
            raise SigningError(process.stderr.decode(errors="replace").strip() or "the signature does not fit")


@cache
def read_public_key(key_file: str) -> str:
    """The public key of a secret key without a password; empty if there is no key or it cannot be derived."""
    if not key_file or shutil.which(PROGRAM) is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "public"
        process = _minisign("-R", "-s", key_file, "-p", str(path))
        return path.read_text(encoding="utf-8").splitlines()[1] if process.returncode == 0 and path.is_file() else ""


def _minisign(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which(PROGRAM)
    if program is None:
        raise SigningError(f"{PROGRAM} is not installed (Debian: apt install {PROGRAM}), and a signature is to be checked")
    return subprocess.run([program, *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL)
