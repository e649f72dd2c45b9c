"""Object store of sealed days, editions and the mirror: a local folder or object storage by URL, with files written atomically.

Sealed days are days/DAY/SOURCE.PART.parquet, chains/SOURCE/SEQ.json and heads/SEQ.json; ``verifier`` describes their guarantees.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec

from footprint.core.limits import insecure_url_fault, is_loopback_url
from footprint.core.output_files import create_folder
from footprint.core.records import FootprintError
from footprint.core.secret_files import share_file


class ObjectStoreError(FootprintError):
    """A file of the object store cannot be read or written."""


class ObjectStore:
    """One folder by URL; names in it are relative, with slashes.

    ``setting`` is the key of the configuration that names it, ``hint`` the command that helps where a file cannot be read. A
    ``private`` local folder, and each file in it, can be read by its owner alone.
    """

    def __init__(
        self, url: str, *, setting: str = "sealed", hint: str = "footprint ledger verify", private: bool = False
    ) -> None:
        self.url, self._setting, self._hint, self._private = url, setting, hint, private
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ObjectStoreError(f"{setting} = {url!r} cannot be used: {error}") from None
        if fault := _insecure_storage_fault(url, self._files):
            raise ObjectStoreError(f"{setting} = {url!r} cannot be used: {fault}")
        self._local = not isinstance(self._files.protocol, str) and "file" in self._files.protocol

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises
        ------
        ObjectStoreError
            If it is missing or cannot be read.
        """
        try:
            return bytes(self._files.cat_file(self._path(name)))
        except OSError as error:
            raise ObjectStoreError(
                f"{self._setting} file {name} under {self.url} cannot be read: {error} (`{self._hint}`)"
            ) from None

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        return bool(self._files.exists(self._path(name)))

    def write(self, name: str, raw: bytes) -> None:
        """Write a file atomically; a local one is flushed to disk."""
        path = self._path(name)
        try:
            if not self._local:
                self._files.pipe_file(path, raw)
                return
            target = Path(path)
            if self._private:
                Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)
                target.parent.mkdir(parents=True, exist_ok=True)
            else:
                create_folder(target.parent)
            partial = target.with_name(target.name + ".part")
            mode = 0o600 if self._private else 0o666
            with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                if not self._private:
                    share_file(partial)
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
            descriptor = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ObjectStoreError(f"cannot write {name} under {self.url}: {error}") from None

    def erase(self, name: str) -> None:
        """Delete a file, if it exists, and a private local folder that it leaves empty."""
        if self.exists(name):
            self._files.rm_file(self._path(name))
        if self._local and self._private:
            with suppress(OSError):
                Path(self._path(name)).parent.rmdir()

    def all_names(self) -> list[str]:
        """Sorted names of all files, also of those that were not written to their end."""
        self._files.invalidate_cache()
        if not self._files.isdir(self._root):
            return []
        return sorted(path.removeprefix(self._path("")) for path in self._files.find(self._root))

    def names(self, folder: str) -> list[str]:
        """Sorted names of the files of a folder; empty if the folder does not exist."""
        path = self._path(folder)
        if not self._files.isdir(path):
            return []
        file_names = (entry.rsplit("/", 1)[-1] for entry in self._files.ls(path, detail=False))
        return sorted(f"{folder}/{name}" for name in file_names if not name.endswith(".part"))

    def links(self, source: str, since: int) -> Iterator[tuple[int, dict[str, Any], bytes]]:
        """(number, link, bytes) of the links of a source from a number on, in order."""
        number = since
        while self.exists(link_name(source, number)):
            raw = self.read(link_name(source, number))
            yield number, json.loads(raw), raw
            number += 1

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The folder as a local path: itself, or a temporary copy."""
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


def _insecure_storage_fault(url: str, files: Any) -> str:
    """Why a storage may not be used: it sends keys and days in clear, or checks no certificate."""
    if url.startswith(("http://", "ftp://")):
        return insecure_url_fault(url)
    client = getattr(files, "client_kwargs", None) or {}
    endpoint = getattr(files, "endpoint_url", None) or client.get("endpoint_url") or ""
    if client.get("verify") is False:
        return "its certificate would not be checked (verify = false in the settings of fsspec)"
    if getattr(files, "use_ssl", True) is False and not is_loopback_url(endpoint):
        return "it would be used without TLS (use_ssl = false in the settings of fsspec)"
    return insecure_url_fault(endpoint) if endpoint else ""


def folder_name(source: str) -> str:
    """Folder name of a source; characters other than letters, digits, dots and dashes are percent-encoded."""
    return quote(source.replace(" ", "-", 1), safe="")


def link_name(source: str, number: int) -> str:
    """File name of a link of a chain."""
    return f"chains/{folder_name(source)}/{number:08d}.json"
