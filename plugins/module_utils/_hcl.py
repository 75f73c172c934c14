# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets values in an env.hcl, and leaves every other byte as it is.

A parser that prints what it has read would lose comments and formatting, so nothing is printed: the text is cut into
tokens, the assignments of locals.cluster_inputs are found by them, and only literal values are replaced. What is not a
literal belongs to somebody, and is refused. Pure.
"""

from __future__ import annotations

import re
import typing as t

from ._module import Refusal

BLOCK, INPUTS = "locals", "cluster_inputs"
Value = t.Union[int, str]
_WORD = re.compile(r"[^\W\d][\w-]*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_HEREDOC = re.compile(r"<<-?([^\W\d][\w-]*)[ \t]*(?=\r?\n)")
_SPACE = re.compile(r"[ \t\f\v\ufeff]+|\r(?=\n)")
_PLAIN = re.compile(r'"(?:[^"\\$%]|[$%](?!\{))*"')  # a string without escapes and templates
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_OPEN, _CLOSE = "{[(", "}])"


class Token(t.NamedTuple):
    kind: str  # word, number, string, heredoc, newline, or the character itself
    start: int
    end: int


class Assignment(t.NamedTuple):
    """NAME = VALUE in the object; start, end: where the value is; literal: whether it is one number or plain string."""

    name: str
    line: int
    start: int
    end: int
    literal: bool


class Inputs(t.NamedTuple):
    """The object locals.cluster_inputs: its assignments, and where its braces are."""

    assignments: tuple[Assignment, ...]
    opened: int
    closed: int


class Change(t.NamedTuple):
    """before: the value as it is written, or None where it was not there."""

    name: str
    line: int
    before: str | None
    after: str


def edit(text: str, values: t.Mapping[str, Value], where: str) -> tuple[str, list[Change]]:
    """The text with these values set, and what that changes. where: the file, for messages.

    Raises Refusal: not_found, ambiguous, not_literal, malformed; nothing is changed then.
    """
    inputs = read(text, where)
    cuts: list[tuple[int, int, str]] = []
    changes: list[Change] = []
    missing = []
    for name, value in values.items():
        found = [a for a in inputs.assignments if a.name == name]
        if len(found) > 1:
            lines = " and ".join(str(a.line) for a in found)
            raise Refusal(
                "ambiguous", f"{where}:{found[1].line}: {name} is set twice in {INPUTS}, in lines {lines}; expected"
                " once. Remove one of them.",
            )  # fmt: skip
        if not found:
            missing.append(name)
            continue
        old = text[found[0].start : found[0].end]
        new = _replacement(found[0], old, value, where)
        if new != old:
            cuts.append((found[0].start, found[0].end, new))
            changes.append(Change(name, found[0].line, old, new))
    if missing:
        at, indent = _end_of(text, inputs, missing, where)
        newline = "\r\n" if "\r\n" in text else "\n"
        line = _line(text, at)
        cuts.append((at, at, "".join(f"{indent}{name} = {literal(values[name])}{newline}" for name in missing)))
        changes += [Change(name, line + i, None, literal(values[name])) for i, name in enumerate(missing)]
    for start, end, new in sorted(cuts, reverse=True):
        text = text[:start] + new + text[end:]
    return text, changes


def literal(value: Value) -> str:
    """A number, or a quoted string."""
    if isinstance(value, int):
        return str(value)
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "${": "$${", "%{": "%%{"}
    for plain, escaped in escapes.items():
        value = value.replace(plain, escaped)
    return f'"{value}"'


def _replacement(found: Assignment, old: str, value: Value, where: str) -> str:
    """What is written there. A number in quotes stays in quotes: its type is somebody's choice."""
    quoted = old.startswith('"')
    new = literal(str(value)) if quoted else literal(value)
    if old == new:
        return new
    fits = found.literal and (quoted or isinstance(value, int))
    if fits and quoted and isinstance(value, int) and not re.fullmatch(r'"\d*"', old):
        fits = False
    if not fits:
        expected = "a number" if isinstance(value, int) else "a string in quotes"
        shown = " ".join(old.split())
        raise Refusal(
            "not_literal", f"{where}:{found.line}: {found.name}: found {shown[:80]}, expected {expected}, which is to"
            f" become {literal(value)}. Change it by hand where it comes from.",
        )  # fmt: skip
    return new


def _end_of(text: str, inputs: Inputs, missing: list[str], where: str) -> tuple[int, str]:
    """Where lines are added, and how far in."""
    start = text.rfind("\n", 0, inputs.closed) + 1
    if text[start : inputs.closed].strip() or start <= inputs.opened:
        raise Refusal(
            "not_found", f"{where}:{_line(text, inputs.closed)}: {', '.join(missing)}: not in {INPUTS}, and can't be"
            " added as its closing brace is not on a line of its own. Put it there.",
        )  # fmt: skip
    first = text.find("\n", inputs.opened) + 1
    own = next((re.match(r"[ \t]*", line)[0] for line in text[first:start].splitlines() if line.strip()), None)
    return start, text[start : inputs.closed] + "  " if own is None else own


