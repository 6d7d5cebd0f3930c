"""Who asks, and what they may: roles give scopes, routes need scopes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid4, uuid5

from shared.contracts.actors import RESERVED
from shared.contracts.fields import MAX_INT64, MAX_TEXT
from shared.contracts.kinds import BLOCK_KINDS, DISPUTE_KINDS, GAME_KINDS, OVERRIDE_KINDS, REQUEST_KINDS, Kind
from shared.errors import Forbidden, Unauthenticated
from shared.tokens import Claims, Role

# Command ids are made from it. It never changes: a retry after an upgrade is still the same command.
COMMANDS_NAMESPACE = UUID("8f0c4a36-5d0b-5f0e-9d52-6c3a4f1f7b21")


class Scope(StrEnum):
    """What a token allows. With `:own`, only for the player that the token is for."""

    WRITE_GAME = "transactions:write:game"
    WRITE_FUNDS = "transactions:write:funds"
    READ_TRANSACTIONS = "transactions:read"
    READ_OWN_TRANSACTIONS = "transactions:read:own"
    READ_WALLET = "wallet:read"
    READ_OWN_WALLET = "wallet:read:own"
    READ_FRAUD = "fraud:read"
    BLOCK_FRAUD = "fraud:block"
    WORK_ON_FLAGS = "fraud:flags"
    WRITE_FRAUD_RULES = "fraud:rules"
    READ_REPORTS = "reports:read"
    EXPORT_REPORTS = "reports:export"
    AUDIT_BALANCES = "balances:audit"
    READ_INTEGRITY = "integrity:read"
    RECONCILE = "reconciliations"
    READ_LIMITS = "limits:read"
    READ_OWN_LIMITS = "limits:read:own"
    WRITE_LIMITS = "limits:write"
    REQUEST_LIMITS = "limits:request"
    REQUEST_OWN_LIMITS = "limits:request:own"
    CHECK_LIMITS = "limits:check"
    CHECK_OWN_LIMITS = "limits:check:own"
    CORRECT = "transactions:correct"
    DISPUTE = "transactions:dispute"
    READ_AUDIT = "audit:read"
    USE_CONSOLE = "console"
    AUDIT_COMPLIANCE = "compliance-audits"
    SUBMIT_KYC = "kyc:submit"
    SUBMIT_OWN_KYC = "kyc:submit:own"
    READ_KYC_STATE = "kyc:state"
    READ_OWN_KYC_STATE = "kyc:state:own"
    READ_KYC = "kyc:read"
    DECIDE_KYC = "kyc:decide"
    ERASE_KYC = "kyc:erase"
    EXCLUDE = "exclusions:write"
    EXCLUDE_OWN = "exclusions:write:own"
    READ_EXCLUSIONS = "exclusions:read"
    READ_OWN_EXCLUSIONS = "exclusions:read:own"
    SUSPEND = "players:suspend"
    READ_STATUS = "status:read"
    READ_OWN_STATUS = "status:read:own"
    SET_PLAY = "play-settings:write"
    SET_OWN_PLAY = "play-settings:write:own"
    PAY = "payments:write"
    PAY_OWN = "payments:write:own"
    READ_PAYMENTS = "payments:read"
    READ_OWN_PAYMENTS = "payments:read:own"
    DECIDE_PAYMENTS = "payments:decide"
    SWITCH_PAYMENTS = "payments:switch"
    SETTLE = "settlement"


_STAFF = frozenset(
    {
        *(Scope.READ_WALLET, Scope.READ_TRANSACTIONS, Scope.READ_LIMITS, Scope.DISPUTE),
        *(Scope.READ_KYC_STATE, Scope.READ_EXCLUSIONS, Scope.READ_STATUS, Scope.READ_PAYMENTS),
        Scope.USE_CONSOLE,
    }
)
_GUARDS = frozenset({Scope.EXCLUDE, Scope.SUSPEND})
_FRAUD = frozenset({Scope.READ_FRAUD, Scope.BLOCK_FRAUD, Scope.WORK_ON_FLAGS, Scope.WRITE_FRAUD_RULES})
_KYC = frozenset({Scope.SUBMIT_KYC, Scope.READ_KYC, Scope.DECIDE_KYC, Scope.ERASE_KYC})
_PAYMENTS = frozenset({Scope.PAY, Scope.DECIDE_PAYMENTS, Scope.SWITCH_PAYMENTS, Scope.SETTLE})
_AUDITORS = frozenset({Scope.AUDIT_BALANCES, Scope.READ_INTEGRITY, Scope.RECONCILE})
_ITSELF = frozenset(
    {
        *(Scope.READ_OWN_WALLET, Scope.READ_OWN_TRANSACTIONS),
        *(Scope.READ_OWN_LIMITS, Scope.REQUEST_OWN_LIMITS, Scope.CHECK_OWN_LIMITS),
        *(Scope.SUBMIT_OWN_KYC, Scope.READ_OWN_KYC_STATE),
        *(Scope.EXCLUDE_OWN, Scope.READ_OWN_EXCLUSIONS, Scope.READ_OWN_STATUS, Scope.SET_OWN_PLAY),
        *(Scope.PAY_OWN, Scope.READ_OWN_PAYMENTS),
    }
)

SCOPES_OF_ROLE: Mapping[Role, frozenset[Scope]] = {
    Role.PLAYER: _ITSELF,
    Role.GAME_SERVER: frozenset({Scope.WRITE_GAME, Scope.READ_WALLET}),
    Role.SUPPORT: _STAFF
    | {Scope.READ_FRAUD, Scope.AUDIT_BALANCES, Scope.READ_INTEGRITY, Scope.REQUEST_LIMITS, Scope.CHECK_LIMITS}
    | {Scope.EXCLUDE, Scope.SET_PLAY},
    Role.RISK: _STAFF | _GUARDS | _FRAUD | {Scope.READ_REPORTS, Scope.WRITE_LIMITS},
    Role.COMPLIANCE: _STAFF
    | _AUDITORS
    | _KYC
    | _GUARDS
    | {Scope.WRITE_LIMITS, Scope.REQUEST_LIMITS, Scope.READ_AUDIT, Scope.AUDIT_COMPLIANCE, Scope.SET_PLAY},
    Role.FINANCE: _STAFF
    | _AUDITORS
    | _PAYMENTS
    | {Scope.WRITE_FUNDS, Scope.READ_REPORTS, Scope.EXPORT_REPORTS, Scope.CORRECT},
    Role.ADMIN: frozenset(Scope) - _ITSELF,
}

_OWN: Mapping[Scope, Scope] = {
    Scope.READ_WALLET: Scope.READ_OWN_WALLET,
    Scope.READ_TRANSACTIONS: Scope.READ_OWN_TRANSACTIONS,
    Scope.READ_LIMITS: Scope.READ_OWN_LIMITS,
    Scope.REQUEST_LIMITS: Scope.REQUEST_OWN_LIMITS,
    Scope.CHECK_LIMITS: Scope.CHECK_OWN_LIMITS,
    Scope.SUBMIT_KYC: Scope.SUBMIT_OWN_KYC,
    Scope.READ_KYC_STATE: Scope.READ_OWN_KYC_STATE,
    Scope.EXCLUDE: Scope.EXCLUDE_OWN,
    Scope.READ_EXCLUSIONS: Scope.READ_OWN_EXCLUSIONS,
    Scope.READ_STATUS: Scope.READ_OWN_STATUS,
    Scope.SET_PLAY: Scope.SET_OWN_PLAY,
    Scope.PAY: Scope.PAY_OWN,
    Scope.READ_PAYMENTS: Scope.READ_OWN_PAYMENTS,
}

# What is not here moves funds.
_POSTED_WITH: Mapping[str, Scope] = {
    **dict.fromkeys(GAME_KINDS, Scope.WRITE_GAME),
    **dict.fromkeys(OVERRIDE_KINDS, Scope.WRITE_LIMITS),
    **dict.fromkeys(REQUEST_KINDS, Scope.REQUEST_LIMITS),
    **dict.fromkeys(BLOCK_KINDS, Scope.BLOCK_FRAUD),
    **dict.fromkeys(DISPUTE_KINDS, Scope.DISPUTE),
    Kind.REVERSAL: Scope.CORRECT,
    Kind.PAYOUT_RELEASE: Scope.CORRECT,
}
# Of what is decided within limits, what a player does by itself.
_CHECKED_ALONE = frozenset({Kind.DEPOSIT, Kind.GAME_BET})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a valid token speaks for. `client` is whose idempotency keys they are; `namespace` is made from it."""

    subject: str
    client: str
    namespace: UUID
    scopes: frozenset[Scope]
    user_id: int | None

    def command_id(self, key: str | None) -> UUID:
        """The id of the command that this client's idempotency key stands for, at any instance of the gateway.

        Without a key: one that no other command has.
        """
        return uuid4() if key is None else uuid5(self.namespace, key)

    def require(self, *any_of: Scope) -> None:
        """Raises Forbidden without one of these scopes."""
        if self.scopes.isdisjoint(any_of):
            raise Forbidden(f"this needs a token with the scope {' or '.join(any_of)}")

    def require_about(self, scope: Scope, user_id: int) -> None:
        """Raises Forbidden where this caller may not see that of this player."""
        if scope in self.scopes:
            return
        self.require(_OWN.get(scope, scope))
        if user_id != self.user_id:
            raise Forbidden("a player sees only itself")

    def require_reading_transactions(self) -> None:
        """Raises Forbidden where this caller may look at no transaction at all."""
        if self.scopes.isdisjoint(_POSTED_WITH.values()):
            self.require(Scope.READ_TRANSACTIONS, Scope.READ_OWN_TRANSACTIONS, Scope.WRITE_FUNDS)

    def require_posting(self, kind: Kind) -> None:
        """Raises Forbidden where this caller may not post transactions of this kind."""
        self.require(scope_to_post(kind))

    def require_checking(self, kind: Kind, user_id: int) -> None:
        """Raises Forbidden where this caller may not ask what would become of such a transaction.

        Who may post it may, and support; of a deposit and a bet also the player itself.
        """
        if self.scopes.isdisjoint({scope_to_post(kind), Scope.CHECK_LIMITS}):
            if kind not in _CHECKED_ALONE:
                self.require(scope_to_post(kind))
            self.require_about(Scope.CHECK_LIMITS, user_id)

    def require_seeing(self, kind: Kind | str, user_id: int) -> None:
        """Raises Forbidden where this caller may not look at a transaction.

        Who may post a kind may look it up, so that a game server can follow what it was told to follow.
        """
        if scope_to_post(kind) not in self.scopes:
            self.require_about(Scope.READ_TRANSACTIONS, user_id)

    def is_told_why(self, kind: Kind | str) -> bool:
        """Whether this caller reads what staff states of a block for fraud, and the flag behind it.

        Staff alone does: to tell a player could be tipping off (in the UK, Proceeds of Crime Act 2002, section 333A).
        """
        return kind not in BLOCK_KINDS or not self.scopes.isdisjoint({scope_to_post(kind), Scope.READ_TRANSACTIONS})


