"""Drafts and publication of editions: checked, frozen, numbered; a revision is a further version with its causes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from footprint.calendar.periods import Period, parse_period, period_at
from footprint.config import Config
from footprint.config.models import Annotation
from footprint.core.records import FootprintError
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.core.version import VERSION
from footprint.editions import publications_page
from footprint.editions.builder import build
from footprint.editions.collect import NoData, collect_data
from footprint.editions.committee_decisions import read_decisions
from footprint.editions.confidentiality import suppress_cells
from footprint.editions.diff import compare_with_published, diff_csv, is_significant
from footprint.editions.document import Edition, Figure
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import MIN_PUBLISHED_COVERAGE
from footprint.editions.indicators import KEY_MEASURES
from footprint.editions.protected_cells import previously_published_cells
from footprint.editions.release_calendar import release_date
from footprint.editions.release_context import Bounds, ReleaseContext, ReleasedVersion, Status
from footprint.editions.render import render_files
from footprint.editions.repository import (
    CHECKSUMS_FILE,
    PublishedEdition,
    edition_files,
    edition_folder,
    published_editions,
    save,
    write_files,
)
from footprint.editions.revision_evidence import Evidence, changes_between, evidence_of
from footprint.editions.serialization import from_json, to_json
from footprint.editions.withdrawal import withdrawal_of
from footprint.ledger.minisign import sign
from footprint.queries.aggregation_lag import pending_hosts
from footprint.queries.energy_balance import OPEN
from footprint.storage.database import Store

DRAFTS_FOLDER = "drafts"  # beside the published periods
DIFF_FILE = "diff.csv"
REVISION_KINDS = ("routine", "major", "unscheduled")
SUM_TOLERANCE = 1e-9  # relative: parts and whole


class NotPublishable(FootprintError):
    """An edition that may not be published; the message lists every check that fails."""


class NothingChanged(NotPublishable):
    """A version that would equal the last one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An unpublished edition with its data; ``figures`` by key."""

    edition: Edition
    data: EditionData
    figures: Mapping[str, Figure]


def draft_edition(store: Store, config: Config, period: str, now_us: int, context: ReleaseContext | None = None) -> Draft:
    """Draft the edition of a period from the ledger as it is now.

    Raises
    ------
    NoData
        If the ledger holds nothing of the period.
    BadPeriod
        If the period's name is not valid.
    """
    context = context or draft_context(store, config, parse_period(period), now_us)
    data = suppress_cells(store, config, context, collect_data(store, config, context, now_us), context.cut_us)
    edition, registry = build(data)
    return Draft(edition, data, registry.by_key())


def draft_context(store: Store, config: Config, period: Period, now_us: int) -> ReleaseContext:
    """The context of a draft of the period's next version: all inputs that the ledger does not hold."""
    published = published_editions(store)
    own_versions = [edition for edition in published if edition.period == str(period)]
    predecessors = own_versions or [edition for edition in published if parse_period(edition.period) < period]
    shown, hidden = previously_published_cells(published)
    return ReleaseContext(
        period=str(period),
        version=len(own_versions) + 1,
        cut_us=now_us,
        code_version=VERSION,
        final_on=release_date(config, period, config.editions.final_day),
        next_release=release_date(config, period.shifted(1), config.editions.provisional_day),
        numbers=_numbers(predecessors[-1]) if predecessors else {},
        vintages=tuple(_released_version(edition) for edition in published),
        published_before=shown,
        hidden_before=hidden,
        decisions=read_decisions(config, str(period)),
        objectives=config.objectives,
        annotations=_annotations(config, period),
        delays=tuple(_release_delays(config, published)),
        undeclared_together=True,
    )


def _annotations(config: Config, period: Period) -> tuple[Annotation, ...]:
    """Annotations that begin before the end of a period."""
    end = period.bounds_us(config.timezone)[1]
    return tuple(annotation for annotation in config.annotations if annotation.at_us < end)


def _numbers(published: PublishedEdition) -> dict[str, int]:
    """Figure numbers by key, of a version and of its predecessors."""
    numbers = dict(published.context.numbers)
    return numbers | {key: int(identity.rsplit("-", 1)[1]) for key, identity in published.figures.items()}


def _released_version(published: PublishedEdition) -> ReleasedVersion:
    """The key figures of a published edition, as later editions need them."""
    edition = from_json(published.report)
    length = parse_period(published.period).length
    key_figures = {f"{measure.indicator}||+0m{length}" for measure in KEY_MEASURES}
    figures: dict[str, Bounds] = {}
    for key, identity in published.figures.items():
        if key in key_figures:
            figure = edition.figure(identity)
            figures[key] = figure.value, figure.low, figure.high
    context = published.context
    return ReleasedVersion(
        published.period,
        published.version,
        context.status,
        context.released,
        published.method_version,
        published.factor_version,
        context.kind,
        context.reason,
        figures,
        context.changes,
    )


