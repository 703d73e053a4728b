"""Looks at the network: whether a URL answers, which port is free."""

import socket
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
    """Return a TCP port that is free on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
