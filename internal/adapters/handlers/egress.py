"""Where `http` jobs may connect to: public addresses, and the networks that the operator opens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

import httpcore

from internal.domain.outcomes import Fail, Retry
from internal.services.worker.threads import NoThreadError, call_in_thread

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
LookUp = Callable[..., Sequence[tuple[Any, ...]]]

# Of a name with many addresses this many are tried, each for so long.
MAX_ADDRESSES: Final = 4
CONNECT_SECONDS: Final = 10.0
LOOK_UP_SECONDS: Final = 10.0
LOOK_UPS_AT_ONCE: Final = 8

# IANA's special-purpose registries (RFC 6890 and its updates), written out: what Python's own
# `is_global` answers differs between its patch releases.
_CLOSED_V4: Final = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("168.63.129.16/32"),  # Azure's host services, in the middle of public space
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("224.0.0.0/3"),
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_CLOSED_V6: Final = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo's tunnels among them
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4: its tunnels end at an IPv4 address of the caller's choice
    IPv6Network("3fff::/20"),
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_permitted(address: Address, allow: Iterable[Network]) -> bool:
    """Whether a job may connect there. IPv4 within IPv6 (mapped, NAT64) counts as what it is."""
    real = _seen_through(address)
    return _is_public(real) or any(real in network for network in allow)


def _seen_through(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _CLOSED_V6)


class SystemResolver:
    """Asks the system, each time in a thread of its own: a name that hangs holds up no other user.

    The system may take a minute to give a name up, and a thread cannot be stopped: it counts
    towards its user's look-ups until it ends.
    """

    def __init__(
        self, look_up: LookUp = socket.getaddrinfo, *, seconds: float = LOOK_UP_SECONDS
    ) -> None:
        self._look_up = partial(look_up, type=socket.SOCK_STREAM)
        self._seconds = seconds
        # A user's is there while a look-up of theirs goes on.
        self._rooms: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, user_id: UUID, host: str, port: int) -> list[str]:
        """The addresses of a name.

        Raises:
            Retry: when that takes too long, or other look-ups of the user do.
            NoThreadError: when the process cannot start a thread.
        """
        room = self._rooms.get(user_id)
        if room is None:
            room = self._rooms[user_id] = asyncio.Semaphore(LOOK_UPS_AT_ONCE)
        try:
            async with asyncio.timeout(self._seconds):
                await room.acquire()
                found = await asyncio.shield(self._ask(room, host, port))
        except TimeoutError as error:
            raise Retry(f"the name {host} was not found within {self._seconds:g} s") from error
        return [str(socket_address[0]) for *_, socket_address in found]

    def _ask(self, room: asyncio.Semaphore, host: str, port: int) -> asyncio.Future[Any]:
        try:
            asked = call_in_thread(self._look_up, host, port)
        except NoThreadError:
            room.release()
            raise
        asked.add_done_callback(partial(_leave, room))
        return asked


def _leave(room: asyncio.Semaphore, asked: asyncio.Future[Any]) -> None:
    if not asked.cancelled():
        asked.exception()
    room.release()


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once and connects to what was checked: no second answer can slip in."""

    def __init__(self, allow: Iterable[Network], resolve: Resolve) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, *_: object, **__: object
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first permitted address that answers.

        Raises:
            Fail: when the name has no permitted address; nothing was contacted.
        """
        return await self._first_of(await self._permitted(host, port), port)

    async def _permitted(self, host: str, port: int) -> list[Address]:
        found = map(ip_address, await self._resolve(host, port))
        permitted = [each for each in found if is_permitted(each, self._allow)]
        if not permitted:
            raise Fail(
                f"{host} has no public address: http jobs reach private and reserved networks only "
                "where the operator allows it with WINDLASS_HTTP_JOB_ALLOW"
            )
        return permitted[:MAX_ADDRESSES]

    async def _first_of(
        self, addresses: Sequence[Address], port: int
    ) -> httpcore.AsyncNetworkStream:
        first, *others = addresses
        try:
            return await self._tcp.connect_tcp(str(first), port, CONNECT_SECONDS)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            if not others:
                raise
        return await self._first_of(others, port)
