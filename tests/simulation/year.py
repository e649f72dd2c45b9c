"""This file simulates an organisation over five quarters and what follows them, coarsely: counters every quarter of an hour,
requests as windows of six hours per use case, distinct users per publication cell, and the truth beside them. So few windows
fit no step model: what requests cost is divided by declared weights and flagged as such, and a day takes little to compute.

What happens in it is told by the names below: volume grows, nights and weekends are calm, the large model gives way to a smaller
one, one service stops and another begins, a collector is silent for a night, a server idles through a weekend; one use case has
three users, another is one user's. All of it comes from one seed and an end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from footprint.periods import Period, period_at

ZONE = ZoneInfo("Europe/Paris")
S = 1_000_000
HOUR_S, DAY_S, STEP_S = 3600, 86_400, 900
WINDOW_H = 6
QUARTERS = 5
IDLE_W, CPU_W = 70.0, 95.0
GROWTH = 0.06  # of the volume, a month
OLD_MODEL = 1.7  # what a token of the model before cost, to one of today's
MARGIN_SHARE = 0.6  # of the users that parts do not share, in a margin


@dataclass(frozen=True, slots=True)
class Use:
    """A use case on a service: requests on a working day at the end, tokens of each, J a request, and who uses it."""

    service: str
    name: str
    per_day: float
    input_tokens: int
    output_tokens: int
    joules: float
    users: int
    max_share: float = 0.12
    night: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service runs; quarters are counted back from the one in which everything ends."""

    service: str
    host: str
    devices: tuple[str, ...]
    first: int = QUARTERS
    last: int = 0


PLACES = (
    Place("chat", "demo-inf-01", ("gpu:0", "gpu:1", "gpu:2", "gpu:3")),
    Place("code", "demo-inf-02", ("gpu:0",)),
    Place("embeddings", "demo-inf-02", ("gpu:2",)),
    Place("synthese", "demo-inf-03", ("gpu:3",), last=4),  # stopped after the second quarter
    Place("transcription", "demo-inf-03", ("gpu:4",), first=1),  # new in the last whole quarter
)
USES = (
    Use("chat", "recherche documentaire", 1500, 3800, 180, 900.0, 180), Use("chat", "rédaction", 1400, 500, 420, 1100.0, 140),
    Use("chat", "traduction", 700, 900, 900, 2100.0, 60), Use("chat", "rapports de nuit", 60, 6500, 1300, 3900.0, 9, night=True),
    Use("chat", "contentieux", 90, 2500, 700, 1900.0, 3), Use("code", "aide au code", 3200, 1500, 120, 210.0, 75),
    Use("code", "relecture", 260, 4000, 300, 560.0, 14, 0.92), Use("embeddings", "indexation", 2600, 450, 0, 12.0, 12),
    Use("embeddings", "recherche documentaire", 900, 60, 0, 3.0, 170), Use("synthese", "synthèse de réunions", 240, 5200, 650, 1300.0, 48),
    Use("synthese", "traduction", 120, 900, 900, 900.0, 22), Use("transcription", "synthèse de réunions", 300, 4800, 600, 700.0, 66),
    Use("transcription", "transcription", 420, 2200, 1500, 620.0, 54),
)  # fmt: skip
UNUSED = ("demo-inf-02", "gpu:3")
HOSTS = ("demo-inf-01", "demo-inf-02", "demo-inf-03")


@dataclass(frozen=True, slots=True)
class Year:
    """When things happen, all from the instant at which the coarse data end [s]."""

    end_s: int

    @property
    def last(self) -> Period:
        """The quarter in which it ends."""
        return period_at(self.end_s * S, ZONE)

    @property
    def start_s(self) -> int:
        """Begin of the first of the five whole quarters, at midnight UTC of its first day."""
        return self.begin_s(QUARTERS)

    def begin_s(self, quarters_back: int) -> int:
        """Begin of a quarter [s], at the midnight UTC that follows it here."""
        start = self.last.shifted(-quarters_back).bounds_us(ZONE)[0] // S
        return start + -start % DAY_S

    @property
    def model_changed_s(self) -> int:
        """The large model gives way: in the middle of the third quarter."""
        return self.begin_s(QUARTERS - 2) + 45 * DAY_S

    @property
    def silent(self) -> tuple[int, int]:
        """A collector of the second host is silent for a night of the fourth quarter."""
        begin = self.begin_s(2) + 40 * DAY_S + 20 * HOUR_S
        return begin, begin + 11 * HOUR_S

    @property
    def forgotten(self) -> tuple[int, int]:
        """The first host idles through a weekend of the last whole quarter: nobody asks anything."""
        day = self.begin_s(1) // DAY_S + 30
        saturday = day + (2 - day) % 7  # 1970-01-03 was one
        return saturday * DAY_S, (saturday + 2) * DAY_S

    def runs(self, place: Place) -> tuple[int, int]:
        """[from, to) of a service [s]."""
        return self.begin_s(place.first), self.begin_s(place.last - 1) if place.last else self.end_s

    def date(self, instant_s: int) -> str:
        """A date for the configuration."""
        return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")


