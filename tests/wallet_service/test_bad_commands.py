"""Commands that cannot be read or decided: each ends parked or refused by name, and never harms its neighbours."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.broker import BrokerOptions
from shared.contracts.commands import Command, encode
from shared.contracts.replies import Outcome
from shared.contracts.topics import WALLET_COMMANDS, parked
from shared.delivery import MAX_PARKED_BYTES
from shared.lanes import key_of, lane_of
from tests.support import LANES, eventually, started
from tests.wallet_service.client import Client, events, read
from tests.wallet_service.support import all_published, decision, fresh
from wallet_service import repository
from wallet_service.app import create_app
from wallet_service.domain import decisions
from wallet_service.domain.needs import Changes
from wallet_service.repository import Reads
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration

USER = 42
LANE = lane_of(USER, LANES)
GOOD = fresh()


def changed(**fields: Any) -> bytes:
    """A command's body with some fields changed, and those that are None left out."""
    body = GOOD.model_dump(mode="json", exclude_none=True) | {"command_id": str(uuid4())} | fields
    return _json({name: value for name, value in body.items() if value is not None})


def _json(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"{" + b",".join(b'"%s":%s' % (name.encode(), _json(each)) for name, each in value.items()) + b"}"
    if isinstance(value, bytes):
        return value
    return (f'"{value}"' if isinstance(value, str) else str(value).lower()).encode()


BAD_BODIES = {
    "broken JSON": b'{"command_id": ',
    "an empty value": b"",
    "no value": None,
    "JSON null": b"null",
    "a list": b"[]",
    "a list in a list, a thousand times": b"[" * 1000 + b"]" * 1000,
    "not UTF-8": b"\xff\xfe\x00",
    "not UTF-8 in a field": changed(reference_id=b'"\xff\xfe"'),
    "half a surrogate pair": changed(reference_id=b'"\\ud800"'),
    "no fields": b"{}",
    "no provider for a deposit": changed(provider=None),
    "an unknown kind": changed(kind="GAME_TIP"),
    "a kind in lower case": changed(kind="deposit"),
    "a negative amount": changed(amount_minor=-1000),
    "an amount of zero": changed(amount_minor=0),
    "an amount above the largest": changed(amount_minor=10**15),
    "an amount with decimals": changed(amount_minor=b"10.5"),
    "an amount that is a whole float": changed(amount_minor=b"1000.0"),
    "an amount with an exponent": changed(amount_minor=b"1e3"),
    "an amount that is no number": changed(amount_minor=b"NaN"),
    "an amount that is endless": changed(amount_minor=b"1e999"),
    "an amount as text": changed(amount_minor="1000"),
    "an amount that is true": changed(amount_minor=True),
    "ten thousand digits": changed(amount_minor=b"9" * 10_000),
    "five thousand digits": changed(amount_minor=b"9" * 5_000),
    "an unknown currency": changed(currency="XYZ"),
    "a currency without minor units": changed(currency="XAU"),
    "a currency in lower case": changed(currency="usd"),
    "a player below one": changed(user_id=0),
    "a player above 64 bits": changed(user_id=2**63),
    "an id that is none": changed(command_id="42"),
    "a control character": changed(reference_id=b'"a\\u0000b"'),
    "a line feed": changed(reference_id=b'"a\\nb"'),
    "an empty reference": changed(reference_id=""),
    "a reference that is too long": changed(reference_id="x" * 129),
    "a provider with a colon": changed(provider="a:b"),
    "the year 9999": changed(occurred_at="9999-12-31T23:59:59Z"),
    "the year 1": changed(occurred_at="0001-01-01T00:00:00Z"),
    "a thirtieth of February": changed(occurred_at="2026-02-30T00:00:00Z"),
    "a time without an offset": changed(occurred_at="2026-11-24T10:00:00"),
    "a time that is a number": changed(occurred_at=1795514400),
    "an expiry that is none": changed(expires_at="tomorrow"),
    "a body above the bound": changed(reference_id="x" * 10_000),
    "a body of hundreds of kilobytes": b"x" * (MAX_PARKED_BYTES - 1000),
}


class TestBadCommands:
    """Each ends parked or refused by name, while its neighbours in the same batch go through."""

    async def test_what_cannot_be_read_is_parked_with_its_reason(
        self, client: Client, settings: Settings, kafka: BrokerOptions, reads: Reads
    ) -> None:
        neighbours = []
        for body in BAD_BODIES.values():
            neighbours.append(fresh())
            await client.send(neighbours[-1])
            await client.put(body, key=key_of(USER), also=client.asking())
        async with started(create_app(settings)):
            replies = await client.replies(len(neighbours))
            records = await read(kafka, parked(WALLET_COMMANDS), len(BAD_BODIES))
        assert {decision(reply) for reply in replies} == {("posted", None)}
        rows = await reads.journal(LANE, 0, 1000)
        assert [row.content.command_id for row in rows] == [each.command_id for each in neighbours]
        # Rows of one batch have one time: those between the bad ones were not held up, nor tried one by one.
        assert len({row.content.created_at for row in rows}) < 5
        for (name, body), record in zip(BAD_BODIES.items(), records, strict=True):
            headers = dict(record.headers)
            assert record.value == (body or b""), name
            assert headers["parked-code"] == b"UNDECODABLE", name
            assert headers["parked-reason"], name
            assert headers["reply-to"], name

    async def test_each_reason_names_its_field_and_not_its_value(
        self, client: Client, settings: Settings, kafka: BrokerOptions
    ) -> None:
        named = {
            "kind": changed(kind="SECRET-VALUE"),
            "amount_minor": changed(amount_minor="SECRET-VALUE"),
            "currency": changed(currency="SECRET-VALUE"),
            "provider": changed(provider="SECRET-VALUE"),
            "occurred_at": changed(occurred_at="SECRET-VALUE"),
            "command_id": changed(command_id="SECRET-VALUE"),
        }
        for body in named.values():
            await client.put(body, key=key_of(USER))
        async with started(create_app(settings)):
            records = await read(kafka, parked(WALLET_COMMANDS), len(named))
        for field, record in zip(named, records, strict=True):
            reason = dict(record.headers)["parked-reason"].decode()
            assert reason.startswith(f"{field}: ")
            assert "SECRET" not in reason

    async def test_what_is_too_large_to_be_put_aside_does_not_stop_its_lane(
        self, client: Client, settings: Settings, kafka: BrokerOptions
    ) -> None:
        # As large as the broker takes it: with the reasons of its parking it would be too large.
        largest = b"x" * (1024 * 1024 - 200)
        await client.put(largest, key=key_of(USER))
        async with started(create_app(settings)):
            assert decision((await client.ask(fresh()))[0]) == ("posted", None)
            (record,) = await read(kafka, parked(WALLET_COMMANDS), 1)
        headers = dict(record.headers)
        assert record.value == b""
        assert headers["parked-code"] == b"UNDECODABLE"
        assert headers["parked-from"] == f"{WALLET_COMMANDS}/{LANE}/0".encode()
        assert int(headers["parked-omitted-bytes"]) == len(largest) + len(key_of(USER))

    async def test_a_command_on_another_players_lane_is_parked_and_its_asker_told(
        self, client: Client, settings: Settings, kafka: BrokerOptions, reads: Reads
    ) -> None:
        stray = next(user for user in range(1, 100) if lane_of(user, LANES) != LANE)
        wrong, neighbour = fresh(user_id=stray), fresh()
        await client.put(encode(wrong), key=key_of(USER), also=client.asking())
        await client.send(neighbour)
        async with started(create_app(settings)):
            answers = {reply.command_id: reply for reply in await client.replies(2)}
            (record,) = await read(kafka, parked(WALLET_COMMANDS), 1)
        assert decision(answers[neighbour.command_id]) == ("posted", None)
        assert (answers[wrong.command_id].outcome, answers[wrong.command_id].code) == (Outcome.REJECTED, "WRONG_LANE")
        assert dict(record.headers)["parked-code"] == b"WRONG_LANE"
        assert await reads.transaction(wrong.command_id) is None

    async def test_a_command_without_a_key_is_decided_where_its_lane_is_right(
        self, client: Client, settings: Settings
    ) -> None:
        await client.put(encode(fresh()), key=None, partition=LANE, also=client.asking())
        async with started(create_app(settings)):
            assert decision((await client.replies(1))[0]) == ("posted", None)

    async def test_what_its_headers_hold_never_harms_a_command(
        self, client: Client, settings: Settings, reads: Reads
    ) -> None:
        odd: list[list[tuple[str, bytes | None]]] = [
            [("reply-to", None)],
            [("reply-to", b"")],
            [("reply-to", b"\xff\xfe")],
            [("reply-to", b"\xff/address")],
            [("reply-to", b"0")],
            [("reply-to", b"0/")],
            [("reply-to", b"/address")],
            [("reply-to", b"-1/address")],
            [("reply-to", b"99/address")],
            [("reply-to", "\N{SUPERSCRIPT TWO}/address".encode())],
            [("reply-to", b"9" * 300 + b"/address")],
            [("reply-to", b"0/" + b"x" * 65)],
            [("ce_type", b"\xff\xfe"), ("anything", None), ("", b"")],
        ]
        sent = [fresh() for _ in odd]
        for each, headers in zip(sent, odd, strict=True):
            await client.put(encode(each), key=key_of(USER), also=headers)
        asked = fresh()
        address = client.asking()[0]
        await client.put(encode(asked), key=key_of(USER), also=[address, ("correlation-id", b"\xff\xfe" * 200)])
        async with started(create_app(settings)):
            (reply,) = await client.replies(1)
        assert reply.command_id == asked.command_id
        rows = await reads.journal(LANE, 0, 100)
        assert [row.content.command_id for row in rows] == [each.command_id for each in [*sent, asked]]

    @pytest.mark.slow
    async def test_a_header_whose_name_cannot_be_read_stops_no_lane_and_loses_no_command(
        self, client: Client, settings: Settings, kafka: BrokerOptions
    ) -> None:
        places = []
        sent: list[Command] = []
        # On each lane in turn: what is lost, if any is, is what was fetched from the lanes in front of it.
        for lane in range(LANES):
            before, after = ([fresh(user_id=user) for user in range(1, 31)] for _ in range(2))
            await client.send(*before)
            places.append((lane, sum(lane_of(each.user_id, LANES) == lane for each in [*sent, *before])))
            await client.put_with_a_header_name(b"\xff\xfe", encode(fresh()), partition=lane)
            await client.send(*after)
            async with started(create_app(settings)) as http:
                replies = await client.replies(60)
                metrics = (await http.get("/metrics")).text
            assert {decision(reply) for reply in replies} == {("posted", None)}
            assert {reply.command_id for reply in replies} == {each.command_id for each in [*before, *after]}
            # Nor is what was decided read again.
            assert 'langsense_duplicates_total{topic="wallet.commands.v1"} 0.0' in metrics
            sent += [*before, *after]
        for (lane, place), record in zip(places, await read(kafka, parked(WALLET_COMMANDS), LANES), strict=True):
            headers = dict(record.headers)
            assert headers["parked-code"] == b"UNDECODABLE"
            assert headers["parked-from"] == f"{WALLET_COMMANDS}/{lane}/{place}".encode()

    @pytest.mark.parametrize("where", ["the decision", "the database"])
    async def test_a_command_that_fails_by_itself_is_found_and_parked(
        self,
        where: str,
        client: Client,
        settings: Settings,
        kafka: BrokerOptions,
        reads: Reads,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if where == "the decision":
            monkeypatch.setattr("wallet_service.domain.batch.decide", _failing_decide)
        else:
            monkeypatch.setattr(repository, "save", _failing_save)
        sent = [fresh(reference_id="poison" if count in (3, 4) else None) for count in range(9)]
        await client.send(*sent)
        async with started(create_app(settings)):
            answers = {reply.command_id: reply for reply in await client.replies(len(sent))}
            records = await read(kafka, parked(WALLET_COMMANDS), 2)
            await eventually(lambda: all_published(reads, LANE, len(sent) - 2))
        poisoned = sent[3:5]
        for each in poisoned:
            assert (answers[each.command_id].outcome, answers[each.command_id].code) == (
                Outcome.REJECTED,
                "UNPROCESSABLE",
            )
        assert [record.value for record in records] == [encode(each) for each in poisoned]
        rows = await reads.journal(LANE, 0, 100)
        assert [row.content.command_id for row in rows] == [each.command_id for each in sent if each not in poisoned]
        # Nothing was said of what was rolled back.
        published = (await events(kafka))[LANE]
        assert {(event.position, event.checksum) for event in published} == {
            (row.content.position, row.checksum.hex()) for row in rows
        }


_decide, _save = decisions.decide, repository.save


def _failing_decide(each: Command, *rest: Any) -> Any:
    if each.reference_id == "poison":
        raise ZeroDivisionError
    return _decide(each, *rest)


async def _failing_save(connection: AsyncConnection, changes: Changes, *rest: Any) -> None:
    await _save(connection, changes, *rest)
    if any(row.content.reference_id == "poison" for row in changes.rows):
        await connection.execute(text("SELECT 1 / 0"))
