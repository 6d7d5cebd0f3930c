"""Rules on several instances: changes that meet each other leave one version in force, the same everywhere."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.scoring import Failure
from fraud_service.handlers.rulebook import RuleBook
from fraud_service.repository import rules
from shared import database
from shared.contracts.fraud import RuleState
from shared.telemetry import Metrics
from tests.fraud_service.test_rules import body

pytestmark = pytest.mark.integration
VERSIONS = 6


async def instances(engine: AsyncEngine) -> list[RuleBook]:
    made = [RuleBook(engine, Metrics(), look_every_s=1) for _ in range(2)]
    # Both start at once on a platform that has no rules yet.
    await asyncio.gather(*(book.start() for book in made))
    return made


async def draft(engine: AsyncEngine) -> int:
    async with database.transaction(engine) as connection:
        return (await rules.put_draft(connection, body(id="contested"), "ana", "a trial")).version


async def activate(engine: AsyncEngine, version: int) -> None:
    async with database.transaction(engine) as connection:
        await rules.move(connection, version, RuleState.ACTIVE, "ana")


def of_rule(book: RuleBook) -> list[int]:
    return [rule.version for rule in book.rules.active if rule.body.id == "contested"]


async def test_versions_that_are_activated_at_once_leave_one_and_every_instance_has_it(engine: AsyncEngine) -> None:
    books = await instances(engine)
    versions = [await draft(engine) for _ in range(VERSIONS)]
    await asyncio.gather(*(activate(engine, version) for version in versions))
    for book in books:
        await book.look()
    assert of_rule(books[0]) == of_rule(books[1])
    assert len(of_rule(books[0])) == 1
    assert books[0].rules.revision == books[1].rules.revision


async def test_a_rule_that_fails_on_two_instances_at_once_is_disabled_once(engine: AsyncEngine) -> None:
    books = await instances(engine)
    version = await draft(engine)
    await activate(engine, version)
    for book in books:
        await book.look()
    failure = Failure(version, "contested", "overflows")
    await asyncio.gather(*(book.disable(failure, 42) for book in books))
    assert [of_rule(book) for book in books] == [[], []]
    async with database.reading(engine) as connection:
        raw = await database.driver(connection)
        assert await raw.fetchval("SELECT count(*) FROM outbox WHERE type = 'fraud.rule.disabled.v1'") == 1
        assert (await rules.get(connection, version)).state is RuleState.DISABLED


async def test_the_initial_rules_are_made_once(engine: AsyncEngine) -> None:
    books = await instances(engine)
    ids = [rule.body.id for rule in books[0].rules.active]
    assert len(ids) == len(set(ids)) > 20
    assert [rule.version for rule in books[0].rules.active] == [rule.version for rule in books[1].rules.active]
