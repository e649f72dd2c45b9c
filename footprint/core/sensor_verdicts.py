"""Verdicts on sensors: whether something independent agrees with what a sensor counted.

Standard library only and pure: the agent judges its own sensors, the server judges imported ones, with the same rules.

On the wire and in the ledger a verdict is a set of integers in the context of its device, named ``NAME/SOURCE``, where
SOURCE is the source of the energy that was judged (``verdict/nvml-energy``). All values of one verdict have one instant,
the end of its window. A verdict holds until the next one of the same device and source; while it is not ``agrees`` it is
sent at each record interval with the energies since it was last sent, so windows of bad verdicts leave no hole. Where
windows overlap, the worse verdict holds: a bad one reaches back to the start of what it was judged on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """Outcome of a judgement; the order is no ranking."""

    AGREES = 0
    DISAGREES = 1
    STANDS_STILL = 2  # the sensor shows one value although its device drew energy, or must have
    NO_WITNESS = 3  # nothing independent was at hand, or not enough energy yet


class Witness(IntEnum):
    """Independent evidence that a verdict rests on."""

    NONE = 0
    OWN_POWER = 1  # the integral of the device's own power, for a counter; its counter, for a power
    OTHER_SOURCE = 2  # another source of the same grade: a second exporter, Redfish beside DCMI
    UTILISATION = 3  # busy time and clocks of the device
    HOST_LOAD = 4  # busy time of the host's processors
    WHOLE_HOST = 5  # the power of the whole server, for a part of it
    PARTS = 6  # the sum of the parts, for the whole server
    SIBLING = 7  # another device of the same kind
    BOUNDS = 8  # physical floor and ceiling (``footprint.core.device_limits``)


class SensorState(IntEnum):
    """What a source of a device does now, or did last."""

    READS = 0
    SILENT = 1  # opened, and gives no sample
    UNREADABLE = 2  # its query fails, or its device cannot be opened
    GONE = 3  # it was read, and its device is no longer there
    NOT_PERMITTED = 4
    SET_ASIDE = 5  # it reads, and another source counts: it contradicts its witness, or overlaps
    DOUBTED = 6  # its samples are refused or await confirmation


class Reason(IntEnum):
    """Why a verdict is not ``agrees``, or a state not ``reads``; pages and programs word it by its code."""

    NONE = 0
    ABOVE_CEILING = 1
    BELOW_FLOOR = 2
    COUNTER_STANDS = 3
    POWER_STANDS = 4
    COUNTER_AGAINST_POWER = 5
    SOURCES_DIFFER = 6
    BUSY_WITHOUT_POWER = 7
    POWER_WITHOUT_LOAD = 8
    PARTS_ABOVE_WHOLE = 9
    WHOLE_ABOVE_PARTS = 10
    MIRRORS_SIBLING = 11
    DECREASED = 12  # a decrease that no wrap of the register explains
    NOT_SUPPORTED = 13
    NOT_READY = 14
    DRIVER_ERROR = 15
    ROOT_ONLY = 16
    CANNOT_OPEN = 17
    NO_SAMPLE = 18
    WAS_SEEN = 19  # the device answered before and is not listed now
    RANGE_UNKNOWN = 20
    OVERLAPS = 21  # another kind of sensor counts the same energy
    SAME_IDENTITY = 22  # two devices cannot be told apart
    AUTHENTICATION = 23
    TIMEOUT = 24
    NOT_UNDERSTOOD = 25  # the answer has no known form
    SWAPPED = 26  # two siblings: one busy that draws nothing, one idle that draws much


# Names of the values of a verdict, before "/SOURCE"; the field of ``SensorVerdict`` that each holds.
VERDICT_VALUES = {
    "verdict": "verdict",
    "witness": "witness",
    "verdict_reason": "reason",
    "judged_uj": "judged_uj",
    "witness_low_uj": "low_uj",
    "witness_high_uj": "high_uj",
    "verdict_window_us": "window_us",
    "doubt_uj": "doubt_uj",
    "doubt_since_us": "doubt_since_us",
}
STATE_VALUES = ("sensor_state", "sensor_reason")
VALUE_NAMES = frozenset({*VERDICT_VALUES, *STATE_VALUES})

WORST_FIRST = (Verdict.STANDS_STILL, Verdict.DISAGREES, Verdict.NO_WITNESS, Verdict.AGREES)


@dataclass(frozen=True, slots=True)
class SensorVerdict:
    """Judgement of one source of one device over the window [at_us - window_us, at_us).

    Attributes
    ----------
    judged_uj
        Energy that the source counted in the window [µJ].
    low_uj, high_uj
        Least and greatest energy that the witness allows for the window [µJ]; equal to 0 and 0 with ``NO_WITNESS``.
    doubt_uj
        Energy in suspense at the end of the window [µJ]: claimed by samples that are refused or not yet confirmed, at
        most what the physical ceiling allows. ``doubt_since_us`` is when that began, 0 if nothing is in suspense.
    """

    at_us: int
    verdict: Verdict = Verdict.NO_WITNESS
    witness: Witness = Witness.NONE
    reason: Reason = Reason.NONE
    judged_uj: int = 0
    low_uj: int = 0
    high_uj: int = 0
    window_us: int = 0
    doubt_uj: int = 0
    doubt_since_us: int = 0

    @property
    def start_us(self) -> int:
        """Start of the window [µs]."""
        return self.at_us - self.window_us

    @property
    def is_good(self) -> bool:
        """Whether the source may count as it stands: nothing contradicts it, and nothing is in suspense."""
        return self.verdict in (Verdict.AGREES, Verdict.NO_WITNESS) and not self.doubt_since_us

    @property
    def ratio(self) -> float | None:
        """Judged energy over the middle of what the witness allows; None without a witness."""
        middle_uj = (self.low_uj + self.high_uj) / 2
        return self.judged_uj / middle_uj if middle_uj and self.witness != Witness.NONE else None


def verdict_to_values(source: str, verdict: SensorVerdict) -> dict[str, int]:
    """Context values of a verdict on a source, by name."""
    return {f"{name}/{source}": int(getattr(verdict, field)) for name, field in VERDICT_VALUES.items()}


def verdicts_from_values(values: Mapping[str, int], at_us: int) -> dict[str, SensorVerdict]:
    """Verdicts by source from the context values of one device at one instant [µs]; other values are skipped.

    Codes that this release does not know (of a newer agent) become ``DISAGREES`` for a verdict, since silence would be
    the worse error, and ``NONE`` for a witness or a reason.
    """
    fields: dict[str, dict[str, int]] = {}
    for name, value in values.items():
        kind, _, source = name.partition("/")
        if source and kind in VERDICT_VALUES:
            fields.setdefault(source, {})[VERDICT_VALUES[kind]] = value
    return {source: _from_fields(of_source, at_us) for source, of_source in fields.items() if "verdict" in of_source}


def verdicts_from_rows(rows: Iterable[tuple[int, str, int]]) -> dict[str, list[SensorVerdict]]:
    """Verdicts by source, in order of time, from stored context rows (instant [µs], name, value) of one device."""
    by_instant: dict[int, dict[str, int]] = {}
    for at_us, name, value in rows:
        by_instant.setdefault(at_us, {})[name] = value
    verdicts: dict[str, list[SensorVerdict]] = {}
    for at_us, values in sorted(by_instant.items()):
        for source, verdict in verdicts_from_values(values, at_us).items():
            verdicts.setdefault(source, []).append(verdict)
    return verdicts


def states_from_values(values: Mapping[str, int]) -> dict[str, tuple[SensorState, Reason]]:
    """State and reason by source from the context values of one device; an unknown code counts as ``UNREADABLE``."""
    states = {}
    for name, value in values.items():
        kind, _, source = name.partition("/")
        if source and kind == "sensor_state":
            reason = values.get(f"sensor_reason/{source}", 0)
            states[source] = (
                SensorState(value) if value in set(SensorState) else SensorState.UNREADABLE,
                Reason(reason) if reason in set(Reason) else Reason.NONE,
            )
    return states


def _from_fields(fields: Mapping[str, int], at_us: int) -> SensorVerdict:
    verdict, witness, reason = (fields.get(name, 0) for name in ("verdict", "witness", "reason"))
    numbers = {
        name: fields.get(name, 0) for name in ("judged_uj", "low_uj", "high_uj", "window_us", "doubt_uj", "doubt_since_us")
    }
    return SensorVerdict(
        at_us,
        Verdict(verdict) if verdict in set(Verdict) else Verdict.DISAGREES,
        Witness(witness) if witness in set(Witness) else Witness.NONE,
        Reason(reason) if reason in set(Reason) else Reason.NONE,
        **numbers,
    )
