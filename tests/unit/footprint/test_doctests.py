"""Examples in the docstrings of attribution, impact and disclosure give what they show."""

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("footprint.attribution", "footprint.impact", "footprint.disclosure")
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_each_room_has_examples(package: str) -> None:
    names = [name for name in MODULES if name.startswith(package)]
    finder = doctest.DocTestFinder()
    examples = [test for name in names for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) >= 3