def scope_to_post(kind: Kind | str) -> Scope:
    """The scope that posting a transaction of this kind needs."""
    return _POSTED_WITH.get(kind, Scope.WRITE_FUNDS)


def caller_of(claims: Claims) -> Caller:
    """The caller that a token's claims describe. Raises Unauthenticated.

    `role` gives scopes; `scope` alone gives what it lists; both together give what is in both.
    """
    subject = _name(claims, "sub")
    if subject in RESERVED:
        raise Unauthenticated(f"the token's claim sub must not be {subject}, which acts for the platform itself")
    client = _name(claims, "client_id") if "client_id" in claims else subject
    user_id = claims.get("user_id")
    if user_id is not None and not (type(user_id) is int and 1 <= user_id <= MAX_INT64):
        raise Unauthenticated("the token's claim user_id must be a positive 64-bit integer")
    scopes = _scopes(claims)
    if user_id is None and not scopes.isdisjoint(_OWN.values()):
        raise Unauthenticated("a player's token needs the claim user_id")
    return Caller(subject, client, uuid5(COMMANDS_NAMESPACE, client), scopes, user_id)


def _name(claims: Claims, claim: str) -> str:
    # It names the actor in the journal, so it has to be text that the journal takes.
    name = claims.get(claim)
    if not (isinstance(name, str) and 1 <= len(name) <= MAX_TEXT and name.isprintable()):
        raise Unauthenticated(f"the token's claim {claim} must be printable text of at most {MAX_TEXT} characters")
    return name


def _scopes(claims: Claims) -> frozenset[Scope]:
    role, listed = claims.get("role"), claims.get("scope")
    if role is None and listed is None:
        raise Unauthenticated("the token needs the claim role or scope")
    granted: frozenset[Scope] = frozenset(Scope)
    if role is not None:
        if not (isinstance(role, str) and role in SCOPES_OF_ROLE):
            raise Unauthenticated(f"the token's claim role must be one of {', '.join(Role)}")
        granted = SCOPES_OF_ROLE[Role(role)]
    if listed is not None:
        if not isinstance(listed, str):
            raise Unauthenticated("the token's claim scope must be text, scopes with spaces between")
        granted &= {scope for scope in Scope if scope in listed.split()}
    return granted
