"""The services behind the gateway, made up and in memory."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import orjson

from shared.contracts.checkpoints import Receipt
from shared.contracts.commands import Command, decode
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import ENTRIES, LIMIT_KINDS, MOVES_NOTHING, NO_ENTRY, Account, Kind, Reason, Status
from shared.contracts.limits import LimitName
from shared.contracts.readings import Check, CurrencyMetrics, Dispute, HeldPayout, LimitReading, LimitUse, PlayerMetrics
from shared.contracts.replies import Outcome, Reply
from shared.errors import CommandIdReused, LangSenseError
from shared.lanes import lane_of
from shared.testing import MOMENT
from tests.support import LANES

PLAYER = 42
OTHER_PLAYER = 43

MOMENT_TEXT = "2026-11-24T10:00:00Z"
RECONCILIATION: dict[str, Any] = {
    **{"cause": "on_demand", "requested_at": MOMENT_TEXT, "status": "requested", "started_at": None},
    **{"finished_at": None, "rows": None, "discrepancy_count": None, "discrepancies": [], "truncated": False},
}
_NOWHERE = dict.fromkeys(("user_id", "currency", "account", "position"))
FINISHED: dict[str, Any] = {
    **{"status": "finished", "started_at": MOMENT_TEXT, "finished_at": MOMENT_TEXT, "rows": 9},
    "discrepancy_count": 4,
    "discrepancies": [
        {**_NOWHERE, "kind": "conservation", "lane": 1, "currency": "JPY", "expected": "0", "found": "5"},
        {**_NOWHERE, "kind": "position_gap", "lane": 1, "position": 7, "expected": "7", "found": None},
        {
            **{"kind": "balance", "lane": 1, "user_id": PLAYER, "currency": "USD", "account": "cash", "position": 8},
            **{"expected": str(2**63), "found": "-5"},
        },
        {**_NOWHERE, "kind": "stored_balance", "lane": 1, "currency": "???", "expected": "100", "found": "0"},
    ],
}
STATE: dict[str, Any] = {
    "lanes": [
        {
            **{"lane": 1, "position": 9, "head": "ab" * 32, "checkpoint_number": 2, "checkpoint_position": 7},
            **{"unsealed_rows": 2, "oldest_unsealed_s": 1.5},
        }
    ],
    "conservation": [{"currency": "JPY", "sum": "5"}, {"currency": "USD", "sum": "0"}],
    "last_reconciliation": {
        **{"id": str(UUID(int=1)), "from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"},
        **{"finished_at": MOMENT_TEXT, "discrepancy_count": 4},
    },
    "consistent": False,
}

_COMPARED = ("kind", "user_id", "amount_minor", "currency", "reference_id", "round_id", "provider")


@dataclass
class FakeAsked:
    """A command that was asked: its reply is there, or never comes."""

    outcome: Reply | LangSenseError | None

    async def reply(self, within_s: float) -> Reply | None:
        if isinstance(self.outcome, LangSenseError):
            raise self.outcome
        return self.outcome if within_s > 0 else None


@dataclass
class FakeWallet:
    """A wallet in memory, and the link to it.

    `away` is raised instead of sending, `lost` instead of a reply; while `silent`, nothing is decided.
    """

    away: LangSenseError | None = None
    silent: bool = False
    lost: LangSenseError | None = None
    asked: list[Command] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    rows: dict[UUID, LedgerEvent] = field(default_factory=dict)
    undecided: dict[UUID, Command] = field(default_factory=dict)
    cash_minor: dict[tuple[int, str], int] = field(default_factory=dict)
    receipts: dict[UUID, Receipt] = field(default_factory=dict)
    reconciliations: list[dict[str, Any]] = field(default_factory=list)
    # How often a reconciliation is looked at until it is finished; None: there is no answer any more.
    looks: int | None = 1
    too_many: bool = False
    # What is said of a kind instead of a decision of its own, and what is answered to reads of limits and play.
    refusals: dict[Kind, tuple[Reason, dict[str, Any]]] = field(default_factory=dict)
    disputes: dict[UUID, Dispute] = field(default_factory=dict)
    limits: list[LimitReading] = field(default_factory=list)
    held: list[HeldPayout] = field(default_factory=list)
    check: Check | None = None
    checked: list[Command] = field(default_factory=list)

    async def ask(self, command: Command, *, request_id: str, traceparent: str | None = None) -> FakeAsked:
        if self.away is not None:
            raise self.away
        self.asked.append(command)
        self.request_ids.append(request_id)
        if self.lost is not None:
            return FakeAsked(self.lost)
        if self.silent:
            self.undecided[command.command_id] = command
            return FakeAsked(None)
        return FakeAsked(self.decide(command))

    def pending(self, command_id: UUID) -> Command | None:
        return self.undecided.get(command_id)

    def decide(self, command: Command) -> Reply:
        """The decision that is there, or a new one; as the wallet does it, as far as the gateway can tell."""
        self.undecided.pop(command.command_id, None)
        existing = self.rows.get(command.command_id)
        if existing is None:
            row = self.rows[command.command_id] = self._row(command)
            return Reply(command_id=command.command_id, outcome=Outcome.DECIDED, transaction=row)
        for name in _COMPARED:
            # The amount of what moves nothing is kept among the facts.
            then = (existing.facts or {}).get("asked_minor") if name == "amount_minor" else None
            if getattr(command, name) != (getattr(existing, name) if then is None else then):
                error = CommandIdReused(name)
                return Reply(
                    command_id=command.command_id, outcome=Outcome.REJECTED, code=error.code, detail=str(error)
                )
        return Reply(command_id=command.command_id, outcome=Outcome.DECIDED, replayed=True, transaction=existing)

    def _row(self, command: Command) -> LedgerEvent:
        entry = ENTRIES[command.kind]
        account = (command.user_id, command.currency)
        cash = self.cash_minor.get(account, 0)
        reason: Reason | None = None
        facts: dict[str, Any] | None = None
        amount = command.amount_minor
        if command.kind in self.refusals:
            reason, facts = self.refusals[command.kind]
        elif command.kind in MOVES_NOTHING:
            facts, amount = {"before": 50_000, "after": amount, "after_override": amount, "asked_minor": amount}, 0
        elif command.kind is Kind.BET_ROLLBACK:
            reason, amount = Reason.ORIGINAL_NOT_SEEN, 0
        elif entry.debit is Account.CASH and cash < amount:
            reason, facts = Reason.INSUFFICIENT_FUNDS, {"available_minor": cash}
        refused = reason not in {None, Reason.ORIGINAL_NOT_SEEN}
        if not refused and amount:
            cash += amount if entry.credit is Account.CASH else -amount
            self.cash_minor[account] = cash
        return LedgerEvent(
            lane=lane_of(command.user_id, LANES),
            position=len(self.rows) + 1,
            command_id=command.command_id,
            kind=command.kind,
            status=Status.REFUSED if refused else Status.POSTED,
            reason=reason,
            user_id=command.user_id,
            amount_minor=0 if refused and entry == NO_ENTRY else amount,
            currency=command.currency,
            debit=entry.debit,
            credit=entry.credit,
            provider=command.provider,
            reference_id=command.reference_id,
            round_id=command.round_id,
            stated_reason=command.reason,
            actor=command.actor,
            cash_minor=cash,
            reserved_minor=0,
            facts=facts,
            occurred_at=command.occurred_at,
            created_at=MOMENT,
            key_id="k1",
            checksum="ab" * 32,
        )

    def _read(self, row: LedgerEvent) -> dict[str, Any]:
        found = self.disputes.get(row.command_id)
        return row.model_dump(mode="json") | {"dispute": None if found is None else found.model_dump(mode="json")}

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """The wallet service's internal endpoints."""
        parts = request.url.path.strip("/").split("/")
        if parts[0] == "integrity":
            return _found(STATE)
        if parts[0] == "reconciliations":
            return self._reconciliation(request, parts[1:])
        if parts[0] == "transactions":
            row = self.rows.get(UUID(parts[1]))
            if row is not None and parts[2:] == ["receipt"]:
                return _receipt(self.receipts.get(row.command_id))
            return _found(None if row is None else self._read(row))
        if parts[0] == "limit-checks":
            self.checked.append(decode(request.content))
            return _found(None if self.check is None else self.check.model_dump(mode="json"))
        if parts[0] == "held-payouts":
            held = self.held[: int(request.url.params["limit"])]
            return _found([each.model_dump(mode="json") for each in held])
        user_id = int(parts[1])
        if parts[2] == "limits":
            return _found([each.model_dump(mode="json") for each in self.limits])
        if parts[2] == "restrictions":
            return _found(_restrictions(user_id))
        if parts[2] == "metrics":
            return _found(_metrics(user_id, int(request.url.params["days"])))
        if parts[2] in {"transactions", "limit-changes"}:
            before = int(request.url.params.get("before", 2**63))
            kinds = LIMIT_KINDS if parts[2] == "limit-changes" else frozenset(Kind)
            rows = [
                row
                for row in self.rows.values()
                if row.user_id == user_id and row.position < before and row.kind in kinds
            ]
            rows.sort(key=lambda row: -row.position)
            return _found([self._read(row) for row in rows[: int(request.url.params["limit"])]])
        if parts[2] == "balance-audit":
            return _found(_audit(user_id) if (user_id, "USD") in self.cash_minor else None)
        balances = [
            {"currency": currency, "cash_minor": cash, "reserved_minor": 0}
            for (owner, currency), cash in sorted(self.cash_minor.items())
            if owner == user_id
        ]
        # Made up: the same at all times.
        past = {"as_of": request.url.params["as_of"], "position": 7} if "as_of" in request.url.params else {}
        return _found({"user_id": user_id, "balances": balances, **past} if balances else None)

    def _reconciliation(self, request: httpx2.Request, parts: list[str]) -> httpx2.Response:
        if request.method == "POST":
            if self.too_many:
                return httpx2.Response(429, headers={"Retry-After": "60"}, json={"detail": "later"})
            number = len(self.reconciliations) + 1
            made = {**RECONCILIATION, **orjson.loads(request.content), "id": str(UUID(int=number)), "number": number}
            self.reconciliations.append(made)
            return _found(made)
        if parts:
            found = next((each for each in self.reconciliations if each["id"] == parts[0]), None)
            if self.looks is None:
                return httpx2.Response(503)
            if found is not None:
                self.looks -= 1
                found |= FINISHED if self.looks <= 0 else {"status": "running"}
            return _found(found)
        before = int(request.url.params.get("before", 2**63))
        listed = [each for each in reversed(self.reconciliations) if each["number"] < before]
        return _found(listed[: int(request.url.params["limit"])])


