"""PostgreSQL: one engine a service, every wait bounded, errors sorted into ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from shared.errors import DatabaseUnavailable
from shared.telemetry import Metrics

CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
# A process that stands still, or that the network lost, gives back the locks of its open transaction after this.
IDLE_IN_TRANSACTION_TIMEOUT_S = 10

# What a retry can mend: the server is gone, going, full or starting, or it chose this transaction as a victim.
_TRANSIENT = (
    asyncpg.exceptions.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.TransactionRollbackError,
    asyncpg.exceptions.LockNotAvailableError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.InterfaceError,
    asyncpg.exceptions.InternalClientError,
    OSError,
    TimeoutError,
)

# SQLSTATE classes that are about what a row holds; with any other, the next row would be refused alike.
_ABOUT_ROWS = frozenset({"21", "22", "23", "54"})


def driver_url(dsn: str) -> str:
    """A PostgreSQL URL, however it is spelled, as SQLAlchemy with asyncpg takes it."""
    _, _, rest = dsn.partition("://")
    return f"postgresql+asyncpg://{rest}"


def create_engine(
    dsn: str,
    *,
    application: str,
    schema: str,
    pool_size: int = 5,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    metrics: Metrics | None = None,
) -> AsyncEngine:
    """An engine whose connections look into `schema` alone; `metrics` show its pool. Dispose it when done."""
    engine = create_async_engine(
        driver_url(dsn),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        # A restarted server leaves dead connections in the pool; a ping finds them before a command does.
        pool_pre_ping=True,
        # An error goes to the log; what players wrote does not.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": statement_timeout_s,
            "server_settings": {
                "application_name": application,
                "search_path": schema,
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_S}s",
            },
        },
    )
    if metrics is not None:
        pool = engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        metrics.pool_in_use.set_function(pool.checkedout)
        metrics.pool_size.set_function(pool.size)
    return engine


@contextmanager
def unavailable_is_transient() -> Iterator[None]:
    """Turns what a retry can mend into DatabaseUnavailable, and lets everything else through."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("no free database connection within the bound") from error
    except DBAPIError as error:
        if error.connection_invalidated or is_transient(error):
            raise DatabaseUnavailable("the database does not answer; the call can be repeated") from error
        # PostgreSQL's detail of a row that it refuses is that row, and errors go to the log.
        if error.orig is not None and isinstance(error.orig.__cause__, asyncpg.PostgresError):
            error.orig.__cause__.detail = None
        raise
    except _TRANSIENT as error:
        raise DatabaseUnavailable("the database does not answer; the call can be repeated") from error


def is_transient(error: BaseException) -> bool:
    """Whether a retry can mend it: looks through SQLAlchemy's wrappers at the driver's error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _TRANSIENT):
            return True
        cause = cause.__cause__ or (cause.orig if isinstance(cause, DBAPIError) else None)
    return False


def refuses_all(error: BaseException) -> bool:
    """Whether the database refuses for a reason of its own, such as being read-only, and not for what a row holds."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return state is not None and state[:2] not in _ABOUT_ROWS


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end, rolled back on any error.

    Raises DatabaseUnavailable where a retry can help. When the connection is lost at COMMIT, the outcome is unknown:
    whoever retries must find out, by an id of its own, whether it had already happened.
    """
    with unavailable_is_transient():
        async with engine.begin() as connection:
            yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for reads, in one snapshot. Raises DatabaseUnavailable where a retry can help."""
    with unavailable_is_transient():
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection


async def driver(connection: AsyncConnection) -> Any:
    """asyncpg's own connection, inside the transaction that `connection` is in.

    For the few set-based statements whose rows are too many for a layer between.
    """
    raw = await connection.get_raw_connection()
    return raw.driver_connection


async def ping(engine: AsyncEngine) -> None:
    """One round trip. Raises DatabaseUnavailable."""
    with unavailable_is_transient():
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
