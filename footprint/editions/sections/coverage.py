"""Section: share of device time by how it is known, by site, and the longest gaps."""

from __future__ import annotations

from typing import Literal

from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_HOUR
from footprint.editions.document import Chart, Column, Figure, Paragraphs, Ref, Section, Sentence, Shares, Table, TableRow, Text
from footprint.editions.edition_data import DeviceSeconds, EditionData
from footprint.editions.figure_registry import MIN_UNFLAGGED_COVERAGE, FigureRegistry
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.texts import EMPTY_TEXT, date_text, join_texts, name_text, tr, untranslated

Part = Literal["A", "B", "C", "D", "missing"]
PARTS: tuple[tuple[Part, str, Text], ...] = (
    ("A", "measured_share", tr("Mesuré par un capteur", "Measured by a sensor")),
    ("B", "bridged_share", tr("Compteur relu après un trou", "Counter read again after a gap")),
    ("C", "modelled_share", tr("Modélisé", "Modelled")),
    ("missing", "missing_share", tr("Manquant", "Missing")),
)


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """A bar of 100 %, the sites, the gaps."""
    total = data.coverage.total
    ids = {name: _share(registry, name, label, _seconds_of(total, look), total, "") for look, name, label in PARTS}
    parts = tuple((look, ids[name]) for look, name, _ in PARTS if registry[ids[name]].value)
    sites = [_row(registry, site, seconds) for site, seconds in sorted(data.coverage.sites.items()) if seconds.expected]
    columns = (Column(tr("site", "site")), *(Column(label, "value") for _, _, label in PARTS))
    blocks = [Chart("coverage", Shares(parts), _alternative(registry, ids))] if parts else []
    sentences = (*_sentences(data, ids), *_witness_sentence(data, registry))
    return Section(
        "coverage",
        EMPTY_TEXT,
        join_texts(tr("Part du temps des appareils attendus.", "Share of the expected devices’ time."), _flag_note(data)),
        _title(registry, ids),
        tr("Temps des appareils, selon la manière de le connaître", "Devices’ time, by how it is known"),
        (*blocks, Paragraphs(sentences), Table("coverage", columns, tuple(sites), tr("Couverture par site", "Coverage by site"))),
        source_line(data),
    )


def add_coverage(data: EditionData, registry: FigureRegistry) -> str:
    """Add the coverage of the period, shown beside the strip of days, and return its id."""
    value = data.current.row["coverage"]
    return registry.add_figure(
        "coverage||+0m",
        Figure(
            id="",
            indicator="coverage",
            label=tr("Taux de couverture", "Coverage"),
            kind="share",
            unit="1",
            period=str(data.period),
            value=value,
            flags=() if value is not None else ("x",),
            obs_status="A" if value is not None else "M",
            formula="device-seconds read / expected",
        ),
    )


def _seconds_of(seconds: DeviceSeconds, look: Part) -> float:
    return {"A": seconds.measured, "B": seconds.bridged, "C": seconds.modelled, "missing": seconds.missing}.get(look, 0.0)


def _share(registry: FigureRegistry, name: str, label: Text, part: float, device_time: DeviceSeconds, site: str) -> str:
    total = device_time.measured + device_time.bridged + device_time.modelled + device_time.missing
    value = part / total if total else None
    where = (("site", site),) if site else ()
    return registry.add_figure(
        f"{name}|{site}",
        Figure(
            id="",
            indicator=name,
            label=label,
            kind="share",
            unit="1",
            period=str(registry.data.period),
            value=value,
            where=where,
            flags=() if value is not None else ("x",),
            obs_status="A" if value is not None else "M",
            formula=f"device-seconds {name.removesuffix('_share')} / expected",
        ),
    )


def _row(registry: FigureRegistry, site: str, seconds: DeviceSeconds) -> TableRow:
    ids = [_share(registry, name, label, _seconds_of(seconds, look), seconds, site) for look, name, label in PARTS]
    return TableRow((untranslated(site) if site else name_text(site), *(Ref(identity, "value") for identity in ids)))


