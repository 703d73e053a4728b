"""Sends bytes to a server, on many connections at once, and says what came back.

The standard library alone: tests/cluster/drills/test_hostile.py runs this very file inside a pod, too.
"""

import asyncio
import base64
import json
import socket
import struct
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

WAIT, HALF_CLOSE, LEAVE = "wait", "half-close", "leave"
CLOSED, RESET, REFUSED, OPEN = "closed", "reset", "refused", "open"
SMALLEST_BUFFER = 1  # the system takes what is the least that it has
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(frozen=True)
class Sending:
    """What one connection sends.

    Attributes:
        pieces: the bytes, as the client writes them
        ending: what the client does after the last one: WAIT for the server to close, HALF_CLOSE its own side and wait,
            or LEAVE at once, with a reset
        pause: the seconds between two pieces
        after: the seconds before it connects
        unread: the seconds in which it reads nothing
    """

    pieces: tuple[bytes, ...]
    ending: str = WAIT
    pause: float = 0.0
    after: float = 0.0
    unread: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What came back on one connection.

    Attributes:
        received: all bytes
        ended: how: CLOSED or RESET by the server, REFUSED from the beginning, or still OPEN when patience ended
        seconds: how long it lasted
    """

    received: bytes
    ended: str
    seconds: float


def exchange(address: tuple[str, int], sendings: Sequence[Sending], at_once: int, patience: float) -> list[Reply]:
    """Send each on a connection of its own, so many at once, none for longer than `patience` seconds."""
    with ThreadPoolExecutor(1) as thread:  # of its own, as Playwright's loop may already run in this one
        return thread.submit(asyncio.run, _exchange(address, sendings, at_once, patience)).result()


async def _exchange(
    address: tuple[str, int], sendings: Sequence[Sending], at_once: int, patience: float
) -> list[Reply]:
    room = asyncio.Semaphore(at_once)

    async def converse(sending: Sending) -> Reply:
        async with room:
            await asyncio.sleep(sending.after)
            return await _converse(address, sending, patience)

    return await asyncio.gather(*map(converse, sendings))


async def _converse(address: tuple[str, int], sending: Sending, patience: float) -> Reply:
    received = bytearray()
    ended = OPEN
    begin = time.monotonic()
    with socket.socket() as connection, suppress(TimeoutError):
        connection.setblocking(False)
        if sending.unread:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
        async with asyncio.timeout(patience):
            ended = await _talk(connection, address, sending, received)
    return Reply(bytes(received), ended, time.monotonic() - begin)


async def _talk(connection: socket.socket, address: tuple[str, int], sending: Sending, received: bytearray) -> str:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(connection, address)
    except ConnectionError:
        return REFUSED
    sender = loop.create_task(_send(connection, sending))
    try:
        if sending.ending == LEAVE:
            await sender
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            return CLOSED
        await asyncio.sleep(sending.unread)
        while block := await loop.sock_recv(connection, 65536):
            received += block
    except ConnectionError:
        return RESET
    finally:
        sender.cancel()
    return CLOSED


async def _send(connection: socket.socket, sending: Sending) -> None:
    """Send; a server that hangs up meanwhile is told by what is received."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        for number, piece in enumerate(sending.pieces):
            await asyncio.sleep(sending.pause if number else 0)
            await loop.sock_sendall(connection, piece)
        if sending.ending == HALF_CLOSE:
            connection.shutdown(socket.SHUT_WR)


def _main() -> None:
    """Take an exchange from standard input and give its replies to standard output, both as JSON."""
    asked = json.load(sys.stdin)
    sendings = [Sending(tuple(map(base64.b64decode, pieces)), *rest) for pieces, *rest in asked["sendings"]]
    replies = exchange((asked["host"], asked["port"]), sendings, asked["at_once"], asked["patience"])
    json.dump(
        [[base64.b64encode(reply.received).decode(), reply.ended, reply.seconds] for reply in replies], sys.stdout
    )


if __name__ == "__main__":
    _main()