def _release_delays(config: Config, published: Sequence[PublishedEdition]) -> Iterable[tuple[str, int, int]]:
    """For every first version: days allowed and days taken after the period's end."""
    for edition in published:
        if edition.version == 1:
            end = parse_period(edition.period).bounds_us(config.timezone)[1]
            yield edition.name, config.editions.provisional_day, (edition.released_us - end) // US_PER_DAY + 1


def publish_edition(
    store: Store,
    config: Config,
    period: str,
    now_us: int,
    *,
    final: bool = False,
    kind: str = "",
    reason: str = "",
    anyway: bool = False,
    accepted: str = "",
) -> PublishedEdition:
    """Freeze the edition of a period as its next version: files in the edition store, digests and content in SQL.

    ``anyway`` publishes a change below the threshold; ``kind`` is that of a revision, inferred if empty. ``accepted`` is the
    reason for publishing although hidden cells can be derived; the edition prints it.

    Raises
    ------
    NotPublishable
        If a check fails (the message names it), or nothing changed since the last version.
    NoData
        If the ledger holds nothing of the period.
    """
    if kind and kind not in REVISION_KINDS:
        raise NotPublishable(f"kind {kind!r} is not known; it may be {', '.join(REVISION_KINDS)}")
    if kind == "unscheduled" and not reason:
        raise NotPublishable("an unscheduled revision needs a reason: --reason …")
    now_us -= now_us % US_PER_S
    parsed_period = parse_period(period)
    with store.exclusive_lock("publish", wait=True):
        earlier = published_editions(store, str(parsed_period))
        for version in earlier:
            restore_files(config, version)
        draft = draft_edition(store, config, period, now_us)
        check_publishable(draft, now_us, accepted)
        start, end = parsed_period.bounds_us(config.timezone)
        evidence = evidence_of(store, config.timezone, start, end, draft.edition.basis.method_version)
        context = _next_context(
            config,
            draft,
            earlier,
            evidence,
            now_us,
            final=final,
            kind=kind,
            reason=reason,
            anyway=anyway,
            replaces_withdrawn=bool(earlier) and bool(withdrawal_of(store, earlier[-1].name)),
        )
        exposed = draft.data.suppression is not None and bool(draft.data.suppression.exposed)
        context = replace(context, accepted=accepted.strip() if exposed else "")
        edition, registry = build(replace(draft.data, context=context))
        files = render_files(edition)
        if earlier:
            files[DIFF_FILE] = diff_csv(
                compare_with_published(earlier[-1], edition, {key: f.id for key, f in registry.by_key().items()})
            )
        published = PublishedEdition(
            str(parsed_period),
            context.version,
            context.status,
            context.kind,
            now_us,
            edition.basis.method_version,
            edition.basis.factor_version,
            context.code_version,
            _digests(files),
            context,
            evidence,
            to_json(edition),
            {key: figure.id for key, figure in registry.by_key().items()},
        )
        # SQL first: if writing the files is interrupted, the next run writes the same ones.
        save(store, published)
        write_files(
            edition_files(config),
            published.period,
            published.version,
            {**files, CHECKSUMS_FILE: published.sums(), **_signature(config, published)},
        )
        publications_page.write_pages(store, config, now_us)
        return published


def _signature(config: Config, published: PublishedEdition) -> dict[str, bytes]:
    """The signature of a version's SHA256SUMS as a file beside it, if a key is configured."""
    if not config.signing_key:
        return {}
    return {f"{CHECKSUMS_FILE}.minisig": sign(published.sums(), config.signing_key, f"footprint edition {published.name}")}


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(raw).hexdigest() for name, raw in sorted(files.items())}


def restore_files(config: Config, published: PublishedEdition) -> None:
    """Write the files of a published version that the edition store lacks, from its content in SQL."""
    store = edition_files(config)
    if store.exists(f"{edition_folder(published.period, published.version)}/{CHECKSUMS_FILE}"):
        return
    files = render_files(from_json(published.report))
    # Keep only files whose digest matches; a newer renderer may produce other bytes.
    unchanged = {name: raw for name, raw in files.items() if published.files.get(name) == hashlib.sha256(raw).hexdigest()}
    write_files(store, published.period, published.version, {**unchanged, CHECKSUMS_FILE: published.sums()})


