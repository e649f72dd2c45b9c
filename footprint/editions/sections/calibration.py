"""Sentences on calibration certificates: which were valid, what they change in the interval, and which ran out."""

from __future__ import annotations

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
    for certificate in effect.certificates:
        until = _date(data, certificate.until_us)
        ran_out = certificate.until_us < end_us
        sentences.append(
            Sentence(
                tr(
                    f"{certificate.host} : certificat du compteur {certificate.serial}, expiré le {until.fr} ; depuis, le surcoût déclaré ou "
                    "supposé vaut de nouveau, et l’intervalle s’élargit.",
                    f"{certificate.host}: certificate of meter {certificate.serial}, expired on {until.en}; since then the declared or "
                    "assumed uplift holds again, and the interval is wider.",
                )
                if ran_out
                else tr(
                    f"{certificate.host} : certificat du compteur {certificate.serial}, valable jusqu’au {until.fr}.",
                    f"{certificate.host}: certificate of meter {certificate.serial}, valid until {until.en}.",
                )
            )
        )
    return sentences


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
