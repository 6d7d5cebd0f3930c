"""The guide to connecting a provider names each event that is read, and no other: what is not asked for never comes."""

import re
from collections.abc import Collection
from pathlib import Path

import pytest

from payments_service.handlers.providers import paypal_events, stripe_webhooks
from payments_service.handlers.providers.stripe import API_VERSION

GUIDE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
_STRIPES, _PAYPALS = r"`((?:payment_intent|charge|refund|transfer)\.[a-z_.]+)`", r"`((?:[A-Z]+\.)?[A-Z]+\.[A-Z.-]+)`"


@pytest.mark.parametrize(("named", "read"), [(_STRIPES, stripe_webhooks.READ), (_PAYPALS, paypal_events.READ)])
def test_the_guide_names_the_events_that_are_read(named: str, read: Collection[str]) -> None:
    assert sorted(re.findall(named, GUIDE)) == sorted(read)


def test_the_guide_names_the_version_in_which_stripe_is_spoken_to() -> None:
    assert f"`{API_VERSION}`" in GUIDE
