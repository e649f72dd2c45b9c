"""Translation of the step model's reasons for refusing or doubting the split of a day."""

from __future__ import annotations

import re

from babel.numbers import format_decimal

from dashboards.translations import translate

_NUMBER = r"([\d.]+|inf|nan)"
# Reasons as attribution/step/model.py writes them, and catalogue keys; a doubt may join several with semicolons.
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
        (r"hosts of the service without readings: #", "reason_unread"),
        (r"stamps in whole seconds", "reason_seconds"),
        (r"counts of requests, not single ones", "reason_counts"),
        (r"ends stamped about # s after the work was done", "reason_late"),
    )
)


def translate_diagnosis(reason: str, language: str) -> str:
    """Reason in the reader's language; an unknown reason stays as it is."""
    sentence = _translate_reason(reason, language)
    if sentence is not None:
        return sentence
    parts = reason.split("; ")
    separator = "\u202f; " if language == "fr" else "; "
    return separator.join(_translate_reason(part, language) or part for part in parts)


def _translate_reason(reason: str, language: str) -> str | None:
    for pattern, key in _REASONS:
        match = pattern.fullmatch(reason)
        if match:
            return translate(
                language, key, **{f"n{index}": _format_number(text, language) for index, text in enumerate(match.groups())}
            )
    return None


def _format_number(text: str, language: str) -> str:
    return str(format_decimal(text, "#,##0.###", locale=language)) if text[0].isdigit() else text