def configuration(year: Year) -> str:
    """Blocks of footprint.toml for what the detailed weeks do not know: the model before, other services, annotations."""
    chat = ", ".join(f'"demo-inf-01/{device}"' for device in PLACES[0].devices)
    changed = year.date(year.model_changed_s)
    blocks = [f'[[service]]\nname = "chat"\nmodel = "demo-70b"\ndevices = [{chat}]\nuntil = "{changed}"\n',
              f'[[service]]\nname = "chat"\nmodel = "demo-24b"\ndevices = [{chat}]\nsince = "{changed}"\n']  # fmt: skip
    for place in PLACES[3:]:
        begin, end = year.runs(place)
        until = f'until = "{year.date(end)}"\n' if place.last else ""
        devices = ", ".join(f'"{place.host}/{device}"' for device in place.devices)
        blocks.append(
            f'[[service]]\nname = "{place.service}"\nmodel = "demo-{place.service}"\ndevices = [{devices}]\n'
            f'since = "{year.date(begin)}"\n{until}'
        )
    for name, charter in (("synthèse de réunions", "authorised"), ("transcription", "under-study"), ("contentieux", "proscribed")):
        blocks.append(f'[[use_case]]\nname = "{name}"\ncharter = "{charter}"\n')
    for at, text, service in (
        (year.model_changed_s, "chat : demo-24b remplace demo-70b", "chat"), (year.begin_s(1), "ouverture de transcription", "transcription"),
        (year.runs(PLACES[3])[1], "arrêt de synthese", "synthese"), (year.silent[0], "collecteur de demo-inf-02 muet une nuit", ""),
    ):  # fmt: skip
        blocks.append(f'[[annotation]]\nat = "{year.date(at)}"\ntext = "{text}"\n' + (f'service = "{service}"\n' if service else ""))
    return "\n".join(blocks)


def write_year(folder: Path, end_s: int, seed: int) -> Year:
    """Contract files (``energy-year.csv``, ``requests-year.csv``, ``users-year.csv``) up to a midnight UTC, and the truth beside them."""
    year = Year(end_s - end_s % DAY_S)
    luck = np.random.default_rng(seed)
    hours = np.arange(year.start_s, year.end_s, HOUR_S)
    asked = {use: _requests(use, year, hours, luck) for use in USES}
    _write_requests(folder / "requests-year.csv", asked, hours)
    _write_energy(folder / "energy-year.csv", asked, year, hours, luck)
    _write_truth(folder / "truth-year.csv", asked, year, hours)
    _write_users(folder / "users-year.csv", asked, hours)
    return year


Counts = np.ndarray[tuple[int], np.dtype[np.int64]]


