"""Every reason that the model gives for a doubt or a refusal is said in French and in English."""

from __future__ import annotations

import ast
import inspect

import pytest

from dashboards.diagnosis_messages import translate_diagnosis
from footprint.attribution.step import model


def reasons() -> list[str]:
    """Every sentence of the functions that give reasons, with 12.5 for each number."""
    found = []
    for act in (model._refusal_reason, model._doubts, model.fit_days):
        for node in ast.walk(ast.parse(inspect.getsource(act))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "12.5" for part in node.values))  # type: ignore[misc]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                found.append(node.value)
    docs = {inspect.getdoc(act) for act in (model._refusal_reason, model._doubts, model.fit_days)}
    pieces = {part for text in found if "12.5" in text for part in text.split("12.5")}
    return [text for text in found if " " in text and inspect.cleandoc(text) not in docs and text not in pieces]


@pytest.mark.parametrize("reason", reasons())
def test_a_reason_of_the_model_is_said_in_both_languages(reason: str) -> None:
    french = translate_diagnosis(reason, "fr")
    assert french != reason
    assert "12.5" not in french
    assert translate_diagnosis(reason, "en") == reason.replace(" %", "%")


def test_doubts_are_said_one_by_one_and_what_is_not_known_stays() -> None:
    assert len(reasons()) >= 10
    assert translate_diagnosis("residual 5.3 %; one log for several hosts; a new doubt", "fr") == (
        "résidu 5,3\u202f%\u202f; un seul journal pour plusieurs serveurs\u202f; a new doubt"
    )
    assert translate_diagnosis("", "fr") == ""
