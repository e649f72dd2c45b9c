"""Data package of an edition: a Frictionless Data Package in a zip, the same bytes from the same edition.

Every CSV of figures has the same columns, those of an SDMX data message in plain words; ``_T`` is the total of a dimension.
Files are stored without compression, which varies between library versions and would change the digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from footprint.aggregation import METHOD_VERSION
from footprint.core.csv_text import csv_text
from footprint.editions.document import Edition, Figure, Ref, Table, Text
from footprint.editions.figure_format import format_figure
from footprint.editions.forms.layout import ChartSheet, Sheet, TableSheet
from footprint.editions.serialization import to_json
from footprint.queries.methods import method_rows

CONF_LEVEL = 0.95
TOTAL = "_T"  # SDMX: no breakdown by this dimension
COLUMNS: tuple[tuple[str, str, str], ...] = (  # name, type (Table Schema), description
    ("period", "string", "2026-Q3, 2026-07 or 2026, in the organisation's zone"),
    ("geo", "string", "site; _T all"),
    ("service", "string", "_T all"),
    ("use_case", "string", "_T all"),
    ("model", "string", "_T all"),
    ("charter_status", "string", "what the charter decided; _T all, _Z not applicable"),
    ("indicator", "string", "name of the registry of methods (methods.json)"),
    ("kind", "string", "level, change, share, …"),
    ("unit", "string", "unit of value, low and high; 1 for fractions and counts"),
    ("value", "number", "empty where conf_status is C or obs_status is M"),
    ("low", "number", "bound of about 95 %"),
    ("high", "number", "bound of about 95 %"),
    ("conf_level", "number", "of low and high; empty without bounds"),
    ("obs_status", "string", "SDMX CL_OBS_STATUS: A, E, P, U, M"),
    ("conf_status", "string", "SDMX CL_CONF_STATUS: F, C"),
    ("quality", "string", "A measured, B partly modelled, C estimated, D supplier's word"),
    ("coverage_ratio", "number", "share of the expected device time that was read"),
    ("method_version", "string", ""),
    ("factor_version", "string", ""),
    ("vintage", "string", "edition and version"),
    ("figure_id", "string", "footprint trace takes it"),
)
COLUMN_NAMES = tuple(name for name, _, _ in COLUMNS)
PRINTED_COLUMNS = ("figure_id", "label", "cell", "period", "shown", "quality", "flags")  # of figures.csv in a language
_DIMENSIONS = {"geo": "site", "service": "service", "use_case": "use_case", "model": "model", "charter_status": "charter"}
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NAMES_OF_0_1 = (
    ("footprint.figures.row_metrics.figures_from_sums", "footprint.querying.figures.energy_figures"),
    ("footprint.figures.metrics.GroupedMetrics.impacts", "footprint.querying.figures.impact_figures"),
    ("footprint.figures.row_metrics.", "footprint.querying.figures."),
    ("footprint.figures.coverage.CoverageIndex.", "footprint.querying.coverage.Watch."),
    ("footprint.impact.indicators", "footprint.impact.scores"),
    ("footprint.impact.uncertainty.UncertaintyBudget.", "footprint.impact.uncertainty.Budget."),
)


def _is_total(figure: Figure) -> bool:
    return not figure.where and figure.kind in ("level", "count", "ratio") and not figure.indicator.startswith("effect_")


def _has_dimensions(*names: str) -> Callable[[Figure], bool]:
    return lambda figure: {name for name, _ in figure.where} == set(names)


# Name of a CSV and the predicate of its figures.
PARTS: tuple[tuple[str, Callable[[Figure], bool]], ...] = (
    ("figures", lambda figure: True),
    ("key_figures", _is_total),
    ("by_use_case", _has_dimensions("use_case")),
    ("by_service", _has_dimensions("service")),
    ("by_model", _has_dimensions("model")),
    ("by_charter", _has_dimensions("charter")),
    ("decomposition", lambda figure: figure.indicator.startswith("effect_")),
)


def build_data_package(edition: Edition, sheets: Mapping[str, Sheet]) -> bytes:
    """The zip; ``sheets`` by language. It is signed outside, since a signature needs a key that a clone does not have."""
    files = package_files(edition, sheets)
    sums = "".join(f"{hashlib.sha256(raw).hexdigest()}  {name}\n" for name, raw in sorted(files.items())).encode()
    files["SHA256SUMS"] = sums
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, raw in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, raw)
    return buffer.getvalue()


def _method_rows(edition: Edition, language: str) -> list[dict[str, Any]]:
    """Methods with functions and version as the publishing release named them: an edition is rebuilt with the same bytes."""
    rows = method_rows(language)
    newest = max(edition.basis.method_version.split("+"), key=lambda version: [int(n) for n in version.split(".") if n.isdigit()])
    if newest:
        rows = [row | {"version": newest} if row["version"] == METHOD_VERSION else row for row in rows]
    if edition.basis.code_version.startswith("0.1."):
        for row in rows:
            for current, name in _NAMES_OF_0_1:
                row["computed_by"] = row["computed_by"].replace(current, name)
    return rows


def package_files(edition: Edition, sheets: Mapping[str, Sheet]) -> dict[str, bytes]:
    """Files of the package by name."""
    rows = figure_rows(edition)
    files = {"report.json": to_json(edition)}
    for name, selects in PARTS:
        selected = [row for row, figure in zip(rows, edition.figures, strict=True) if selects(figure)]
        files[f"{name}.csv"] = to_csv(COLUMN_NAMES, selected)
    files["figures.parquet"] = _parquet(rows)
    files["coverage_daily.csv"] = to_csv(("date", "state"), [{"date": day.date, "state": day.state} for day in edition.strip])
    files["methods.json"] = _json({language: _method_rows(edition, language) for language in ("fr", "en")})
    files["esms.json"] = _json(esms_metadata(edition))
    files["lineage.jsonl"] = b"".join(_lineage_line(figure) for figure in edition.figures)
    for language, sheet in sheets.items():
        files |= _printed_blocks(language, sheet)
        files[f"tables/{language}/figures.csv"] = to_csv(PRINTED_COLUMNS, _printed_figures(edition, language))
    files["datapackage.json"] = _json(_descriptor(edition, files))
    return files


def figure_rows(edition: Edition) -> list[dict[str, Any]]:
    """Every figure as a row of COLUMNS; a confidential or unknown one has no value and a status."""
    vintage, charters = f"{edition.masthead.period}.v{edition.masthead.version}", _charter_statuses(edition)
    rows = []
    for figure in edition.figures:
        where = dict(figure.where)
        bounded = figure.low is not None and figure.high is not None
        row: dict[str, Any] = {name: where.get(key, TOTAL) for name, key in _DIMENSIONS.items()}
        if "use_case" in where and "charter" not in where:
            row["charter_status"] = charters.get(where["use_case"], "_Z")
        rows.append(
            row
            | {
                "period": figure.period or edition.masthead.period,
                "indicator": figure.indicator,
                "kind": figure.kind,
                "unit": figure.unit,
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "conf_level": CONF_LEVEL if bounded else None,
                "obs_status": figure.obs_status,
                "conf_status": figure.conf_status,
                "quality": figure.quality,
                "coverage_ratio": figure.coverage,
                "method_version": figure.method_version,
                "factor_version": figure.factor_version,
                "vintage": vintage,
                "figure_id": figure.id,
            }
        )
    return rows


def _printed_figures(edition: Edition, language: str) -> Iterable[Mapping[str, Any]]:
    """Every figure by its id, formatted as on pages and in print."""
    for figure in edition.figures:
        formatted = format_figure(figure, language)
        cell = ";".join(f"{name}={value}" for name, value in figure.where)
        yield {
            "figure_id": figure.id,
            "label": figure.label.in_(language),
            "cell": cell,
            "period": figure.period,
            "shown": formatted.full,
            "quality": formatted.badge,
            "flags": formatted.flags,
        }


def _charter_statuses(edition: Edition) -> dict[str, str]:
    """Charter status of each use case, from the table of use cases."""
    statuses: dict[str, str] = {}
    figures = {figure.id: dict(figure.where) for figure in edition.figures}
    for section in edition.sections:
        for block in section.blocks:
            if isinstance(block, Table) and block.name == "by_use_case":
                for row in block.rows:
                    names = {figures[cell.figure].get("use_case", "") for cell in row.cells if isinstance(cell, Ref)} - {""}
                    status = row.cells[1] if len(row.cells) > 1 else None
                    if len(names) == 1 and isinstance(status, Text):
                        statuses[names.pop()] = status.en
    return statuses


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """CSV in UTF-8 with comma and decimal point, shortest round-trip decimals, empty if unknown."""
    return csv_text(columns, ([row[name] for name in columns] for row in rows)).encode()


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    kinds = {"number": pa.float64(), "string": pa.string()}
    schema = pa.schema([(name, kinds[kind]) for name, kind, _ in COLUMNS])
    numbers = {name for name, kind, _ in COLUMNS if kind == "number"}
    records = [
        {name: float(row[name]) if name in numbers and row[name] is not None else row[name] for name in COLUMN_NAMES}
        for row in rows
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records, schema), buffer, compression="none")
    return buffer.getvalue()


def _json(document: Any) -> bytes:
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def _lineage_line(figure: Figure) -> bytes:
    """Origin of a figure: the query that gives its rows, and the formula."""
    record = {
        "figure_id": figure.id,
        "indicator": figure.indicator,
        "period": figure.period,
        "where": dict(figure.where),
        "question": dict(figure.question),
        "formula": figure.formula,
        "method_version": figure.method_version,
        "factor_version": figure.factor_version,
    }
    return (json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _printed_blocks(language: str, sheet: Sheet) -> dict[str, bytes]:
    """Tables as printed, and charts with their text alternatives, in one language."""
    files: dict[str, bytes] = {}
    for section in sheet.sections:
        tables = [block for block in section.blocks if isinstance(block, TableSheet)]
        for number, table in enumerate(tables):
            rows = [["".join(run.text for run in cell) for cell in cells] for _, cells in table.rows]
            content = csv_text([text for text, _ in table.heads], rows).encode()
            files[f"tables/{language}/{section.name}{f'-{number + 1}' if number else ''}.csv"] = content
        for block in section.blocks:
            if isinstance(block, ChartSheet):
                files[f"figures/{language}/{block.name}.svg"] = block.svg.encode()
                files[f"figures/{language}/{block.name}.txt"] = f"{section.title}\n{block.alternative}\n".encode()
    return files


def _descriptor(edition: Edition, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The descriptor (Frictionless Data Package 1): a schema and a digest for each CSV."""
    head = edition.masthead
    fields = [{"name": name, "type": kind, "description": description} for name, kind, description in COLUMNS]
    days = [{"name": "date", "type": "date"}, {"name": "state", "type": "string"}]
    resources = [
        {
            "name": name.replace("_", "-"),
            "path": f"{name}.csv",
            "profile": "tabular-data-resource",
            "encoding": "utf-8",
            "format": "csv",
            "mediatype": "text/csv",
            "bytes": len(files[f"{name}.csv"]),
            "hash": f"sha256:{hashlib.sha256(files[f'{name}.csv']).hexdigest()}",
            "schema": {"fields": fields if name != "coverage_daily" else days, "missingValues": [""]},
        }
        for name in (*(name for name, _ in PARTS), "coverage_daily")
    ]
    descriptor: dict[str, Any] = {
        "name": f"footprint-{head.period.lower()}-v{head.version}",
        "title": f"{head.organisation}, footprint of AI services, {head.period}",
        "profile": "data-package",
        "version": f"{head.version}.0.0",
        "resources": resources,
        "licenses": [{"name": "other-open", "title": head.licence}],
        "sources": [{"title": head.producer}],
    }
    if head.released:
        descriptor["created"] = head.released
    if head.address:
        descriptor["homepage"] = head.address
    if head.demo:
        descriptor["demonstration"] = True
    return descriptor


