"""This file keeps result files: written whole, signed with minisign where a key is configured, checked when they are read.

Kept beside the sealed days as ``benchmarks/SHA256.json`` (and ``.minisig``): never changed, never twice; the name says what the
bytes must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from footprint.benchmark.result import BadResult, BenchmarkResult, parse_result
from footprint.config import Config
from footprint.ledger.minisign import SigningError, read_public_key, sign, verify_signature
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.verifier import sha256_of

FOLDER, SIGNATURE = "benchmarks", ".minisig"
UNSIGNED, UNCHECKED, CHECKED = "none", "not checked", "good"


class Tampered(BadResult):
    """A result whose bytes are not those that were signed or kept."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result with the hash of its bytes, and what is known of its signature."""

    sha256: str
    signature: str
    result: BenchmarkResult


def write_result(path: Path, result: BenchmarkResult, signing_key: str = "") -> str:
    """Write a result, under its name only once it is whole, and its signature beside it; its sha256.

    Raises
    ------
    SigningError
        If it is to be signed and cannot be; the result is written then all the same.
    """
    raw = result.to_bytes()
    _write_atomically(path, raw)
    if signing_key:
        name = f"footprint benchmark of {result.conditions.model}"
        _write_atomically(signature_path(path), sign(raw, signing_key, name))
    return sha256_of(raw)


def signature_path(path: Path) -> Path:
    """Where a file's signature stands."""
    return path.with_name(path.name + SIGNATURE)


def _write_atomically(path: Path, raw: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(raw)
    part.replace(path)


def read_result(path: Path, public_key: str = "", signing_key: str = "") -> StoredResult:
    """A result of a file, its signature checked where there is one and a key to check it with.

    Raises
    ------
    BadResult
        If it is none.
    Tampered
        If its bytes are not those that were signed.
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


@lru_cache(maxsize=64)  # pages ask again and again for what never changes
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
    """Bring a result beside the ledger; with it, whether it is new there.

    Raises
    ------
    BadResult
        If it is none, was changed after it was signed, or is a demonstration's (or not) where the store is not (or is).
    """
    stored = read_result(path, public_key, config.signing_key)
    if stored.result.demonstration != config.demo:
        kinds = ("measured", "a demonstration's") if config.demo else ("a demonstration's", "not a demonstration's")
        raise BadResult(f"{path}: the result is {kinds[0]}, the store is {kinds[1]}; the two never mix")
    vault, name = ObjectStore(config.sealed_url()), f"{FOLDER}/{stored.sha256}.json"
    signature_file = signature_path(path)
    if signature_file.is_file() and not vault.exists(name + SIGNATURE):
        vault.write(name + SIGNATURE, signature_file.read_bytes())
    if vault.exists(name):
        return stored, False
    vault.write(name, path.read_bytes())
    return stored, True


def stored_results(config: Config) -> list[StoredResult]:
    """Every result kept, newest first.

    Raises
    ------
    Tampered
        If a file is not what its name says.
    """
    vault = ObjectStore(config.sealed_url())
    public_key = read_public_key(config.signing_key)
    names = vault.names(FOLDER)
    results = []
    for name in (each for each in names if each.endswith(".json")):
        raw = vault.read(name)
        if sha256_of(raw) != name.removeprefix(f"{FOLDER}/").removesuffix(".json"):
            raise Tampered(f"{name} under {vault.url}: its bytes are not those that were kept; take it from a backup")
        signature = vault.read(name + SIGNATURE) if name + SIGNATURE in names else None
        results.append(_verify(raw, signature, public_key))
    return sorted(results, key=lambda stored: (-stored.result.made_us, stored.sha256))
