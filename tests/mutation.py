"""Mutation run over attribution, impact, counter correction and disclosure control: the small faults that the unit tests find.

    python -m tests.mutation [--sample N] [--seed S] [MODULE ...]      (make mutation)

Each mutant changes one comparison, operator, constant, boolean operator, ``not`` or return value of one module. It lives in the
memory of a forked process, so neither the working tree nor a copy of it changes: a function gets the code of the mutant; code
outside functions (constants, defaults) is imported again with it. The tests that call the changed function run, quickest first,
until one fails; a time-out counts as killed. ``mutation_survivors.toml`` explains survivors that are equivalent, or that no test
can hold apart. The rate of a package is killed / (mutants - explained); the exit status is 1 where one is below 85 %.

No ready-made tool does this in minutes: cosmic-ray starts pytest for each mutant (2 to 4 s of imports of pandas and SciPy).
mutmut forks, but skips decorated functions (properties, class methods) and module constants, where most thresholds stand, and
neither samples nor gives each mutant the nearest tests first.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import json
import math
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).resolve().parents[1]
UNIT = "tests/unit/footprint"
# By package: its modules, and tests beside those that mirror the modules.
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "attribution": ("footprint/attribution/*.py", ()),
    "attribution.step": ("footprint/attribution/step/*.py", ()),
    "impact": ("footprint/impact/*.py", ()),
    "counter correction": ("footprint/core/counter_correction.py", ()),
    "disclosure": ("footprint/disclosure/*.py", (f"{UNIT}/disclosure/test_suppression.py",)),
}
MIN_RATE = 0.85
BASE_LIMIT_S, LIMIT_FACTOR = 5.0, 5.0  # processor time of a mutant: base + factor x time of its tests; beyond that it hangs
MAX_TEST_S = 3.0  # of processor time; slower tests are stopped and left out, for a survivor runs all of its tests
# Imported once, before forking. Nothing of the project: each mutant imports that itself.
PRELOADED = (
    "numpy", "pandas", "scipy.optimize", "scipy.sparse.csgraph", "sqlalchemy", "sqlmodel", "alembic", "pyarrow",
    "hypothesis.extra.numpy",
)  # fmt: skip

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
Steps = tuple[tuple[str, int], ...]  # from the root of a tree to a node: field, and place in it (-1: no list)
SKIPPED_FIELDS = "annotation", "returns", "decorator_list"
SKIPPED_NODES = ast.JoinedStr | ast.Raise | ast.Import | ast.ImportFrom | ast.Assert  # words rather than results


@dataclass(frozen=True)
class Mutant:
    """One change of one module; ``line`` is that of the innermost function it stands in, 0 outside all of them."""

    module: str
    number: int
    name: str
    line: int
    tree: ast.Module


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its text; a name tells function and change, and stays after an edit elsewhere."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for number, (steps, where, line, returned) in enumerate(_places(tree, (), "", 0)):
        changed = copy.deepcopy(tree)
        node: Any = changed
        for field, index in steps[:-1]:
            node = getattr(node, field) if index < 0 else getattr(node, field)[index]
        field, index = steps[-1]
        before = getattr(node, field) if index < 0 else getattr(node, field)[index]
        after = ast.Constant(None) if returned else _changed(before)
        around = isinstance(before, ast.operator | ast.cmpop | ast.boolop)  # which alone has no text
        text = ast.unparse(node if around else before)
        if index < 0:
            setattr(node, field, after)
        else:
            getattr(node, field)[index] = after
        name = f"{where or '(module)'}: {text} -> {ast.unparse(node if around else after)}"
        seen[name] += 1
        yield Mutant(
            module, number, name if seen[name] == 1 else f"{name} #{seen[name]}", line, ast.fix_missing_locations(changed)
        )


def _places(node: ast.AST, steps: Steps, where: str, line: int) -> Iterator[tuple[Steps, str, int, bool]]:
    """Every place that can be changed, with the function that it stands in and its line, and whether it is a value returned."""
    if isinstance(node, SKIPPED_NODES):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    if isinstance(node, ast.FunctionDef):
        line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    if _changed(node) is not None:
        yield steps, where, line, False
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield (*steps, ("value", -1)), where, line, True
    for field, value in ast.iter_fields(node):
        # A default is evaluated where the function is defined.
        inside = 0 if isinstance(node, ast.FunctionDef) and field == "args" else line
        for index, child in enumerate(value) if isinstance(value, list) else [(-1, value)]:
            if isinstance(child, ast.AST) and field not in SKIPPED_FIELDS:
                yield from _places(child, (*steps, (field, index)), where, inside)


def _changed(node: Any) -> Any:
    """What stands in for a node; None where it is left alone."""
    after: Any = None
    if isinstance(node, ast.cmpop):
        after = COMPARISONS[type(node)]()
    elif isinstance(node, ast.operator) and type(node) in OPERATORS:
        after = OPERATORS[type(node)]()
    elif isinstance(node, ast.boolop):
        after = ast.Or() if isinstance(node, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp):
        after = node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        after = ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        after = ast.Constant(node.value + 1)
    return after


class _Mutated(SourceFileLoader):
    """Gives a module the code of a mutant."""

    code: CodeType

    def get_code(self, fullname: str) -> CodeType:
        return self.code


class _Finder:
    """Finds one module, mutated, before anything else does."""

    def __init__(self, mutant: Mutant) -> None:
        path = ROOT / mutant.module
        self.name = mutant.module.removesuffix(".py").replace("/", ".")
        self.loader = _Mutated(self.name, str(path))
        self.loader.code = compile(mutant.tree, str(path), "exec")

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self.loader) if fullname == self.name else None


class _TooSlow(BaseException):
    """Ends a test; no ``Exception``, so that hypothesis does not take it for a failure to shrink."""


class _Loop:
    """Pytest plugin: runs all tests once, then the nearest tests of each mutant of a function in a fork."""

    def __init__(self, modules: Iterable[str], mutants: list[Mutant]) -> None:
        self.modules = {str(ROOT / module): module for module in modules}
        self.mutants = mutants
        self.called: dict[str, set[tuple[str, int]]] = {}
        self.seconds: dict[str, float] = {}
        self.failed = 0  # phases of tests
        self.killed: list[bool] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed += report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            self._watched(item)
        if not self.failed:
            items = {item.nodeid: item for item in session.items}
            for mutant in self.mutants:
                near = nearest(mutant, self.called, self.seconds)
                ended, text = _forked(
                    lambda m=mutant, n=near: self._under(m, [items[test] for test in n]), _limit_s(self.seconds, near)
                )
                self.killed.append(bool(near) and (not ended or text != "0"))
        return True

    def _watched(self, item: pytest.Item) -> None:
        found: set[tuple[str, int]] = set()

        def trace(frame: FrameType, event: str, _: object) -> None:
            if frame.f_code.co_filename in self.modules:
                found.add((self.modules[frame.f_code.co_filename], frame.f_code.co_firstlineno))

        def stop(*_: object) -> None:
            raise _TooSlow

        failed, started = self.failed, time.process_time()
        signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, MAX_TEST_S)
        sys.settrace(trace)
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        except _TooSlow:  # outside of what pytest catches
            pass
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_PROF, 0)
        self.seconds[item.nodeid] = time.process_time() - started
        self.called[item.nodeid] = found
        if self.seconds[item.nodeid] >= MAX_TEST_S:
            self.failed = failed

    def _under(self, mutant: Mutant, items: list[pytest.Item]) -> str:
        _put(mutant)
        for item in items:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            if self.failed:
                return "1"
        return "0"


def _put(mutant: Mutant) -> None:
    """Give the function that a mutant stands in, as everybody has imported it, the code of the mutant."""
    module = sys.modules[mutant.module.removesuffix(".py").replace("/", ".")]
    for cached in vars(module).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
    found: Any = module
    for name in mutant.name.split(": ")[0].split("."):
        found = vars(found)[name]
        found = getattr(found, "fget", None) or getattr(found, "__func__", found)
        found = getattr(found, "__wrapped__", found)
        if isinstance(found, FunctionType):
            break
    codes = [compile(mutant.tree, str(ROOT / mutant.module), "exec")]
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
    found.__code__ = next(code for code in codes if code.co_qualname == found.__qualname__)


def nearest(mutant: Mutant, called: dict[str, set[tuple[str, int]]], seconds: dict[str, float]) -> list[str]:
    """Tests that call the function of a mutant, or any of its module; the module's own first, then the quickest."""
    own = f"test_{Path(mutant.module).stem}.py"
    near = [test for test, found in called.items() if any(m == mutant.module and mutant.line in (0, line) for m, line in found)]
    near += [test for test in called if own in test and test not in near and not mutant.line]
    return sorted((test for test in near if seconds[test] < MAX_TEST_S), key=lambda test: (own not in test, seconds[test]))


