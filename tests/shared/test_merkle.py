"""Merkle trees, beside an implementation that shares no code with ours."""

import hashlib

import pytest
from pymerkle import InmemoryTree

from shared import merkle

# The entries and roots of the test vectors that certificate transparency's implementations share.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


@pytest.mark.parametrize("size", ROOTS)
def test_the_known_answers(size: int) -> None:
    assert merkle.root([merkle.leaf_hash(entry) for entry in ENTRIES[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33, 100])
def test_another_implementation_agrees(size: int) -> None:
    other = InmemoryTree(algorithm="sha256")
    for number in range(size):
        other.append_entry(number.to_bytes(4, "big"))
    ours = leaves(size)
    assert merkle.root(ours) == other.get_root()
    for index in range(size):
        siblings = merkle.path(ours, index)
        assert siblings == other.prove_inclusion(index + 1).path[1:]
        assert merkle.root_of_path(ours[index], index, size, siblings) == merkle.root(ours)


def test_a_path_is_of_one_leaf_at_one_place_in_one_tree() -> None:
    ours = leaves(11)
    root, siblings = merkle.root(ours), merkle.path(ours, 6)
    assert merkle.root_of_path(ours[6], 6, 11, siblings) == root
    assert merkle.root_of_path(ours[5], 6, 11, siblings) != root
    assert merkle.root_of_path(ours[6], 7, 11, siblings) != root
    assert merkle.root_of_path(ours[6], 6, 11, siblings[::-1]) != root
    for wrong in (siblings[:-1], [*siblings, siblings[0]], []):
        assert merkle.root_of_path(ours[6], 6, 11, wrong) is None
    for index, size in ((-1, 11), (11, 11), (0, 0)):
        assert merkle.root_of_path(ours[6], index, size, siblings) is None


def test_a_node_cannot_be_passed_off_as_a_leaf() -> None:
    two = leaves(2)
    assert merkle.leaf_hash(two[0] + two[1]) != merkle.root(two)
    assert merkle.leaf_hash(b"x") != hashlib.sha256(b"x").digest()
