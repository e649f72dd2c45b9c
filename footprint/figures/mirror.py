"""Mirror of figures: closed UTC days as Parquet files in a folder or object storage, listed by a manifest.

The mirror holds every cell, without disclosure control. Files never change: their names follow from their contents, and the
manifest is replaced after them, so that its readers see whole days of one state. docs/reference/figures-dataset.md describes the
columns and the guarantees.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, func, select

from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.core.version import VERSION
from footprint.impact.calculation_basis import CalculationBasis
from footprint.ledger.object_store import ObjectStore
from footprint.storage import schema
from footprint.storage.canonical_figures import StoredTexts
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import LAYOUTS, Layout, ShardTables, from_arrow
from footprint.storage.figure_writer import DAY, MONTH, S_PER_DAY, day_extent, read_block

FORMAT = 2
MANIFEST = "manifest.json"
DAYS_A_MANIFEST = 31  # written between two manifests, so that a first run can be interrupted
NOTICE = (
    "Cells without disclosure control: energy and requests of single services, use cases and hosts. For analysis within the "
    "organisation; what is published comes from editions (footprint report)."
)
_OWN_FILE = re.compile(r"(energy|coverage|counts)/day=\d{4}-\d\d-\d\d/[0-9a-f]{16}\.parquet(\.part)?")
_INSTANT = pa.timestamp("us", tz="UTC")
# Columns of the calculation basis: type, and the field of the basis with the index of its value, low or high bound.
_BASIS_COLUMNS: dict[str, tuple[pa.DataType, str, int | None]] = {
    "site": (pa.string(), "site", None),
    "zone": (pa.string(), "zone", None),
    "component": (pa.string(), "component", None),
    "device_model": (pa.string(), "device_model", None),
    "method": (pa.string(), "method", None),
    "split": (pa.string(), "split", None),
    "idle_known": (pa.bool_(), "idle_known", None),
    "pue": (pa.float64(), "pue", 0),
    "pue_low": (pa.float64(), "pue", 1),
    "pue_high": (pa.float64(), "pue", 2),
    "pue_assumed": (pa.bool_(), "pue_assumed", None),
    "uplift": (pa.float64(), "uplift", 0),
    "uplift_low": (pa.float64(), "uplift", 1),
    "uplift_high": (pa.float64(), "uplift", 2),
    "uplift_assumed": (pa.bool_(), "uplift_assumed", None),
    "certificate": (pa.string(), "certificate", None),
    "replaced_uplift": (pa.float64(), "replaced_uplift", 0),
    "gain": (pa.float64(), "gain", 0),
    "gain_low": (pa.float64(), "gain", 1),
    "gain_high": (pa.float64(), "gain", 2),
    "factor_g_per_kwh": (pa.float64(), "factor", 0),
    "factor_low_g_per_kwh": (pa.float64(), "factor", 1),
    "factor_high_g_per_kwh": (pa.float64(), "factor", 2),
    "factor_id": (pa.string(), "factor_id", None),
    "factor_version": (pa.string(), "factor_version", None),
    "market_g_per_kwh": (pa.float64(), "market", None),
    "wue_l_per_kwh": (pa.float64(), "wue", 0),
    "wue_low_l_per_kwh": (pa.float64(), "wue", 1),
    "wue_high_l_per_kwh": (pa.float64(), "wue", 2),
    "wue_assumed": (pa.bool_(), "wue_assumed", None),
    "water_l_per_kwh": (pa.float64(), "water", 0),
    "water_low_l_per_kwh": (pa.float64(), "water", 1),
    "water_high_l_per_kwh": (pa.float64(), "water", 2),
    "adpe_kgsb_per_kwh": (pa.float64(), "adpe_kgsb_per_kwh", None),
    "primary_mj_per_kwh": (pa.float64(), "primary_mj_per_kwh", None),
    "price_eur_per_kwh": (pa.float64(), "price_eur_per_kwh", None),
    "embodied_known": (pa.bool_(), "embodied_known", None),
    "life_over": (pa.bool_(), "life_over", None),
    "method_version": (pa.string(), "method_version", None),
}
ReportProgress = Callable[[str], None]


class MirrorError(FootprintError):
    """The mirror cannot be written or read."""


@dataclass(frozen=True, slots=True)
class MirrorSummary:
    """Numbers of days that a run wrote, removed and left unchanged."""

    url: str
    written: int
    removed: int
    unchanged: int

    @property
    def is_changed(self) -> bool:
        """Whether the run changed the mirror."""
        return bool(self.written or self.removed)

    def __str__(self) -> str:
        return f"{self.url}: {self.written} days written, {self.removed} removed, {self.unchanged} unchanged"


@dataclass(frozen=True, slots=True)
class MirrorVerification:
    """Faults and notes of a verification, and the number of days that were compared with the store."""

    faults: list[str]
    notes: list[str]
    days: int


@dataclass(frozen=True, slots=True)
class _MirroredDay:
    """A day of the manifest: the digest of its block, and its files."""

    block: str
    files: tuple[dict[str, Any], ...]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Names:
    """State of the store's names: the last number, and the digest of all up to it. A name that is replaced changes every day."""

    last: int
    digest: str

    @classmethod
    def of(cls, connection: Connection, last: int | None = None) -> _Names:
        """The state of all names, or of those up to a number."""
        name = table(schema.Name)
        last = int(connection.execute(select(func.max(name.c.id))).scalar() or 0) if last is None else last
        digest = hashlib.blake2b(digest_size=16)
        for number, text in connection.execute(select(name.c.id, name.c.text).where(name.c.id <= last).order_by(name.c.id)):
            digest.update(f"{number} {text}\n".encode())
        return cls(last, digest.hexdigest())


