"""Naming rules that ruff does not check: modules, classes, variables, and the first line of a docstring."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("footprint", "collectors", "dashboards")
# Nouns of the field that end in -ing.
NOUNS = {"regression", "self_metering", "request_timing", "formatting"}
# Variable names that do not describe the value.
EMPTY_NAMES = {"found", "told", "said", "mine", "kept", "held", "each", "given"}
# Fields with such a name that are stored: column `said` of the table `job`, key `kept` of an edition's stored context.
STORED_FIELDS = {("footprint/storage/schema.py", "said"), ("footprint/editions/release_context.py", "kept")}


def modules(packages: Iterable[str] = PACKAGES) -> Iterator[tuple[str, ast.Module]]:
    """(path, tree) of every module of the packages."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def findings() -> list[str]:
    """Violations of all rules, one line each, with the file."""
    return [*gerunds(), *first_lines(), *repeated_classes(), *empty_names()]


def gerunds() -> list[str]:
    """Modules that are named by a gerund."""
    return [
        f"{name}: a module is named by a noun"
        for name, _ in modules()
        if (stem := Path(name).stem).endswith("ing") and stem not in NOUNS and not stem.startswith("v0")
    ]


def first_lines() -> list[str]:
    """Modules, tests included, without a docstring or with one that begins "This file" or "This module"."""
    missing = []
    for name, tree in modules((*PACKAGES, "tests")):
        text = ast.get_docstring(tree)
        if not text and tree.body:
            missing.append(f"{name}: no docstring")
        elif text and re.match(r"this (file|module)\b", text, re.IGNORECASE):
            missing.append(f"{name}: the docstring says what the module provides, not that it is one")
    return missing


def repeated_classes() -> list[str]:
    """Class names that two modules define."""
    places = defaultdict(list)
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    return [
        f"{', '.join(names)}: class {kind} is defined more than once" for kind, names in sorted(places.items()) if len(names) > 1
    ]


def empty_names() -> list[str]:
    """Variables and parameters whose name does not describe their value."""
    return [
        f"{name}:{line}: {variable} does not describe its value"
        for name, tree in modules()
        for line, variable in bindings(tree)
        if variable in EMPTY_NAMES and (name, variable) not in STORED_FIELDS
    ]


def bindings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of every assigned variable and every parameter of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
