"""Sentences on calibration certificates: which were valid, what they change in the interval, and which ran out."""

from __future__ import annotations

from collections.abc import Sequence

from footprint.config.certificates import CalibrationCertificate, certificate_at
from footprint.core.timestamps import to_datetime
from footprint.editions.document import Figure, Ref, Sentence, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.texts import date_text, tr


def calibration_sentences(data: EditionData, registry: FigureRegistry) -> list[Sentence]:
    """The effect on the interval of the energy, then each certificate of the period; none where no host was calibrated."""
    effect, sentences = data.calibration, []
    if effect.half_without is not None and effect.half_with is not None:
        refs = {
            "with": _half_width(data, registry, "certificates", tr("avec étalonnage", "with calibration"), effect.half_with),
            "without": _half_width(
                data, registry, "no_certificates", tr("sans étalonnage", "without calibration"), effect.half_without
            ),
        }
        sentences.append(
            Sentence(
                tr(
                    "Étalonnage au compteur mural : l’incertitude élargie de l’énergie est de ± {with} ; sans certificat, elle serait de ± {without}.",
                    "Calibration on a wall meter: the expanded uncertainty of the energy is ± {with}; without a certificate it would be ± {without}.",
                ),
                {name: Ref(identity, "value") for name, identity in refs.items()},
                tuple(refs.values()),
            )
        )
    end_us = data.period.bounds_us(data.config.timezone)[1]
    narrows = effect.half_with is not None and effect.half_without is not None and effect.half_with < effect.half_without
    sentences += [
        Sentence(_certificate_text(data, certificate, end_us, narrows=narrows))
        for certificate in effect.certificates
        if not _is_replaced(certificate, effect.certificates)
    ]
    return sentences


def _is_replaced(certificate: CalibrationCertificate, certificates: Sequence[CalibrationCertificate]) -> bool:
    """Whether a later certificate of the host held at each instant at which this one was valid."""
    return any(
        later.host == certificate.host
        and later.made_us > certificate.made_us
        and later.since_us <= certificate.since_us
        and later.until_us >= certificate.until_us
        for later in certificates
    )


def _certificate_text(data: EditionData, certificate: CalibrationCertificate, end_us: int, *, narrows: bool) -> Text:
    host, serial, until = certificate.host, certificate.serial, _date(data, certificate.until_us)
    if certificate.until_us >= end_us:
        return tr(
            f"{host} : certificat du compteur {serial}, valable jusqu’au {until.fr}.",
            f"{host}: certificate of meter {serial}, valid until {until.en}.",
        )
    successor = certificate_at(data.calibration.certificates, host, certificate.until_us)
    if successor is not None:
        return tr(
            f"{host} : certificat du compteur {serial}, expiré le {until.fr} ; celui du compteur {successor.serial} vaut depuis.",
            f"{host}: certificate of meter {serial}, expired on {until.en}; that of meter {successor.serial} holds since then.",
        )
    wider = tr(", et l’intervalle s’élargit", ", and the interval is wider") if narrows else tr("", "")
    return tr(
        f"{host} : certificat du compteur {serial}, expiré le {until.fr} ; depuis, le surcoût déclaré ou supposé vaut de nouveau{wider.fr}.",
        f"{host}: certificate of meter {serial}, expired on {until.en}; since then the declared or assumed uplift holds again{wider.en}.",
    )


def _half_width(data: EditionData, registry: FigureRegistry, name: str, label: Text, value: float) -> str:
    return registry.add_figure(
        f"expanded_uncertainty_{name}|",
        Figure(
            id="",
            indicator=f"expanded_uncertainty_{name}",
            label=label,
            kind="share",
            unit="1",
            period=str(data.period),
            value=value,
            formula="U = 2 u, relative to the energy",
        ),
    )


def _date(data: EditionData, instant_us: int) -> Text:
    return date_text(to_datetime(instant_us).astimezone(data.config.timezone).date())
