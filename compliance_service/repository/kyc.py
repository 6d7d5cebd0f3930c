"""What is kept of players' KYC. Values go in and come out through their player's data key; states are in clear."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, bindparam, delete, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, BYTEA, TEXT, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain import encryption
from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.encryption import Index, KycKeys, Place, WrappedKey
from compliance_service.domain.kyc import HOLDING, MAY_EXPIRE, By, Case, State, Tier, Why
from compliance_service.domain.webhooks import KycWebhook
from compliance_service.repository import audit
from compliance_service.tables import CELLS, SCHEMA, kyc, kyc_data_keys, kyc_webhooks
from shared import logs, outbox
from shared.contracts.kyc import KycResult
from shared.errors import IntegrityViolation
from shared.outbox import OutboxEvent

log = logs.get(__name__)

_c = kyc.c
_CASE = (
    *(_c.user_id, _c.state, _c.version, _c.submission_id, _c.settled_by, _c.submitted_at, _c.changed_at),
    *(_c.reason_code, _c.public_reason, _c.staff_reason),
    *(_c.tier, _c.tier_asked, _c.tier_command_id, _c.tier_asked_at),
)
# Two submissions of one document at the same moment would not see each other.
_LOCK_DOCUMENT = text("SELECT pg_advisory_xact_lock(:number)")
_REWRAP = text(
    "UPDATE kyc_data_keys k SET kek_id = n.kek_id, wrapped = n.wrapped "
    "FROM unnest(:users, :keks, :wraps) AS n (user_id, kek_id, wrapped) WHERE k.user_id = n.user_id"
).bindparams(
    bindparam("users", type_=ARRAY(BIGINT)),
    bindparam("keks", type_=ARRAY(TEXT)),
    bindparam("wraps", type_=ARRAY(BYTEA)),
)


def _case(row: Row[*tuple[Any, ...]]) -> Case:
    why = None if row.reason_code is None else Why(row.reason_code, row.public_reason, row.staff_reason)
    return Case(
        user_id=row.user_id,
        state=State(row.state),
        version=row.version,
        tier=Tier(row.tier, row.tier_asked, row.tier_command_id, row.tier_asked_at),
        submission_id=row.submission_id,
        settled_by=None if row.settled_by is None else By(row.settled_by),
        why=why,
        submitted_at=row.submitted_at,
        changed_at=row.changed_at,
    )


async def find(connection: AsyncConnection, user_id: int) -> Case | None:
    """A player's case, as it stands."""
    row = (await connection.execute(select(*_CASE).where(_c.user_id == user_id))).first()
    return None if row is None else _case(row)


async def lock(connection: AsyncConnection, user_id: int, tier: str) -> Case:
    """A player's case, locked until the transaction ends; a new one, of this tier, where there is none."""
    new = insert(kyc).values(user_id=user_id, version=0, state=State.NONE, tier=tier)
    await connection.execute(new.on_conflict_do_nothing())
    row = (await connection.execute(select(*_CASE).where(_c.user_id == user_id).with_for_update())).one()
    return _case(row)


async def lock_submission(connection: AsyncConnection, submission_id: UUID) -> Case | None:
    """The case whose latest submission this is, locked; None where it is nobody's."""
    query = select(*_CASE).where(_c.submission_id == submission_id).with_for_update()
    row = (await connection.execute(query)).first()
    return None if row is None else _case(row)


async def save(
    connection: AsyncConnection,
    case: Case,
    *,
    entry: AuditEntry | None = None,
    event: OutboxEvent | None = None,
) -> None:
    """Write a case with what tells of it. Its tier's command is due at once; its provider is not asked any more."""
    values: dict[str, Any] = _state_values(case)
    if case.state is not State.SUBMITTED:
        values["ask_provider_after"] = None
    await connection.execute(update(kyc).where(_c.user_id == case.user_id).values(values))
    if event is not None:
        await outbox.put(connection, event)
    if entry is not None:
        await audit.record(connection, entry)


