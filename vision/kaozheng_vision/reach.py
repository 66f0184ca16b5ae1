"""Can the camera's host be reached at all, and is it the camera? What a demuxer's error hides."""

from __future__ import annotations

import hashlib
import queue
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.source import Source

# Where Debian, Fedora and Alpine keep what a machine trusts in one file, as FFmpeg needs it.
TRUSTED = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)


def reach(source: Source, timeout_s: float) -> socket.socket:
    """Connect to the source's host and port, encrypted and verified where it is ``rtsps://``.

    Parameters
    ----------
    timeout_s : for the name, for the connection and for the encryption, each

    Raises
    ------
    StreamError : NAME, REFUSED, UNREACHABLE, TIMEOUT, CERTIFICATE or PROTOCOL
    """
    host, port = source.host, source.port
    service = "ONVIF" if source.is_device else "RTSP"
    address = resolve(host, port, timeout_s)
    try:
        connection = socket.create_connection(address, timeout=timeout_s)
    except ConnectionRefusedError:
        raise StreamError(
            Failure.REFUSED,
            f"{host} refuses connections on port {port}; is the camera's {service} service on, the port right?",
        ) from None
    except TimeoutError:
        raise StreamError(
            Failure.TIMEOUT,
            f"{host} port {port} gave no answer within {timeout_s:.0f} s; check power, address and firewall",
        ) from None
    except OSError as error:
        raise StreamError(
            Failure.UNREACHABLE,
            f"{host} cannot be reached ({error.strerror}); check power, cable, address and network",
        ) from None
    if not source.is_encrypted:
        return connection
    try:
        return _encrypt(connection, source)
    except BaseException:
        connection.close()
        raise


def encryption_options(source: Source) -> dict[str, str]:
    """FFmpeg's options by which its own connection verifies the same, empty unless ``rtsps://``.

    Raises
    ------
    StreamError : CERTIFICATE, where the certificate's file cannot be read
    """
    if not source.is_encrypted:
        return {}
    if source.certificate is not None:
        return {
            "tls_verify": "1",
            "ca_file": str(source.certificate),
            "verifyhost": _name_in(_own_certificate(source.certificate)),
        }
    trusted = _trusted()
    return {"tls_verify": "1", **({"ca_file": str(trusted)} if trusted else {})}


def resolve(host: str, port: int, timeout_s: float) -> tuple[str, int]:
    """(IP address, port). In a thread of its own: the system's resolver has no time limit to set.

    Raises
    ------
    StreamError : NAME
    """
    answers: queue.Queue[tuple[str, int] | OSError] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][:2])  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:  # a label of 64 letters and more cannot be encoded
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        answer = TimeoutError("no answer from the name server")
    if isinstance(answer, OSError):
        raise StreamError(
            Failure.NAME,
            f"the name {host!r} cannot be resolved ({answer}); check its spelling or use its address",
        )
    return answer


def _trusted() -> Path | None:
    return next((path for path in TRUSTED if path.is_file()), None)


def _encrypt(connection: socket.socket, source: Source) -> ssl.SSLSocket:
    pinned = None if source.certificate is None else _own_certificate(source.certificate)
    if pinned is None:
        context = ssl.create_default_context(cafile=_trusted())
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Which certificate it is, is compared below; its name is whatever the camera's maker put there.
        context.check_hostname = False
        context.load_verify_locations(cadata=pinned.public_bytes(Encoding.PEM).decode())
    try:
        encrypted = context.wrap_socket(connection, server_hostname=source.host)
    except ssl.SSLCertVerificationError as error:
        timeout_s = connection.gettimeout()
        connection.close()
        raise StreamError(Failure.CERTIFICATE, _distrust(source, error.verify_message, timeout_s)) from None
    except TimeoutError:
        raise StreamError(
            Failure.TIMEOUT,
            f"{source.url} accepts the connection and then does not begin to encrypt; check that the port is"
            " the camera's rtsps port, and its load",
        ) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or "hung up"
        raise StreamError(
            Failure.PROTOCOL,
            f"{source.url} does not encrypt as rtsps must ({reason}); check the port, or use rtsp:// if this"
            " camera cannot",
        ) from None
    if pinned is not None:
        shown = encrypted.getpeercert(binary_form=True) or b""
        if shown != pinned.public_bytes(Encoding.DER):
            encrypted.close()
            raise StreamError(
                Failure.CERTIFICATE,
                f"{source.url} shows another certificate (SHA-256 {_fingerprint(shown)}) than the named one; if"
                " the camera was given a new one, save that in the file, else find out who answers there",
            )
    return encrypted


def _distrust(source: Source, reason: str, timeout_s: float | None) -> str:
    """Why its certificate is refused, and how it can be accepted."""
    shown = _shown_fingerprint(source, timeout_s)
    if source.certificate is not None:
        return (
            f"{source.url}: its certificate{shown} is not accepted ({reason}) though {source.certificate.name} is"
            " named for it; save the camera's present certificate there, set its clock, or have it make a new one"
        )
    return (
        f"{source.url}: nothing that this machine trusts vouches for the camera's certificate{shown}: {reason};"
        " compare that fingerprint with the one on the camera's own page, save the certificate, and name the"
        f" file in the site file: openssl s_client -connect {source.host}:{source.port} </dev/null"
        " | openssl x509 -out camera.pem"
    )


def _shown_fingerprint(source: Source, timeout_s: float | None) -> str:
    """For a message only: asks once more without verifying, and sends nothing."""
    try:
        pem = ssl.get_server_certificate((source.host, source.port), timeout=timeout_s or 10.0)
    except (OSError, ValueError):
        return ""
    return f" (SHA-256 {_fingerprint(ssl.PEM_cert_to_DER_cert(pem))})"


def _own_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise StreamError(
            Failure.CERTIFICATE, f"the certificate {path.name} cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        raise StreamError(
            Failure.CERTIFICATE,
            f"{path.name} holds no certificate; it must be in PEM form, with -----BEGIN CERTIFICATE-----",
        ) from None


def _name_in(certificate: x509.Certificate) -> str:
    """A name that the certificate has, since FFmpeg compares one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        pass
    else:
        for kind in (x509.DNSName, x509.IPAddress):
            if found := names.get_values_for_type(kind):
                return str(found[0])
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not common:
        raise StreamError(
            Failure.CERTIFICATE, "the camera's certificate carries no name; have the camera make a new one"
        )
    return str(common[0].value)


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).digest().hex(":").upper()