def update_mirror(
    store: Store, config: Config, progress: ReportProgress | None = None, *, everything: bool = False
) -> MirrorSummary | None:
    """Write the closed days whose figures changed, and remove those that have none any more.

    A run that has nothing to do reads the manifest and the digests of the days, and writes nothing.

    Parameters
    ----------
    everything
        Write every day again, for a mirror that lost files.

    Returns
    -------
    MirrorSummary or None
        None where no mirror is configured, or another process is writing it.

    Raises
    ------
    MirrorError
        If the mirror holds demonstration data and the store real data, or the reverse.
    """
    if not config.mirror:
        return None
    with store.exclusive_lock("mirror") as has_lock:
        return _Mirror(store, config).update(progress, everything=everything) if has_lock else None


def verify_mirror(store: Store, config: Config) -> MirrorVerification:
    """Compare the files of the mirror with their digests and, to the microjoule, with the figures of the store.

    Raises
    ------
    MirrorError
        If the mirror has no manifest, or one of another format.
    """
    with store.exclusive_lock("mirror", wait=True):
        return _Mirror(store, config).verify()


class _Mirror:
    def __init__(self, store: Store, config: Config) -> None:
        self.store, self.config = store, config
        self.files = ObjectStore(config.mirror, setting="mirror", hint="footprint figures mirror --all", private=True)
        self.head: dict[str, Any] = {
            "format": FORMAT,
            "notice": NOTICE,
            "demonstration": config.demo,
            "timezone": str(config.timezone),
            "slot_s": slot_length_us(config.timezone) // US_PER_S,
        }
        self.days: dict[int, _MirroredDay] = {}
        self.names: _Names | None = None

    def update(self, progress: ReportProgress | None, *, everything: bool) -> MirrorSummary:
        """Write what changed; the manifest follows the files, and superseded files are removed last."""
        is_current = self._read_manifest()
        with self.store.read() as connection:
            closed, known = _closed_days(connection)
            names = self.names
            everything |= not is_current or names is None or _Names.of(connection, names.last) != names
            current_names = _Names.of(connection)
        stale = [
            day for day, block in sorted(closed.items()) if everything or day not in self.days or self.days[day].block != block
        ]
        removed = [day for day in self.days if day not in known]
        if is_current and not stale and not removed:
            return MirrorSummary(self.config.mirror, 0, 0, len(self.days))
        is_first = not self.days
        for day in removed:
            del self.days[day]
        written = 0
        for number, day in enumerate(stale):
            if progress is not None:
                progress(_date(day))
            written += self._write_day(day, everything=everything)
            if is_first and number % DAYS_A_MANIFEST == DAYS_A_MANIFEST - 1:
                self._write_manifest(current_names)
        self._write_manifest(current_names)
        for name in self._stray_files():
            self.files.erase(name)
        return MirrorSummary(self.config.mirror, written, len(removed), len(self.days) - written)

    def _write_day(self, day: int, *, everything: bool) -> bool:
        """Write the files of a day; False if it is not closed any more, in which case its files stay as they are."""
        snapshot = self._read_day(day)
        if snapshot is None:
            return False
        block, tables = snapshot
        present = {file["path"] for file in self.days[day].files} if day in self.days and not everything else set()
        files = []
        for name, rows in tables.items():
            raw = _parquet_bytes(rows)
            sha256 = hashlib.sha256(raw).hexdigest()
            path = f"{name}/day={_date(day)}/{sha256[:16]}.parquet"
            if path not in present:
                self.files.write(path, raw)
            entry = {"table": name, "day": _date(day), "path": path, "rows": len(rows), "bytes": len(raw), "sha256": sha256}
            files.append(entry)
        metadata = tables["energy"].schema.metadata
        facts = {key: json.loads(metadata[key.encode()]) for key in ("method_versions", "factor_versions")}
        shards = hashlib.blake2b(metadata[b"shards"], digest_size=16).hexdigest()
        self.days[day] = _MirroredDay(block, tuple(files), facts | {"shards": shards})
        return True

    def _read_day(self, day: int) -> tuple[str, dict[str, pa.Table]] | None:
        """Digest of a closed day's block, and its tables in the form of the mirror; None if the day is not closed."""
        shard = table(schema.Shard)
        with self.store.read() as connection:
            closed, _ = _closed_days(connection, day)
            if day not in closed:
                return None
            block = table(schema.FigureBlock)
            is_day = (block.c.tier == DAY) & (block.c.first_s == day_extent(day)[0])
            block_id = connection.execute(select(block.c.id).where(is_day)).scalar_one()
            numbered = {name: from_arrow(rows, LAYOUTS[name]) for name, rows in read_block(connection, block_id, "").items()}
            texts = StoredTexts.of(self.store, connection, numbered)
            shards = connection.execute(select(shard.c.members, shard.c.digest).where(shard.c.day == day)).all()
        tables = texts.tables(numbered)
        bases = [CalculationBasis.from_json(line) for line in tables.bases]
        metadata = {
            "format": str(FORMAT),
            "day": _date(day),
            "notice": NOTICE,
            "demonstration": json.dumps(self.config.demo),
            "timezone": str(self.config.timezone),
            "slot_s": str(self.head["slot_s"]),
            "method_versions": json.dumps(sorted({basis.method_version for basis in bases})),
            "factor_versions": json.dumps(sorted({basis.factor_version for basis in bases} - {""})),
            "shards": json.dumps({row.members: row.digest for row in sorted(shards)}, ensure_ascii=False),
        }
        return closed[day], {name: _mirror_table(name, tables, bases, metadata) for name in LAYOUTS}

    def _read_manifest(self) -> bool:
        """Read the manifest; False if there is none, or one of another format or zone: every day is to be written."""
        if not self.files.exists(MANIFEST):
            return False
        try:
            manifest = json.loads(self.files.read(MANIFEST))
        except ValueError as bad:
            raise MirrorError(
                f"{MANIFEST} of the mirror {self.config.mirror} is damaged ({bad}); delete it, and `footprint figures mirror` "
                "writes every day again"
            ) from None
        if manifest["demonstration"] != self.config.demo:
            kinds = ("demonstration", "real") if manifest["demonstration"] else ("real", "demonstration")
            raise MirrorError(
                f"the mirror {self.config.mirror} holds {kinds[0]} data and the store {kinds[1]} data, which never mix; name "
                "another folder in [store] mirror"
            )
        if any(manifest.get(key) != self.head[key] for key in ("format", "timezone", "slot_s")):
            return False
        files: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for file in manifest["files"]:
            files[file["day"]].append(file)
        for entry in manifest["days"]:
            facts = {key: value for key, value in entry.items() if key not in ("day", "block")}
            number = int(np.datetime64(entry["day"], "D").astype(np.int64))
            self.days[number] = _MirroredDay(entry["block"], tuple(files[entry["day"]]), facts)
        self.names = _Names(**manifest["names"])
        return True

    def _write_manifest(self, names: _Names) -> None:
        days = sorted(self.days.items())
        manifest = {
            **self.head,
            "program": VERSION,
            "names": {"last": names.last, "digest": names.digest},
            "days": [{"day": _date(day), "block": mirrored.block, **mirrored.facts} for day, mirrored in days],
            "files": [file for _, mirrored in days for file in mirrored.files],
        }
        self.files.write(MANIFEST, (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode())

    def _stray_files(self) -> list[str]:
        """Files of the mirror's own form that the manifest does not list: superseded, or of an interrupted run."""
        listed = {file["path"] for mirrored in self.days.values() for file in mirrored.files}
        return [name for name in self.files.all_names() if _OWN_FILE.fullmatch(name) and name not in listed]

    def verify(self) -> MirrorVerification:
        """Compare every file with its digest, and with the store."""
        if not self.files.exists(MANIFEST):
            raise MirrorError(f"the mirror {self.config.mirror} has no manifest; `footprint figures mirror` writes it")
        if not self._read_manifest():
            raise MirrorError(
                f"the mirror {self.config.mirror} is of another format or zone; `footprint figures mirror` writes it"
            )
        with self.store.read() as connection:
            closed, _ = _closed_days(connection)
        faults = [f"{name} is not in the manifest: a reader of the whole folder counts it too" for name in self._stray_files()]
        names = set(self.files.all_names())
        compared, pending = 0, sum(day not in self.days for day in closed)
        for day, mirrored in sorted(self.days.items()):
            snapshot = self._read_day(day)
            is_current = snapshot is not None and snapshot[0] == mirrored.block
            compared, pending = compared + is_current, pending + (not is_current)
            faults += [
                f"the manifest lists no file of {name} of {_date(day)}"
                for name in sorted(LAYOUTS.keys() - {file["table"] for file in mirrored.files})
            ]
            for file in mirrored.files:
                if file["path"] not in names:
                    faults.append(f"{file['path']} is missing")
                    continue
                raw = self.files.read(file["path"])
                if hashlib.sha256(raw).hexdigest() != file["sha256"]:
                    faults.append(f"{file['path']} differs from its sha256 in the manifest")
                if snapshot is not None and is_current:
                    faults += [f"{file['path']}: {text}" for text in _differences(raw, snapshot[1][file["table"]])]
        notes = [f"{pending} days wait to be written (`footprint figures mirror`)"] if pending else []
        return MirrorVerification(faults, notes, compared)


def _closed_days(connection: Connection, day: int | None = None) -> tuple[dict[int, str], set[int]]:
    """Digest of the block of each closed day, and all days with figures; of one day, or of all."""
    block, shard = table(schema.FigureBlock), table(schema.Shard)
    condition = block.c.tier != MONTH
    if day is not None:
        first_s, last_s = day_extent(day)
        condition &= (block.c.last_s > first_s) & (block.c.first_s < last_s)
    by_day: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(select(block.c.first_s, block.c.tier, block.c.digest, block.c.dead).where(condition)):
        by_day[row.first_s // S_PER_DAY].append(row)
    provisional = set(connection.execute(select(shard.c.day).where(shard.c.provisional)).scalars())
    closed = {
        number: rows[0].digest
        for number, rows in by_day.items()
        if len(rows) == 1 and rows[0].tier == DAY and not rows[0].dead and number not in provisional
    }
    return closed, set(by_day)


def _date(day: int) -> str:
    """A UTC day as 2026-10-01."""
    return format_instant(day * US_PER_DAY)[:10]


def _mirror_table(name: str, tables: ShardTables, bases: list[CalculationBasis], metadata: Mapping[str, str]) -> pa.Table:
    """Rows of a layout with texts, instants and the columns of their basis, sorted by slot and key."""
    layout = LAYOUTS[name]
    columns = tables.tables.get(name) or {column: np.zeros(0, dtype=np.int64) for column in layout.schema.names}
    order = np.lexsort([columns[key] for key in reversed(layout.keys)])
    ordered = {column: values[order] for column, values in columns.items()}
    texts = pa.array(tables.names, pa.string())
    built = {"slot_start": pa.array(ordered["start_s"] * US_PER_S).cast(_INSTANT)}
    built |= {key: texts.take(pa.array(ordered[key])) for key in layout.names}
    built |= dict(_amounts(layout, ordered))
    if layout.bases:
        basis = pa.array(ordered["basis"])
        built |= {
            column: pa.array([_value(getattr(calculation_basis, attribute), bound) for calculation_basis in bases], kind).take(
                basis
            )
            for column, (kind, attribute, bound) in _BASIS_COLUMNS.items()
        }
    return pa.table(built).replace_schema_metadata({"table": name, **metadata})


def _amounts(layout: Layout, columns: Mapping[str, Any]) -> Iterator[tuple[str, pa.Array]]:
    for name in layout.amounts:
        values = columns[name]
        if name in ("first_us", "last_us"):
            yield name.removesuffix("_us"), pa.array(values).cast(_INSTANT)
        else:
            yield name, pa.array(values, mask=values < 0) if name in layout.nullable else pa.array(values)


def _value(value: Any, bound: int | None) -> Any:
    return value if bound is None or value is None else value[bound]


def _parquet_bytes(rows: pa.Table) -> bytes:
    """Parquet bytes; the same rows give the same bytes with the same library, because no clock goes into the file."""
    out = io.BytesIO()
    order = pq.SortingColumn.from_ordering(rows.schema, [("slot_start", "ascending")])
    pq.write_table(rows, out, compression="zstd", row_group_size=100_000, sorting_columns=order)
    return out.getvalue()


def _differences(raw: bytes, stored: pa.Table) -> Iterator[str]:
    """How the rows of a file differ from those of the store."""
    try:
        rows = pq.read_table(io.BytesIO(raw))
    except (pa.ArrowException, OSError) as bad:
        yield f"cannot be read: {bad}"
        return
    if rows.schema != stored.schema:
        yield "its columns are not those of this release"
        return
    if len(rows) != len(stored):
        yield f"{len(rows)} rows, the store has {len(stored)}"
    is_summed = False
    for column in stored.schema:
        if column.type == pa.int64() and (difference := _sum(rows[column.name]) - _sum(stored[column.name])):
            is_summed = True
            yield f"the sum of {column.name} is {difference:+d} against the store"
    if not is_summed and len(rows) == len(stored) and not rows.equals(stored):
        yield "its rows are not those of the store"


def _sum(column: pa.ChunkedArray) -> int:
    """Sum of 64-bit integers, exact beyond 64 bits; unknown values count as 0."""
    return int(pc.sum(column.cast(pa.decimal128(38, 0))).as_py() or 0)