def _flag_note(data: EditionData) -> Text:
    coverage = data.current.row["coverage"]
    if coverage is None or coverage >= MIN_UNFLAGGED_COVERAGE:
        return EMPTY_TEXT
    return tr("Sous 80 %, un chiffre porte [u].", "Below 80%, a figure bears [u].")


def _title(registry: FigureRegistry, ids: dict[str, str]) -> Text:
    measured = registry[ids["measured_share"]].value or 0.0
    if measured >= 0.995:
        return tr("Presque tout le temps des appareils est lu sur un capteur", "Nearly all device time is read from a sensor")
    if measured >= 0.5:
        return tr("L’essentiel du temps des appareils est lu sur un capteur", "Most device time is read from a sensor")
    return tr(
        "Moins de la moitié du temps des appareils est lue sur un capteur", "Less than half of device time is read from a sensor"
    )


def _sentences(data: EditionData, ids: dict[str, str]) -> tuple[Sentence, ...]:
    sentences = [
        Sentence(
            tr("{value} du temps des appareils est lu sur un capteur.", "{value} of device time was read from a sensor."),
            {"value": Ref(ids["measured_share"], "value")},
            (ids["measured_share"],),
        )
    ]
    if not data.coverage.gaps:
        return (*sentences, Sentence(tr("Aucun trou de plus d’une heure.", "No gap of more than an hour.")))
    gap, zone = data.coverage.gaps[0], data.config.timezone
    hours = round((gap.end_us - gap.start_us) / US_PER_HOUR)
    day = date_text(to_datetime(gap.start_us).astimezone(zone).date())
    text = tr(
        f"Plus long trou : {hours} heures à partir du {day.fr}, {gap.host} ({gap.device}).",
        f"Longest gap: {hours} hours from {day.en} on, {gap.host} ({gap.device}).",
    )
    return (*sentences, Sentence(text))


def _witness_sentence(data: EditionData, registry: FigureRegistry) -> tuple[Sentence, ...]:
    """How much energy rests on sensors that a witness confirms, contradicts, or that have none; nothing where none spoke."""
    confirmed, disputed = data.current.witnessed
    if not confirmed and not disputed:
        return ()
    shares = (
        ("confirmed_share", tr("Énergie de capteurs confirmés", "Energy of confirmed sensors"), confirmed),
        ("disputed_share", tr("Énergie de capteurs contredits", "Energy of contradicted sensors"), disputed),
        (
            "unwitnessed_share",
            tr("Énergie de capteurs sans témoin", "Energy of sensors without a witness"),
            max(1 - confirmed - disputed, 0.0),
        ),
    )
    ids = [
        registry.add_figure(
            f"{name}|",
            Figure(
                id="",
                indicator=name,
                label=label,
                kind="share",
                unit="1",
                period=str(data.period),
                value=share,
                formula="IT energy of these sensors / IT energy",
            ),
        )
        for name, label, share in shares
    ]
    text = tr(
        "Un témoin indépendant confirme les capteurs de {confirmed} de l’énergie et contredit ceux de {disputed} ; {other} n’a pas de témoin.",
        "An independent witness confirms the sensors of {confirmed} of the energy and contradicts those of {disputed}; {other} has none.",
    )
    refs = {name: Ref(identity, "value") for name, identity in zip(("confirmed", "disputed", "other"), ids, strict=True)}
    return (Sentence(text, refs, tuple(ids)),)


def _alternative(registry: FigureRegistry, ids: dict[str, str]) -> Text:
    shares = [(label, registry[ids[name]].value or 0.0) for _, name, label in PARTS if registry[ids[name]].value]
    return tr(
        " ; ".join(f"{label.fr.lower()} : {value * 100:.1f} %".replace(".", ",") for label, value in shares) + ".",
        "; ".join(f"{label.en.lower()}: {value * 100:.1f}%" for label, value in shares) + ".",
    )
