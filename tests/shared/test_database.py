"""PostgreSQL: what reads see, and which errors a retry can mend."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.errors import DatabaseUnavailable
from tests.support import Database


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = databases.create_engine(database.admin_dsn, application="test", schema="public", pool_size=2)
    async with databases.transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE things (id int PRIMARY KEY)"))
    yield engine
    await engine.dispose()


async def put(engine: AsyncEngine, number: int) -> None:
    async with databases.transaction(engine) as connection:
        await connection.execute(text("INSERT INTO things VALUES (:number)"), {"number": number})


async def count(engine: AsyncEngine) -> int:
    async with databases.reading(engine) as connection:
        return int((await connection.execute(text("SELECT count(*) FROM things"))).scalar_one())


@pytest.mark.integration
async def test_what_is_read_is_one_snapshot(engine: AsyncEngine) -> None:
    query = text("SELECT count(*) FROM things")
    async with databases.reading(engine) as connection:
        assert (await connection.execute(query)).scalar_one() == 0
        await put(engine, 1)
        assert (await connection.execute(query)).scalar_one() == 0
    assert await count(engine) == 1


@pytest.mark.integration
async def test_a_reading_connection_writes_nothing_and_is_given_back_as_it_was(engine: AsyncEngine) -> None:
    for number in range(6):
        with pytest.raises(DBAPIError, match="read-only"):
            async with databases.reading(engine) as connection:
                await connection.execute(text("INSERT INTO things VALUES (0)"))
        await put(engine, 1 + number)
    assert await count(engine) == 6


@pytest.mark.integration
async def test_an_error_takes_back_the_whole_transaction(engine: AsyncEngine) -> None:
    async def failing() -> None:
        async with databases.transaction(engine) as connection:
            await connection.execute(text("INSERT INTO things VALUES (1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await count(engine) == 0


@pytest.mark.integration
async def test_a_connection_that_is_cut_is_unavailable_and_the_next_call_works(engine: AsyncEngine) -> None:
    async def cut() -> None:
        async with databases.transaction(engine) as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with databases.transaction(engine) as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            await connection.execute(text("INSERT INTO things VALUES (1)"))

    with pytest.raises(DatabaseUnavailable):
        await cut()
    await put(engine, 2)
    assert await count(engine) == 1


@pytest.mark.integration
async def test_a_lock_that_does_not_come_is_worth_another_try(engine: AsyncEngine) -> None:
    async def waiting() -> None:
        async with databases.transaction(engine) as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '10ms'"))
            async with databases.transaction(engine) as other:
                await other.execute(text("SELECT * FROM things FOR UPDATE"))
                await connection.execute(text("SELECT * FROM things FOR UPDATE"))

    await put(engine, 1)
    with pytest.raises(DatabaseUnavailable):
        await waiting()


@pytest.mark.integration
async def test_a_mistake_in_sql_is_no_outage(engine: AsyncEngine) -> None:
    with pytest.raises(ProgrammingError):
        async with databases.transaction(engine) as connection:
            await connection.execute(text("SELECT * FROM nothing_of_this_name"))
    await put(engine, 1)
    with pytest.raises(DBAPIError, match="duplicate key"):
        await put(engine, 1)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    engine = databases.create_engine("postgresql://a:b@127.0.0.1:1/x", application="test", schema="public")
    with pytest.raises(DatabaseUnavailable):
        await databases.ping(engine)
    await engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_spelling_of_a_url_gets_the_driver(scheme: str) -> None:
    assert databases.driver_url(f"{scheme}://u:p@h:1/d") == "postgresql+asyncpg://u:p@h:1/d"
