"""Reasons of the step model for refusing or doubting a fit, in French and English."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from dashboards.diagnosis_messages import translate_diagnosis
from footprint.attribution.split_status import REFUSED
from footprint.attribution.step.day_statistics import DayStatistics, day_statistics
from footprint.attribution.step.model import Diagnosis, FitData, _doubts, fit_placement
from tests.simulation.server import VARIANTS, simulate
from tests.support.step_fits import WINDOW_US, log_of, meter

IDLE_W = 380.0


@pytest.fixture(scope="module")
def statistics() -> DayStatistics:
    day = simulate(VARIANTS["low-load"], 1)
    names = [kind.name for kind in day.server.kinds]
    return day_statistics(log_of(day), names, meter(day, 1), 0, WINDOW_US)[0]


def refusals(statistics: DayStatistics) -> list[Diagnosis]:
    """One refused diagnosis for each reason to refuse a fit."""
    windows = statistics.windows
    never_quiet = replace(windows, awake_s=np.tile(windows.length_s[:, None], (1, windows.awake_s.shape[1])))
    collinear = replace(windows, features=np.tile(windows.features.max(axis=1)[:, None], (1, windows.features.shape[1])))
    random_energy = replace(windows, energy_j=np.random.default_rng(1).permutation(windows.energy_j))
    days = [
        (replace(statistics, windows=windows[np.arange(36)]), IDLE_W),
        (replace(statistics, requests=200), IDLE_W),
        (replace(statistics, windows=never_quiet), None),
        (replace(statistics, windows=collinear), IDLE_W),
        (replace(statistics, windows=random_energy), IDLE_W),
    ]
    return [fit_placement(FitData.from_days([day]), idle_w).diagnosis for day, idle_w in days]


def test_each_reason_is_translated_with_its_numbers(statistics: DayStatistics) -> None:
    diagnoses = refusals(statistics)
    assert {diagnosis.status for diagnosis in diagnoses} == {REFUSED}
    doubtful = replace(diagnoses[0], residual=0.125, replicas=True, whole_second_stamps=True, late_s=1.5)
    reasons = (
        [diagnosis.reason for diagnosis in diagnoses] + _doubts(doubtful, 2) + _doubts(replace(diagnoses[0], counted=True), 0)
    )
    assert len({re.sub(r"[\d.]+", "#", reason) for reason in reasons}) == 11
    for reason in reasons:
        french = translate_diagnosis(reason, "fr")
        assert french != reason
        assert "None" not in french
        assert "1.5" not in french
        assert translate_diagnosis(reason, "en").replace(",", "") == reason.replace(" %", "%").replace(",", "")


def test_joined_doubts_are_translated_one_by_one_and_unknown_ones_stay() -> None:
    assert translate_diagnosis("residual 5.3 %; one log for several hosts; a new doubt", "fr") == (
        "résidu 5,3\u202f%\u202f; un seul journal pour plusieurs serveurs\u202f; a new doubt"
    )
    assert translate_diagnosis("", "fr") == ""
