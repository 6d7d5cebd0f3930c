"""One lane's rows beside its checkpoints, wherever both come from, in the memory of one checkpoint."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops.proof.check import MAX_FINDINGS
from shared import merkle
from shared.checkpoints import PublicKeys, leaf_of, wrong_successor
from shared.contracts.checkpoints import Checkpoint
from shared.signing import GENESIS, ChainKeys, Entry, key_id_of

EVER = datetime.min.replace(tzinfo=UTC)
Progress = Callable[[int], object]


@dataclass(slots=True)
class Findings:
    """What is wrong in one place, such as a lane: the first few findings, and how many there are."""

    place: str
    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, position: int, what: str) -> None:
        """Note what is wrong at a position."""
        self.count += 1
        if len(self.first) < MAX_FINDINGS:
            self.first.append(f"{self.place}, position {position}: {what}")

    def lines(self) -> list[str]:
        """The findings, and a last line for those that are left out."""
        more = self.count - len(self.first)
        return [*self.first, f"{self.place}: {more} findings more"] if more else self.first


@dataclass(slots=True)
class Walked:
    """What was walked over: the last position and its checksum, and how many rows are under checkpoints."""

    position: int = 0
    head: bytes = GENESIS
    rows: int = 0
    sealed: int = 0
    checkpoints: int = 0


async def trusted(
    table: AsyncIterator[Checkpoint],
    outside: AsyncIterator[Checkpoint] | None,
    public: PublicKeys,
    findings: Findings,
    anchored_since: datetime = EVER,
) -> AsyncIterator[Checkpoint]:
    """A lane's checkpoints in order, each held to the one before it, to its signature, and to its copy outside.

    Where the two differ, the one outside counts. One that is not as it must be is a finding, and is left out. What was
    sealed before `anchored_since` has to be outside too.
    """
    before: Checkpoint | None = None
    missed = False
    async for inside, anchored in _paired(table, outside):
        checkpoint = anchored or inside
        assert checkpoint is not None
        if anchored is not None and inside != anchored:
            what = "is not in the table" if inside is None else "in the table is not the one outside"
            findings.add(anchored.last_position, f"checkpoint {anchored.number} {what}")
        elif outside is not None and anchored is None and not missed and checkpoint.sealed_at < anchored_since:
            missed = True
            findings.add(checkpoint.last_position, f"checkpoint {checkpoint.number} is not outside the database")
        wrong = public.problem(checkpoint) or wrong_successor(checkpoint, before)
        if wrong is None:
            yield checkpoint
        else:
            findings.add(checkpoint.last_position, f"checkpoint {checkpoint.number} {wrong}")
        before = checkpoint


async def _paired(
    table: AsyncIterator[Checkpoint], outside: AsyncIterator[Checkpoint] | None
) -> AsyncIterator[tuple[Checkpoint | None, Checkpoint | None]]:
    """Both sides by number; None where one has none of it."""
    inside = await anext(table, None)
    anchored = await anext(outside, None) if outside else None
    while inside or anchored:
        number = min(each.number for each in (inside, anchored) if each)
        left = inside if inside and inside.number == number else None
        right = anchored if anchored and anchored.number == number else None
        yield left, right
        if left:
            inside = await anext(table, None)
        if right:
            assert outside is not None
            anchored = await anext(outside, None)


async def walk(
    pages: AsyncIterator[Sequence[Entry]],
    checkpoints: AsyncIterator[Checkpoint],
    chain: ChainKeys | None,
    findings: Findings,
    progress: Progress,
    start: tuple[int, bytes] = (0, GENESIS),
) -> Walked:
    """Hold each row to the one before it (where there are keys for it) and each checkpoint to its rows.

    It begins after the row at `start`, given by its position and its checksum. After a wrong row it goes on from what
    stands there: one altered row is one finding, not one for each row after it.
    """
    walked, leaves = Walked(), list[bytes]()
    seal = await anext(checkpoints, None)
    position, head = start
    # Neighbours have the same key, so it is looked up once for many rows.
    key_id, last_line, digest = "", b"\n", None
    async for page in pages:
        for at, checksum, content in page:
            if at != position + 1:
                findings.add(at, f"follows position {position}: rows are missing or out of order")
                leaves.clear()
            elif chain is not None:
                if not content.endswith(last_line):
                    key_id = key_id_of(content)
                    last_line, digest = f"\n{key_id}".encode(), chain.digest_with(key_id)
                if digest is None:
                    findings.add(at, f"is signed with key {key_id!r}, which is not known here")
                elif digest(head + content) != checksum:
                    findings.add(at, "verification error: checksum mismatch")
            position, head = at, checksum
            while seal is not None and seal.last_position < at:
                findings.add(at, _not_sealed(seal))
                seal = await anext(checkpoints, None)
            if seal is not None and seal.first_position <= at:
                leaves.append(leaf_of(checksum, content))
                if at == seal.last_position:
                    if not _holds(seal, leaves, head):
                        findings.add(at, _not_sealed(seal))
                    walked.sealed, walked.checkpoints = walked.sealed + seal.rows, walked.checkpoints + 1
                    leaves.clear()
                    seal = await anext(checkpoints, None)
        walked.rows += len(page)
        progress(len(page))
    walked.position, walked.head = position, head
    if seal is not None:
        findings.add(position, f"is the last, and checkpoint {seal.number} sealed rows up to {seal.last_position}")
        # What is left is held to its signatures all the same.
        async for _ in checkpoints:
            pass
    return walked


def _holds(seal: Checkpoint, leaves: Sequence[bytes], head: bytes) -> bool:
    return len(leaves) == seal.rows and head.hex() == seal.head and merkle.root(leaves).hex() == seal.root


def _not_sealed(seal: Checkpoint) -> str:
    return f"rows {seal.first_position} to {seal.last_position} are not what checkpoint {seal.number} sealed"
