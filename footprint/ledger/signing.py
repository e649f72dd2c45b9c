"""This file signs with minisign, where a key is configured; the program and the key are the operator's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from footprint.readings import FootprintError

PROGRAM = "minisign"


class SigningError(FootprintError):
    """Something was to be signed and cannot be."""


def sign(content: bytes, key_file: str, comment: str) -> bytes:
    """The signature (.minisig) of some bytes by a key without a password.

    Raises
    ------
    SigningError
        If minisign or the key is not there, or it refuses.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise SigningError(f"{PROGRAM} is not installed (Debian: apt install {PROGRAM}), and [store] signing_key asks for it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        path.write_bytes(content)
        command = [program, "-S", "-W", "-s", key_file, "-m", str(path), "-t", comment]
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        signature = path.with_name("content.minisig")
        if done.returncode or not signature.is_file():
            raise SigningError(f"{PROGRAM} did not sign with {key_file}: {done.stderr.decode(errors='replace').strip()}")
        return signature.read_bytes()