def _metrics(user_id: int, days: int) -> dict[str, Any]:
    uses = {LimitName.DAILY_LOSS_LIMIT: LimitUse(limit_minor=None, used_minor=-5, remaining_minor=None)}
    metrics = CurrencyMetrics(bets_minor=1050, net_minor=-5, limits=uses)
    found = PlayerMetrics(
        user_id=user_id, days=days, since=MOMENT, until=MOMENT, days_active=1, currencies={"USD": metrics}
    )
    return found.model_dump(mode="json")


def _restrictions(user_id: int) -> dict[str, Any]:
    block = {"since": MOMENT_TEXT, "until": None, "reason": "three cards"}
    none = {"exclusion": None, "excluded_until": None}
    return {"user_id": user_id, **none, "tier": "UNVERIFIED", "blocked": True, "block": block}


def _audit(user_id: int) -> dict[str, Any]:
    account = {"currency": "USD", "cash_minor": 1050, "reserved_minor": 0, "folded_cash_minor": 1000}
    finding = {"position": 7, "what": "checksum mismatch"}
    return {"user_id": user_id, "accounts": [account], "findings": [finding], "consistent": False}


def _receipt(found: Receipt | None) -> httpx2.Response:
    if found is None:
        return httpx2.Response(409, headers={"Retry-After": "7"}, json={"code": "NOT_SEALED_YET", "detail": "later"})
    return _found(found.model_dump(mode="json"))


