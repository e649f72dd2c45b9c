"""State of a page, read from its URL: the URL alone decides what the page shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from dashboards.answers import Question
from footprint.access import AccessRefused, Role
from footprint.access.policy import allows
from footprint.calendar.periods import parse_period
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.timestamps import format_instant, from_datetime, parse_instant, to_datetime
from footprint.core.units import US_PER_DAY, US_PER_HOUR, US_PER_S
from footprint.editions.repository import Release
from footprint.figures import Query, QueryResult
from footprint.figures.query import check_bound
from footprint.storage.database import Store

PERIODS = ("today", "7d", "30d", "quarter", "year", "all")
VERSUS = ("prev", "yoy", "none")
VIEWS = ("active", "full")
THEMES = ("auto", "light", "dark")
FILTERS = ("service", "use_case", "model", "host", "site")
USE_CASE_PAGES = ("/use-cases", "/charter", "/efficiency")  # pages whose figures stand below service level
FIGURES = ("energy_kwh", "co2e_location_g", "requests", "wh_thousand")
NAMED_PERIOD = re.compile(r"(?:19[89]\d|2\d{3})(?:-Q[1-4]|-(?:0[1-9]|1[0-2]))?")  # texts that parse_period takes
_DAYS = {"today": 1, "7d": 7, "30d": 30}
MIN_YEAR, MAX_YEAR = 1971, 2999  # of a date in a URL; calendars compute a year before and after it
MAX_AGO_US = 50 * 366 * US_PER_DAY  # of an instant before now in a URL
TABLE_FORMATS = ("csv", "json", "parquet")  # in which the API offers every table
_RELATIVE = re.compile(r"now(?:-(\d{1,6})([smhdw]))?")
_UNITS_US = {"s": US_PER_S, "m": 60 * US_PER_S, "h": US_PER_HOUR, "d": US_PER_DAY, "w": 7 * US_PER_DAY}


@dataclass(frozen=True, slots=True)
class UrlState:
    """Parsed URL of a page; ``page_params`` holds the parameters that only one page knows."""

    path: str = "/"
    language: str = "fr"
    theme: str = "auto"
    period: str = "30d"
    versus: str = "prev"
    view: str = "active"
    since: str = ""
    until: str = ""
    filters: tuple[tuple[str, str], ...] = ()
    page_params: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, path: str, search: str, language: str) -> UrlState:
        """Parse a path and a query string; parameters that are not valid are left out."""
        params = parse_qs(search.removeprefix("?"))

        def one(name: str, allowed: tuple[str, ...], default: str) -> str:
            value = params.get(name, [default])[0]
            return value if value in allowed else default

        period, versus = params.get("period", ["30d"])[0], params.get("vs", ["prev"])[0]
        filters = [(name, value) for name in FILTERS for value in params.get(name, []) if value]
        known = {"lang", "theme", "period", "vs", "view", "from", "to", *FILTERS}
        return cls(
            path=path or "/",
            language=language,
            theme=one("theme", THEMES, "auto"),
            period=period if period in PERIODS or NAMED_PERIOD.fullmatch(period) else "30d",
            versus=versus if versus in VERSUS or NAMED_PERIOD.fullmatch(versus) else "prev",
            view=one("view", VIEWS, "active"),
            since=_parse_date(params.get("from", [""])[0]),
            until=_parse_date(params.get("to", [""])[0]),
            filters=tuple(filters),
            page_params=tuple((name, values[0]) for name, values in sorted(params.items()) if name not in known),
        )

    def get(self, name: str) -> str:
        """Value of a page parameter; empty if the URL has none."""
        return dict(self.page_params).get(name, "")

    def link(self, path: str | None = None, **changes: Any) -> str:
        """Canonical URL of this state with changed parameters; ``None`` removes a filter."""
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
        page_params = dict(self.page_params) if path in (None, self.path) else {}
        for name, value in changes.items():
            if name in FILTERS:
                filters = [pair for pair in filters if pair[0] != name] + ([(name, value)] if value else [])
            elif name in fields:
                fields[name] = value
            else:
                page_params[name] = value or ""
        if changes.get("period"):
            fields["from"] = fields["to"] = ""
        query = [(name, value) for name, value in fields.items() if value and value != default.get(name)]
        query += sorted(filters) + [(name, value) for name, value in sorted(page_params.items()) if value]
        return f"{path or self.path}?{urlencode(query)}"

    def bounds(self, config: Config, now_us: int) -> tuple[int | None, int | None]:
        """[from, to) of the period [µs], at midnights of the organisation's time zone; None where it is open.

        Bounds relative to now are rounded outwards to whole slots, of which all figures are made.

        Raises
        ------
        BadQuery
            If no period of figures can have such a bound.
        """
        if self.since or self.until:
            bounds = _bound_us(self.since, config, now_us), _bound_us(self.until, config, now_us, is_end=True)
        else:
            begin, end = self._days(config, now_us)
            bounds = None if begin is None else _midnight_us(begin, config), None if end is None else _midnight_us(end, config)
        for name, bound_us in zip(("from", "to"), bounds, strict=True):
            check_bound(name, bound_us)
        return bounds

    def _days(self, config: Config, now_us: int) -> tuple[date | None, date | None]:
        today = to_datetime(now_us).astimezone(config.timezone).date()
        if NAMED_PERIOD.fullmatch(self.period):
            period = parse_period(self.period)
            following = period.shifted(1)
            return date(period.year, period.month, 1), date(following.year, following.month, 1)
        if self.period in _DAYS:
            return today - timedelta(days=_DAYS[self.period] - 1), None
        if self.period == "quarter":
            return today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1), None
        return (today.replace(month=1, day=1), None) if self.period == "year" else (None, None)

    def reference_bounds(self, config: Config, now_us: int) -> tuple[int, int] | None:
        """[from, to) of the reference period [µs], as long as the part of this period that is over; None if there is none."""
        begin, end = self.bounds(config, now_us)
        if NAMED_PERIOD.fullmatch(self.versus):
            return parse_period(self.versus).bounds_us(config.timezone)
        if begin is None or self.versus == "none":
            return None
        named = None if self.since or self.until else NAMED_PERIOD.fullmatch(self.period)
        if named and self.versus == "prev" and end is not None and end <= now_us:
            return (
                parse_period(self.period).shifted(-1).bounds_us(config.timezone)
            )  # the previous quarter, even if it has more or fewer days
        end = min(end or now_us, now_us)
        end -= end % slot_length_us(config.timezone)  # figures are made of whole slots
        if self.versus == "prev":
            return (2 * begin - end, begin) if end > begin else None
        return _year_before_us(begin, config), _year_before_us(end, config)

    def query(self, config: Config, now_us: int, **options: Any) -> Query:
        """Query of this period and these filters; ``options`` add a grouping, steps or other bounds."""
        begin, end = self.bounds(config, now_us)
        if end is not None and end > now_us:
            end = None
        fields = {"from_us": begin, "to_us": end, "where": self.filters, "view": self.view} | options
        if set(dict(fields["where"])) & {"host", "site"} or set(fields.get("group", ())) & {"host", "site", "device"}:
            fields["view"] = "active" if fields["view"] == "full" else fields["view"]
        return Query(**fields)

    def api_url(self, config: Config, now_us: int, form: str = "csv", **options: str) -> str:
        """API URL of the same figures."""
        begin, end = self.bounds(config, now_us)
        params = [(name, value) for name, value in options.items() if value]
        params += [("view", self.view)] if self.view != "active" else []
        params += [("where", f"{name}={value}") for name, value in self.filters]
        params += [("from", format_instant(begin))] if begin is not None else []
        params += [("to", format_instant(end))] if end is not None and end <= now_us else []
        return f"/api/v1/footprint?{urlencode([*params, ('format', form)])}"


def _parse_date(text: str) -> str:
    """A date, or an instant relative to now in Grafana's syntax (`now-7d`); empty if the text is neither."""
    relative = _RELATIVE.fullmatch(text)
    if relative is not None:
        return text if int(relative[1] or 0) * _UNITS_US[relative[2] or "s"] <= MAX_AGO_US else ""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return ""
    return day.isoformat() if MIN_YEAR <= day.year <= MAX_YEAR else ""


