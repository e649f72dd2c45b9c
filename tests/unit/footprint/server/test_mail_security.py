"""The mail server is verified before it gets a password or a draft; its replies are bounded."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from footprint.config import ConfigError, parse_config
from footprint.config.notify import NotificationRules
from footprint.server import notifications
from footprint.server.notifications import Attachment, Message, NotDelivered, send
from tests.support.certificates import self_signed

PASSWORD = "s3cret-password"
DRAFT = Attachment("d.pdf", "application/pdf", b"DRAFT-OF-A-REPORT")
SUBJECT = "Subject of the draft"


class MailServer(threading.Thread):
    """Mail server that takes everything, over TLS as asked, and notes each line."""

    def __init__(self, context: ssl.SSLContext, tls: str, *, offers_tls: bool = True) -> None:
        super().__init__(daemon=True)
        self._context, self._tls, self._offers_tls = context, tls, offers_tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lines: list[bytes] = []
        self.start()

    def run(self) -> None:
        try:
            connection, _ = self._listener.accept()
            if self._tls == "tls":
                connection = self._context.wrap_socket(connection, server_side=True)
            self._talk(connection)
        except OSError:
            pass

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rwb")

        def say(text: bytes) -> None:
            file.write(text + b"\r\n")
            file.flush()

        say(b"220 ready")
        in_data = False
        for line in iter(file.readline, b""):
            self.lines.append(line.strip())
            verb = line.split()[0].upper() if line.split() else b""
            if in_data:
                if line == b".\r\n":
                    in_data = False
                    say(b"250 kept")
            elif verb == b"EHLO":
                offer = b"250-STARTTLS\r\n" if self._offers_tls else b""
                say(b"250-here\r\n" + offer + b"250 AUTH PLAIN LOGIN")
            elif verb == b"STARTTLS":
                say(b"220 go")
                connection = self._context.wrap_socket(connection, server_side=True)
                file = connection.makefile("rwb")
                return self._continue(connection)
            elif verb == b"AUTH":
                say(b"235 ok")
            elif verb == b"DATA":
                say(b"354 go")
                in_data = True
            elif verb == b"QUIT":
                return say(b"221 bye")
            else:
                say(b"250 ok")
        return None

    def _continue(self, connection: socket.socket) -> None:
        # The greeting is not repeated after STARTTLS; the rest of the conversation is the same.
        class Silent:
            def __init__(self, inner: socket.socket) -> None:
                self._inner = inner

            def makefile(self, mode: str) -> object:
                file = self._inner.makefile(mode)
                write, first = file.write, [True]

                def skip_greeting(text: bytes) -> int:
                    if first[0]:
                        first[0] = False
                        return len(text)
                    return write(text)

                file.write = skip_greeting  # type: ignore[method-assign]
                return file

        self._tls = ""
        self._talk(Silent(connection))  # type: ignore[arg-type]


@contextmanager
def mail_server(folder: Path, name: str, tls: str, *, offers_tls: bool = True) -> Iterator[tuple[MailServer, Path]]:
    certificate, key = self_signed(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    yield MailServer(context, tls, offers_tls=offers_tls), certificate


def rules(server: MailServer, folder: Path, tls: str, ca_file: Path | None = None, host: str = "127.0.0.1") -> NotificationRules:
    password = folder / "smtp.password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    return NotificationRules(
        f"{host}:{server.port}",
        "user",
        str(password),
        tls,
        "a@example.org",
        ("b@example.org",),
        smtp_ca_file=str(ca_file) if ca_file else "",
    )


def message() -> Message:
    return Message("draft", SUBJECT, "text", "2026", (DRAFT,))


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_that_nobody_vouches_for_gets_nothing(tls: str, tmp_path: Path) -> None:
    with mail_server(tmp_path, "127.0.0.1", tls) as (server, _):
        with pytest.raises(NotDelivered, match=r"certificate is not trusted .*nothing was sent.*smtp_ca_file"):
            send(rules(server, tmp_path, tls), message())
        assert not [line for line in server.lines if line.split()[0].upper() not in (b"EHLO", b"STARTTLS")]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_of_another_name_is_not_that_of_the_server(tls: str, tmp_path: Path) -> None:
    with mail_server(tmp_path, "other.example.org", tls) as (server, certificate):
        with pytest.raises(NotDelivered, match="certificate is not trusted"):
            send(rules(server, tmp_path, tls, certificate), message())
        assert not [line for line in server.lines if line.upper().startswith((b"AUTH", b"MAIL", b"DATA"))]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_an_authority_of_ones_own_is_named_in_smtp_ca_file(tls: str, tmp_path: Path) -> None:
    with mail_server(tmp_path, "127.0.0.1", tls) as (server, certificate):
        send(rules(server, tmp_path, tls, certificate), message())
        server.join(5)
        assert any(line.startswith(b"AUTH") for line in server.lines)
        assert f"Subject: {SUBJECT}".encode() in server.lines


def test_without_tls_on_offer_nothing_is_sent(tmp_path: Path) -> None:
    with mail_server(tmp_path, "127.0.0.1", "starttls", offers_tls=False) as (server, certificate):
        with pytest.raises(NotDelivered, match="STARTTLS"):
            send(rules(server, tmp_path, "starttls", certificate), message())
        assert not [line for line in server.lines if line.upper().startswith((b"AUTH", b"MAIL", b"DATA"))]


def test_a_certificate_file_or_a_password_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with mail_server(tmp_path, "127.0.0.1", "tls") as (server, _):
        with pytest.raises(NotDelivered, match=r"smtp_ca_file .*absent\.pem"):
            send(rules(server, tmp_path, "tls", tmp_path / "absent.pem"), message())
        empty = tmp_path / "empty.pem"
        empty.write_text("")
        with pytest.raises(NotDelivered, match="smtp_ca_file"):
            send(rules(server, tmp_path, "tls", empty), message())
        open_to_all = rules(server, tmp_path, "tls")
        Path(open_to_all.smtp_password_file).chmod(0o644)
        with pytest.raises(NotDelivered, match="chmod 600"):
            send(open_to_all, message())


@pytest.mark.parametrize("pieces", [[b"220-" + b"x" * 60 + b"\r\n"], [b"2"], [b"220" + b"-" * 9000 + b"\r\n"]])
def test_replies_without_end_are_cut(pieces: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "TIMEOUT_S", 1)
    monkeypatch.setattr(notifications, "MAX_CONVERSATION_S", 1)
    sent = 0
    listener = socket.create_server(("127.0.0.1", 0))

    def pour() -> None:
        nonlocal sent
        connection, _ = listener.accept()
        try:
            while True:
                connection.sendall(pieces[0])
                sent += len(pieces[0])
                if len(pieces[0]) == 1:
                    time.sleep(0.05)
        except OSError:
            pass

    threading.Thread(target=pour, daemon=True).start()
    target = NotificationRules(
        f"127.0.0.1:{listener.getsockname()[1]}", smtp_tls="none", sender="a@example.org", recipients=("b@example.org",)
    )
    with pytest.raises(NotDelivered):
        send(target, message())
    assert sent < 32 << 20  # what was read is at most 64 KiB; the rest lay in the buffers of the sockets
    listener.close()


@pytest.mark.parametrize("subject", ["x\r\nBcc: evil@example.org", "x\nBcc: evil@example.org", "x\rBcc: evil@example.org"])
def test_no_header_comes_in_by_a_subject(subject: str) -> None:
    target = NotificationRules("127.0.0.1:9", smtp_tls="none", sender="a@example.org", recipients=("b@example.org",))
    with pytest.raises(NotDelivered, match="ValueError"):
        send(target, Message("test", subject, "text", "now"))


BASE = 'sender = "a@example.org"\nrecipients = ["b@example.org"]\nsmtp_user = "u"\nsmtp_password_file = "p"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BASE + 'smtp = "mail.example.org:25"\nsmtp_tls = "none"\n', "password of u in clear"),
        (BASE + 'smtp = "192.0.2.1:25"\nsmtp_tls = "none"\n', "password of u in clear"),
        (BASE + 'smtp = "localhost.example.org:25"\nsmtp_tls = "none"\n', "password of u in clear"),
        ('smtp = "m:25"\nsender = "a@b"\nrecipients = ["c@d"]\nsmtp_user = "u"\n', "smtp_password_file"),
        ('smtp = "m:99999"\nsender = "a@b"\nrecipients = ["c@d"]\n', "host:port"),
        ('smtp = "m:25"\nsender = "a@b"\nrecipients = ["c@d\\r\\nRCPT TO:<e@f>"]\n', "one line"),
        ('smtp = "m:25"\nsender = "a@b\\nBcc: e@f"\nrecipients = ["c@d"]\n', "one line"),
        ('webhook = "http://chat.example.org/x"\n', "https"),
        ('webhook = "http://127.0.0.1.example.org/x"\n', "https"),
        ('webhook = "http://localhost@chat.example.org/x"\n', "https"),
        ('webhook = "file:///etc/passwd"\n', "http"),
    ],
)
def test_a_setting_that_would_show_a_secret_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"footprint.toml:[0-9]+: .*{reason}"):
        parse_config(f"[notify]\n{text}")


def test_a_login_without_tls_stays_on_this_machine() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert parse_config(f'[notify]\n{BASE}smtp = "{host}:25"\nsmtp_tls = "none"\n').notify.smtp_user == "u"
    assert parse_config('[notify]\nwebhook = "http://127.0.0.1:9/x"\n').notify.webhook
