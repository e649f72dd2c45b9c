"""Statistical disclosure control: which cells may be shown, so that nobody can derive those that may not. Pure arithmetic.

rules.py       cells, rules, statuses: what hides a cell by itself
cube.py        cells as periods x services x use cases with their margins
boxes.py       what protects a hidden cell, proved without a linear program
completing.py  the same where no box does, by a linear program
protecting.py  what becomes of every cell
programs.py    the solver
attacking.py   how closely a reader of everything published can derive what is hidden
"""

from footprint.disclosure.audit import Bounds, PublishedTable, Unattackable, attack
from footprint.disclosure.primary_suppression import BadRules, Cell, Key, NotAdditive, Reason, Rules, Status, primary_reason
from footprint.disclosure.secondary_suppression import Protection, protect

__all__ = [
    "BadRules",
    "Bounds",
    "Cell",
    "Key",
    "NotAdditive",
    "Protection",
    "PublishedTable",
    "Reason",
    "Rules",
    "Status",
    "Unattackable",
    "attack",
    "primary_reason",
    "protect",
]
