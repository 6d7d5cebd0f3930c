"""What a proof is made of: checks, each with what it looked at and what is wrong, in one snapshot of the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from shared import database

# A fold of a long journal takes its time.
STATEMENT_TIMEOUT_S = 3600
# A broken ledger may have millions of findings; a person reads the first few.
MAX_FINDINGS = 20


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
async def snapshot(dsn: str, schema: str = "wallet") -> AsyncIterator[AsyncConnection]:
    """One read-only snapshot of a service's tables: everything that is checked is of the same moment."""
    engine = database.create_engine(
        dsn, application="langsense-proof", schema=schema, pool_size=1, statement_timeout_s=STATEMENT_TIMEOUT_S
    )
    try:
        async with database.reading(engine) as connection:
            yield connection
    finally:
        await engine.dispose()
