"""What goes into a pack, in the memory of one checkpoint: journal rows, and entries of the audit log."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.evidence.manifest import AuditReceipt, Scope
from ops.proof import audit_archive
from ops.proof.audit import audit_checkpoints
from ops.proof.audit import pages as audit_pages
from ops.proof.journal import ROWS_PER_FETCH, read_along_the_key, table_checkpoints
from shared import audit, database
from shared.audit import AuditRow
from shared.checkpoints import leaf_of, proofs
from shared.contracts.checkpoints import Checkpoint, Receipt
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import LIMIT_KINDS, PLAYER_KINDS, Status
from shared.errors import IntegrityViolation
from shared.signing import CONTENT_SQL, GENESIS, Entry, fields_of_content

# What a period's pack has of everyone: what protects players, and what was refused.
WATCHED_KINDS = sorted(LIMIT_KINDS | PLAYER_KINDS)

_LANES = text("SELECT lane FROM lanes ORDER BY lane")
_FIRST = text("SELECT min(number) FROM audit_log")
_ROWS = f"SELECT t.position, t.checksum, {CONTENT_SQL} FROM transactions t WHERE t.lane = $1"  # noqa: S608
_SEALED = f"{_ROWS} AND t.position BETWEEN $2 AND $3 ORDER BY t.position"
_SOUGHT = f"""{_ROWS} AND ($2::bigint IS NULL OR t.user_id = $2)
    AND ($3::timestamptz IS NULL OR t.created_at >= $3) AND ($4::timestamptz IS NULL OR t.created_at < $4)
    AND ($2::bigint IS NOT NULL OR t.status = '{Status.REFUSED}' OR t.kind = ANY($5)) ORDER BY t.position"""

AuditPages = AsyncIterator[Sequence[tuple[AuditRow, bytes]]]
Proven = tuple[AuditRow, bytes, bytes]


async def journal_rows(connection: AsyncConnection, scope: Scope) -> AsyncIterator[Receipt | LedgerEvent]:
    """The rows of the wallet's snapshot, lane by lane; one without a checkpoint as it is."""
    await read_along_the_key(connection)
    for lane in (await connection.execute(_LANES)).scalars().all():
        seals = table_checkpoints(connection, lane)
        seal = await anext(seals, None)
        under = list[Entry]()
        async for entry in _sought(connection, lane, scope):
            while seal is not None and seal.last_position < entry[0]:
                for receipt in await _receipts(connection, seal, under):
                    yield receipt
                under, seal = [], await anext(seals, None)
            if seal is None:
                yield _event(lane, entry)
            else:
                under.append(entry)
        if seal is not None:
            for receipt in await _receipts(connection, seal, under):
                yield receipt


async def _sought(connection: AsyncConnection, lane: int, scope: Scope) -> AsyncIterator[Entry]:
    raw = await database.driver(connection)
    cursor = await raw.cursor(_SOUGHT, lane, *scope, WATCHED_KINDS)
    while page := await cursor.fetch(ROWS_PER_FETCH):
        for position, checksum, content in page:
            yield position, checksum, content


async def _receipts(connection: AsyncConnection, seal: Checkpoint, entries: Sequence[Entry]) -> list[Receipt]:
    if not entries:
        return []
    raw = await database.driver(connection)
    rows = await raw.fetch(_SEALED, seal.lane, seal.first_position, seal.last_position)
    leaves = [leaf_of(checksum, content) for _, checksum, content in rows]
    proven = proofs(seal, leaves, [position for position, _, _ in entries])
    return [
        Receipt(row=_event(seal.lane, entry), proof=proof, checkpoint=seal)
        for entry, proof in zip(entries, proven, strict=True)
    ]


def _event(lane: int, entry: Entry) -> LedgerEvent:
    position, checksum, content = entry
    fields = fields_of_content(content)
    if fields is None:
        raise IntegrityViolation(f"lane {lane}, position {position}: is no row as the wallet writes it; verify first")
    return LedgerEvent.model_validate(fields | {"checksum": checksum.hex()})


async def audit_entries(connection: AsyncConnection, scope: Scope, archive: Path | None) -> AsyncIterator[AuditReceipt]:
    """The entries of the compliance service's snapshot, after those of the archive."""
    seals = audit_checkpoints(connection)
    seal = await anext(seals, None)
    leaves, under, previous = list[bytes](), list[Proven](), GENESIS
    async for row, checksum in _log(connection, archive):
        while seal is not None and seal.last_position < row.number:
            if seal.last_position == row.number - 1:
                # Where the log begins after its archive, this is what the first entry follows.
                previous = bytes.fromhex(seal.head)
            seal = await anext(seals, None)
        if scope.has(row.user_id, row.at):
            under.append((row, checksum, previous))
        previous = checksum
        if seal is None:
            for each in under:
                yield _receipt(each)
            under = []
            continue
        leaves.append(leaf_of(checksum, audit.content(row)))
        if row.number == seal.last_position:
            found = proofs(seal, leaves, [each[0].number for each in under])
            for each, proof in zip(under, found, strict=True):
                yield _receipt(each, proof=proof, checkpoint=seal)
            leaves, under = [], []
    for each in under:
        yield _receipt(each)


async def first_entry(connection: AsyncConnection, archive: Path | None) -> int:
    """The number of the first entry that is there to be looked at; 1 where there is none."""
    inside: int | None = await connection.scalar(_FIRST)
    archived = (page[0][0].number for file in _files(archive) for page in audit_archive.read(file))
    return next(archived, inside or 1)


def _files(archive: Path | None) -> Sequence[Path]:
    return audit_archive.files(archive) if archive else []


async def _log(connection: AsyncConnection, archive: Path | None) -> AsyncIterator[tuple[AuditRow, bytes]]:
    after = 0
    for file in _files(archive):
        for page in audit_archive.read(file):
            for entry in page:
                yield entry
            after = page[-1][0].number
    async for page in audit_pages(connection, after):
        for entry in page:
            yield entry


def _receipt(entry: Proven, **proven: Any) -> AuditReceipt:
    row, checksum, previous = entry
    fields = row._asdict() | {"checksum": checksum.hex(), "previous": previous.hex()}
    return AuditReceipt.model_validate(fields | {"proof": None, "checkpoint": None} | proven)
