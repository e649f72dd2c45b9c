"""People are told of each matter once, by a real mail server and a real webhook, and again when it is settled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from footprint.cli.app import status_of
from footprint.config import Config, ConfigError, parse_config
from footprint.config.notify import NotificationRules
from footprint.server.alerts import dispatch
from footprint.server.job_runs import JobKind, run_job
from footprint.server.notifications import Attachment, Message, NotDelivered, send
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, START, config, energy_lines, import_files, request_lines
from tests.support.http_servers import QuietHandler, serving
from tests.support.processes import free_port

S = 1_000_000
END_US = (START + 600) * S


class Post:
    """A mail server that keeps what it is given, and can refuse."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses = False

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it so
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        if self.refuses:
            return "451 try again later"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 kept"


@pytest.fixture
def post() -> Iterator[tuple[Post, str]]:
    kept = Post()
    port = free_port()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    yield kept, f"127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def hook() -> Iterator[tuple[list[dict[str, Any]], str]]:
    kept: list[dict[str, Any]] = []

    class Hook(QuietHandler):
        def post(self) -> None:
            kept.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.respond(204 if self.path == "/here" else 500)

    with serving(Hook) as address:
        yield kept, address


def notified(smtp: str = "", webhook: str = "", more: str = "", language: str = "en") -> Config:
    mail = (
        f'smtp = "{smtp}"\nsmtp_tls = "none"\nsender = "footprint@example.org"\nrecipients = ["a@example.org", "b@example.org"]\n'
    )
    return parse_config(
        CONFIG + f'{more}[notify]\n{mail if smtp else ""}webhook = "{webhook}"\nlanguage = "{language}"\nsilent_after_s = 600\n'
    )


def test_a_silent_agent_is_told_once_and_again_when_it_comes_back(
    store: Store, tmp_path: Path, post: tuple[Post, str], hook: tuple[list[dict[str, Any]], str]
) -> None:
    kept, smtp = post
    facts = notified(smtp, hook[1] + "/here")
    import_files(store, config(), tmp_path, energy_lines(START, 600), request_lines(START, 600, 3))
    assert dispatch(store, facts, END_US + 599 * S) == "0 active, 0 sent"
    assert dispatch(store, facts, END_US + 700 * S) == "1 active, 1 sent"
    assert dispatch(store, facts, END_US + 800 * S) == "1 active, 0 sent"
    (mail,) = kept.mails
    assert mail["Subject"] == "Footprint · a: no reading since 1 Jul 2026 10:10"
    assert mail["To"] == "a@example.org, b@example.org"
    assert "systemctl status footprint-agent" in mail.get_content()
    assert [told["event"] for told in hook[0]] == ["silent-agent"]
    import_files(store, config(), tmp_path, energy_lines(START + 1200, 600), request_lines(START + 1200, 600, 3))
    assert dispatch(store, facts, END_US + 1300 * S) == "0 active, 1 sent"
    assert kept.mails[-1]["Subject"] == "Footprint · a: readings again"
    assert dispatch(store, facts, END_US + 31 * 86_400 * S) == "0 active, 0 sent"  # taken out of service


def test_what_the_server_refuses_is_tried_again(sqlite: Store, tmp_path: Path, post: tuple[Post, str]) -> None:
    kept, smtp = post
    facts = notified(smtp)
    import_files(sqlite, config(), tmp_path, energy_lines(START, 600), request_lines(START, 600, 3))
    kept.refuses = True
    with pytest.raises(NotDelivered, match="451"):
        dispatch(sqlite, facts, END_US + 700 * S)
    kept.refuses = False
    assert dispatch(sqlite, facts, END_US + 800 * S) == "1 active, 1 sent"
    assert len(kept.mails) == 1


def test_a_failed_job_and_an_exceeded_budget_are_told_in_french(sqlite: Store, tmp_path: Path, post: tuple[Post, str]) -> None:
    kept, smtp = post
    budget = '[[objective]]\nname = "peu"\nmetric = "requests"\nat_most = 1\nevery = "month"\n'
    facts = notified(smtp, more=budget, language="fr")
    from tests.support.contract_files import compute

    import_files(sqlite, config(), tmp_path, energy_lines(START, 600), request_lines(START, 600, 3))
    compute(sqlite, facts)

    def fails(*_: Any) -> str:
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        run_job(sqlite, facts, JobKind("seal", 60, fails), END_US)
    assert dispatch(sqlite, facts, END_US + S) == "2 active, 2 sent"
    subjects = {mail["Subject"] for mail in kept.mails}
    assert subjects == {"Footprint · La tâche seal a échoué", "Footprint · Objectif dépassé : peu, 2026-07"}
    assert "disk full" in "".join(mail.get_content() for mail in kept.mails)
    run_job(sqlite, facts, JobKind("seal", 60, lambda *_: "well"), END_US + 2 * S)
    assert dispatch(sqlite, facts, END_US + 3 * S) == "1 active, 1 sent"
    assert kept.mails[-1]["Subject"] == "Footprint · seal : réussit à nouveau"


