"""Reports that are made by themselves: when they are due, once each, by mail, into a folder, and as an event."""

import asyncio
import email
import email.policy
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, Envelope, Session
from moto.server import ThreadedMotoServer
from pyarrow.fs import FileSelector, S3FileSystem
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.schedule import Run, due, missed
from metrics_service.handlers import ledger as handlers
from metrics_service.handlers.schedule import MOST_ATTEMPTS, Schedule, Way
from metrics_service.handlers.sending import Bucket, Folder, Mail
from metrics_service.repository import days
from metrics_service.repository.reports import ReportKeys, Reports
from metrics_service.settings import BucketSettings, MailSettings, Settings
from ops.infrastructure import free_port
from shared import clock
from shared import database as databases
from shared.contracts.kinds import Kind
from shared.contracts.reports import Every, Format, ReportMade
from shared.errors import DeliveryFailed
from shared.figures.report import Report
from shared.reports.forms import render
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.metrics_service.conftest import REPORT_KEYS
from tests.metrics_service.conftest import UTC as ZONE
from tests.metrics_service.play import take
from tests.support import Database, as_administrator

AT = time(23)
ALL: frozenset[Every] = frozenset({"day", "week", "month"})
EVENING = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)


def names(runs: list[Run]) -> list[tuple[str, str, str]]:
    return [(run.every, run.first_day.isoformat(), run.last_day.isoformat()) for run in runs]


def test_a_week_and_a_month_are_due_on_the_day_after_their_end() -> None:
    found = list(due(datetime(2026, 11, 29, 23, tzinfo=UTC), datetime(2026, 12, 1, 23, tzinfo=UTC), AT, ZONE))
    assert names(found) == [
        ("day", "2026-11-30", "2026-11-30"),
        ("week", "2026-11-23", "2026-11-29"),
        ("day", "2026-12-01", "2026-12-01"),
        ("month", "2026-11-01", "2026-11-30"),
    ]
    assert {run.due_at.time() for run in found} == {AT}


def test_the_day_is_the_one_on_the_platforms_clock() -> None:
    (run, *_) = due(EVENING - timedelta(hours=1), EVENING, AT, ZoneInfo("Asia/Tokyo"))
    assert run.first_day == date(2026, 11, 25)


def test_at_first_the_last_of_each_is_due_and_then_whatever_was_missed() -> None:
    assert names(missed(ALL, {}, EVENING, AT, ZONE)) == [
        ("month", "2026-10-01", "2026-10-31"),
        ("week", "2026-11-16", "2026-11-22"),
        ("day", "2026-11-24", "2026-11-24"),
    ]
    made = dict.fromkeys(ALL, EVENING - timedelta(days=3))
    assert names(missed(frozenset({"day"}), made, EVENING, AT, ZONE)) == [
        ("day", f"2026-11-{day}", f"2026-11-{day}") for day in (22, 23, 24)
    ]
    assert missed(ALL, dict.fromkeys(ALL, EVENING), EVENING + timedelta(hours=1), AT, ZONE) == []


