"""The checks of a reconciliation, set-based over the journal: no query per player, one snapshot for all."""

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.integrity import Discrepancy, Period
from wallet_service.domain.reconciling import Outcome
from wallet_service.repository.sql import MOVED_CASH, MOVED_RESERVED, sql

# A broken ledger may have millions; all are counted.
MAX_KEPT = 1000

# Rows of a lane are dated in the order of their positions, so its part of a period is found by halving. Each round
# looks, on every lane, at the first row at or above the middle; where rows are missing at a lane's end, the moment of
# its last decision stands for them. Sixty-four halvings are enough for any position.
_BOUNDS = sql(
    """WITH RECURSIVE search(lane, decided_at, moment, low, high, round) AS (
        SELECT lane, decided_at, moment, 1::bigint, position + 1, 0
        FROM lanes, (VALUES (:start), (:end)) AS m(moment)
        UNION ALL
        SELECT lane, decided_at, moment, CASE WHEN later THEN low ELSE middle + 1 END,
            CASE WHEN later THEN middle ELSE high END, round + 1
        FROM (SELECT *, low + (high - low) / 2 AS middle FROM search WHERE low < high AND round < 64) s
        CROSS JOIN LATERAL (SELECT coalesce((
            SELECT created_at FROM transactions t WHERE t.lane = s.lane AND t.position >= s.middle
            ORDER BY t.position LIMIT 1
        ), s.decided_at) >= s.moment AS later) l
    )
    SELECT lane, min(low) FILTER (WHERE moment = :start) AS first, min(low) FILTER (WHERE moment = :end) - 1 AS last
    FROM search WHERE low = high GROUP BY lane ORDER BY lane""",
    start=TIMESTAMP(timezone=True),
    end=TIMESTAMP(timezone=True),
)

# The planner takes any range for a ninth of the journal, and would read all of it for one day.
_BY_KEY = text("SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")
_LANES = "unnest(CAST(:lanes AS smallint[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]))"
_PERIOD = f"""{_LANES} AS p(lane, first, last)
    JOIN transactions t ON t.lane = p.lane AND t.position BETWEEN p.first AND p.last"""
# What stands in `reserved`, each part under the account that it is set aside on.
_SET_ASIDE = """
    SELECT lane, user_id, currency, remaining FROM holds
    UNION ALL SELECT lane, user_id, currency, held FROM held_payouts
"""
_CONSERVATION = """SELECT 'conservation' AS kind, lane, NULL::bigint AS user_id, currency, NULL AS account,
    NULL::bigint AS position, '0' AS expected, sum(balance)::text AS found
    FROM (
        SELECT lane, currency, cash::numeric + reserved AS balance FROM accounts
        UNION ALL SELECT lane, currency, balance FROM house_accounts
    ) b GROUP BY lane, currency HAVING sum(balance) <> 0"""
# A lane's part of the period ends with a place of its own, so that what is missing at its end is a gap too.
_GAPS = f"""SELECT 'position_gap' AS kind, lane, NULL::bigint AS user_id, NULL AS currency, NULL AS account,
    before + 1 AS position, (before + 1)::text AS expected, nullif(position, last + 1)::text AS found
    FROM (
        SELECT lane, position, last, lag(position, 1, first - 1) OVER (PARTITION BY lane ORDER BY position) AS before
        FROM (
            SELECT p.lane, t.position, p.first, p.last FROM {_PERIOD}
            UNION ALL
            SELECT lane, last + 1, first, last FROM {_LANES} AS e(lane, first, last)
        ) s
    ) r WHERE position <> before + 1"""  # noqa: S608
