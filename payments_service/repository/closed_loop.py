"""The closed loop as the ledger has it: what came from each place, less what went back and what is on its way there."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, DateTime, case, func, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.closed_loop import Place, Source
from payments_service.domain.ledger import Posted
from payments_service.domain.ports import Direction
from payments_service.domain.states import OPEN, State
from payments_service.repository import ledger
from payments_service.tables import ledger_movements, payments

_p, _m = payments.c, ledger_movements.c
_PLACE = Place._fields


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
    each = union_all(in_ledger, on_its_way).subquery()
    net_minor = func.sum(each.c.net_minor).cast(BigInteger)
    since = func.min(case((each.c.net_minor > 0, each.c.at)))
    place = [each.c[name] for name in _PLACE]
    query = select(*place, net_minor, since).group_by(*place).having(net_minor > 0)
    return [Source(Place(*row[:3]), row[3], row[4]) for row in await connection.execute(query)]
