"""Command groups: commands imported when they run, help by family, and ``--config`` accepted before or after them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any

import typer
import typer.core

from footprint.cli.commands import FAMILIES, Command
from footprint.cli.options import ConfigOption
from footprint.core.version import VERSION


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name; each is imported and built when it is first asked for."""

    def __init__(self, commands: list[Command]) -> None:
        self._targets = {command.name: command.target for command in commands}
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            module, _, attribute = self._targets[name].partition(":")
            target = getattr(importlib.import_module(f"footprint.cli.{module}"), attribute)
            self._built[name] = _built(name, target)
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._targets.setdefault(name, "")
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._targets[name]
        self._built.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


def _built(name: str, target: Any) -> Any:
    """A Typer application or a function as a command of that name."""
    if not isinstance(target, typer.Typer):
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(name)(target)
        return typer.main.get_command(app)
    group = typer.main.get_group(target)
    group.name = name
    return group


class FamilyGroup(typer.core.TyperGroup):
    """The program itself: help lists the commands by family."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table; none is imported for it."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One panel a family, from the table."""
        for family, commands in FAMILIES:
            with formatter.section(family):
                formatter.write_dl([(command.name, command.summary) for command in commands])


def command_group(help_text: str, cls: type[typer.core.TyperGroup] = typer.core.TyperGroup) -> typer.Typer:
    """A group of commands, ``footprint NAME …``, which hands ``--config`` on to them."""
    app = typer.Typer(help=help_text, cls=cls, no_args_is_help=True, rich_markup_mode=None, add_completion=False)

    @app.callback()
    def share_config(ctx: typer.Context, config: ConfigOption = None) -> None:
        _share(ctx, config)

    return app


def _share(ctx: typer.Context, config: str | None) -> None:
    """Make a configuration that was named before a command the default of that command's own option."""
    if config is not None and ctx.invoked_subcommand is not None:
        ctx.default_map = {ctx.invoked_subcommand: {"config": config}}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"footprint {VERSION}")
        raise typer.Exit


def program() -> typer.core.TyperGroup:
    """The ``footprint`` command with all its commands."""
    app = typer.Typer(
        name="footprint",
        help="Measure what AI services consume, state how sure each figure is, and publish it.",
        epilog="Exit status: 0 ok, 1 failure, 2 usage, 3 configuration, 4 sensor or source unavailable, 5 data incomplete, "
        "6 check failed, 7 no data, 130 interrupted.",
        cls=FamilyGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )

    @app.callback()
    def share_config(
        ctx: typer.Context,
        config: ConfigOption = None,
        version: Annotated[
            bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
        ] = False,
    ) -> None:
        _share(ctx, config)

    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    group.commands = LazyCommands([command for _, commands in FAMILIES for command in commands])
    return group
