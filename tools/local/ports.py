"""Looks at the network: whether a URL answers, which port is free."""

import random
import socket
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit


def answers(url: str) -> bool:
    """Tell whether a GET of an http:// or https:// URL is answered by 200 within a second, with no proxy asked."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=1)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Return a TCP port that is free on every address, below those that systems give to clients of their own accord.

    One of those may be a connection's a moment later, when its server is to listen.
    """
    while True:
        port = random.randrange(20000, 32768)  # noqa: S311 - nothing is secret here
        with suppress(OSError), socket.create_server(("", port)):
            return port
