"""Periodic editions on the command line: build, publish, list, show, compare, verify and audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.exit_status import CheckFailed, Exit, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, FormatOption, Language, LanguageOption, OutputOption, opened, say
from footprint.core.output_files import write_output
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import now_us

app = command_group("Build, publish, compare and verify periodic editions.")
PeriodArgument = Annotated[str, typer.Argument(metavar="PERIOD", help="2026-Q3, 2026-07 or 2026.")]
EditionArgument = Annotated[str, typer.Argument(metavar="EDITION", help="2026-Q3.v1, or 2026-Q3 for its last version.")]
FIGURE_COLUMNS = (
    "figure_id",
    "indicator",
    "label",
    "cell",
    "period",
    "value",
    "low",
    "high",
    "unit",
    "quality",
    "coverage",
    "obs_status",
    "conf_status",
    "flags",
    "method_version",
    "factor_version",
    "shown",
)


@app.command("build")
def build(
    period: PeriodArgument,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the draft.")] = Path("."),
    config: ConfigOption = None,
) -> int:
    """Build the draft of an edition into a folder; nothing is published."""
    from footprint.editions.collect import NoData
    from footprint.editions.publication import draft_edition
    from footprint.editions.render import render_files

    facts, store = opened(config)
    try:
        drafted = draft_edition(store, facts, period, now_us())
    except NoData as nothing:
        say(str(nothing))
        return Exit.NO_DATA
    files = render_files(drafted.edition)
    for name, raw in sorted(files.items()):
        write_output(output / name, raw)
    version, figures = drafted.edition.masthead.version, len(drafted.edition.figures)
    say(f"{period}: draft of version {version}, {figures} figures, {len(files)} files in {output}")
    return Exit.OK


@app.command("publish")
def publish(
    period: PeriodArgument,
    final: Annotated[bool, typer.Option("--final", help="Mark as final before the scheduled date.")] = False,
    kind: Annotated[str, typer.Option(help="Kind of a revision: routine, major or unscheduled (default: inferred).")] = "",
    reason: Annotated[str, typer.Option(help="Reason; required for an unscheduled revision.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Publish also where no figure changed enough.")] = False,
    accept_exposed: Annotated[
        str, typer.Option(metavar="REASON", help="Publish although hidden cells can be derived; the edition states why.")
    ] = "",
    config: ConfigOption = None,
) -> int:
    """Publish the edition of a period; it never changes afterwards.

    Refused (exit 6) where a check fails.
    """
    from footprint.editions.collect import NoData
    from footprint.editions.publication import NotPublishable, publish_edition

    facts, store = opened(config)
    try:
        published = publish_edition(
            store, facts, period, now_us(), final=final, kind=kind, reason=reason, anyway=anyway, accepted=accept_exposed
        )
    except NoData as nothing:
        say(str(nothing))
        return Exit.NO_DATA
    except NotPublishable as refused:
        raise CheckFailed(str(refused)) from None
    if published.context.accepted:
        say(
            f"{published.name}: hidden cells can be derived from what it shows; it says so, and why: {published.context.accepted}"
        )
    causes = "".join(f"; {change.cause} {change.energy_kwh:+.6g} kWh" for change in published.context.changes)
    folder = f"{facts.editions_url()}/{published.period}/v{published.version}"
    say(f"{published.name} is published, {published.status}{causes}: {folder}")
    return Exit.OK


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the published versions with status, causes and digest."""
    from footprint.editions.repository import LIST_COLUMNS, edition_row, published_editions

    _, store = opened(config)
    rows = [edition_row(published) for published in published_editions(store)]
    emit(list(LIST_COLUMNS), rows, form, output)
    if not rows:
        say("nothing is published yet; `footprint report publish 2026-Q3` publishes")
        return Exit.NO_DATA
    return Exit.OK


