"""This file says in the reader's language why a day's split was refused or is doubted; the store keeps the model's own words."""

from __future__ import annotations

import re

from babel.numbers import format_decimal

from dashboards.translations import translate

_NUMBER = r"([\d.]+|inf|nan)"
# What attribution/step/model.py says, and the sentence that it is here; a doubt may hold several, with semicolons between.
_REASONS = tuple(
    (re.compile(pattern.replace("#", _NUMBER)), key)
    for pattern, key in (
        (r"# windows read from end to end, # of them with tokens; # and # are the least", "reason_windows"),
        (r"# requests; # are the least", "reason_requests"),
        (r"no quiet second, and no idle power from elsewhere: .*", "reason_idle"),
        (r"reading, writing and steps rise and fall together \(condition #\): .*", "reason_condition"),
        (r"the log explains the energy no better than output tokens alone \(residual # %\)", "reason_worthless"),
        (r"residual # %", "reason_residual"),
        (r"one log for several hosts", "reason_replicas"),
        (r"stamps in whole seconds", "reason_seconds"),
        (r"counts of requests, not single ones", "reason_counts"),
        (r"ends stamped about # s after the work was done", "reason_late"),
    )
)


def translate_diagnosis(reason: str, language: str) -> str:
    """A reason in words; one that is not known here stays as it is."""
    whole = _translate_reason(reason, language)
    if whole is not None:
        return whole
    parts = reason.split("; ")
    between = "\u202f; " if language == "fr" else "; "
    return between.join(_translate_reason(part, language) or part for part in parts)


def _translate_reason(reason: str, language: str) -> str | None:
    for pattern, key in _REASONS:
        found = pattern.fullmatch(reason)
        if found:
            return translate(
                language, key, **{f"n{index}": _format_number(text, language) for index, text in enumerate(found.groups())}
            )
    return None


def _format_number(text: str, language: str) -> str:
    return str(format_decimal(text, "#,##0.###", locale=language)) if text[0].isdigit() else text
