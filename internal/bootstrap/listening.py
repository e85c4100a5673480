from __future__ import annotations

import errno
import os
import socket

from internal.bootstrap.errors import StartError


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket.

    Raises:
        StartError: when the port is taken, or not ours to take.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartError(f"HOST={host!r} is not an address of this machine: {error}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Connections of an earlier run that still time out do not hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise StartError(_reason(error, host, port)) from error
    return listener


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: set PORT to a free one, or stop what uses it"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights: set PORT to one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST={host!r} is not an address of this machine"
    return f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}"


def browser_url(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens there."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"
