"""Balances beside the journal: conserved, and the fold of it."""

from collections.abc import Mapping

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, SMALLINT
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.proof.check import MAX_FINDINGS, Check
from shared.contracts.kinds import Status
from shared.money import NO_CURRENCY

# A balance is credits minus debits, on every account; all accounts of a currency sum to zero.
_SUMS = text(
    """SELECT currency, sum(balance)::numeric AS sum, count(*) AS accounts FROM (
        SELECT currency, cash + reserved AS balance FROM accounts
        UNION ALL SELECT currency, balance FROM house_accounts
    ) b GROUP BY currency ORDER BY currency"""
)
_ENTRIES = """
    SELECT lane, user_id, currency, provider, debit::text AS account, -amount AS amount
    FROM transactions WHERE status = 'posted'
    UNION ALL
    SELECT lane, user_id, currency, provider, credit::text, amount FROM transactions WHERE status = 'posted'"""
_PLAYER_FOLD = text(
    f"""SELECT lane, user_id, currency, a.cash, a.reserved, f.cash AS folded_cash, f.reserved AS folded_reserved
    FROM accounts a FULL JOIN (
        SELECT lane, user_id, currency,
            coalesce(sum(amount) FILTER (WHERE account = 'cash'), 0) AS cash,
            coalesce(sum(amount) FILTER (WHERE account = 'reserved'), 0) AS reserved
        FROM ({_ENTRIES}) e WHERE account IN ('cash', 'reserved') GROUP BY lane, user_id, currency
    ) f USING (lane, user_id, currency)
    WHERE (coalesce(a.cash, 0), coalesce(a.reserved, 0)) IS DISTINCT FROM (coalesce(f.cash, 0), coalesce(f.reserved, 0))
    LIMIT {MAX_FINDINGS}"""  # noqa: S608
)
_HOUSE_FOLD = text(
    f"""SELECT lane, account, currency, h.balance, f.balance AS folded
    FROM house_accounts h FULL JOIN (
        SELECT lane, currency, sum(amount) AS balance,
            account || coalesce(':' || CASE WHEN account = 'clearing' THEN provider END, '') AS account
        FROM ({_ENTRIES}) e WHERE account NOT IN ('cash', 'reserved') GROUP BY 1, 2, 4
    ) f USING (lane, account, currency)
    WHERE coalesce(h.balance, 0) <> coalesce(f.balance, 0) LIMIT {MAX_FINDINGS}"""  # noqa: S608
)


# What limits count. A deposit that was reversed is no longer counted, nor is a bet or payout that was rolled back.
_COUNTED_FOLD = text(
    f"""SELECT lane, user_id, currency, a.deposits, a.bets, a.payouts,
        coalesce(f.deposits, 0) AS folded_deposits, coalesce(f.bets, 0) AS folded_bets,
        coalesce(f.payouts, 0) AS folded_payouts
    FROM accounts a LEFT JOIN (
        SELECT t.lane, t.user_id, t.currency,
            coalesce(sum(t.amount) FILTER (WHERE t.kind = 'DEPOSIT'), 0)
                - coalesce(sum(t.amount) FILTER (WHERE t.kind = 'REVERSAL' AND o.kind = 'DEPOSIT'), 0) AS deposits,
            coalesce(sum(t.amount) FILTER (WHERE t.kind = 'GAME_BET'), 0)
                - coalesce(sum(t.amount) FILTER (WHERE t.kind = 'BET_ROLLBACK'), 0) AS bets,
            coalesce(sum(t.amount) FILTER (WHERE t.kind = 'GAME_PAYOUT'), 0)
                - coalesce(sum(t.amount) FILTER (WHERE t.kind = 'PAYOUT_ROLLBACK'), 0) AS payouts
        FROM transactions t LEFT JOIN transactions o ON t.kind = 'REVERSAL' AND o.lane = t.lane
            AND o.id = CASE WHEN t.kind = 'REVERSAL' THEN t.reference_id::uuid END
        WHERE t.status = 'posted' GROUP BY 1, 2, 3
    ) f USING (lane, user_id, currency)
    WHERE (a.deposits, a.bets, a.payouts)
        IS DISTINCT FROM (coalesce(f.deposits, 0), coalesce(f.bets, 0), coalesce(f.payouts, 0))
    LIMIT {MAX_FINDINGS}"""  # noqa: S608
)
# What is reserved is held: for withdrawals, or as payouts that wait for their release.
_RESERVED = text(
    f"""SELECT lane, user_id, currency, a.reserved, coalesce(h.held, 0) AS held
    FROM accounts a FULL JOIN (
        SELECT lane, user_id, currency, sum(held) AS held FROM (
            SELECT lane, user_id, currency, remaining AS held FROM holds
            UNION ALL SELECT lane, user_id, currency, held FROM held_payouts
        ) each GROUP BY lane, user_id, currency
    ) h USING (lane, user_id, currency)
    WHERE coalesce(a.reserved, 0) <> coalesce(h.held, 0) LIMIT {MAX_FINDINGS}"""  # noqa: S608
)