class Recorded:
    """A way that keeps what it is given, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[Run] = []
        self.failures = failures

    async def send(self, run: Run, report: Report) -> None:
        if self.failures:
            self.failures -= 1
            raise DeliveryFailed("not now")
        self.sent.append(run)


class Clock:
    def __init__(self) -> None:
        self.now = EVENING

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def at() -> Clock:
    return Clock()


@pytest.fixture
async def reports(engine: AsyncEngine, ledger: FakeLedger, at: Clock) -> Reports:
    """The reports of a day with a bet and a win."""
    rows = [ledger.add(Kind.GAME_BET, 1, 1000), ledger.add(Kind.GAME_PAYOUT, 1, 400)]
    await take(engine, handlers.applying(ZONE, clock.utc_now), rows)
    return Reports(engine, ZONE, ReportKeys(REPORT_KEYS), at)


def schedule(
    settings: Settings, engine: AsyncEngine, reports: Reports, at: Clock, metrics: Metrics | None = None, **ways: Way
) -> Schedule:
    daily = settings.model_copy(update={"reports_every": frozenset({"day"})})
    return Schedule(daily, engine=engine, reports=reports, ways=ways, clock=at, metrics=metrics or Metrics())


async def events(database: Database) -> list[ReportMade]:
    rows = await as_administrator(database, "SELECT body FROM metrics.outbox ORDER BY number")
    return [ReportMade.model_validate(orjson.loads(row["body"])) for row in rows]


@pytest.mark.integration
async def test_two_instances_send_a_report_once_and_tell_it_once(
    settings: Settings, engine: AsyncEngine, reports: Reports, at: Clock, database: Database
) -> None:
    way = Recorded()
    instances = [schedule(settings, engine, reports, at, email=way) for _ in range(2)]
    sent = await asyncio.gather(*(instance.look() for instance in instances))
    sent += await asyncio.gather(*(instance.look() for instance in instances))
    assert sum(sent) == 1
    assert names(way.sent) == [("day", "2026-11-24", "2026-11-24")]
    (told,) = await events(database)
    assert (told.every, told.ways, told.first_day) == ("day", ["email"], date(2026, 11, 24))


@pytest.mark.integration
async def test_what_was_missed_is_sent_once_after_its_days_are_closed(
    settings: Settings, engine: AsyncEngine, reports: Reports, at: Clock
) -> None:
    way = Recorded()
    made = schedule(settings, engine, reports, at, email=way)
    assert await made.look() == 1
    at.now = EVENING + timedelta(days=2, hours=1)
    # The days that are over are not closed yet, nor is the one that was due an hour ago.
    assert await made.look() == 0
    async with databases.transaction(engine) as connection:
        await days.close(connection, [MOMENT.date() + timedelta(days=n) for n in (0, 1, 2)], "UTC", at.now)
    assert await made.look() == 2
    assert await made.look() == 0
    assert [run.first_day.day for run in way.sent] == [24, 25, 26]


@pytest.mark.integration
async def test_a_way_that_fails_is_tried_again_within_a_bound_and_the_others_are_not(
    settings: Settings, engine: AsyncEngine, reports: Reports, at: Clock, database: Database
) -> None:
    mail, folder, metrics = Recorded(failures=2), Recorded(), Metrics()
    made = schedule(settings, engine, reports, at, metrics, aside=folder, email=mail)
    for sent in (0, 0, 1, 0):
        assert await made.look() == sent
        at.now += timedelta(minutes=10)
    assert len(folder.sent) == len(mail.sent) == len(await events(database)) == 1
    at.now = EVENING + timedelta(days=1)
    async with databases.transaction(engine) as connection:
        await days.close(connection, [at.now.date()], "UTC", at.now)
    mail.failures = 100
    for _ in range(MOST_ATTEMPTS + 3):
        assert await made.look() == 0
        at.now += timedelta(hours=1)
    assert mail.failures == 100 - MOST_ATTEMPTS
    counted = metrics.registry.get_sample_value
    tries = {
        outcome: counted("langsense_report_runs_total", {"every": "day", "outcome": outcome})
        for outcome in ("sent", "failed")
    }
    assert tries == {"sent": 1, "failed": 2 + MOST_ATTEMPTS}
    assert counted("langsense_report_seconds_count", {"every": "day"}) == sum(value or 0 for value in tries.values())


class Mailbox(Sink):
    """A mail server's end: keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[EmailMessage] = []
        self.to: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        found = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        self.messages.append(found)
        self.to += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, MailSettings]]:
    """A real SMTP server in this process, and the settings that find it."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield (
        box,
        MailSettings(
            smtp_host="127.0.0.1",
            smtp_port=controller.port,
            smtp_tls="none",
            report_mail_from="reports@example.com",
            report_mail_to=("finance@example.com", "cfo@example.com"),
        ),
    )
    controller.stop()


@pytest.mark.integration
async def test_a_mail_shows_the_charts_and_carries_the_files(
    settings: Settings, engine: AsyncEngine, reports: Reports, at: Clock, mailbox: tuple[Mailbox, MailSettings]
) -> None:
    box, mail = mailbox
    made = schedule(settings, engine, reports, at, email=Mail(mail, (Format.PDF, Format.JSON)))
    assert await made.look() == 1
    (message,) = box.messages
    assert message["Subject"] == "Daily figures, 2026-11-24"
    assert box.to == ["finance@example.com", "cfo@example.com"]
    page = message.get_body(("html",))
    assert page is not None
    text = page.get_content()
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) > 1
    assert all(f"cid:{part['Content-ID'].strip('<>')}" in text for part in pictures)
    assert all(part.get_payload(decode=True).startswith(b"\x89PNG") for part in pictures)  # type: ignore[union-attr]
    pdf, json = message.iter_attachments()
    assert (pdf.get_filename(), json.get_filename()) == (
        "langsense-2026-11-24-2026-11-24.pdf",
        "langsense-2026-11-24-2026-11-24.json",
    )
    assert pdf.get_content().startswith(b"%PDF-")
    assert orjson.loads(json.get_content())["currencies"]["USD"]["net_revenue"] == "6.00"


@pytest.mark.integration
async def test_a_mail_that_is_sent_again_has_the_same_id(
    reports: Reports, mailbox: tuple[Mailbox, MailSettings]
) -> None:
    box, mail = mailbox
    (run,) = missed(frozenset({"day"}), {}, EVENING, AT, ZONE)
    for _ in range(2):
        await Mail(mail, (Format.CSV,)).send(run, await reports.make(run.first_day, run.last_day))
    assert {message["Message-ID"] for message in box.messages} == {f"<{run.id}@langsense>"}


@pytest.mark.integration
async def test_a_mail_server_that_is_not_there_is_a_failure_that_can_pass(reports: Reports) -> None:
    away = MailSettings(
        smtp_host="127.0.0.1",
        smtp_port=free_port(),
        report_mail_from="a@example.com",
        report_mail_to=("b@example.com",),
    )
    (run,) = missed(frozenset({"day"}), {}, EVENING, AT, ZONE)
    with pytest.raises(DeliveryFailed, match="ConnectionRefusedError"):
        await Mail(away, (Format.CSV,)).send(run, await reports.make(run.first_day, run.last_day))


@pytest.mark.integration
async def test_a_folder_has_each_form_once(reports: Reports, tmp_path: Path) -> None:
    (run,) = missed(frozenset({"day"}), {}, EVENING, AT, ZONE)
    report = await reports.make(run.first_day, run.last_day)
    for _ in range(2):
        await Folder(tmp_path / "reports", (Format.JSON, Format.XLSX)).send(run, report)
    found = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert found == [f"day-langsense-2026-11-24-2026-11-24.{form}" for form in ("json", "xlsx")]
    (tmp_path / "file").write_text("")
    with pytest.raises(DeliveryFailed):
        await Folder(tmp_path / "file", (Format.JSON,)).send(run, report)


@pytest.fixture
def store() -> Iterator[str]:
    """Where a server listens that speaks S3."""
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.mark.integration
async def test_a_bucket_has_each_form_once(reports: Reports, store: str) -> None:
    key, secret = "a-key", "a-secret"
    seen = S3FileSystem(access_key=key, secret_key=secret, endpoint_override=store, allow_bucket_creation=True)
    await asyncio.to_thread(seen.create_dir, "reports")
    (run,) = missed(frozenset({"day"}), {}, EVENING, AT, ZONE)
    report = await reports.make(run.first_day, run.last_day)
    given: dict[str, Any] = {"report_bucket_endpoint": store, "report_bucket_key": key, "report_bucket_secret": secret}
    settings = BucketSettings(report_bucket="reports/langsense", **given)
    for _ in range(2):
        await Bucket(settings, (Format.JSON, Format.XLSX)).send(run, report)
    found = await asyncio.to_thread(seen.get_file_info, FileSelector("reports/langsense"))
    assert sorted(each.base_name for each in found) == [
        f"day-langsense-2026-11-24-2026-11-24.{form}" for form in ("json", "xlsx")
    ]
    with await asyncio.to_thread(
        seen.open_input_stream, "reports/langsense/day-langsense-2026-11-24-2026-11-24.json"
    ) as stream:
        assert stream.read() == render(report, Format.JSON)
    with pytest.raises(DeliveryFailed, match="does not take it: "):
        await Bucket(BucketSettings(report_bucket="nobodys", **given), (Format.JSON,)).send(run, report)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"smtp_host": "mail"}, "SMTP_HOST needs REPORT_MAIL_FROM"),
        ({"smtp_user": "u"}, "SMTP_USER and SMTP_PASSWORD"),
        ({"smtp_user": "u", "smtp_password": "p", "smtp_tls": "none"}, "is not sent without SMTP_TLS"),
        ({"report_mail_to": ("nobody",)}, "must be mailboxes"),
    ],
)
def test_a_mail_setting_that_is_half_or_unsafe_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MailSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"report_bucket_key": "k"}, "REPORT_BUCKET_KEY and REPORT_BUCKET_SECRET"),
        ({"report_bucket": "Not/../One"}, "report_bucket\n.*match pattern"),
    ],
)
def test_a_bucket_setting_that_is_half_or_wrong_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BucketSettings(**wrong)  # type: ignore[arg-type]
