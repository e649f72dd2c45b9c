"""Limits: what each refuses, what it takes, and that no input makes one of them fail."""

from __future__ import annotations

import gzip
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.core import limits
from footprint.core.timestamps import parse_instant

NOW_US = parse_instant("2026-11-30T12:00:00Z")
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@pytest.mark.parametrize("text", ["2000-01-01T00:00:00Z", "2026-11-30T12:00:00Z", "2026-12-01T12:00:00Z"])
def test_instants_that_can_be(text: str) -> None:
    assert limits.instant_fault(parse_instant(text), NOW_US) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0001-01-01T00:00:00Z", "before"),
        ("46309.0001", "before"),  # a date of Excel
        ("1999-12-31T23:59:59.999999Z", "before"),
        ("2026-12-01T12:00:00.000001Z", "future"),
        ("9999-12-31T23:59:59Z", "future"),
    ],
)
def test_instants_that_cannot_be(text: str, reason: str) -> None:
    assert reason in limits.instant_fault(parse_instant(text), NOW_US)


def test_durations() -> None:
    assert limits.duration_fault(0, 7 * DAY_US) == ""
    assert "7 days" in limits.duration_fault(0, 7 * DAY_US + 1)
    assert limits.duration_fault(0, 62 * DAY_US, requests=2) == ""
    assert "62 days" in limits.duration_fault(0, 62 * DAY_US + 1, requests=2)


@pytest.mark.parametrize(("component", "power_w"), [("gpu", 1_400), ("gpu", 3_600), ("cpu", 1_000), ("host", 132_000)])
def test_powers_of_real_machines_pass(component: str, power_w: int) -> None:
    assert limits.power_fault(component, power_w * 1_000_000) == ""
    assert limits.energy_fault(component, power_w * HOUR_US, HOUR_US) == ""


@pytest.mark.parametrize(("component", "power_w"), [("gpu", 300_000), ("cpu", 120_000), ("dram", 30_000), ("host", 10**9)])
def test_powers_in_the_wrong_unit_are_refused(component: str, power_w: int) -> None:
    assert component in limits.power_fault(component, power_w * 1_000_000)
    assert component in limits.energy_fault(component, power_w * HOUR_US, HOUR_US)


HOSTILE_NAMES = {
    "nul": "a\0b",
    "escape": "\x1b[31mred",
    "newline": "a\nb",
    "tab": "a\tb",
    "delete": "a\x7f",
    "C1": "a\x9b31m",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "right-to-left override": "a\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "mark": "a\u200f",
    "surrogate": "a\ud800",
    "byte order mark": "a\ufeff",
    "zero width": "chat\u200b",
    "tags": "chat\U000e0041",
    "long": "a" * 201,
}


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=list(HOSTILE_NAMES))
def test_hostile_names_are_refused_and_made_printable(name: str) -> None:
    reason = limits.name_fault(name)
    assert reason
    assert limits.name_fault(reason) == ""
    assert limits.name_fault(limits.printable(name)[:200]) == ""


@pytest.mark.parametrize(
    "name",
    [
        "drafting",
        "Rédaction d'enquêtes",
        "統計",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "a" * 200,
        "",
        "🚀 launch",
    ],
)
def test_ordinary_names_pass_and_print_unchanged(name: str) -> None:
    assert limits.name_fault(name) == ""
    assert limits.printable(name) == name


PERSONAL_NAMES = [
    "alice.martin@example.org",
    "Alice Martin <alice.martin@example.org>",
    "mailto:alice@example.co.uk",
    "alice%40example.org",
    "alice%2540example.org",
    "alice@10.0.0.5",
    "ssh alice@192.168.1.20:22",
    "alice@[2001:db8::1]",
    "alice\uff20example.org",
    "élodie@insée.fr",
    "sk-abcdef1234567890",
    "sk-proj-Ab12cD34eF56gH78",
    "hf_AbCdEfGhIjKlMnOpQrStUvWx12",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "Bearer abc",
    "https://user:word@gateway/",
    "550e8400-e29b-41d4-a716-446655440000",
    "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "d41d8cd98f00b204e9800998ecf8427e",
    "10.0.0.1",
    "2001:db8::1",
]


@pytest.mark.parametrize("name", PERSONAL_NAMES)
def test_addresses_and_keys_are_told(name: str) -> None:
    assert limits.personal_name_fault(name).startswith("looks like")


