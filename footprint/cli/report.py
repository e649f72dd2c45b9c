"""This file drafts, publishes, lists, compares and verifies periodic editions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from footprint.cli.impact import LanguageOption, language_of
from footprint.cli.options import CheckFailed, ConfigOption, Exit, FormatOption, OutputOption, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import now_us

app = typer.Typer(help="Periodic editions: drafted, published once and for all, verified.", no_args_is_help=True)
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
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder to write the draft into.")] = Path("."),
    config: ConfigOption = None,
) -> int:
    """Draft the edition of a period into a folder; nothing is published."""
    from footprint.editions.collect import NoData
    from footprint.editions.publication import draft_edition
    from footprint.editions.render import render_files

    facts, store = opened(config)
    try:
        found = draft_edition(store, facts, period, now_us())
    except NoData as nothing:
        say(str(nothing))
        return Exit.NO_DATA
    files = render_files(found.edition)
    for name, raw in sorted(files.items()):
        _write(output / name, raw)
    version, figures = found.edition.masthead.version, len(found.edition.figures)
    say(f"{period}: draft of version {version}, {figures} figures, {len(files)} files in {output}")
    return Exit.OK


def _write(path: Path, raw: bytes) -> None:
    """Under its name only once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(raw)
    part.replace(path)


@app.command("publish")
def publish(
    period: PeriodArgument,
    final: Annotated[bool, typer.Option("--final", help="Final before its day.")] = False,
    kind: Annotated[str, typer.Option(help="Of a revision: routine, major or unscheduled; default: found out.")] = "",
    reason: Annotated[str, typer.Option(help="Words on why; needed where a revision is unscheduled.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where no figure changed by more than the threshold.")] = False,
    accept_exposed: Annotated[
        str, typer.Option(metavar="REASON", help="Why, where what must be shown gives hidden cells away; the edition tells.")
    ] = "",
    config: ConfigOption = None,
) -> int:
    """Freeze the edition of a period; refused (exit 6) where a check fails. What is published never changes."""
    from footprint.editions.collect import NoData
    from footprint.editions.publication import NotPublishable
    from footprint.editions.publication import publish_edition as freeze

    facts, store = opened(config)
    try:
        found = freeze(
            store, facts, period, now_us(), final=final, kind=kind, reason=reason, anyway=anyway, accepted=accept_exposed
        )
    except NoData as nothing:
        say(str(nothing))
        return Exit.NO_DATA
    except NotPublishable as refused:
        raise CheckFailed(str(refused)) from None
    if found.context.accepted:
        say(f"{found.name}: hidden cells can be derived from what it shows; it says so, and why: {found.context.accepted}")
    causes = "".join(f"; {each.cause} {each.energy_kwh:+.6g} kWh" for each in found.context.changes)
    say(f"{found.name} is published, {found.status}{causes}: {facts.editions_url()}/{found.period}/v{found.version}")
    return Exit.OK


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """Every version that was published, with its status, its causes and the digest of its files."""
    from footprint.editions.repository import LIST_COLUMNS, edition_row, published_editions

    _, store = opened(config)
    rows = [edition_row(each) for each in published_editions(store)]
    emit(list(LIST_COLUMNS), rows, form, output)
    if not rows:
        say("nothing is published yet; `footprint report publish 2026-Q3` publishes")
        return Exit.NO_DATA
    return Exit.OK


@app.command("calendar")
def calendar(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """When each edition is announced for, and when it came."""
    from footprint.editions.release_calendar import COLUMNS
    from footprint.editions.release_calendar import release_rows as announced
    from footprint.editions.repository import published_editions

    facts, store = opened(config)
    emit(list(COLUMNS), announced(facts, published_editions(store), now_us()), form, output)
    return Exit.OK


@app.command("show")
def show(
    edition: EditionArgument,
    language: LanguageOption = "en",
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """The figures of a published edition, as they were published: as its pages write them, and as numbers."""
    from footprint.editions.repository import published_edition
    from footprint.editions.serialization import from_json

    language_of(language)
    _, store = opened(config)
    emit(list(FIGURE_COLUMNS), figure_rows(from_json(published_edition(store, edition).report), language), form, output)
    return Exit.OK


def figure_rows(edition: Any, language: str) -> list[dict[str, Any]]:
    """Figures as rows; labels, and ``shown`` as pages write it, in a language."""
    from footprint.editions.figure_format import format_figure

    return [
        {
            "figure_id": each.id,
            "indicator": each.indicator,
            "label": each.label.in_(language),
            "cell": ";".join(f"{name}={value}" for name, value in each.where),
            "period": each.period,
            "value": each.value,
            "low": each.low,
            "high": each.high,
            "unit": each.unit,
            "quality": each.quality,
            "coverage": each.coverage,
            "obs_status": each.obs_status,
            "conf_status": each.conf_status,
            "flags": "+".join(each.flags),
            "method_version": each.method_version,
            "factor_version": each.factor_version,
            "shown": format_figure(each, language).full,
        }
        for each in edition.figures
    ]


@app.command("diff")
def diff(
    before: EditionArgument,
    after: EditionArgument,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Figures that two versions give otherwise, and the causes of the later one."""
    from footprint.editions.diff import COLUMNS, compare_with_published, difference_rows
    from footprint.editions.repository import published_edition
    from footprint.editions.serialization import from_json

    _, store = opened(config)
    old, new = published_edition(store, before), published_edition(store, after)
    emit(list(COLUMNS), difference_rows(compare_with_published(old, from_json(new.report), new.figures)), form, output)
    for each in new.context.changes:
        grams = "unknown" if each.co2e_g is None else f"{each.co2e_g:+.6g} gCO2e"
        say(f"{each.cause}: {each.energy_kwh:+.6g} kWh, {grams}")
    return Exit.OK


@app.command("verify")
def verify(
    edition: EditionArgument, config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None
) -> int:
    """Build a published edition again from the ledger: identical, or what differs (exit 6)."""
    from footprint.editions.repository import published_edition
    from footprint.editions.verification import COLUMNS
    from footprint.editions.verification import verify as compare

    facts, store = opened(config)
    published = published_edition(store, edition)
    rows = compare(store, facts, published, now_us())
    emit(list(COLUMNS), rows, form, output)
    differ = [str(row["what"]) for row in rows if not row["same"]]
    if differ:
        more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
        raise CheckFailed(f"{published.name} differs: {', '.join(differ[:5])}{more}")
    say(f"{published.name}: identical")
    return Exit.OK


@app.command("exclusions")
def exclusions(
    edition: EditionArgument, config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None
) -> int:
    """What the figures of a period do not hold: devices not read, hosted models, what is out of the boundary."""
    from footprint.editions.audit_sample import EXCLUSION_COLUMNS
    from footprint.editions.audit_sample import list_exclusions as ask

    facts, store = opened(config)
    emit(list(EXCLUSION_COLUMNS), ask(store, facts, edition.partition(".v")[0], now_us()), form, output)
    return Exit.OK


@app.command("sample")
def sample(
    edition: EditionArgument,
    size: Annotated[int, typer.Option(min=1, help="How many figures.")] = 5,
    seed: Annotated[int, typer.Option(help="The same seed draws the same figures.")] = 1,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Figures of a published edition drawn at random, with the command that checks each."""
    from footprint.editions.audit_sample import SAMPLE_COLUMNS
    from footprint.editions.audit_sample import sample_figures as draw
    from footprint.editions.repository import published_edition
    from footprint.editions.serialization import from_json

    _, store = opened(config)
    emit(list(SAMPLE_COLUMNS), draw(from_json(published_edition(store, edition).report), size, seed), form, output)
    return Exit.OK