def esms_metadata(edition: Edition) -> dict[str, str]:
    """Reference metadata under the headings of ESMS (Euro SDMX Metadata Structure), as far as an edition knows them."""
    head, basis = edition.masthead, edition.basis
    return {
        "contact": f"{head.producer}; {head.contact}".strip("; "),
        "metadata_update": head.released or "draft",
        "statistical_presentation": "energy, emissions and counts of AI services by service, use case and model",
        "unit_of_measure": "kWh, gCO2e, 1",
        "reference_period": head.period,
        "institutional_mandate": "follow-up of the ecological impact of generative AI, asked for by staff representatives",
        "confidentiality": "cells of too few distinct users, of a dominant one, or that give such a cell away, are suppressed",
        "release_policy": "announced calendar; published files never change, a revision is a further version",
        "frequency_of_dissemination": "quarterly",
        "accessibility_and_clarity": f"HTML, PDF/UA-1, CSV, JSON, Parquet; {head.licence}",
        "quality_management": "every version is rebuilt from the ledger by footprint report verify",
        "relevance": "users, technicians, deciders and staff representatives",
        "accuracy": "bounds of about 95 % beside each value",
        "timeliness_and_punctuality": f"released {head.released or 'not yet'}; final on {head.final_on or 'release'}",
        "coherence_and_comparability": f"method {basis.method_version}, factors {basis.factor_version}; breaks are told",
        "cost_and_burden": "no survey; readings of machines and counts of gateways",
        "data_revision": "routine, major or unscheduled, with causes and both values",
        "statistical_processing": "metering, attribution, impact: methods.json",
        "comment": "demonstration" if head.demo else "",
    }
