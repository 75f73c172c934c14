# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether green answers as blue does. Plain functions over Answers: nothing is sent and nothing is read here.

Blue is asked twice on each of its nodes. Where blue's answers differ among themselves in a header or in lines of the
body, that header or those lines say nothing about green and are left out ("noise"). A difference among blue's own
answers in status, redirect target, certificate or protocol is no noise but a blue that can't be measured against: the
route is then different, and never equal.

Before bodies and header values are compared, everything that a mask (a regular expression) matches becomes one and the
same mark, because it may differ between any two gateways: addresses, request ids, times.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass, field

from ._probe import NO_ANSWER, Answer

MASKS = (
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",  # UUID
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",  # ISO 8601
    r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d{1,5})?\b",  # IPv4, with port
    r"\b[0-9a-fA-F]{16,}\b",  # trace ids, digests
)
HEADERS = (
    "content-type", "location", "set-cookie", "cache-control", "strict-transport-security", "server",
    "www-authenticate", "content-encoding", "vary", "access-control-allow-origin", "x-frame-options",
    "content-security-policy", "allow", "grpc-encoding",
)  # fmt: skip
FIELDS = ("status", "location", "http_version", "certificate", "grpc_status", "headers", "body")
MARK = b"*"
SECRET = frozenset(("authorization", "cookie", "set-cookie", "www-authenticate", "proxy-authenticate"))
# Request headers whose values let somebody in.
PRIVATE = re.compile(r"^(proxy-)?authorization$|^cookie$|token|secret|passw|api-?key", re.IGNORECASE)
WITHHELD = "(not shown)"
SHOWN = 160  # characters of a value that a difference shows


@dataclass(frozen=True)
class Rules:
    """fields: which of FIELDS count; headers: lower-case names; masks: compiled, over bytes."""

    fields: tuple[str, ...] = FIELDS
    headers: tuple[str, ...] = HEADERS
    masks: tuple[re.Pattern[bytes], ...] = field(default_factory=lambda: compile_masks(MASKS))

    def masked(self, data: bytes) -> bytes:
        for mask in self.masks:
            data = mask.sub(MARK, data)
        return data


def private_names(headers: t.Iterable[str] | None) -> list[str]:
    """Those of a request's headers whose values are shown nowhere."""
    return sorted(name for name in headers or () if PRIVATE.search(name))


def shown_request(item: dict[str, t.Any]) -> dict[str, t.Any]:
    """A route or a sample as it may be shown: private headers keep their names alone."""
    names = private_names(item.get("headers"))
    return {**item, "headers": {**item["headers"], **dict.fromkeys(names, WITHHELD)}} if names else item


def compile_masks(patterns: t.Iterable[str]) -> tuple[re.Pattern[bytes], ...]:
    """Raises ValueError naming the pattern that is no regular expression."""
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern.encode()))
        except re.error as exc:
            raise ValueError(f"mask {pattern!r} is no regular expression: {exc}") from exc
    return tuple(compiled)


@dataclass
class Verdict:
    """verdict: equal, different or unreachable. differences: [{node, field, blue, green}], node is green's address.
    noise: fields in which blue differs from itself and that were not compared."""

    verdict: str
    differences: list[dict[str, t.Any]] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)


