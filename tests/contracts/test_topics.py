"""Topics, as they are declared on the broker."""

from shared.contracts.topics import LEDGER_EVENTS, TOPICS, WALLET_COMMANDS, WALLET_REPLIES, parked


def test_names_are_unique_and_carry_their_version() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)
    assert all(name.removesuffix(".parked").endswith(".v1") for name in names)


def test_what_follows_a_player_has_as_many_partitions_as_there_are_lanes() -> None:
    lanes = {topic.name for topic in TOPICS if topic.key == "user_id" and topic.partitions is None}
    assert {WALLET_COMMANDS, LEDGER_EVENTS} <= lanes


def test_what_cannot_be_processed_has_a_place_and_is_kept_longer_than_its_source() -> None:
    by_name = {topic.name: topic for topic in TOPICS}
    for name in (WALLET_COMMANDS, LEDGER_EVENTS):
        assert by_name[parked(name)].retention_ms > by_name[name].retention_ms
    assert parked(WALLET_REPLIES) not in by_name
