"""Live sources of carbon intensity: one module a source, and the list of them.

A source builds the request for a zone and a day and parses the response; ``intensity_series`` sends, retries and stores.
"""

from footprint.ledger.sources import electricity_maps, neso, odre, watttime
from footprint.ledger.sources.base import IntensitySource

SOURCES: dict[str, IntensitySource] = {module.SOURCE.name: module.SOURCE for module in (odre, electricity_maps, neso, watttime)}
