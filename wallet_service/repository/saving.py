"""After a batch: write what it decided."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.signing import ChainedRow
from wallet_service.domain.limits import Totals
from wallet_service.domain.needs import AccountKey, Changes
from wallet_service.repository.sql import (
    BIGINTS,
    BYTES,
    MOMENTS,
    SMALLINTS,
    TEXTS,
    UUIDS,
    held_arrays,
    movement_arrays,
    sql,
)

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
    """INSERT INTO accounts (lane, user_id, currency, cash, reserved, deposits, bets, payouts, deposited_at, opened_at)
    SELECT * FROM unnest(:lanes, :users, :currencies, :cash, :reserved, :deposits, :bets, :payouts, :deposited_at,
        :opened_at)
    ON CONFLICT (lane, user_id, currency) DO UPDATE SET cash = excluded.cash, reserved = excluded.reserved,
        deposits = excluded.deposits, bets = excluded.bets, payouts = excluded.payouts,
        deposited_at = excluded.deposited_at, opened_at = excluded.opened_at""",
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    cash=BIGINTS,
    reserved=BIGINTS,
    deposits=BIGINTS,
    bets=BIGINTS,
    payouts=BIGINTS,
    deposited_at=MOMENTS,
    opened_at=MOMENTS,
)
_OPEN_PERIODS = sql(
    """INSERT INTO account_openings (lane, user_id, currency, opened_at, deposits, bets, payouts)
    SELECT * FROM unnest(:lanes, :users, :currencies, :opened_at, :deposits, :bets, :payouts)""",
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    opened_at=MOMENTS,
    deposits=BIGINTS,
    bets=BIGINTS,
    payouts=BIGINTS,
)
# Several of one batch may be about one opening, which an UPDATE from a join would change once.
_COUNT_BACK = sql(
    """UPDATE account_openings o SET deposits = o.deposits - b.deposits, bets = o.bets - b.bets,
        payouts = o.payouts - b.payouts
    FROM (
        SELECT o.lane, o.user_id, o.currency, o.opened_at, sum(b.deposits)::bigint AS deposits,
            sum(b.bets)::bigint AS bets, sum(b.payouts)::bigint AS payouts
        FROM unnest(:lanes, :users, :currencies, :posted_at, :deposits, :bets, :payouts)
            AS b(lane, user_id, currency, posted_at, deposits, bets, payouts)
        JOIN account_openings o ON o.lane = b.lane AND o.user_id = b.user_id AND o.currency = b.currency
            AND o.opened_at > b.posted_at
        GROUP BY 1, 2, 3, 4
    ) b WHERE o.lane = b.lane AND o.user_id = b.user_id AND o.currency = b.currency AND o.opened_at = b.opened_at""",
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    posted_at=MOMENTS,
    deposits=BIGINTS,
    bets=BIGINTS,
    payouts=BIGINTS,
)
_SAVE_LIMITS = sql(
    """INSERT INTO player_limits (lane, user_id, name, currency, override, own, pending, pending_from)
    SELECT * FROM unnest(:lanes, :users, :names, :currencies, :override, :own, :pending, :pending_from)
    ON CONFLICT (lane, user_id, name, currency) DO UPDATE SET override = excluded.override, own = excluded.own,
        pending = excluded.pending, pending_from = excluded.pending_from""",
    lanes=SMALLINTS,
    users=BIGINTS,
    names=TEXTS,
    currencies=TEXTS,
    override=BIGINTS,
    own=BIGINTS,
    pending=BIGINTS,
    pending_from=MOMENTS,
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
_SAVE_RESTRICTIONS = sql(
    """INSERT INTO player_restrictions
        (lane, user_id, exclusion, excluded_until, tier, blocked_since, blocked_until, block_reason)
    SELECT * FROM unnest(:lanes, :users, :exclusions, :until, :tiers, :blocked_since, :blocked_until, :block_reasons)
    ON CONFLICT (lane, user_id) DO UPDATE SET exclusion = excluded.exclusion,
        excluded_until = excluded.excluded_until, tier = excluded.tier, blocked_since = excluded.blocked_since,
        blocked_until = excluded.blocked_until, block_reason = excluded.block_reason""",
    lanes=SMALLINTS,
    users=BIGINTS,
    exclusions=TEXTS,
    until=MOMENTS,
    tiers=TEXTS,
    blocked_since=MOMENTS,
    blocked_until=MOMENTS,
    block_reasons=TEXTS,
)
_SAVE_HOLDS = sql(
    """INSERT INTO holds (lane, user_id, reference_id, currency, remaining, hold_until)
    SELECT * FROM unnest(:lanes, :users, :references, :currencies, :remaining, :until)
    ON CONFLICT (lane, user_id, reference_id) DO UPDATE SET remaining = excluded.remaining""",
    lanes=SMALLINTS,
    users=BIGINTS,
    references=TEXTS,
    currencies=TEXTS,
    remaining=BIGINTS,
    until=MOMENTS,
)
# Less is added too, and an INSERT would be checked for that before it found the row.
_ADD_TO_HELD = sql(
    """MERGE INTO held_payouts h USING unnest(:lanes, :users, :currencies, :references, :rounds, :held)
        AS d(lane, user_id, currency, reference_id, round_id, held)
    ON h.lane = d.lane AND h.user_id = d.user_id AND h.currency = d.currency
        AND h.reference_id = d.reference_id AND h.round_id = d.round_id
    WHEN MATCHED THEN UPDATE SET held = h.held + d.held
    WHEN NOT MATCHED THEN INSERT (lane, user_id, currency, reference_id, round_id, held)
        VALUES (d.lane, d.user_id, d.currency, d.reference_id, d.round_id, d.held)""",
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    references=TEXTS,
    rounds=TEXTS,
    held=BIGINTS,
)
_SAVE_DISPUTES = sql(
    """INSERT INTO disputes (lane, id, state, position)
    SELECT DISTINCT ON (lane, id) lane, id, state::dispute_state, position
    FROM unnest(:lanes, :ids, :states, :positions) AS d(lane, id, state, position) ORDER BY lane, id, position DESC
    ON CONFLICT (lane, id) DO UPDATE SET state = excluded.state, position = excluded.position""",
    lanes=SMALLINTS,
    ids=UUIDS,
    states=TEXTS,
    positions=BIGINTS,
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
    await _save_accounts(connection, changes)
    await _save_limits(connection, changes)
    await _save_restrictions(connection, changes)
    await _save_what_is_open(connection, changes)
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


async def _save_accounts(connection: AsyncConnection, changes: Changes) -> None:
    if changes.accounts:
        accounts = changes.accounts.values()
        await connection.execute(
            _SAVE_ACCOUNTS,
            {
                **_account_arrays(changes.accounts),
                "cash": [account.cash_minor for account in accounts],
                "reserved": [account.reserved_minor for account in accounts],
                **_totals_arrays([account.totals for account in accounts]),
                "deposited_at": [account.deposited_at for account in accounts],
                "opened_at": [account.opened_at for account in accounts],
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


async def _save_limits(connection: AsyncConnection, changes: Changes) -> None:
    """What limits count, and what is set for a player. The batch's own openings have what it counted back already."""
    if changes.backdated:
        await connection.execute(
            _COUNT_BACK,
            {
                **_account_arrays([backdated.account for backdated in changes.backdated]),
                "posted_at": [backdated.posted_at for backdated in changes.backdated],
                **_totals_arrays([backdated.totals for backdated in changes.backdated]),
            },
        )
    if changes.openings:
        openings = changes.openings.values()
        await connection.execute(
            _OPEN_PERIODS,
            {
                **_account_arrays(changes.openings),
                "opened_at": [opening.opened_at for opening in openings],
                **_totals_arrays([opening.totals for opening in openings]),
            },
        )
    if changes.limits:
        limits = changes.limits.values()
        await connection.execute(
            _SAVE_LIMITS,
            {
                "lanes": [key.lane for key in changes.limits],
                "users": [key.user_id for key in changes.limits],
                "names": [key.name for key in changes.limits],
                "currencies": [key.currency for key in changes.limits],
                "override": [limit.override for limit in limits],
                "own": [limit.own for limit in limits],
                "pending": [limit.pending for limit in limits],
                "pending_from": [limit.pending_from for limit in limits],
            },
        )


