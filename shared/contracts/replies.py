"""`wallet.replies.v1`: the decision, for whoever asked for it by a `reply-to` header."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.contracts.events import LedgerEvent


class Outcome(StrEnum):
    """What became of a command. REJECTED: it was never decided; `code` and `detail` say why."""

    DECIDED = "decided"
    REJECTED = "rejected"


class Reply(BaseModel):
    """The answer to one command. `replayed` is true when the decision was made by an earlier delivery."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="Reply")

    command_id: UUID
    outcome: Outcome
    replayed: bool = False
    transaction: LedgerEvent | None = None
    code: str | None = None
    detail: str | None = None
