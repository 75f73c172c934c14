# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Helm stores about a release, what it would delete, and the smallest edit that makes it keep something.

`helm uninstall` never looks at live objects: it decides from the manifest stored with the highest revision (Helm 3 and
4, pkg/action/uninstall.go and resource_policy.go). An upgrade or a rollback that drops an object does the opposite and
reads the live annotation (pkg/kube/client.go, update). The rules here are those of Helm 3.21 and 4.2; each says where
it is from.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import gzip
import json
import re
import typing as t
import zlib

try:
    import yaml

    # Only for reading: several times faster on manifests of a megabyte. Positions for the edit come from the other.
    _FastLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:  # the kubernetes package needs PyYAML too, and its absence is reported by _module.run
    yaml = None

POLICY = "helm.sh/resource-policy"
KEEP = "keep"
HOOK = "helm.sh/hook"
SIZE_LIMIT = 1048576  # bytes of a Secret's or ConfigMap's data (k8s.io/api core/v1 MaxSecretSize)
MAGIC_GZIP = b"\x1f\x8b\x08"
BUSY = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")

# pkg/releaseutil/manifest.go (v3, early v4), and the stricter one of later v4; Go's \s is ASCII without \v. v3's also
# takes the blanks before the line, which are stripped here anyway: asking for them takes seconds on a megabyte.
_SEPARATORS = {
    "v3": re.compile(r"(?:\A|\n)---[\t\n\f\r ]*"),
    "v4": re.compile(r"(?m)^---[ \t]*"),
}
# pkg/releaseutil/kind_sorter.go, UninstallOrder
_UNINSTALL_ORDER = {
    kind: position
    for position, kind in enumerate(
        "APIService Ingress IngressClass Service CronJob Job StatefulSet HorizontalPodAutoscaler Deployment ReplicaSet"
        " ReplicationController Pod DaemonSet RoleBindingList RoleBinding RoleList Role ClusterRoleBindingList"
        " ClusterRoleBinding ClusterRoleList ClusterRole CustomResourceDefinition PersistentVolumeClaim"
        " PersistentVolume StorageClass ConfigMap SecretList Secret ServiceAccount PodDisruptionBudget"
        " PodSecurityPolicy LimitRange ResourceQuota NetworkPolicy Namespace PriorityClass".split()
    )
}


