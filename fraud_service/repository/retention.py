"""What is past its time goes, a bounded number of rows a statement."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain.observations import milliseconds
from fraud_service.tables import games, jobs, links, rule_days, score_history, signals


async def delete_events(connection: AsyncConnection, before: datetime, limit: int) -> Mapping[str, int]:
    """Delete at most `limit` each of the rounds, signals and uses from before a moment; returns how many went."""
    return {
        games.name: await _delete(connection, games, games.c.created_at < before, limit),
        signals.name: await _delete(connection, signals, signals.c.received_at < before, limit),
        links.name: await _delete(connection, links, links.c.at < milliseconds(before), limit),
    }


async def delete_records(connection: AsyncConnection, before: datetime, limit: int) -> Mapping[str, int]:
    """Delete at most `limit` each of the scores, counts of rules and finished jobs from before; returns how many."""
    return {
        score_history.name: await _delete(connection, score_history, score_history.c.at < before, limit),
        rule_days.name: await _delete(connection, rule_days, rule_days.c.day < before.date(), limit),
        jobs.name: await _delete(connection, jobs, jobs.c.finished_at < before, limit),
    }


async def _delete(connection: AsyncConnection, table: Table, past: ColumnElement[bool], limit: int) -> int:
    key = table.primary_key.columns
    due = select(*key).where(past).limit(limit)
    # Asked of the row itself too: a batch may have moved it on meanwhile.
    return (await connection.execute(delete(table).where(past, tuple_(*key).in_(due)))).rowcount