def _limit_s(seconds: dict[str, float], tests: list[str]) -> float:
    return BASE_LIMIT_S + LIMIT_FACTOR * sum(seconds[test] for test in tests)


def _pytest(tests: Iterable[str], plugins: list[object], folder: str) -> int:
    marks = "not slow and not long and not external and not browser and not gpu"
    arguments = f"-q -x -p no:cacheprovider --disable-plugin-autoload --tb=no --no-header --basetemp {folder}".split()
    return int(pytest.main([*arguments, "-m", marks, *tests], plugins=plugins))


def _forked(work: Any, limit_s: float | None) -> tuple[bool, str]:
    """What ``work`` returns as text in a process of its own, and whether it ended in time."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reader)
            if limit_s is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit_s), math.ceil(limit_s) + 1))
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            os.write(writer, work().encode()) if limit_s is not None else _whole(writer, work())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    parts, ended = [], True
    deadline = time.monotonic() + (20 * limit_s if limit_s is not None else 7200)  # for what sleeps
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            ended = False
            break
        part = os.read(reader, 1 << 16)
        if not part:
            break
        parts.append(part)
    os.close(reader)
    os.waitpid(child, 0)
    return ended, b"".join(parts).decode()


def _whole(writer: int, text: str) -> None:
    with os.fdopen(writer, "wb") as file:
        file.write(text.encode())


Calls = dict[str, set[tuple[str, int]]]


def within_functions(
    modules: list[str], tests: tuple[str, ...], mutants: list[Mutant], folder: str
) -> tuple[list[bool], Calls, dict[str, float]]:
    """Which mutants of functions are killed; by test, the functions that it calls and its seconds. All tests must pass without."""

    def work() -> str:
        loop = _Loop(modules, mutants)
        status = _pytest(tests, [loop], folder)
        called = {test: sorted(found) for test, found in loop.called.items()}
        return json.dumps(
            [loop.failed or status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), loop.killed, called, loop.seconds]
        )

    _, text = _forked(work, None)
    status, dead, called, seconds = json.loads(text or "[1, [], {}, {}]")
    if status:
        raise SystemExit(f"tests fail without any mutant: {' '.join(tests)}")
    return dead, {test: {(module, line) for module, line in found} for test, found in called.items()}, seconds


def killed_outside(mutant: Mutant, tests: list[str], limit_s: float, folder: str) -> bool:
    """Whether a mutant that stands outside functions is killed: everything is imported afresh with it."""

    def work() -> str:
        finder = _Finder(mutant)
        sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        importlib.import_module(finder.name)  # before pytest puts its own finder first
        return str(_pytest(tests, [], folder))

    ended, text = _forked(work, limit_s)
    return not ended or text != "0"


def sample(module: str, size: int, seed: int) -> tuple[list[Mutant], set[str]]:
    """Mutants of a module, all or a random sample, in the order of its text; and the names of all."""
    mutants = list(mutants_of(module, (ROOT / module).read_text(encoding="utf-8")))
    names = {mutant.name for mutant in mutants}
    if size and len(mutants) > size:
        mutants = random.Random(f"{seed} {module}").sample(mutants, size)
    return sorted(mutants, key=lambda mutant: mutant.number), names


def survivors(modules: list[str], tests: tuple[str, ...], mutants: list[Mutant], folder: str) -> list[Mutant]:
    """Mutants that no test kills."""
    inside = [mutant for mutant in mutants if mutant.line]
    killed, called, seconds = within_functions(modules, tests, inside, folder)
    alive = {id(mutant) for mutant, is_killed in zip(inside, killed, strict=True) if not is_killed}
    for mutant in mutants:
        near = nearest(mutant, called, seconds)
        if not mutant.line and not (near and killed_outside(mutant, near, _limit_s(seconds, near), folder)):
            alive.add(id(mutant))
    return [mutant for mutant in mutants if id(mutant) in alive]


def modules_and_tests(package: str) -> tuple[list[str], tuple[str, ...]]:
    """Modules of a package, and the unit tests that mirror them."""
    pattern, more = PACKAGES[package]
    modules = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.name != "__init__.py")
    mirrored = (str(Path("tests/unit", module).with_name(f"test_{Path(module).name}")) for module in modules)
    return modules, (*(test for test in mirrored if (ROOT / test).exists()), *more)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation run over the unit tests.")
    parser.add_argument("modules", nargs="*", help="glob patterns of modules; default: all in scope")
    parser.add_argument("--sample", type=int, default=25, help="mutants a module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    explanations = tomllib.loads((ROOT / "tests/mutation_survivors.toml").read_text(encoding="utf-8"))
    for name in PRELOADED:
        importlib.import_module(name)
    settings.register_profile(
        "mutation", max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None,
        phases=(Phase.explicit, Phase.generate),
    )  # fmt: skip
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    os.chdir(ROOT)
    table: dict[str, Counter[str]] = {}
    stale = []
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        for package in PACKAGES:
            modules, tests = modules_and_tests(package)
            chosen = [m for m in modules if not options.modules or any(fnmatch(m, pattern) for pattern in options.modules)]
            mutants = []
            for module in chosen:
                sampled, names = sample(module, options.sample, options.seed)
                mutants += sampled
                stale += [f"{module}: {name}" for name in explanations.get(module, {}) if name not in names]
            alive = survivors(chosen, tests, mutants, f"{folder}/tests") if mutants else []
            for module in chosen:
                left = [mutant for mutant in alive if mutant.module == module]
                explained = [mutant for mutant in left if mutant.name in explanations.get(module, {})]
                row = Counter(made=sum(m.module == module for m in mutants), alive=len(left), explained=len(explained))
                table.setdefault(package, Counter()).update(row)
                _print_row(module, row)
                for mutant in left:
                    print(f"    {'explained' if mutant in explained else 'SURVIVES '} {mutant.name}", flush=True)
    print()
    for package, row in table.items():
        _print_row(package, row)
    for name in stale:
        print(f"an explanation names no mutant: {name}")
    return bool(stale) or any(_rate(row) < MIN_RATE for row in table.values())


def _rate(row: Counter[str]) -> float:
    """Killed over those that are not explained."""
    return (row["made"] - row["alive"]) / max(row["made"] - row["explained"], 1)


def _print_row(name: str, row: Counter[str]) -> None:
    raw = 1 - row["alive"] / max(row["made"], 1)
    counts = f"{row['made']:5} mutants {row['alive']:4} alive {row['explained']:4} explained"
    print(f"{name:52} {counts} {raw:7.1%} raw {_rate(row):7.1%}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
