# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own values file: read with line numbers, changed in a few places, and otherwise left as it is written.

Comments, order, quotes and anchors stay. What can't be changed safely is refused with its line.
"""

from __future__ import annotations

import difflib
import io
import re
import typing as t

try:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.error import YAMLError

    IMPORT_ERROR = None
except ImportError:  # reported by the modules, as ansible-test asks
    import traceback

    IMPORT_ERROR = traceback.format_exc()
    YAMLError = Exception

from ._module import Refusal

Path = tuple[str, ...]
# How people indent: mapping, sequence, offset of the dash. The one that writes the file as it was is taken.
LAYOUTS = ((2, 2, 0), (2, 4, 2), (4, 2, 0), (4, 4, 2), (4, 6, 4))
WIDTH = 100000  # never break a line that was not broken


class ValuesFile:
    """One file's text as a document. Raises Refusal: bad_yaml, duplicate_key, not_a_mapping, encrypted."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        # What stands before a `---` is no part of the document to the parser, which would drop it.
        self._head, self._body = _split(text.replace("\r\n", "\n"))
        if text.startswith("$ANSIBLE_VAULT"):
            raise Refusal("encrypted", f"{name}: is encrypted by ansible-vault. Give a decrypted copy.", file=name)
        try:
            documents = len(list(_parser(LAYOUTS[0]).load_all(self._body)))
            self.document = (_parser(LAYOUTS[0]).load(self._body) if documents == 1 else None) or CommentedMap()
        except YAMLError as exc:
            raise _refusal(name, exc, self._head.count("\n")) from exc
        if documents > 1:
            raise Refusal("not_a_mapping", f"{name}: has {documents} YAML documents; expected one.", file=name)
        if not isinstance(self.document, CommentedMap):
            raise Refusal("not_a_mapping", f"{name}: expected keys at its top, as a chart's values have.", file=name)

    @property
    def encrypted(self) -> bool:
        """By SOPS: its keys can be read, but nothing can be written without breaking its checksum."""
        return "sops" in self.document and isinstance(self.document["sops"], dict) and "mac" in self.document["sops"]

    def get(self, path: Path) -> t.Any:
        """The value at a path, or None."""
        node: t.Any = self.document
        for key in path:
            if not isinstance(node, dict) or key not in node:
                return None
            node = node[key]
        return node

    def line(self, path: Path) -> int:
        """Where the last key of a path is, from 1; of a path that is not there, its nearest parent."""
        node: t.Any = self.document
        line = 1
        for key in path:
            if not isinstance(node, CommentedMap) or key not in node:
                break
            position = node.lc.data.get(key) if node.lc.data else None
            line = position[0] + 1 + self._head.count("\n") if position else line
            node = node[key]
        return line

    def leaves(self, path: Path = ()) -> list[Path]:
        """Every path to a value below `path`; a list, or an empty dictionary, is one."""
        node = self.get(path) if path else self.document
        if not isinstance(node, dict) or not node:
            return [path]
        return [leaf for key in node for leaf in self.leaves((*path, str(key)))]

    # -- changes -----------------------------------------------------------------------------------------------------
    def merge(self, values: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        """Puts values in; returns what that changed: [{path, before, after}], before None where there was nothing.

        Lists of dictionaries that have `port` numbers are merged by them; other lists are replaced.
        """
        if self.encrypted:
            raise Refusal(
                "encrypted",
                f"{self.name}: is encrypted by SOPS, and would no longer match its checksum. Put the values into a file"
                " that is not.",
                file=self.name,
            )
        changes: list[dict[str, t.Any]] = []
        self._merge(self.document, values, (), changes)
        return changes

    def _merge(self, node: t.Any, values: t.Mapping[str, t.Any], path: Path, changes: list[dict[str, t.Any]]) -> None:
        for key, value in values.items():
            here = (*path, key)
            have = node.get(key)
            if isinstance(value, dict) and isinstance(have, CommentedMap) and have:
                self._refuse_anchor(have, value, here)
                self._merge(have, value, here, changes)
            elif _by_port(value) and isinstance(have, CommentedSeq) and _by_port(have):
                self._merge_ports(node, key, have, value, here, changes)
            elif plain(have) != value or key not in node:
                changes.append({"path": list(here), "before": plain(have), "after": value})
                node[key] = commented(value)

    def _merge_ports(
        self,
        node: t.Any,
        key: str,
        have: t.Any,
        value: list[dict[str, t.Any]],
        path: Path,
        changes: list[dict[str, t.Any]],
    ) -> None:
        before = plain(have)
        known = {item["port"]: item for item in have}
        for wanted in value:
            if wanted["port"] in known:
                self._merge(known[wanted["port"]], wanted, path, [])
            else:
                have.append(commented(wanted))
        if plain(have) != before:
            changes.append({"path": list(path), "before": before, "after": plain(have)})

    def _refuse_anchor(self, node: t.Any, values: t.Mapping[str, t.Any], path: Path) -> None:
        """What is written once and used twice must not be changed for one of its users."""
        anchored = getattr(node, "anchor", None) is not None and node.anchor.value
        merged = getattr(node, "merge", None)
        differs = any(plain(node.get(key)) != value for key, value in values.items())
        if differs and (anchored or merged):
            what = f"has the anchor &{node.anchor.value}" if anchored else "takes keys from an anchor (<<)"
            raise Refusal(
                "anchored",
                f"{self.name}, line {self.line(path)}: {'.'.join(path)} {what}, so a change there may mean something else"
                " elsewhere. Write it out.",
                file=self.name, line=self.line(path),
            )  # fmt: skip

    def restore(self, changes: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Takes changes back, where the value is still the one that was put in; returns what that changed."""
        done = []
        for change in reversed(changes):
            *parents, key = change["path"]
            node = self.get(tuple(parents)) if parents else self.document
            if not isinstance(node, dict) or plain(node.get(key)) != change["after"]:
                continue
            if change["before"] is None:
                del node[key]
            else:
                node[key] = commented(change["before"])
            done.append({"path": change["path"], "before": change["after"], "after": change["before"]})
        return done

    def dump(self) -> str:
        """The document as text, in the file's own layout."""
        best = max(LAYOUTS, key=self._likeness)
        return (self._head + _write(_parser(best), self.document)).replace("\n", self._newline)

    def _likeness(self, layout: tuple[int, int, int]) -> float:
        parser = _parser(layout)
        again = _write(parser, parser.load(self._body) or CommentedMap())
        if again == self._body:
            return 2.0
        return difflib.SequenceMatcher(None, self._body.splitlines(), again.splitlines(), autojunk=False).ratio()


def commented(value: t.Any) -> t.Any:
    """Plain data as the document's own kinds of containers."""
    if isinstance(value, dict):
        result = CommentedMap()
        for key, item in value.items():
            result[key] = commented(item)
        return result
    if isinstance(value, list):
        return CommentedSeq([commented(item) for item in value])
    return value


def plain(value: t.Any) -> t.Any:
    """A value of a document without comments and anchors."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _by_port(value: t.Any) -> bool:
    """A list of dictionaries, each with a port number of its own."""
    if not isinstance(value, list) or not value:
        return False
    numbers = [item.get("port") if isinstance(item, dict) else None for item in value]
    return all(isinstance(number, int) for number in numbers) and len(set(numbers)) == len(value)


def _split(text: str) -> tuple[str, str]:
    """(what comes before the first document, with its `---`; the rest)."""
    head = re.match(r"(?:[ \t]*(?:#[^\n]*)?\n)*---[ \t]*(?:#[^\n]*)?\n", text)
    return (head[0], text[head.end() :]) if head else ("", text)


def _parser(layout: tuple[int, int, int]) -> t.Any:
    parser = YAML(typ="rt")
    parser.preserve_quotes = True
    parser.width = WIDTH
    parser.indent(mapping=layout[0], sequence=layout[1], offset=layout[2])
    return parser


def _write(parser: t.Any, document: t.Any) -> str:
    out = io.StringIO()
    parser.dump(document, out)
    return out.getvalue()


def _refusal(name: str, exc: t.Any, offset: int) -> Refusal:
    """The parser's complaint, without the file's content: it may be a secret."""
    mark = getattr(exc, "problem_mark", None)
    line = mark.line + 1 + offset if mark else None
    where = f"{name}, line {line}" if line else name
    problem = str(getattr(exc, "problem", "") or type(exc).__name__)
    if "duplicate key" in problem:
        key = problem.partition('"')[2].partition('"')[0]
        return Refusal(
            "duplicate_key",
            f"{where}: key {key!r} is there twice; Helm would take one of them. Remove one.",
            file=name, line=line,
        )  # fmt: skip
    return Refusal("bad_yaml", f"{where}: can't be parsed: {problem}. Correct it.", file=name, line=line)


def read(path: str) -> str:
    """Raises Refusal no_such_file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8 text"
        raise Refusal("no_such_file", f"{path}: can't be read: {reason}. Check mesh_bigbang.", file=path) from exc
