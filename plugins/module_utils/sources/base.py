# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every kind of source has to say of a VirtualService, and the small things that they share. Pure."""

from __future__ import annotations

import json
import re
import typing as t

from .. import _helm_storage
from .. import _virtual_services as vs

try:
    import yaml
except ImportError:  # the kubernetes package needs PyYAML too, and its absence is reported by _module.run
    yaml = None

Object = dict[str, t.Any]
GROUP, KIND = "networking.istio.io", "VirtualService"


class Source(t.NamedTuple):
    """What an object is made from. kind: the module here; name: as far as the object tells it, '' where one is enough;
    title: in words."""

    kind: str
    name: str
    title: str

    @property
    def id(self) -> str:
        """As waivers name it."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


class Desired(t.NamedTuple):
    """What a source will make of one VirtualService. lists: the gateway lists that it wants there, None where the
    cluster does not tell; told_by: where that was read, or why it is not known."""

    lists: vs.Lists | None
    told_by: str


class Wish(t.NamedTuple):
    """A VirtualService, the gateway lists that its source has now (or, unknown, those it has itself), and those that
    make it green."""

    body: Object
    before: vs.Lists
    after: vs.Lists

    @property
    def key(self) -> str:
        return vs.key_of(self.body)

    @property
    def target(self) -> dict[str, str]:
        """As a kustomize patch names it."""
        meta = self.body["metadata"]
        return {"group": GROUP, "kind": KIND, "name": meta["name"], "namespace": meta["namespace"]}

    def patch(self) -> list[Object]:
        """A JSON patch of the lists that differ."""
        differing = [pointer for pointer, names in self.after.items() if names != self.before.get(pointer)]
        return [{"op": "add", "path": pointer, "value": list(self.after[pointer])} for pointer in differing]


class Override(t.NamedTuple):
    """A file that makes VirtualServices green where they come from. path: in the folder of overrides; how: lines that
    say what to do with it; content: what is written, as YAML."""

    path: str
    how: tuple[str, ...]
    content: t.Any
    virtual_services: tuple[str, ...]

    def text(self) -> str:
        shown = ", ".join(self.virtual_services[:5]) + (", ..." if len(self.virtual_services) > 5 else "")
        when = (
            "Use it once all traffic is on green, before unbinding; before that only if an admission policy adds blue."
        )
        lines = [f"Makes {len(self.virtual_services)} VirtualService(s) green at the source: {shown}.", *self.how, when]
        return "".join(f"# {line}\n" for line in lines) + "---\n" + dumped(self.content)


class Unreadable(Exception):
    """Why something about a source can't be known."""


class Evidence(t.Protocol):
    """What the cluster knows of sources. Every method raises Unreadable."""

    def objects(self, group: str, versions: t.Sequence[str], plural: str) -> dict[str, Object]:
        """Every object of a kind, in all namespaces, by NAMESPACE/NAME; {} where the kind is not served."""

    def owner(self, api_version: str, kind: str, key: str) -> Object | None:
        """One object of any kind."""

    def release(self, namespace: str, name: str) -> _helm_storage.Record | None:
        """The highest revision of a Helm release."""


def never(_source: Source, _body: Object, _evidence: Evidence) -> str:
    """puts_back and fights of a source that acts only when somebody makes it."""
    return ""


# -- reading an object ------------------------------------------------------------------------------------------------
def file_name(key: str) -> str:
    """NAMESPACE/NAME as a file's name. A namespace has no dot, so the first one is the border."""
    return key.replace("/", ".")


def concerned(lists: vs.Lists, namespace: str, pairs: t.Iterable[vs.Pair]) -> list[vs.Pair]:
    """The pairs of which some list names a side."""
    named = {vs.resolve(name, namespace) for names in lists.values() for name in names}
    return [pair for pair in pairs if named.intersection(pair)]


def is_green(live: vs.Lists, desired: vs.Lists, namespace: str, pairs: t.Sequence[vs.Pair]) -> bool:
    """Whether a source keeps on green what is there now: it names every green that is concerned, and names no blue
    without its green."""
    own = concerned(live, namespace, pairs)
    named = {vs.resolve(name, namespace) for names in desired.values() for name in names}
    alike = vs.Bound(tuple(own), both_ways=False).apply(f"{namespace}/", desired) == desired
    return alike and all(pair.green in named for pair in own)


