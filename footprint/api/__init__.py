"""The HTTP API (contract, section 7).

app.py        the FastAPI application, its errors, and the 404 of unknown paths
figures.py    GET /api/v1/footprint: what `footprint query` prints
ingest.py     POST /api/v1/ingest: what agents and gateways ship
access.py     GET /api/v1/access: the access log, for administrators
health.py     /healthz, /readyz, /metrics
"""

from footprint.api.app import create_api

__all__ = ["create_api"]
