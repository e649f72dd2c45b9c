"""Live series of carbon intensity: one file a source, and the list of them.

A source says what to ask for a zone and a day, and turns an answer into samples. Asking, waiting, trying again and keeping
are ``ledger/intensity.py``'s. Nothing is asked unless somebody says so.
"""

from footprint.ledger.sources import electricity_maps, neso, odre, watttime
from footprint.ledger.sources.base import IntensitySource

SOURCES: dict[str, IntensitySource] = {each.SOURCE.name: each.SOURCE for each in (odre, electricity_maps, neso, watttime)}