def green_only(lists: vs.Lists, namespace: str, pairs: t.Sequence[vs.Pair]) -> vs.Lists:
    """The lists with green in the place of blue."""
    key = f"{namespace}/"
    bound = vs.Bound(tuple(pairs), both_ways=False).apply(key, lists)
    return vs.Unbound(tuple(pairs), "blue").apply(key, bound)


def wish_of(body: Object, desired: vs.Lists | None, pairs: t.Sequence[vs.Pair]) -> Wish:
    """What would make an object green whose source wants these lists."""
    live, namespace = vs.lists_of(body), body["metadata"]["namespace"]
    before = live if desired is None else desired
    after = green_only(before, namespace, pairs)
    named = {vs.resolve(name, namespace) for names in after.values() for name in names}
    missing = [pair.green for pair in concerned(live, namespace, pairs) if pair.green not in named]
    return Wish(body, before, {**after, vs.TOP: [*after.get(vs.TOP, ()), *missing]} if missing else after)


# -- what sources are told of gateways ---------------------------------------------------------------------------------
def covered(body: Object, paths: t.Sequence[str]) -> bool:
    """Whether JSON pointers or jq paths, taken together, hold every gateway list of an object. Positions in lists are
    taken for all positions."""
    prefixes = [_words(path) for path in paths]
    return all(
        any(_words(pointer)[: len(prefix)] == prefix for prefix in prefixes) for pointer in vs.lists_of(body)
    )  # fmt: skip


def _words(path: str) -> list[str]:
    words = re.sub(r"\[[^\]]*\]", "", path).replace('"', "").replace(".", "/").split("/")
    words = [word.rstrip("?") for word in words]
    return [word for word in words if word and not word.isdigit() and word != "*"]


def patched(patches: t.Any, body: Object, pairs: t.Sequence[vs.Pair]) -> vs.Lists | None:
    """The gateway lists that inline kustomize patches set on an object; None where they set none of them, or not every
    one that the object has."""
    found: vs.Lists = {}
    meta = body["metadata"]
    for entry in patches or ():
        try:
            content = parsed(entry.get("patch") or "")
        except ValueError:
            continue
        target = entry.get("target") or {}
        aimed = all(target.get(key) == meta[key] for key in ("name", "namespace")) and target.get("kind") == KIND
        if aimed and isinstance(content, list):
            for operation in content:
                names, pointer = operation.get("value"), str(operation.get("path"))
                if (
                    operation.get("op") in ("add", "replace")
                    and pointer.endswith("/gateways")
                    and isinstance(names, list)
                ):
                    found[pointer] = names
        elif isinstance(content, dict) and content.get("kind") == KIND:
            own = content.get("metadata") or {}
            if aimed or (own.get("name"), own.get("namespace", meta["namespace"])) == (meta["name"], meta["namespace"]):
                found.update(vs.lists_of(content))
    live = vs.lists_of(body)
    namespace = meta["namespace"]
    relevant = {pointer for pointer, names in live.items() if concerned({pointer: names}, namespace, pairs)}
    return found if found and relevant <= found.keys() else None


# -- finding references in values -------------------------------------------------------------------------------------
class Reference(t.NamedTuple):
    """A value that names blue. path: of keys; value: what it is to be instead."""

    path: tuple[str, ...]
    value: t.Any


def references(tree: t.Any, namespace: str, pairs: t.Sequence[vs.Pair]) -> list[Reference]:
    """Where a tree of values names blue: strings, and lists of nothing but gateways.

    Not what is in a list of mappings: such a list can only be replaced as a whole, with whatever else it holds. A bare
    name counts only below a key that speaks of gateways, because it may mean anything.
    """
    found: list[Reference] = []

    def walk(node: t.Any, path: tuple[str, ...]) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, (*path, str(key)))
        elif isinstance(node, str):
            if _names_blue(node, path):
                found.append(Reference(path, green_only({"": [node]}, namespace, pairs)[""][0]))
        elif isinstance(node, list) and node and all(isinstance(item, str) for item in node):
            if any(_names_blue(item, path) for item in node) and all(vs.resolve(item, namespace) for item in node):
                found.append(Reference(path, green_only({"": node}, namespace, pairs)[""]))

    blues = {pair.blue for pair in pairs}

    def _names_blue(text: str, path: tuple[str, ...]) -> bool:
        spoken = "/" in text or "." in text or any("gateway" in key.lower() for key in path)
        return spoken and vs.resolve(text, namespace) in blues

    walk(tree, ())
    return found


