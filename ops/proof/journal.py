"""All lanes of a database: every row in its place in the chain, and under the checkpoints that were signed for it."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.proof.check import Check
from ops.proof.walk import Findings, Progress, Walked, trusted, walk
from shared import database
from shared.anchors import CheckpointFiles
from shared.checkpoints import PublicKeys
from shared.contracts.checkpoints import Checkpoint
from shared.errors import IntegrityViolation
from shared.signing import CONTENT_SQL, GENESIS, ChainKeys, Entry

ROWS_PER_FETCH = 2000
# What was sealed longer ago than this is outside, or the wallet has long been telling why not.
ANCHORED_WITHIN = timedelta(minutes=1)

# Every lane that anything in the database knows of. The journal is asked lane by lane: to list its lanes by reading all
# of it would take as long as to verify it.
_LANES = text(
    """WITH RECURSIVE journal(lane) AS (
        (SELECT lane FROM transactions ORDER BY lane LIMIT 1)
        UNION ALL SELECT (SELECT lane FROM transactions t WHERE t.lane > j.lane ORDER BY lane LIMIT 1)
        FROM journal j WHERE j.lane IS NOT NULL
    )
    SELECT k.lane, l.position, l.head, j.lane IS NOT NULL AS has_rows
    FROM (
        SELECT lane FROM lanes UNION SELECT lane FROM journal WHERE lane IS NOT NULL
        UNION SELECT DISTINCT lane FROM checkpoints
    ) k LEFT JOIN lanes l USING (lane) LEFT JOIN journal j USING (lane) ORDER BY k.lane"""
)
_NOW = text("SELECT now()")
_ALONG_THE_KEY = text(
    """SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true)"""
)
_ROWS = f"SELECT t.position, t.checksum, {CONTENT_SQL} FROM transactions t WHERE t.lane = $1 ORDER BY t.position"  # noqa: S608
_CHECKPOINTS = """SELECT lane, number, first_position, last_position, last_position - first_position + 1 AS rows,
    encode(head, 'hex') AS head, encode(root, 'hex') AS root, encode(previous, 'hex') AS previous, sealed_at, key_id,
    encode(signature, 'hex') AS signature FROM checkpoints WHERE lane = $1 ORDER BY number"""


@dataclass(frozen=True, slots=True)
class Outside:
    """The checkpoints outside the database, as they were before the snapshot was taken: lane to bytes of its file."""

    files: CheckpointFiles
    sizes: Mapping[int, int]

    @classmethod
    def now(cls, url: str) -> "Outside":
        """What is there now. Raises SinkUnavailable."""
        files = CheckpointFiles.at(url)
        return cls(files, files.sizes())

    async def read(self, lane: int, findings: Findings) -> AsyncIterator[Checkpoint]:
        """A lane's checkpoints. A line that is none is a finding, and the last that is read."""
        try:
            for checkpoint in self._lines(lane):
                yield checkpoint
        except IntegrityViolation as error:
            findings.add(0, str(error))

    def _lines(self, lane: int) -> Iterator[Checkpoint]:
        return self.files.read(lane, self.sizes[lane]) if lane in self.sizes else iter(())


async def chained(
    connection: AsyncConnection,
    keys: ChainKeys,
    public: PublicKeys,
    outside: Outside | None,
    progress: Progress = lambda rows: None,
) -> Check:
    """Every row follows from the one before it, every checkpoint holds its rows, every lane ends where it says."""
    check = Check("chain and checkpoints verified")
    rows = (await connection.execute(_LANES)).all()
    since = (await connection.execute(_NOW)).scalar_one() - ANCHORED_WITHIN
    entries = {row.lane: (row.position, row.head) for row in rows if row.position is not None}
    stray = {row.lane for row in rows if row.has_rows} - entries.keys()
    lanes = sorted({row.lane for row in rows}.union(outside.sizes if outside else ()))
    total = Walked()
    await read_along_the_key(connection)
    for lane in lanes:
        findings = Findings(f"lane {lane}")
        inside = table_checkpoints(connection, lane)
        anchored = outside.read(lane, findings) if outside else None
        seals = trusted(inside, anchored, public, findings, since)
        walked = await walk(pages(connection, lane), seals, keys, findings, progress)
        position, head = entries.get(lane, (0, GENESIS))
        if lane in stray:
            findings.add(walked.position, "the lane has rows and no entry among the lanes")
        elif (position, head) != (walked.position, walked.head):
            findings.add(walked.position, f"is the last, the lane says {position}: its tail is cut or added to")
        check.findings += findings.lines()
        total.rows += walked.rows
        total.sealed += walked.sealed
        total.checkpoints += walked.checkpoints
    check.looked_at = looked_at(total, len(lanes))
    return check


def looked_at(total: Walked, lanes: int) -> str:
    """What was walked over, in words."""
    unsealed = total.rows - total.sealed
    tail = f", {unsealed} rows not sealed yet" if unsealed > 0 else ""
    return f"{total.rows} rows in {lanes} lanes, {total.checkpoints} checkpoints{tail}"


async def read_along_the_key(connection: AsyncConnection) -> None:
    """Before `pages`: no lane is sorted first, as a planner without statistics may want to, in room for all of it."""
    await connection.execute(_ALONG_THE_KEY)


async def pages(connection: AsyncConnection, lane: int) -> AsyncIterator[Sequence[Entry]]:
    """A lane's rows in order. The content is formed by PostgreSQL: nothing here costs more than hashing it."""
    raw = await database.driver(connection)
    cursor = await raw.cursor(_ROWS, lane)
    while page := await cursor.fetch(ROWS_PER_FETCH):
        yield page


async def table_checkpoints(connection: AsyncConnection, lane: int) -> AsyncIterator[Checkpoint]:
    """A lane's checkpoints in order."""
    raw = await database.driver(connection)
    cursor = await raw.cursor(_CHECKPOINTS, lane)
    while page := await cursor.fetch(ROWS_PER_FETCH):
        for row in page:
            # As it stands there, whatever it is: what is wrong with it is for the signature to show.
            yield Checkpoint.model_construct(**dict(row))
