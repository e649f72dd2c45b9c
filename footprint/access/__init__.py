"""Access control: authentication, authorization of answers, audit log, and tokens of agents.

A reader is known by a role only; names are never stored.
"""

from footprint.access.authorization import AccessRefused, authorize_answer
from footprint.access.policy import Role, allows

__all__ = ["AccessRefused", "Role", "allows", "authorize_answer"]
