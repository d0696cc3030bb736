"""Which addresses of the network may be called for a client (docs/files-and-media.md, Addresses)."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """A name that stands for an address that is not to be called."""


def check_address(text: str, *, allow_private: bool) -> None:
    """Raise AddressRefused for a place on this machine, in its network, or that is no single machine.

    `allow_private` lets the machine and its network pass.
    """
    address = _reached(ip_address(text.partition("%")[0]))
    never = address.is_multicast or address.is_unspecified or address.is_link_local or _is_reserved(address)
    if never or not (allow_private or address.is_global):
        raise AddressRefused(f"{address} is not an address of the public internet")


def _reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one leads to, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def _is_reserved(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        return address.is_site_local or (address.is_reserved and not address.is_loopback)
    return address.is_reserved


class CheckedResolver(AbstractResolver):
    """Resolves names and refuses what must not be called; the connection goes to the address that was checked."""

    def __init__(self, *, allow_private: bool) -> None:
        self._resolver = ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises AddressRefused if one of them must not be called, OSError."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            check_address(each["host"], allow_private=self._allow_private)
        return found

    async def close(self) -> None:
        """Nothing is open."""
        await self._resolver.close()
