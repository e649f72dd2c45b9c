"""Runner of the notebooks: `python -m tests.support.notebook_runner` executes them and saves their outputs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
MAX_S = 60  # limit for one notebook


def notebooks() -> list[Path]:
    """Paths of all notebooks, in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, folder: Path) -> Any:
    """Execute a notebook in a folder and return it with its outputs; a failing cell raises."""
    os.environ["PYTHONPATH"] = str(ROOT)
    notebook: Any = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=3 * MAX_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def main() -> int:
    """Execute all notebooks, or those given as arguments, and save their outputs."""
    for path in [FOLDER / name for name in sys.argv[1:]] or notebooks():
        nbformat.write(execute(path, FOLDER), path)
        print(path.name, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
