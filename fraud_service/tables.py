"""The fraud service's tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from shared.inbox import inbox_table
from shared.outbox import outbox_table

SCHEMA = "fraud"

metadata = MetaData(schema=SCHEMA)

inbox = inbox_table(metadata)

# Every player that a ledger row has named, and the lane whose position says how fresh the player's figures are.
players = Table(
    "players",
    metadata,
    Column("user_id", BigInteger, nullable=False, autoincrement=False),
    Column("lane", SmallInteger, nullable=False),
    PrimaryKeyConstraint("user_id", name="players_pkey"),
)

# A minute without a bet has no row.
bet_minutes = Table(
    "bet_minutes",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("minute", DateTime(timezone=True), nullable=False, comment="its first moment, by the wallet's created_at"),
    Column("bets", Integer, nullable=False),
    PrimaryKeyConstraint("user_id", "minute", name="bet_minutes_pkey"),
    CheckConstraint("bets > 0", name="bet_minutes_bets_check"),
)
# Finds what is past its time.
Index("bet_minutes_minute_idx", bet_minutes.c.minute)

outbox = outbox_table(metadata)

# `state` is the text of `domain.features.encode`: equal features, equal texts. The score is as of `latest`.
features = Table(
    "features",
    metadata,
    Column("user_id", BigInteger, nullable=False, autoincrement=False),
    Column("latest", DateTime(timezone=True)),
    Column("revision", BigInteger, nullable=False, server_default="0", comment="of the rules that the score is by"),
    Column("score", SmallInteger, nullable=False, server_default="0"),
    Column("level", Text, nullable=False, server_default="SAFE"),
    Column("reasons", JSON, nullable=False),
    Column("shadow", JSON, nullable=False),
    Column("state", JSON),
    PrimaryKeyConstraint("user_id", name="features_pkey"),
    CheckConstraint("score BETWEEN 0 AND 100", name="features_score_check"),
)
Index("features_score_idx", features.c.score.desc())
Index("features_revision_idx", features.c.revision, features.c.user_id)

score_history = Table(
    "score_history",
    metadata,
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("level", Text, nullable=False),
    Column("reasons", JSON, nullable=False),
    PrimaryKeyConstraint("user_id", "number", name="score_history_pkey"),
)
Index("score_history_at_idx", score_history.c.at)

games = Table(
    "games",
    metadata,
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("stake_minor", BigInteger, nullable=False),
    Column("payout_minor", BigInteger, nullable=False),
    Column("win_probability_ppm", Integer),
    Column("opponent_user_id", BigInteger),
    Column("round_id", Text, nullable=False),
    Column("game_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("round_id", "user_id", name="games_pkey"),
)
Index("idx_games_outcome_created", games.c.outcome, games.c.created_at)

# Finds what a backtest replays, and what is past its time.
Index("games_created_idx", games.c.created_at)

# The inbox of topics without positions: an event's source and id; and what it said, for backtests.
signals = Table(
    "signals",
    metadata,
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("user_id", BigInteger),
    Column("at", BigInteger, comment="as it counts, in milliseconds; null where nothing is known of it"),
    Column("kind", Text),
    Column("country", Text),
    Column("instrument_id", Text),
    Column("device_id", Text),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    PrimaryKeyConstraint("source", "event_id", name="signals_pkey"),
)
Index("signals_received_idx", signals.c.received_at)
Index("signals_at_idx", signals.c.at, postgresql_where=text("at IS NOT NULL"))

links = Table(
    "links",
    metadata,
    Column("user_id", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False, comment="of the last use, in milliseconds"),
    Column("what", Text, nullable=False),
    Column("key", Text, nullable=False),
    PrimaryKeyConstraint("what", "key", "user_id", name="links_pkey"),
)
Index("links_at_idx", links.c.at)

fraud_rules = Table(
    "fraud_rules",
    metadata,
    Column("version", BigInteger, Identity(always=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("rule_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("error", Text),
    Column("body", JSON, nullable=False),
    PrimaryKeyConstraint("version", name="fraud_rules_pkey"),
    CheckConstraint("state IN ('draft', 'shadow', 'active', 'retired', 'disabled')", name="fraud_rules_state_check"),
)
Index("fraud_rules_active_key", fraud_rules.c.rule_id, unique=True, postgresql_where=text("state = 'active'"))

rules_revision = Table(
    "rules_revision",
    metadata,
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("one", Boolean, nullable=False, server_default=text("true")),
    PrimaryKeyConstraint("one", name="rules_revision_pkey"),
    CheckConstraint("one", name="rules_revision_one_check"),
)

# A rule adds nothing to a player's score at any moment from `since` up to `until`, by the times of the player's events.
rule_snoozes = Table(
    "rule_snoozes",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("ended_by", Text),
    PrimaryKeyConstraint("id", name="rule_snoozes_pkey"),
)
Index("rule_snoozes_user_idx", rule_snoozes.c.user_id, rule_snoozes.c.since)

# Of each day and version: how often it was asked of a player, and how often it held.
rule_days = Table(
    "rule_days",
    metadata,
    Column("version", BigInteger, nullable=False),
    Column("day", Date, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("fired", BigInteger, nullable=False),
    PrimaryKeyConstraint("version", "day", name="rule_days_pkey"),
)

fraud_flags = Table(
    "fraud_flags",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False, comment="the latest of what it is for, in milliseconds"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("snoozed_until", DateTime(timezone=True)),
    Column("resolved_at", DateTime(timezone=True)),
    Column("score", SmallInteger, nullable=False),
    Column("level", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("assignee", Text),
    Column("resolved_by", Text),
    Column("resolution", Text),
    Column("reasons", JSON, nullable=False),
    Column("notes", JSONB, nullable=False, server_default="[]"),
    PrimaryKeyConstraint("id", name="fraud_flags_pkey"),
    CheckConstraint(
        "status IN ('open', 'in_review', 'snoozed', 'confirmed', 'dismissed')", name="fraud_flags_status_check"
    ),
    CheckConstraint("(status = 'snoozed') = (snoozed_until IS NOT NULL)", name="fraud_flags_snoozed_check"),
)
Index("idx_fraud_flags_score", fraud_flags.c.score.desc())
Index(
    "fraud_flags_unresolved_key",
    fraud_flags.c.user_id,
    unique=True,
    postgresql_where=text("status IN ('open', 'in_review', 'snoozed')"),
)
Index("fraud_flags_user_idx", fraud_flags.c.user_id, fraud_flags.c.created_at)
Index("fraud_flags_queue_idx", fraud_flags.c.status, fraud_flags.c.score.desc(), fraud_flags.c.created_at)
# Finds what was resolved lately.
Index("fraud_flags_resolved_idx", fraud_flags.c.resolved_at, postgresql_where=text("resolved_at IS NOT NULL"))

# A flag's block in the wallet. `ask_after`: when the wallet is asked for what is due; null where nothing is.
fraud_blocks = Table(
    "fraud_blocks",
    metadata,
    Column("flag_id", Uuid, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("position", BigInteger, comment="of the wallet's decision, in the player's lane"),
    Column("seen_at", BigInteger, nullable=False, comment="the latest of what it is for, in milliseconds"),
    Column("read_to", BigInteger, comment="the wallet is asked once the lane is read up to here"),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("lift_requested_at", DateTime(timezone=True)),
    Column("ask_after", DateTime(timezone=True)),
    Column("asked", Integer, nullable=False),
    Column("lane", SmallInteger),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lift_reason", Text),
    PrimaryKeyConstraint("flag_id", name="fraud_blocks_pkey"),
    CheckConstraint(
        "state IN ('requested', 'in_force', 'covered', 'refused', 'cancelled', 'lifting', 'lifted')",
        name="fraud_blocks_state_check",
    ),
    CheckConstraint("(ask_after IS NOT NULL) = (state IN ('requested', 'lifting'))", name="fraud_blocks_due_check"),
)
Index("fraud_blocks_due_idx", fraud_blocks.c.ask_after, postgresql_where=text("ask_after IS NOT NULL"))
Index("fraud_blocks_user_idx", fraud_blocks.c.user_id)

# A player's latest unblock: what was seen up to it blocks nobody again by itself.
unblocks = Table(
    "unblocks",
    metadata,
    Column("user_id", BigInteger, nullable=False, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False, comment="when somebody asked for it, in milliseconds"),
    PrimaryKeyConstraint("user_id", name="unblocks_pkey"),
)

# What takes longer than a request: `reprocessing` and `backtest`. An instance that dies leaves its job to be due again.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column(
        "due_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("clock_timestamp()"),
        comment="nobody takes it before; who works on it moves it on",
    ),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("total", BigInteger, nullable=False, server_default="0"),
    Column("place", BigInteger, nullable=False, server_default="0", comment="the last player that was scored again"),
    Column("owner", Uuid),
    Column("kind", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("error", Text),
    Column("request", JSON, nullable=False),
    Column("result", JSON),
    PrimaryKeyConstraint("id", name="jobs_pkey"),
    CheckConstraint("kind IN ('reprocessing', 'backtest')", name="jobs_kind_check"),
)
Index("jobs_due_idx", jobs.c.kind, jobs.c.created_at, postgresql_where=text("finished_at IS NULL"))
