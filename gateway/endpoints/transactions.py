"""Transactions: posted one by one or in a batch, and looked up."""

import asyncio
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from gateway.domain import views
from gateway.domain.callers import Caller, Scope
from gateway.domain.ports import Asked, WalletLink
from gateway.domain.requests import (
    BatchRequest,
    TransactionRequest,
    command_of,
    read_batch,
    read_element,
    read_transaction,
)
from gateway.domain.views import BatchView, DecisionView, PendingView
from gateway.endpoints import API, answers, described, headers
from gateway.endpoints.answers import Answer, Json, View
from gateway.endpoints.door import Door
from gateway.endpoints.headers import Patience
from gateway.endpoints.rates import Rates
from gateway.repository import Reads
from gateway.settings import Settings
from shared.clock import Clock
from shared.contracts.commands import Command
from shared.errors import LangSenseError, NotFound
from shared.service import request_id_of


class Postings:
    """Turns requests into commands, sends them, and waits for their decisions."""

    def __init__(self, settings: Settings, link: WalletLink, rates: Rates, clock: Clock) -> None:
        self._settings = settings
        self._link = link
        self._rates = rates
        self._clock = clock

    async def one(self, request: Request, caller: Caller, patience: Patience) -> Answer:
        """Post the transaction that a request carries. Raises what is wrong with it."""
        key = headers.idempotency_key(request)
        transaction = read_transaction(await request.body())
        await self._rates.player(request, transaction.user_id)
        command, asked = await self._ask(request, caller, key, transaction, self._bets_expire_at(patience))
        return answers.of_reply(command, await asked.reply(patience.wait_s))

    async def many(self, request: Request, caller: Caller, patience: Patience) -> list[Answer]:
        """Post a batch: send all, in order, then wait for all. What is wrong with one is that one's answer alone."""
        elements = read_batch(await request.body())
        # The request itself was counted at the door.
        await self._rates.client(request, caller.client, cost=len(elements) - 1)
        bets_expire_at = self._bets_expire_at(patience)
        sent: list[tuple[Command, Asked] | Answer] = []
        for element in elements:
            try:
                transaction = read_element(element)
                await self._rates.player_in_batch(transaction.user_id)
                key = transaction.idempotency_key
                sent.append(await self._ask(request, caller, key, transaction, bets_expire_at))
            except LangSenseError as error:
                sent.append(answers.of_error(error))
        ends_at = asyncio.get_running_loop().time() + patience.wait_s
        return await asyncio.gather(*(_answer(found, ends_at) for found in sent))

    async def decided(
        self,
        request: Request,
        command: Command,
        *,
        view: View = views.decision,
        posted: HTTPStatus = HTTPStatus.CREATED,
    ) -> Response:
        """Send a command that an endpoint made, and answer its decision, or that there is none yet."""
        await self._rates.player(request, command.user_id)
        patience = headers.patience(request, self._settings)
        asked = await self._send(request, command)
        answer = answers.of_reply(command, await asked.reply(patience.wait_s), view=view, posted=posted)
        return answer.response(patience.headers())

    async def _ask(
        self, request: Request, caller: Caller, key: str, transaction: TransactionRequest, bets_expire_at: datetime
    ) -> tuple[Command, Asked]:
        caller.require_posting(transaction.type)
        command = command_of(transaction, caller, key, now=self._clock(), bets_expire_at=bets_expire_at)
        return command, await self._send(request, command)

    async def _send(self, request: Request, command: Command) -> Asked:
        return await self._link.ask(
            command, request_id=request_id_of(request), traceparent=headers.traceparent(request)
        )

    def _bets_expire_at(self, patience: Patience) -> datetime:
        # Who does not wait looks later; the bet is good for as long as a patient caller's.
        wait_s = patience.wait_s or self._settings.wait_max_s
        return self._clock() + timedelta(seconds=wait_s + self._settings.bet_expiry_margin_s)


async def _answer(sent: tuple[Command, Asked] | Answer, ends_at: float) -> Answer:
    if isinstance(sent, Answer):
        return sent
    command, asked = sent
    left_s = max(ends_at - asyncio.get_running_loop().time(), 0.0)
    try:
        return answers.of_reply(command, await asked.reply(left_s))
    except LangSenseError as error:
        return answers.of_error(error)


def router(settings: Settings, door: Door, postings: Postings, link: WalletLink, reads: Reads) -> APIRouter:
    """The endpoints of transactions."""
    api = APIRouter(prefix=f"{API}/transactions", tags=["ledger"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "",
        summary="Post a transaction",
        status_code=201,
        responses={201: {"model": DecisionView}, 202: {"model": PendingView}, **described.problem_answers(400, 413)},
        openapi_extra={
            "parameters": [described.IDEMPOTENCY_KEY, described.PREFER],
            **described.body_of(TransactionRequest),
        },
    )
    async def post_transaction(request: Request, caller: caller_of_request) -> Response:
        patience = _opened(request, caller, settings)
        answer = await postings.one(request, caller, patience)
        return answer.response(patience.headers())

    @api.post(
        "/batch",
        summary="Post up to 1,000 transactions",
        responses={200: {"model": BatchView}, **described.problem_answers(413)},
        openapi_extra={"parameters": [described.PREFER], **described.body_of(BatchRequest)},
    )
    async def post_batch(request: Request, caller: caller_of_request) -> Response:
        patience = _opened(request, caller, settings)
        results = [answer.result() for answer in await postings.many(request, caller, patience)]
        return Json({"results": results}, headers=patience.headers())

    @api.get(
        "/{transaction_id}",
        summary="What became of a transaction",
        responses={200: {"model": DecisionView}, 202: {"model": PendingView}, **described.problem_answers(404)},
    )
    async def get_transaction(transaction_id: UUID, caller: caller_of_request) -> Response:
        caller.require_reading_transactions()
        event = await reads.transaction(transaction_id)
        if event is not None:
            caller.require_seeing(event.kind, event.user_id)
            return Json(views.decision(event, event.dispute, why=caller.is_told_why(event.kind)))
        command = link.pending(transaction_id)
        if command is None:
            raise NotFound(f"there is no transaction {transaction_id}")
        caller.require_seeing(command.kind, command.user_id)
        return answers.of_pending(command).response({})

    return api


def _opened(request: Request, caller: Caller, settings: Settings) -> Patience:
    caller.require(Scope.WRITE_GAME, Scope.WRITE_FUNDS)
    headers.require_json(request)
    return headers.patience(request, settings)
