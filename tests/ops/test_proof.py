"""The proof finds what was altered in SQL, by someone who may do anything but does not have the keys."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

import pytest

from ops.proof import journal
from shared.checkpoints import Sealed, SigningKeys, hash_of
from shared.contracts.checkpoints import Checkpoint
from shared.contracts.kinds import Kind
from shared.signing import CONTENT_SQL, GENESIS, ChainKeys
from tests.ops.ledger import EVERY_ROWS, KEYS, PLAYERS, SIGNING, Ledger, seal_lane
from tests.support import LANES
from tests.wallet_service.support import FAR_LIMITS, command, decide
from wallet_service.repository import Seals
from wallet_service.settings import LimitSettings

pytestmark = pytest.mark.integration


async def test_an_honest_ledger_holds(sealed: Ledger) -> None:
    found = await sealed.checks()
    assert all(check.holds for check in found.values()), found
    rows = len(PLAYERS) * 17
    sizes = [await sealed.administrator.fetchval(f"SELECT position FROM lanes WHERE lane = {n}") for n in range(LANES)]
    seals = sum(size // EVERY_ROWS for size in sizes)
    assert found["chain and checkpoints verified"].looked_at == (
        f"{rows} rows in {LANES} lanes, {seals} checkpoints, {rows - seals * EVERY_ROWS} rows not sealed yet"
    )


@dataclass(frozen=True)
class Tampering:
    """What somebody does in SQL, the position where it is found, and what is said."""

    statement: str
    position: int
    said: str = "checksum mismatch"


TAMPERED = {
    "a changed amount": Tampering("UPDATE transactions SET amount = amount + 1 WHERE lane = 1 AND position = 5", 5),
    "a changed refusal": Tampering("UPDATE transactions SET reason = 'EXPIRED' WHERE lane = 1 AND position = 7", 7),
    "a refusal made posted": Tampering("UPDATE transactions SET status = 'posted' WHERE lane = 1 AND position = 7", 7),
    "another player": Tampering("UPDATE transactions SET user_id = user_id + 1 WHERE lane = 1 AND position = 5", 5),
    "another time": Tampering(
        "UPDATE transactions SET created_at = created_at + interval '1 us' WHERE lane = 1 AND position = 5", 5
    ),
    "a row of the unsealed end": Tampering(
        """UPDATE transactions SET amount = amount + 1
        WHERE lane = 1 AND position = (SELECT position FROM lanes WHERE lane = 1)""",
        -1,
    ),
    "a row deleted in the middle": Tampering(
        "DELETE FROM transactions WHERE lane = 1 AND position = 5", 6, "rows are missing or out of order"
    ),
    "a row inserted": Tampering(
        """UPDATE transactions SET position = -position - 1 WHERE lane = 1 AND position >= 5;
        UPDATE transactions SET position = -position WHERE lane = 1 AND position < 0;
        CREATE TEMP TABLE forged AS SELECT * FROM transactions WHERE lane = 1 AND position = 4;
        UPDATE forged SET position = 5, id = gen_random_uuid();
        INSERT INTO transactions SELECT * FROM forged;
        UPDATE lanes SET position = position + 1 WHERE lane = 1""",
        5,
    ),
    "two rows swapped": Tampering(
        """UPDATE transactions SET position = -1 WHERE lane = 1 AND position = 5;
        UPDATE transactions SET position = 5 WHERE lane = 1 AND position = 6;
        UPDATE transactions SET position = 6 WHERE lane = 1 AND position = -1""",
        5,
    ),
    "a line feed moved into a neighbour": Tampering(
        """UPDATE transactions SET reference_id = reference_id || E'\\n' || coalesce(round_id, ''), round_id = NULL
        WHERE lane = 1 AND position = 6""",
        6,
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_what_was_altered_is_found_at_its_place(name: str, sealed: Ledger) -> None:
    tampering = TAMPERED[name]
    position = tampering.position
    if position < 0:
        position = await sealed.administrator.fetchval("SELECT position FROM lanes WHERE lane = 1")
    await sealed.administrator.execute(tampering.statement)
    found = await sealed.chain()
    assert any(line.startswith(f"lane 1, position {position}: ") and tampering.said in line for line in found), found
    assert all(line.startswith("lane 1") for line in found)


async def test_one_altered_row_is_told_once_and_its_checkpoint_once(sealed: Ledger) -> None:
    await sealed.administrator.execute(TAMPERED["a changed amount"].statement)
    assert await sealed.chain() == [
        "lane 1, position 5: verification error: checksum mismatch",
        f"lane 1, position {EVERY_ROWS}: rows 1 to {EVERY_ROWS} are not what checkpoint 1 sealed",
    ]


async def test_a_row_made_up_at_the_end_is_found(sealed: Ledger) -> None:
    await sealed.administrator.execute(
        """CREATE TEMP TABLE forged AS SELECT * FROM transactions WHERE lane = 1 ORDER BY position DESC LIMIT 1;
        UPDATE forged SET position = position + 1, id = gen_random_uuid();
        INSERT INTO transactions SELECT * FROM forged"""
    )
    assert "checksum mismatch" in (await sealed.chain())[0]


class TestWithoutTheRightKey:
    """Whoever rehashes needs the keys, all of them."""

    async def test_every_row_under_another_key(self, sealed: Ledger) -> None:
        found = (await sealed.checks(keys=ChainKeys({"k1": secrets.token_bytes(32)}, "k1"))).values()
        (chain,) = (check for check in found if not check.holds)
        assert len(chain.findings) > LANES
        assert any("findings more" in line for line in chain.findings)

    async def test_a_row_hashed_again_with_a_wrong_key(self, sealed: Ledger) -> None:
        await _rehash(sealed, ChainKeys({"k1": secrets.token_bytes(32)}, "k1"), first=5)
        assert (await sealed.chain())[0] == "lane 1, position 5: verification error: checksum mismatch"

    async def test_the_key_of_the_chain_is_not_enough(self, sealed: Ledger) -> None:
        """Every checksum is right, the lane says so too: only the signed root tells."""
        await _rehash(sealed, KEYS, first=5)
        found = await sealed.chain()
        assert found[0] == f"lane 1, position {EVERY_ROWS}: rows 1 to {EVERY_ROWS} are not what checkpoint 1 sealed"
        assert not any("checksum mismatch" in line for line in found)

    async def test_nor_with_checkpoints_made_again_with_a_key_of_ones_own(self, sealed: Ledger) -> None:
        await _rehash(sealed, KEYS, first=5)
        await sealed.administrator.execute("DELETE FROM checkpoints WHERE lane = 1")
        await seal_lane(sealed.engine, sealed.folder / "theirs", 1, SigningKeys.parse("s1:" + "66" * 32))
        inside = await sealed.chain(outside=False)
        assert "checkpoint 1 has a signature that is not its key's" in inside[0]
        assert "checkpoint 1 in the table is not the one outside" in (await sealed.chain())[0]


class TestTheTail:
    """Nothing that was sealed can be cut off, for it is sealed outside too."""

    async def test_rows_alone(self, sealed: Ledger) -> None:
        await sealed.administrator.execute("DELETE FROM transactions WHERE lane = 1 AND position > 20")
        assert "lane 1, position 20: is the last" in (await sealed.chain(outside=False))[0]

    async def test_the_unsealed_end_alone(self, sealed: Ledger) -> None:
        await sealed.administrator.execute(
            """DELETE FROM transactions WHERE lane = 1 AND position = (SELECT position FROM lanes WHERE lane = 1)"""
        )
        assert "its tail is cut or added to" in (await sealed.chain())[0]

    async def test_with_the_lanes_entry_set_back(self, sealed: Ledger) -> None:
        await _cut(sealed, 25)
        (finding,) = await sealed.chain(outside=False)
        assert finding == "lane 1, position 25: is the last, and checkpoint 3 sealed rows up to 30"

    async def test_with_the_checkpoints_in_the_table_too(self, sealed: Ledger) -> None:
        await _cut(sealed, 25)
        await sealed.administrator.execute("DELETE FROM checkpoints WHERE lane = 1 AND last_position > 25")
        assert await sealed.chain(outside=False) == []
        found = await sealed.chain()
        assert "lane 1, position 30: checkpoint 3 is not in the table" in found
        assert "lane 1, position 25: is the last, and checkpoint 3 sealed rows up to 30" in found

    async def test_a_whole_lane_with_all_that_is_derived_from_it(self, sealed: Ledger) -> None:
        await sealed.administrator.execute(
            """DELETE FROM transactions WHERE lane = 1; DELETE FROM lanes WHERE lane = 1;
            DELETE FROM checkpoints WHERE lane = 1; DELETE FROM seals WHERE lane = 1;
            DELETE FROM accounts WHERE lane = 1; DELETE FROM house_accounts WHERE lane = 1;
            DELETE FROM holds WHERE lane = 1"""
        )
        assert await sealed.broken(outside=False) == {}
        assert "lane 1, position 0: is the last, and checkpoint 1 sealed rows up to 10" in await sealed.chain()

    async def test_a_whole_lane_with_its_entry_leaves_balances_without_a_journal(self, sealed: Ledger) -> None:
        await sealed.administrator.execute("DELETE FROM transactions WHERE lane = 1; DELETE FROM lanes WHERE lane = 1")
        assert "balances equal the fold of the journal" in await sealed.broken()

    async def test_a_lane_without_its_entry(self, sealed: Ledger) -> None:
        await sealed.administrator.execute("DELETE FROM lanes WHERE lane = 1")
        assert "no entry among the lanes" in (await sealed.chain())[-1]


class TestCheckpoints:
    """A checkpoint cannot be replaced, edited or left out, inside or outside."""

    async def test_edited_in_the_table(self, sealed: Ledger) -> None:
        await sealed.administrator.execute("UPDATE checkpoints SET root = sha256(root) WHERE lane = 1 AND number = 2")
        inside = await sealed.chain(outside=False)
        assert inside[0] == "lane 1, position 20: checkpoint 2 has a signature that is not its key's"
        assert await sealed.chain() == ["lane 1, position 20: checkpoint 2 in the table is not the one outside"]

    async def test_replaced_by_one_that_was_signed_with_another_key(self, sealed: Ledger) -> None:
        first, second = await Seals(sealed.engine).after(1, 0, 2)
        await _replace(sealed, SigningKeys.parse("s9:" + "66" * 32), first, second)
        inside = await sealed.chain(outside=False)
        assert inside[0] == "lane 1, position 20: checkpoint 2 is signed with key 's9', which is not known here"
        assert await sealed.chain() == ["lane 1, position 20: checkpoint 2 in the table is not the one outside"]

    async def test_replaced_by_one_that_was_signed_again_with_the_right_key(self, sealed: Ledger) -> None:
        """Even whoever has the signing key breaks the chain of those after it."""
        first, second = await Seals(sealed.engine).after(1, 0, 2)
        await _replace(sealed, SIGNING, first, second.model_copy(update={"root": "00" * 32}))
        inside = await sealed.chain(outside=False)
        assert inside == [
            "lane 1, position 20: rows 11 to 20 are not what checkpoint 2 sealed",
            "lane 1, position 30: checkpoint 3 does not name the hash of the one before it",
        ]

    async def test_left_out_of_the_table(self, sealed: Ledger) -> None:
        await sealed.administrator.execute("DELETE FROM checkpoints WHERE lane = 1 AND number = 2")
        assert "checkpoint 3 stands where number 2 belongs" in (await sealed.chain(outside=False))[0]
        assert await sealed.chain() == ["lane 1, position 20: checkpoint 2 is not in the table"]

    async def test_left_out_of_the_files(self, sealed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        # Longer than the ledger that this is a copy of may have been there.
        monkeypatch.setattr(journal, "ANCHORED_WITHIN", timedelta(hours=12))
        path = sealed.folder / "lane-0001.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:-1]))
        assert await sealed.chain() == []
        await sealed.administrator.execute("UPDATE checkpoints SET sealed_at = sealed_at - interval '1 day'")
        assert any(f"checkpoint {len(lines)} is not outside" in line for line in await sealed.chain())

    async def test_a_line_outside_that_is_none(self, sealed: Ledger) -> None:
        (sealed.folder / "lane-0001.jsonl").write_text("nothing\n")
        assert "a line of the checkpoints outside is no checkpoint" in (await sealed.chain())[0]


async def test_a_balance_edited_without_a_row_is_found(sealed: Ledger) -> None:
    await sealed.administrator.execute("UPDATE accounts SET cash = cash + 1 WHERE user_id = 7")
    found = await sealed.broken()
    assert "all USD accounts sum to 1" in found["money conserved"][0]
    assert "player 7" in found["balances equal the fold of the journal"][0]


async def test_two_balances_edited_so_that_the_sum_holds_are_found(sealed: Ledger) -> None:
    await sealed.administrator.execute("UPDATE accounts SET cash = cash + 1 WHERE user_id = 7")
    await sealed.administrator.execute(
        "UPDATE house_accounts SET balance = balance - 1 WHERE lane = 2 AND account = 'revenue'"
    )
    found = await sealed.broken()
    assert "money conserved" not in found
    assert len(found["balances equal the fold of the journal"]) == 2


FOLLOWS = "limits and holds follow from the journal"


async def test_what_was_taken_back_released_and_reversed_follows_from_the_journal(sealed: Ledger) -> None:
    rules = LimitSettings(**FAR_LIMITS | {"max_payout_amount": "10"}).rules()
    deposit, again = command(Kind.DEPOSIT, 700, 7), command(Kind.ADJUSTMENT_CREDIT, 50, 7)
    rows = await decide(
        sealed.engine,
        [
            *(deposit, again),
            command(Kind.REVERSAL, 300, 7, reference_id=str(deposit.command_id), provider="stripe"),
            command(Kind.REVERSAL, 50, 7, reference_id=str(again.command_id)),
            command(Kind.GAME_BET, 90, 7, reference_id="x"),
            command(Kind.BET_ROLLBACK, 40, 7, reference_id="x"),
            command(Kind.GAME_PAYOUT, 5000, 7, reference_id="won"),
            command(Kind.PAYOUT_RELEASE, 2000, 7, reference_id="won"),
            command(Kind.PAYOUT_ROLLBACK, 1000, 7, reference_id="won"),
            command(Kind.DISPUTE, 0, 7, reference_id=str(deposit.command_id)),
        ],
        LANES,
        KEYS,
        rules,
    )
    assert {row.content.status for row in rows} == {"posted"}
    assert await sealed.broken() == {}


@pytest.mark.parametrize("counter", ["deposits", "bets", "payouts"])
async def test_a_counter_edited_so_that_a_limit_holds_less_is_found(sealed: Ledger, counter: str) -> None:
    await sealed.administrator.execute(f"UPDATE accounts SET {counter} = {counter} - 1 WHERE user_id = 7")
    (finding,) = (await sealed.broken())[FOLLOWS]
    assert "player 7, USD" in finding


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE holds SET remaining = remaining - 1 WHERE user_id = 7 AND reference_id = 'hold-g-0-7'",
        "INSERT INTO held_payouts VALUES (7, 100, 3, 'USD', 'none', '')",
    ],
)
async def test_a_hold_that_is_not_what_is_reserved_is_found(sealed: Ledger, edit: str) -> None:
    await sealed.administrator.execute(edit)
    (finding,) = (await sealed.broken())[FOLLOWS]
    assert "player 7, USD: reserved 400" in finding


async def _rehash(sealed: Ledger, keys: ChainKeys, *, first: int) -> None:
    """Change the amount of one row of lane 1, and make every checksum from there on again."""
    rows = sealed.administrator
    await rows.execute(f"UPDATE transactions SET amount = amount + 1 WHERE lane = 1 AND position = {first}")
    head = GENESIS
    for row in await rows.fetch(
        f"SELECT position, checksum, {CONTENT_SQL} AS content FROM transactions t WHERE lane = 1 ORDER BY position"
    ):
        if row["position"] < first:
            head = row["checksum"]
            continue
        head = keys.checksum_of(head, "k1", row["content"])
        await rows.execute(
            "UPDATE transactions SET checksum = $1 WHERE lane = 1 AND position = $2", head, row["position"]
        )
    await rows.execute("UPDATE lanes SET head = $1 WHERE lane = 1", head)


async def _cut(sealed: Ledger, last: int) -> None:
    """Cut lane 1 off after a position, and set its entry back to match."""
    await sealed.administrator.execute(
        f"""DELETE FROM transactions WHERE lane = 1 AND position > {last};
        UPDATE lanes SET position = {last}, head = t.checksum
        FROM transactions t WHERE lanes.lane = 1 AND t.lane = 1 AND t.position = {last}"""
    )


async def _replace(sealed: Ledger, signing: SigningKeys, before: Checkpoint, checkpoint: Checkpoint) -> None:
    """Put another in the place of a checkpoint, signed with these keys."""
    forged = signing.signed(
        Sealed(
            lane=checkpoint.lane,
            number=checkpoint.number,
            first_position=checkpoint.first_position,
            last_position=checkpoint.last_position,
            head=bytes.fromhex(checkpoint.head),
            root=bytes.fromhex(checkpoint.root),
            previous=hash_of(before),
            sealed_at=checkpoint.sealed_at,
        )
    )
    await sealed.administrator.execute(
        "UPDATE checkpoints SET root = $1, signature = $2, key_id = $3 WHERE lane = $4 AND number = $5",
        *(bytes.fromhex(forged.root), bytes.fromhex(forged.signature), forged.key_id, forged.lane, forged.number),
    )
