"""Rules of the house that ruff does not know: names of modules and classes, first lines, and words of a dialect."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("footprint", "collectors", "dashboards")
# Nouns of the field that end as a gerund does.
NOUNS = {"regression", "self_metering", "request_timing", "formatting"}
# Names for the fact that something exists, not for what it holds.
EMPTY_NAMES = {"found", "told", "said", "mine", "kept", "held"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """(path, tree) of every module that is shipped."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def findings() -> list[str]:
    """One line a finding, with its file."""
    return [*gerunds(), *first_lines(), *repeated_classes(), *empty_names()]


def gerunds() -> list[str]:
    """Modules named by a gerund."""
    return [
        f"{name}: a module is named by a noun"
        for name, _ in modules()
        if (stem := Path(name).stem).endswith("ing") and stem not in NOUNS and not stem.startswith("v0")
    ]


def first_lines() -> list[str]:
    """Modules without a docstring, or whose first line says that it is a file."""
    missing = []
    for name, tree in modules():
        text = ast.get_docstring(tree)
        if not text and tree.body:
            missing.append(f"{name}: no docstring")
        elif text and re.match(r"this (file|module)\b", text, re.IGNORECASE):
            missing.append(f"{name}: the docstring says what the module provides, not that it is one")
    return missing


def repeated_classes() -> list[str]:
    """Class names that stand in two modules."""
    places = defaultdict(list)
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    return [
        f"{', '.join(names)}: class {kind} is defined more than once" for kind, names in sorted(places.items()) if len(names) > 1
    ]


def empty_names() -> list[str]:
    """Variables that say nothing of what they hold."""
    return [
        f"{name}:{node.lineno}: {node.id} says nothing of what it holds"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in EMPTY_NAMES
    ]
