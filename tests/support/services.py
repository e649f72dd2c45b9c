"""The API and the pages over a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from dashboards.app import mount
from footprint.api import create_api
from footprint.config import Config
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store


def api_over(store: Store, config: Config, clock: Callable[[], int], **options: Any) -> FastAPI:
    """The API over a store."""
    return create_api(config, store, IngestService(store, config.services_of_model, config.hosts_of_service), clock, **options)


def pages_over(store: Store, config: Config, clock: Callable[[], int], **options: Any) -> Any:
    """The API with the pages over a store."""
    return mount(api_over(store, config, clock, **options), store, config, clock)