def check_publishable(draft: Draft, now_us: int, accepted: str = "") -> None:
    """Check whether a draft may be published; ``accepted`` is the reason for accepting that hidden cells can be derived.

    Raises
    ------
    NotPublishable
        With every check that fails.
    """
    data, faults = draft.data, []
    if now_us < data.period.bounds_us(data.config.timezone)[1]:
        faults.append(f"{data.period} is not over yet")
    faults += [f"the balance of {row['host']} does not close: {row['reason']}" for row in data.closure if row["state"] == OPEN]
    if pending := pending_hosts(data.closure):
        faults.append(pending)
    row = data.current.row
    if row["coverage"] is None or row["coverage"] < MIN_PUBLISHED_COVERAGE:
        coverage = "unknown" if row["coverage"] is None else f"{row['coverage']:.1%}"
        faults.append(f"coverage is {coverage}, and under {MIN_PUBLISHED_COVERAGE:.0%} nothing is published")
    if row["status"] == "provisional":
        faults.append("days of the period are provisional: run footprint aggregate once they are closed")
    faults += _sum_faults(data)
    if data.suppression is not None and data.suppression.exposed and not accepted.strip():
        cells = ", ".join(" x ".join(name for name in cell if name) or "the total" for cell in data.suppression.exposed)
        faults.append(
            f"what must be shown (the total, or what was published before) gives hidden cells away: {cells}; "
            'import user counts of more cells, or publish nevertheless with --accept-exposed "REASON", which the edition prints'
        )
    if faults:
        raise NotPublishable(f"{data.period} cannot be published: {'; '.join(faults)}")


def _sum_faults(data: EditionData) -> Iterable[str]:
    """Groups whose parts do not sum to the total."""
    total = data.current.row["energy_kwh"]
    for name, rows in (("use cases", data.uses), ("services", data.services)):
        parts = sum(indicators.row["energy_kwh"] or 0.0 for indicators in rows.get(str(data.period), {}).values())
        if abs(parts - total) > SUM_TOLERANCE * max(abs(total), 1.0):
            yield f"energy of {name} sums to {parts:.9g} kWh and not to {total:.9g} kWh"


def _next_context(
    config: Config,
    draft: Draft,
    earlier: Sequence[PublishedEdition],
    evidence: Evidence,
    now_us: int,
    *,
    final: bool,
    kind: str,
    reason: str,
    anyway: bool,
    replaces_withdrawn: bool,
) -> ReleaseContext:
    """The context of the version to publish, after checking that it differs from the last one."""
    period = draft.data.period
    final_due_us = period.bounds_us(config.timezone)[1] + config.editions.final_day * US_PER_DAY
    status: Status = "final" if final or now_us >= final_due_us else "provisional"
    base = replace(draft.data.context, status=status, released=format_instant(now_us), cut_us=now_us, reason=reason)
    if not earlier:
        return base
    last = earlier[-1]
    changed_figures = compare_with_published(last, draft.edition, {key: figure.id for key, figure in draft.figures.items()})
    if last.status in ("final", "revised"):
        status = "revised"
    becomes_final = status == "final" and last.status == "provisional"
    if not changed_figures and not becomes_final and not replaces_withdrawn:
        raise NothingChanged(f"nothing changed since {last.name}: every figure is the same")
    if (
        changed_figures
        and not becomes_final
        and not replaces_withdrawn
        and not anyway
        and not any(is_significant(difference) for difference in changed_figures)
    ):
        largest = max(abs(difference.relative or 0.0) for difference in changed_figures)
        raise NothingChanged(
            f"no figure changed since {last.name} by more than 2 % or half of its interval's half-width (at most {largest:.2%}): "
            "the next edition will contain it; --anyway publishes a version nevertheless"
        )
    changes = changes_between(last.evidence, evidence)
    revision_kind = kind or ("major" if any(difference.cause == "method" for difference in changes) else "routine")
    return replace(base, status=status, kind=revision_kind if changed_figures or replaces_withdrawn else "", changes=changes)


def erase_drafts(config: Config) -> int:
    """Erase the files of all drafts, which are written again from the ledger; return their number."""
    files = edition_files(config)
    drafts = [name for name in files.all_names() if name.startswith(f"{DRAFTS_FOLDER}/")]
    for name in drafts:
        files.erase(name)
    return len(drafts)


def write_due_draft(store: Store, config: Config, now_us: int, tell: Callable[[str], None]) -> str:
    """Write the draft of the last quarter into ``drafts/PERIOD`` of the edition store; return the outcome as a message."""
    period = period_at(now_us, config.timezone).shifted(-1)
    if published_editions(store, str(period)):
        return f"{period} is published"
    tell(str(period))
    try:
        draft = draft_edition(store, config, str(period), now_us)
    except NoData:
        return f"no data in {period}"
    drafts, files = edition_files(config), render_files(draft.edition)
    for name, raw in sorted(files.items()):
        drafts.write(f"{DRAFTS_FOLDER}/{period}/{name}", raw)
    try:
        check_publishable(draft, now_us)
    except NotPublishable as faults:
        return f"{period} is drafted; {faults}"
    return f"{period} is drafted and may be published: footprint report publish {period}"
