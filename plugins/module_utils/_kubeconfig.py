# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contexts of kubeconfig files, and the name that each has as a host.

Nothing of a file but names is looked at, and no message shows a line of it: tokens and keys are in there.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

try:
    import yaml
except ImportError:  # ansible-core needs PyYAML itself
    yaml = None

from ._module import Refusal

# In --limit : and , and what begins with ! or & mean something else, and in a report's name / means a folder.
HOST_NAME = re.compile(r"[A-Za-z0-9_][\w.@+=-]*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    kubeconfig: str  # the file
    context: str

    @property
    def title(self) -> str:
        return f"{self.context} ({self.kubeconfig})"


def contexts(text: str, path: str) -> list[str]:
    """The names of a file's contexts, in its order. Raises Refusal malformed_kubeconfig."""

    def malformed(why: str) -> Refusal:
        return Refusal("malformed_kubeconfig", f"kubeconfig {path}: {why} See kubectl --kubeconfig {path} config view.")

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as exc:  # a date that is none is a ValueError
        mark = getattr(exc, "problem_mark", None)
        raise malformed(f"line {mark.line + 1} is not YAML." if mark else "it is not YAML.") from None
    if not isinstance(content, dict) or not isinstance(content.get("contexts") or [], list):
        raise malformed("expected a mapping with a list of contexts, as kubectl writes it.")
    known = {entry.get("name") for entry in content.get("clusters") or () if isinstance(entry, dict)}
    found = []
    for number, entry in enumerate(content.get("contexts") or ()):
        named = entry if isinstance(entry, dict) else {}
        name, context = named.get("name"), named.get("context")
        if not isinstance(name, str) or not name or not isinstance(context, dict):
            raise malformed(f"contexts[{number}]: expected name and context.")
        if context.get("cluster") not in known:
            raise malformed(
                f"contexts[{number}] ({name}): cluster {context.get('cluster')!r} is not in this file. A file has to"
                " hold all that its contexts name; kubectl config view --flatten --raw joins several."
            )
        found.append(name)
    return found


def hosts(files: t.Mapping[str, t.Sequence[str]], pattern: str, names: t.Mapping[str, str]) -> list[Host]:
    """The contexts whose names the pattern is found in, by what they are called as hosts. files: contexts by file.

    Raises Refusal: bad_option, no_context, same_name.
    """
    every = [(path, context) for path, found in files.items() for context in found]
    there = ", ".join(dict.fromkeys(context for _path, context in every)) or "no context"
    where = f"{', '.join(files)} has {there}"
    unknown = [name for name in names if name not in {context for _path, context in every}]
    if unknown:
        raise Refusal("bad_option", f"names: {', '.join(unknown)}: no context is called so; {where}.")
    try:
        wanted = re.compile(pattern)
    except re.error as exc:
        raise Refusal("bad_option", f"contexts: {pattern!r} is not a regular expression: {exc}.") from exc
    chosen = [
        Host(str(names.get(context, context)), path, context) for path, context in every if wanted.search(context)
    ]
    if not chosen:
        raise Refusal("no_context", f"contexts: {pattern!r} matches none; {where}. Correct the pattern or the file.")
    by_name: dict[str, Host] = {}
    for host in chosen:
        if not HOST_NAME.fullmatch(host.name):
            such = re.sub(r"[^A-Za-z0-9_]+", "-", host.name).strip("-") or "production"
            raise Refusal(
                "bad_option",
                f"context {host.title}: {host.name!r} can't be the name of a host; expected letters, digits and _.@+=-."
                f" Give it one in names, such as {such}.",
            )
        other = by_name.setdefault(host.name, host)
        if other is not host:
            raise Refusal(
                "same_name",
                f"contexts {other.title} and {host.title} would both be host {host.name}. Give one another name in"
                " names, or by kubectl config rename-context.",
            )
    return chosen
