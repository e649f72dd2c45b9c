"""``[notify]``: recipients of alerts, by e-mail or webhook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from footprint.config.toml_document import Document, resolve_path

TABLE = "notify"
KEYS = {"smtp", "smtp_user", "smtp_password_file", "smtp_tls", "sender", "recipients", "webhook", "language", "silent_after_s"}
_TLS = ("starttls", "tls", "none")
_LANGUAGES = ("fr", "en")


@dataclass(frozen=True, slots=True)
class NotificationRules:
    """Channels of notifications; nothing is sent without ``smtp`` or ``webhook``. Addresses are stored nowhere else."""

    smtp: str = ""  # host:port
    smtp_user: str = ""
    smtp_password_file: str = ""
    smtp_tls: str = "starttls"
    sender: str = ""
    recipients: tuple[str, ...] = ()
    webhook: str = ""
    language: str = "fr"
    silent_after_s: int = 3600

    @property
    def is_enabled(self) -> bool:
        """Whether a channel is declared."""
        return bool(self.smtp or self.webhook)


def read_notify(document: Document, path: Path | None) -> NotificationRules:
    """Read the [notify] section.

    Raises
    ------
    ConfigError
        If it is invalid.
    """
    section = document.data.get(TABLE, {})

    recipients = section.get("recipients", [])
    if not isinstance(recipients, list) or not all(isinstance(address, str) and "@" in address for address in recipients):
        raise document.error("recipients must be a list of addresses with an @", TABLE, 0, "recipients")
    smtp, webhook, silent_after_s = (
        document.read_text(TABLE, "smtp"),
        document.read_text(TABLE, "webhook"),
        section.get("silent_after_s", 3600),
    )
    if smtp and not (smtp.rpartition(":")[0] and smtp.rpartition(":")[2].isdigit()):
        raise document.error('smtp must be written host:port, such as "mail.example.org:587"', TABLE, 0, "smtp")
    if smtp and not (document.read_text(TABLE, "sender") and recipients):
        raise document.error("smtp needs a sender and recipients", TABLE, 0, "smtp")
    if webhook and urlsplit(webhook).scheme not in ("http", "https"):
        raise document.error("webhook must be an address that begins with http:// or https://", TABLE, 0, "webhook")
    if not isinstance(silent_after_s, int) or isinstance(silent_after_s, bool) or silent_after_s < 60:
        raise document.error("silent_after_s must be a whole number of seconds of at least 60", TABLE, 0, "silent_after_s")
    return NotificationRules(
        smtp,
        document.read_text(TABLE, "smtp_user"),
        resolve_path(document.read_text(TABLE, "smtp_password_file"), path),
        document.read_choice(TABLE, "smtp_tls", _TLS, "starttls"),
        document.read_text(TABLE, "sender"),
        tuple(recipients),
        webhook,
        document.read_choice(TABLE, "language", _LANGUAGES, "fr"),
        silent_after_s,
    )
