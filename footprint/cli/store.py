"""The store itself: where it is, of which release, and its upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footprint.cli.exit_status import Exit
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, loaded, say
from footprint.core.timestamps import now_us

if TYPE_CHECKING:
    from footprint.config import Config

app = command_group("Upgrade the store of an earlier release.")


@app.command("upgrade")
def upgrade_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    backup: Annotated[Path | None, typer.Option("--backup", metavar="FILE", help="The backup; default beside the store.")] = None,
    config: ConfigOption = None,
) -> int:
    """Bring a store of an earlier release forward, after a backup.

    Refused while another process has the store open. There is no way back but the backup, which the earlier release restores.
    """
    upgrade(loaded(config), backup=backup, dry_run=dry_run)
    return Exit.OK


def upgrade(facts: Config, *, backup: Path | None = None, dry_run: bool = False) -> None:
    """Upgrade the store of a configuration, and say what was done."""
    from footprint.cli.progress import Progress
    from footprint.ledger.store_upgrade import plan_upgrade, upgrade_store

    now = now_us()
    folder = facts.path.resolve().parent if facts.path else Path.cwd()
    plan = plan_upgrade(facts.store_url, folder, now, backup)
    if dry_run or not plan.is_needed:
        say(f"store {plan.location}: {plan}")
        return
    progress = Progress("Converting figures", unit="days", quiet_s=5)
    try:
        upgrade_store(facts.store_url, plan, now, progress.count)
    finally:
        progress.close()
    say(f"store {plan.location}: {plan}; done")
