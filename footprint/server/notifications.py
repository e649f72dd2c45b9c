"""This file sends one message: by e-mail through SMTP, with files attached, and to a webhook as JSON.

Addresses come from the configuration and are kept nowhere else. What cannot be delivered is an error with its reason; who
calls decides whether to try again (footprint/server/alerts.py does, as long as the matter stands).
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
    """A message that the mail server or the webhook did not take."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file sent with an e-mail; a webhook gets its name alone."""

    name: str
    media_type: str  # application/pdf
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What is said of one event; plain text, so that it reads anywhere."""

    event: str  # silent-agent, job-failed, draft, published, release-missed
    subject: str
    text: str
    at: str  # RFC 3339
    attachments: tuple[Attachment, ...] = ()


def send(to: NotificationRules, message: Message) -> None:
    """Send a message everywhere that is declared.

    Raises
    ------
    NotDelivered
        If one of them did not take it; the others are tried all the same.
    """
    failed = []
    for wanted, channel in ((to.smtp, _mail), (to.webhook, _post)):
        if wanted:
            try:
                channel(to, message)
            except (OSError, smtplib.SMTPException, ValueError) as bad:
                failed.append(f"{wanted}: {type(bad).__name__}: {bad}")
    if failed:
        raise NotDelivered("; ".join(failed))


def _mail(to: NotificationRules, message: Message) -> None:
    host, _, port = to.smtp.rpartition(":")
    with _connected(to.smtp_tls, host, int(port)) as server:
        if to.smtp_tls == "starttls":
            server.starttls()
        if to.smtp_user:
            server.login(to.smtp_user, Path(to.smtp_password_file).read_text(encoding="utf-8").strip())
        server.send_message(as_mail(to, message))


def _connected(tls: str, host: str, port: int) -> AbstractContextManager[smtplib.SMTP]:
    kind = smtplib.SMTP_SSL if tls == "tls" else smtplib.SMTP
    return kind(host, port, timeout=TIMEOUT_S)


def as_mail(to: NotificationRules, message: Message) -> EmailMessage:
    """The e-mail of a message."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, to.sender, ", ".join(to.recipients)
    mail["Message-ID"] = make_msgid(domain=to.sender.rpartition("@")[2] or "localhost")
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers a machine
    mail["Content-Language"] = to.language
    mail.set_content(message.text)
    for each in message.attachments:
        kind, _, sub = each.media_type.partition("/")
        mail.add_attachment(each.content, maintype=kind, subtype=sub, filename=each.name)
    return mail


def _post(to: NotificationRules, message: Message) -> None:
    told = {
        "event": message.event,
        "subject": message.subject,
        "text": message.text,
        "at": message.at,
        "files": [each.name for each in message.attachments],
    }
    body = json.dumps(told, ensure_ascii=False).encode()
    request = urllib.request.Request(to.webhook, body, {"Content-Type": "application/json; charset=utf-8"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass
    except urllib.error.HTTPError as bad:
        raise OSError(f"answered {bad.code}") from None