def _bound_us(text: str, config: Config, now_us: int, *, is_end: bool = False) -> int | None:
    """A bound of the URL [µs], at the edge of a slot; None if it is empty."""
    if not text:
        return None
    relative = _RELATIVE.fullmatch(text)
    if relative is None:
        return _midnight_us(date.fromisoformat(text), config)
    at_us, slot_us = now_us - int(relative[1] or 0) * _UNITS_US[relative[2] or "s"], slot_length_us(config.timezone)
    return at_us + -at_us % slot_us if is_end else at_us - at_us % slot_us


def _midnight_us(day: date, config: Config) -> int:
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=config.timezone))


def _year_before_us(at_us: int, config: Config) -> int:
    local = to_datetime(at_us).astimezone(config.timezone)
    day = 28 if (local.month, local.day) == (2, 29) else local.day
    return from_datetime(local.replace(year=local.year - 1, day=day))


def shows_protected_only(role: Role, view: UrlState) -> bool:
    """Whether a role sees only protected figures on a page: completed months, by service and use case."""
    return not role.sees_uses and (not role.sees_services or view.path in USE_CASE_PAGES)


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything that a page is rendered from.

    A role that sees only protected figures gets no ``store``, so that every figure passes through ``run_query``.
    """

    config: Config
    store: Store | None
    run_query: Callable[[Query], QueryResult]
    now_us: int
    view: UrlState
    role: Role = Role.NOBODY
    find_edition: Callable[[str], Release | None] = lambda period: None  # newest edition of a period
    shared: Callable[[Question], Any] | None = None  # answers that cards share

    def read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Answer of ``function(store, config, *arguments, now_us)``, shared by all cards that ask for the same.

        The answer is not masked, so only roles that have the store may ask.
        """
        assert self.store is not None
        question = Question(function, arguments)
        return question.answer(self.store, self.config, self.now_us) if self.shared is None else self.shared(question)

    def query(self, **options: Any) -> Query:
        """Query of this page; a period that begins before the first reading is left open, since no reading was expected there."""
        query = self.view.query(self.config, self.now_us, **options)
        query = replace(query, undeclared_together=not allows(self.role, "names:undeclared_use_case"))
        if "from_us" in options or query.from_us is None:
            return query
        total = self.run_query(Query()).rows
        begins_before_data = bool(total) and parse_instant(total[0]["period_start"]) >= query.from_us
        return replace(query, from_us=None) if begins_before_data else query

    def rows(self, **options: Any) -> list[dict[str, Any]]:
        """Rows of this page's query."""
        return self.run_query(self.query(**options)).rows

    def reference_rows(self, **options: Any) -> list[dict[str, Any]]:
        """Rows of the reference period; empty if there is none or if the role may not see it."""
        bounds = self.view.reference_bounds(self.config, self.now_us)
        if bounds is None:
            return []
        query = self.view.query(self.config, self.now_us, from_us=bounds[0], to_us=bounds[1], **options)
        try:
            return self.run_query(query).rows
        except AccessRefused:  # only the reference period is protected; the page itself can still be shown
            return []

    def api_url(self, form: str = "csv", **options: str) -> str:
        """API URL of this page's figures."""
        return self.view.api_url(self.config, self.now_us, form, **options)

    def data_links(self, **options: str) -> list[tuple[str, str]]:
        """Labels and API URLs of this page's figures, one a format."""
        return [(form.upper(), self.api_url(form, **options)) for form in TABLE_FORMATS]


def table_links(name: str, params: str = "") -> list[tuple[str, str]]:
    """Labels and API URLs of a table, one a format; ``params`` are further URL parameters (`&lang=fr`)."""
    return [(form.upper(), f"/api/v1/tables/{name}?format={form}{params}") for form in TABLE_FORMATS]
