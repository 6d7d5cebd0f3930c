"""The ways that reports are sent on: by mail, into a folder, into a bucket."""

import asyncio
import os
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

from metrics_service.domain.schedule import Run
from metrics_service.settings import BucketSettings, MailSettings
from shared.contracts.reports import Format, file_name
from shared.errors import DeliveryFailed
from shared.figures.report import Report
from shared.reports.forms import render
from shared.reports.mail import mailed

MAIL_WITHIN_S = 30.0
BUCKET_WITHIN_S = 30.0
_TITLES = {"day": "Daily", "week": "Weekly", "month": "Monthly"}


class Folder:
    """Puts reports into a folder, in each form. The same report is the same file."""

    def __init__(self, folder: Path, forms: Sequence[Format]) -> None:
        self._folder = folder
        self._forms = forms

    async def send(self, run: Run, report: Report) -> None:
        """As `Way.send`."""
        await asyncio.to_thread(self._write, run, report)

    def _write(self, run: Run, report: Report) -> None:
        for form in self._forms:
            path = self._folder / _name(run, form)
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                part.write_bytes(render(report, form))
                part.replace(path)
            except OSError as error:
                raise DeliveryFailed(f"the folder of reports: {error.strerror}") from error


class Bucket:
    """Puts reports into a bucket that speaks S3, in each form. The same report is the same object."""

    def __init__(self, settings: BucketSettings, forms: Sequence[Format]) -> None:
        self._settings = settings
        self._forms = forms

    async def send(self, run: Run, report: Report) -> None:
        """As `Way.send`."""
        await asyncio.to_thread(self._put, run, report)

    def _put(self, run: Run, report: Report) -> None:
        try:
            store = self._store()
            for form in self._forms:
                with store.open_output_stream(f"{self._settings.report_bucket}/{_name(run, form)}") as stream:
                    stream.write(render(report, form))
        except OSError as error:
            # What a store says names the bucket and the key: the log gets its kind alone.
            raise DeliveryFailed(f"the bucket of reports does not take it: {type(error).__name__}") from error

    def _store(self) -> S3FileSystem:
        settings = self._settings
        key, secret = settings.report_bucket_key, settings.report_bucket_secret
        return S3FileSystem(
            access_key=key,
            secret_key=secret.get_secret_value() if secret else None,
            region=settings.report_bucket_region,
            endpoint_override=settings.report_bucket_endpoint,
            connect_timeout=BUCKET_WITHIN_S,
            request_timeout=BUCKET_WITHIN_S,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=1),
        )


class Mail:
    """Sends reports by SMTP: the page with its charts inside, the files attached."""

    def __init__(self, settings: MailSettings, forms: Sequence[Format]) -> None:
        self._settings = settings
        self._forms = forms

    async def send(self, run: Run, report: Report) -> None:
        """As `Way.send`."""
        await asyncio.to_thread(self._send, run, report)

    def _send(self, run: Run, report: Report) -> None:
        message = self._message(run, report)
        try:
            with self._server() as server:
                server.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            # What a mail server says may name mailboxes: the log gets its kind alone.
            raise DeliveryFailed(f"the mail server does not take it: {type(error).__name__}") from error

    def _server(self) -> smtplib.SMTP:
        settings, host = self._settings, self._settings.smtp_host
        assert host is not None
        context = ssl.create_default_context()
        if settings.smtp_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, settings.smtp_port, timeout=MAIL_WITHIN_S, context=context)
        else:
            server = smtplib.SMTP(host, settings.smtp_port, timeout=MAIL_WITHIN_S)
        if settings.smtp_tls == "starttls":
            server.starttls(context=context)
        if settings.smtp_user is not None and settings.smtp_password is not None:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        return server

    def _message(self, run: Run, report: Report) -> EmailMessage:
        page, pictures = mailed(report)
        days = str(run.first_day) if run.first_day == run.last_day else f"{run.first_day} to {run.last_day}"
        message = EmailMessage(policy=SMTP)
        message["Subject"] = f"{_TITLES[run.every]} figures, {days}"
        message["From"] = self._settings.report_mail_from
        message["To"] = ", ".join(self._settings.report_mail_to)
        # The same however often it is sent.
        message["Message-ID"] = f"<{run.id}@langsense>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{_TITLES[run.every]} figures, {days}. They are in the attached files.\n")
        message.add_alternative(page, subtype="html")
        html = message.get_payload(1)
        assert isinstance(html, EmailMessage)
        for name, picture in pictures.items():
            html.add_related(picture, "image", "png", cid=f"<{name}>")
        for form in self._forms:
            kind, _, subtype = form.media_type.partition(";")[0].partition("/")
            name = file_name(run.first_day, run.last_day, form)
            message.add_attachment(render(report, form), kind, subtype, filename=name)
        return message


def _name(run: Run, form: Format) -> str:
    return f"{run.every}-{file_name(run.first_day, run.last_day, form)}"