def _found(content: Any) -> httpx2.Response:
    if content is None:
        return httpx2.Response(404, json={"code": "NOT_FOUND", "detail": "there is no such thing"})
    return httpx2.Response(200, content=orjson.dumps(content))


REASON: dict[str, Any] = {
    **{"rule": "bet_velocity", "version": 1, "severity": "low", "feature": "peak_bets_per_minute"},
    **{"seen": 11, "against": 10, "points_milli": 10_000, "seen_at": MOMENT_TEXT},
    **{"text": "11 bets in one minute; the threshold is 10", "evidence": ["0/11"]},
}
SCORE: dict[str, Any] = {
    **{"user_id": PLAYER, "score": 10, "level": "SAFE", "at": MOMENT_TEXT, "rules_revision": 1},
    **{"latest_event_at": MOMENT_TEXT, "reasons": [REASON], "shadow": []},
}


def elsewhere(request: httpx2.Request) -> httpx2.Response:
    """The fraud and the metrics service's internal endpoints."""
    if request.url.host == "fraud":
        _, _, user_id, *what = request.url.path.split("/")
        if user_id != str(PLAYER):
            return _found(None)
        return _found(SCORE if what == ["fraud-score"] else {"user_id": PLAYER, "bets_last_minute": 3})
    kinds = {"GAME_BET": {"posted": 2, "refused": 0, "amount_minor": 3000}}
    currencies = {"JPY": {"kinds": kinds, "ggr_minor": 3000, "refusals": {}}, "USD": {"ggr_minor": -5}}
    return _found({"date": request.url.path[-10:], "currencies": currencies, "positions": {"0": 7}})


