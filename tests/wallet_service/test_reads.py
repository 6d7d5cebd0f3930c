"""What the endpoints and the relay read: histories, a lane's journal, single commands, and marks."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.kinds import Kind
from shared.signing import GENESIS
from tests.support import Database, as_administrator
from tests.wallet_service.batches import take
from tests.wallet_service.support import command
from wallet_service.domain.needs import Placed
from wallet_service.repository import Reads

pytestmark = pytest.mark.integration


class TestReads:
    """What the endpoints and the relay ask."""

    async def test_a_players_history_is_its_own_newest_first_and_in_pages(
        self, engine: AsyncEngine, reads: Reads
    ) -> None:
        mine = [command(Kind.DEPOSIT, amount) for amount in range(1, 6)]
        others = [command(Kind.DEPOSIT, user_id=43) for _ in mine]
        await take(engine, [Placed(0, each) for pair in zip(mine, others, strict=True) for each in pair])
        page = await reads.history(0, 42, None, 2)
        assert [each.row.content.amount_minor for each in page] == [5, 4]
        rest = await reads.history(0, 42, page[-1].row.content.position, 10)
        assert [each.row.content.amount_minor for each in rest] == [3, 2, 1]
        assert await reads.history(0, 42, rest[-1].row.content.position, 10) == []

    async def test_a_lanes_journal_is_in_order_and_in_pages(self, engine: AsyncEngine, reads: Reads) -> None:
        await take(engine, [Placed(lane, command(Kind.DEPOSIT)) for lane in (0, 1) for _ in range(5)])
        assert [row.content.position for row in await reads.journal(1, 2, 2)] == [3, 4]
        assert await reads.journal(1, 5, 10) == []
        assert await reads.journal(3, 0, 10) == []

    async def test_a_command_is_found_on_whichever_lane_it_is(self, engine: AsyncEngine, reads: Reads) -> None:
        each = command(Kind.DEPOSIT)
        await take(engine, [Placed(3, each)])
        found = await reads.transaction(each.command_id)
        assert found is not None
        assert (found.row.content.lane, found.row.content.command_id) == (3, each.command_id)
        assert await reads.transaction(UUID(int=0)) is None

    async def test_the_marks_say_how_long_a_lane_has_been_idle(
        self, engine: AsyncEngine, reads: Reads, database: Database
    ) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))], offset=12)
        await as_administrator(database, "UPDATE wallet.lanes SET decided_at = decided_at - interval '1 minute'")
        (mark,) = await reads.lanes()
        assert (mark.lane, mark.position, mark.published) == (0, 1, 0)
        assert 60 <= mark.idle_s < 120
        assert mark.head != GENESIS

    async def test_the_lane_keeps_the_offset_after_its_last_record(
        self, engine: AsyncEngine, database: Database
    ) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))], offset=12)
        ((offset,),) = await as_administrator(database, "SELECT next_offset FROM wallet.lanes")
        assert offset == 12
