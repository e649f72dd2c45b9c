"""The commands: in families, with summaries that fit, imported only when they run, and options accepted where people write them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from footprint.cli.app import status_of
from footprint.cli.commands import FAMILIES, Command
from footprint.cli.groups import program
from footprint.core.version import VERSION
from footprint.storage.database import Store

COMMANDS = [command for _, commands in FAMILIES for command in commands]
HEAVY = ("pandas", "numpy", "scipy", "sqlmodel", "sqlalchemy", "pyarrow", "fastapi", "dash", "rich")


def run(*arguments: str, columns: int = 100, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "footprint.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": str(columns)} | environment,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_summary_in_the_list_is_the_summary_of_the_command(command: Command) -> None:
    module, _, attribute = command.target.partition(":")
    target = getattr(importlib.import_module(f"footprint.cli.{module}"), attribute)
    text = target.info.help if isinstance(target, typer.Typer) else target.__doc__
    assert text is not None
    assert text.strip().splitlines()[0] == command.summary


def test_help_lists_every_command_once_under_its_family_and_cuts_no_summary() -> None:
    answer = run("--help")
    lines = answer.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert not any("…" in line or "..." in line for line in lines[1:])
    families = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert [family for family in families if family != "Options"] == [family for family, _ in FAMILIES]
    listed = [line.split()[0] for line in lines if any(line.strip().endswith(command.summary) for command in COMMANDS)]
    assert listed == [command.name for command in COMMANDS]


def test_help_imports_no_command_and_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from footprint.cli.app import status_of\n"
        "status_of(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('footprint.') and not name.startswith(('footprint.cli', 'footprint.core'))])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-2:] == ["[]", "[]"]


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["query"], ["ledger"], ["ledger", "verify"]])
def test_help_is_asked_for_in_either_way_everywhere(command: list[str], flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of([*command, flag]) == 0
    assert capsys.readouterr().out.startswith(" ".join(["Usage: footprint", *command]))


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--version"]) == 0
    assert capsys.readouterr().out == f"footprint {VERSION}\n"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_configuration_may_be_named_before_or_after_the_command(
    place: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "footprint.toml"
    config.write_text('[store]\nurl = "sqlite:///one.db"\n')
    Store(f"sqlite:///{tmp_path}/one.db").close()
    words = ["ledger", "list"]
    words[place:place] = ["--config", str(config)]
    assert status_of(words) == 7
    assert capsys.readouterr().out.startswith("source")


def test_a_configuration_beside_the_command_wins_over_one_before_it(tmp_path: Path) -> None:
    config = tmp_path / "footprint.toml"
    config.write_text('[store]\nurl = "sqlite:///one.db"\n')
    Store(f"sqlite:///{tmp_path}/one.db").close()
    assert status_of(["--config", str(tmp_path / "absent.toml"), "query", "--config", str(config)]) == 7


def test_a_mistyped_command_names_its_neighbour(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["quary"]) == 2
    assert "Did you mean 'query'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["query", "--every", "fortnight"], ["query", "--view", "half"], ["methods", "--lang", "de"]])
def test_a_choice_that_is_none_is_refused_with_those_there_are(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(words) == 2
    assert words[-1] in capsys.readouterr().err


def test_the_shell_completes_commands() -> None:
    words = {"_FOOTPRINT_COMPLETE": "complete_bash", "COMP_WORDS": "footprint rep", "COMP_CWORD": "1"}
    assert run(**words).stdout.split() == ["report"]


def test_every_command_of_the_table_can_be_built() -> None:
    group = program()
    for command in COMMANDS:
        assert group.commands[command.name].name == command.name