# -- finding ---------------------------------------------------------------------------------------------------------
def read(text: str, where: str) -> Inputs:
    """The one cluster_inputs of the file's locals. Raises Refusal."""
    every = tokens(text, where)
    found: list[tuple[Token, list[Token]]] = []
    for key, body in _blocks(every, text):
        if key == BLOCK:
            found += [(name, value) for name, value in _statements(body, text) if _named(name, text) == INPUTS]
    if len(found) != 1:
        lines = ", ".join(str(_line(text, name.start)) for name, _value in found)
        raise Refusal(
            "ambiguous" if found else "not_found",
            f"{where}{f':{_line(text, found[1][0].start)}' if found else ''}: found {len(found)} {BLOCK}.{INPUTS}"
            f"{f' in lines {lines}' if lines else ''}, expected one, as {BLOCK} {{ {INPUTS} = {{ ... }} }}.",
        )
    name, value = found[0]
    made = len(value) > 1 and _named(value[1], text) == "for"  # { for ... }: an expression, too
    if not value or made or value[0].kind != "{" or _matching(value, 0) != len(value) - 1:
        shown = " ".join(text[value[0].start : value[-1].end].split())[:60] if value else "nothing"
        raise Refusal(
            "not_literal", f"{where}:{_line(text, name.start)}: {INPUTS}: found {shown}, expected an object {{ ... }}"
            " of its own. Change it by hand where it comes from.",
        )  # fmt: skip
    items = []
    for key, given in _statements(value[1:-1], text, commas=True):
        if not given:
            raise Refusal("malformed", f"{where}:{_line(text, key.start)}: {_named(key, text)}: no value.")
        start, end = given[0].start, given[-1].end
        plain = len(given) == 1 and (given[0].kind == "number" or bool(_PLAIN.fullmatch(text[start:end])))
        items.append(Assignment(_named(key, text), _line(text, key.start), start, end, plain))
    return Inputs(tuple(items), value[0].start, value[-1].start)


def _blocks(every: list[Token], text: str) -> t.Iterator[tuple[str, list[Token]]]:
    """(first word, tokens inside the braces) of each block at the top."""
    i, first = 0, None
    while i < len(every):
        token = every[i]
        if token.kind == "{":
            end = _matching(every, i)
            if first is not None:
                yield text[first.start : first.end], every[i + 1 : end]
            i, first = end, None
        elif token.kind == "newline":
            first = None
        elif first is None:
            first = token
        i += 1


def _statements(body: list[Token], text: str, commas: bool = False) -> t.Iterator[tuple[Token, list[Token]]]:
    """(key, tokens of the value) of each NAME = VALUE; other things are passed over."""
    one: list[Token] = []
    depth = 0
    for token in [*body, Token("newline", len(text), len(text))]:
        depth += (token.kind in _OPEN) - (token.kind in _CLOSE)
        if depth == 0 and (token.kind == "newline" or commas and token.kind == ","):
            if len(one) > 1 and one[0].kind in ("word", "string") and one[1].kind in ("=", ":"):
                yield one[0], one[2:]
            one = []
        elif token.kind != "newline" or depth:
            one.append(token)


def _matching(some: list[Token], at: int) -> int:
    depth = 0
    for i in range(at, len(some)):
        depth += (some[i].kind in _OPEN) - (some[i].kind in _CLOSE)
        if depth == 0:
            return i
    return len(some)  # tokens() has counted them


def _named(token: Token, text: str) -> str:
    return text[token.start : token.end].strip('"')


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


# -- tokens ----------------------------------------------------------------------------------------------------------
def tokens(text: str, where: str = "") -> list[Token]:
    """Without white space and comments. Raises Refusal malformed: something that is opened and not closed."""
    found: list[Token] = []
    opened: list[Token] = []
    at = 0
    while at < len(text):
        character = text[at]
        if space := _SPACE.match(text, at):
            at = space.end()
            continue
        if character == "#" or text.startswith("//", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            continue
        if text.startswith("/*", at):
            end = text.find("*/", at + 2)
            if end < 0:
                raise _unclosed(text, at, where, "comment")
            at = end + 2
            continue
        token = _next(text, at, where)
        if token.kind in _OPEN:
            opened.append(token)
        elif token.kind in _CLOSE and (not opened or _OPEN.index(opened.pop().kind) != _CLOSE.index(token.kind)):
            raise Refusal("malformed", f"{where}:{_line(text, at)}: found {character}, which nothing opens.")
        found.append(token)
        at = token.end
    if opened:
        raise _unclosed(text, opened[-1].start, where, opened[-1].kind)
    return found


def _next(text: str, at: int, where: str) -> Token:
    character = text[at]
    if character == "\n":
        return Token("newline", at, at + 1)
    if character == '"':
        return Token("string", at, _string_end(text, at, where))
    if heredoc := _HEREDOC.match(text, at):
        end = re.compile(rf"^[ \t]*{re.escape(heredoc[1])}[ \t]*\r?$", re.M).search(text, heredoc.end())
        if not end:
            raise _unclosed(text, at, where, heredoc[0])
        return Token("heredoc", at, end.end() - end[0].endswith("\r"))
    for kind, pattern in (("number", _NUMBER), ("word", _WORD)):
        if match := pattern.match(text, at):
            return Token(kind, at, match.end())
    return Token(character, at, at + 1)


def _string_end(text: str, start: int, where: str) -> int:
    """Behind a quoted string, in which ${ } and %{ } hold expressions, with strings of their own."""
    at = start + 1
    while at < len(text) and text[at] != "\n":
        if text[at] == '"':
            return at + 1
        if text[at] == "\\":
            at += 2
        elif text.startswith(("$${", "%%{"), at):
            at += 3
        elif text.startswith(("${", "%{"), at):
            at = _template_end(text, at + 2, where)
        else:
            at += 1
    raise _unclosed(text, start, where, "string")


def _template_end(text: str, at: int, where: str) -> int:
    start, depth = at, 1
    while at < len(text):
        if text[at] == '"':
            at = _string_end(text, at, where)
            continue
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
        if depth == 0:
            return at
    raise _unclosed(text, start, where, "template")


def _unclosed(text: str, at: int, where: str, what: str) -> Refusal:
    return Refusal("malformed", f"{where}:{_line(text, at)}: {what} is not closed. It is not valid HCL; mend it first.")
