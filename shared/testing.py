"""Fakes of what the services stand on, each held to the real thing by one contract test; and ready-made ledger rows."""

import hmac
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from shared.contracts.events import LaneHead, LedgerEvent
from shared.contracts.kinds import ENTRIES, NEEDS_PROVIDER, Kind, Reason, Status
from shared.errors import ServiceUnavailable
from shared.lanes import lane_of
from shared.signing import GENESIS

MOMENT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@dataclass(slots=True)
class FakeLedger:
    """A ledger in memory: makes rows as the wallet would number them, and is the `Journal` of all it made.

    While `available` is False it does not answer, and counts in `refused` how often it was asked.
    """

    lanes: int
    available: bool = True
    refused: int = 0
    _rows: dict[int, list[LedgerEvent]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self,
        kind: Kind,
        user_id: int,
        amount_minor: int = 1000,
        *,
        currency: str = "USD",
        reason: Reason | None = None,
        status: Status | None = None,
        at: datetime = MOMENT,
    ) -> LedgerEvent:
        """The next row of the player's lane: refused where there is a reason, unless `status` says otherwise."""
        lane = lane_of(user_id, self.lanes)
        rows = self._rows[lane]
        entry = ENTRIES[kind]
        previous = bytes.fromhex(rows[-1].checksum) if rows else GENESIS
        row = LedgerEvent(
            lane=lane,
            position=len(rows) + 1,
            command_id=uuid4(),
            kind=kind,
            status=status or (Status.REFUSED if reason else Status.POSTED),
            reason=reason,
            user_id=user_id,
            amount_minor=amount_minor,
            currency=currency,
            debit=entry.debit,
            credit=entry.credit,
            provider="bank" if kind in NEEDS_PROVIDER else None,
            cash_minor=0,
            reserved_minor=0,
            occurred_at=at,
            created_at=at,
            key_id="k1",
            # Looks like a chain and is none: whoever verifies one makes its rows with the real keys.
            checksum=hmac.digest(b"fake", previous, "sha256").hex(),
        )
        rows.append(row)
        return row

    def all(self) -> list[LedgerEvent]:
        """Every row, lane by lane, in order."""
        return [row for lane in sorted(self._rows) for row in self._rows[lane]]

    async def heads(self) -> Sequence[LaneHead]:
        """As `Journal.heads`."""
        self._check()
        return [
            LaneHead(lane=lane, position=len(rows), published=len(rows), head=rows[-1].checksum)
            for lane, rows in sorted(self._rows.items())
        ]

    async def rows(self, lane: int, after: int, limit: int) -> Sequence[LedgerEvent]:
        """As `Journal.rows`."""
        self._check()
        return self._rows.get(lane, [])[after : after + limit]

    def _check(self) -> None:
        if not self.available:
            self.refused += 1
            raise ServiceUnavailable("the wallet service does not answer")
