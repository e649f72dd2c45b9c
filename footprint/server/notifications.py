"""Notification channels: e-mail through SMTP with attachments, and a webhook with JSON.

TLS is verified: by the authorities of the system, or by ``smtp_ca_file`` alone. Replies are bounded in size and time. Addresses
come from the configuration and are stored nowhere else. A failed delivery is an error with its reason; the caller decides
whether to retry (``footprint.server.alerts`` does, while the alert lasts).
"""

from __future__ import annotations

import io
import json
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from http import HTTPStatus
from typing import Any

from footprint.config.notify import NotificationRules
from footprint.core.records import FootprintError
from footprint.core.secret_files import read_secret

TIMEOUT_S = 20  # of one reply, and of a webhook in all
MAX_CONVERSATION_S = 120
MAX_REPLY_BYTES = 64 << 10  # of all replies of the mail server, or of the webhook


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

    # silent-agent, sensor-in-doubt, sensor-stands-still, device-gone, job-failed, aggregation-behind, draft, published,
    # release-missed
    event: str
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
            except ssl.SSLCertVerificationError as error:
                failures.append(
                    f"{_address(target)}: its certificate is not trusted ({error.verify_message}); nothing was sent. "
                    "Name a certificate authority of your own in [notify] smtp_ca_file"
                )
            except (OSError, smtplib.SMTPException, ValueError, FootprintError) as error:
                failures.append(f"{_address(target)}: {type(error).__name__}: {error}")
    if failures:
        raise NotDelivered("; ".join(failures))


def _address(target: str) -> str:
    """Address in a message: the path of a webhook is its secret."""
    if "://" not in target:
        return target
    from footprint.core.outgoing_http import address_without_secrets  # noqa: PLC0415 - needs httpx

    return address_without_secrets(target)


def _send_mail(rules: NotificationRules, message: Message) -> None:
    host, _, port = rules.smtp.rpartition(":")
    host = host.strip("[]")
    mail = to_email(rules, message)
    password = read_secret(rules.smtp_password_file, "the mail password") if rules.smtp_user else ""
    context = None if rules.smtp_tls == "none" else _tls_context(rules)
    smtp: smtplib.SMTP
    if rules.smtp_tls == "tls":
        assert context is not None
        smtp = _BoundedTlsSmtp(host, int(port), timeout=TIMEOUT_S, context=context)
    else:
        smtp = _BoundedSmtp(host, int(port), timeout=TIMEOUT_S)
    with smtp as server:
        if rules.smtp_tls == "starttls":
            server.starttls(context=context)
        if password:
            server.login(rules.smtp_user, password)
        server.send_message(mail)


def _tls_context(rules: NotificationRules) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=rules.smtp_ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise NotDelivered(f"smtp_ca_file {rules.smtp_ca_file} cannot be used: {error.strerror or error}") from None


class _Replies(io.RawIOBase):
    """Bytes from a mail server, until its limit of bytes or its deadline."""

    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self._connection, self._deadline_s, self._bytes_left = connection, deadline_s, MAX_REPLY_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wait_s = min(self._deadline_s - time.monotonic(), TIMEOUT_S)
        if wait_s <= 0:
            raise TimeoutError("the mail server does not end its replies")
        self._connection.settimeout(wait_s)
        count = self._connection.recv_into(buffer)
        self._connection.settimeout(TIMEOUT_S)
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise smtplib.SMTPServerDisconnected("the replies of the mail server are too long")
        return count


class _BoundedSmtp(smtplib.SMTP):
    """SMTP whose replies are bounded in size and time."""

    _deadline_s = 0.0

    def getreply(self) -> tuple[int, bytes]:
        self._deadline_s = self._deadline_s or time.monotonic() + MAX_CONVERSATION_S
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Replies(self.sock, self._deadline_s))
        return super().getreply()


class _BoundedTlsSmtp(_BoundedSmtp, smtplib.SMTP_SSL):
    """The same over TLS from the first byte."""


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
    import httpx  # noqa: PLC0415 - 0.1 s that other commands do not need

    from footprint.core.outgoing_http import BoundedClient  # noqa: PLC0415

    body = json.dumps(document, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    try:
        with BoundedClient(rules.webhook, is_secret=True, total_s=TIMEOUT_S, max_bytes=MAX_REPLY_BYTES) as client:
            answer = client.request("POST", headers=headers, content=body)
    except httpx.HTTPError as error:
        raise OSError(str(error) or type(error).__name__) from None
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise OSError(f"answered {answer.status}")
