"""``[notify]``: recipients of alerts, by e-mail or webhook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from footprint.config.toml_document import Document, resolve_path
from footprint.core.limits import insecure_url_fault, is_loopback_url, name_fault

TABLE = "notify"
KEYS = {
    "smtp",
    "smtp_user",
    "smtp_password_file",
    "smtp_tls",
    "smtp_ca_file",
    "sender",
    "recipients",
    "webhook",
    "language",
    "silent_after_s",
}
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
    silent_after_s: int = 900
    smtp_ca_file: str = ""  # PEM; replaces the authorities of the system

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
        section.get("silent_after_s", 900),
    )
    host, _, port = smtp.rpartition(":")
    if smtp and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise document.error('smtp must be written host:port, such as "mail.example.org:587"', TABLE, 0, "smtp")
    sender = document.read_text(TABLE, "sender")
    if any(name_fault(address) for address in (sender, *recipients)):
        raise document.error("sender and recipients must be addresses on one line", TABLE, 0, "recipients")
    smtp_user, smtp_tls = document.read_text(TABLE, "smtp_user"), document.read_choice(TABLE, "smtp_tls", _TLS, "starttls")
    if smtp_user and smtp_tls == "none" and not is_loopback_url(f"smtp://{host}"):
        raise document.error(
            f'smtp_tls = "none" would send the password of {smtp_user} in clear to {host}; write "starttls" or "tls"',
            TABLE,
            0,
            "smtp_tls",
        )
    if smtp_user and not document.read_text(TABLE, "smtp_password_file"):
        raise document.error("smtp_user needs smtp_password_file", TABLE, 0, "smtp_user")
    if smtp and not (sender and recipients):
        raise document.error("smtp needs a sender and recipients", TABLE, 0, "smtp")
    if webhook and (fault := insecure_url_fault(webhook)):
        raise document.error(f"webhook: {fault}", TABLE, 0, "webhook")
    if not isinstance(silent_after_s, int) or isinstance(silent_after_s, bool) or silent_after_s < 60:
        raise document.error("silent_after_s must be a whole number of seconds of at least 60", TABLE, 0, "silent_after_s")
    return NotificationRules(
        smtp,
        smtp_user,
        resolve_path(document.read_text(TABLE, "smtp_password_file"), path),
        smtp_tls,
        sender,
        tuple(recipients),
        webhook,
        document.read_choice(TABLE, "language", _LANGUAGES, "fr"),
        silent_after_s,
        resolve_path(document.read_text(TABLE, "smtp_ca_file"), path),
    )
