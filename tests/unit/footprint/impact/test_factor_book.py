"""The factor book: which row holds, what is refused with its line, and edges."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from footprint.core.zones import is_zone
from footprint.impact.factor_book import BadFactor, Factor, FactorBook, MissingFactor, parse_factors, read_factors, shipped_book

PARIS = ZoneInfo("Europe/Paris")
S = 1_000_000
HEADER = "kind,where,valid_from,valid_to,value,low,high,unit,scope,source,licence,retrieved,bundle"


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def instant(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp()) * S


def factor(
    value: float, since: str = "2026-01-01", until: str | None = None, kind: str = "grid", where: str = "FR", **more: object
) -> Factor:
    made = Factor(
        kind,
        where,
        day(since),
        day(until) if until else None,
        value,
        None,
        None,
        "g/kWh",
        "",
        "source",
        "free",
        "2026-01-01",
        "b",
    )
    return replace(made, **more)  # type: ignore[arg-type]


def found(book: FactorBook, at: str, kind: str = "grid", where: str = "FR") -> float:
    return book.find(kind, where, instant(at), PARIS).value


def test_a_factor_holds_from_its_first_day_to_the_day_before_its_last_in_local_time() -> None:
    book = FactorBook([factor(1, "2026-01-01", "2026-02-01"), factor(2, "2026-02-01", "2026-03-01")])
    assert found(book, "2026-01-01T00:00:00+01:00") == 1
    assert found(book, "2026-01-31T23:59:59+01:00") == 1
    assert found(book, "2026-02-01T00:00:00+01:00") == 2
    assert found(book, "2026-02-28T23:59:59+01:00") == 2
    for at in ("2025-12-31T23:59:59+01:00", "2026-03-01T00:00:00+01:00"):
        with pytest.raises(MissingFactor, match="no grid for FR at"):
            found(book, at)
    with pytest.raises(MissingFactor):
        found(book, "2026-01-15T00:00:00+01:00", where="DE")
    with pytest.raises(MissingFactor):
        found(book, "2026-01-15T00:00:00+01:00", kind="water")


def test_later_rows_take_over_and_imported_ones_from_shipped_ones() -> None:
    at = "2026-06-01T12:00:00+02:00"
    assert found(FactorBook([factor(2, "2026-05-01"), factor(1, "2026-01-01")]), at) == 2
    assert found(FactorBook([factor(2, "2026-05-01"), factor(9, "2026-01-01", imported_us=1)]), at) == 9
    assert found(FactorBook([factor(8, imported_us=2), factor(9, imported_us=1)]), at) == 8
    assert found(FactorBook([factor(8, retrieved="2026-03-01"), factor(9)]), at) == 8


def test_bounds_are_those_of_the_source_else_15_percent() -> None:
    own = factor(50, low=40.0, high=55.0).estimate()
    assert (own.value, own.low, own.high) == (50, 40, 55)
    for part in ({"low": 40.0}, {"high": 60.0}, {}):
        general = factor(50, **part).estimate()
        assert (general.value, general.low, general.high) == (50, pytest.approx(42.5), pytest.approx(57.5))


def test_edges_are_the_days_of_the_factors_asked_for() -> None:
    book = FactorBook([
        factor(1, "2026-03-01", "2026-07-01"), factor(2, "2026-07-01"), factor(3, "2026-05-01", where="DE"), factor(4, "2026-06-01", kind="water"),
    ])  # fmt: skip
    assert book.edges_us(["grid"], PARIS, ["FR"]) == [instant("2026-03-01T00:00:00+01:00"), instant("2026-07-01T00:00:00+02:00")]
    assert book.edges_us(["grid", "water"], PARIS, ["FR", "IT"])[1] == instant("2026-06-01T00:00:00+02:00")
    assert book.edges_us(["grid"], PARIS, []) == []


def test_a_digest_tells_books_apart_and_not_how_a_file_was_written() -> None:
    one = FactorBook([factor(1), factor(2, where="DE")])
    assert one.digest() == one.digest() == FactorBook([factor(2, where="DE", sha256="x"), factor(1)]).digest()
    assert one.digest() != FactorBook([factor(1), factor(3, where="DE")]).digest()
    assert len(one.digest()) == 24
    assert FactorBook([factor(1), factor(2, where="")]).places() == {"FR"}


ROW = "grid,FR,2026-01-01,2027-01-01,50,40,60,g/kWh,lifecycle,Ember,CC BY,2026-02-03,mine"


def parsed(row: str, header: str = HEADER) -> list[Factor]:
    return parse_factors([header, row], "f.csv", "other", imported_us=7, sha256="abc")


def test_a_row_has_every_field() -> None:
    assert parsed(ROW) == [
        Factor(
            "grid",
            "FR",
            day("2026-01-01"),
            day("2027-01-01"),
            50,
            40,
            60,
            "g/kWh",
            "lifecycle",
            "Ember",
            "CC BY",
            "2026-02-03",
            "mine",
            7,
            "abc",
        )
    ]
    bare = parsed("grid,,2026-01-01,,50,,,g/kWh,,Ember,CC BY,2026-02-03,")[0]
    assert (bare.where, bare.valid_to, bare.low, bare.high, bare.bundle) == ("", None, None, None, "other")
    short = parsed(
        "grid,FR,2026-01-01,50,g/kWh,,Ember,CC BY,2026-02-03", "kind,where,valid_from,value,unit,scope,source,licence,retrieved"
    )[0]
    assert (short.valid_to, short.low, short.high, short.bundle) == (None, None, None, "other")
    assert parsed(ROW.replace("50,40,60", "50,50,50"))[0].low == 50


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("50,40,60", "50,40,", "both given or both empty"),
        ("50,40,60", "50,,60", "both given or both empty"),
        ("50,40,60", "nan,,", "must be a number"),
        ("50,40,60", "inf,,", "must be a number"),
        ("50,40,60", "39,40,60", "low <= value <= high"),
        ("50,40,60", "61,40,60", "low <= value <= high"),
        ("50,40,60", "x,,", "could not convert"),
        ("2027-01-01", "2026-01-01", "valid_to must be after"),
        ("2027-01-01", "2025-01-01", "valid_to must be after"),
        ("grid", "", "kind is empty"),
        ("g/kWh", "", "unit is empty"),
        ("Ember", "", "source is empty"),
        ("CC BY", "", "licence is empty"),
        ("2026-02-03", "", "retrieved is empty"),
        (",50,40,60,g/kWh,lifecycle,Ember,CC BY,2026-02-03,mine", "", "f.csv:2"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(BadFactor, match=message) as refused:
        parsed(ROW.replace(old, new))
    assert str(refused.value).startswith("f.csv:2: ")


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(BadFactor, match=r"f\.csv:1: columns missing: licence, source$"):
        parsed("", HEADER.replace("source,licence,", ""))
    with pytest.raises(BadFactor, match="columns missing: kind, licence"):
        parse_factors([], "f.csv", "b")


def test_a_file_is_read_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8")
    assert read_factors(path, "b")[0].imported_us == 0
    assert read_factors(path, "b")[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(BadFactor, match="cannot be read"):
        read_factors(tmp_path / "none.csv", "b")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadFactor, match="cannot be read"):
        read_factors(path, "b")


def test_the_shipped_book_holds_france_and_is_read_once() -> None:
    assert "FR" in shipped_book().places()
    assert shipped_book() is shipped_book()


@pytest.mark.parametrize(
    ("code", "known"),
    [("FR", True), ("FR-COR", True), ("FR-A1-B2", True), ("FR-12345678", True), ("FR-123456789", False), ("FR-", False), ("FR-cor", False),
     ("QQ", False), ("QQ-NO", False), ("", False)],
)  # fmt: skip
def test_zones(code: str, known: bool) -> None:
    assert is_zone(code) is known