class ReleaseError(Exception):
    """code: undecodable_release, undecodable_manifest, ambiguous_manifest, in_list, uneditable_manifest."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# -- the stored payload ----------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Payload:
    """A decoded release. text: its JSON; release: the same as a dict; gzipped: whether it was stored compressed."""

    text: str
    release: dict[str, t.Any]
    gzipped: bool

    @property
    def manifest(self) -> str:
        return self.release.get("manifest") or ""


def decode(stored: str) -> Payload:
    """stored: the value under the key `release`, as Helm's drivers write it (base64 of gzip, or of plain JSON; see
    pkg/storage/driver/util.go). Raises ReleaseError undecodable_release."""
    try:
        raw = base64.b64decode(stored.replace("\r", "").replace("\n", ""), validate=True)
        gzipped = len(raw) > 3 and raw[:3] == MAGIC_GZIP
        text = (gzip.decompress(raw) if gzipped else raw).decode("utf-8")
        release = json.loads(text, parse_constant=_no_constant)
    except (binascii.Error, UnicodeError, OSError, EOFError, zlib.error, ValueError, RecursionError) as exc:
        raise ReleaseError("undecodable_release", f"{type(exc).__name__}: {exc}") from exc
    if not isinstance(release, dict) or not isinstance(release.get("name"), str):
        raise ReleaseError("undecodable_release", "it is JSON, but not a release with a name")
    for field, kind in (("version", int), ("manifest", str), ("namespace", str), ("info", dict), ("hooks", list)):
        if release.get(field) is not None and not isinstance(release[field], kind):
            raise ReleaseError("undecodable_release", f"its {field} is not of type {kind.__name__}")
    return Payload(text, release, gzipped)


def encode(payload: Payload) -> str:
    """The inverse of decode()."""
    raw = payload.text.encode("utf-8")
    return base64.b64encode(gzip.compress(raw, 9, mtime=0) if payload.gzipped else raw).decode("ascii")


def with_manifest(payload: Payload, manifest: str) -> Payload:
    """payload with another manifest. Every other byte of the JSON stays: fields that we do not know (v4's
    apply_method), the order of keys and the way numbers are written."""
    start, end = _member(payload.text, "manifest")
    text = payload.text[:start] + json.dumps(manifest, ensure_ascii=False) + payload.text[end:]
    return Payload(text, {**payload.release, "manifest": manifest}, payload.gzipped)


def _no_constant(name: str) -> t.NoReturn:
    raise ValueError(f"{name} is not JSON")


def _member(text: str, wanted: str) -> tuple[int, int]:
    """Where the value of a key of the outermost object is; the last one where it is given twice, as decoders take
    it."""
    decoder = json.JSONDecoder()
    found = None
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _value, at = decoder.raw_decode(text, start)
        if key == wanted:
            found = (start, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    if found is None:
        raise ReleaseError("uneditable_manifest", f"the release has no {wanted}")
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


# -- documents of a manifest -----------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Head:
    """What Helm and kubectl need to know of a document. namespace: '' when it names none; items: the members of a
    List."""

    api_version: str
    kind: str
    namespace: str
    name: str
    annotations: dict[str, str]
    items: tuple[Head, ...]

    @property
    def hook(self) -> bool:
        return HOOK in self.annotations

    @property
    def policy(self) -> str | None:
        return self.annotations.get(POLICY)


@dataclasses.dataclass(frozen=True)
class Found:
    """A document that holds the wanted object. start, end: where it is in the manifest; in_list: as an item of a
    List."""

    start: int
    end: int
    head: Head
    in_list: bool


class Wanted(t.Protocol):
    """An object to look for: any class with these (see _resources.Ref)."""

    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str: ...


def documents(manifest: str, style: str = "v3") -> list[tuple[int, int]]:
    """Spans of the documents, in file order, as Helm splits them. style: v3 or v4.

    Helm splits twice (SplitManifests, then again in SortManifests); with v3's pattern that matters for `---` lines that
    follow each other.
    """
    spans: list[tuple[int, int]] = []
    for start, end in _split(manifest, 0, len(manifest), style):
        spans.extend(_split(manifest, start, end, style))
    return spans


def _split(manifest: str, start: int, end: int, style: str) -> list[tuple[int, int]]:
    start, end = _strip(manifest, start, end)
    part = manifest[start:end]
    spans = []
    at = 0
    for match in _SEPARATORS[style].finditer(part):
        spans.append((at, match.start()))
        at = match.end()
    spans.append((at, len(part)))
    stripped = [_strip(manifest, start + a, start + b) for a, b in spans]
    return [span for span in stripped if span[0] < span[1]]


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


@functools.lru_cache(maxsize=4096)
def head(document: str) -> Head | None:
    """None for a document without an object (only comments). Raises ReleaseError undecodable_manifest."""
    tree = _tree(_compose(document))
    return _head(tree) if isinstance(tree, dict) else None


def locate(manifest: str, wanted: Wanted, release_namespace: str, style: str = "v3") -> Found | None:
    """The document of an object, or None. A document without namespace is in the release's. Raises ReleaseError:
    ambiguous_manifest, undecodable_manifest."""
    found: list[Found] = []
    for start, end in documents(manifest, style):
        text = manifest[start:end]
        if wanted.name not in text:  # most documents: spares parsing them
            continue
        this = head(text)
        if this is None:
            continue
        if _same(this, wanted, release_namespace):
            found.append(Found(start, end, this, False))
        found.extend(Found(start, end, item, True) for item in this.items if _same(item, wanted, release_namespace))
    if len(found) > 1:
        raise ReleaseError(
            "ambiguous_manifest",
            f"{wanted.kind} {wanted.name} is in {len(found)} documents of the manifest; expected one",
        )
    return found[0] if found else None


def keeps(value: str | None) -> bool:
    """Whether uninstall keeps an object with this policy: Helm trims and lower-cases here (resource_policy.go)."""
    return value is not None and value.strip().lower() == KEEP


def _same(this: Head, wanted: Wanted, release_namespace: str) -> bool:
    group = this.api_version.rpartition("/")[0]
    return (
        this.kind == wanted.kind
        and this.name == wanted.name
        # the API server still finds what once was in `extensions` under its present group
        and (group == wanted.group or group == "extensions")
        and (not wanted.namespace or (this.namespace or release_namespace) == wanted.namespace)
    )


def _head(tree: dict[t.Any, t.Any]) -> Head:
    metadata = _dict(tree, "metadata")
    annotations = {_text(key): _text(value) for key, value in _dict(metadata, "annotations").items()}
    kind, items = _text(tree.get(_key("kind"))), tree.get(_key("items"))
    members: list[Head] = []
    # kubectl's builder, which Helm deletes with, takes any kind ...List with items apart
    if kind.endswith("List") and isinstance(items, list):
        members = [_head(item) for item in items if isinstance(item, dict)]
    namespace, name = _text(metadata.get(_key("namespace"))), _text(metadata.get(_key("name")))
    return Head(_text(tree.get(_key("apiVersion"))), kind, namespace, name, annotations, tuple(members))


# -- YAML as comparable trees ----------------------------------------------------------------------------------------
# Scalars are (tag, text) and never become Python values: what YAML 1.1 makes of `=`, `1_000` or 2024-13-45 can't fail
# here.
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


def _compose(document: str, loader: t.Any = None) -> t.Any:
    try:
        return yaml.compose(document, Loader=loader or _FastLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ReleaseError("undecodable_manifest", f"not one YAML document: {' '.join(str(exc).split())}") from exc


def _tree(node: t.Any, above: tuple[int, ...] = ()) -> t.Any:
    if node is None:
        return None
    if id(node) in above:
        raise ReleaseError("undecodable_manifest", "a YAML alias that contains itself")
    if isinstance(node, yaml.ScalarNode):
        return (node.tag, node.value)
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_tree(item, above) for item in node.value]
    pairs: dict[t.Any, t.Any] = {}
    for key_node, value_node in node.value:
        key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else repr(_tree(key_node, above))
        if key in pairs and key != (_MERGE, "<<"):
            raise ReleaseError("undecodable_manifest", f"the key {key_node.value!r} is given twice in one mapping")
        pairs[key] = _tree(value_node, above)
    merged = pairs.get((_MERGE, "<<"))
    for source in merged if isinstance(merged, list) else [merged]:
        if isinstance(source, dict):
            pairs = {**source, **pairs}
    return pairs


def _key(name: str) -> tuple[str, str]:
    return (_STR, name)


def _text(value: t.Any) -> str:
    """A scalar's text; '' for null and for what is no scalar."""
    return value[1] if isinstance(value, tuple) and value[0] != _NULL else ""


