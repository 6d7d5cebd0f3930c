"""The audit log: every entry in its place in the chain, and under the checkpoints that were signed for it.

What was archived is read from its files, and what is left from the database; together they are one chain. Without the
archive's folder the chain begins where the log says itself that everything before was archived.
"""

from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.proof import audit_archive
from ops.proof.check import Check
from ops.proof.journal import ANCHORED_WITHIN, ROWS_PER_FETCH, Outside
from ops.proof.walk import Findings, Progress, trusted, walk
from shared import database
from shared.audit import CHAIN, AuditRow, content
from shared.checkpoints import PublicKeys
from shared.contracts.checkpoints import Checkpoint
from shared.contracts.fields import MAX_INT64
from shared.errors import IntegrityViolation
from shared.signing import GENESIS, ChainKeys, Entry

ARCHIVED = "AUDIT_LOG_ARCHIVED"

_ROWS = """SELECT number, at, actor, action, user_id, reason, before::text, after::text, request_id, key_id, checksum
    FROM audit_log WHERE number > $1 AND number <= $2 ORDER BY number"""
_CHECKPOINTS = """SELECT 0 AS lane, number, first_position, last_position,
    last_position - first_position + 1 AS rows, encode(head, 'hex') AS head, encode(root, 'hex') AS root,
    encode(previous, 'hex') AS previous, sealed_at, key_id, encode(signature, 'hex') AS signature
    FROM audit_checkpoints ORDER BY number"""
_FIRST = text("SELECT min(number) FROM audit_log")
_HEAD = text("SELECT number, checksum, now() FROM audit_head")
_SAID = text(f"SELECT max((after->>'through')::bigint) FROM audit_log WHERE action = '{ARCHIVED}'")  # noqa: S608


async def audited(
    connection: AsyncConnection,
    keys: ChainKeys,
    public: PublicKeys,
    outside: Outside | None,
    archive: Path | None = None,
    progress: Progress = lambda rows: None,
) -> Check:
    """Every entry follows from the one before it, every checkpoint holds its entries, the log ends where it says."""
    check, findings = Check("audit log verified"), Findings("audit log")
    number, head, now = (await connection.execute(_HEAD)).one()
    anchored = outside.read(CHAIN, findings) if outside else None
    seals = trusted(audit_checkpoints(connection), anchored, public, findings, now - ANCHORED_WITHIN)
    files = audit_archive.files(archive) if archive else []
    start = (0, GENESIS)
    first: int | None = await connection.scalar(_FIRST)
    if not files and first is not None and first > 1:
        start, seals = await _after_the_archive(connection, first, seals, findings)
    try:
        walked = await walk(_pages(connection, files, start[0]), seals, keys, findings, progress, start)
    except IntegrityViolation as error:
        findings.add(0, str(error))
    else:
        if (number, head) != (walked.position, walked.head):
            findings.add(walked.position, f"is the last, the log says {number}: its tail is cut or added to")
        unsealed = walked.rows - walked.sealed
        check.looked_at = f"{walked.rows} entries, {walked.checkpoints} checkpoints, {unsealed} entries not sealed yet"
    check.findings = findings.lines()
    return check


async def pages(
    connection: AsyncConnection, after: int, through: int = MAX_INT64
) -> AsyncIterator[Sequence[tuple[AuditRow, bytes]]]:
    """The log's rows above one number up to another, in order, each with its checksum. A transaction has begun."""
    raw = await database.driver(connection)
    cursor = await raw.cursor(_ROWS, after, through)
    while page := await cursor.fetch(ROWS_PER_FETCH):
        yield [(AuditRow(*islice(row.values(), len(AuditRow._fields))), row["checksum"]) for row in page]


async def _pages(connection: AsyncConnection, files: Sequence[Path], after: int) -> AsyncIterator[Sequence[Entry]]:
    for file in files:
        for page in audit_archive.read(file):
            yield [_entry(row, checksum) for row, checksum in page]
            after = page[-1][0].number
    async for page in pages(connection, after):
        yield [_entry(row, checksum) for row, checksum in page]


def _entry(row: AuditRow, checksum: bytes) -> Entry:
    return row.number, checksum, content(row)


async def audit_checkpoints(connection: AsyncConnection) -> AsyncIterator[Checkpoint]:
    """The log's checkpoints in order."""
    raw = await database.driver(connection)
    cursor = await raw.cursor(_CHECKPOINTS)
    while page := await cursor.fetch(ROWS_PER_FETCH):
        for row in page:
            # As it stands there, whatever it is: what is wrong with it is for the signature to show.
            yield Checkpoint.model_construct(**dict(row))


async def _after_the_archive(
    connection: AsyncConnection, first: int, seals: AsyncIterator[Checkpoint], findings: Findings
) -> tuple[tuple[int, bytes], AsyncIterator[Checkpoint]]:
    """Where the chain begins without its archive: after a checkpoint up to which, says the log, all is archived."""
    said: int | None = await connection.scalar(_SAID)
    if said is None or said < first - 1:
        findings.add(first, "is the first, and the log does not say that what was before is archived")
    async for seal in seals:
        if seal.last_position == first - 1:
            return (first - 1, bytes.fromhex(seal.head)), seals
        if seal.last_position >= first:
            break
    findings.add(first, "is the first, and does not follow a checkpoint")
    return (0, GENESIS), seals