COMPLIANCE_AUDIT: dict[str, Any] = {
    "id": "00000000-0000-0000-0000-000000000001",
    "from": "2026-10-01T00:00:00Z",
    "to": "2026-11-01T00:00:00Z",
    "requested_at": "2026-11-24T10:00:00Z",
    "requested_by": "<ann>",
    "figures": {
        "players": 3,
        "verified": 2,
        "tiers": {"UNVERIFIED": 1, "VERIFIED": 2},
        "exclusions_in_force": {"PERMANENT": 1},
        "breach_count": 0,
        "breaches": [],
        "limit_changes": {"LIMIT_REQUEST": 2},
        "raises_requested": 1,
        "waits": {"confirmed": 1, "early": 0, "shortest_s": 90_000, "longest_s": 90_000},
        "large_deposits": {
            "count": 1,
            "listed": [{"user_id": 42, "currency": "USD", "amount": 1_000_000, "at": "2026-10-05T10:00:00Z"}],
        },
        "structured_deposits": {"count": 0, "listed": []},
        "positions": {"0": 7},
        "documents_expiring": {"2026-12": 1},
        "reviews_open": {"1 to 7 days": 1},
    },
}


@dataclass
class FakeCompliance:
    """The compliance service's records, in memory."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    available: bool = True

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not self.available:
            return httpx2.Response(503)
        self.asked.append(request.url.query.decode())
        if request.url.path == "/audit-entries":
            self.entries += orjson.loads(request.content)["entries"]
            return _found({"entries": []})
        if request.url.path == "/audit-log":
            return _found([_entry(number) for number in (9, 8, 7)][: int(request.url.params["limit"])])
        if request.url.path == "/compliance-audits" and request.method == "GET":
            return _found([{**COMPLIANCE_AUDIT, "breach_count": 0}])
        if request.method == "POST":
            return _found({**COMPLIANCE_AUDIT, **orjson.loads(request.content)})
        return _found(COMPLIANCE_AUDIT if request.url.path.endswith(COMPLIANCE_AUDIT["id"]) else None)


def _entry(number: int) -> dict[str, Any]:
    nothing = dict.fromkeys(("user_id", "reason", "before", "after", "request_id"))
    seal = {"key_id": "a1", "previous": "00" * 32, "checksum": "11" * 32}
    return {"number": number, "at": "2026-11-24T10:00:00Z", "actor": "ann", "action": "EXPORT", **nothing, **seal}
