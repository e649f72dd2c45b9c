"""Witness of the agent: holds what each source counted against independent evidence, and gives the verdicts to send.

Every few seconds the meters are noted, which costs microseconds; once a record interval the notes of each device are judged
(``footprint.core.sensor_judgement``). A window begins where the last decision fell and grows until there is enough to
decide, at most for five minutes. The first decision is the trial of a source; as long as a verdict is bad it is judged again
and again, and sent with each record, with the energy of the time since it was last sent: bad windows leave no hole.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from collectors.base import DeviceContext
from collectors.mig_split import part_channel
from footprint.core.counter_correction import MIN_DOUBT_US, Meter
from footprint.core.records import grade_of
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_judgement import (
    MAX_WINDOW_US,
    MIN_RESETS,
    MIN_WINDOW_US,
    Load,
    Outcome,
    Part,
    SourceSteps,
    allowed_range,
    find_mirrors,
    find_swaps,
    is_mirrored,
    judge_device,
    judge_whole,
)
from footprint.core.sensor_verdicts import Reason, SensorState, SensorVerdict, Verdict, Witness
from footprint.core.units import PJ_PER_UJ, UJ_PER_J, US_PER_S, UW_PER_W

STEP_US = 5 * US_PER_S
MIN_STEP_US = US_PER_S  # a note at a record replaces one that was just made
REPEAT_US = 3600 * US_PER_S  # verdicts that do not change, as other operating conditions
MIN_COVERED = 0.8  # of a window, for a source to be judged over it
MIN_SILENT_US = 60 * US_PER_S
MAX_REFUSED_SOURCES = 1_000
_GRADES = ("counter", "power", "modelled", "witness", "estimate")  # best first
_BAD = (Verdict.DISAGREES, Verdict.STANDS_STILL)
SOURCE_NAME = "witness"  # of the context records that carry verdicts

_FIELDS = tuple(SensorVerdict.__dataclass_fields__)

Key = tuple[str, str]  # device and source


class _Count(NamedTuple):
    """What a meter had counted at an instant, and when its last sample was."""

    energy_uj: int
    covered_us: int
    resets: int
    sample_us: int


class _Step(NamedTuple):
    at_us: int
    mono_us: int
    counts: dict[Key, _Count]


@dataclass(slots=True)
class _ConstantRun:
    """Time since which a power is one and the same value, and the range of the load since."""

    power_uw: int
    since_us: int
    energy_pj: int
    covered_us: int
    low_share: float = 1.0
    high_share: float = 0.0
    parts: frozenset[Key] = frozenset()  # whose powers the two sums are, the same ones all along
    low_parts_uw: int = 0
    high_parts_uw: int = 0


class RefusedSource(NamedTuple):
    """Newest sample of a source that has no meter because none of its samples was accepted so far, and since when."""

    sample: Sample
    reason: Reason
    since_us: int


@dataclass(slots=True)
class SensorWitness:
    """Notes of the last minutes and the current verdict of each source.

    ``refused_samples`` counts what no meter took, ``refusals`` are sources that have no meter for that reason.
    """

    step_us: int = STEP_US
    verdicts: dict[Key, SensorVerdict] = field(default_factory=dict)
    refusals: dict[Key, RefusedSource] = field(default_factory=dict)
    refused_samples: Counter[tuple[str, str, Reason]] = field(default_factory=Counter)
    _steps: deque[_Step] = field(default_factory=deque)
    _channels: dict[Key, Channel] = field(default_factory=dict)
    _due_us: int = -1
    _compared_us: int = 0
    _starts_us: dict[str, int] = field(default_factory=dict)  # start of the window of each device
    _bases: dict[Key, tuple[tuple[str, ...], int]] = field(default_factory=dict)  # sources of the range, and its margin
    _overlays: dict[Key, tuple[Outcome, int]] = field(default_factory=dict)  # what other devices refute, and its window
    _mirrors: dict[Key, str] = field(default_factory=dict)  # device whose sensor a source repeats
    _before_zero: dict[Key, tuple[int, int]] = field(default_factory=dict)  # last power of a part, and of the whole [µW]
    _constant: dict[Key, _ConstantRun] = field(default_factory=dict)
    _busy: dict[str, deque[tuple[int, int]]] = field(default_factory=dict)  # (instant, busy time) of boards
    _host: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=64))  # (instant, busy, capacity)
    _sent: dict[Key, tuple[int, tuple[int, int, int]]] = field(default_factory=dict)  # when, and what verdict

    def is_due(self, mono_us: int) -> bool:
        """Whether the meters are to be noted now."""
        return mono_us >= self._due_us

    def note(self, at_us: int, mono_us: int, meters: Mapping[Key, Meter]) -> None:
        """Note what the meters have counted."""
        self._due_us = mono_us + self.step_us
        counts = {}
        for key, meter in meters.items():
            counts[key] = _Count(meter.energy_pj // PJ_PER_UJ, meter.covered_us, meter.resets, meter.last.mono_us)
            self._channels[key] = meter.last.channel
            if meter.last.power_uw is not None:
                self._note_power(key, meter, mono_us)
        if self._steps and mono_us - self._steps[-1].mono_us < MIN_STEP_US:
            # After a pause the note before is far: then the one just made stays, and this one would be a step of no length.
            if len(self._steps) == 1 or mono_us - self._steps[-2].mono_us >= self.step_us + MIN_STEP_US:
                return
            self._steps.pop()
        self._steps.append(_Step(at_us, mono_us, counts))
        while self._steps[-1].mono_us - self._steps[0].mono_us > MAX_WINDOW_US + self.step_us:
            self._steps.popleft()

    def _note_power(self, key: Key, meter: Meter, mono_us: int) -> None:
        """Follow for how long a power has been one value: also between two notes, by the energy that it gave."""
        run, power_uw = self._constant.get(key), meter.last.power_uw or 0
        if run is not None and run.power_uw == power_uw:
            covered_us = meter.covered_us - run.covered_us
            if covered_us >= 0 and meter.energy_pj - run.energy_pj == power_uw * covered_us:
                return
        self._constant[key] = _ConstantRun(power_uw, mono_us, meter.energy_pj, meter.covered_us)

    def note_load(self, mono_us: int, contexts: Iterable[DeviceContext], host_us: tuple[int, int] | None) -> None:
        """Note the busy time of boards, and (busy, capacity) of the host's processors [µs]."""
        for context in contexts:
            if (busy_us := context.values.get("busy_us")) is not None:
                readings = self._busy.setdefault(context.device, deque(maxlen=64))
                if readings and mono_us - readings[-1][0] > MIN_SILENT_US:
                    readings.clear()  # nobody counted its busy time meanwhile
                if not readings or mono_us > readings[-1][0]:
                    readings.append((mono_us, busy_us))
        if host_us is not None and (not self._host or mono_us > self._host[-1][0]):
            self._host.append((mono_us, *host_us))
        has_host = any(self._channels[key].component == "host" for key in self._constant)
        parts_uw = self._parts_uw() if has_host else {}
        host_share = self._host_share(list(self._host)[-2:])
        for (device, source), run in self._constant.items():
            channel = self._channels[device, source]
            is_host = channel.component == "host"
            share = host_share if is_host else _share(self._busy.get(device, ()), run.since_us, last_only=True)
            if share is not None:
                run.low_share, run.high_share = min(run.low_share, share), max(run.high_share, share)
            if is_host:
                sum_uw = sum(parts_uw.values())
                if run.parts != parts_uw.keys():  # a part that came, fell silent or stands did not move
                    run.parts, run.low_parts_uw, run.high_parts_uw = frozenset(parts_uw), sum_uw, sum_uw
                run.low_parts_uw, run.high_parts_uw = min(run.low_parts_uw, sum_uw), max(run.high_parts_uw, sum_uw)

    def _parts_uw(self) -> dict[Key, int]:
        """Mean power of each sound part of the host before the last step [µW]; one that counted nothing since is not sound."""
        if len(self._steps) < 3:
            return {}
        now, last = self._steps[-1], self._steps[-2]
        powers_uw = {}
        for key, count in now.counts.items():
            channel = self._channels[key]
            if channel.component == "host" or key != self._primary(key[0], now.counts) or self._is_refuted(key):
                continue
            earlier_us = last.mono_us - max(self.step_us, 2 * channel.period_us)
            first = next((step for step in reversed(self._steps) if step.mono_us <= earlier_us), self._steps[0])
            before, after = first.counts.get(key), last.counts.get(key)
            since = self._steps[-2] if not channel.period_us else first
            if before is None or after is None or after.covered_us <= before.covered_us:
                continue
            if count.energy_uj > since.counts[key].energy_uj and after.energy_uj > before.energy_uj:
                powers_uw[key] = (after.energy_uj - before.energy_uj) * PJ_PER_UJ // (after.covered_us - before.covered_us)
        return powers_uw

    def _is_refuted(self, key: Key) -> bool:
        """Whether something other than the whole server contradicts a source."""
        verdict = self.verdicts.get(key)
        return verdict is not None and verdict.verdict in _BAD and verdict.witness != Witness.WHOLE_HOST

    def refuse(self, sample: Sample, reason: Reason, *, has_meter: bool) -> None:
        """Count a sample that was not accepted."""
        key = sample.channel.device, sample.channel.source
        self.refused_samples[*key, reason] += 1
        if not has_meter and (key in self.refusals or len(self.refusals) < MAX_REFUSED_SOURCES):
            since_us = self.refusals[key].since_us if key in self.refusals else sample.at_us
            self.refusals[key] = RefusedSource(sample, reason, since_us)

    # Judging

    def judge(self) -> None:
        """Judge every device whose window is long enough; the newest note is the end of the windows."""
        if len(self._steps) < 2:
            return
        now = self._steps[-1]
        by_device: dict[str, list[Key]] = {}
        for key in now.counts:
            by_device.setdefault(key[0], []).append(key)
        if now.mono_us >= self._compared_us + MIN_WINDOW_US:
            self._compare_siblings(now)
        hosts = [device for device, keys in by_device.items() if self._channels[keys[0]].component == "host"]
        for device, keys in sorted(by_device.items(), key=lambda item: item[0] in hosts):
            start_us = self._starts_us.setdefault(device, now.mono_us)
            steps = [step for step in self._steps if step.mono_us >= start_us]
            if len(steps) < 2:
                continue
            is_last = now.mono_us - start_us >= MAX_WINDOW_US
            steps_us = _durations(steps)
            sources = [source for key in keys if (source := self._source(key, steps)) is not None]
            outcomes = judge_device(sources, steps_us, self._load(device, steps[0].mono_us), is_last=is_last)
            if outcomes is None:
                if is_last:
                    self._starts_us[device] = now.mono_us
                continue
            self._starts_us[device] = now.mono_us
            if len(hosts) == 1 and device == hosts[0]:
                self._judge_whole(device, sources, steps, outcomes)
            for source in sources:
                self._decide(source, outcomes[source.source], steps)

    def _judge_whole(
        self, device: str, sources: Sequence[SourceSteps], steps: Sequence[_Step], outcomes: dict[str, Outcome]
    ) -> None:
        """Hold the sensor of the whole host against the sum of its parts, over the same window."""
        parts: dict[Key, Part] = {}
        for other in {key[0] for key in steps[-1].counts} - {device}:
            key = self._primary(other, steps[-1].counts)
            part = self._source(key, steps)
            if part is not None:
                is_confirmed = key in self.verdicts and self.verdicts[key].verdict == Verdict.AGREES
                parts[key] = Part(part.energy_uj, is_confirmed, self._is_refuted(key), *self._before_zero.get(key, (0, 0)))
        self._overlays = {key: item for key, item in self._overlays.items() if item[0].witness != Witness.WHOLE_HOST}
        window_us = steps[-1].mono_us - steps[0].mono_us
        for source in sources:
            if outcomes[source.source].verdict in _BAD:
                continue
            run = self._constant.get((device, source.source))
            moved_uw = run.high_parts_uw - run.low_parts_uw if run else 0
            is_complete = any(self._channels[key].component == "gpu" for key in parts)
            whole, doubted = judge_whole(source, parts, _durations(steps), parts_moved_uw=moved_uw, is_complete=is_complete)
            if whole.verdict in _BAD:
                outcomes[source.source] = whole
            for key, outcome in doubted.items():
                self._overlays[key] = outcome, window_us
                part_steps = self._source(key, steps)
                is_new = key not in self.verdicts or self.verdicts[key].verdict not in _BAD
                if part_steps is not None and (is_new or outcome.verdict == self.verdicts[key].verdict == Verdict.STANDS_STILL):
                    self._decide(part_steps, outcome, steps)
            if whole.verdict not in _BAD:
                whole_uw = source.energy_uj * PJ_PER_UJ // window_us
                self._before_zero |= {
                    key: (part.energy_uj * PJ_PER_UJ // window_us, whole_uw) for key, part in parts.items() if part.energy_uj > 0
                }

    def _compare_siblings(self, now: _Step) -> None:
        """Find sensors that repeat another device's, and boards whose sensors are swapped, over the last window."""
        steps = [step for step in self._steps if step.mono_us >= now.mono_us - 2 * MIN_WINDOW_US]
        if now.mono_us - steps[0].mono_us < MIN_WINDOW_US:
            return
        self._compared_us = now.mono_us
        sources = [source for key in now.counts if (source := self._source(key, steps)) is not None]
        shares = {
            device: share for device, readings in self._busy.items() if (share := _share(readings, steps[0].mono_us)) is not None
        }
        self._mirrors = find_mirrors(sources, self._mirrors)
        refuted = dict.fromkeys(self._mirrors, (Witness.SIBLING, Reason.MIRRORS_SIBLING))
        refuted |= dict.fromkeys(find_swaps(sources, shares), (Witness.UTILISATION, Reason.SWAPPED))
        self._overlays = {
            key: item for key, item in self._overlays.items() if key in refuted or item[0].witness == Witness.WHOLE_HOST
        }
        for source in sources:
            key = source.device, source.source
            if key not in refuted:
                continue
            rivals = [other for other in sources if (other.source, other.model) == (source.source, source.model)]
            is_swapped = refuted[key][1] == Reason.SWAPPED
            low_uj = min(other.energy_uj for other in rivals) if is_swapped else 0  # a mirror may have drawn nothing
            high_uj = max(other.energy_uj for other in rivals) if is_swapped else source.energy_uj
            outcome = Outcome(Verdict.DISAGREES, *refuted[key], low_uj, high_uj)
            self._overlays[key] = outcome, steps[-1].mono_us - steps[0].mono_us
            if not self._is_bad(key):
                self._decide(*((source, outcome, steps) if is_swapped else self._since_mirrored(source, outcome, steps)))

    def _since_mirrored(
        self, source: SourceSteps, outcome: Outcome, steps: list[_Step]
    ) -> tuple[SourceSteps, Outcome, list[_Step]]:
        """Reach back over all notes in which a source was equal to the one that it mirrors: a constant load hid it."""
        all_steps = list(self._steps)
        pair = [
            self._source((device, source.source), all_steps)
            for device in (source.device, self._mirrors[source.device, source.source])
        ]
        if pair[0] is None or pair[1] is None or not is_mirrored(pair[0], pair[1]):
            return source, outcome, steps
        return pair[0], replace(outcome, high_uj=pair[0].energy_uj), all_steps

    def _decide(self, source: SourceSteps, outcome: Outcome, steps: Sequence[_Step]) -> None:
        """Take an outcome over as the current verdict of a source."""
        key = source.device, source.source
        window_us = steps[-1].mono_us - steps[0].mono_us
        overlay, overlay_us = self._overlays.get(key, (None, 0))
        is_sharper = overlay is not None and overlay.verdict == outcome.verdict and outcome.witness == Witness.BOUNDS
        if overlay is not None and (outcome.verdict not in _BAD or is_sharper):
            outcome = replace(
                overlay,
                low_uj=min(overlay.low_uj * window_us // overlay_us, source.energy_uj),
                high_uj=max(overlay.high_uj * window_us // overlay_us, source.energy_uj),
            )
        last = steps[-1]
        self.verdicts[key] = SensorVerdict(
            last.at_us,
            outcome.verdict,
            outcome.witness,
            outcome.reason,
            source.energy_uj,
            outcome.low_uj,
            outcome.high_uj,
            window_us,
        )
        self._bases[key] = outcome.basis, outcome.margin_uj

    def _source(self, key: Key, steps: Sequence[_Step]) -> SourceSteps | None:
        """Steps of a source; None if it does not cover them in one epoch."""
        counts = [count for step in steps if (count := step.counts.get(key)) is not None]
        if len(counts) < len(steps):
            return None
        channel = self._channels[key]
        # What a counter shows after a silence is energy of the silence as well, which may be before the window.
        if steps[0].mono_us - counts[0].sample_us > self.step_us + 2 * channel.period_us:
            return None
        resets = counts[-1].resets - counts[0].resets
        if 0 < resets < MIN_RESETS:
            return None
        energies = tuple(
            max(after.energy_uj - before.energy_uj, 0) if after.resets == before.resets else 0
            for before, after in pairwise(counts)
        )
        elapsed_us = steps[-1].mono_us - steps[0].mono_us
        if not resets and counts[-1].covered_us - counts[0].covered_us < MIN_COVERED * elapsed_us - channel.period_us:
            return None
        run = self._constant.get(key)
        return SourceSteps(
            channel.device,
            channel.source,
            channel.component,
            energies,
            run is None,
            channel.model,
            channel.ceiling_uw,
            channel.period_us,
            steps[-1].mono_us - run.since_us if run else 0,
            max(run.high_share - run.low_share, 0.0) if run else 0.0,
            resets,
        )

    def _load(self, device: str, start_us: int) -> Load:
        host = [reading for reading in self._host if reading[0] >= start_us]
        return Load(_share(self._busy.get(device, ()), start_us), self._host_share(host))

    @staticmethod
    def _host_share(readings: Sequence[tuple[int, int, int]]) -> float | None:
        """Share of busy time of the host's processors between the first and the last reading; None if unknown."""
        if len(readings) < 2 or readings[-1][2] <= readings[0][2]:
            return None
        return (readings[-1][1] - readings[0][1]) / (readings[-1][2] - readings[0][2])

    def _is_bad(self, key: Key) -> bool:
        """Whether the current verdict on a source contradicts it."""
        return key in self.verdicts and self.verdicts[key].verdict in _BAD

    def _primary(self, device: str, counts: Mapping[Key, _Count]) -> Key:
        """Source of a device that counts."""
        return min((key for key in counts if key[0] == device), key=lambda key: self.rank(key, key in self._constant))

    def rank(self, key: Key, is_power: bool) -> tuple[bool, int, str]:
        """Order in which the sources of a device count: those that nothing contradicts first, then by grade."""
        verdict = self.verdicts.get(key)
        return verdict is not None and verdict.verdict in _BAD, _GRADES.index(grade_of(key[1], counter=not is_power)), key[1]

    def is_doubted(self, device: str) -> bool:
        """Whether a source of a device is contradicted, so that all of its sources are recorded with each interval."""
        return any(verdict.verdict in _BAD for key, verdict in self.verdicts.items() if key[0] == device)

    def contradicted(self) -> list[Key]:
        """Sources that their witness contradicts at present."""
        return [key for key, verdict in self.verdicts.items() if verdict.verdict in _BAD]

    # Sending

    def due(self, at_us: int, meters: Mapping[Key, Meter]) -> Iterator[tuple[Channel, SensorVerdict]]:
        """Verdicts to send now, with the channel of each; those of a partitioned board for each of its parts as well."""
        for key, decided in list(self.verdicts.items()):
            channel, meter = self._channels.get(key), meters.get(key)
            if channel is None:
                continue  # of an earlier run, and not read in this one yet
            since_us = doubt_since(meter, at_us) if meter else 0
            verdict = replace(decided, doubt_since_us=since_us, doubt_uj=meter.suspense_uj if meter and since_us else 0)
            code = int(verdict.verdict), int(verdict.witness), int(verdict.reason)
            sent_us, sent_code = self._sent.get(key, (-1, (-1, -1, -1)))
            if code == sent_code:
                if verdict.is_good and at_us - sent_us < REPEAT_US:
                    continue
                if not verdict.is_good:
                    verdict = self._continued(key, verdict, sent_us, at_us)
            if verdict.at_us < sent_us + MIN_STEP_US:
                continue
            self._sent[key] = verdict.at_us, code
            yield channel, verdict
            yield from _of_parts(channel, verdict)

    def _continued(self, key: Key, verdict: SensorVerdict, sent_us: int, at_us: int) -> SensorVerdict:
        """An unchanged verdict with the energies of the time since it was last sent."""
        steps = [step for step in self._steps if step.at_us >= sent_us]
        source = self._source(key, steps) if len(steps) > 1 else None
        if source is None:  # it was not read, or began another epoch: nothing bounds it but physics
            high_uj = self._channels[key].ceiling_uw * max(at_us - sent_us, 0) // PJ_PER_UJ
            return replace(verdict, at_us=at_us, window_us=max(at_us - sent_us, 0), judged_uj=0, low_uj=0, high_uj=high_uj)
        window_us = steps[-1].mono_us - steps[0].mono_us
        names, margin = self._bases.get(key, ((), 0))
        pool = [s for name in names if (s := self._source((key[0], name), steps)) is not None]
        if pool:
            low_uj, high_uj = allowed_range(source, pool, window_us, margin)
        else:
            low_uj, high_uj = (
                bound_uj * window_us // max(verdict.window_us, 1) for bound_uj in (verdict.low_uj, verdict.high_uj)
            )
        return replace(
            verdict, at_us=at_us, window_us=window_us, judged_uj=source.energy_uj, low_uj=low_uj, high_uj=max(high_uj, low_uj)
        )

    def states(self, mono_us: int, at_us: int, meters: Mapping[Key, Meter]) -> Iterator[tuple[Channel, SensorState, Reason]]:
        """State of each source that has a meter, or whose samples are all refused."""
        for key, meter in meters.items():
            channel = meter.last.channel
            verdict = self.verdicts.get(key)
            newest_us = meter.suspect.mono_us if meter.suspect is not None else meter.last.mono_us
            if doubt_since(meter, at_us):
                yield channel, SensorState.DOUBTED, suspicion(meter)
            elif mono_us - newest_us > max(MIN_SILENT_US, 3 * channel.period_us):
                yield channel, SensorState.SILENT, Reason.NO_SAMPLE
            elif verdict is not None and verdict.verdict in _BAD:
                yield channel, SensorState.SET_ASIDE, verdict.reason
            else:
                yield channel, SensorState.READS, Reason.NONE
        for refusal in list(self.refusals.values()):
            yield refusal.sample.channel, SensorState.DOUBTED, refusal.reason

    def doubt_text(self, key: Key, reason: Reason) -> str:
        """Why a source is doubted, in one sentence for the log of the agent."""
        verdict = self.verdicts.get(key)
        if verdict is None or verdict.verdict not in _BAD:
            channel = self.refusals[key].sample.channel if key in self.refusals else self._channels.get(key)
            ceiling = f"it cannot draw more than {channel.ceiling_uw / UW_PER_W:,.0f} W" if channel else "it cannot draw as much"
            what = "its counter decreased" if reason == Reason.DECREASED else ceiling
            return f"its samples are not accepted: {what}"
        counted = "stands still" if verdict.verdict == Verdict.STANDS_STILL else f"shows {verdict.judged_uj / UJ_PER_J:,.0f} J"
        return (
            f"{counted} in {verdict.window_us / US_PER_S:.0f} s, where its witness allows between "
            f"{verdict.low_uj / UJ_PER_J:,.0f} and {verdict.high_uj / UJ_PER_J:,.0f} J ({reason.name.lower().replace('_', ' ')})"
        )

    # Restart

    def to_rows(self) -> list[list[Any]]:
        """Verdicts, for the checkpoint."""
        return [
            [*key, *(int(getattr(verdict, name)) for name in _FIELDS), self._sent[key][0] if key in self._sent else -1]
            for key, verdict in self.verdicts.items()
        ]

    def restore(self, rows: Iterable[Sequence[Any]]) -> None:
        """Continue with the verdicts of an earlier run: a contradicted source stays so until it is judged again."""
        for device, source, *numbers, sent_us in rows:
            values = dict(zip(_FIELDS, map(int, numbers), strict=True))
            verdict, witness, reason = values.pop("verdict"), values.pop("witness"), values.pop("reason")
            key = str(device), str(source)
            self.verdicts[key] = SensorVerdict(
                verdict=Verdict(verdict), witness=Witness(witness), reason=Reason(reason), **values
            )
            self._sent[key] = int(sent_us), (verdict, witness, reason)


def doubt_since(meter: Meter, at_us: int) -> int:
    """Since when [µs] the samples of a meter have been doubted, if for longer than a minute; else 0."""
    return meter.doubted_us if meter.doubted_us and at_us - meter.doubted_us >= MIN_DOUBT_US else 0


def suspicion(meter: Meter) -> Reason:
    """Why the newest sample of a meter is not accepted."""
    suspect, last = meter.suspect, meter.last
    if suspect is None:
        return Reason.NONE
    if suspect.counter_uj is not None and last.counter_uj is not None and suspect.counter_uj < last.counter_uj:
        return Reason.DECREASED
    return Reason.ABOVE_CEILING


def _durations(steps: Sequence[_Step]) -> list[int]:
    return [after.mono_us - before.mono_us for before, after in pairwise(steps)]


def _share(readings: Iterable[tuple[int, int]], start_us: int, *, last_only: bool = False) -> float | None:
    """Share of busy time since an instant, or between the last two readings; None if unknown."""
    since = [reading for reading in readings if reading[0] >= start_us]
    if last_only:
        since = since[-2:]
    if len(since) < 2:
        return None
    return min(max((since[-1][1] - since[0][1]) / (since[-1][0] - since[0][0]), 0.0), 1.0)


def _of_parts(channel: Channel, verdict: SensorVerdict) -> Iterator[tuple[Channel, SensorVerdict]]:
    """The verdict of a partitioned board for each of its parts, with its energies by their weight."""
    total_weight = sum(part.weight for part in channel.parts)
    for part in channel.parts:
        energies = {
            name: getattr(verdict, name) * part.weight // total_weight for name in ("judged_uj", "low_uj", "high_uj", "doubt_uj")
        }
        yield part_channel(channel, part), replace(verdict, **energies)
