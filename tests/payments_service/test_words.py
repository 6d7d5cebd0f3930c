"""What staff says of a payment: each person's last word counts, and none that was about something else."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import alembic.command
import pytest

from payments_service.domain import words
from payments_service.domain.payments import Waits
from payments_service.domain.states import State
from payments_service.domain.words import Word
from shared import migrations
from shared.testing import MOMENT
from tests.payments_service.support import Setup
from tests.payments_service.test_endpoints import asked
from tests.support import as_administrator, outside_the_loop

LARGE = 100_000
SAID = "SELECT actor, verdict FROM payments.approvals ORDER BY number"


def later(minutes: int) -> Any:
    return MOMENT + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("waited_for", "since"),
    [
        ([None], 0),
        ([None, "review"], 1),
        ([None, "review", "review"], 1),
        ([None, "review", None, "queue", None, "review", "review"], 5),
        (["queue", None, None], 1),
    ],
)
def test_what_a_payment_waits_for_it_waits_for_since_it_last_came_to_it(waited_for: list[Any], since: int) -> None:
    moves = [(later(minute), waits_for) for minute, waits_for in enumerate(waited_for)]
    assert words.waiting_since(moves) == later(since)


def test_of_each_person_the_last_word_stands_of_those_that_are_about_it() -> None:
    said = [
        Word("ann", "approve", later(0)),
        Word("bob", "approve", later(1)),
        Word("bob", "reject", later(2)),
    ]
    assert words.standing(said, later(0)) == {"ann": "approve", "bob": "reject"}
    assert words.standing(said, later(1)) == {"bob": "reject"}


def verdict(actor: str, said: str = "approve") -> dict[str, Any]:
    return {"actor": actor, "review": {"verdict": said, "reason": "known player"}}


def outcome(actor: str, said: str = "completed") -> dict[str, Any]:
    return {"actor": actor, "completion": {"outcome": said, "reason": "seen", "evidence": "bank statement 7"}}


async def to_review_again(payments: Setup, *reviewers: str) -> str:
    """A withdrawal that these let through while the switch was off, and that waits for review again since."""
    payments.wallet.cash[42] = LARGE
    client = payments.client(reviewers=len(reviewers))
    path = f"/payments/{(await client.post('/payments/withdrawals', json=asked(LARGE))).json()[0]['id']}"
    payments.worker = payments.worker_with(disabled=True)
    client = payments.client(reviewers=len(reviewers))
    for reviewer in reviewers:
        found = (await client.post(f"{path}/review", json=verdict(reviewer))).json()
    assert (found["waits_for"], found["posted"]) == ("queue", "held")
    payments.worker = payments.worker_with()
    payments.now += timedelta(minutes=1)
    assert await payments.queue_with().look() == 1
    await payments.later(minutes=1)
    assert (await payments.get(UUID(found["id"]))).waits_for is Waits.REVIEW
    return path


@pytest.mark.integration
@pytest.mark.parametrize(("said", "status", "cash"), [("approve", "completed", 0), ("reject", "cancelled", LARGE)])
async def test_who_reviewed_before_the_queue_reviews_again_after_it(
    payments: Setup, said: str, status: str, cash: int
) -> None:
    path = await to_review_again(payments, "ann")
    done = (await payments.client().post(f"{path}/review", json=verdict("ann", said))).json()
    assert (done["status"], payments.wallet.cash[42]) == (status, cash)
    assert [(word["actor"], word["verdict"]) for word in done["said"]] == [("ann", "approve"), ("ann", said)]


@pytest.mark.integration
async def test_words_from_before_the_queue_let_nothing_through_after_it(payments: Setup) -> None:
    path = await to_review_again(payments, "ann", "bob")
    client = payments.client(reviewers=2)
    assert (await client.post(f"{path}/review", json=verdict("ann"))).json()["waits_for"] == "review"
    assert (await client.post(f"{path}/review", json=verdict("ann"))).status_code == 403
    assert (await client.post(f"{path}/review", json=verdict("bob"))).json()["status"] == "completed"


@pytest.mark.integration
async def test_who_let_a_withdrawal_through_too_early_rejects_it(payments: Setup) -> None:
    payments.wallet.cash[42] = LARGE
    client = payments.client(reviewers=2)
    path = f"/payments/{(await client.post('/payments/withdrawals', json=asked(LARGE))).json()[0]['id']}/review"
    assert (await client.post(path, json=verdict("ann"))).json()["waits_for"] == "review"
    assert (await client.post(path, json=verdict("ann", "reject"))).json()["status"] == "cancelled"


@pytest.mark.integration
async def test_two_who_disagree_about_a_completion_come_to_agree(payments: Setup) -> None:
    payments.provider.at_once = 0
    client = payments.client()
    path = f"/payments/{(await client.post('/payments/deposits', json=asked())).json()[0]['id']}/completion"
    for actor, said in (("ann", "completed"), ("bob", "failed")):
        assert (await client.post(path, json=outcome(actor, said))).json()["status"] == "processing"
        assert (await client.post(path, json=outcome(actor, said))).status_code == 403
    done = (await client.post(path, json=outcome("ann", "failed"))).json()
    assert (done["status"], payments.wallet.cash[42]) == ("failed", 0)
    assert [(word["actor"], word["verdict"]) for word in done["said"]] == [
        ("ann", "completed"),
        ("bob", "failed"),
        ("ann", "failed"),
    ]


@pytest.mark.integration
async def test_who_took_a_word_back_does_not_count_for_it(payments: Setup) -> None:
    payments.provider.at_once = 0
    client = payments.client()
    path = f"/payments/{(await client.post('/payments/deposits', json=asked())).json()[0]['id']}/completion"
    for actor, said in (("ann", "completed"), ("ann", "failed"), ("bob", "completed")):
        assert (await client.post(path, json=outcome(actor, said))).json()["status"] == "processing"
    assert (await client.post(path, json=outcome("ann"))).json()["status"] == State.COMPLETED


@pytest.mark.integration
async def test_the_word_that_counts_is_kept_where_there_was_room_for_one(payments: Setup) -> None:
    await test_two_who_disagree_about_a_completion_come_to_agree(payments)
    configuration = migrations.config("payments_service", payments.database.admin_dsn)
    outside_the_loop(lambda: alembic.command.downgrade(configuration, "0007"))
    outside_the_loop(lambda: migrations.upgrade("payments_service", payments.database.admin_dsn))
    kept = [tuple(row) for row in await as_administrator(payments.database, SAID)]
    assert sorted(kept) == [("ann", "failed"), ("bob", "failed")]
