"""Labelled players for fraud detection: honest ones of many kinds, and planted fraudsters.

Drawn from a seed. What a player does is drawn from what such people do, and never from what a rule asks. Each player
comes as sessions, in order; detection may look after each.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fraud_service.domain.features import DAY_MS, HOUR_MS, MINUTE_MS
from fraud_service.domain.observations import Observation, What

START_MS = 1_790_000_000_000 // DAY_MS * DAY_MS
CURRENCY = "USD"
DEPOSIT_LIMIT_MINOR = 1_000_000

Session = list[Observation]


@dataclass(frozen=True, slots=True)
class Player:
    """A player and what it is: `honest`, or the pattern that it was planted for."""

    user_id: int
    label: str
    sessions: Sequence[Session]


class Script:
    """Writes down what one player does."""

    def __init__(self, user_id: int, draw: random.Random) -> None:
        self.user_id = user_id
        self.draw = draw
        self.at = START_MS + draw.randrange(DAY_MS)
        self.sessions: list[Session] = [[]]
        self._count = 0

    def session(self, at: int) -> None:
        """Begin another session, not before the last one's end."""
        self.at = max(self.at, at)
        if self.sessions[-1]:
            self.sessions.append([])

    def wait(self, low_ms: int, high_ms: int) -> None:
        """Let time pass."""
        self.at += self.draw.randint(low_ms, high_ms)

    def note(self, what: What, amount: int = 0, *, subject: str = "", number: int = 0, won: bool = False) -> None:
        """Something happens now."""
        self._count += 1
        seen = Observation(
            self.user_id, self.at, what, f"{self.user_id}:{self._count}", amount, CURRENCY, subject, number, won
        )
        self.sessions[-1].append(seen)

    def play(self, bets: int, pace_ms: tuple[int, int], stake: int, chance_ppm: int, luck_ppm: int) -> None:
        """Bet after bet, each with its round; `luck_ppm` is the true chance."""
        for _ in range(bets):
            self.wait(*pace_ms)
            self.note(What.BET, stake)
            won = self.draw.randrange(1_000_000) < luck_ppm
            if won:
                self.note(What.PAYOUT, stake * 950_000 // chance_ppm)
            self.note(What.ROUND, number=chance_ppm, won=won)

    def versus(self, opponent: int, rounds: int, wins_ppm: int) -> None:
        """Rounds against one other player, at even chances."""
        for _ in range(rounds):
            self.wait(20_000, 120_000)
            self.note(What.BET, 5_000)
            won = self.draw.randrange(1_000_000) < wins_ppm
            if won:
                self.note(What.PAYOUT, 9_500)
            self.note(What.ROUND, subject=str(opponent), number=500_000, won=won)

    def made(self, label: str) -> Player:
        """The player."""
        return Player(self.user_id, label, [session for session in self.sessions if session])


def honest(script: Script) -> None:
    """Casual, regular, heavy; some at night, some with autoplay, some on the move, some with a card that fails."""
    draw = script.draw
    kind = draw.choices(["casual", "regular", "heavy"], [60, 32, 8])[0]
    days = draw.randint(1, {"casual": 6, "regular": 12, "heavy": 14}[kind])
    hour = draw.choice([1, 3, 10, 13, 19, 20, 21, 22]) if draw.random() < 0.3 else draw.randint(17, 23)
    stake = draw.choice([50, 100, 200, 500, 1_000, 2_500]) * (4 if kind == "heavy" else 1)
    chance = draw.choice([485_000, 470_000, 300_000, 120_000])
    autoplay = draw.random() < 0.08
    home = draw.choice(["GB", "DE", "MT", "SE", "CA"])
    device, card = f"device-{script.user_id}", f"card-{script.user_id}"
    family = draw.choices([1, 2, 3, 4], [90, 8, 1.5, 0.5])[0]
    for day in range(days):
        script.session(START_MS + day * draw.choice([1, 1, 2]) * DAY_MS + hour * HOUR_MS + draw.randrange(HOUR_MS))
        script.note(What.REGION, subject=home if draw.random() > 0.02 else draw.choice(["FR", "ES", "US"]))
        script.note(What.DEVICE, subject=device, number=family)
        if day == 0 and draw.random() < 0.35:
            script.note(What.CREDIT, stake * draw.randint(5, 30))
        if day == 0 or draw.random() < 0.4:
            _honest_deposit(script, stake, card, family)
        for _ in range(draw.choices([1, 2, 4], [75, 20, 5])[0]):
            slow = (1_500, 4_500) if autoplay and draw.random() < 0.3 else (4_000, 40_000)
            script.play(draw.randint(5, {"casual": 25, "regular": 50, "heavy": 90}[kind]), slow, stake, chance, chance)
            script.wait(10 * MINUTE_MS, HOUR_MS)
        if draw.random() < 0.06:
            opponent = draw.choice([7, 8, 9])
            script.versus(opponent, draw.randint(5, 40), draw.randint(380_000, 620_000))
        if draw.random() < 0.22:
            script.wait(MINUTE_MS, 2 * HOUR_MS)
            script.note(What.WITHDRAWAL, stake * draw.randint(5, 80))
    if draw.random() < 0.002:
        script.wait(DAY_MS, 9 * DAY_MS)
        script.note(What.CHARGEBACK, stake * 20)


def _honest_deposit(script: Script, stake: int, card: str, family: int) -> None:
    draw = script.draw
    for _ in range(draw.choices([0, 1, 2, 3, 5], [88, 8, 2.5, 1, 0.5])[0]):
        script.wait(20_000, 120_000)
        script.note(What.DEPOSIT_FAILED)
    if draw.random() < 0.02:
        script.note(What.LIMIT_RAISED)
    other = "" if draw.random() > 0.06 else "-2"
    script.note(What.INSTRUMENT, subject=card + other, number=1 if draw.random() > 0.3 else family)
    for _ in range(draw.choices([1, 2, 3], [90, 8, 2])[0]):
        script.wait(5_000, 60_000)
        # One in a thousand moves what a structurer moves, by chance.
        large = draw.random() < 0.001
        script.note(What.DEPOSIT, draw.randint(810_000, 990_000) if large else stake * draw.randint(10, 60))
    if draw.random() < 0.01:
        # Changed its mind, or pressed the wrong button.
        script.wait(MINUTE_MS, 6 * MINUTE_MS)
        script.note(What.WITHDRAWAL, stake * 10)


def bot(script: Script) -> None:
    """A program at the tables: fast, even, for most of the day."""
    draw = script.draw
    pace = draw.randint(1_600, 4_600)
    script.note(What.DEVICE, subject=f"device-{script.user_id}", number=1)
    script.note(What.DEPOSIT, 200_000)
    for _ in range(draw.randint(4, 9)):
        script.session(script.at)
        bets = draw.randint(35, 58) * MINUTE_MS // pace
        script.play(bets, (pace - pace // 10, pace + pace // 10), 100, 485_000, 485_000)
        script.at += draw.randint(1, 12) * MINUTE_MS


def cheat(script: Script) -> None:
    """Knows what comes: wins far more than the game lets anybody win."""
    draw = script.draw
    script.note(What.DEPOSIT, 50_000)
    chance = draw.choice([485_000, 470_000])
    for _ in range(draw.randint(2, 5)):
        script.session(script.at + draw.randint(2, 20) * HOUR_MS)
        script.play(draw.randint(25, 90), (5_000, 30_000), 2_000, chance, draw.randint(820_000, 985_000))
    script.note(What.WITHDRAWAL, 400_000)


def launderer(script: Script) -> None:
    """Money in and out again, with hardly any play between; some keep under the limit, some hurry."""
    draw = script.draw
    hurried = draw.random() < 0.7
    structured = not hurried or draw.random() < 0.5
    for _ in range(draw.randint(3, 6)):
        script.session(script.at + draw.randint(1, 11) * HOUR_MS)
        amount = draw.randint(820_000, 995_000) if structured else draw.randint(100_000, 700_000)
        script.note(What.DEPOSIT, amount)
        if draw.random() < 0.5:
            script.play(draw.randint(1, 4), (3_000, 15_000), amount // 60, 485_000, 485_000)
        script.wait(MINUTE_MS, 4 * MINUTE_MS) if hurried else script.wait(HOUR_MS, 5 * HOUR_MS)
        script.note(What.WITHDRAWAL, amount * draw.randint(80, 99) // 100)


def bonus(script: Script) -> None:
    """One of many accounts of one person: takes the credit, plays as little as it may, and leaves."""
    draw = script.draw
    ring = draw.randint(3, 14)
    script.note(What.DEVICE, subject=f"ring-{script.user_id}", number=ring)
    deposit = draw.choice([2_000, 5_000, 10_000])
    if draw.random() < 0.4:
        script.note(What.INSTRUMENT, subject=f"ring-card-{script.user_id}", number=draw.randint(2, ring))
    script.note(What.DEPOSIT, deposit)
    script.wait(MINUTE_MS, HOUR_MS)
    script.note(What.CREDIT, deposit * draw.randint(60, 200) // 100)
    script.session(script.at + draw.randint(0, 20) * HOUR_MS)
    wagers = deposit * draw.randint(80, 280) // 100
    script.play(12, (5_000, 30_000), wagers // 12, 485_000, 485_000)
    script.wait(6 * MINUTE_MS, 10 * HOUR_MS)
    script.note(What.WITHDRAWAL, deposit * draw.randint(100, 220) // 100)


def stolen_card(script: Script) -> None:
    """Tries cards until some work, from wherever, and takes out what it can before the owners notice."""
    draw = script.draw
    script.note(What.REGION, subject="GB")
    cards = draw.randint(3, 8)
    for card in range(cards):
        script.note(What.INSTRUMENT, subject=f"stolen-{script.user_id}-{card}", number=draw.choice([1, 1, 2, 3]))
        for _ in range(draw.randint(1, 3)):
            script.wait(15_000, 90_000)
            script.note(What.DEPOSIT_FAILED)
    for _ in range(draw.randint(1, 3)):
        script.note(What.DEPOSIT, draw.randint(20_000, 90_000))
        script.wait(10_000, 60_000)
    script.session(script.at)
    script.note(What.REGION, subject=draw.choice(["US", "BR", "VN", "GB"]))
    script.play(draw.randint(2, 15), (4_000, 20_000), 1_000, 485_000, 485_000)
    script.note(What.REGION, subject=draw.choice(["GB", "NG", "RO"]))
    script.wait(MINUTE_MS, 30 * MINUTE_MS)
    script.note(What.WITHDRAWAL, draw.randint(15_000, 80_000))
    if draw.random() < 0.8:
        script.session(script.at + draw.randint(4, 40) * HOUR_MS)
        for _ in range(draw.randint(1, 3)):
            script.note(What.CHARGEBACK, 30_000)


def colluder(script: Script) -> None:
    """Two who sit against each other until the one has the other's money."""
    draw = script.draw
    wins = draw.randint(930_000, 1_000_000)
    loses = draw.random() < 0.5
    script.note(What.DEPOSIT, 200_000)
    for _ in range(draw.randint(1, 2)):
        script.session(script.at + draw.randint(1, 8) * HOUR_MS)
        script.versus(script.user_id + 1, draw.randint(28, 60), 1_000_000 - wins if loses else wins)
    if draw.random() < 0.4:
        script.versus(7, draw.randint(1, 4), 500_000)
    if not loses:
        script.note(What.WITHDRAWAL, 150_000)


PATTERNS: dict[str, Callable[[Script], None]] = {
    "bot": bot,
    "streak": cheat,
    "laundering": launderer,
    "bonus": bonus,
    "stolen_card": stolen_card,
    "collusion": colluder,
}


def players(seed: int, *, honest_count: int, planted_each: int) -> Iterator[Player]:
    """Honest players, then each pattern's. Equal seeds draw equal players."""
    user_id = 0
    for label, script, count in (
        ("honest", honest, honest_count),
        *((label, script, planted_each) for label, script in PATTERNS.items()),
    ):
        for _ in range(count):
            user_id += 1
            made = Script(user_id, random.Random(f"{seed}/{user_id}"))  # noqa: S311
            script(made)
            yield made.made(label)
