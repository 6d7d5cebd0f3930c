"""The run: players ask at a steady rate, each in its own order, and every answer is written down."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.demo.channels import ANSWER_WITHIN_S, GIVE_UP_AFTER_S, Channel
from ops.demo.players import Asked, Player, Request

# A player who was asked to stop finishes what it has asked for.
WIND_DOWN_S = GIVE_UP_AFTER_S + ANSWER_WITHIN_S


@dataclass
class Result:
    """What was asked, and what was answered."""

    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    sent: int = 0
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    latencies_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    commands: set[str] = field(default_factory=set)
    retried: int = 0
    # Requests whose repetitions were answered differently, and sendings without an answer.
    disagreements: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    # Payments through the sandbox, by direction and outcome.
    paid: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, channel: Channel, request: Request, answers: Sequence[Asked]) -> None:
        """Write down the answers to all sendings of one request."""
        for answer in answers:
            self.sent += 1
            self.outcomes[channel.name, request.kind.value, answer.outcome] += 1
            if answer.decision is None:
                self.unanswered.append(f"{channel.name} {request.kind.value} {request.key}: {answer.outcome}")
            else:
                self.latencies_s[channel.name].append(answer.latency_s)
            if answer.command_id is not None:
                self.commands.add(answer.command_id)
        if len(answers) > 1:
            self.retried += 1
            decided = {(answer.outcome, answer.decision) for answer in answers if answer.decision is not None}
            if len(decided) > 1:
                self.disagreements.append(
                    f"{channel.name} {request.kind.value} {request.key}: {sorted(map(str, decided))}"
                )

    def rate(self) -> float:
        """Requests per second so far."""
        return self.sent / max(1e-9, self.seconds or time.perf_counter() - self.started)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 where there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def play(
    channels: Sequence[Channel],
    *,
    staff: Channel,
    players: int,
    rate: float,
    duration_s: float,
    first_user: int,
    seed: int,
    watch: Callable[[Result], Coroutine[Any, Any, None]],
) -> Result:
    """Let `players` players ask for `rate` requests per second in all, spread evenly over the channels.

    What is asked for a player by the operator's staff goes over the channel `staff`, before the player's own requests.
    `watch` runs beside them and is cancelled at the end.
    """
    result = Result()
    stop = asyncio.Event()
    interval_s = players / rate
    tasks = [
        asyncio.create_task(
            _player(
                channels[index % len(channels)],
                staff,
                Player(first_user + index, seed),
                interval_s,
                index / rate,
                stop,
                result,
            )
        )
        for index in range(players)
    ]
    watching = asyncio.create_task(watch(result))
    try:
        await asyncio.wait(tasks, timeout=duration_s, return_when=asyncio.FIRST_EXCEPTION)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), WIND_DOWN_S)
    finally:
        watching.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(watching, *tasks, return_exceptions=True)
    result.seconds = time.perf_counter() - result.started
    return result


async def _player(
    channel: Channel,
    staff: Channel,
    player: Player,
    interval_s: float,
    first_at_s: float,
    stop: asyncio.Event,
    result: Result,
) -> None:
    due = time.perf_counter() + first_at_s
    if await _stopped_before(due, stop):
        return
    for request in player.prepared():
        result.note(staff, request, [await staff.ask(request)])
    for request in player.requests():
        if await _stopped_before(due, stop):
            return
        # The repetitions go out at once, as from a client's impatient connection pool.
        answers = await asyncio.gather(*(channel.ask(request) for _ in range(request.times)))
        result.note(channel, request, answers)
        due = max(due + interval_s * request.times, time.perf_counter())


async def _stopped_before(due: float, stop: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), max(0.0, due - time.perf_counter()))
    except TimeoutError:
        return stop.is_set()
    return True
