"""Notification channels: e-mail through SMTP with attachments, and a webhook with JSON.

Addresses come from the configuration and are stored nowhere else. A failed delivery is an error with its reason; the
caller decides whether to retry (``footprint.server.alerts`` does, while the alert lasts).
"""

from __future__ import annotations

import json
import smtplib
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

from footprint.config.notify import NotificationRules
from footprint.core.records import FootprintError

TIMEOUT_S = 20


class NotDelivered(FootprintError):
    """A message that the mail server or the webhook did not accept."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """File sent with an e-mail; a webhook gets only its name."""

    name: str
    media_type: str  # application/pdf
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """Message about one event, in plain text."""

    event: str  # silent-agent, job-failed, aggregation-behind, draft, published, release-missed
    subject: str
    text: str
    at: str  # RFC 3339
    attachments: tuple[Attachment, ...] = ()


def send(rules: NotificationRules, message: Message) -> None:
    """Send a message through all declared channels.

    Raises
    ------
    NotDelivered
        If a channel did not accept it, after all were tried.
    """
    failures = []
    for target, channel in ((rules.smtp, _send_mail), (rules.webhook, _post_webhook)):
        if target:
            try:
                channel(rules, message)
            except (OSError, smtplib.SMTPException, ValueError) as error:
                failures.append(f"{target}: {type(error).__name__}: {error}")
    if failures:
        raise NotDelivered("; ".join(failures))


def _send_mail(rules: NotificationRules, message: Message) -> None:
    host, _, port = rules.smtp.rpartition(":")
    with _connect(rules.smtp_tls, host, int(port)) as server:
        if rules.smtp_tls == "starttls":
            server.starttls()
        if rules.smtp_user:
            server.login(rules.smtp_user, Path(rules.smtp_password_file).read_text(encoding="utf-8").strip())
        server.send_message(to_email(rules, message))


def _connect(tls: str, host: str, port: int) -> AbstractContextManager[smtplib.SMTP]:
    smtp_class = smtplib.SMTP_SSL if tls == "tls" else smtplib.SMTP
    return smtp_class(host, port, timeout=TIMEOUT_S)


def to_email(rules: NotificationRules, message: Message) -> EmailMessage:
    """The e-mail of a message."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, rules.sender, ", ".join(rules.recipients)
    mail["Message-ID"] = make_msgid(domain=rules.sender.rpartition("@")[2] or "localhost")
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses automatic replies
    mail["Content-Language"] = rules.language
    mail.set_content(message.text)
    for attachment in message.attachments:
        kind, _, subtype = attachment.media_type.partition("/")
        mail.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=attachment.name)
    return mail


def _post_webhook(rules: NotificationRules, message: Message) -> None:
    document = {
        "event": message.event,
        "subject": message.subject,
        "text": message.text,
        "at": message.at,
        "files": [attachment.name for attachment in message.attachments],
    }
    body = json.dumps(document, ensure_ascii=False).encode()
    request = urllib.request.Request(rules.webhook, body, {"Content-Type": "application/json; charset=utf-8"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass
    except urllib.error.HTTPError as error:
        raise OSError(f"answered {error.code}") from None
