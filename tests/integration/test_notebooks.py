"""Notebooks: each runs in under a minute, starts with its question and has saved outputs without local paths."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.notebook_runner import MAX_S, execute, notebooks

PUBLIC = re.compile(r"^(?:import|from) (?P<module>[\w.]+)", re.MULTILINE)
# Modules that a notebook may import: public API, formatting, errors, the simulation, numpy and pandas.
ALLOWED = ("footprint", "footprint.i18n.formatting", "footprint.queries.comparison", "tests.simulation", "numpy", "pandas")
STANDARD = ("sys", "pathlib", "json", "zipfile", "hashlib", "subprocess", "io", "textwrap", "random")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Common folder: the first notebook simulates a week, the others read it."""
    return tmp_path_factory.mktemp("notebooks")


def spent_s() -> float:
    """CPU time of finished kernels [s], which does not depend on the load of the machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_shows_a_picture(path: Path, folder: Path) -> None:
    before_s = spent_s()
    notebook = execute(path, folder)
    assert spent_s() - before_s < MAX_S
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_asks_one_question_with_public_names_and_clean_outputs(path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    first = notebook.cells[0].source
    assert first.splitlines()[0].endswith("?")
    assert "minute" in first
    assert "simulated" in first
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    imported = {match["module"] for match in PUBLIC.finditer(code)}
    assert not [
        module for module in imported if not module.startswith("tests.simulation") and module not in (*ALLOWED, *STANDARD)
    ]
    stored_text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|root|tmp|work|usr|Users)/", stored_text)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert len(stored_text) < 200_000


def test_the_readme_lists_every_notebook() -> None:
    readme = (notebooks()[0].parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in notebooks() if path.name not in readme] == []
    assert len(notebooks()) >= 5
