"""Publication: refused with a reason, revised with causes, verified from the ledger and from a clone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from footprint.config import Config, load_config
from footprint.editions.diff import compare_with_published
from footprint.editions.publication import NothingChanged, NotPublishable, publish_edition
from footprint.editions.release_context import ReleaseContext
from footprint.editions.repository import ImmutableEdition, edition_files, published_editions, write_files
from footprint.editions.serialization import from_json
from footprint.editions.verification import verify
from footprint.ledger.backup import backup, restore
from footprint.ledger.factor_store import import_factors
from footprint.ledger.importers import import_energy
from footprint.storage.database import Store
from tests.support import quarters
from tests.support.commands import printed_rows
from tests.support.quarters import CONFIG, compute, instant, seconds

Office = tuple[Config, Store, Path]
FIRST, LATER, LAST = instant("2026-10-12"), instant("2026-10-20"), instant("2026-12-05")


def files(folder: Path) -> dict[str, str]:
    """Digest of every file of an edition; the page that lists them all is none."""
    shelf = folder / "quarters.editions"
    return {
        str(path.relative_to(shelf)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(shelf.rglob("*"))
        if path.is_file() and path.parent != shelf
    }


def late(store: Store, folder: Path, day: str = "2026-09-10") -> None:
    """A device that nobody knew of, for a day: readings that came late."""
    start = seconds(day)
    lines = ["time,host,device,component,energy_j", *(f"{start + 600 * n},a,gpu:2,gpu,{n * 600 * 400.0:.1f}" for n in range(144))]
    path = folder / "late.csv"
    path.write_text("\n".join(lines) + "\n")
    import_energy(store, str(path), LATER)


def test_first_provisional_then_final(office: Office) -> None:
    config, store, folder = office
    first = publish_edition(store, config, "2026-09", FIRST)
    assert (first.name, first.status, first.kind) == ("2026-09.v1", "provisional", "")
    on_shelf = files(folder)
    assert on_shelf["2026-09/v1/report.json"] == first.files["report.json"]
    with pytest.raises(NothingChanged, match="every figure is the same"):
        publish_edition(store, config, "2026-09", LATER)
    second = publish_edition(store, config, "2026-09", LAST)
    assert (second.version, second.status, second.context.changes) == (2, "final", ())
    assert {name: digest for name, digest in files(folder).items() if "/v1/" in name} == on_shelf
    assert all(row["same"] for version in (first, second) for row in verify(store, config, version, LAST))
    with pytest.raises(NothingChanged):
        publish_edition(store, config, "2026-09", LAST + 10**9)


def test_late_readings_make_a_version_that_says_so(office: Office) -> None:
    config, store, folder = office
    first = publish_edition(store, config, "2026-09", FIRST)
    before = files(folder)
    late(store, folder)
    compute(store, config, "2026-10-20")
    assert not all(row["same"] for row in verify(store, config, first, LATER))
    second = publish_edition(store, config, "2026-09", LATER)
    assert (second.status, second.kind) == ("provisional", "routine")
    assert [each.cause for each in second.context.changes] == ["late-data"]
    old, new = from_json(first.report), from_json(second.report)
    energy = [next(f for f in e.figures if f.id == first.figures["energy_kwh||+0m1"]).value for e in (old, new)]
    assert second.context.changes[0].energy_kwh == pytest.approx(energy[1] - energy[0], rel=1e-9)  # type: ignore[operator]
    assert {name: digest for name, digest in files(folder).items() if "/v1/" in name} == before
    diff = (folder / "quarters.editions" / "2026-09" / "v2" / "diff.csv").read_text().splitlines()
    assert diff[0].startswith("figure_id,indicator,cell,period,unit,old")
    assert len(diff) - 1 == len(compare_with_published(first, new, second.figures)) > 5
    revised = next(each for each in new.sections if each.name == "revisions")
    assert any("relevés tardifs" in str(row) for row in revised.blocks[0].rows)  # type: ignore[union-attr]
    assert all(row["same"] for row in verify(store, config, second, LAST))


def test_a_factor_moves_emissions_and_nothing_else(office: Office) -> None:
    config, store, folder = office
    publish_edition(store, config, "2026-09", FIRST, final=True)
    (folder / "f.csv").write_text(
        "kind,where,valid_from,valid_to,value,low,high,unit,scope,source,licence,retrieved\n"
        "carbon_intensity,FR,2026-01-01,2027-01-01,39,35,43,g/kWh,consumption,A table,open,2026-10-15\n"
    )
    import_factors(store, str(folder / "f.csv"), "2026-12", LATER)
    compute(store, config, "2026-10-20")
    second = publish_edition(store, config, "2026-09", LATER)
    assert (second.status, second.kind, [c.cause for c in second.context.changes]) == ("revised", "routine", ["factors"])
    change = second.context.changes[0]
    energy = next(f for f in from_json(second.report).figures if f.id == second.figures["energy_kwh||+0m1"]).value
    assert change.energy_kwh == pytest.approx(0, abs=1e-9)
    assert change.co2e_g == pytest.approx(energy * (39 - 44.2), rel=1e-9)  # type: ignore[operator]


def test_a_declared_fact_is_told_from_late_readings(office: Office) -> None:
    """Both at once: the building's share of what was known is facts, what came late is late data; they sum to the change."""
    config, store, folder = office
    first = publish_edition(store, config, "2026-09", FIRST)
    late(store, folder)
    (folder / "footprint.toml").write_text(CONFIG.replace("pue = 1.35", "pue = 1.25"))
    config = load_config(str(folder / "footprint.toml"))
    compute(store, config, "2026-10-20")
    second = publish_edition(store, config, "2026-09", LATER)
    changes = {change.cause: change.energy_kwh for change in second.context.changes}
    assert changes["facts"] < 0 < changes["late-data"]
    values = [
        next(f for f in from_json(e.report).figures if f.id == e.figures["energy_kwh||+0m1"]).value for e in (first, second)
    ]
    assert sum(changes.values()) == pytest.approx(values[1] - values[0], abs=1e-9)  # type: ignore[operator]


