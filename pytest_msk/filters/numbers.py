"""Numbers as the pattern engine compares them (event_patterns.md, facts 9 to 11): by exact decimal value, if it can.

A number is *comparable* when its decimal value is that of the shortest text of its double. Two comparable numbers are
equal just when their doubles are, so a double stands for it. Any other number equals its own text alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isinf

__all__ = ["Incomparable", "Number", "number_from_json", "number_from_python"]

#: Integers up to here are their own double, with no other integer on the same one.
_EXACT = 2**53
#: The engine keeps an exponent in 32 bits.
_EXPONENTS = 2**31
#: Doubles below have so few bits that two digits may say more of them than the shortest text does.
_SUBNORMAL = 2.2250738585072014e-308


@dataclass(frozen=True, slots=True)
class Incomparable:
    """A number that no double stands for; it is neither below nor above any other.

    Args:
        text: the number as it is written.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def _in_no_range(self, _other: float) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _in_no_range


Number = float | Incomparable


def number_from_json(text: str) -> Number:
    """The number of a JSON text, such as `3e2`."""
    double = float(text)
    if isinf(double):
        return Incomparable(text)
    try:
        value = Decimal(text)
        exponent = int(value.as_tuple().exponent)
    except InvalidOperation:  # an exponent of nineteen digits or more
        return Incomparable(text)
    return double if value == _shortest(double) and abs(exponent) < _EXPONENTS else Incomparable(text)


def number_from_python(number: int | float) -> Number:
    """The number that Python read from JSON, of which the text is known: an `int`'s digits, a `float`'s `repr`."""
    if isinstance(number, int):
        return number if -_EXACT <= number <= _EXACT else number_from_json(str(number))
    return number if number == 0 or abs(number) >= _SUBNORMAL else number_from_json(repr(number))


def _shortest(double: float) -> Decimal:
    """The shortest decimal that reads as this double, but of at least two digits, as Java writes it."""
    shortest = Decimal(repr(double))
    if double and abs(double) < _SUBNORMAL and len(shortest.normalize().as_tuple().digits) == 1:
        return Decimal(f"{double:.1e}")
    return shortest
