"""Files that a person asked for: written whole or not at all, with the mode that the umask of the person allows."""

from __future__ import annotations

from pathlib import Path

from footprint.core.secret_files import share_file


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file under its name only once it is whole; folders on the way are created."""
    raw = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():  # /dev/null, a pipe
        path.write_bytes(raw)
        return
    create_folder(path.parent)
    part = path.with_name(path.name + ".part")
    part.write_bytes(raw)
    share_file(part)
    part.replace(path)


def create_folder(folder: Path) -> None:
    """Create a folder for files that a person asked for, with the folders above it."""
    if folder.is_dir():
        return
    create_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    share_file(folder)
