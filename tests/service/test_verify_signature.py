"""The verifier's own Ed25519 and Merkle proofs agree with the libraries that sign and prove."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_service.disputes.standalone.signature import verify_ed25519

# RFC 8032, 7.1: tests 1 to 3; the longer ones are in tests/evidence/test_vectors.py.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032_hold(key: str, message: str, signature: str) -> None:
    parts = [bytes.fromhex(part) for part in (key, signature, message)]
    assert verify_ed25519(*parts)


@settings(max_examples=25, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), bit=st.integers(0, 511))
def test_what_the_library_signs_holds_and_one_flipped_bit_does_not(
    seed: bytes, message: bytes, bit: int
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify_ed25519(key, signature, message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify_ed25519(key, bytes(flipped), message)
    assert not verify_ed25519(key, signature, message + b"!")


def test_a_second_form_of_the_same_signature_is_refused() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key, signature = private.public_key().public_bytes_raw(), private.sign(b"log")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify_ed25519(key, signature[:32] + scalar.to_bytes(32, "little"), b"log")


@pytest.mark.parametrize("length", [0, 31, 63, 65])
def test_signatures_of_another_length_are_refused(length: int) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert not verify_ed25519(key, bytes(length), b"log")
    assert not verify_ed25519(key[:-1], bytes(64), b"log")
