"""The metrics service's knobs."""

from datetime import time
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from shared.contracts.reports import Every, Format
from shared.keyring import ReportKeySettings
from shared.settings import Dsn, Seconds, ServiceSettings, Url


class MailSettings(BaseSettings):
    """Where reports are mailed to, and by which server."""

    # None: nothing is mailed.
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    # How the connection is encrypted: starttls (587), tls (465); none on a network of one's own alone.
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    report_mail_from: str | None = Field(default=None, pattern=r"^[^\s<>@]+@[^\s<>@]+$")
    # JSON: the mailboxes that reports go to.
    report_mail_to: tuple[str, ...] = ()

    @field_validator("report_mail_to")
    @classmethod
    def _mailboxes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all("@" in each and each.isprintable() and "," not in each for each in value):
            raise ValueError("must be mailboxes, such as finance@example.com")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.smtp_host is not None and not (self.report_mail_from and self.report_mail_to):
            raise ValueError("SMTP_HOST needs REPORT_MAIL_FROM and REPORT_MAIL_TO")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("SMTP_USER and SMTP_PASSWORD go together")
        if self.smtp_user is not None and self.smtp_tls == "none":
            raise ValueError("SMTP_PASSWORD is not sent without SMTP_TLS")
        return self


class BucketSettings(BaseSettings):
    """The bucket that reports are put into, with S3's protocol. Without REPORT_BUCKET, none."""

    # A bucket, and a path in it where one is wanted: `reports/langsense`.
    report_bucket: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]{2,62}(/[A-Za-z0-9._-]+)*$")
    report_bucket_region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$")
    # None: Amazon's own.
    report_bucket_endpoint: Url | None = None
    # None: what the machine that it runs on has, as Amazon's SDK looks for it.
    report_bucket_key: str | None = None
    report_bucket_secret: SecretStr | None = None

    @model_validator(mode="after")
    def _key_and_secret(self) -> Self:
        if (self.report_bucket_key is None) != (self.report_bucket_secret is None):
            raise ValueError("REPORT_BUCKET_KEY and REPORT_BUCKET_SECRET go together")
        return self


class Settings(ServiceSettings, ReportKeySettings, MailSettings, BucketSettings):
    """What the metrics service reads from its environment."""

    metrics_database_url: Dsn
    wallet_service_url: Url
    # Records in one batch at most.
    metrics_batch_records: int = Field(default=1000, ge=1, le=1000)
    # Where days begin and end. Days that were closed in one time zone are not mixed with another's.
    figures_time_zone: ZoneInfo = Field(default_factory=lambda: ZoneInfo("UTC"))
    # A day is closed so long after its end.
    figures_close_after_s: Seconds = 300
    # JSON: of what reports are made by themselves: the day so far, the ISO week and the month that are over.
    reports_every: frozenset[Every] = frozenset({"day", "week", "month"})
    # When, in UTC.
    report_at: time = time(23, 0)
    # JSON: the forms in which they are sent.
    report_formats: tuple[Format, ...] = Field(default=(Format.PDF, Format.JSON), min_length=1)
    # Where they are put. None: into no folder.
    report_folder: Path | None = None

    @field_validator("report_at")
    @classmethod
    def _in_utc(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("is in UTC, and names no offset")
        return value
