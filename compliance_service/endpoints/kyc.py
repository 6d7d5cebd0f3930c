"""KYC: submitted, read, decided, erased; and what providers send."""

from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.domain import kyc as domain
from compliance_service.domain import webhooks
from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.encryption import KycKeys
from compliance_service.domain.kyc import ERASED, By, Case, Move, Verdict
from compliance_service.domain.ports import Attendant
from compliance_service.repository import audit, kyc, kyc_moves
from compliance_service.repository.kyc_moves import Actor
from compliance_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.fields import Text, UserId
from shared.contracts.kyc import (
    KycDecision,
    KycDocumentView,
    KycErasure,
    KycReasonView,
    KycSubmission,
    KycTierView,
    KycView,
)
from shared.errors import FieldError, InvalidInput, LangSenseError, NotFound
from shared.jurisdictions import Pack
from shared.service import internal_only
from shared.telemetry import Metrics

SHOWN_CHARACTERS = 2


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    actor: Text
    request_id: Text | None = None

    def by(self) -> Actor:
        return Actor(self.actor, self.request_id)


class AskedSubmission(_Asked):
    """A submission, and who sends it."""

    submission: KycSubmission


class AskedDecision(_Asked):
    """A decision, and whose it is."""

    decision: KycDecision


class AskedErasure(_Asked):
    """An erasure, and who asks for it."""

    erasure: KycErasure


class Taken(BaseModel):
    """A webhook's event is kept; or it had been before."""

    duplicate: bool


@dataclass(frozen=True, slots=True)
class KycDesk:
    """What the endpoints stand on."""

    engine: AsyncEngine
    keys: KycKeys
    pack: Pack
    zone: ZoneInfo
    attendant: Attendant
    clock: Clock

    async def submit(self, user_id: int, asked: AskedSubmission) -> None:
        """Keep a submission, and settle what rules or staff's provider settle. Raises InvalidInput."""
        submission, now = asked.submission, self.clock()
        today = now.astimezone(self.zone).date()
        domain.check_days(submission, today)
        indexes = self.keys.indexes(submission.country, submission.document_type, submission.document_number)
        async with database.transaction(self.engine) as connection:
            held = await kyc.held_by_another(connection, user_id, indexes)
            case = await kyc.lock(connection, user_id, self.pack.initial_tier)
            case = await kyc_moves.submit(connection, self.pack, self.keys, submission, case, asked.by(), now, indexes)
            verdict, by = domain.judge(submission, self.pack, today, held_by_another=held), By.RULES
            if verdict is None and submission.provider_result is not None:
                verdict, by = domain.of_provider(submission.provider_result.result), By.PROVIDER
            if verdict is not None:
                await kyc_moves.move(connection, self.pack, case, verdict, by, asked.by(), now)

    async def decide(self, user_id: int, asked: AskedDecision) -> None:
        """Staff's decision. Raises NotFound, InvalidInput."""
        decision = asked.decision
        verdict = domain.of_staff(decision.decision, decision.reason, decision.public_reason)
        async with database.transaction(self.engine) as connection:
            case = await self._known(connection, user_id)
            texts = {"reason": decision.reason, "public_reason": decision.public_reason}
            domain.check_silent(texts, await kyc.fields(connection, self.keys, user_id) or {})
            moved = await kyc_moves.move(connection, self.pack, case, verdict, By.STAFF, asked.by(), self.clock())
            if moved is None:
                raise InvalidInput([FieldError("decision", f"is not possible while it is {case.state}")])

    async def erase(self, user_id: int, asked: AskedErasure) -> None:
        """Destroy a player's values. Raises NotFound, InvalidInput."""
        verdict = Verdict(Move.ERASE, ERASED._replace(staff=asked.erasure.reason))
        async with database.transaction(self.engine) as connection:
            case = await self._known(connection, user_id)
            texts: dict[str, str | None] = {"reason": asked.erasure.reason}
            domain.check_silent(texts, await kyc.fields(connection, self.keys, user_id) or {})
            if await kyc_moves.move(connection, self.pack, case, verdict, By.STAFF, asked.by(), self.clock()) is None:
                raise NotFound(f"there are no KYC values of player {user_id}")
            await kyc.erase(connection, user_id)

    async def view(self, user_id: int, clear_for: Actor | None = None) -> KycView:
        """How a player stands; for a reader of the values with them, which goes on record."""
        async with database.transaction(self.engine) as connection:
            case = await kyc.find(connection, user_id)
            if case is None:
                return _view(Case(user_id, domain.State.NONE, 0, domain.Tier(self.pack.initial_tier)), None)
            fields = await kyc.fields(connection, self.keys, user_id)
            view = _view(case, fields)
            if clear_for is None or fields is None:
                return view
            shown: dict[str, JsonValue] = {"fields": [name for name, value in fields.items() if value is not None]}
            entry = AuditEntry("KYC_READ", user_id, clear_for.name, None, None, shown, clear_for.request_id)
            await audit.record(connection, entry)
        return view.model_copy(update={"fields": fields})

    async def take(self, webhook: webhooks.KycWebhook) -> Taken:
        """Keep a provider's event, and move its submission by the last that the provider said, whatever came when."""
        async with database.transaction(self.engine) as connection:
            case = await kyc.lock_submission(connection, webhook.submission_id)
            fresh = await kyc.put_webhook(connection, webhook)
            result = await kyc.latest_result(connection, webhook.submission_id) if fresh and case else None
            if case is not None and result is not None:
                verdict, by = domain.of_provider(result), By.PROVIDER
                if case.why != verdict.why:
                    await kyc_moves.move(connection, self.pack, case, verdict, by, Actor("kyc_provider"), self.clock())
        if case is not None:
            await self.attendant.attend(case.user_id)
        return Taken(duplicate=not fresh)

    async def _known(self, connection: AsyncConnection, user_id: int) -> Case:
        # Who has shown nothing has no row; it is not made here.
        if await kyc.find(connection, user_id) is None:
            raise NotFound(f"player {user_id} has submitted nothing")
        return await kyc.lock(connection, user_id, self.pack.initial_tier)


