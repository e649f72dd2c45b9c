"""Store of result files: written atomically, signed with minisign if a key is configured, verified when read.

Files lie beside the archive as ``benchmarks/SHA256.json`` (and ``.minisig``), are never changed and never stored twice; the name
is the digest of the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from footprint.benchmark.result import BadResult, BenchmarkResult, parse_result
from footprint.config import Config
from footprint.core.output_files import write_output
from footprint.ledger.minisign import SigningError, read_public_key, sign, verify_signature
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.verifier import sha256_of

FOLDER, SIGNATURE = "benchmarks", ".minisig"
UNSIGNED, UNCHECKED, CHECKED = "none", "not checked", "good"


class Tampered(BadResult):
    """A result whose bytes differ from those signed or stored."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result with the SHA-256 of its bytes and the state of its signature."""

    sha256: str
    signature: str
    result: BenchmarkResult


def write_result(path: Path, result: BenchmarkResult, signing_key: str = "") -> str:
    """Write a result and its signature atomically; return its SHA-256.

    Raises
    ------
    SigningError
        If signing fails; the result is written nevertheless.
    """
    raw = result.to_bytes()
    write_output(path, raw)
    if signing_key:
        name = f"footprint benchmark of {result.conditions.model}"
        write_output(signature_path(path), sign(raw, signing_key, name))
    return sha256_of(raw)


def signature_path(path: Path) -> Path:
    """Path of the signature of a file."""
    return path.with_name(path.name + SIGNATURE)


def read_result(path: Path, public_key: str = "", signing_key: str = "") -> StoredResult:
    """Read a result; verify its signature if there is one and a key for it.

    Raises
    ------
    BadResult
        If the file is no result.
    Tampered
        If the bytes differ from those signed.
    """
    try:
        raw = path.read_bytes()
        signature_file = signature_path(path)
        signature = signature_file.read_bytes() if signature_file.is_file() else None
    except OSError as error:
        raise BadResult(f"{path}: {error.strerror}") from None
    try:
        return _verify(raw, signature, public_key or read_public_key(signing_key))
    except BadResult as error:
        raise type(error)(f"{path}: {error}") from None


@lru_cache(maxsize=64)  # pages read the same files, which never change, on every request
def _verify(raw: bytes, signature: bytes | None, public_key: str) -> StoredResult:
    state = UNSIGNED if signature is None else UNCHECKED
    if signature is not None and public_key:
        try:
            verify_signature(raw, signature, public_key)
        except SigningError as error:
            raise Tampered(f"its signature is not good: {error}") from None
        state = CHECKED
    return StoredResult(sha256_of(raw), state, parse_result(raw))


def import_result(config: Config, path: Path, public_key: str = "") -> tuple[StoredResult, bool]:
    """Copy a result beside the archive; return it, and whether it is new there.

    Raises
    ------
    BadResult
        If the file is no result, was changed after signing, or mixes demonstration and measurement.
    """
    stored = read_result(path, public_key, config.signing_key)
    if stored.result.demonstration != config.demo:
        kinds = ("measured", "a demonstration's") if config.demo else ("a demonstration's", "not a demonstration's")
        raise BadResult(f"{path}: the result is {kinds[0]}, the store is {kinds[1]}; the two never mix")
    archive, name = ObjectStore(config.sealed_url()), f"{FOLDER}/{stored.sha256}.json"
    signature_file = signature_path(path)
    if signature_file.is_file() and not archive.exists(name + SIGNATURE):
        archive.write(name + SIGNATURE, signature_file.read_bytes())
    if archive.exists(name):
        return stored, False
    archive.write(name, path.read_bytes())
    return stored, True


def stored_results(config: Config) -> list[StoredResult]:
    """Every imported result, newest first.

    Raises
    ------
    Tampered
        If the digest of a file differs from its name.
    """
    archive = ObjectStore(config.sealed_url())
    public_key = read_public_key(config.signing_key)
    names = archive.names(FOLDER)
    results = []
    for name in (name for name in names if name.endswith(".json")):
        raw = archive.read(name)
        if sha256_of(raw) != name.removeprefix(f"{FOLDER}/").removesuffix(".json"):
            raise Tampered(f"{name} under {archive.url}: its bytes are not those that were kept; take it from a backup")
        signature = archive.read(name + SIGNATURE) if name + SIGNATURE in names else None
        results.append(_verify(raw, signature, public_key))
    return sorted(results, key=lambda stored: (-stored.result.made_us, stored.sha256))
