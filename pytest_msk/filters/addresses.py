"""IP addresses as the pattern engine compares them (event_patterns.md, fact 17)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

__all__ = ["Address", "MalformedNetwork", "Network", "parse_address", "parse_network"]

Address = IPv4Address | IPv6Address

# What may be an address at all; every other text is compared as text.
_V4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_V6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F:]*")
#: The longest text of an IPv4 address, leading zeros included.
_V4_LENGTH = len("255.255.255.255")
_MASK = re.compile(r"([+-]?)0*(\d*)")
#: A mask of more digits is no 32-bit integer.
_MASK_DIGITS = 10
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
    if not _looks_like_one(text):
        return None
    plain = _LEADING_ZEROS.sub("", text)
    try:
        if ":" not in plain:
            return IPv4Address(plain) if len(text) <= _V4_LENGTH else None
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
    bits = _read_mask(mask)
    if bits < 0:
        raise MalformedNetwork("Malformed CIDR, mask bits must not be negative")
    address = parse_address(host)
    if address is None:
        kind = "Invalid" if _looks_like_one(host) else "Nonstandard"
        raise MalformedNetwork(f"{kind} IP address: {host}")
    if bits >= address.max_prefixlen:
        raise MalformedNetwork(f"IPv{address.version} mask bits must be < {address.max_prefixlen}")
    return Network(address, bits)


def _looks_like_one(text: str) -> bool:
    return (_V6 if ":" in text else _V4).fullmatch(text) is not None


def _read_mask(text: str) -> int:
    found = _MASK.fullmatch(text)
    if found is None or not text.strip("+-") or len(found[2]) > _MASK_DIGITS or int(found[2] or "0") >= 2**31:
        raise MalformedNetwork("Malformed CIDR, mask bits must be an integer")
    return int(f"{found[1]}{found[2] or 0}")
