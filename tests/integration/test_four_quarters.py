"""Four published quarters, then late readings, a factor revision and a method change: revisions state the right causes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from footprint.aggregation import dirty_days, host_day, shard_comparison, step_fits
from footprint.config import load_config
from footprint.editions.publication import publish_edition
from footprint.editions.repository import PublishedEdition, published_editions
from footprint.editions.serialization import from_json
from footprint.editions.verification import verify
from footprint.impact.calculation_basis import CalculationBasis
from footprint.ledger.backup import backup, restore
from footprint.ledger.factor_store import import_factors
from footprint.ledger.importers import import_energy
from footprint.storage.database import Store
from tests.support.quarters import CONFIG, compute, instant, organisation, seconds

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent != folder
    }


def value(published: PublishedEdition, key: str) -> float:
    figure_value = from_json(published.report).figure(published.figures[key]).value
    assert figure_value is not None
    return figure_value


def test_four_quarters_and_three_kinds_of_revision(  # noqa: PLR0915 - one scenario
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, store = organisation(tmp_path / "office", "2025-09-30", "2026-10-01", growth=0.6)
    folder = tmp_path / "office"
    quarters = {"2025-Q4": "2026-01-14", "2026-Q1": "2026-04-14", "2026-Q2": "2026-07-14", "2026-Q3": "2026-10-14"}
    first = {period: publish_edition(store, config, period, instant(day)) for period, day in quarters.items()}
    assert all(edition.name == f"{period}.v1" for period, edition in first.items())
    # The id of a figure is the same in every quarter.
    assert len({edition.figures["energy_kwh||+0m3"].rsplit("-", 1)[1] for edition in first.values()}) == 1
    assert value(first["2026-Q2"], "energy_kwh||+0m3") < value(first["2026-Q3"], "energy_kwh||+0m3")
    editions_folder = folder / "quarters.editions"
    frozen = files(editions_folder)

    # Late readings, in the second quarter.
    start = seconds("2026-05-12")
    lines = [
        "time,host,device,component,energy_j",
        *(f"{start + 600 * n},a,gpu:2,gpu,{n * 600 * 900.0:.1f}" for n in range(5 * 144)),
    ]
    (folder / "late.csv").write_text("\n".join(lines) + "\n")
    import_energy(store, str(folder / "late.csv"), instant("2026-10-20"))
    compute(store, config, "2026-10-20")
    late = publish_edition(store, config, "2026-Q2", instant("2026-10-20"))
    assert [change.cause for change in late.context.changes] == ["late-data"]
    assert late.kind == "routine"

    # The yearly grid factor is published.
    (folder / "f.csv").write_text(
        "kind,where,valid_from,valid_to,value,low,high,unit,scope,source,licence,retrieved\n"
        "carbon_intensity,FR,2026-01-01,2027-01-01,39,35,43,g/kWh,consumption,A table,open,2026-10-21\n"
    )
    import_factors(store, str(folder / "f.csv"), "2026-12", instant("2026-10-21"))
    compute(store, config, "2026-10-21")
    factor = publish_edition(store, config, "2026-Q1", instant("2026-10-21"))
    assert [change.cause for change in factor.context.changes] == ["factors"]
    assert factor.status == "final"  # more than sixty days after its end

    # A method change: higher uplift.
    original = host_day.basis_at

    def newer(*arguments: object, **options: object) -> CalculationBasis:
        return replace(original(*arguments, **options), method_version="3.1")  # type: ignore[arg-type]

    monkeypatch.setattr(host_day, "basis_at", newer)
    for module in (dirty_days, shard_comparison, step_fits):
        monkeypatch.setattr(module, "METHOD_VERSION", "3.1")
    (folder / "footprint.toml").write_text(CONFIG.replace("uplift = 1.2", "uplift = 1.3"))
    config = load_config(str(folder / "footprint.toml"))
    compute(store, config, "2026-10-22")
    method = publish_edition(store, config, "2026-Q3", instant("2026-10-22"))
    causes = {change.cause: change for change in method.context.changes}
    assert set(causes) == {"method", "factors"}
    assert method.kind == "major"
    difference = value(method, "energy_kwh||+0m3") - value(first["2026-Q3"], "energy_kwh||+0m3")
    assert causes["method"].energy_kwh == pytest.approx(difference, abs=1e-9)
    # The first bar is the difference between the published and the current value of the previous quarter.
    bars = [f for f in from_json(method.report).figures if f.indicator == "effect_method"]
    assert bars
    assert sum(f.value or 0 for f in from_json(method.report).figures if f.indicator.startswith("effect_")) == pytest.approx(
        value(method, "co2e_location_g||+0m3") - value(late, "co2e_location_g||+0m3"), abs=1e-6
    )

    # Published files are unchanged, and a restored ledger reproduces the last version.
    now = files(editions_folder)
    assert {name: now[name] for name in frozen} == frozen
    backup(store, tmp_path / "all.zip", instant("2026-10-23"))
    clone_folder = tmp_path / "other"
    clone_folder.mkdir()
    (clone_folder / "footprint.toml").write_text((folder / "footprint.toml").read_text())
    clone_config = load_config(str(clone_folder / "footprint.toml"))
    clone = Store(clone_config.store_url)
    restore(clone, tmp_path / "all.zip")
    rows = verify(
        clone, clone_config, next(e for e in published_editions(clone, "2026-Q3") if e.version == 2), instant("2026-10-24")
    )
    assert all(row["same"] for row in rows), rows
    assert not all(row["same"] for row in verify(clone, clone_config, first["2026-Q3"], instant("2026-10-24")))
