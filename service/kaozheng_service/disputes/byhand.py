"""``data/by-hand.md``: commands that check this very bag with sha256sum and openssl, trusting no program of ours."""

from __future__ import annotations

from collections.abc import Sequence

from kaozheng_service.disputes.cutting import Original
from kaozheng_service.disputes.report import Claim, template_environment
from kaozheng_service.disputes.standalone.parts import FRAGMENTS
from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.note import verifier_key
from kaozheng_service.station import Station

BY_HAND = "data/by-hand.md"


def by_hand_text(station: Station, claim: Claim, originals: Sequence[Original], others: Sequence[str]) -> str:
    """The page.

    Parameters
    ----------
    originals : those in the bag, whole or parts; none in one of masked copies
    others : paths of the files beside them that the record of the export names
    """
    parts = [one for one in originals if one.leaves]
    return (
        template_environment(station.site.zone)
        .get_template("by-hand.md")
        .render(
            id=claim.id,
            key=verifier_key(station.log.origin, station.log.public_key),
            pem=public_pem(station.log.public_key).splitlines()[1],
            whole=[one for one in originals if not one.leaves],
            parts=parts,
            fragments=FRAGMENTS,
            others=sorted([*others, *(one.path for one in parts)]),
        )
    )
