"""IP addresses as the pattern engine compares them (event_patterns.md, fact 17)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

__all__ = ["Address", "MalformedNetwork", "Network", "parse_address", "parse_network"]

Address = IPv4Address | IPv6Address

# What may be an address at all; every other text is compared as text.
_V4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_V6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_LEADING_ZEROS = re.compile(r"(?<![0-9a-fA-F])0+(?=[0-9a-fA-F])")


class MalformedNetwork(ValueError):
    """A text that is no network in CIDR notation; the engine's message."""


class Network:
    """A range of addresses of one family.

    Args:
        address: any address in it.
        bits: how many leading bits all its addresses share.
    """

    def __init__(self, address: Address, bits: int) -> None:
        self._family = type(address)
        self._shift = address.max_prefixlen - bits
        self._prefix = int(address) >> self._shift

    def __contains__(self, address: Address) -> bool:
        return type(address) is self._family and int(address) >> self._shift == self._prefix


def parse_address(text: str) -> Address | None:
    """The address that a text stands for, an IPv4-mapped one as IPv4; `None` for any other text."""
    if not (_V4.fullmatch(text) or _V6.fullmatch(text)):
        return None
    plain = _LEADING_ZEROS.sub("", text)
    try:
        if ":" not in plain:
            return IPv4Address(plain)
        address = IPv6Address(plain)
    except ValueError:
        return None
    return address.ipv4_mapped or address


def parse_network(text: str) -> Network:
    """The network of a CIDR text; bits behind the mask are allowed.

    Raises:
        MalformedNetwork: it is none.
    """
    slashed = text.rstrip("/").split("/") if "/" in text else [text]
    if len(slashed) != 2:
        raise MalformedNetwork("Malformed CIDR, one '/' required")
    host, mask = slashed
    if not re.fullmatch(r"[+-]?\d+", mask) or abs(int(mask)) >= 2**31:
        raise MalformedNetwork("Malformed CIDR, mask bits must be an integer")
    bits = int(mask)
    if bits < 0:
        raise MalformedNetwork("Malformed CIDR, mask bits must not be negative")
    address = parse_address(host)
    if address is None:
        kind = "Invalid" if _V4.fullmatch(host) or _V6.fullmatch(host) else "Nonstandard"
        raise MalformedNetwork(f"{kind} IP address: {host}")
    if bits >= address.max_prefixlen:
        raise MalformedNetwork(f"IPv{address.version} mask bits must be < {address.max_prefixlen}")
    return Network(address, bits)
