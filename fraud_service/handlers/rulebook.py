"""The rules in force, as this instance has them: followed within a second or two, without a restart."""

import asyncio
import tomllib
from importlib.resources import files
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.rules import Rule, RuleBody, compiled
from fraud_service.domain.scoring import Failure, RuleSet
from fraud_service.repository import rules
from shared import database, logs, outbox
from shared.contracts.fraud import RuleState
from shared.contracts.fraud_events import RULE_DISABLED, RuleDisabled
from shared.errors import InvalidInput, TransientError
from shared.outbox import OutboxEvent
from shared.telemetry import Metrics

log = logs.get(__name__)

BY = "fraud_service"


def initial_rules() -> list[RuleBody]:
    """The rules that a new platform starts with."""
    text = files("fraud_service").joinpath("rules/initial.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["rule"]
    return [RuleBody.model_validate(rule) for rule in found]


class RuleBook:
    """Holds the rules in force. A rule that fails is out of force: here at once, everywhere with the next look."""

    def __init__(self, engine: AsyncEngine, metrics: Metrics, *, look_every_s: float) -> None:
        self._engine = engine
        self._metrics = metrics
        self._look_every_s = look_every_s
        self._rules = RuleSet(-1, ())

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._rules

    async def start(self) -> None:
        """Make the initial rules where there are none, and load. Raises DatabaseUnavailable."""
        async with database.transaction(self._engine) as connection:
            made = await rules.seed(connection, initial_rules(), BY, "the rules that a new platform starts with")
        if made:
            log.info("rules_seeded", rules=made)
        await self.look()

    async def watch(self) -> None:
        """Until cancelled: look every so often. While the database is away the known rules stay in force."""
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                await self.look()
            except TransientError as error:
                log.info("rules_not_looked_at", error=str(error))

    async def look(self) -> None:
        """Load the rules where they changed. Raises DatabaseUnavailable."""
        async with database.reading(self._engine) as connection:
            revision = await rules.revision(connection)
            if revision == self._rules.revision:
                return
            versions = await rules.in_force(connection)
        found: dict[RuleState, list[Rule]] = {RuleState.ACTIVE: [], RuleState.SHADOW: []}
        broken: list[Failure] = []
        for version in versions:
            try:
                found[version.state].append(compiled(version.version, version.body))
            except InvalidInput as error:
                broken.append(Failure(version.version, version.rule_id, str(error)))
        self._rules = RuleSet(revision, tuple(found[RuleState.ACTIVE]), tuple(found[RuleState.SHADOW]))
        log.info("rules_loaded", revision=revision, active=len(self._rules.active), shadow=len(self._rules.shadow))
        for failure in broken:
            await self.disable(failure, None)

    async def disable(self, failure: Failure, user_id: int | None) -> None:
        """Take a rule that failed out of force, loudly. `user_id`: of whom it was asked. Raises DatabaseUnavailable."""
        now = self._rules
        self._rules = RuleSet(
            now.revision,
            tuple(rule for rule in now.active if rule.version != failure.version),
            tuple(rule for rule in now.shadow if rule.version != failure.version),
        )
        async with database.transaction(self._engine) as connection:
            disabled = await rules.disable(connection, failure.version, BY, failure.error)
            if disabled and user_id is not None:
                told = RuleDisabled(user_id=user_id, **failure._asdict())
                await outbox.put(connection, OutboxEvent(user_id, RULE_DISABLED, told.body()))
        if disabled:
            self._metrics.rules_disabled.labels(failure.rule).inc()
            log.error("rule_disabled", rule=failure.rule, version=failure.version, error=failure.error)
