"""Regression of window energies: idle power x time + coefficients x features, with no negative coefficient.

Weighted least squares with weights 1/energy (JCGM 100:2008, H.3, extended by the sign), over the windows of all days of a
placement. Extensions are added only where blocked cross-validation over whole hours supports them.

References
----------
C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, SIAM 1995, chapter 23 (NNLS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.features import REQUEST_FEATURES, STEP_FEATURES
from footprint.core.stored_forms import stored_as
from footprint.core.units import S_PER_HOUR

AWAKE_TAUS_S = (0.0, 2.0, 5.0, 10.0, 20.0, 60.0)  # the first is time in flight itself
FOLDS = 8
METER_NOISE = 0.004  # of the energy above the lowest window
# The cost of a request beside its tokens is only part of alternative forms, to see how much the shares depend on it.
DEFAULT_COLUMNS = tuple(name for name in REQUEST_FEATURES if name != "request")
ALL_FEATURES = (*REQUEST_FEATURES, *COUNT_FEATURES)
MAX_AWAKE_RATIO, MAX_BY_KEY_RATIO = 0.5, 0.9  # ratios of cross-validation errors below which a column is added
IDLE, AWAKE, PREFILL_PREFIX, UNTOKENED_PREFIX = "idle", "awake", "in/", "held/"


@stored_as("Windows", "start_s length_s energy_j features awake_s reading held_s keys devices -")
@dataclass(frozen=True, slots=True)
class FitWindows:
    """Windows of one placement, arrays of shape (w, …): additive over days by concatenation.

    ``start_s`` is seconds since 1970, ``length_s`` [s], ``energy_j`` [J] of all devices; ``features`` (w, len(ALL_FEATURES)),
    ``awake_s`` (w, len(AWAKE_TAUS_S)) seconds in which a request ran or had just ended; ``reading`` (w, keys) fresh input
    tokens by use case, ``held_s`` (w, keys) seconds in flight of records without tokens (training, images), ``keys`` their
    names; ``size`` (w,) the number of devices, which varies where hosts join and leave.
    ``meter`` (w,) tells windows of several meters apart, each with an idle power of its own.
    """

    start_s: Floats
    length_s: Floats
    energy_j: Floats
    features: Floats
    awake_s: Floats
    reading: Floats
    held_s: Floats
    keys: tuple[str, ...]
    size: Floats
    meter: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if len(self.meter) != len(self.start_s):
            object.__setattr__(self, "meter", np.zeros(len(self.start_s), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.start_s)

    def __getitem__(self, index: NDArray[np.bool_] | Ints) -> FitWindows:
        arrays = {name: getattr(self, name)[index] for name in self.__slots__ if name != "keys"}
        return FitWindows(**arrays, keys=self.keys)

    def relative_size(self) -> Floats:
        """Size of each window relative to the largest of its meter, shape (w,)."""
        largest = np.full(int(self.meter.max(initial=0)) + 1, 1e-9)
        np.maximum.at(largest, self.meter, self.size)
        return np.asarray(self.size / largest[self.meter])

    def widened(self, times: int) -> FitWindows:
        """Windows that are ``times`` as long; those of which a part is missing are dropped."""
        if not len(self):
            return self
        step = float(np.median(self.length_s)) * times
        start = np.floor(self.start_s / step + 1e-6).astype(np.int64)
        (meters, starts), wide_index = np.unique(np.stack([self.meter, start]), axis=1, return_inverse=True)
        wide_index = wide_index.ravel()

        def summed(values: Floats) -> Floats:
            total = np.zeros((len(starts), *values.shape[1:]))
            np.add.at(total, wide_index, values)
            return total

        joined = FitWindows(
            np.asarray(starts * step),
            summed(self.length_s),
            summed(self.energy_j),
            summed(self.features),
            summed(self.awake_s),
            summed(self.reading),
            summed(self.held_s),
            self.keys,
            summed(self.size * self.length_s) / np.maximum(summed(self.length_s), 1e-9),
            meters,
        )
        return joined[joined.length_s > 0.99 * step]


def concat_windows(days: Sequence[FitWindows], meters: Sequence[int] = ()) -> FitWindows:
    """Windows of several days, with the keys of all of them; ``meters`` is the meter of each day, one for all by default."""
    keys = tuple(sorted({key for day in days for key in day.keys}))
    column_of = {key: index for index, key in enumerate(keys)}

    def aligned(day: FitWindows, values: Floats) -> Floats:
        result = np.zeros((len(day), len(keys)))
        result[:, [column_of[key] for key in day.keys]] = values
        return result

    def joined(name: str) -> Floats:
        return np.concatenate([getattr(day, name) for day in days])

    return FitWindows(
        joined("start_s"),
        joined("length_s"),
        joined("energy_j"),
        joined("features"),
        joined("awake_s"),
        np.concatenate([aligned(day, day.reading) for day in days]),
        np.concatenate([aligned(day, day.held_s) for day in days]),
        keys,
        joined("size"),
        np.repeat(np.array(meters or [0] * len(days), dtype=np.int64), [len(day) for day in days]),
    )


@dataclass(frozen=True, slots=True)
class ModelForm:
    """Columns of a fit.

    ``idle_w`` [W] of all devices of each meter is subtracted where idle power is known from elsewhere, and fitted where None.
    """

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    awake_tau: int = -1  # index into AWAKE_TAUS_S; -1: no such column
    tail_only: bool = False  # whether the awake column excludes the time in flight
    by_key: bool = False  # whether each use case has its own prefill cost
    idle_w: tuple[float, ...] | None = None
    counted: tuple[str, ...] = COUNT_FEATURES


@dataclass(frozen=True, slots=True)
class StepCoefficients:
    """Coefficients of one form by column name (W, J/token, J/step, J per unit of feature)."""

    form: ModelForm
    coefficients: dict[str, float]
    residual: float  # weighted sum of squares, per window

    def vector(self, names: Sequence[str] = REQUEST_FEATURES) -> Floats:
        """Coefficients of the features, shape (len(names),); 0 where the form has no such column."""
        return np.array([self.coefficients.get(name, 0.0) for name in names])


def idle_column(meter: int) -> str:
    """Name of the column of idle power of a meter."""
    return f"{IDLE}/{meter}" if meter else IDLE


def design_matrix(windows: FitWindows, form: ModelForm) -> tuple[list[str], Floats, Floats]:
    """Names, columns (w, k) and right-hand side (w,) [J] of a form; columns of zeros are dropped."""
    columns: list[tuple[str, Floats]] = []
    target = windows.energy_j
    metered_s = windows.length_s * windows.relative_size()
    if form.idle_w is None:
        meters = int(windows.meter.max(initial=0)) + 1
        columns += [(idle_column(meter), np.where(windows.meter == meter, metered_s, 0.0)) for meter in range(meters)]
    else:
        target = target - np.array(form.idle_w)[windows.meter] * metered_s
    for name in form.columns:
        if name == "in" and form.by_key:
            columns += [(PREFILL_PREFIX + key, windows.reading[:, i]) for i, key in enumerate(windows.keys)]
        else:
            columns.append((name, windows.features[:, ALL_FEATURES.index(name)]))
    columns += [(name, windows.features[:, ALL_FEATURES.index(name)]) for name in form.counted]
    columns += [
        (UNTOKENED_PREFIX + key, windows.held_s[:, i]) for i, key in enumerate(windows.keys) if windows.held_s[:, i].any()
    ]
    if form.awake_tau >= 0:
        awake = windows.awake_s[:, form.awake_tau] - (windows.awake_s[:, 0] if form.tail_only else 0.0)
        columns.append((AWAKE, awake))
    used_columns = [(name, column) for name, column in columns if column.any()]
    return [name for name, _ in used_columns], np.stack([column for _, column in used_columns], axis=1), target


@dataclass(frozen=True, slots=True)
class WeightedSystem:
    """Weighted rows of a least-squares problem; columns are scaled by their maximum so that none dominates."""

    rows: Floats
    target: Floats
    scale: Floats

    @classmethod
    def from_rows(cls, matrix: Floats, target: Floats, weight: Floats) -> WeightedSystem:
        """System of columns (w, k), right-hand side (w,) and weights (w,)."""
        scale = np.maximum(np.abs(matrix).max(axis=0, initial=0.0), 1e-300)
        root = np.sqrt(weight)
        return cls(matrix / scale * root[:, None], target * root, scale)

    def solve(self, chosen: NDArray[np.bool_] | None = None, times: Floats | None = None) -> Floats:
        """Non-negative coefficients (k,) of all rows, of the ``chosen`` ones, or with each row repeated ``times``."""
        rows, target = (self.rows, self.target) if chosen is None else (self.rows[chosen], self.target[chosen])
        if times is not None:
            root = np.sqrt(times[times > 0])
            rows, target = rows[times > 0] * root[:, None], target[times > 0] * root
        return np.asarray(nnls(rows, target, maxiter=30 * rows.shape[1] + 100)[0] / self.scale)

    def error(self, coefficients: Floats, chosen: NDArray[np.bool_] | slice = slice(None)) -> float:
        """Weighted sum of squared residuals."""
        residuals = self.target[chosen] - self.rows[chosen] @ (coefficients * self.scale)
        return float((residuals * residuals).sum())


def solve_nnls(matrix: Floats, target: Floats, weight: Floats) -> Floats:
    """Non-negative least squares of weighted rows: columns (w, k), right-hand side (w,), weights (w,).

    Examples
    --------
    >>> solve_nnls(np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([3.0, 4.0]), np.ones(2)).round(6).tolist()
    [2.0, 1.0]
    """
    return WeightedSystem.from_rows(matrix, target, weight).solve()


def noise_weights(windows: FitWindows) -> Floats:
    """Weights 1/energy of windows: the noise of a sensor grows with its reading."""
    return 1.0 / np.maximum(windows.energy_j, 1e-3 * max(float(np.median(windows.energy_j)), 1e-9))


def fit_form(windows: FitWindows, form: ModelForm) -> StepCoefficients:
    """Coefficients of one form over windows."""
    names, matrix, target = design_matrix(windows, form)
    system = WeightedSystem.from_rows(matrix, target, noise_weights(windows))
    coefficients = system.solve()
    return StepCoefficients(form, dict(zip(names, coefficients.tolist(), strict=True)), system.error(coefficients) / len(windows))


def cross_validation_error(windows: FitWindows, form: ModelForm) -> float:
    """Weighted squared error per window, for windows of hours that the fit left out."""
    _, matrix, target = design_matrix(windows, form)
    system = WeightedSystem.from_rows(matrix, target, noise_weights(windows))
    fold = (windows.start_s // S_PER_HOUR).astype(np.int64) % FOLDS
    error = 0.0
    for number in range(FOLDS):
        left_out = fold == number
        if left_out.any() and not left_out.all():
            error += system.error(system.solve(~left_out), left_out)
    return error / len(windows)


def choose_form(windows: FitWindows, idle_w: tuple[float, ...] | None) -> tuple[ModelForm, float]:
    """Form of a placement, and its cross-validated error."""
    form = ModelForm(idle_w=idle_w)
    error = cross_validation_error(windows, form)
    if idle_w is None and windows.features[:, : len(REQUEST_FEATURES)].any():
        # Time in flight alone (tau 0) is never a column: power by time and energy by step fit equally well, and no
        # request would bear the first.
        forms = [replace(form, awake_tau=tau, tail_only=only) for tau in range(1, len(AWAKE_TAUS_S)) for only in (True, False)]
        errors = [(cross_validation_error(windows, candidate), number) for number, candidate in enumerate(forms)]
        if min(errors)[0] < MAX_AWAKE_RATIO * error:
            error, form = min(errors)[0], forms[min(errors)[1]]
    split = replace(form, by_key=True)
    # At the noise of the meters, separate costs by use case have nothing left to explain.
    if len(windows.keys) > 1 and relative_residual(windows, error) > METER_NOISE:
        split_error = cross_validation_error(windows, split)
        if split_error < MAX_BY_KEY_RATIO * error:
            form, error = split, split_error
    return form, error


def relative_residual(windows: FitWindows, error: float) -> float:
    """Root of a weighted squared error over the mean energy of a window above the lowest: the unexplained share."""
    above = float(windows.energy_j.mean() - windows.energy_j.min())
    return float(np.sqrt(error * windows.energy_j.mean())) / above if above > 0 else float("inf")


def alternative_forms(windows: FitWindows, form: ModelForm) -> list[tuple[ModelForm, int]]:
    """Forms that another analyst might choose, with a factor for wider windows; the shares' differences are the error of form."""
    dense = tuple(name for name in form.columns if name not in STEP_FEATURES[1:])
    flat = tuple(name for name in form.columns if name != "inctx")
    alternatives = [
        (form, 2),
        (form, 3),
        (replace(form, columns=dense), 1),
        (replace(form, columns=flat), 1),
        (replace(form, columns=(*form.columns, "request")), 1),
    ]
    if len(windows.keys) > 1:
        alternatives.append((replace(form, by_key=not form.by_key), 1))
    if form.idle_w is None:
        alternatives.append((replace(form, awake_tau=3 if form.awake_tau < 0 else -1, tail_only=False), 1))
        alternatives.append((replace(form, awake_tau=3, tail_only=True), 1))
    return alternatives


