"""``[notify]``: recipients of alerts, by e-mail or webhook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from footprint.config.toml_document import Document

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
    def wanted(self) -> bool:
        """Whether a channel is declared."""
        return bool(self.smtp or self.webhook)


def read_notify(document: Document, path: Path | None) -> NotificationRules:
    """Read the [notify] section.

    Raises
    ------
    ConfigError
        If it is invalid.
    """
    section = document.data.get("notify", {})

    def text(key: str, default: str = "") -> str:
        value = section.get(key, default)
        if not isinstance(value, str):
            raise document.error(f"{key} must be a text in quotes", "notify", 0, key)
        return value

    def one_of(key: str, allowed: tuple[str, ...], default: str) -> str:
        if text(key, default) not in allowed:
            raise document.error(f"{key} is {text(key)!r}; it must be one of {', '.join(allowed)}", "notify", 0, key)
        return text(key, default)

    recipients = section.get("recipients", [])
    if not isinstance(recipients, list) or not all(isinstance(address, str) and "@" in address for address in recipients):
        raise document.error("recipients must be a list of addresses with an @", "notify", 0, "recipients")
    smtp, webhook, silent_after_s = text("smtp"), text("webhook"), section.get("silent_after_s", 3600)
    if smtp and not (smtp.rpartition(":")[0] and smtp.rpartition(":")[2].isdigit()):
        raise document.error('smtp must be written host:port, such as "mail.example.org:587"', "notify", 0, "smtp")
    if smtp and not (text("sender") and recipients):
        raise document.error("smtp needs a sender and recipients", "notify", 0, "smtp")
    if webhook and urlsplit(webhook).scheme not in ("http", "https"):
        raise document.error("webhook must be an address that begins with http:// or https://", "notify", 0, "webhook")
    if not isinstance(silent_after_s, int) or isinstance(silent_after_s, bool) or silent_after_s < 60:
        raise document.error("silent_after_s must be a whole number of seconds of at least 60", "notify", 0, "silent_after_s")
    password = text("smtp_password_file")
    if password and path is not None:
        password = str(path.resolve().parent / password)
    return NotificationRules(
        smtp,
        text("smtp_user"),
        password,
        one_of("smtp_tls", _TLS, "starttls"),
        text("sender"),
        tuple(recipients),
        webhook,
        one_of("language", _LANGUAGES, "fr"),
        silent_after_s,
    )