@app.command("calendar")
def calendar(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List announced and actual release dates."""
    from footprint.editions.release_calendar import COLUMNS, calendar_of_store
    from footprint.editions.repository import published_editions

    facts, store = opened(config)
    emit(list(COLUMNS), calendar_of_store(store, facts, published_editions(store), now_us()), form, output)
    return Exit.OK


@app.command("show")
def show(
    edition: EditionArgument,
    language: LanguageOption = Language.en,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Show the figures of a published edition, as its pages write them and as numbers."""
    from footprint.editions.repository import published_edition
    from footprint.editions.serialization import from_json

    _, store = opened(config)
    emit(list(FIGURE_COLUMNS), figure_rows(from_json(published_edition(store, edition).report), language), form, output)
    return Exit.OK


def figure_rows(edition: Any, language: str) -> list[dict[str, Any]]:
    """Figures as rows; labels and ``shown`` (as pages write it) in a language."""
    from footprint.editions.figure_format import format_figure

    return [
        {
            "figure_id": figure.id,
            "indicator": figure.indicator,
            "label": figure.label.in_(language),
            "cell": ";".join(f"{name}={value}" for name, value in figure.where),
            "period": figure.period,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "unit": figure.unit,
            "quality": figure.quality,
            "coverage": figure.coverage,
            "obs_status": figure.obs_status,
            "conf_status": figure.conf_status,
            "flags": "+".join(figure.flags),
            "method_version": figure.method_version,
            "factor_version": figure.factor_version,
            "shown": format_figure(figure, language).full,
        }
        for figure in edition.figures
    ]


@app.command("diff")
def diff(
    before: EditionArgument,
    after: EditionArgument,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Show the figures that differ between two versions, and the causes."""
    from footprint.editions.diff import COLUMNS, compare_with_published, difference_rows
    from footprint.editions.repository import published_edition
    from footprint.editions.serialization import from_json

    _, store = opened(config)
    old, new = published_edition(store, before), published_edition(store, after)
    emit(list(COLUMNS), difference_rows(compare_with_published(old, from_json(new.report), new.figures)), form, output)
    for change in new.context.changes:
        grams = "unknown" if change.co2e_g is None else f"{change.co2e_g:+.6g} gCO2e"
        say(f"{change.cause}: {change.energy_kwh:+.6g} kWh, {grams}")
    return Exit.OK


@app.command("verify")
def verify(
    edition: EditionArgument, config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None
) -> int:
    """Rebuild a published edition from the ledger; exit 6 names what differs."""
    from footprint.editions.repository import published_edition
    from footprint.editions.verification import COLUMNS
    from footprint.editions.verification import verify as verify_edition

    facts, store = opened(config)
    published = published_edition(store, edition)
    rows = verify_edition(store, facts, published, now_us())
    emit(list(COLUMNS), rows, form, output)
    differ = [str(row["what"]) for row in rows if not row["same"]]
    if differ:
        more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
        raise CheckFailed(f"{published.name} differs: {', '.join(differ[:5])}{more}")
    say(f"{published.name}: identical")
    return Exit.OK


@app.command("withdraw")
def withdraw(
    edition: EditionArgument,
    replace: Annotated[str, typer.Option("--replace", metavar="OLD", help="The name that it prints.")],
    by: Annotated[str, typer.Option("--with", metavar="NEW", help="The name in its place.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; readers see it.")],
    config: ConfigOption = None,
) -> int:
    """Take an edition that prints a name of a person off the server.

    Its files are erased; its digests stay. Publish a corrected version next.
    """
    from footprint.editions.repository import published_edition
    from footprint.editions.withdrawal import withdraw_edition

    if not reason.strip():
        raise UsageError("--reason must say why")
    facts, store = opened(config)
    published = published_edition(store, edition)
    files = withdraw_edition(store, facts, published, replace, by, reason.strip(), now_us())
    say(f"{published.name} is withdrawn: {files} files erased, their digests stay")
    return Exit.OK


@app.command("exclusions")
def exclusions(
    edition: EditionArgument, config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None
) -> int:
    """List what the figures of a period exclude.

    Unread devices, hosted models, and what is out of the boundary.
    """
    from footprint.editions.audit_sample import EXCLUSION_COLUMNS
    from footprint.editions.audit_sample import list_exclusions as exclusion_rows

    facts, store = opened(config)
    emit(list(EXCLUSION_COLUMNS), exclusion_rows(store, facts, edition.partition(".v")[0], now_us()), form, output)
    return Exit.OK


@app.command("sample")
def sample(
    edition: EditionArgument,
    size: Annotated[int, typer.Option(min=1, help="Number of figures.")] = 5,
    seed: Annotated[int, typer.Option(help="The same seed draws the same figures.")] = 1,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Draw figures of a published edition at random, with the command that checks each."""
    from footprint.editions.audit_sample import SAMPLE_COLUMNS
    from footprint.editions.audit_sample import sample_figures as draw_sample
    from footprint.editions.repository import published_edition
    from footprint.editions.serialization import from_json

    _, store = opened(config)
    emit(list(SAMPLE_COLUMNS), draw_sample(from_json(published_edition(store, edition).report), size, seed), form, output)
    return Exit.OK