async def _save_restrictions(connection: AsyncConnection, changes: Changes) -> None:
    if changes.restrictions:
        restrictions = changes.restrictions.values()
        blocks = [each.block for each in restrictions]
        await connection.execute(
            _SAVE_RESTRICTIONS,
            {
                "lanes": [lane for lane, _ in changes.restrictions],
                "users": [user_id for _, user_id in changes.restrictions],
                "exclusions": [each.exclusion for each in restrictions],
                "until": [each.excluded_until for each in restrictions],
                "tiers": [each.tier for each in restrictions],
                "blocked_since": [block and block.since for block in blocks],
                "blocked_until": [block and block.until for block in blocks],
                "block_reasons": [block and block.reason for block in blocks],
            },
        )


async def _save_what_is_open(connection: AsyncConnection, changes: Changes) -> None:
    """Holds, held payouts, rollbacks and disputes."""
    if changes.holds:
        await connection.execute(
            _SAVE_HOLDS,
            {
                "lanes": [key.lane for key in changes.holds],
                "users": [key.user_id for key in changes.holds],
                "references": [key.reference_id for key in changes.holds],
                "currencies": [hold.currency for hold in changes.holds.values()],
                "remaining": [hold.remaining_minor for hold in changes.holds.values()],
                "until": [hold.until for hold in changes.holds.values()],
            },
        )
    if changes.held_minor:
        held = {**held_arrays(changes.held_minor), "held": list(changes.held_minor.values())}
        await connection.execute(_ADD_TO_HELD, held)
    if changes.cancellations:
        returned = [movement.returned_minor for movement in changes.cancellations.values()]
        keys = list(changes.cancellations)
        await connection.execute(_SAVE_CANCELLATIONS, {**movement_arrays(keys), "returned": returned})
    if changes.disputes:
        await connection.execute(
            _SAVE_DISPUTES,
            {
                "lanes": [change.row.content.lane for change in changes.disputes],
                "ids": [change.disputed for change in changes.disputes],
                "states": [change.state.value for change in changes.disputes],
                "positions": [change.row.content.position for change in changes.disputes],
            },
        )


def _account_arrays(keys: Iterable[AccountKey]) -> dict[str, list[Any]]:
    lanes, users, currencies = zip(*keys, strict=True)
    return {"lanes": list(lanes), "users": list(users), "currencies": list(currencies)}


def _totals_arrays(totals: Iterable[Totals]) -> dict[str, list[Any]]:
    deposits, bets, payouts = zip(*totals, strict=True)
    return {"deposits": list(deposits), "bets": list(bets), "payouts": list(payouts)}
