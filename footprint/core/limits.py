"""Limits of everything that enters: time, size, number, power, length and characters of names.

Every door (wire, files, OTLP, exporters, service processors, Prometheus, restore) takes its bounds from here, so that
each number exists once. Standard library only, because the agent runs beside the GPUs. A function that ends in ``_fault``
returns the reason of a refusal, or an empty text; reasons never repeat the value.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from footprint.core.units import PJ_PER_UJ, US_PER_DAY, US_PER_S, UW_PER_W

# Time. Nothing was measured before 2000; a clock may run ahead, but not by more than a day.
MIN_INSTANT_US = 946_684_800 * US_PER_S
MAX_AHEAD_US = US_PER_DAY
# What a person insists on (`--anyway`) stays in these bounds, within which every calendar works.
FIRST_INSTANT_US, LAST_INSTANT_US = 0, 4_102_444_800 * US_PER_S  # 1970 to 2100
MAX_REQUEST_US = 7 * US_PER_DAY
MAX_WINDOW_US = 62 * US_PER_DAY

# Size of one shipment, and of all that the server unpacks at once.
MAX_BODY_BYTES = 8 << 20
MAX_DECOMPRESSED_BYTES = 32 << 20
MAX_RATIO = 200  # of decompressed to compressed bytes; records of an agent reach about 40
MIN_RATIO_BYTES = 1 << 20  # below this a high ratio does no harm
MAX_BYTES_IN_FLIGHT = 128 << 20
MAX_LINES = 200_000
MAX_LINE_BYTES = 1 << 20
MAX_REJECTS_LISTED = 1_000
MAX_REASONS = 100

# Numbers. A day brings few new names; thousands are an error or an attack.
MAX_NEW_NAMES_PER_DAY = 1_000
MAX_NEW_STREAMS_PER_DAY = 2_000
MAX_PERIODS = 20_000
MAX_COUNT = 10**15  # of requests or tokens in one row of a file: low enough for sums in 64 bits
MAX_REQUESTS = 10**9  # of one record of several requests
MAX_REQUESTS_PER_S = 1_000_000
MAX_TOKENS_PER_REQUEST = 100_000_000  # ten times the largest context window that a model has

# Mean power [W] of one device of a component. Boards reach 1.4 kW and 3.6 kW are announced; a host can be a rack.
MAX_POWER_W = {"gpu": 5_000, "cpu": 5_000, "dram": 5_000, "host": 200_000}
# Counters are refreshed only every 10 to 100 ms, so the energy between two samples may stem from that much more time.
REFRESH_US = US_PER_S // 4

MAX_NAME_LENGTH = 200

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNPRINTABLE = re.compile(f"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_BIDI}{_INVISIBLE}\ufffe\uffff]")
_NAME_FAULTS = (
    (re.compile("\0"), "holds a NUL character"),
    (re.compile("[\x01-\x1f\x7f-\x9f]"), "holds a control character"),
    (re.compile("[\u2028\u2029]"), "holds a line or paragraph separator"),
    (re.compile(f"[{_BIDI}]"), "holds a character that changes the direction of writing"),
    (re.compile("[\ud800-\udfff]"), "holds half of a surrogate pair"),
    (re.compile(f"[{_INVISIBLE}\ufffe\uffff]"), "holds an invisible character"),
)

# Files of models are named like domains: model@q4.gguf is no address.
_MODEL_FILES = frozenset({"bin", "ggml", "gguf", "onnx", "pth", "safetensors"})
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]+@(?:[\w-]+\.)+([^\W\d_]{2,24}|xn--[a-z0-9-]+)(?![\w-])", re.IGNORECASE)
# user@10.0.0.5 or user@[::1]; with one digit first it is a version: chat@1.2.0.4
_USER_AT_ADDRESS = re.compile(r"[^\s@]@\[?[1-9]\d{1,2}(?:\.\d{1,3}){3}(?![\w.])|[^\s@]@\[[0-9a-f]*:", re.IGNORECASE)
_KEY = re.compile(
    r"(?:^|[^A-Za-z0-9])(?:sk|pk|rk|fp|hf|gh[opsur]|github_pat|glpat|xox[abpors]|AIza|ya29)[-_.]?([\w.-]{12,})", re.ASCII
)
_KEY_WORD = re.compile(r"(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}")
_JWT = re.compile(r"eyJ[\w-]{10,}", re.ASCII)
_CREDENTIALS = re.compile(r"://[^/\s]*:[^/\s]*@|^\s*(?:bearer|basic)\s+\S", re.IGNORECASE)
_UUID = re.compile(r"\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?", re.IGNORECASE | re.ASCII)
# A digest after "@" or "sha256:" is the version of a model; alone it is the hash of a key.
_VERSION_DIGEST = re.compile(r"(?:@(?:sha256[:-])?|sha256[:-])[0-9a-f]{7,64}(?!\w)", re.ASCII)
_HEX = re.compile(r"(?<!\w)(?:[0-9a-f]{32,}|[0-9A-F]{32,})(?!\w)", re.ASCII)
_WORD = re.compile(r"(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}")
_MIN_CHANGES = 6  # between small letters, capitals and digits: random words have ten and more
_MAX_SPELT_PERCENT = 40  # of letters in runs of three small ones: a name has more, a random word about a sixth


class TooLarge(ValueError):
    """More bytes or lines than a door takes."""


class BadGzip(ValueError):
    """A body that is not gzip, or that ends in the middle."""


def instant_fault(at_us: int, now_us: int) -> str:
    """Why an instant [µs] cannot be that of a measurement."""
    if at_us < MIN_INSTANT_US:
        return "before the year 2000"
    if at_us > now_us + MAX_AHEAD_US:
        return "more than a day in the future"
    return ""


def duration_fault(start_us: int, end_us: int, requests: int = 1) -> str:
    """Why a request, or a window of several, cannot have lasted from one instant to another."""
    if requests == 1 and end_us - start_us > MAX_REQUEST_US:
        return "a request longer than 7 days"
    if end_us - start_us > MAX_WINDOW_US:
        return "a window longer than 62 days"
    return ""


def power_fault(component: str, power_uw: int) -> str:
    """Why a device of a component cannot draw a power [µW]."""
    max_w = MAX_POWER_W.get(component, MAX_POWER_W["host"])
    return f"above {max_w:,} W, more than any {component} draws" if power_uw > max_w * UW_PER_W else ""


def energy_fault(component: str, energy_uj: int, elapsed_us: int) -> str:
    """Why a device of a component cannot use an energy [µJ] in a time [µs]."""
    max_w = MAX_POWER_W.get(component, MAX_POWER_W["host"])
    if energy_uj * PJ_PER_UJ > max_w * UW_PER_W * (elapsed_us + REFRESH_US):
        return f"more energy than {max_w:,} W give in the time, which no {component} draws"
    return ""


def name_fault(text: str) -> str:
    """Why a text cannot be a name: its length, or a character that a store, a page or a terminal does not show as it is."""
    if len(text) > MAX_NAME_LENGTH:
        return f"longer than {MAX_NAME_LENGTH} characters"
    if text.isascii() and text.isprintable():
        return ""
    return next((reason for pattern, reason in _NAME_FAULTS if pattern.search(text)), "")


def personal_name_fault(text: str, *, is_host: bool = False) -> str:
    """Why a text may name a person: it looks like an e-mail address, a network address, a key, a token or an opaque id.

    ``is_host``: a machine may be named by a network address or an opaque id. Names of people and plain user names look
    like any other name and cannot be told. A text longer than any name may hold anything, and is not searched: the time of
    a search grows with the square of the length.
    """
    if len(text) > MAX_NAME_LENGTH:
        return name_fault(text)
    plain = unicodedata.normalize("NFKC", unquote(unquote(text)))  # twice: a proxy may have escaped what was escaped
    if _USER_AT_ADDRESS.search(plain) or any(match[1].lower() not in _MODEL_FILES for match in _ADDRESS.finditer(plain)):
        return "looks like an e-mail address"
    if _CREDENTIALS.search(plain) or _JWT.search(plain) or any(map(_is_key, _KEY.findall(plain))):
        return "looks like a key or a token"
    return "" if is_host else _opaque_name_fault(_VERSION_DIGEST.sub("", plain))


def _opaque_name_fault(text: str) -> str:
    if _is_network_address(text):
        return "looks like a network address"
    if _UUID.fullmatch(text.strip()):
        return "looks like the id of a person or a key"
    if _HEX.search(text) or any(map(_is_random, _WORD.findall(text))):
        return "looks like a key or a token"
    return ""


def _is_key(text: str) -> bool:
    """Whether what follows the prefix of a key was generated."""
    return bool(_KEY_WORD.search(text)) or _is_random(text)


def _is_random(word: str) -> bool:
    """Whether letters and digits change places as often as in a generated word."""
    word = re.sub(r"[\W_]", "", word)
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" for char in word]
    changes = sum(first != second for first, second in pairwise(kinds))
    spelt = sum(map(len, re.findall("[a-z]{3,}", word)))
    return "d" in kinds and changes >= _MIN_CHANGES and 100 * spelt < _MAX_SPELT_PERCENT * len(word)


def _is_network_address(text: str) -> bool:
    address = text.strip().removeprefix("[").partition("]")[0]
    if address.count(".") == 3:
        address = address.partition(":")[0]
    elif address.count(":") < 2:
        return False
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def printable(text: str) -> str:
    """A text in which control, bidi and invisible characters are written as escapes, for terminals and messages."""

    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return _UNPRINTABLE.sub(escape, text)


def is_loopback_url(url: str) -> bool:
    """Whether a URL names this machine."""
    host = _url_host(url)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def insecure_url_fault(url: str) -> str:
    """Why a URL may not carry a secret or bring what is believed: it is neither https nor on this machine."""
    scheme = url.partition("://")[0].lower()
    if not _url_host(url) or scheme not in ("http", "https"):
        return "not an http or https address"
    if scheme == "https" or is_loopback_url(url):
        return ""
    return "http:// to another machine shows everything to whoever listens; use https://"


def _url_host(url: str) -> str:
    if _UNPRINTABLE.search(url) or "\\" in url or " " in url:
        return ""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def decompress_gzip(data: bytes, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> bytes:
    """Content of a gzip body of one or more members.

    Raises
    ------
    TooLarge
        If it has more than ``max_bytes``, or unpacks to more than ``MAX_RATIO`` times its size.
    BadGzip
        If it is not gzip, or ends in the middle.
    """
    limit = min(max_bytes, max(MIN_RATIO_BYTES, MAX_RATIO * len(data)))
    parts, size = [], 0
    while data:
        decompressor = zlib.decompressobj(wbits=31)
        try:
            part = decompressor.decompress(data, limit - size + 1)
        except zlib.error:
            raise BadGzip("the body is not gzip") from None
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body unpacks to more than {limit} bytes; send less at a time")
        if not decompressor.eof:
            raise BadGzip("the gzip body ends in the middle")
        parts.append(part)
        data = decompressor.unused_data.lstrip(b"\0")
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Reject:
    """One rejected line: its number, the column and the reason, never the content."""

    line: int
    column: str
    reason: str


@dataclass(slots=True)
class RejectList:
    """Rejected lines: the first ones in full, all counted by reason."""

    max_listed: int = MAX_REJECTS_LISTED
    listed: list[Reject] = field(default_factory=list)
    count: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)

    def append(self, reject: Reject) -> None:
        """Count a reject, and list it if there is room."""
        self.count += 1
        self._count_reason(f"{reject.column}: {reject.reason}", 1)
        if len(self.listed) < self.max_listed:
            self.listed.append(reject)

    def extend(self, rejects: RejectList | Iterable[Reject]) -> None:
        """Append all rejects of another list."""
        if not isinstance(rejects, RejectList):
            for reject in rejects:
                self.append(reject)
            return
        self.count += rejects.count
        for reason, count in rejects.by_reason.items():
            self._count_reason(reason, count)
        self.listed += rejects.listed[: max(0, self.max_listed - len(self.listed))]

    def sort(self) -> None:
        """Put the listed rejects in the order of lines."""
        self.listed.sort(key=lambda reject: reject.line)

    def _count_reason(self, reason: str, count: int) -> None:
        known = reason in self.by_reason or len(self.by_reason) < MAX_REASONS
        self.by_reason[reason if known else "other reasons"] += count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Reject]:
        return iter(self.listed)

    def __getitem__(self, index: int) -> Reject:
        return self.listed[index]