def bootstrap_fits(windows: FitWindows, form: ModelForm, times: int, seed: int) -> list[StepCoefficients]:
    """Fits of whole hours drawn with replacement (block bootstrap); equal seeds give equal fits."""
    names, matrix, target = design_matrix(windows, form)
    system = WeightedSystem.from_rows(matrix, target, noise_weights(windows))
    hours, hour_of_window = np.unique((windows.start_s // S_PER_HOUR).astype(np.int64), return_inverse=True)
    random = np.random.default_rng(seed)
    fits = []
    for _ in range(times):
        draws = np.bincount(random.integers(0, len(hours), len(hours)), minlength=len(hours)).astype(np.float64)
        coefficients = system.solve(times=draws[hour_of_window])
        fits.append(StepCoefficients(form, dict(zip(names, coefficients.tolist(), strict=True)), 0.0))
    return fits


def condition_number(windows: FitWindows, *, idle_known: bool) -> float:
    """Condition number of [1, in, out, step], each scaled to unit length; above 300 their costs cannot be separated.

    Where idle power is known from elsewhere, the constant column is left out.
    """
    constant = [] if idle_known else [windows.length_s * windows.relative_size()]
    columns = np.stack(
        [*constant, *(windows.features[:, REQUEST_FEATURES.index(name)] for name in ("in", "out", "step"))], axis=1
    )
    norm = np.linalg.norm(columns, axis=0)
    columns = columns[:, norm > 0] / norm[norm > 0]
    return float(np.linalg.cond(columns)) if columns.size else float("inf")
