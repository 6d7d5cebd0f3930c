"""After a batch: write what it decided."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.signing import ChainedRow
from wallet_service.domain.batch import Changes
from wallet_service.repository.sql import BIGINTS, BYTES, MOMENTS, SMALLINTS, TEXTS, UUIDS, movement_arrays, sql

_INSERT_ROWS = sql(
    """INSERT INTO transactions (lane, position, id, kind, status, reason, user_id, amount, currency, debit, credit,
        provider, reference_id, round_id, stated_reason, actor, cash_after, reserved_after, facts,
        occurred_at, created_at, key_id, checksum)
    SELECT lane, position, id, kind::transaction_kind, status::transaction_status, reason, user_id, amount, currency,
        debit::account_class, credit::account_class, provider, reference_id, round_id, stated_reason, actor,
        cash_after, reserved_after, facts::json, occurred_at, created_at, key_id, checksum
    FROM unnest(:lane, :position, :command_id, :kind, :status, :reason, :user_id, :amount_minor, :currency,
        :debit, :credit, :provider, :reference_id, :round_id, :stated_reason, :actor, :cash_minor, :reserved_minor,
        :facts, :occurred_at, :created_at, :key_id, :checksum)
    AS r(lane, position, id, kind, status, reason, user_id, amount, currency, debit, credit, provider, reference_id,
        round_id, stated_reason, actor, cash_after, reserved_after, facts, occurred_at, created_at, key_id,
        checksum)""",
    lane=SMALLINTS,
    position=BIGINTS,
    command_id=UUIDS,
    kind=TEXTS,
    status=TEXTS,
    reason=TEXTS,
    user_id=BIGINTS,
    amount_minor=BIGINTS,
    currency=TEXTS,
    debit=TEXTS,
    credit=TEXTS,
    provider=TEXTS,
    reference_id=TEXTS,
    round_id=TEXTS,
    stated_reason=TEXTS,
    actor=TEXTS,
    cash_minor=BIGINTS,
    reserved_minor=BIGINTS,
    facts=TEXTS,
    occurred_at=MOMENTS,
    created_at=MOMENTS,
    key_id=TEXTS,
    checksum=BYTES,
)
_SAVE_ACCOUNTS = sql(
    """INSERT INTO accounts (lane, user_id, currency, cash, reserved)
    SELECT * FROM unnest(:lanes, :users, :currencies, :cash, :reserved)
    ON CONFLICT (lane, user_id, currency) DO UPDATE SET cash = excluded.cash, reserved = excluded.reserved""",
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    cash=BIGINTS,
    reserved=BIGINTS,
)
_ADD_TO_HOUSE = sql(
    """INSERT INTO house_accounts AS h (lane, account, currency, balance)
    SELECT * FROM unnest(:lanes, :accounts, :currencies, :amounts)
    ON CONFLICT (lane, account, currency) DO UPDATE SET balance = h.balance + excluded.balance""",
    lanes=SMALLINTS,
    accounts=TEXTS,
    currencies=TEXTS,
    amounts=BIGINTS,
)
_SAVE_HOLDS = sql(
    """INSERT INTO holds (lane, user_id, reference_id, currency, remaining)
    SELECT * FROM unnest(:lanes, :users, :references, :currencies, :remaining)
    ON CONFLICT (lane, user_id, reference_id) DO UPDATE SET remaining = excluded.remaining""",
    lanes=SMALLINTS,
    users=BIGINTS,
    references=TEXTS,
    currencies=TEXTS,
    remaining=BIGINTS,
)
_SAVE_CANCELLATIONS = sql(
    """INSERT INTO cancellations (lane, user_id, kind, reference_id, round_id, returned)
    SELECT lane, user_id, kind::transaction_kind, reference_id, round_id, returned
    FROM unnest(:lanes, :users, :kinds, :references, :rounds, :returned)
        AS c(lane, user_id, kind, reference_id, round_id, returned)
    ON CONFLICT (lane, user_id, kind, reference_id, round_id) DO UPDATE SET returned = excluded.returned""",
    lanes=SMALLINTS,
    users=BIGINTS,
    kinds=TEXTS,
    references=TEXTS,
    rounds=TEXTS,
    returned=BIGINTS,
)
_MOVE_LANES = sql(
    """UPDATE lanes l SET position = m.position, head = m.head, decided_at = :now,
        next_offset = m.next_offset, published = greatest(l.published, m.published)
    FROM unnest(:lanes, :positions, :heads, :next_offsets, :published)
        AS m(lane, position, head, next_offset, published)
    WHERE l.lane = m.lane""",
    lanes=SMALLINTS,
    positions=BIGINTS,
    heads=BYTES,
    next_offsets=BIGINTS,
    published=BIGINTS,
    now=TIMESTAMP(timezone=True),
)
# A lane that a batch has in hand is left alone, for that batch moves its mark itself. Waiting for it could deadlock.


class Offsets(NamedTuple):
    """Per lane: the offset after the batch's last record, and the position up to which events are acknowledged."""

    next_offset: Mapping[int, int]
    published: Mapping[int, int]


async def save(connection: AsyncConnection, changes: Changes, offsets: Offsets, now: datetime) -> None:
    """Write what a batch decided. Nothing is written for a batch of repetitions alone."""
    if not changes.rows:
        return
    columns = dict(
        zip(ChainedRow._fields, map(list, zip(*(row.content for row in changes.rows), strict=True)), strict=True)
    )
    await connection.execute(_INSERT_ROWS, {**columns, "checksum": [row.checksum for row in changes.rows]})
    if changes.accounts:
        await connection.execute(
            _SAVE_ACCOUNTS,
            {
                "lanes": [key.lane for key in changes.accounts],
                "users": [key.user_id for key in changes.accounts],
                "currencies": [key.currency for key in changes.accounts],
                "cash": [account.cash_minor for account in changes.accounts.values()],
                "reserved": [account.reserved_minor for account in changes.accounts.values()],
            },
        )
    if changes.house_minor:
        await connection.execute(
            _ADD_TO_HOUSE,
            {
                "lanes": [key.lane for key in changes.house_minor],
                "accounts": [key.account for key in changes.house_minor],
                "currencies": [key.currency for key in changes.house_minor],
                "amounts": list(changes.house_minor.values()),
            },
        )
    if changes.holds:
        await connection.execute(
            _SAVE_HOLDS,
            {
                "lanes": [key.lane for key in changes.holds],
                "users": [key.user_id for key in changes.holds],
                "references": [key.reference_id for key in changes.holds],
                "currencies": [hold.currency for hold in changes.holds.values()],
                "remaining": [hold.remaining_minor for hold in changes.holds.values()],
            },
        )
    if changes.cancellations:
        returned = [movement.returned_minor for movement in changes.cancellations.values()]
        keys = list(changes.cancellations)
        await connection.execute(_SAVE_CANCELLATIONS, {**movement_arrays(keys), "returned": returned})
    await connection.execute(
        _MOVE_LANES,
        {
            "lanes": list(changes.lanes),
            "positions": [lane.position for lane in changes.lanes.values()],
            "heads": [lane.head for lane in changes.lanes.values()],
            "next_offsets": [offsets.next_offset[lane] for lane in changes.lanes],
            "published": [offsets.published.get(lane, 0) for lane in changes.lanes],
            "now": now,
        },
    )