def test_refused_with_every_check_that_fails(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    with pytest.raises(NotPublishable, match="2026-Q3 is not over yet"):
        publish_edition(store, config, "2026-Q3", instant("2026-09-30"))
    late(store, folder)  # and not computed
    with pytest.raises(NotPublishable, match=r"days pending since .* of a .*footprint aggregate"):
        publish_edition(store, config, "2026-09", LATER)
    with pytest.raises(NotPublishable, match=r"coverage is .*, and under 50% nothing is published"):
        publish_edition(store, config, "2026-07", LATER)
    with pytest.raises(NotPublishable, match="needs a reason"):
        publish_edition(store, config, "2026-08", LATER, kind="unscheduled")
    assert status_of(["report", "publish", "2026-09", "--config", str(folder / "footprint.toml")]) == 6
    assert "days pending since" in capsys.readouterr().err


def test_what_is_published_never_changes(office: Office) -> None:
    """Something else under its name is refused; a file that is gone comes back with the same bytes."""
    config, store, folder = office
    first = publish_edition(store, config, "2026-09", FIRST)
    with pytest.raises(ImmutableEdition, match="differs from the published file"):
        write_files(edition_files(config), "2026-09", 1, {"report.json": b"{}"})
    path = folder / "quarters.editions" / "2026-09" / "v1"
    original = files(folder)
    (path / "report.json").unlink()
    (path / "SHA256SUMS").unlink()
    publish_edition(store, config, "2026-09", LAST)
    assert {name: digest for name, digest in files(folder).items() if "/v1/" in name} == original
    (path / "report.json").write_bytes(b"{}")
    assert [row["what"] for row in verify(store, config, first, LAST) if not row["same"]] == ["report.json"]


def test_another_machine_verifies_a_clone(office: Office, tmp_path: Path) -> None:
    """A backup restored elsewhere, without the shelf: the same edition comes out of its ledger."""
    config, store, _ = office
    first = publish_edition(store, config, "2026-09", FIRST)
    backup(store, tmp_path / "all.zip", LATER)
    other = tmp_path / "other"
    other.mkdir()
    (other / "footprint.toml").write_text(CONFIG)
    there = load_config(str(other / "footprint.toml"))
    clone = Store(there.store_url)
    restore(clone, tmp_path / "all.zip")
    rows = verify(clone, there, first, LAST)
    assert rows
    assert all(row["same"] for row in rows), rows


def test_the_command_line(
    office: Office, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command of the contract, its columns and exit codes."""
    _, _, folder = office
    monkeypatch.chdir(folder)
    assert status_of(["report", "list"]) == 7
    assert status_of(["report", "build", "2026-09", "--output", str(tmp_path / "out")]) == 0
    drafted = json.loads((tmp_path / "out" / "report.json").read_text())
    assert drafted["masthead"]["status"] == "draft"
    assert status_of(["report", "build", "2020-Q1", "--output", str(tmp_path / "none")]) == 7
    assert not (tmp_path / "none").exists()
    assert status_of(["report", "build", "2026-Q5"]) == 2
    assert "2026-Q3" in capsys.readouterr().err
    assert status_of(["report", "publish", "2026-08"]) == 0
    assert status_of(["report", "publish", "2026-08"]) == 6
    capsys.readouterr()
    rows = printed_rows(capsys, "report", "list")
    assert [(row["edition"], row["version"]) for row in rows] == [("2026-08.v1", 1)]
    assert status_of(["report", "show", "2026-08", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("figure_id,indicator,label,cell,period,value")
    assert status_of(["report", "show", "2026-08.v9"]) == 1
    assert "2026-08.v1 was" in capsys.readouterr().err
    assert status_of(["report", "verify", "2026-08"]) == 0
    assert "2026-08.v1: identical" in capsys.readouterr().err
    assert status_of(["report", "diff", "2026-08.v1", "2026-08.v1"]) == 0
    assert status_of(["report", "calendar", "--format", "csv"]) == 0
    assert capsys.readouterr().out.count("provisional") >= 2


def test_hidden_cells_that_the_total_gives_away_are_published_with_a_reason_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one use alone, of three persons: its requests are the organisation's."""
    monkeypatch.setattr(quarters, "USES", {"chat": (("translation", 3),)})
    monkeypatch.setattr(quarters, "USERS", {("chat", "translation"): 3})
    config, store = quarters.organisation(tmp_path / "office", "2026-08-31", "2026-10-01")
    file = str(tmp_path / "office" / "footprint.toml")
    with pytest.raises(NotPublishable, match=r"gives hidden cells away: .*chat x translation.*--accept-exposed \"REASON\""):
        publish_edition(store, config, "2026-09", FIRST)
    with pytest.raises(NotPublishable):
        publish_edition(store, config, "2026-09", FIRST, accepted="  ")
    assert status_of(["report", "publish", "2026-09", "--config", file]) == 6
    assert "--accept-exposed" in capsys.readouterr().err
    assert status_of(["report", "publish", "2026-09", "--config", file, "--accept-exposed", "The {three} persons agreed."]) == 0
    assert "it says so, and why: The {three} persons agreed." in capsys.readouterr().err
    (published,) = published_editions(store)
    assert published.context.accepted == "The {three} persons agreed."
    assert ReleaseContext.from_json(published.context.to_json()) == published.context
    assert "Published all the same: The (three) persons agreed." in published.report.decode()
    assert all(row["same"] for row in verify(store, config, published, LAST))


def test_a_reason_where_nothing_is_exposed_is_not_told(office: Office) -> None:
    config, store, _ = office
    published = publish_edition(store, config, "2026-09", FIRST, accepted="no need")
    assert published.context.accepted == ""
    assert "accepted" not in published.context.to_json()
    report = published.report.decode()
    assert "Counts are not rounded" in report
    assert "Les comptages ne sont pas arrondis" in report
    assert "Published all the same" not in report


def test_what_nobody_counted_the_users_of_is_hidden_and_no_reason_not_to_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One service alone: its margin is the total, which is shown; that it is hidden for want of a number is told."""
    monkeypatch.setattr(quarters, "USES", {"chat": (("translation", 3), ("drafting", 5))})
    monkeypatch.setattr(quarters, "USERS", {})
    monkeypatch.setattr(quarters, "user_lines", lambda *_: ["period,service,use_case,users,max_share"])
    config, store = quarters.organisation(tmp_path / "office", "2026-08-31", "2026-10-01")
    published = publish_edition(store, config, "2026-09", FIRST)
    report = published.report.decode()
    assert "hidden for want of a number of users, and can be derived from totals that are shown" in report
    assert "but for what follows" in report
    assert published.context.accepted == ""