def judge(
    blue: dict[str, list[Answer]], green: dict[str, list[Answer]], rules: Rules, private: bool = False
) -> Verdict:
    """Compares all of blue's answers to one request with all of green's. blue, green: by address; neither may be empty.

    unreachable: one address at least gave nothing to compare, because there is no connection, no answer in time, a
    certificate that is not trusted, or a probe that could not be sent; whose it is stands in `differences`. An answer
    that is a refusal (the handshake or the connection ended by the other side) is compared like any other: what blue
    refuses, green must refuse in the same way. An answer that ended and one that was cut off are different. private:
    the request carries credentials, so values that came back are shown as digests only.
    """
    lost = []
    for side, answers in (("blue", blue), ("green", green)):
        for node, found in answers.items():
            failed = next((answer for answer in found if answer.error in NO_ANSWER), None)
            if failed is not None:
                name, words = _lost(failed)
                lost.append({"node": node, "field": name, "blue": None, "green": None, side: words})
    if lost:
        return Verdict("unreachable", lost)
    reference = [answer for answers in blue.values() for answer in answers]
    verdict = Verdict("equal")
    own = _unstable(reference, rules)
    if own:
        verdict.differences = [
            {"node": next(iter(blue)), "field": name, "blue": words, "green": None} for name, words in own
        ]
        verdict.verdict = "different"
        return verdict
    bodies = _Bodies(reference, rules) if "body" in rules.fields else None
    headers = _headers_of(reference, rules) if "headers" in rules.fields else {}
    noise = {f"header {name}" for name, values in headers.items() if len(values) > 1}
    ended = {answer.complete for answer in reference if not answer.error}
    if len(ended) > 1 or (bodies is not None and bodies.noisy):
        noise.add("body")
    for node, answers in green.items():
        for answer in answers:
            wanted, got = _scalars(reference[0], rules), _scalars(answer, rules)
            if answer.error or reference[0].error:  # an answer on one side and a refusal on the other differ as such
                wanted, got = ({"status": _outcome(one)} for one in (reference[0], answer))
            for name in wanted:
                if wanted[name] != got[name]:
                    verdict.differences.append(_difference(node, name, wanted[name], got[name]))
            if answer.error or answer.status != reference[0].status:
                continue  # of another kind of answer, headers and body would only repeat that
            for name, values in headers.items():
                if len(values) == 1:
                    wanted, found = next(iter(values)), _header(answer, name, rules)
                    if found != wanted:
                        secret = private or name in SECRET
                        verdict.differences.append(_difference(node, f"header {name}", wanted, found, secret))
            if len(ended) == 1 and answer.complete not in ended:  # whatever is compared
                verdict.differences.append(_difference(node, "body", _extent(reference[0]), _extent(answer)))
            elif bodies is not None and answer.complete:
                difference = bodies.difference(answer)
                if difference is not None:
                    verdict.differences.append(_difference(node, "body", *difference, private))
    verdict.noise = sorted(noise)
    if verdict.differences:
        verdict.verdict = "different"
    return verdict


def _scalars(answer: Answer, rules: Rules) -> dict[str, t.Any]:
    """The parts that must be the same to the letter."""
    if answer.error:
        return {"status": _outcome(answer)}
    found: dict[str, t.Any] = {"status": answer.status} if "status" in rules.fields else {}
    if "location" in rules.fields:
        found["location"] = _one(answer.headers, "location")
    if "http_version" in rules.fields:
        found["http_version"] = answer.http_version
    if "certificate" in rules.fields:
        found["certificate"] = answer.certificate
    if "grpc_status" in rules.fields:
        found["grpc_status"] = _one(answer.trailers, "grpc-status") or _one(answer.headers, "grpc-status")
    return found


def _lost(answer: Answer) -> tuple[str, str]:
    """What an address without an answer lacks, and in words, with what to do where it is our own doing."""
    words = _short(answer.detail)
    if answer.error == "untrusted":
        return "certificate", (
            f"not trusted: {words}. Mend it, or name its authority in ca_file; without ca_file it is compared only."
        )
    if answer.error == "local":
        return "probe", (
            f"could not be sent: {words}. Mend this where probes are sent from: files of ca_file and identities, the"
            " route, libcurl."
        )
    return "connection", words


def _extent(answer: Answer) -> str:
    return "complete" if answer.complete else f"cut off after {len(answer.body)} bytes"


def _outcome(answer: Answer) -> str | int:
    return f"refused ({answer.error})" if answer.error else answer.status


def _unstable(reference: t.Sequence[Answer], rules: Rules) -> list[tuple[str, str]]:
    """Fields in which blue disagrees with itself although it must not, with what it said."""
    scalars = [_scalars(answer, rules) for answer in reference]
    found = []
    for name in dict.fromkeys(name for one in scalars for name in one):
        values = {str(one.get(name)): None for one in scalars}
        if len(values) > 1:
            found.append((name, "blue differs from itself: " + _short(", ".join(sorted(values)))))
    return found