def _dict(tree: dict[t.Any, t.Any], name: str) -> dict[t.Any, t.Any]:
    value = tree.get(_key(name))
    return value if isinstance(value, dict) else {}


def _with_policy(tree: dict[t.Any, t.Any], value: str) -> dict[t.Any, t.Any]:
    metadata = _dict(tree, "metadata")
    annotations = {**_dict(metadata, "annotations"), _key(POLICY): (_STR, value)}
    return {**tree, _key("metadata"): {**metadata, _key("annotations"): annotations}}


# -- the edit --------------------------------------------------------------------------------------------------------
def set_policy(manifest: str, wanted: Wanted, release_namespace: str, value: str = KEEP) -> str:
    """The manifest in which the object's document has this policy, and nothing else differs.

    Raises ReleaseError: in_list (Helm reads no annotations of the items), ambiguous_manifest, undecodable_manifest,
    and uneditable_manifest where the annotation can't be written without touching more.
    """
    return _edit(manifest, wanted, release_namespace, lambda text: _set(text, value), value)


def unset_policy(manifest: str, wanted: Wanted, release_namespace: str) -> str:
    """The inverse of set_policy() for an object that had no policy; `annotations` that would be left empty go too."""
    return _edit(manifest, wanted, release_namespace, _unset, None)


