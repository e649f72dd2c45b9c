"""Parts that several pages share, each in a file of its own.

filters.py   period, comparison, filters            heads.py     the finding on top, and the states without a figure
days.py      day strip, coverage by host            keys.py      key figures, and how sure a change is
trend.py     energy over time                       calendar.py  hours of days, and the grid's intensity beside them
flows.py     host -> service -> use                 change.py    why emissions changed, effect by effect
facts.py     what changed, what a reader must know  made_of.py   active, idle, host, building
silent.py    agents that fell silent                objectives.py  budgets and targets, and how they stand
published.py the edition of the period              bundles.py   what a bundle of factors changed against another
"""

from dashboards.components import name_of
from dashboards.parts.calendar import calendar
from dashboards.parts.change_waterfall import change, change_in
from dashboards.parts.day_strip import day_states, day_strip, seen
from dashboards.parts.energy_breakdown import made_of
from dashboards.parts.filters import filters, period_words, reference_words
from dashboards.parts.headlines import first_steps, headline, nothing, shares_title, source
from dashboards.parts.key_figures import change_of, key_figures
from dashboards.parts.notices import facts
from dashboards.parts.objectives import objectives
from dashboards.parts.sankey import flows
from dashboards.parts.silent_agents import silent
from dashboards.parts.trend import noted, trend

__all__ = [
    "calendar",
    "change",
    "change_in",
    "change_of",
    "day_states",
    "day_strip",
    "facts",
    "filters",
    "first_steps",
    "flows",
    "headline",
    "key_figures",
    "made_of",
    "name_of",
    "noted",
    "nothing",
    "objectives",
    "period_words",
    "reference_words",
    "seen",
    "shares_title",
    "silent",
    "source",
    "trend",
]
