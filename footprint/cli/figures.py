"""The dataset of figures: its mirror as Parquet files."""

from __future__ import annotations

from typing import Annotated

import typer

from footprint.cli.exit_status import CheckFailed, Exit, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, opened, say
from footprint.core.limits import printable

app = command_group("Mirror the figures of closed days as Parquet files.")


@app.command("mirror")
def mirror(
    verify: Annotated[bool, typer.Option("--verify", help="Write nothing; compare every file with the store.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Write every day again.")] = False,
    config: ConfigOption = None,
) -> int:
    """Write the closed days that changed to the mirror, or verify it.

    The mirror, [store] mirror, holds cells without disclosure control and is never published. The scheduler and `aggregate` write
    it too. With --verify, exit 6 names each file that is missing, changed or differs from the store; days that wait to be written
    are pending, which is no fault.
    """
    from footprint.config import ConfigError
    from footprint.figures.mirror import update_mirror, verify_mirror

    if verify and all_:
        raise UsageError("--verify writes nothing; leave out --all")
    facts, store = opened(config)
    if not facts.mirror:
        raise ConfigError('no mirror is configured; name a folder or URL in [store], such as mirror = "mirror"')
    if not verify:
        summary = update_mirror(store, facts, everything=all_)
        say(str(summary) if summary is not None else "another process is writing the mirror")
        return Exit.OK
    verification = verify_mirror(store, facts)
    for note in verification.notes:
        say(f"note: {note}")
    for fault in verification.faults:
        print(printable(fault))
    if verification.faults:
        raise CheckFailed(f"{len(verification.faults)} faults")
    say(f"{facts.mirror}: {verification.days} days equal those of the store")
    return Exit.OK if verification.days else Exit.NO_DATA
