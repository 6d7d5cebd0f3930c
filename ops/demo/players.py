"""What the players and their game servers ask for: a stream of requests per player, from a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from shared.contracts.kinds import Kind
from shared.contracts.limits import LimitName
from shared.money import NO_CURRENCY

CURRENCIES = ("USD", "EUR", "JPY")
FIRST_DEPOSIT_MINOR = 100_000
# A stake that no simulated player can have: its bet is refused.
TOO_MUCH_MINOR = 10**12
GAMES = 12


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that a client asks for. `times`: how often it is sent, as a client that heard no answer would."""

    key: UUID
    kind: Kind
    user_id: int
    amount_minor: int
    currency: str
    reference_id: str | None = None
    round_id: str | None = None
    provider: str | None = None
    reason: str | None = None
    actor: str | None = None
    times: int = 1


class Asked(NamedTuple):
    """The answer to one sending of a request: its outcome (`posted`, a refusal's code, or what went wrong)."""

    outcome: str
    command_id: str | None
    # lane/position of the decision; None where there was no answer.
    decision: str | None
    latency_s: float


class Player:
    """One player at one game server."""

    def __init__(self, user_id: int, seed: int) -> None:
        self.user_id = user_id
        self._random = random.Random(f"{seed}/{user_id}")  # noqa: S311 - a simulation
        self.currency = self._random.choice(CURRENCIES)
        self._count = 0

    def prepared(self) -> Iterator[Request]:
        """What staff asks for: every player is verified; every other need not wait with a withdrawal."""
        yield Request(
            key=UUID(int=self._random.getrandbits(128), version=4),
            kind=Kind.KYC_TIER,
            user_id=self.user_id,
            amount_minor=0,
            currency=NO_CURRENCY,
            reference_id="VERIFIED",
            reason="its documents were seen",
            actor="demo",
        )
        if self._random.random() < 0.5:
            return
        yield Request(
            key=UUID(int=self._random.getrandbits(128), version=4),
            kind=Kind.LIMIT_OVERRIDE,
            user_id=self.user_id,
            amount_minor=0,
            currency=self.currency,
            reference_id=LimitName.WITHDRAWAL_COOLDOWN_SECONDS.value,
            reason="a player of long standing",
            actor="demo",
        )

    def requests(self) -> Iterator[Request]:
        """Without end: a deposit, then rounds, with a withdrawal and a new deposit now and then."""
        yield self._request(Kind.DEPOSIT, FIRST_DEPOSIT_MINOR, provider="stripe")
        while True:
            scene = self._random.choices(
                (
                    self._round,
                    self._taken_back,
                    self._cancelled_first,
                    self._too_much,
                    self._withdrawal,
                    self._held,
                    self._deposit,
                ),
                weights=(70, 6, 3, 8, 4, 4, 5),
            )[0]
            yield from scene()

    def _round(self) -> Iterator[Request]:
        stake, reference = self._stake(), self._reference()
        yield self._request(Kind.GAME_BET, stake, reference)
        # A win of 2 to 5 stakes in a quarter of the rounds leaves the house its edge.
        if self._random.random() < 0.25:
            yield self._request(Kind.GAME_PAYOUT, stake * self._random.randint(2, 5), reference)

    def _taken_back(self) -> Iterator[Request]:
        stake, reference = self._stake(), self._reference()
        yield self._request(Kind.GAME_BET, stake, reference)
        yield self._request(Kind.BET_ROLLBACK, stake, reference)

    def _cancelled_first(self) -> Iterator[Request]:
        stake, reference = self._stake(), self._reference()
        yield self._request(Kind.BET_ROLLBACK, stake, reference)
        yield self._request(Kind.GAME_BET, stake, reference)

    def _too_much(self) -> Iterator[Request]:
        yield self._request(Kind.GAME_BET, TOO_MUCH_MINOR, self._reference())

    def _withdrawal(self) -> Iterator[Request]:
        yield self._request(Kind.WITHDRAWAL, self._stake(), provider="paypal")

    def _held(self) -> Iterator[Request]:
        amount, reference = self._stake(), self._reference()
        end = self._random.choice((Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE))
        yield self._request(Kind.WITHDRAWAL_HOLD, amount, reference)
        provider = "stripe" if end is Kind.WITHDRAWAL_CAPTURE else None
        yield self._request(end, amount, reference, provider=provider)

    def _deposit(self) -> Iterator[Request]:
        yield self._request(Kind.DEPOSIT, self._stake() * 10, provider=self._random.choice(("stripe", "paypal")))

    def _request(
        self, kind: Kind, amount_minor: int, reference: str | None = None, provider: str | None = None
    ) -> Request:
        return Request(
            key=UUID(int=self._random.getrandbits(128), version=4),
            kind=kind,
            user_id=self.user_id,
            amount_minor=amount_minor,
            currency=self.currency,
            reference_id=reference,
            round_id=f"round-{reference}" if reference and kind not in _HOLDS else None,
            provider=provider,
            # One request in ten is sent again, as after a lost answer.
            times=self._random.randint(2, 4) if self._random.random() < 0.1 else 1,
        )

    def _stake(self) -> int:
        return self._random.randint(1, 50) * 100

    def _reference(self) -> str:
        self._count += 1
        # A game's name ends at the colon.
        return f"game_{(self.user_id + self._count) % GAMES}:{self.user_id}-{self._count}"


_HOLDS = (Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE)
