"""The proof: what must hold of a ledger, checked against the database in one snapshot.

It needs the chain's keys and the right to read; it changes nothing and trusts no service.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, SMALLINT
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import database
from shared.contracts.kinds import Status
from shared.signing import GENESIS, ChainedRow, ChainKeys

ROWS_PER_FETCH = 5000
# A fold of a long journal takes its time.
STATEMENT_TIMEOUT_S = 3600
# A broken ledger may have millions of findings; a person reads the first few.
MAX_FINDINGS = 20

_ROWS = text(
    """SELECT lane, position, id, kind::text, status::text, reason, user_id, amount, currency,
        debit::text, credit::text, provider, reference_id, round_id, stated_reason, actor,
        cash_after, reserved_after, facts::text, occurred_at, created_at, key_id, checksum
    FROM transactions WHERE lane = :lane ORDER BY position"""
)
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


@dataclass
class Check:
    """One thing that must hold: what was looked at, and what is wrong. Nothing wrong means that it holds."""

    name: str
    looked_at: str = ""
    findings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@asynccontextmanager
async def snapshot(wallet_dsn: str) -> AsyncIterator[AsyncConnection]:
    """One read-only snapshot of the wallet's tables: everything that is checked is of the same moment."""
    engine = database.create_engine(
        wallet_dsn, application="langsense-proof", schema="wallet", pool_size=1, statement_timeout_s=STATEMENT_TIMEOUT_S
    )
    try:
        async with database.reading(engine) as connection:
            yield connection
    finally:
        await engine.dispose()


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


async def chained(connection: AsyncConnection, keys: ChainKeys) -> Check:
    """Every row follows from the one before it, and every lane ends where it says."""
    check = Check("chain verified")
    lanes = (await connection.execute(text("SELECT lane, position, head FROM lanes ORDER BY lane"))).all()
    known = {lane.lane for lane in lanes}
    stray = (await connection.execute(text("SELECT DISTINCT lane FROM transactions"))).scalars().all()
    check.findings += [f"lane {lane}: has rows and no entry among the lanes" for lane in stray if lane not in known]
    verified = 0
    for lane in lanes:
        position, head, findings = await _verify_lane(connection, keys, lane.lane)
        check.findings += findings
        verified += position
        if not findings and (position, head) != (lane.position, lane.head):
            check.findings.append(
                f"lane {lane.lane}: ends at {position}, the lane says {lane.position}: its tail is cut or added to"
            )
    check.findings = check.findings[:MAX_FINDINGS]
    check.looked_at = f"{verified} rows in {len(lanes)} lanes"
    return check


async def _verify_lane(connection: AsyncConnection, keys: ChainKeys, lane: int) -> tuple[int, bytes, list[str]]:
    """The last position and its checksum, and the first thing that is wrong: all after it would be wrong too."""
    head, position = GENESIS, 0
    async with connection.stream(_ROWS, {"lane": lane}, execution_options={"yield_per": ROWS_PER_FETCH}) as rows:
        async for values in rows:
            row, checksum = ChainedRow._make(values[:-1]), values[-1]
            wrong = _wrong(row, checksum, head, position, keys)
            if wrong is not None:
                return position, head, [f"lane {lane}, position {row.position}: {wrong}"]
            head, position = checksum, row.position
    return position, head, []


def _wrong(row: ChainedRow, checksum: bytes, head: bytes, position: int, keys: ChainKeys) -> str | None:
    if row.position != position + 1:
        return f"follows position {position}: rows are missing or out of order"
    if not keys.knows(row.key_id):
        return f"is signed with key {row.key_id!r}, which is not known here"
    if keys.checksum(head, row) != checksum:
        return "verification error: checksum mismatch"
    return None


async def totals(connection: AsyncConnection, positions: Mapping[int, int]) -> dict[tuple[str, str, str], int]:
    """Of the rows up to the given positions: per currency and kind, how many were posted and refused, and what moved.

    The last part of the key is `posted`, `refused` or `amount_minor`.
    """
    rows = await connection.execute(
        text(
            """SELECT t.currency, t.kind::text, t.status::text, count(*) AS rows, sum(t.amount)::bigint AS amount
            FROM transactions t JOIN unnest(:lanes, :positions) AS p(lane, position) ON t.lane = p.lane
            WHERE t.position <= p.position GROUP BY 1, 2, 3"""
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
