"""Our own test vectors, and what others published: every reader of ours gives the same answers."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import math
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from kaozheng_service.disputes.standalone import printed, records
from kaozheng_service.disputes.standalone.signature import (
    SignedHead,
    parse_note,
    read_key,
    signed_by,
    verify_ed25519,
)
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.merkle import leaf_hash, verify_consistency, verify_inclusion
from kaozheng_service.evidence.note import key_id, open_checkpoint, verifier_key

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


READER = module(Path(__file__).with_name("second_reader.py"))


def read(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def entries() -> list[bytes]:
    return (VECTORS / "entries.jsonl").read_bytes().split(b"\n")[:-1]


def test_the_script_makes_exactly_these_vectors(tmp_path: Path) -> None:
    module(VECTORS / "make.py").make(tmp_path)
    kept = {
        path.relative_to(VECTORS) for path in VECTORS.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert kept - made == {Path("make.py")}
    assert made <= kept
    for name in made:
        assert (tmp_path / name).read_bytes() == (VECTORS / name).read_bytes(), name


def test_every_entry_of_the_vectors_is_in_the_canonical_form() -> None:
    for entry in entries():
        assert canonical(json.loads(entry)) == entry


def test_heads_and_proofs_of_the_vectors_hold_for_every_reader() -> None:
    leaves = [leaf_hash(entry) for entry in entries()]
    roots = [bytes.fromhex(root) for root in read("heads.json")["roots"]]
    assert [READER.tree(leaves[:size]) for size in range(len(leaves) + 1)] == roots
    for one in read("inclusion.json"):
        index, size, proof = one["index"], one["size"], [bytes.fromhex(step) for step in one["proof"]]
        head = SignedHead("", size, roots[size], "")
        assert verify_inclusion(leaves[index], index, size, proof, roots[size])
        assert records.verify_inclusion(entries()[index], index, proof, head)
        assert READER.root_by_path(leaves[index], index, size, proof) == roots[size]
    for one in read("consistency.json"):
        old, new, proof = one["old"], one["new"], [bytes.fromhex(step) for step in one["proof"]]
        head = SignedHead("", new, roots[new], "")
        assert verify_consistency(old, new, roots[old], roots[new], proof)
        assert printed.verify_consistency(old, roots[old], head, proof) == (old < new)
        assert READER.roots_by_proof(old, new, proof, roots[old]) == (roots[old], roots[new])


def test_checkpoints_of_the_vectors_are_signed_by_their_key() -> None:
    key = read("key.json")
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key["seed"]))
    public = private.public_key()
    assert public.public_bytes_raw().hex() == key["public"]
    assert read_key(key["pem"]) == read_key(key["printed"]) == public.public_bytes_raw()
    for size in (5, 7, 13):
        text = (VECTORS / f"checkpoint-{size:02d}").read_text(encoding="utf-8")
        assert open_checkpoint(text, public).size == size
        assert signed_by(public.public_bytes_raw(), parse_note(text))
        head = READER.read_log(VECTORS / "entries.jsonl", text, load_pem_public_key(key["pem"].encode()))
        assert head.root.hex() == read("heads.json")["roots"][size]


@pytest.mark.parametrize(("name", "outcome"), read("outcomes.json").items())
def test_the_bag_of_the_vectors_is_judged_the_same_by_every_reader(name: str, outcome: str) -> None:
    paper = (VECTORS / name).read_text(encoding="utf-8") if name else None
    assert verify_bag(VECTORS / "bag", printed=[paper] if paper else []).outcome == outcome
    assert READER.read_bag(VECTORS / "bag", printed=paper).outcome == outcome


# Inclusion and consistency proofs over the eight entries that Certificate Transparency's reference code tests with
# (github.com/google/certificate-transparency, merkle_tree_test; today in transparency-dev/merkle, testonly).
CT_ENTRIES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
A = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
B = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
C_D = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
A_D = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
E = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E_F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
G_H = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
E_H = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [B, C_D, E_H],
    (5, 8): [E, G_H, A_D],
    (2, 3): [CT_ROOTS[2]],
    (1, 5): [A, C_D, E],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): [B, C_D, E_H],
    (6, 8): [E_F, G_H, A_D],
    (2, 5): [C_D, E],
    (6, 7): [E_F, G, A_D],
}


@pytest.mark.parametrize(("index", "size"), CT_INCLUSION)
def test_inclusion_proofs_of_certificate_transparency_hold(index: int, size: int) -> None:
    entry, root = bytes.fromhex(CT_ENTRIES[index]), bytes.fromhex(CT_ROOTS[size])
    proof = [bytes.fromhex(step) for step in CT_INCLUSION[index, size]]
    assert verify_inclusion(leaf_hash(entry), index, size, proof, root)
    assert records.verify_inclusion(entry, index, proof, SignedHead("", size, root, ""))
    assert READER.root_by_path(leaf_hash(entry), index, size, proof) == root


@pytest.mark.parametrize(("old", "new"), CT_CONSISTENCY)
def test_consistency_proofs_of_certificate_transparency_hold(old: int, new: int) -> None:
    old_root, new_root = bytes.fromhex(CT_ROOTS[old]), bytes.fromhex(CT_ROOTS[new])
    proof = [bytes.fromhex(step) for step in CT_CONSISTENCY[old, new]]
    assert verify_consistency(old, new, old_root, new_root, proof)
    assert READER.roots_by_proof(old, new, proof, old_root) == (old_root, new_root)
    if old < new:
        assert printed.verify_consistency(old, old_root, SignedHead("", new, new_root, ""), proof)
        assert not printed.verify_consistency(old, new_root, SignedHead("", new, new_root, ""), proof)


def test_the_examples_of_rfc_8785_have_their_canonical_form() -> None:
    # Sections 3.2.2 to 3.2.4: numbers, strings, literals, and the order of names by UTF-16.
    body = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(body).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    names = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = list(json.loads(canonical(names)))
    assert order == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


# RFC 8785, appendix B: a double's bits and what it is written as.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_the_numbers_of_rfc_8785_are_written_as_there(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical({"n": number}) == f'{{"n":{text}}}'.encode()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_rfc_8785_does_not_allow_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r".*"):
        canonical({"n": number})


# RFC 8032, 7.1: TEST SHA(abc) and TEST 1024 (the first three are in test_verify_signature.py).
SHA_ABC = (
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    hashlib.sha512(b"abc").hexdigest(),
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
    "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
)
TEST_1024 = (
    "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98"
    "fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e23fb1433ddf73be84d8"
    "79de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d"
    "658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc"
    "1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4fe"
    "ba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e"
    "06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbef"
    "efd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7"
    "aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed1"
    "85ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2"
    "d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24"
    "554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270"
    "88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc"
    "2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b07"
    "07e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba"
    "b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51a"
    "ddd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429e"
    "c96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7"
    "51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c"
    "42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8"
    "ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df"
    "f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08"
    "d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649"
    "de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4"
    "88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a3"
    "2ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e"
    "6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f"
    "b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b5"
    "0d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1"
    "369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d"
    "b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c"
    "0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0",
    "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350"
    "aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
)


@pytest.mark.parametrize(("key", "message", "signature"), [SHA_ABC, TEST_1024])
def test_the_longer_vectors_of_rfc_8032_hold(key: str, message: str, signature: str) -> None:
    parts = [bytes.fromhex(part) for part in (key, signature, message)]
    assert verify_ed25519(*parts)
    assert not verify_ed25519(parts[0], parts[1], parts[2] + b"!")


def test_the_example_of_signed_note_holds() -> None:
    # The example of c2sp.org/signed-note, which is that of golang.org/x/mod/sumdb/note.
    printed_key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    private = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    signed = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    key = Ed25519PrivateKey.from_private_bytes(base64_of(private)[1:])
    public = key.public_key()
    assert verifier_key("PeterNeumann", public) == printed_key
    assert key_id("PeterNeumann", public).hex() == "c74f20a3"
    assert read_key(printed_key) == public.public_bytes_raw()
    assert base64_of(signed) == key_id("PeterNeumann", public) + key.sign(text.encode())
    assert verify_ed25519(public.public_bytes_raw(), base64_of(signed)[4:], text.encode())


def base64_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