async def conserved(connection: AsyncConnection) -> Check:
    """Money is conserved: all accounts of a currency sum to zero."""
    check = Check("money conserved")
    rows = (await connection.execute(_SUMS)).all()
    check.looked_at = f"{sum(row.accounts for row in rows)} accounts in {len(rows)} currencies"
    check.findings = [f"all {row.currency} accounts sum to {row.sum}, not to 0" for row in rows if row.sum != 0]
    return check


async def folded(connection: AsyncConnection) -> Check:
    """Every balance equals the fold of its journal."""
    check = Check("balances equal the fold of the journal")
    count = await connection.scalar(
        text("SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM house_accounts)")
    )
    check.looked_at = f"{count} accounts"
    for row in await connection.execute(_PLAYER_FOLD):
        check.findings.append(
            f"lane {row.lane}, player {row.user_id}, {row.currency}: cash {row.cash}, reserved {row.reserved}; "
            f"the journal gives {row.folded_cash} and {row.folded_reserved}"
        )
    for row in await connection.execute(_HOUSE_FOLD):
        check.findings.append(
            f"lane {row.lane}, {row.account}, {row.currency}: {row.balance}; the journal gives {row.folded}"
        )
    return check


async def derived(connection: AsyncConnection) -> Check:
    """What limits count equals the fold of the journal, and what is reserved equals what is held."""
    check = Check("limits and holds follow from the journal")
    count = await connection.scalar(text("SELECT count(*) FROM accounts"))
    check.looked_at = f"{count} accounts"
    for row in await connection.execute(_COUNTED_FOLD):
        check.findings.append(
            f"lane {row.lane}, player {row.user_id}, {row.currency}: deposits {row.deposits}, bets {row.bets}, payouts "
            f"{row.payouts}; the journal gives {row.folded_deposits}, {row.folded_bets} and {row.folded_payouts}"
        )
    for row in await connection.execute(_RESERVED):
        check.findings.append(
            f"lane {row.lane}, player {row.user_id}, {row.currency}: reserved {row.reserved}; {row.held} are held"
        )
    return check


async def totals(connection: AsyncConnection, positions: Mapping[int, int]) -> dict[tuple[str, str, str], int]:
    """Of the rows up to the given positions: per currency and kind, how many were posted and refused, and what moved.

    The last part of the key is `posted`, `refused` or `amount_minor`.
    """
    rows = await connection.execute(
        text(
            f"""SELECT t.currency, t.kind::text, t.status::text, count(*) AS rows, sum(t.amount)::bigint AS amount
            FROM transactions t JOIN unnest(:lanes, :positions) AS p(lane, position) ON t.lane = p.lane
            WHERE t.position <= p.position AND t.currency <> '{NO_CURRENCY}' GROUP BY 1, 2, 3"""  # noqa: S608
        ).bindparams(bindparam("lanes", type_=ARRAY(SMALLINT)), bindparam("positions", type_=ARRAY(BIGINT))),
        {"lanes": list(positions), "positions": list(positions.values())},
    )
    found: dict[tuple[str, str, str], int] = {}
    for row in rows:
        found[row.currency, row.kind, row.status] = row.rows
        if row.status == Status.POSTED:
            found[row.currency, row.kind, "amount_minor"] = row.amount
    return found


async def heads(connection: AsyncConnection) -> dict[int, int]:
    """The last position of each lane."""
    return {row.lane: row.position for row in await connection.execute(text("SELECT lane, position FROM lanes"))}