def nested(found: t.Iterable[Reference]) -> Object:
    """The references as one tree of values."""
    tree: Object = {}
    for path, value in found:
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = value
    return tree


def dotted(path: t.Iterable[str]) -> str:
    return ".".join(path)


# -- overrides that several sources use -------------------------------------------------------------------------------
def component(wishes: t.Sequence[Wish], how: str) -> list[Override]:
    """A patch of each VirtualService, and the kustomize component that makes them: what any source can be built with.

    A target that the build does not have is passed over, so one component serves everything that is kustomized.
    """
    wishes = [wish for wish in wishes if wish.patch()]
    if not wishes:
        return []
    files = [Override(f"kustomize/{file_name(w.key)}.yaml", (how,), w.patch(), (w.key,)) for w in wishes]
    patches = [{"path": f"{file_name(wish.key)}.yaml", "target": wish.target} for wish in wishes]
    body = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": patches}
    keys = tuple(key for file in files for key in file.virtual_services)
    return [*files, Override("kustomize/kustomization.yaml", ("Name this folder under `components`.",), body, keys)]


def joined(files: t.Iterable[Override]) -> list[Override]:
    """One file for each path: components of several sources list the patches of all."""
    found: dict[str, Override] = {}
    for file in files:
        known = found.get(file.path)
        if known is None:
            found[file.path] = file
        elif isinstance(file.content, dict) and "patches" in file.content:
            patches = [
                *known.content["patches"],
                *(p for p in file.content["patches"] if p not in known.content["patches"]),
            ]
            keys = tuple(dict.fromkeys((*known.virtual_services, *file.virtual_services)))
            found[file.path] = known._replace(content={**known.content, "patches": patches}, virtual_services=keys)
    return list(found.values())


def kustomize_patches(wishes: t.Sequence[Wish]) -> list[Object]:
    """As Flux and Argo CD take patches inline."""
    return [{"target": wish.target, "patch": dumped(wish.patch())} for wish in wishes if wish.patch()]


def json_patch_of(source: Source) -> str:
    """What to do with a JSON patch of the source itself."""
    return f"JSON patch of {source.title}; to try it: kubectl patch --type=json --patch-file THIS_FILE. Keep it in git."


def appended(holder: Object, pointer: str, values: t.Sequence[t.Any]) -> list[Object]:
    """A JSON patch that adds values to a list of `holder`, whether it is there or not, and never repeats what is."""
    parts = pointer.strip("/").split("/")
    node: t.Any = holder
    for depth, part in enumerate(parts):
        below = node[int(part)] if isinstance(node, list) else node.get(part)
        if below is None:
            made: t.Any = list(values)
            for missing in reversed(parts[depth + 1 :]):
                made = {missing: made}
            return [{"op": "add", "path": "/" + "/".join(parts[: depth + 1]), "value": made}]
        node = below
    return [{"op": "add", "path": f"{pointer}/-", "value": value} for value in values]


def dumped(content: t.Any) -> str:
    return yaml.dump(content, Dumper=_fast("CSafeDumper", "SafeDumper"), sort_keys=False, width=110)


def parsed(text: str) -> t.Any:
    """YAML or JSON. Raises ValueError."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return yaml.load(text, Loader=_fast("CSafeLoader", "SafeLoader"))
    except yaml.YAMLError as exc:
        raise ValueError(" ".join(str(exc).split())) from exc


def _fast(name: str, other: str) -> t.Any:
    """libyaml's, where it is installed."""
    return getattr(yaml, name, None) or getattr(yaml, other)
