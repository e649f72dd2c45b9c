"""Checkpoint of the agent for a restart within one boot: meters, verdicts, records not yet on disk, positions in logs.

It is written before the records of the same moment: a crash between the two leaves records that are sent twice, which is
harmless, and never an epoch without its ends. It needs no fsync: after a power failure the boot is another one, and the
meters are of no use.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

from collectors.mig_split import SOURCE_SUFFIX
from footprint.core.counter_correction import Meter
from footprint.core.samples import Channel, DevicePart, Sample

FILE_NAME = "meters.json"
LogState = dict[str, Any]  # of ``collectors.rotated_logs.RotatedLogs``
_CHANNEL_FIELDS = [item.name for item in fields(Channel) if item.name != "parts"]
_METER_FIELDS = [item.name for item in fields(Meter) if item.name not in ("last", "suspect")]


@dataclass(slots=True)
class Checkpoint:
    """State of an earlier run: meters of its boot, meters of instances by board, and what counts for any boot.

    ``instances`` are the meters of the parts of partitioned boards by device and source, ``pending`` the records that may not
    be on disk, ``logs`` the state of each log pattern, ``verdicts`` the rows of ``collectors.witness``.
    """

    meters: list[Meter] = field(default_factory=list)
    instances: dict[tuple[str, str], list[Meter]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    logs: dict[str, LogState] = field(default_factory=dict)
    verdicts: list[list[Any]] = field(default_factory=list)


def save(folder: Path, boot: str, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint.

    Raises
    ------
    OSError
        If the disk cannot take it; the earlier file stays.
    """
    state = {
        "boot": boot,
        "meters": [_from_meter(meter) for meter in checkpoint.meters],
        "pending": checkpoint.pending,
        "instances": [[*board, [_from_meter(meter) for meter in parts]] for board, parts in checkpoint.instances.items()],
        "logs": checkpoint.logs,
        "verdicts": checkpoint.verdicts,
    }
    part = folder / (FILE_NAME + ".part")
    part.write_text(json.dumps(state), encoding="utf-8")
    part.replace(folder / FILE_NAME)


def load(folder: Path, boot: str) -> Checkpoint:
    """Checkpoint of an earlier run; without meters if it was of another boot, and empty without a readable file."""
    try:
        state = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        checkpoint = Checkpoint(
            pending=[str(line) for line in state["pending"]],
            logs={str(pattern): dict(log_state) for pattern, log_state in state["logs"].items()},
        )
        if state["boot"] != boot:
            return checkpoint
        checkpoint.meters = [_to_meter(meter_state) for meter_state in state["meters"]]
        checkpoint.instances = _to_instances(state["instances"])
        checkpoint.verdicts = [list(row) for row in state.get("verdicts", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Checkpoint()  # without a checkpoint the next samples open new epochs
    return checkpoint


def _to_instances(state: Any) -> dict[tuple[str, str], list[Meter]]:
    if isinstance(state, dict):  # of release 0.x, with one source for each board
        boards = [(board, [_to_meter(part) for part in parts]) for board, parts in state.items()]
        return {(board, parts[0].last.channel.source.removesuffix(SOURCE_SUFFIX)): parts for board, parts in boards if parts}
    return {(board, source): [_to_meter(part) for part in parts] for board, source, parts in state}


def _from_meter(meter: Meter) -> dict[str, Any]:
    last, suspect = meter.last, meter.suspect
    return {
        "channel": [getattr(last.channel, name) for name in _CHANNEL_FIELDS],
        "parts": [astuple(part) for part in last.channel.parts],
        "meter": [getattr(meter, name) for name in _METER_FIELDS],
        "last": list(last[1:]),
        "doubt": list(suspect[1:]) if suspect else None,
    }


def _to_meter(state: dict[str, Any]) -> Meter:
    parts = tuple(DevicePart(*part) for part in state["parts"])
    # A checkpoint of an earlier release has fewer fields: later ones stand at the end.
    channel = Channel(**dict(zip(_CHANNEL_FIELDS, state["channel"], strict=False)), parts=parts)
    suspect = Sample(channel, *state["doubt"]) if state["doubt"] else None
    return Meter(last=Sample(channel, *state["last"]), suspect=suspect, **dict(zip(_METER_FIELDS, state["meter"], strict=False)))
