"""The tree against the vectors of RFC 6962's reference log, and its proofs against tampering."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.evidence.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

# The eight entries and heads of Certificate Transparency's own test data.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
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
HEADS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Tree:
    """Leaves in memory; ``subtree`` hashes a complete subtree by definition."""

    def __init__(self, entries: list[bytes]) -> None:
        self.leaves = [leaf_hash(entry) for entry in entries]

    def subtree(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.leaves[index]
        return node_hash(self.subtree(level - 1, 2 * index), self.subtree(level - 1, 2 * index + 1))

    def root(self, size: int) -> bytes:
        return root_hash(size, self.subtree)


def entries_of(size: int) -> list[bytes]:
    return [str(number).encode() for number in range(size)]


def test_heads_are_those_of_the_reference_log():
    tree = Tree(ENTRIES)
    assert [tree.root(size).hex() for size in range(1, 9)] == HEADS
    assert tree.root(0) == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_a_tree_that_grows_has_the_same_heads():
    tree = GrowingTree()
    assert tree.root() == EMPTY_ROOT
    heads = []
    for entry in ENTRIES:
        tree.add(entry)
        heads.append(tree.root().hex())
    assert (heads, tree.size) == (HEADS, len(ENTRIES))


def test_paths_are_those_of_the_reference_log():
    tree = Tree(ENTRIES)
    assert [step.hex() for step in inclusion_path(0, 8, tree.subtree)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [step.hex() for step in consistency_path(6, 8, tree.subtree)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(1, 70), st.data())
def test_every_leaf_of_every_tree_is_proven_and_no_other_is(size, data):
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    tree = Tree(entries_of(size))
    path = inclusion_path(index, size, tree.subtree)
    assert verify_inclusion(tree.leaves[index], index, size, path, tree.root(size))
    assert verify_inclusion(tree.leaves[index], other, size, path, tree.root(size)) == (other == index)
    assert verify_inclusion(tree.leaves[other], index, size, path, tree.root(size)) == (other == index)
    if path:
        assert not verify_inclusion(tree.leaves[index], index, size, path[:-1], tree.root(size))
        assert not verify_inclusion(tree.leaves[index], index, size, [*path, path[0]], tree.root(size))


@given(st.integers(1, 70), st.data())
def test_a_tree_is_proven_to_extend_its_beginnings_and_nothing_else(new, data):
    old = data.draw(st.integers(1, new))
    tree = Tree(entries_of(new))
    path = consistency_path(old, new, tree.subtree)
    assert verify_consistency(old, new, tree.root(old), tree.root(new), path)
    rewritten = Tree([b"changed", *entries_of(new)[1:]])
    assert not verify_consistency(old, new, rewritten.root(old), tree.root(new), path)
    assert not verify_consistency(old, new, tree.root(old), rewritten.root(new), path)
    if new > 1:
        assert not verify_consistency(old, new, tree.root(old), tree.root(new), [*path, EMPTY_ROOT])
