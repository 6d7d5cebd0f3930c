"""The closed loop as the ledger has it: what came from each place, less what went back and what is on its way there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, ColumnElement, DateTime, and_, case, func, null, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.closed_loop import Place, Refundable, Source
from payments_service.domain.ledger import Posted
from payments_service.domain.payments import NEVER_ARRIVED, OVER
from payments_service.domain.ports import Direction
from payments_service.domain.states import OPEN, State
from payments_service.repository import ledger
from payments_service.tables import ledger_movements, payments

_p, _m = payments.c, ledger_movements.c
_PLACE = Place._fields
_REFUNDED = payments.alias("refunded")
_REFUNDS = payments.join(_REFUNDED, _p.of_payment == _REFUNDED.c.id)


async def sources(connection: AsyncConnection, user_id: int, currency: str) -> Sequence[Source]:
    """Where a player's money in one currency came from and can go back to, in no order.

    All that the ledger moved there counts, what staff reversed included. It is one statement: what is on its way when
    one reads, and has arrived when another does, would count twice or not at all.
    """
    movements, of_payment = ledger.attributed()
    in_ledger = (
        select(*(of_payment(name) for name in _PLACE), _m.net_minor.label("net_minor"), _m.at.label("at"))
        .select_from(movements)
        .where(_m.user_id == user_id, _m.currency == currency, of_payment("id").isnot(None))
    )
    on_its_way = (
        select(*(_p[name] for name in _PLACE), -_p.amount_minor, null().cast(DateTime(timezone=True)))
        .where(_p.user_id == user_id, _p.currency == currency, _p.direction == Direction.WITHDRAWAL)
        .where(_p.status.in_((State.CREATED, State.COMPLETED, *OPEN)), _p.posted.in_((Posted.NOTHING, Posted.HELD)))
    )
    refunds = (
        select(*(_p[name] for name in _PLACE), -_p.amount_minor, null().cast(DateTime(timezone=True)))
        .select_from(_REFUNDS)
        .where(*_under_way(user_id, currency))
    )
    each = union_all(in_ledger, on_its_way, refunds).subquery()
    net_minor = func.sum(each.c.net_minor).cast(BigInteger)
    since = func.min(case((each.c.net_minor > 0, each.c.at)))
    place = [each.c[name] for name in _PLACE]
    query = select(*place, net_minor, since).group_by(*place).having(net_minor > 0)
    return [Source(Place(*row[:3]), row[3], row[4]) for row in await connection.execute(query)]


async def is_being_refunded(connection: AsyncConnection, user_id: int, currency: str) -> bool:
    """Whether something that a player may have in cash goes back to where it came from, and the ledger does not yet
    know: paid out meanwhile, it would leave us twice.
    """
    query = select(_p.id).select_from(_REFUNDS).where(*_under_way(user_id, currency)).limit(1)
    return (await connection.execute(query)).first() is not None


def _under_way(user_id: int, currency: str) -> Sequence[ColumnElement[bool]]:
    return (
        _p.user_id == user_id,
        _p.currency == currency,
        _p.direction == Direction.REFUND,
        _p.status.in_((State.CREATED, State.COMPLETED, *OPEN)),
        _p.posted.in_((Posted.NOTHING, Posted.RELEASED)),
        # The journal may bring its row before the answer that was lost.
        ~select(_m.command_id).where(_p.posted == Posted.NOTHING, _m.about == _p.id, _m.net_minor < 0).exists(),
        # What was never credited is nobody's cash.
        _REFUNDED.c.posted == Posted.CREDITED,
    )


async def deposits(connection: AsyncConnection, user_id: int, currency: str) -> Mapping[Place, Sequence[Refundable]]:
    """A player's deposits in one currency of which something has not gone back, by where they came from.

    The oldest come first.
    """
    deposit, back = payments.alias("deposit").c, payments.alias("back").c
    gone = func.sum(back.amount_minor).filter(back.status.notin_(OVER))
    left_minor = (deposit.amount_minor - func.coalesce(gone, 0)).cast(BigInteger)
    # What the wallet refused, or never reached the provider, says nothing of where it would have gone.
    asked = and_(back.posted != Posted.REFUSED, func.coalesce(back.reason, "") != NEVER_ARRIVED)
    failed = or_(and_(back.status == State.FAILED, asked), back.status == State.REFUNDED)
    refused = func.count().filter(back.direction == Direction.WITHDRAWAL, failed) > 0
    query = (
        select(*(deposit[name] for name in _PLACE), deposit.id, left_minor, refused)
        .select_from(deposit.id.table.outerjoin(back.id.table, back.of_payment == deposit.id))
        .where(deposit.user_id == user_id, deposit.currency == currency, deposit.direction == Direction.DEPOSIT)
        .where(deposit.status.in_((State.COMPLETED, State.REINSTATED)), deposit.posted == Posted.CREDITED)
        .group_by(deposit.id)
        .having(left_minor > 0)
        .order_by(deposit.settled_at, deposit.number)
    )
    found: dict[Place, list[Refundable]] = defaultdict(list)
    for row in await connection.execute(query):
        found[Place(*row[:3])].append(Refundable(row[3], row[4], row[5]))
    return found
