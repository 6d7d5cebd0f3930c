"""A platform on which alarms are caused, and what causing them takes."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import httpx2

from ops import places
from ops.development_secrets import read
from ops.vigilance import check
from ops.vigilance.alarms import Severity
from tests.end_to_end.support import Ask, Platform, until

PLAYER = 5700
USER = f"/users/{PLAYER}"


@dataclass(frozen=True)
class Stage:
    """The platform, with a player who is known."""

    platform: Platform
    ask: Ask
    administrator: str

    def sql(self, statement: str) -> list[asyncpg.Record]:
        """What the database's administrator does, past every trigger; returns its rows."""

        async def done() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.administrator)
            try:
                await connection.execute("SET session_replication_role = replica")
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(done())

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Nobody gets at a table for the length of the block."""
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(self.administrator))
            try:
                runner.run(connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
                yield
            finally:
                runner.run(connection.close())

    def done(self, role: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What somebody is answered who is let do something; who is told to come again does."""
        key, answers = str(uuid4()), list[httpx2.Response]()

        def answered() -> bool:
            answers.append(self.ask(role, method, path, body, key=key))
            return answers[-1].status_code not in (
                httpx2.codes.TOO_MANY_REQUESTS,
                httpx2.codes.SERVICE_UNAVAILABLE,
            )

        until(answered)
        assert answers[-1].is_success, answers[-1].text
        return answers[-1].json()

    def deposit(self, user_id: int = PLAYER) -> str:
        """A deposit that finance makes; its transaction's id."""
        body = {"user_id": user_id, "type": "DEPOSIT", "amount": "10.00", "currency": "USD", "provider": "bank"}
        found: str = self.done("finance", "POST", "/transactions", body)["transaction"]["id"]
        return found

    @contextmanager
    def provider(self) -> Iterator[httpx2.Client]:
        """The sandbox's own side."""
        headers = {"Authorization": f"Bearer {read(self.platform.data / 'secrets', 'sandbox_api_token')}"}
        url = places.find(self.platform.data).sandbox_url
        with httpx2.Client(base_url=url, headers=headers, trust_env=False) as client:
            yield client

    def raised(self) -> dict[str, Severity]:
        """The alarms that are raised now, as `langsense check` finds them."""
        found = asyncio.run(check.look(places.find(self.platform.data)))
        return {each.name: each.severity for each in found if each.raised}

    def until_raised(self, expected: dict[str, Severity]) -> None:
        """Wait until each has been seen, as grave as it should be."""
        seen: dict[str, Severity] = {}

        def all_seen() -> bool:
            seen.update(self.raised())
            return expected.keys() <= seen.keys()

        self._until(all_seen, lambda: f"not raised: {expected.keys() - seen.keys()}")
        assert {name: seen[name] for name in expected} == expected

    def until_clear(self, expected: dict[str, Severity]) -> None:
        """Wait until none is raised."""
        self._until(
            lambda: not self.raised().keys() & expected.keys(),
            lambda: f"still raised: {self.raised().keys() & expected.keys()}",
        )

    @staticmethod
    def _until(fact: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        try:
            until(fact, within_s=60)
        except AssertionError:
            raise AssertionError(otherwise()) from None


class Cause(NamedTuple):
    """What raises some alarms for the length of a block, and is put right at its end."""

    lasting: Callable[[Stage], AbstractContextManager[None]]
    raises: dict[str, Severity]