def only_differs_by(before: str, after: str, wanted: Wanted, release_namespace: str, value: str) -> bool:
    """Whether `after` is `before` with this policy on this object: each other document the same text, this one the same
    YAML but for the annotation. Asked of both ways in which Helm splits manifests."""
    for style in _SEPARATORS:
        old = [before[a:b] for a, b in documents(before, style)]
        new = [after[a:b] for a, b in documents(after, style)]
        changed = [index for index, (left, right) in enumerate(zip(old, new)) if left != right]
        found = locate(after, wanted, release_namespace, style)
        if len(old) != len(new) or len(changed) > 1 or found is None or found.in_list or found.head.policy != value:
            return False
        if changed:
            index = changed[0]
            if after[found.start : found.end] != new[index]:
                return False
            left, right = _tree(_compose(old[index])), _tree(_compose(new[index]))
            if not isinstance(left, dict) or _with_policy(left, value) != right:
                return False
    return True


def _edit(
    manifest: str, wanted: Wanted, release_namespace: str, change: t.Callable[[str], str], value: str | None
) -> str:
    found = locate(manifest, wanted, release_namespace)
    name = f"{wanted.kind} {wanted.name}"
    if found is None:
        raise ReleaseError("uneditable_manifest", f"{name} is not in the manifest")
    if found.in_list:
        raise ReleaseError("in_list", f"{name} is an item of a List, where Helm reads no {POLICY}")
    edited = manifest[: found.start] + change(manifest[found.start : found.end]) + manifest[found.end :]
    try:
        if value is None:
            right = found.head.policy is not None and only_differs_by(
                edited, manifest, wanted, release_namespace, found.head.policy
            )
        else:
            right = only_differs_by(manifest, edited, wanted, release_namespace, value)
    except ReleaseError as exc:
        raise ReleaseError("uneditable_manifest", f"{name}: the edited document would be broken ({exc})") from exc
    if not right:
        raise ReleaseError(
            "uneditable_manifest", f"{name}: {POLICY} can't be changed in its document without changing more than that"
        )
    return edited


def _set(text: str, value: str) -> str:
    metadata = _pair(_compose(text, yaml.SafeLoader), "metadata")[1]
    annotations_key, annotations = _pair(metadata, "annotations")
    quoted = json.dumps(value, ensure_ascii=False)
    flow = f'{{"{POLICY}": {quoted}}}'
    if annotations is None:
        return _add(text, metadata, lambda pad, eol: f"{pad}annotations:{eol}{pad}  {POLICY}: {_plain(value)}{eol}",
                    f'"annotations": {flow}')  # fmt: skip
    if isinstance(annotations, yaml.ScalarNode) and annotations.tag == _NULL:
        if annotations.value:
            return text[: annotations.start_mark.index] + flow + text[annotations.end_mark.index :]
        colon = re.compile(r"[ \t]*:").match(text, annotations_key.end_mark.index)
        if colon is None:
            raise _layout("annotations")
        return f"{text[: colon.end()]} {flow}{text[colon.end() :]}"
    if not isinstance(annotations, yaml.MappingNode):
        raise _layout("annotations")
    own = _pair(annotations, POLICY)[1]
    if own is not None:
        return text[: own.start_mark.index] + quoted + text[own.end_mark.index :]
    return _add(text, annotations, lambda pad, eol: f"{pad}{POLICY}: {_plain(value)}{eol}", f'"{POLICY}": {quoted}')


def _unset(text: str) -> str:
    metadata = _pair(_compose(text, yaml.SafeLoader), "metadata")[1]
    annotations_key, annotations = _pair(metadata, "annotations")
    key, value = _pair(annotations, POLICY)
    if key is None:
        raise _layout(POLICY)
    if annotations.flow_style:
        start, end = key.start_mark.index, value.end_mark.index
        behind = re.compile(r"[ \t]*,[ \t]*").match(text, end)
        before = re.compile(r",\s*\Z").search(text[:start])
        if behind is not None:
            end = behind.end()
        elif before is not None:
            start = before.start()
        return text[:start] + text[end:]
    start = _line_start(text, annotations_key if len(annotations.value) == 1 else key)
    line_end = re.compile(r"[ \t]*(#[^\r\n]*)?(\r?\n|\Z)").match(text, value.end_mark.index)
    if line_end is None:
        raise _layout(POLICY)
    return text[:start] + text[line_end.end() :]


