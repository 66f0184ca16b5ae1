"""Tells systemd how the service is: ready, alive, stopping (sd_notify(3)), over the socket that it names."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Does nothing where no service manager listens. For any thread.

    Parameters
    ----------
    address : of the socket; the environment's ``NOTIFY_SOCKET`` when left out. ``@`` begins an abstract one.
    """

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        self._send("READY=1")

    def alive(self, status: str) -> None:
        """The service works; whoever waits for this in vain restarts it. ``status`` is one line for people."""
        self._send(f"WATCHDOG=1\nSTATUS={' '.join(status.split())}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(text.encode(), self._address)
        except OSError:
            return  # a manager that does not listen must not keep anything from being recorded
