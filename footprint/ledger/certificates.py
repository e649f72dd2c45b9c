"""Calibration certificates in the ledger: events that are sealed with the others, never changed and never deleted."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, select

from footprint.config import Config
from footprint.config.certificates import CalibrationCertificate
from footprint.storage import schema
from footprint.storage.database import Store, table

CALIBRATION = "calibration"  # kind of the event


def add_certificate(store: Store, certificate: CalibrationCertificate) -> bool:
    """Append a certificate; the days that it changes are computed again by the next aggregation.

    Returns False, and appends nothing, where the newest one of the host differs in the instant of its making alone.
    """
    with store.begin() as connection:
        earlier = [stored for stored in stored_certificates(connection) if stored.host == certificate.host]
        if earlier and replace(earlier[-1], made_us=certificate.made_us) == certificate:
            return False
        store.record_event(connection, certificate.made_us, CALIBRATION, certificate.to_json())
    return True


def stored_certificates(connection: Connection) -> tuple[CalibrationCertificate, ...]:
    """All certificates of the ledger, in the order in which they were made."""
    event = table(schema.Event)
    rows = connection.execute(select(event.c.text).where(event.c.kind == CALIBRATION).order_by(event.c.id))
    return tuple(CalibrationCertificate.from_json(text) for text in rows.scalars())


def with_certificates(config: Config, connection: Connection) -> Config:
    """The configuration with the certificates of the ledger, under which figures are computed."""
    certificates = stored_certificates(connection)
    return replace(config, certificates=certificates) if certificates != config.certificates else config


def certified_config(store: Store, config: Config) -> Config:
    """``with_certificates`` in a transaction of its own."""
    with store.read() as connection:
        return with_certificates(config, connection)
