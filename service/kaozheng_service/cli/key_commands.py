"""`kaozheng key`: the site's signing key shown, put under a passphrase, and changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import segno
import typer

from kaozheng_service.cli.commands import SITE_FILE, ConfigOption, JsonOption
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.errors import UserError

if TYPE_CHECKING:
    from kaozheng_service.evidence.log import EvidenceLog

key_app = typer.Typer(no_args_is_help=True, help=__doc__)


@key_app.command("show")
def show(
    config: ConfigOption = SITE_FILE,
    pem: Annotated[bool, typer.Option("--pem", help="print the public key as PEM and nothing else")] = False,
    qr: Annotated[
        Path | None, typer.Option(help="write the public key as a QR code to this SVG file")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the public key, its fingerprint, and the keys before it; never the private one."""
    from kaozheng_service.evidence.keys import fingerprint, public_pem
    from kaozheng_service.evidence.note import verifier_key

    site = load_site(config)
    log = _log(site)
    printed = verifier_key(log.origin, log.public_key)
    if qr is not None:
        try:
            segno.make(printed, error="m").save(str(qr), kind="svg", border=4)
        except (OSError, ValueError) as error:
            raise UserError(f"{qr}: cannot be written as SVG: {error}; name a file ending in .svg") from None
    if pem and not as_json:
        typer.echo(public_pem(log.public_key), nl=False)
        return
    keys = log.keys()
    if as_json:
        _print_json(
            {
                "schema": "kaozheng/key/1",
                **_facts(site, log),
                "key": printed,
                "pem": public_pem(log.public_key),
                "fingerprint": fingerprint(log.public_key),
                "witness": _witness_key(site),
                "before": [
                    {
                        "key": verifier_key(log.origin, one.key),
                        "fingerprint": fingerprint(one.key),
                        "since": one.since,
                        "until": one.until,
                    }
                    for one in keys[:-1]
                ],
            }
        )
        return
    typer.echo(f"公钥 public key    {printed}")
    typer.echo(f"指纹 fingerprint   {fingerprint(log.public_key)}")
    said = "口令加密 under a passphrase" if _facts(site, log)["encrypted"] else "未加密 not encrypted"
    typer.echo(f"私钥 private key   {said}")
    if (witness := _witness_key(site)) is not None:
        typer.echo(f"见证公钥 as witness {witness}")
    for one in keys[:-1]:
        typer.echo(f"旧公钥 key before   {fingerprint(one.key)}  signed entries {one.since} to {one.until}")
    typer.echo(public_pem(log.public_key), nl=False)


@key_app.command("encrypt")
def encrypt(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Put the private key under the passphrase in KAOZHENG_KEY_PASSPHRASE_FILE. The key stays the same."""
    from kaozheng_service.evidence.keys import encrypt_key

    _rewrite(load_site(config), encrypt_key, as_json=as_json)


@key_app.command("decrypt")
def decrypt(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Take the passphrase off the private key. The key stays the same."""
    from kaozheng_service.evidence.keys import decrypt_key

    _rewrite(load_site(config), decrypt_key, as_json=as_json)


@key_app.command("rotate")
def rotate(
    reason: Annotated[str, typer.Option(help="why, for the signed record")],
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """Make a new key; the old one signs for it in the log. Print, publish and keep the new one afterwards."""
    from kaozheng_service.evidence.key_rotation import rotate_key
    from kaozheng_service.evidence.keys import fingerprint
    from kaozheng_service.evidence.note import verifier_key

    site = load_site(config)
    done = rotate_key(site.state, site.id, reason)
    old, new = (verifier_key(f"kaozheng/{site.id}", one) for one in (done.old, done.new))
    if as_json:
        _print_json(
            {
                "schema": "kaozheng/key-change/1",
                "old": old,
                "new": new,
                "fingerprint": fingerprint(done.new),
                "leaf": done.leaf,
            }
        )
        return
    typer.echo(f"旧公钥 old key       {old}")
    typer.echo(f"新公钥 new key       {new}")
    typer.echo(f"新指纹 fingerprint   {fingerprint(done.new)}")
    typer.echo(f"signed by the old key as record {done.leaf}; back up {site.state / 'keys' / 'site.key'} now")


def _rewrite(site: Site, change: Any, *, as_json: bool) -> None:
    from kaozheng_service.evidence.key_rotation import service_stopped
    from kaozheng_service.evidence.keys import SITE_KEY

    with service_stopped(site.state):
        log = _log(site)
        change(site.state / "keys" / SITE_KEY)
    if as_json:
        _print_json({"schema": "kaozheng/key-file/1", **_facts(site, log)})
    else:
        said = "encrypted" if _facts(site, log)["encrypted"] else "not encrypted"
        typer.echo(f"{site.state / 'keys' / SITE_KEY}: {said}; back it up, and remove copies of before")


def _log(site: Site) -> EvidenceLog:
    """The log that is there; showing or changing a key begins no site."""
    from kaozheng_service.evidence.key_rotation import open_log
    from kaozheng_service.evidence.keys import SITE_KEY

    path = site.state / "keys" / SITE_KEY
    if not path.exists():
        raise UserError(
            f"{path}: there is no key yet; it is made when the service first runs: kaozheng serve"
        )
    return open_log(site.state, site.id)


def _witness_key(site: Site) -> str | None:
    """What other sites put into their site file; None where this one is no witness."""
    from kaozheng_service.evidence.anchors.witness import Witness

    return Witness(site.state, site.id, site.witness).key if site.witness is not None else None


def _facts(site: Site, log: EvidenceLog) -> dict[str, Any]:
    from kaozheng_service.evidence.keys import SITE_KEY, is_encrypted

    path = site.state / "keys" / SITE_KEY
    return {"log": log.origin, "file": str(path), "encrypted": is_encrypted(path.read_bytes())}


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))