def _one(pairs: t.Iterable[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in pairs if key == name), None)


def _header(answer: Answer, name: str, rules: Rules) -> str | None:
    """A header's value as it is compared: masked; of cookies, names and attributes only, since values are each
    client's. The order of attributes means nothing."""
    values = [value for key, value in answer.headers if key == name]
    if not values:
        return None
    if name == "set-cookie":
        values = [re.sub(r"=[^;]*", "", value, count=1).lower() for value in values]
        values = [re.sub(r"(expires|max-age)=[^;]*", r"\1", value) for value in values]
        parts = (re.split(r"\s*;\s*", value) for value in values)
        values = sorted("; ".join([cookie, *sorted(attributes)]) for cookie, *attributes in parts)
    return rules.masked("\n".join(values).encode("latin-1", "replace")).decode("latin-1")


def _headers_of(reference: t.Sequence[Answer], rules: Rules) -> dict[str, set[str | None]]:
    names = [name for name in rules.headers if name != "location"]
    return {name: {_header(answer, name, rules) for answer in reference} for name in names}


class _Bodies:
    """Blue's bodies, and what of them is to be found in green's.

    Lines that all of blue's bodies have, in order, must be green's lines too; between them green may have as many lines
    as blue's bodies had there. For blue without noise that is equality, line by line.
    """

    def __init__(self, reference: t.Sequence[Answer], rules: Rules) -> None:
        self.rules = rules
        whole = [answer.body for answer in reference if answer.complete and not answer.error]
        self.raw = set(whole)
        self.lines = [rules.masked(body).split(b"\n") for body in dict.fromkeys(whole)]
        self.noisy = any(lines != self.lines[0] for lines in self.lines[1:])
        self.aligned = len({len(lines) for lines in self.lines}) == 1

    def difference(self, answer: Answer) -> tuple[str, str] | None:
        """None when green's body fits; else (blue's, green's) at the first place where it does not."""
        if not self.lines or answer.body in self.raw:
            return None
        lines = self.rules.masked(answer.body).split(b"\n")
        if not self.aligned:
            return self._unaligned(lines)
        if len(lines) != len(self.lines[0]):
            return f"{len(self.lines[0])} lines", f"{len(lines)} lines"
        for number, line in enumerate(lines):
            seen = {other[number] for other in self.lines}
            if line not in seen and not _same_shape(seen, line):
                return _text(f"line {number + 1}: ", min(seen)), _text(f"line {number + 1}: ", line)
        return None

    def _unaligned(self, lines: list[bytes]) -> tuple[str, str] | None:
        """Blue's own bodies have different numbers of lines: then what they share must be in green's, wherever."""
        common = set(self.lines[0]).intersection(*self.lines[1:])
        missing = common.difference(lines)
        if missing:
            line = next(line for line in self.lines[0] if line in missing)
            return _text("line: ", line), "not there"
        return None


def _same_shape(seen: set[bytes], line: bytes) -> bool:
    """Whether blue's own variants of a line vary only where this one does too: word by word."""
    if len(seen) < 2:
        return False
    variants = [_words(one) for one in seen]
    words = _words(line)
    if any(len(variant) != len(words) for variant in variants):
        return len({len(variant) for variant in variants}) > 1
    return all(word in column or len(column) > 1 for word, *rest in zip(words, *variants) for column in [set(rest)])


def _words(line: bytes) -> list[bytes]:
    return re.split(rb"([\s,;:=\"'<>&?]+)", line)


def _text(prefix: str, data: bytes) -> str:
    return prefix + data.decode("utf-8", "replace")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _difference(node: str, name: str, blue: t.Any, green: t.Any, secret: bool = False) -> dict[str, t.Any]:
    if secret:
        blue, green = (
            None if v is None else f"sha256:{hashlib.sha256(str(v).encode()).hexdigest()[:12]}" for v in (blue, green)
        )
    shown = (_short(v) if isinstance(v, str) else v for v in (blue, green))
    return {"node": node, "field": name, **dict(zip(("blue", "green"), shown))}
