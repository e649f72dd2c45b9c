"""Exit statuses of the command line, and the errors that lead to some of them."""

from __future__ import annotations

from enum import IntEnum

from footprint.core.records import FootprintError


class Exit(IntEnum):
    """Exit statuses (docs/reference/contract.md, section 2)."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    UNAVAILABLE = 4
    INCOMPLETE = 5
    CHECK_FAILED = 6
    NO_DATA = 7
    INTERRUPTED = 130


MEASURING_FAILED = 125  # of `measure`, whose other statuses are those of the command that it measures


class SensorUnavailable(FootprintError):
    """A sensor or a source that cannot be reached."""


class CheckFailed(FootprintError):
    """A budget, a coverage or a verification that is not met."""


class UsageError(FootprintError):
    """Options that do not go together."""