def _state_values(case: Case) -> dict[str, Any]:
    code, public, staff = case.why or (None, None, None)
    tier = case.tier
    return {
        **{"state": case.state, "version": case.version, "submission_id": case.submission_id},
        **{"settled_by": case.settled_by, "submitted_at": case.submitted_at, "changed_at": case.changed_at},
        **{"reason_code": code, "public_reason": public, "staff_reason": staff},
        **{"tier": tier.name, "tier_asked": tier.asked, "tier_command_id": tier.command_id},
        **{"tier_asked_at": tier.asked_at, "ask_wallet_after": tier.asked_at},
    }


async def held_by_another(connection: AsyncConnection, user_id: int, indexes: Sequence[Index]) -> bool:
    """Whether another player holds the document. Until the transaction ends, nobody else asks of the same one."""
    # Of the oldest key, which every instance has while keys change.
    number = int.from_bytes(indexes[-1].digest[:8], signed=True)
    await connection.execute(_LOCK_DOCUMENT, {"number": number})
    query = (
        select(_c.user_id)
        .where(tuple_(_c.index_key_id, _c.document_index).in_([tuple(index) for index in indexes]))
        .where(_c.user_id != user_id, _c.state.in_(HOLDING))
        .limit(1)
    )
    return (await connection.execute(query)).first() is not None


async def put_fields(
    connection: AsyncConnection,
    keys: KycKeys,
    case: Case,
    fields: Mapping[str, str | None],
    index: Index,
) -> None:
    """Encrypt and keep the values of a case's submission. The provider is to be asked from now on."""
    data_key = await _data_key(connection, keys, case.user_id)
    if data_key is None:
        data_key = encryption.new_data_key()
        wrapped = keys.wrap(case.user_id, data_key)
        await connection.execute(insert(kyc_data_keys).values(user_id=case.user_id, **wrapped._asdict()))
    cells = {
        name: None if value is None else encryption.seal(data_key, _place(name, case.user_id, case.version), value)
        for name, value in fields.items()
    }
    expires_on = date.fromisoformat(fields["document_expires_on"] or "")
    await connection.execute(
        update(kyc)
        .where(_c.user_id == case.user_id)
        .values(
            **cells,
            index_key_id=index.key_id,
            document_index=index.digest,
            expiry_month=expires_on.replace(day=1),
            expiry_checked_on=None,
            ask_provider_after=case.submitted_at,
        )
    )


async def fields(connection: AsyncConnection, keys: KycKeys, user_id: int) -> dict[str, str | None] | None:
    """A player's values in clear, by their columns; None where there are none.

    Raises IntegrityViolation where one of them was moved or changed.
    """
    k = kyc_data_keys.c
    # In one statement: a submission that is committed meanwhile changes all of it.
    query = select(k.kek_id, k.wrapped, _c.version, *(_c[name] for name in CELLS)).join(kyc, _c.user_id == k.user_id)
    row = (await connection.execute(query.where(k.user_id == user_id))).first()
    if row is None:
        return None
    kek_id, wrapped, version, *cells = row
    data_key = keys.unwrap(user_id, WrappedKey(kek_id, wrapped))
    return {
        name: None if cell is None else encryption.unseal(data_key, _place(name, user_id, version), cell)
        for name, cell in zip(CELLS, cells, strict=True)
    }


async def erase(connection: AsyncConnection, user_id: int) -> None:
    """Destroy a player's data key, the values under it and what was made of them."""
    await connection.execute(delete(kyc_data_keys).where(kyc_data_keys.c.user_id == user_id))
    gone = dict.fromkeys((*CELLS, "index_key_id", "document_index", "expiry_month", "expiry_checked_on"))
    await connection.execute(update(kyc).where(_c.user_id == user_id).values(gone))


