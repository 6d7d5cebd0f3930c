"""HTTP in: settlement batches, retried by hand or with a report; what does not agree, closed with a reason."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncEngine

from payments_service.domain.ports import Settling
from payments_service.repository import batches, days, exceptions
from payments_service.repository.days import Day
from payments_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.payments import AskedResolution, BatchView, ExceptionView, RetryRequest, SettlementRequest
from shared.errors import NotFound
from shared.service import internal_only

Limit = Annotated[int, Query(ge=1, le=1000)]
Before = Annotated[int | None, Query(ge=1)]


def router(settings: Settings, engine: AsyncEngine, settlement: Settling, clock: Clock) -> APIRouter:
    """The endpoints of settlement."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    async def batch(batch_id: UUID) -> BatchView:
        async with database.reading(engine) as connection:
            found = await batches.find(connection, batch_id)
        if found is None:
            raise NotFound(f"there is no settlement batch {batch_id}")
        return BatchView.model_validate(dict(found._mapping))

    @api.post("/settlement-batches", summary="Settle a day of one provider and currency")
    async def post_batch(asked: SettlementRequest) -> BatchView:
        async with database.transaction(engine) as connection:
            batch_id = await days.batch_of(connection, Day(asked.provider, asked.currency, asked.day), clock())
        await settlement.settle(batch_id, asked.report_bytes())
        return await batch(batch_id)

    @api.get("/settlement-batches", summary="Settlement batches, the newest first")
    async def get_batches(limit: Limit = 50, before: Before = None) -> Sequence[BatchView]:
        async with database.reading(engine) as connection:
            found = await batches.page(connection, before, limit)
        return [BatchView.model_validate(dict(row._mapping)) for row in found]

    @api.get("/settlement-batches/{batch_id}", summary="A settlement batch")
    async def get_batch(batch_id: UUID) -> BatchView:
        return await batch(batch_id)

    @api.post("/settlement-batches/{batch_id}/retry", summary="Settle a batch again")
    async def post_retry(batch_id: UUID, asked: RetryRequest) -> BatchView:
        await settlement.settle(batch_id, asked.report_bytes())
        return await batch(batch_id)

    @api.get("/settlement-exceptions", summary="What does not agree, the newest first")
    async def get_exceptions(
        batch_id: UUID | None = None,
        payment_id: UUID | None = None,
        only_open: bool = True,
        limit: Limit = 50,
        before: Before = None,
    ) -> Sequence[ExceptionView]:
        async with database.reading(engine) as connection:
            found = await exceptions.page(
                connection, batch_id=batch_id, payment_id=payment_id, only_open=only_open, before=before, limit=limit
            )
        return [ExceptionView.model_validate(dict(row._mapping)) for row in found]

    @api.post("/settlement-exceptions/{exception_id}/resolution", summary="Close an exception with a reason")
    async def post_resolution(exception_id: UUID, asked: AskedResolution) -> ExceptionView:
        async with database.transaction(engine) as connection:
            await exceptions.close(connection, exception_id, asked.actor, asked.resolution.reason, clock())
            found = await exceptions.find(connection, exception_id)
            if found is None:
                raise NotFound(f"there is no settlement exception {exception_id}")
            if found.batch_id is not None:
                await batches.recount(connection, found.batch_id)
        return ExceptionView.model_validate(dict(found._mapping))

    return api
