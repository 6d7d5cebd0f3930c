"""Batches on the real tables, and what those tables hold after them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.signing import ChainKeys
from tests.support import Database, as_administrator
from tests.wallet_service.support import CHAIN_KEYS, FAR_LIMITS, MemoryWallet
from wallet_service import repository
from wallet_service.domain.batch import Batch
from wallet_service.domain.needs import Answer, Placed, needs
from wallet_service.repository import Offsets
from wallet_service.settings import LimitSettings

KEYS = ChainKeys.parse(CHAIN_KEYS)
TABLES = (
    *("transactions", "lanes", "accounts", "house_accounts", "holds", "cancellations"),
    *("account_openings", "player_limits", "held_payouts", "disputes", "player_restrictions"),
)
# Limits that a few hundred commands reach.
RULES = LimitSettings(
    **FAR_LIMITS
    | {"daily_loss_limit": "30", "daily_deposit_limit": "200", "max_bet_amount": "8", "max_payout_amount": "6"}
).rules()


async def take(
    engine: AsyncEngine, placed: Sequence[Placed], beside: MemoryWallet | None = None, offset: int = 1
) -> list[Answer]:
    """Decide one batch as the wallet does; `beside` decides the same at the same moment."""
    async with databases.transaction(engine) as connection:
        needed = needs(placed)
        loaded = await repository.load(connection, needed, RULES.windows)
        if beside is not None:
            assert loaded == beside.load(needed, loaded.now)
        batch = Batch(loaded, KEYS, RULES)
        now = loaded.now
        answers = [batch.answer(lane, each) for lane, each in placed]
        await repository.save(connection, batch.changes, Offsets({lane: offset for lane, _ in placed}, {}), now)
    if beside is not None:
        assert beside.take_placed(placed, now) == answers
    return answers


async def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    found = {}
    for table in TABLES:
        rows = await as_administrator(database, f"SELECT t::text FROM wallet.{table} t ORDER BY 1")
        found[table] = [tuple(row) for row in rows]
    return found