async def put_webhook(connection: AsyncConnection, webhook: KycWebhook) -> bool:
    """Keep an event of a provider. False where it was there already."""
    new = insert(kyc_webhooks).values(webhook.model_dump()).on_conflict_do_nothing().returning(kyc_webhooks.c.event_id)
    return (await connection.execute(new)).first() is not None


async def latest_result(connection: AsyncConnection, submission_id: UUID) -> KycResult | None:
    """What the provider said last of a submission, by its own clock."""
    w = kyc_webhooks.c
    query = select(w.result).where(w.submission_id == submission_id)
    latest = query.order_by(w.occurred_at.desc(), w.event_id.desc()).limit(1)
    found = (await connection.execute(latest)).scalar_one_or_none()
    return None if found is None else KycResult(found)


async def take_due(
    connection: AsyncConnection, column: str, now: datetime, again_after: timedelta, limit: int
) -> list[int]:
    """At most so many players who are due by `ask_wallet_after` or `ask_provider_after`.

    Each is due again after a while, unless what is asked comes about: whoever takes one has that long.
    """
    due = select(_c.user_id).where(_c[column] <= now).order_by(_c[column]).limit(limit)
    taken = update(kyc).where(_c.user_id.in_(due.with_for_update(skip_locked=True))).values({column: now + again_after})
    return list((await connection.execute(taken.returning(_c.user_id))).scalars())


async def provider_took(connection: AsyncConnection, submission_id: UUID) -> None:
    """The provider has a submission, and will say what it found."""
    await connection.execute(update(kyc).where(_c.submission_id == submission_id).values(ask_provider_after=None))


async def perhaps_expired(connection: AsyncConnection, today: date, limit: int) -> Sequence[Case]:
    """At most so many cases whose document's last month has begun and that nobody has looked at today; locked.

    They count as looked at when the transaction commits.
    """
    query: Select[Any] = (
        select(*_CASE)
        .where(_c.state.in_(MAY_EXPIRE), _c.expiry_month <= today)
        .where(or_(_c.expiry_checked_on.is_(None), _c.expiry_checked_on < today))
        .order_by(_c.expiry_month, _c.user_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    cases = [_case(row) for row in await connection.execute(query)]
    looked_at = update(kyc).where(_c.user_id.in_([case.user_id for case in cases]))
    await connection.execute(looked_at.values(expiry_checked_on=today))
    return cases


async def rewrap(connection: AsyncConnection, keys: KycKeys, limit: int) -> int:
    """Wrap at most so many data keys under the newest key that are under an older one; returns how many."""
    k = kyc_data_keys.c
    query = select(k.user_id, k.kek_id, k.wrapped).where(k.kek_id.in_(keys.older)).order_by(k.user_id).limit(limit)
    rows = (await connection.execute(query.with_for_update(skip_locked=True))).all()
    fresh = []
    for row in rows:
        try:
            data_key = keys.unwrap(row.user_id, WrappedKey(row.kek_id, row.wrapped))
        except IntegrityViolation:
            # The others must not wait for it.
            log.error("data_key_does_not_unwrap", user_id=row.user_id)
        else:
            fresh.append((row.user_id, keys.wrap(row.user_id, data_key)))
    if fresh:
        await connection.execute(
            _REWRAP,
            {
                "users": [user_id for user_id, _ in fresh],
                "keks": [key.kek_id for _, key in fresh],
                "wraps": [key.wrapped for _, key in fresh],
            },
        )
    return len(fresh)


async def _data_key(connection: AsyncConnection, keys: KycKeys, user_id: int) -> bytes | None:
    k = kyc_data_keys.c
    row = (await connection.execute(select(k.kek_id, k.wrapped).where(k.user_id == user_id))).first()
    return None if row is None else keys.unwrap(user_id, WrappedKey(*row))


def _place(column: str, user_id: int, version: int) -> Place:
    return Place(f"{SCHEMA}.{kyc.name}", column, user_id, version)