def test_a_file_goes_with_the_mail_and_its_name_to_the_webhook(
    post: tuple[Post, str], hook: tuple[list[dict[str, Any]], str]
) -> None:
    pdf = Attachment("2026-Q3.pdf", "application/pdf", b"%PDF-1.7 \x00\xff")
    send(notified(post[1], hook[1] + "/here").notify, Message("draft", "Projet", "é\n", "2026-10-01T00:00:00Z", (pdf,)))
    (attached,) = post[0].mails[0].iter_attachments()
    assert (attached.get_filename(), attached.get_content_type(), attached.get_content()) == (
        "2026-Q3.pdf",
        "application/pdf",
        pdf.content,
    )
    assert hook[0][0]["files"] == ["2026-Q3.pdf"]


def test_one_way_that_fails_does_not_stop_the_other(post: tuple[Post, str], hook: tuple[list[dict[str, Any]], str]) -> None:
    with pytest.raises(NotDelivered, match="answered 500"):
        send(notified(post[1], hook[1] + "/broken").notify, Message("test", "x", "y\n", ""))
    assert len(post[0].mails) == 1
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1:9"):
        send(
            NotificationRules(smtp="127.0.0.1:9", sender="a@b", recipients=("c@d",), smtp_tls="none"),
            Message("test", "x", "y\n", ""),
        )


def test_the_commands_print_what_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str], post: tuple[Post, str]) -> None:
    place = tmp_path / "footprint.toml"
    place.write_text('[organisation]\nname = "Office"\n')
    Store(f"sqlite:///{tmp_path}/footprint.db", demo=False).close()
    assert status_of(["objectives", "--config", str(place)]) == 7
    assert status_of(["notify", "--config", str(place)]) == 0
    assert status_of(["notify", "--test", "--config", str(place)]) == 2
    assert "declares neither smtp nor webhook" in capsys.readouterr().err
    budget = '[[objective]]\nname = "all"\nmetric = "requests"\nat_most = 1\n'
    place.write_text(
        f'{budget}[notify]\nsmtp = "{post[1]}"\nsmtp_tls = "none"\nsender = "a@example.org"\nrecipients = ["b@example.org"]\n'
    )
    assert status_of(["notify", "--test", "--config", str(place)]) == 0
    assert post[0].mails[0]["Subject"] == "Footprint · Ceci est un essai."
    assert status_of(["objectives", "--period", "2026-Q3", "--format", "csv", "--config", str(place)]) == 0
    assert "all,requests,1,,,,2026-Q3,,,,1.0,unknown,," in capsys.readouterr().out
    assert status_of(["objectives", "--period", "2026-Q7", "--config", str(place)]) == 2


def test_check_fails_where_a_budget_is_surely_exceeded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import time

    budget = '[[objective]]\nname = "few"\nmetric = "requests"\nat_most = {}\nevery = "year"\n'
    place, start = tmp_path / "footprint.toml", int(time.time()) - 660
    place.write_text(CONFIG + budget.format(1000))
    facts = parse_config(place.read_text())
    assert facts.objectives[0].months == 12
    from tests.support.contract_files import write

    for kind, lines in (("energy", energy_lines(start, 600)), ("requests", request_lines(start, 600, 3))):
        assert status_of(["import", kind, write(tmp_path / f"{kind}.csv", lines), "--config", str(place)]) == 0
    assert status_of(["aggregate", "--config", str(place)]) == 0
    lax = ["check", "--max-age-s", "100000", "--min-coverage", "0", "--config", str(place)]
    assert status_of(lax) == 0
    place.write_text(CONFIG + budget.format(2))
    assert status_of(lax) == 6
    assert "objective few" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('smtp = "mail.example.org"', 2, "host:port"),
        ('smtp = "mail.example.org:25"', 2, "sender and recipients"),
        ('recipients = ["nobody"]', 2, "addresses"),
        ('webhook = "ftp://x"', 2, "http"),
        ('language = "de"', 2, "language is 'de'"),
        ("silent_after_s = 3", 2, "at least 60"),
        ("smtp_user = 3", 2, "text in quotes"),
    ],
)
def test_what_cannot_be_delivered_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError, match=f"footprint.toml:{line}: .*{said}"):
        parse_config(f"[notify]\n{text}\n")