def _add(text: str, mapping: t.Any, lines: t.Callable[[str, str], str], flow: str) -> str:
    """text with one more pair at the beginning of a mapping: lines(indent, line end) in block style, `flow` in flow
    style (which is JSON, so that a JSON document stays one)."""
    if mapping.flow_style:
        at = text.index("{", mapping.start_mark.index) + 1
        return text[:at] + flow + (", " if mapping.value else "") + text[at:]
    first = mapping.value[0][0]
    start = _line_start(text, first)
    return text[:start] + lines(text[start : first.start_mark.index], _line_end(text, start)) + text[start:]


def _line_start(text: str, key: t.Any) -> int:
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[start : key.start_mark.index].strip(" "):
        raise _layout(key.value)
    return start


def _line_end(text: str, line_start: int) -> str:
    return "\r\n" if text[:line_start].endswith("\r\n") else "\n"


def _pair(mapping: t.Any, name: str) -> tuple[t.Any, t.Any]:
    """(key node, value node), or (None, None)."""
    if isinstance(mapping, yaml.MappingNode):
        for key, value in mapping.value:
            if key.tag == _STR and key.value == name:
                return key, value
    return None, None


def _plain(value: str) -> str:
    return value if value == KEEP else json.dumps(value, ensure_ascii=False)


def _layout(what: str) -> ReleaseError:
    return ReleaseError("uneditable_manifest", f"{what} is written in a layout that this module does not edit")


# -- what Helm would do ----------------------------------------------------------------------------------------------
def uninstall_plan(
    release: dict[str, t.Any], namespaced: t.Callable[[str, str], bool] = lambda _api_version, _kind: True
) -> dict[str, list[dict[str, t.Any]]]:
    """What `helm uninstall` would do with each object of a release.

    keep: the policy says so. delete: in the order of deletion; an item of a List carries in_list. neither: a policy
    with any other value; Helm puts those in neither of its lists, so they stay without a word (helm#8245). hooks: Helm
    leaves them to their own delete policies. namespaced(api_version, kind): False for cluster-scoped kinds. Raises
    ReleaseError undecodable_manifest, where Helm itself gives up and deletes nothing.
    """
    manifest, release_namespace = release.get("manifest") or "", release.get("namespace") or ""
    plan: dict[str, list[dict[str, t.Any]]] = {"keep": [], "delete": [], "neither": [], "hooks": []}

    def entry(this: Head, **more: t.Any) -> dict[str, t.Any]:
        namespace = (this.namespace or release_namespace) if namespaced(this.api_version, this.kind) else ""
        return {"api_version": this.api_version, "kind": this.kind, "namespace": namespace, "name": this.name, **more}

    heads = [(str(index), head(manifest[a:b])) for index, (a, b) in enumerate(documents(manifest))]
    # SortManifests first sorts the names manifest-0, manifest-1, manifest-10, ... as text, and then, stably, by kind
    in_text_order = [this for _index, this in sorted(heads, key=lambda pair: pair[0]) if this is not None]
    for this in sorted(in_text_order, key=lambda this: _uninstall_rank(this.kind)):
        if this.hook:
            plan["hooks"].append(entry(this))
        elif keeps(this.policy):
            plan["keep"].append(entry(this))
        elif this.policy is not None:
            plan["neither"].append(entry(this, policy=this.policy))
        elif this.items:
            plan["delete"].extend(entry(item, in_list=True) for item in this.items)
        elif this.kind:
            plan["delete"].append(entry(this))
    for hook in release.get("hooks") or []:
        found = head(hook.get("manifest") or "")
        if found is not None:
            plan["hooks"].append(entry(found))
    return plan


def _uninstall_rank(kind: str) -> tuple[int, str]:
    known = _UNINSTALL_ORDER.get(kind)
    return (known, "") if known is not None else (len(_UNINSTALL_ORDER), kind)
