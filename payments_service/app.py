"""The payments service's composition root: `uvicorn --factory payments_service.app:create_app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from payments_service import tables
from payments_service.settings import Settings
from shared import database, migrations, service
from shared.service import Health
from shared.telemetry import Metrics

SERVICE = "payments_service"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    engine = database.create_engine(settings.payments_database_url, application=SERVICE, schema=tables.SCHEMA)
    health = Health()
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, tables.SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await migrations.wait_until_at_head(engine, SERVICE, tables.SCHEMA)
            yield
        finally:
            await engine.dispose()

    return service.application(SERVICE, settings, health=health, metrics=Metrics(), lifespan=lifespan, openapi_url=None)