@pytest.mark.parametrize("part", ["a", "a.", "x@a.", "a@", "sk-", "eyJ", "aB3", "://:", "-a1", "9"])
def test_a_text_longer_than_any_name_is_refused_without_a_search(part: str) -> None:
    """A search of these takes hours: a client of a model may send a header of a megabyte."""
    assert limits.personal_name_fault(part * 1_000_000) == limits.name_fault(part * 1_000_000) != ""
    assert limits.personal_name_fault(part * 300, is_host=True)


def test_most_generated_tokens_are_told() -> None:
    tokens = [f"sk-{secrets.token_urlsafe(16)}" for _ in range(200)] + [secrets.token_urlsafe(32) for _ in range(200)]
    assert sum(bool(limits.personal_name_fault(token)) for token in tokens) > 350


@pytest.mark.parametrize(
    "name",
    [
        "drafting",
        "model@version",
        "claude-3-5@20240620",
        "qwen2@q4_k_m.gguf",
        "model@5f0b02c75b57c5855da9ae460ce51323ea669d8a",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "Qwen3-VL-235B-A22B-FP8-GPTQ-INT4-W4A16",
        "DeepSeekR1Distill2Qwen32BInstruct4bit",
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "ft:gpt-4o-mini-2024-07-18:office:suffix:7p4lURel",
        "sk-learn-classification-v2",
        "pk-2026-quarterly",
        "token-classification-service-v2",
        "(unknown)",
        "",
    ],
)
def test_names_of_models_and_purposes_pass(name: str) -> None:
    assert limits.personal_name_fault(name) == ""


def test_a_machine_may_have_an_address_or_an_opaque_name() -> None:
    assert limits.personal_name_fault("10.0.0.1:8000", is_host=True) == ""
    assert limits.personal_name_fault("550e8400-e29b-41d4-a716-446655440000", is_host=True) == ""
    assert limits.personal_name_fault("alice@example.org", is_host=True)


@given(st.text(st.characters(), max_size=300))
def test_no_text_makes_a_check_fail(text: str) -> None:
    limits.personal_name_fault(text)
    limits.is_loopback_url(text)
    limits.insecure_url_fault(text)
    assert limits.name_fault(limits.printable(text)[:200]) == ""


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8050", "http://localhost/x", "http://[::1]:1", "http://127.9.9.9", "http://[::ffff:127.0.0.1]/"]
)
def test_loopback_urls(url: str) -> None:
    assert limits.is_loopback_url(url)
    assert limits.insecure_url_fault(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@evil.example/",
        "http://evil.example/127.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "HTTP://evil.example",
        "ftp://127.0.0.1",
        "http://evil.example\\@127.0.0.1",
        "http://[::1",
        "",
        "//localhost",
    ],
)
def test_urls_that_may_not_carry_a_secret(url: str) -> None:
    assert limits.insecure_url_fault(url)


def test_gzip_is_unpacked_whole_or_not_at_all() -> None:
    assert limits.decompress_gzip(gzip.compress(b"one\n") + gzip.compress(b"two\n")) == b"one\ntwo\n"
    assert limits.decompress_gzip(b"") == b""
    for body in (gzip.compress(b"one")[:-4], b"one", gzip.compress(b"one") + b"two"):
        with pytest.raises(limits.BadGzip):
            limits.decompress_gzip(body)


@pytest.mark.parametrize(
    "body", [gzip.compress(b"1\n" * (4 << 20)), gzip.compress(b"\0" * (1 << 20)) * 3], ids=["one", "many members"]
)
def test_gzip_bombs_are_refused(body: bytes) -> None:
    with pytest.raises(limits.TooLarge):
        limits.decompress_gzip(body)
    with pytest.raises(limits.TooLarge):
        limits.decompress_gzip(gzip.compress(secrets.token_bytes(1000)), 999)


def test_a_reject_list_keeps_few_and_counts_all() -> None:
    rejects = limits.RejectList(max_listed=3)
    for line in range(1, 1001):
        rejects.append(limits.Reject(line, "time", f"reason {line % 500}"))
    assert [reject.line for reject in rejects] == [1, 2, 3]
    assert len(rejects) == rejects.count == sum(rejects.by_reason.values()) == 1000
    assert len(rejects.by_reason) <= limits.MAX_REASONS + 1
    joined = limits.RejectList(max_listed=4)
    joined.extend(rejects)
    joined.extend([limits.Reject(7, "end", "before start")] * 2)
    assert len(joined) == 1002
    assert [reject.line for reject in joined] == [1, 2, 3, 7]
    assert joined.by_reason["end: before start"] + joined.by_reason["other reasons"] >= 2
