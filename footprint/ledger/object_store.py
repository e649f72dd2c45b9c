"""This file is the folder of sealed days: a local one, or object storage by URL; files are written whole and never again.

days/DAY/SOURCE.PART.parquet, chains/SOURCE/SEQ.json, heads/SEQ.json; ``verifier.py`` says what they promise.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec

from footprint.core.records import FootprintError


class ObjectStoreError(FootprintError):
    """Sealed days cannot be read or written where they should stand."""


class ObjectStore:
    """One folder by URL; names within it are relative, with slashes."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as bad:
            raise ObjectStoreError(f"sealed = {url!r} cannot be used: {bad}") from None
        self._local = not isinstance(self._files.protocol, str) and "file" in self._files.protocol

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises
        ------
        ObjectStoreError
            If it is not there or cannot be read.
        """
        try:
            return bytes(self._files.cat_file(self._path(name)))
        except OSError as bad:
            raise ObjectStoreError(
                f"sealed file {name} under {self.url} cannot be read: {bad} (`footprint ledger verify`)"
            ) from None

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        return bool(self._files.exists(self._path(name)))

    def write(self, name: str, raw: bytes) -> None:
        """A file, on disk under its name only once it is whole."""
        path = self._path(name)
        try:
            if not self._local:
                self._files.pipe_file(path, raw)
                return
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            with part.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            descriptor = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as bad:
            raise ObjectStoreError(f"cannot write {name} under {self.url}: {bad}") from None

    def erase(self, name: str) -> None:
        """Take a file away, where a rule of retention says so."""
        if self.exists(name):
            self._files.rm_file(self._path(name))

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder, sorted; none where there is no such folder."""
        path = self._path(folder)
        if not self._files.isdir(path):
            return []
        found = (entry.rsplit("/", 1)[-1] for entry in self._files.ls(path, detail=False))
        return sorted(f"{folder}/{name}" for name in found if not name.endswith(".part"))

    def links(self, source: str, since: int) -> Iterator[tuple[int, dict[str, Any], bytes]]:
        """Links of a source from a number on, in order, with their bytes."""
        number = since
        while self.exists(link_name(source, number)):
            raw = self.read(link_name(source, number))
            yield number, json.loads(raw), raw
            number += 1

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The folder as a local one: itself, or a copy."""
        if self._local:
            yield Path(self._root)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "sealed"
            if self._files.isdir(self._root):
                self._files.get(self._root, str(copy), recursive=True)
            else:
                copy.mkdir()
            yield copy
            shutil.rmtree(copy, ignore_errors=True)


def folder_name(source: str) -> str:
    """A source's name as that of a folder: what is no letter, digit, dot or dash is quoted."""
    return quote(source.replace(" ", "-", 1), safe="")


def link_name(source: str, number: int) -> str:
    """Where a link of a chain stands."""
    return f"chains/{folder_name(source)}/{number:08d}.json"
