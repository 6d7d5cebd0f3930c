"""How far a player is known: the states, what moves them, and what is refused or sent to review."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from pydantic import JsonValue

from shared.contracts.kyc import KycResult, KycSubmission
from shared.errors import FieldError, InvalidInput
from shared.jurisdictions import Pack

VERIFIED_TIER = "VERIFIED"
OLDEST_AGE = 130
_SHORTEST_TELLING = 4


class State(StrEnum):
    """How far a player is known."""

    NONE = "none"
    SUBMITTED = "submitted"
    VERIFIED = "verified"
    REJECTED = "rejected"
    REVIEW = "review"
    EXPIRED = "expired"
    ERASED = "erased"


class Move(StrEnum):
    """What happens to it. The value ends the type of its event."""

    SUBMIT = "submitted"
    VERIFY = "verified"
    REJECT = "rejected"
    REVIEW = "review"
    EXPIRE = "expired"
    ERASE = "erased"


class By(StrEnum):
    """Who settled a submission. What rules or staff settled, a provider does not change."""

    RULES = "rules"
    PROVIDER = "provider"
    STAFF = "staff"


_OPEN: Mapping[Move, State] = {
    Move.SUBMIT: State.SUBMITTED,
    Move.VERIFY: State.VERIFIED,
    Move.REJECT: State.REJECTED,
    Move.REVIEW: State.REVIEW,
    Move.EXPIRE: State.EXPIRED,
    Move.ERASE: State.ERASED,
}
_ANEW = {Move.SUBMIT: State.SUBMITTED}

# What is not here does not happen. An expired document is not verified: the player submits another one.
MOVES: Mapping[State, Mapping[Move, State]] = {
    State.NONE: _ANEW,
    State.SUBMITTED: _OPEN,
    State.VERIFIED: _OPEN,
    State.REVIEW: _OPEN,
    State.REJECTED: {move: state for move, state in _OPEN.items() if move is not Move.EXPIRE},
    State.EXPIRED: {**_ANEW, Move.REJECT: State.REJECTED, Move.ERASE: State.ERASED},
    State.ERASED: _ANEW,
}
# A document that is held in one of these is not another player's as well.
HOLDING = (State.SUBMITTED, State.VERIFIED, State.REVIEW, State.EXPIRED)
MAY_EXPIRE = (State.SUBMITTED, State.VERIFIED, State.REVIEW)


class Why(NamedTuple):
    """Why it stands so: a stable code, what the player may read, and what only staff may."""

    code: str
    public: str
    staff: str


class Verdict(NamedTuple):
    """What is to happen to a submission, and why."""

    move: Move
    why: Why


@dataclass(frozen=True, slots=True)
class Tier:
    """A player's tier at the wallet: the acknowledged one, and the one that was asked for and is not yet."""

    name: str
    asked: str | None = None
    command_id: UUID | None = None
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """All that is kept of a player beside the values themselves. `version` counts the submissions."""

    user_id: int
    state: State
    version: int
    tier: Tier
    submission_id: UUID | None = None
    settled_by: By | None = None
    why: Why | None = None
    submitted_at: datetime | None = None
    changed_at: datetime | None = None


ACCEPTED = Why("VERIFIED", "Your documents were verified.", "No rule speaks against it.")
PENDING = Why("PENDING", "Your documents are being checked.", "The provider has not answered yet.")
EXPIRED = Why("DOCUMENT_EXPIRED", "Your document has expired: please show a newer one.", "The document has expired.")
ERASED = Why("ERASED", "Your documents were deleted.", "The player's data key was destroyed.")
_OF_PROVIDER = {
    KycResult.VERIFIED: Verdict(Move.VERIFY, ACCEPTED._replace(staff="The provider verified it.")),
    KycResult.REJECTED: Verdict(
        Move.REJECT,
        Why("PROVIDER_REJECTED", "Your documents could not be verified.", "The provider rejected it."),
    ),
    KycResult.REVIEW: Verdict(
        Move.REVIEW, Why("PROVIDER_REVIEW", "Your documents are being looked at.", "The provider asks for a review.")
    ),
}
_OF_STAFF = {
    "verify": (Move.VERIFY, "Your documents were verified."),
    "reject": (Move.REJECT, "Your documents could not be verified."),
    "review": (Move.REVIEW, "Your documents are being looked at."),
}


def check_days(submission: KycSubmission, today: date) -> None:
    """Raises InvalidInput for days that cannot be, and shows none of them."""
    wrong = []
    if submission.birth_date > today:
        wrong.append(FieldError("birth_date", "must not be in the future"))
    elif _age(submission.birth_date, today) > OLDEST_AGE:
        wrong.append(FieldError("birth_date", f"must be at most {OLDEST_AGE} years ago"))
    if submission.document_expires_on.year > today.year + 100:
        wrong.append(FieldError("document_expires_on", "must be within 100 years"))
    if wrong:
        raise InvalidInput(wrong)