def _requests(use: Use, year: Year, hours: Counts, luck: np.random.Generator) -> Counts:
    """Requests in each hour: by the hour of the working day, a tenth at weekends, none while its service is not there."""
    place = next(place for place in PLACES if place.service == use.service)
    begin, end = year.runs(place)
    hour, day = hours // HOUR_S % 24, hours // DAY_S
    weekend = np.isin(day % 7, (2, 3))
    shape = np.isin(hour, (0, 1, 2, 3)) / 4.0 if use.night else np.where((hour >= 6) & (hour < 18), np.sin((hour - 5) / 14 * np.pi), 0.0)
    shape = shape / shape[:24].sum() * np.where(weekend, 0.1, 1.0)
    growth = (1 + GROWTH) ** ((hours - year.end_s) / (30.4 * DAY_S))
    lively = luck.lognormal(0, 0.08, len(hours) // 24 + 1)[(hours - hours[0]) // DAY_S]
    found = luck.poisson(use.per_day * shape * growth * lively)
    found[(hours < begin) | (hours >= end)] = 0
    if place.host == "demo-inf-01":
        found[(hours >= year.forgotten[0]) & (hours < year.forgotten[1])] = 0
    return found


def _joules(use: Use, year: Year, hours: Counts) -> np.ndarray:  # type: ignore[type-arg]
    old = (use.service == "chat") & (hours < year.model_changed_s)
    return use.joules * np.where(old, OLD_MODEL, 1.0)


def _write_requests(path: Path, asked: dict[Use, Counts], hours: Counts) -> None:
    starts = hours[::WINDOW_H].tolist()
    with path.open("w", encoding="utf-8") as out:
        out.write("start,end,service,use_case,requests,input_tokens,cached_input_tokens,output_tokens\n")
        for use, counts in asked.items():
            for at, n in zip(starts, counts.reshape(-1, WINDOW_H).sum(axis=1).tolist(), strict=True):
                if n:
                    tokens = ",".join(str(n * each) for each in (use.input_tokens, use.input_tokens // 3, use.output_tokens))
                    out.write(f"{at},{at + WINDOW_H * HOUR_S},{use.service},{use.name},{n},{tokens}\n")


def _write_energy(path: Path, asked: dict[Use, Counts], year: Year, hours: Counts, luck: np.random.Generator) -> None:
    """Cumulative counters of every device; a silent host's go on unread. The last stands a second before the end."""
    at = np.arange(year.start_s, year.end_s + 1, STEP_S)
    at[-1] -= 1
    active = defaultdict(lambda: np.zeros(len(hours)))
    for use, counts in asked.items():
        active[use.service] += counts * _joules(use, year, hours) * luck.normal(1, 0.02, len(hours))
    with path.open("w", encoding="utf-8") as out:
        out.write("time,host,device,component,energy_j\n")
        for host in HOSTS:
            work = np.zeros(len(hours))
            for place in (place for place in PLACES if place.host == host):
                work += active[place.service]
                begin, end = year.runs(place)
                for device in place.devices:
                    joules = IDLE_W * STEP_S + np.repeat(active[place.service] / len(place.devices), 4) / 4
                    _write_counter(out, host, device, "gpu", at, joules, (begin, end), year)
            _write_counter(out, host, "cpu:0", "cpu", at, CPU_W * STEP_S + np.repeat(0.12 * work, 4) / 4, (at[0], at[-1] + 1), year)
        _write_counter(out, *UNUSED, "gpu", at, np.full(len(at) - 1, 52.0 * STEP_S), (at[0], at[-1] + 1), year)


def _write_counter(out, host: str, device: str, component: str, at, joules, there: tuple[int, int], year: Year) -> None:  # type: ignore[no-untyped-def]
    read = (at >= there[0]) & (at <= there[1])
    if host == "demo-inf-02":
        read &= (at < year.silent[0]) | (at > year.silent[1])
    counter = np.concatenate([[0.0], np.cumsum(joules)])
    out.writelines(f"{t},{host},{device},{component},{j:.3f}\n" for t, j in zip(at[read].tolist(), counter[read].tolist(), strict=True))


def _months(hours: Counts) -> list[Period]:
    """The organisation's month of each hour."""
    days = {day: period_at(int(day) * DAY_S * S + 12 * HOUR_S * S, ZONE, 1) for day in np.unique(hours // DAY_S).tolist()}
    return [days[int(day)] for day in (hours // DAY_S).tolist()]


def _write_truth(path: Path, asked: dict[Use, Counts], year: Year, hours: Counts) -> None:
    """What each use case really took above idle, by UTC day."""
    with path.open("w", encoding="utf-8") as out:
        out.write("day_start,service,use_case,requests,active_j\n")
        days = (hours - hours[0]) // DAY_S
        for use, counts in asked.items():
            joules = np.bincount(days, counts * _joules(use, year, hours))
            for day, (n, j) in enumerate(zip(np.bincount(days, counts).tolist(), joules.tolist(), strict=True)):
                if n:
                    out.write(f"{hours[0] + day * DAY_S},{use.service},{use.name},{round(n)},{j:.0f}\n")


def _write_users(path: Path, asked: dict[Use, Counts], hours: Counts) -> None:
    """Distinct users of every cell and margin, of months, quarters and years: they grow with the period, and margins do not add."""
    with path.open("w", encoding="utf-8") as out:
        out.write("period,service,use_case,users,max_share,teams\n")
        for row in _cells(asked, _months(hours)):
            out.write(",".join(map(str, row)) + "\n")


def _cells(asked: dict[Use, Counts], months: list[Period]) -> Iterator[tuple[object, ...]]:
    there: dict[Period, set[Use]] = defaultdict(set)
    number = {month: i for i, month in enumerate(sorted(set(months)))}
    of_hour = np.array([number[month] for month in months])
    for use, counts in asked.items():
        totals = np.bincount(of_hour, counts, len(number))
        for month, i in number.items():
            if totals[i]:
                for length in (1, 3, 12):
                    there[Period(month.year, (month.month - 1) // length * length + 1, length)].add(use)
    for period in sorted(there, key=str):
        parts = {use: _users_of(use, period) for use in sorted(there[period], key=repr)}
        for service in (*sorted({use.service for use in parts}), ""):
            for name in (*sorted({use.name for use in parts}), ""):
                held = {use: n for use, n in parts.items() if service in ("", use.service) and name in ("", use.name)}
                if held:
                    most, weight = max(held.values()), sum(use.per_day for use in held)
                    users = round(most + MARGIN_SHARE * (sum(held.values()) - most))
                    share = max(use.max_share * use.per_day / weight for use in held)
                    yield str(period), service, name, users, round(share, 4), users // 7 + 1


def _users_of(use: Use, period: Period) -> int:
    """More in a longer period, but no more than three where three people work on it."""
    return use.users if use.users <= 3 else round(use.users * {1: 0.8, 3: 0.92, 12: 1.0}[period.length])