# An account stands as its last row says, which may be later than the period.
_ACCOUNTS = f"""SELECT v.kind, k.lane, k.user_id, k.currency, v.account, r.position, v.expected::text AS expected,
    coalesce(v.found, 0)::text AS found
    FROM (SELECT DISTINCT t.lane, t.user_id, t.currency FROM {_PERIOD}) k
    CROSS JOIN LATERAL (
        SELECT position, cash_after, reserved_after FROM transactions t
        WHERE t.lane = k.lane AND t.user_id = k.user_id AND t.currency = k.currency ORDER BY t.position DESC LIMIT 1
    ) r
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(remaining), 0) AS remaining FROM ({_SET_ASIDE}) s
        WHERE s.lane = k.lane AND s.user_id = k.user_id AND s.currency = k.currency
    ) h
    LEFT JOIN accounts a ON a.lane = k.lane AND a.user_id = k.user_id AND a.currency = k.currency
    CROSS JOIN LATERAL (VALUES
        ('stored_balance', 'cash', r.cash_after::numeric, a.cash),
        ('stored_balance', 'reserved', r.reserved_after, a.reserved),
        ('reserved', 'reserved', h.remaining, a.reserved)
    ) v(kind, account, expected, found)
    WHERE v.expected <> coalesce(v.found, 0)"""  # noqa: S608
# What each row should say follows from the row before it, where that is in the period too. What is left is looked at
# again: the few rows that do not, and each account's first, which follows from the one before the period.
_BALANCES = f"""SELECT 'balance' AS kind, r.lane, r.user_id, r.currency, v.account, r.position,
    v.expected::text AS expected, v.found::text AS found
    FROM (
        SELECT t.lane, t.user_id, t.currency, t.position, t.cash_after, t.reserved_after,
            {MOVED_CASH} AS cash_moved, {MOVED_RESERVED} AS reserved_moved,
            (lag(t.cash_after) OVER account)::numeric + {MOVED_CASH} AS cash,
            (lag(t.reserved_after) OVER account)::numeric + {MOVED_RESERVED} AS reserved
        FROM {_PERIOD}
        WINDOW account AS (PARTITION BY t.lane, t.user_id, t.currency ORDER BY t.position)
    ) r
    LEFT JOIN LATERAL (
        SELECT cash_after, reserved_after FROM transactions t
        WHERE r.cash IS NULL AND t.lane = r.lane AND t.user_id = r.user_id AND t.currency = r.currency
            AND t.position < r.position
        ORDER BY t.position DESC LIMIT 1
    ) b ON true
    CROSS JOIN LATERAL (VALUES
        ('cash', coalesce(r.cash, coalesce(b.cash_after, 0)::numeric + r.cash_moved), r.cash_after),
        ('reserved', coalesce(r.reserved, coalesce(b.reserved_after, 0)::numeric + r.reserved_moved), r.reserved_after)
    ) v(account, expected, found)
    WHERE (r.cash, r.reserved) IS DISTINCT FROM (r.cash_after::numeric, r.reserved_after::numeric)
        AND v.expected <> v.found"""  # noqa: S608
_CHECKS = tuple(
    text(
        f"""SELECT *, count(*) OVER () AS total FROM ({check}) c
        ORDER BY lane, position, user_id, currency, kind, account LIMIT {MAX_KEPT}"""  # noqa: S608
    )
    for check in (_CONSERVATION, _GAPS, _ACCOUNTS, _BALANCES)
)
_COUNT = text(f"SELECT count(*) FROM {_PERIOD}")  # noqa: S608


async def reconcile(connection: AsyncConnection, period: Period) -> Outcome:
    """Every check, over the rows of a period. The connection's transaction is one snapshot."""
    await connection.execute(_BY_KEY)
    bounds = (await connection.execute(_BOUNDS, {"start": period.start, "end": period.end})).all()
    lanes, firsts, lasts = ([bound[column] for bound in bounds] for column in range(3))
    parameters = {"lanes": lanes, "firsts": firsts, "lasts": lasts}
    rows: int = (await connection.execute(_COUNT, parameters)).scalar_one()
    count = 0
    kept: list[Discrepancy] = []
    for check in _CHECKS:
        found = (await connection.execute(check, parameters)).all()
        count += found[0].total if found else 0
        kept += [Discrepancy.model_validate(row._mapping) for row in found[: MAX_KEPT - len(kept)]]
    return Outcome(rows, count, kept)