def judge(submission: KycSubmission, pack: Pack, today: date, *, held_by_another: bool) -> Verdict | None:
    """What the rules say of a submission on a day in the platform's zone; None where nothing speaks against it."""
    if submission.country in pack.refused_countries:
        public, staff = "We cannot take players from your country.", "The jurisdiction's pack refuses the country."
        return Verdict(Move.REJECT, Why("COUNTRY_REFUSED", public, staff))
    if _age(submission.birth_date, today) < pack.minimum_age:
        public, staff = f"You must be at least {pack.minimum_age} years old.", "Under the pack's minimum age."
        return Verdict(Move.REJECT, Why("UNDER_AGE", public, staff))
    if submission.document_expires_on < today:
        return Verdict(Move.REJECT, EXPIRED)
    if held_by_another:
        # That there is another account is nothing for whoever tries documents out.
        staff = "Another player holds this document."
        return Verdict(Move.REVIEW, Why("DOCUMENT_HELD", "Your documents are being looked at.", staff))
    if pack.countries is not None and submission.country not in pack.countries:
        public, staff = "We may not be able to serve your country.", "The country is none of the pack's."
        return Verdict(Move.REVIEW, Why("COUNTRY_UNSUPPORTED", public, staff))
    return None


def of_provider(result: KycResult) -> Verdict:
    """What a provider's result means."""
    return _OF_PROVIDER[result]


def of_staff(decision: str, reason: str, public_reason: str | None) -> Verdict:
    """What staff's decision means."""
    move, public = _OF_STAFF[decision]
    return Verdict(move, Why("STAFF_DECISION", public_reason or public, reason))


def moved(case: Case, verdict: Verdict, by: By | None, now: datetime) -> Case | None:
    """The case after a verdict, or None where its state has no such move, or somebody else has settled it."""
    state = MOVES[case.state].get(verdict.move)
    if state is None or (by is By.PROVIDER and case.settled_by in {By.RULES, By.STAFF}):
        return None
    return replace(case, state=state, settled_by=by or case.settled_by, why=verdict.why, changed_at=now)


def submitted(case: Case, submission_id: UUID, now: datetime) -> Case:
    """The case of a new submission, which nobody has settled."""
    anew = replace(case, submission_id=submission_id, version=case.version + 1, submitted_at=now, settled_by=None)
    after = moved(anew, Verdict(Move.SUBMIT, PENDING), None, now)
    assert after is not None, "a submission is a move of every state"
    return after


def tier_of(state: State, pack: Pack) -> str:
    """The tier that a state gives."""
    return VERIFIED_TIER if state is State.VERIFIED else pack.initial_tier


def with_tier(case: Case, pack: Pack, command_id: UUID, now: datetime) -> Case:
    """The case, with its tier asked for where it is another than the wallet has.

    One command at a time is under way for a player, so that an older one cannot come after a newer.
    """
    wanted = tier_of(case.state, pack)
    if case.tier.command_id is not None or case.tier.name == wanted:
        return case
    return replace(case, tier=Tier(case.tier.name, wanted, command_id, now))


def acknowledged(case: Case, *, granted: bool) -> Case:
    """The case after the wallet's decision on its tier's command; a refused tier is not the player's."""
    assert case.tier.asked is not None
    return replace(case, tier=Tier(case.tier.asked if granted else case.tier.name))


def has_expired(expires_on: date, today: date) -> bool:
    """Whether a document is over: its last day is still good."""
    return expires_on < today


def check_silent(texts: Mapping[str, str | None], fields: Mapping[str, str | None]) -> None:
    """Raises InvalidInput where one of the texts, by their names, repeats one of the KYC values.

    A reason is read by more people than the values are, and is kept in clear.
    """
    values = [value.casefold() for value in fields.values() if value is not None and len(value) >= _SHORTEST_TELLING]
    wrong = [
        FieldError(name, "must not repeat what the player submitted")
        for name, text in texts.items()
        if text is not None and any(value in text.casefold() for value in values)
    ]
    if wrong:
        raise InvalidInput(wrong)


def _age(birth_date: date, today: date) -> int:
    # Who was born on 29 February has a birthday on 1 March in other years.
    return today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))


def told(before: Case, after: Case, verdict: Verdict) -> tuple[str, dict[str, JsonValue]]:
    """The event of a move: its CloudEvents type and body. States and codes, never a value."""
    body: dict[str, JsonValue] = {
        "submission_id": None if after.submission_id is None else str(after.submission_id),
        "before": before.state.value,
        "state": after.state.value,
        "reason": verdict.why.code,
        "tier": after.tier.asked or after.tier.name,
    }
    return f"compliance.kyc.{verdict.move}.v1", body


def day(text: str) -> date:
    """A day as its cell has it."""
    return date.fromisoformat(text)