def _view(case: Case, fields: dict[str, str | None] | None) -> KycView:
    number = (fields or {}).get("document_number")
    shown = None if number is None else KycDocumentView(number=f"…{number[-SHOWN_CHARACTERS:]}")
    why = case.why
    return KycView(
        user_id=case.user_id,
        state=case.state,
        submission_id=case.submission_id,
        submitted_at=case.submitted_at,
        changed_at=case.changed_at,
        reason=None if why is None else KycReasonView(code=why.code, public=why.public, staff=why.staff),
        document=shown,
        tier=KycTierView(name=case.tier.asked or case.tier.name, acknowledged=case.tier.asked is None),
    )


def router(settings: Settings, desk: KycDesk) -> APIRouter:
    """The endpoints of players' KYC."""
    api = APIRouter(prefix="/users/{user_id}/kyc", dependencies=[Depends(internal_only(settings))])

    @api.post("", summary="What a player shows")
    async def post_kyc(user_id: UserId, asked: AskedSubmission) -> KycView:
        await desk.submit(user_id, asked)
        await desk.attendant.attend(user_id)
        return await desk.view(user_id)

    @api.get("", summary="How far a player is known")
    async def get_kyc(user_id: UserId) -> KycView:
        return await desk.view(user_id)

    @api.post("/reading", summary="The same with the values in clear, which goes on record")
    async def post_reading(user_id: UserId, asked: _Asked) -> KycView:
        return await desk.view(user_id, asked.by())

    @api.post("/decision", summary="Staff's decision")
    async def post_decision(user_id: UserId, asked: AskedDecision) -> KycView:
        await desk.decide(user_id, asked)
        await desk.attendant.attend(user_id)
        return await desk.view(user_id)

    @api.post("/erasure", summary="Destroy the values")
    async def post_erasure(user_id: UserId, asked: AskedErasure) -> KycView:
        await desk.erase(user_id, asked)
        await desk.attendant.attend(user_id)
        return await desk.view(user_id)

    return api


def provider_router(settings: Settings, desk: KycDesk, metrics: Metrics) -> APIRouter:
    """The endpoint of providers' webhooks."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])
    secrets = settings.provider_secrets()

    @api.post("/webhooks/kyc", summary="A provider's event: kept before it is answered")
    async def post_webhook(
        request: Request,
        timestamp: Annotated[str, Header(alias=webhooks.TIMESTAMP)] = "",
        signature: Annotated[str, Header(alias=webhooks.SIGNATURE)] = "",
    ) -> Taken:
        try:
            webhook = webhooks.read(await request.body(), timestamp, signature, secrets, desk.clock())
        except LangSenseError as error:
            metrics.webhooks.labels("kyc", error.code).inc()
            raise
        taken = await desk.take(webhook)
        metrics.webhooks.labels("kyc", "duplicate" if taken.duplicate else "taken").inc()
        return taken

    return api
