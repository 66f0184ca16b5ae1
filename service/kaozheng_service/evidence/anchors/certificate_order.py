"""The certificates of a time stamp put into the order that DER asks for.

Authorities send them leaf first (OpenSSL does), which CMS allows (RFC 5652: SignedData may be BER) and the library that
verifies refuses. They are not part of what is signed, and an order changes no length: so a copy is sorted, read and
verified, and what came is kept as it came.
"""

from __future__ import annotations

_SEQUENCE, _OID, _SET, _INTEGER, _CONTEXT_0 = 0x30, 0x06, 0x31, 0x02, 0xA0


def in_der_order(response: bytes) -> bytes:
    """A TimeStampResp (RFC 3161, 2.4.2) with its certificates sorted; as it is where it has none or is none."""
    try:
        start, end = _certificates(response)
        parts, at = [], start
        while at < end:
            _, _, after = _element(response, at, end)
            parts.append(response[at:after])
            at = after
    except ValueError:
        return response
    return response[:start] + b"".join(sorted(parts)) + response[end:]


def _certificates(data: bytes) -> tuple[int, int]:
    """Where the content of SignedData's certificates lies: TimeStampResp, token, [0], SignedData, its fourth field."""
    start, end = _within(data, 0, len(data), _SEQUENCE)
    start, end = _within(data, _after(data, start, end, _SEQUENCE), end, _SEQUENCE)
    start, end = _within(data, _after(data, start, end, _OID), end, _CONTEXT_0)
    start, end = _within(data, start, end, _SEQUENCE)
    for tag in (_INTEGER, _SET, _SEQUENCE):  # version, digest algorithms, what is signed
        start = _after(data, start, end, tag)
    return _within(data, start, end, _CONTEXT_0)


def _within(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    found, start, after = _element(data, at, end)
    if found != tag:
        raise ValueError("another structure")
    return start, after


def _after(data: bytes, at: int, end: int, tag: int) -> int:
    return _within(data, at, end, tag)[1]


def _element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, begin of the content and end of the element at ``at``; ValueError where it does not lie before ``end``."""
    if at + 2 > end:
        raise ValueError("cut short")
    tag, length, start = data[at], data[at + 1], at + 2
    if length == 0x80:
        raise ValueError("of indefinite length")
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(data[at + 2 : start], "big")
    if start + length > end:
        raise ValueError("cut short")
    return tag, start, start + length
