"""This file is the state of a page: everything that its address says, and nothing else, decides what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from footprint.access import AccessRefused, Role
from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.core.timestamps import format_instant, from_datetime, parse_instant, to_datetime
from footprint.core.units import US_PER_DAY, US_PER_HOUR, US_PER_S
from footprint.editions.repository import Release
from footprint.figures import Query, QueryResult
from footprint.storage.database import Store

PERIODS = ("today", "7d", "30d", "quarter", "year", "all")
VERSUS = ("prev", "yoy", "none")
VIEWS = ("active", "full")
THEMES = ("auto", "light", "dark")
FILTERS = ("service", "use_case", "model", "host", "site")
USE_CASE_PAGES = ("/use-cases", "/charter", "/efficiency")  # pages whose figures stand below service level
FIGURES = ("energy_kwh", "co2e_location_g", "requests", "wh_thousand")
NAMED_PERIOD = re.compile(r"([1-9]\d{3})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?")
_DAYS = {"today": 1, "7d": 7, "30d": 30}
_RELATIVE = re.compile(r"now(?:-(\d{1,6})([smhdw]))?")
_UNITS_US = {"s": US_PER_S, "m": 60 * US_PER_S, "h": US_PER_HOUR, "d": US_PER_DAY, "w": 7 * US_PER_DAY}


@dataclass(frozen=True, slots=True)
class UrlState:
    """What an address asks for; ``rest`` holds parameters of single pages."""

    path: str = "/"
    language: str = "fr"
    theme: str = "auto"
    period: str = "30d"
    versus: str = "prev"
    view: str = "active"
    since: str = ""
    until: str = ""
    filters: tuple[tuple[str, str], ...] = ()
    rest: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, path: str, search: str, language: str) -> UrlState:
        """From a path and the text behind the question mark; what cannot be understood is left out."""
        asked = parse_qs(search.removeprefix("?"))

        def one(name: str, allowed: tuple[str, ...], default: str) -> str:
            value = asked.get(name, [default])[0]
            return value if value in allowed else default

        period, versus = asked.get("period", ["30d"])[0], asked.get("vs", ["prev"])[0]
        filters = [(name, value) for name in FILTERS for value in asked.get(name, []) if value]
        known = {"lang", "theme", "period", "vs", "view", "from", "to", *FILTERS}
        return cls(
            path=path or "/",
            language=language,
            theme=one("theme", THEMES, "auto"),
            period=period if period in PERIODS or NAMED_PERIOD.fullmatch(period) else "30d",
            versus=versus if versus in VERSUS or NAMED_PERIOD.fullmatch(versus) else "prev",
            view=one("view", VIEWS, "active"),
            since=_parse_date(asked.get("from", [""])[0]),
            until=_parse_date(asked.get("to", [""])[0]),
            filters=tuple(filters),
            rest=tuple((name, values[0]) for name, values in sorted(asked.items()) if name not in known),
        )

    def get(self, name: str) -> str:
        """A parameter of this page alone; empty where the address has none."""
        return dict(self.rest).get(name, "")

    def link(self, path: str | None = None, **changes: Any) -> str:
        """The canonical address of this view with some things changed; ``None`` takes a filter away."""
        fields: dict[str, str] = {
            "lang": self.language,
            "theme": self.theme,
            "period": self.period,
            "vs": self.versus,
            "view": self.view,
            "from": self.since,
            "to": self.until,
        }
        default = {"theme": "auto", "period": "30d", "vs": "prev", "view": "active"}
        filters = [*self.filters]
        rest = dict(self.rest) if path in (None, self.path) else {}
        for name, value in changes.items():
            if name in FILTERS:
                filters = [each for each in filters if each[0] != name] + ([(name, value)] if value else [])
            elif name in fields:
                fields[name] = value
            else:
                rest[name] = value or ""
        if changes.get("period"):
            fields["from"] = fields["to"] = ""
        told = [(name, value) for name, value in fields.items() if value and value != default.get(name)]
        told += sorted(filters) + [(name, value) for name, value in sorted(rest.items()) if value]
        return f"{path or self.path}?{urlencode(told)}"

    def bounds(self, config: Config, now_us: int) -> tuple[int | None, int | None]:
        """[from, to) of the period, cut at midnights of the organisation; None where it is open."""
        if self.since or self.until:
            return _bound_us(self.since, config, now_us), _bound_us(self.until, config, now_us)
        begin, end = self._days(config, now_us)
        return (None if begin is None else _midnight_us(begin, config), None if end is None else _midnight_us(end, config))

    def _days(self, config: Config, now_us: int) -> tuple[date | None, date | None]:
        today = to_datetime(now_us).astimezone(config.timezone).date()
        named = NAMED_PERIOD.fullmatch(self.period)
        if named:
            year, quarter, month = int(named[1]), named[2], named[3]
            first = int(month) if month else 3 * int(quarter) - 2 if quarter else 1
            length = 1 if month else 3 if quarter else 12
            return date(year, first, 1), date(year + (first + length > 12), (first + length - 1) % 12 + 1, 1)
        if self.period in _DAYS:
            return today - timedelta(days=_DAYS[self.period] - 1), None
        if self.period == "quarter":
            return today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1), None
        return (today.replace(month=1, day=1), None) if self.period == "year" else (None, None)

    def earlier(self, config: Config, now_us: int) -> tuple[int, int] | None:
        """The period that this one is compared with, as long as what has passed of it; None where there is none."""
        begin, end = self.bounds(config, now_us)
        if NAMED_PERIOD.fullmatch(self.versus):
            return parse_period(self.versus).bounds_us(config.timezone)
        if begin is None or self.versus == "none":
            return None
        named = None if self.since or self.until else NAMED_PERIOD.fullmatch(self.period)
        if named and self.versus == "prev" and end is not None and end <= now_us:
            return parse_period(self.period).shifted(-1).bounds_us(config.timezone)  # the quarter before, however long
        end = min(end or now_us, now_us)
        end -= (end - begin) % US_PER_HOUR  # whole hours: a cut within one would have to be computed anew
        if self.versus == "prev":
            return (2 * begin - end, begin) if end > begin else None
        back = [_year_before_us(at, config) for at in (begin, end)]
        return back[0], back[1]

    def question(self, config: Config, now_us: int, **options: Any) -> Query:
        """The question of this view: its period and filters, with a grouping or steps of its own."""
        begin, end = self.bounds(config, now_us)
        if end is not None and end > now_us:
            end = None
        asked = {"from_us": begin, "to_us": end, "where": self.filters, "view": self.view} | options
        if set(dict(asked["where"])) & {"host", "site"} or set(asked.get("group", ())) & {"host", "site", "device"}:
            asked["view"] = "active" if asked["view"] == "full" else asked["view"]
        return Query(**asked)

    def data(self, config: Config, now_us: int, form: str = "csv", **options: str) -> str:
        """Where the same figures stand at the API."""
        begin, end = self.bounds(config, now_us)
        told = [(name, value) for name, value in options.items() if value]
        told += [("view", self.view)] if self.view != "active" else []
        told += [("where", f"{name}={value}") for name, value in self.filters]
        told += [("from", format_instant(begin))] if begin is not None else []
        told += [("to", format_instant(end))] if end is not None and end <= now_us else []
        return f"/api/v1/footprint?{urlencode([*told, ('format', form)])}"


def _parse_date(text: str) -> str:
    """A date, or an instant relative to now as Grafana writes it; empty where it is neither."""
    if _RELATIVE.fullmatch(text):
        return text
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        return ""


def _bound_us(text: str, config: Config, now_us: int) -> int | None:
    """[µs] of a bound as the address writes it."""
    if not text:
        return None
    relative = _RELATIVE.fullmatch(text)
    if relative is None:
        return _midnight_us(date.fromisoformat(text), config)
    return now_us - int(relative[1] or 0) * _UNITS_US[relative[2] or "s"]


def _midnight_us(day: date, config: Config) -> int:
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=config.timezone))


def _year_before_us(at_us: int, config: Config) -> int:
    then = to_datetime(at_us).astimezone(config.timezone)
    day = 28 if (then.month, then.day) == (2, 29) else then.day
    return from_datetime(then.replace(year=then.year - 1, day=day))


def shows_protected_only(role: Role, view: UrlState) -> bool:
    """Whether a page shows a role protected figures only: of whole months that are over, by service and use case."""
    return not role.sees_uses and (not role.sees_services or view.path in USE_CASE_PAGES)


@dataclass(frozen=True, slots=True)
class PageContext:
    """What a page is made of; where ``role`` sees protected figures only there is no ``store`` to ask past ``ask``."""

    config: Config
    store: Store | None
    ask: Callable[[Query], QueryResult]
    now_us: int
    view: UrlState
    failed: list[str] = field(default_factory=list)
    role: Role = Role.ADMINISTRATOR
    published: Callable[[str], Release | None] = lambda period: None  # the newest edition of a period

    def question(self, **options: Any) -> Query:
        """The question of this view; where its period begins before the first reading, nothing was expected there."""
        asked = self.view.question(self.config, self.now_us, **options)
        if "from_us" in options or asked.from_us is None:
            return asked
        whole = self.ask(Query()).rows
        begun = bool(whole) and parse_instant(whole[0]["period_start"]) >= asked.from_us
        return replace(asked, from_us=None) if begun else asked

    def rows(self, **options: Any) -> list[dict[str, Any]]:
        """Rows of this view's question."""
        return self.ask(self.question(**options)).rows

    def earlier(self, **options: Any) -> list[dict[str, Any]]:
        """Rows of the period that this one is compared with; none where there is none."""
        bounds = self.view.earlier(self.config, self.now_us)
        if bounds is None:
            return []
        try:
            return self._earlier(bounds, options)
        except AccessRefused:  # what the period is compared with may not be shown; the period itself may
            return []

    def _earlier(self, bounds: tuple[int, int], options: dict[str, Any]) -> list[dict[str, Any]]:
        return self.ask(self.view.question(self.config, self.now_us, from_us=bounds[0], to_us=bounds[1], **options)).rows

    def data(self, form: str = "csv", **options: str) -> str:
        """Where this view's figures stand at the API."""
        return self.view.data(self.config, self.now_us, form, **options)
