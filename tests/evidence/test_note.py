"""Checkpoints in the signed-note form."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_service.evidence.note import (
    Checkpoint,
    NoteError,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verifier_key,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CHECKPOINT = Checkpoint("kaozheng/demo", 3, bytes(32))


def test_a_signed_checkpoint_opens_with_its_key():
    text = sign_checkpoint(CHECKPOINT, KEY)
    assert open_checkpoint(text, KEY.public_key()) == CHECKPOINT
    assert parse_checkpoint(text) == CHECKPOINT


def test_another_key_does_not_open_it():
    stranger = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(NoteError, match="no signature"):
        open_checkpoint(sign_checkpoint(CHECKPOINT, KEY), stranger)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_refused(line):
    lines = sign_checkpoint(CHECKPOINT, KEY).split("\n")
    lines[line] = {0: "kaozheng/other", 1: "4", 2: "A" * 42 + "E="}[line]
    with pytest.raises(NoteError):
        open_checkpoint("\n".join(lines), KEY.public_key())


@pytest.mark.parametrize(
    "text", ["", "one line", "a\nb\nc\n", "a\n-1\n" + "A" * 43 + "=\n\n", "a\n1\nAAAA\n\n"]
)
def test_what_is_no_checkpoint_is_called_so(text):
    with pytest.raises(NoteError, match="not a checkpoint"):
        parse_checkpoint(text)


def test_the_form_is_that_of_the_signed_note_specification():
    # The example key of the specification: name, hash and key must come back from the key alone.
    from base64 import b64decode

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    example = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = Ed25519PublicKey.from_public_bytes(b64decode(example.rsplit("+", 1)[1])[1:])
    assert verifier_key("PeterNeumann", key) == example
