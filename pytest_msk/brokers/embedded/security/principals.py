"""What a client's certificate makes of its principal: the whole subject, or what `ssl.principal.mapping.rules` says.

Source: KIP-371 and org.apache.kafka.common.security.ssl.SslPrincipalMapper.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ....errors import BrokerError

__all__ = ["PrincipalRules"]

_RULE = re.compile(r"\s*(?:(DEFAULT)|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?))\s*(?:,|$)")
_GROUP = re.compile(r"\$(\d+)")


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str] | None
    replacement: str
    case: str

    def apply(self, subject: str) -> str | None:
        if self.pattern is None:
            return subject
        found = self.pattern.fullmatch(subject)
        if found is None:
            return None
        text = _GROUP.sub(lambda group: found[int(group[1])] or "", self.replacement)
        return text.lower() if self.case == "L" else text.upper() if self.case == "U" else text


class PrincipalRules:
    """The rules, in their order; the first that fits gives the name.

    Args:
        text: as in `ssl.principal.mapping.rules`: `DEFAULT`, or `RULE:pattern/replacement/[LU]`, joined by commas.

    Raises:
        BrokerError: the rules cannot be read.
    """

    def __init__(self, text: str) -> None:
        self._rules: list[_Rule] = []
        at = 0
        while at < len(text):
            found = _RULE.match(text, at)
            if found is None:
                raise BrokerError(
                    f"ssl.principal.mapping.rules: {text[at:]!r} is neither DEFAULT nor RULE:pattern/replacement/[LU]."
                )
            try:
                pattern = None if found[1] else re.compile(found[2])
            except re.error as error:
                raise BrokerError(f"ssl.principal.mapping.rules: {found[2]!r} is no pattern: {error}.") from error
            if pattern is not None and any(int(n) > pattern.groups for n in _GROUP.findall(found[3])):
                raise BrokerError(f"ssl.principal.mapping.rules: {found[3]!r} names a group that {found[2]!r} lacks.")
            self._rules.append(_Rule(pattern, found[3] or "", found[4] or ""))
            at = found.end()

    def name_of(self, certificate: bytes) -> str:
        """The principal's name for a certificate (DER)."""
        from cryptography import x509

        return self.apply(x509.load_der_x509_certificate(certificate).subject.rfc4514_string())

    def apply(self, subject: str) -> str:
        """The principal's name for a subject as RFC 4514 writes it; the subject itself where no rule fits."""
        for rule in self._rules:
            name = rule.apply(subject)
            if name is not None:
                return name
        return subject
