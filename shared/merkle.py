"""Merkle trees as RFC 9162 section 2.1 has them, over SHA-256: a root for many leaves, and the path of one leaf to it.

A leaf's hash and a node's hash begin with different bytes, so that neither can be passed off as the other.
"""

from collections.abc import Sequence
from hashlib import sha256

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(_LEAF + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, of which there is at least one."""
    level = leaves
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What turns the hash of leaf `index`, counted from 0, into the root: its siblings, from the leaf upwards."""
    found: list[bytes] = []
    level = leaves
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            found.append(level[sibling])
        index //= 2
        level = _parents(level)
    return found


def paths(leaves: Sequence[bytes], indexes: Sequence[int]) -> list[list[bytes]]:
    """As `path`, of many leaves of one tree, which is hashed once."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return [
        [level[sibling] for height, level in enumerate(levels) if (sibling := (index >> height) ^ 1) < len(level)]
        for index in indexes
    ]


def root_of_path(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to from a leaf of a tree of `size`; None where it is no path of such a leaf."""
    if not 0 <= index < size:
        return None
    last, found = size - 1, leaf
    # RFC 9162, section 2.1.3.2.
    for sibling in siblings:
        if last == 0:
            return None
        if index % 2 or index == last:
            found = sha256(_NODE + sibling + found).digest()
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            found = sha256(_NODE + found + sibling).digest()
        index, last = index // 2, last // 2
    return found if last == 0 else None


def _parents(level: Sequence[bytes]) -> list[bytes]:
    parents = [sha256(_NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        # The last one has no sibling and moves up as it is.
        parents.append(level[-1])
    return parents
