"""Receipts: what proves a transaction to whoever holds the public keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from gateway.domain.callers import Caller
from gateway.domain.ports import WalletLink
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.repository import Reads
from shared.contracts.checkpoints import Receipt
from shared.contracts.commands import Command
from shared.errors import Forbidden, NotFound, NotSealedYet

# What is not decided yet is sealed seconds after it is.
RETRY_AFTER_S = 10


def router(door: Door, link: WalletLink, reads: Reads) -> APIRouter:
    """The endpoint of receipts: for whoever may see the transaction."""
    api = APIRouter(prefix=f"{API}/transactions/{{transaction_id}}", tags=["ledger"])

    @api.get(
        "/receipt",
        summary="Proof of a transaction, for who holds the public keys; amounts in minor units, as they were sealed",
        responses={200: {"model": Receipt}, **described.problem_answers(404, 409)},
    )
    async def get_receipt(transaction_id: UUID, caller: Annotated[Caller, Depends(door.caller)]) -> Response:
        caller.require_reading_transactions()
        found = await reads.transaction(transaction_id) or link.pending(transaction_id)
        if found is None:
            raise NotFound(f"there is no transaction {transaction_id}")
        caller.require_seeing(found.kind, found.user_id)
        if not caller.is_told_why(found.kind):
            raise Forbidden("what is sealed in this receipt is for staff alone")
        if isinstance(found, Command):
            raise NotSealedYet(RETRY_AFTER_S)
        return Json((await reads.receipt(transaction_id)).model_dump(mode="json"))

    return api
