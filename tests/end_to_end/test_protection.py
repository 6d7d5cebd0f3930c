"""KYC on a whole platform; and that what a player shows stands nowhere in clear."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.places import SERVICES
from tests.end_to_end.support import Ask, Platform, asking, passport, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLAYER, OTHER = 5200, 5201
USER = f"/users/{PLAYER}"
PASSPORT, REFUSED = "548213907", "731904428"
PLANTED = (
    *("Zebulon", "Quillfeather", "1987-03-19", "Xyloph", "Brackenmoor", "QX7 9ZZ", "QX79ZZ"),
    *(PASSPORT, REFUSED, "2099-07-21", "496 0321", "1214960321"),
)

_READABLE = """SELECT relid::regclass::text AS name FROM pg_stat_user_tables
    WHERE has_schema_privilege(schemaname, 'USAGE') AND has_table_privilege(relid, 'SELECT')"""


@pytest.fixture
def ask(platform: Platform) -> Iterator[Ask]:
    with asking(platform, PLAYER) as asked:
        yield asked


def wrong(ask: Ask, **fields: Any) -> list[str]:
    """The fields that a submission is refused for."""
    response: httpx2.Response = ask("player", "POST", f"{USER}/kyc", passport(REFUSED) | fields)
    assert response.status_code == 422
    assert not any(value in response.text for value in PLANTED)
    return [error["field"] for error in response.json()["errors"]]


def test_wrong_values_are_named_and_not_repeated(ask: Ask) -> None:
    assert wrong(ask, birth_date="2199-01-01") == ["birth_date"]
    assert wrong(ask, country="QQ") == ["country"]
    assert wrong(ask, phone="+44 12") == ["phone"]
    assert wrong(ask, document_number="!") == ["document_number"]


async def test_no_value_stands_in_a_table_an_event_a_log_or_an_error(ask: Ask, platform: Platform) -> None:
    assert ask("player", "POST", f"{USER}/kyc", passport(PASSPORT)).status_code == 201
    until(lambda: ask("player", "GET", f"{USER}/kyc").json()["tier"]["name"] == "VERIFIED")
    # The same document again, in another's name: refused or reviewed, and told to staff alone.
    held = ask("compliance", "POST", f"/users/{OTHER}/kyc", passport(PASSPORT)).json()
    assert held["state"] == "review"
    decision = {"decision": "reject", "reason": "held by another", "public_reason": "Please call us."}
    assert ask("compliance", "POST", f"/users/{OTHER}/kyc/decision", decision).json()["state"] == "rejected"
    clear = ask("compliance", "GET", f"{USER}/kyc?fields=true")
    assert clear.json()["fields"]["document_number"] == PASSPORT
    wrong(ask, birth_date="2199-01-01")
    log = ask("compliance", "GET", f"/audit-log?user_id={PLAYER}")
    assert {"KYC_SUBMIT", "KYC_VERIFY", "KYC_READ"} <= {entry["action"] for entry in log.json()["entries"]}

    environment = platform.environment()
    places = {
        "tables": await tables(environment),
        "events": await events(environment["KAFKA_BOOTSTRAP_SERVERS"]),
        "logs": "".join(path.read_text(errors="replace") for path in (platform.data / "logs").iterdir()),
        "output": platform.printed(),
        "audit log": log.text,
        "figures": "".join(httpx2.get(f"{url}/metrics", trust_env=False).text for url in urls(environment)),
    }
    # Each place has what it should have, so that an empty one is not taken for a clean one.
    assert f"user_id={PLAYER}" in places["tables"]
    assert f'"user_id":{PLAYER}' in places["events"]
    assert "transactions" in places["tables"]
    assert places["logs"]
    assert {(place, value) for place, text in places.items() for value in PLANTED if value in text} == set()


def urls(environment: dict[str, str]) -> list[str]:
    """Where the services are."""
    return [url for name, url in environment.items() if name.endswith("_SERVICE_URL") or name == "GATEWAY_URL"]


async def tables(environment: dict[str, str]) -> str:
    """Every row of every table that a service owns, as text; what is bytes, as what they spell too."""
    found: list[str] = []
    for service in SERVICES:
        connection = await asyncpg.connect(environment[f"{service.upper()}_DATABASE_URL"])
        try:
            for row in await connection.fetch(_READABLE):
                rows = await connection.fetch(f"SELECT * FROM {row['name']}")
                found += [f"{row['name']} {each!r}" for each in rows]
        finally:
            await connection.close()
    return "\n".join(found)


async def events(bootstrap: str) -> str:
    """Every message of every topic, with its key and headers."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        topics = await consumer.topics()
        partitions = [TopicPartition(t, p) for t in topics for p in consumer.partitions_for_topic(t) or ()]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[str] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [f"{each.key!r} {each.value!r} {each.headers!r}" for each in records]
        return "\n".join(found)
    finally:
        await consumer.stop()


@pytest.mark.slow
def test_the_archive_takes_whole_months_alone_and_the_log_verifies_with_it(
    ask: Ask, platform: Platform, tmp_path: Path
) -> None:
    assert ask("compliance", "POST", f"{USER}/kyc", passport("482913706")).status_code == 201
    url = platform.environment()["COMPLIANCE_DATABASE_URL"]
    archived = platform.run("archive-audit-log", "--database-url", url, "--archive", str(tmp_path))
    assert (archived.returncode, archived.stdout) == (0, "0 months archived, verified and dropped\n"), archived.stderr
    verified = platform.run("verify", "--audit-archive", str(tmp_path))
    assert verified.returncode == 0, verified.stdout
