"""Check of the translation catalogues: they contain every text that pages request by a literal key."""

from __future__ import annotations

import ast

from dashboards.translations import LANGUAGES, catalogue
from tests.checks.house import modules


def findings() -> list[str]:
    """One line a missing key and language, with its file."""
    catalogues = {language: catalogue(language) for language in LANGUAGES}
    return [
        f"{name}:{node.lineno}: no text {key.value!r} in {language}"
        for name, tree in modules()
        if name.startswith("dashboards/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "translate"
        for key in node.args[1:2]
        if isinstance(key, ast.Constant)
        for language, texts in catalogues.items()
        if key.value not in texts
    ]
