# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server in a dict, for unit tests of whole modules.

    cluster = FakeCluster()
    cluster.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a", "name": "b"}, "data": {}})
    result = run_module(some_module, {"state": "present"}, cluster, check=True, diff=True)
    assert not result.get("failed") and cluster.writes == 0

FakeCluster is the real Cluster with only `raw` replaced: paging, error texts and patch types are the shipped code.
It follows the API server where our modules depend on it: resourceVersion and 409, a failed JSON patch `test` and 422,
no new resourceVersion for a write that changes nothing, generation, finalizers, delete preconditions, dry run, label
and field selectors, `limit`/`continue`, the 1 MiB limit of ConfigMaps and Secrets, and namespaces that must exist.
It does not validate schemas, keep managedFields (set them yourself), run admission, nor collect garbage.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import fnmatch
import io
import json
import re
import threading
import typing as t
import uuid
from unittest import mock

from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
import permissions
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _module

CONNECTION = {"kubeconfig": "/fake/kubeconfig", "context": "fake"}
NOW = "2026-01-01T00:00:00Z"
IRREGULAR = {"endpoints": "Endpoints", "ingresses": "Ingress", "networkpolicies": "NetworkPolicy"}
STRATEGIC_KEYS = {"ports": "port", "containers": "name", "env": "name", "volumes": "name"}  # merge keys of core lists
MEBIBYTE = 1048576


class _Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Request(t.NamedTuple):
    """What a hook sees of a request."""

    method: str
    path: str
    query: dict[str, t.Any]
    body: t.Any
    content_type: str


Key = tuple[str, str, str, str]  # group, plural, namespace, name


class FakeCluster(_client.Cluster):
    """The cluster. Attributes: `requests` by verb, `log` of every Request, `asked` without those
    that hooks made, `writes` that changed something stored."""

    def __init__(self, *objects: dict[str, t.Any]) -> None:
        self.context = "fake"
        self.requests: dict[str, int] = {}
        self.log: list[Request] = []
        self.asked: list[Request] = []
        self._inside = threading.local()  # .hook: whether this thread is in a hook
        self.writes = 0
        self.max_in_flight = 0
        self._in_flight = 0
        self._lock = threading.RLock()
        self._store: dict[Key, dict[str, t.Any]] = {}
        self._version = 1000
        self._hooks: list[dict[str, t.Any]] = []
        for name in ("kube-system", "default"):
            self._put_namespace(name)
        self.add(*objects)

    # -- for tests ---------------------------------------------------------------------------------------------------
    def add(self, *objects: dict[str, t.Any]) -> FakeCluster:
        """Stores objects (and the namespaces they are in), as if they had always been there. Not counted as
        requests."""
        for item in objects:
            body = copy.deepcopy(item)
            meta = body["metadata"]
            group = body["apiVersion"].rpartition("/")[0]
            key = (group, plural_of(body["kind"]), meta.get("namespace", ""), meta["name"])
            if key[2]:
                self._put_namespace(key[2])
            self._finish_new(body)
            self._store[key] = body
        return self

    def peek(self, plural: str, namespace: str, name: str) -> dict[str, t.Any] | None:
        """A copy of a stored object, or None; namespace is "" for cluster-scoped ones. Not counted as a request."""
        for key, body in self._store.items():
            if key[1:] == (plural, namespace, name):
                return copy.deepcopy(body)
        return None

    def edit(self, plural: str, namespace: str, name: str, change: t.Callable[[dict[str, t.Any]], None]) -> None:
        """Someone else's write: change(object) in place, with a new resourceVersion. Not counted as a request."""
        with self._lock:
            for key, body in self._store.items():
                if key[1:] == (plural, namespace, name):
                    change(body)
                    body["metadata"]["resourceVersion"] = self._next_version()
                    return
        raise KeyError((plural, namespace, name))

    def names(self, plural: str, namespace: str | None = None) -> list[str]:
        """Names of the stored objects of a kind, sorted."""
        return sorted(k[3] for k in self._store if k[1] == plural and namespace in (None, k[2]))

    def on(
        self, method: str, path: str, answer: t.Callable[[Request], tuple[int, t.Any] | None], times: int | None = None
    ) -> None:
        """Calls answer(request) before matching requests are served.

        method: verb or "*"; path: fnmatch pattern of the path without query; times: how often at most (None: always).
        answer returns None to let the request go on (after having changed the cluster, say), or (status, body) to
        answer in its place; body is a dict, or bytes.
        """
        self._hooks.append({"method": method, "path": path, "answer": answer, "left": times})

    def fail(
        self, method: str, path: str, status: int, reason: str = "", message: str = "injected", times: int | None = None
    ) -> None:
        """Refuses matching requests. 429 and 5xx come through at once: the retries of the real `raw` are not played."""
        body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
        self.on(method, path, lambda _request: (status, body), times)
        if status == 403:  # who may do what is asked before admission is
            self._hooks.insert(0, self._hooks.pop())

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(self.requests.values())

    # -- the one thing that is replaced ------------------------------------------------------------------------------
    def raw(
        self, method: str, path: str, query: dict[str, t.Any] | None = None, body: t.Any = None,
        content_type: str = "application/json", retry: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        body = json.loads(json.dumps(body))  # fails for what JSON can't carry, and shares nothing with the store
        request = Request(method, path, dict(query or {}), body, content_type)
        with self._lock:
            self.requests[method] = self.requests.get(method, 0) + 1
            self.log.append(request)
            if not getattr(self._inside, "hook", False):
                self.asked.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            answer = self._hooked(request)
            if answer is None:
                with self._lock:
                    answer = self._serve(request)
        except _Refused as exc:
            answer = exc.status, {
                "kind": "Status", "status": "Failure", "code": exc.status, "reason": exc.reason, "message": str(exc),
            }  # fmt: skip
        finally:
            with self._lock:
                self._in_flight -= 1
        status, content = answer
        return status, {}, content if isinstance(content, bytes) else json.dumps(content).encode()

    def _hooked(self, request: Request) -> tuple[int, t.Any] | None:
        for hook in list(self._hooks):
            if hook["method"] not in ("*", request.method) or not fnmatch.fnmatchcase(request.path, hook["path"]):
                continue
            with self._lock:
                if hook["left"] == 0:
                    continue
                if hook["left"] is not None:
                    hook["left"] -= 1
            outer, self._inside.hook = getattr(self._inside, "hook", False), True
            try:
                answer = hook["answer"](request)
            finally:
                self._inside.hook = outer
            if answer is not None:
                return answer
        return None

    # -- serving -----------------------------------------------------------------------------------------------------
    def _serve(self, request: Request) -> tuple[int, t.Any]:
        group, version, plural, namespace, name, sub = parse_path(request.path)
        if sub not in ("", "status", "scale"):
            raise _Refused(404, "NotFound", f"the fake serves no subresource {sub}; answer it with on()")
        key = (group, plural, namespace, name)
        api_version = f"{group}/{version}" if group else version
        if request.method == "GET":
            return 200, (self._read(key, api_version) if name else self._list(key, api_version, request.query))
        dry_run = request.query.get("dryRun") == "All"
        if request.method == "POST":
            return 201, self._create(key, request.body, dry_run)
        if request.method == "PATCH" and key not in self._store and "apply-patch" in request.content_type:
            return 201, self._create((*key[:3], ""), request.body, dry_run)
        old = self._existing(key)
        if request.method == "DELETE":
            options = request.body or {}
            return 200, self._delete(key, old, options, dry_run or options.get("dryRun") == ["All"])
        if request.method == "PUT":
            new = request.body
        elif request.method == "PATCH":
            new = patched(old, request.body, request.content_type)
        else:
            raise _Refused(405, "MethodNotAllowed", f"{request.method} is not known here")
        return 200, self._update(key, old, new, dry_run)

    def _existing(self, key: Key) -> dict[str, t.Any]:
        if key not in self._store:
            resource = f"{key[1]}.{key[0]}" if key[0] else key[1]
            raise _Refused(404, "NotFound", f'{resource} "{key[3]}" not found')
        return self._store[key]

    def _read(self, key: Key, api_version: str) -> dict[str, t.Any]:
        return {**self._existing(key), "apiVersion": api_version}

    def _list(self, key: Key, api_version: str, query: dict[str, t.Any]) -> dict[str, t.Any]:
        found = [
            (k, body)
            for k, body in sorted(self._store.items(), key=lambda entry: entry[0])
            if k[:2] == key[:2] and key[2] in ("", k[2])
            and selected(query.get("labelSelector", ""), body["metadata"].get("labels") or {})
            and selected(query.get("fieldSelector", ""), _Fields(body))
        ]  # fmt: skip
        limit = int(query.get("limit") or 0) or len(found) or 1
        start = int(query.get("continue") or 0)
        items = [{k: v for k, v in body.items() if k not in ("apiVersion", "kind")} for _k, body in found]
        page = items[start : start + limit]
        meta: dict[str, t.Any] = {"resourceVersion": str(self._version)}
        if start + limit < len(found):
            meta["continue"] = str(start + limit)
        kind = found[0][1].get("kind") if found else kind_of(key[1])
        return {"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": page}

    def _create(self, key: Key, body: dict[str, t.Any], dry_run: bool) -> dict[str, t.Any]:
        meta = body.setdefault("metadata", {})
        if key[2]:
            if ("", "namespaces", "", key[2]) not in self._store:
                raise _Refused(404, "NotFound", f'namespaces "{key[2]}" not found')
            if meta.setdefault("namespace", key[2]) != key[2]:
                raise _Refused(400, "BadRequest", "the namespace of the object does not match that of the request")
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        if not meta.get("name"):
            raise _Refused(422, "Invalid", "metadata.name: Required value: name or generateName is required")
        if meta.get("resourceVersion"):
            raise _Refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        key = (*key[:3], meta["name"])
        if key in self._store:
            raise _Refused(409, "AlreadyExists", f'{key[1]} "{key[3]}" already exists')
        check_size(key, body)
        self._finish_new(body)
        if not dry_run:
            self._store[key] = body
            self.writes += 1
        return body

    def _update(self, key: Key, old: dict[str, t.Any], new: dict[str, t.Any], dry_run: bool) -> dict[str, t.Any]:
        meta = new.setdefault("metadata", {})
        sent, stored = meta.get("resourceVersion"), old["metadata"]["resourceVersion"]
        if sent and sent != stored:
            raise _Refused(
                409, "Conflict",
                f'Operation cannot be fulfilled on {key[1]} "{key[3]}": the object has been modified; please apply your'
                " changes to the latest version and try again",
            )  # fmt: skip
        if meta.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise _Refused(409, "Conflict", f'Precondition failed: UID in precondition: {meta["uid"]}')
        for field in ("name", "namespace"):
            if meta.get(field, old["metadata"].get(field)) != old["metadata"].get(field):
                raise _Refused(422, "Invalid", f"metadata.{field}: Invalid value: field is immutable")
        for field in ("uid", "creationTimestamp", "generation", "resourceVersion", "name", "namespace"):
            if field in old["metadata"]:
                meta[field] = old["metadata"][field]
        encode_secret(new)
        check_size(key, new)
        if new == old:
            return old
        if {k: v for k, v in new.items() if k not in ("metadata", "status")} != {
            k: v for k, v in old.items() if k not in ("metadata", "status")
        }:
            meta["generation"] = old["metadata"].get("generation", 1) + 1
        if not dry_run:
            meta["resourceVersion"] = self._next_version()
            self.writes += 1
            if meta.get("deletionTimestamp") and not meta.get("finalizers"):
                del self._store[key]
            else:
                self._store[key] = new
        return new

    def _delete(self, key: Key, old: dict[str, t.Any], options: dict[str, t.Any], dry_run: bool) -> dict[str, t.Any]:
        for field, wanted in (options.get("preconditions") or {}).items():
            if wanted != old["metadata"].get(field):
                raise _Refused(409, "Conflict", f"Precondition failed: {field} in precondition: {wanted}")
        if not dry_run:
            self.writes += 1
            if old["metadata"].get("finalizers"):
                gone = copy.deepcopy(old)
                gone["metadata"].update(deletionTimestamp=NOW, resourceVersion=self._next_version())
                self._store[key] = gone
                return gone
            del self._store[key]
        return {"kind": "Status", "status": "Success"}

    # -- storing -----------------------------------------------------------------------------------------------------
    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _finish_new(self, body: dict[str, t.Any]) -> None:
        meta = body["metadata"]
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", NOW)
        meta.setdefault("generation", 1)
        meta["resourceVersion"] = self._next_version()
        encode_secret(body)

    def _put_namespace(self, name: str) -> None:
        key = ("", "namespaces", "", name)
        if key not in self._store:
            body: dict[str, t.Any] = {
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"},
            }  # fmt: skip
            self._finish_new(body)
            self._store[key] = body


def run_module(
    module: t.Any, params: dict[str, t.Any], cluster: _client.Cluster | None = None,
    *, check: bool = False, diff: bool = True,
) -> dict[str, t.Any]:  # fmt: skip
    """Runs a module's main() as Ansible would, against `cluster`, and returns its decoded JSON result.

    kubeconfig and context are filled in when a cluster is given. A failure is a result with failed=True and msg. A module
    is a process of its own elsewhere, without the control node's parts and without earlier warnings.
    """
    warnings._global_warnings.clear()
    connection = CONNECTION if cluster is not None else {}
    arguments = {**connection, **params, "_ansible_check_mode": check, "_ansible_diff": diff}
    arguments["_ansible_module_name"] = module.__name__.rpartition(".")[2]
    out = io.StringIO()
    first = len(getattr(cluster, "asked", ()))
    with (
        patch_module_args(arguments),
        mock.patch.object(_internal, "is_controller", False),
        mock.patch.object(_module._client, "Cluster", lambda *_args, **_kwargs: cluster),
        contextlib.redirect_stdout(out),
    ):
        try:
            module.main()
        except SystemExit:
            pass
    if not getattr(getattr(cluster, "_inside", None), "hook", False):  # else others' requests are among these
        _check_permissions(arguments["_ansible_module_name"], params, check, getattr(cluster, "asked", [])[first:])
    result = json.loads(out.getvalue())
    if diff and result.get("changed") and not result.get("failed") and _promises_a_diff(module):
        assert result.get("diff"), f"{module.__name__} says changed, and not what"
    return result


def _promises_a_diff(module: t.Any) -> bool:
    """By its documentation; the fragment cluster.attributes promises one for modules that say nothing of their own."""
    if "cluster.attributes" not in module.DOCUMENTATION:
        return False
    said = yaml.safe_load(module.DOCUMENTATION).get("attributes") or {}
    return (said.get("diff_mode") or {}).get("support", "full") == "full"


def _check_permissions(module: str, params: dict[str, t.Any], check: bool, requests: t.Sequence[Request]) -> None:
    asked = set()
    for request in requests:
        try:
            group, _version, plural, _namespace, name, sub = parse_path(request.path)
        except _Refused:
            continue  # discovery, which everybody may do, and what hooks alone serve
        if plural:
            verb = permissions.VERBS.get(request.method) or ("get" if name else "list")
            asked.add((verb, group, f"{plural}/{sub}" if sub else plural))
    lacking = permissions.lacking(module, params, check, asked)
    assert not lacking, f"{module}: {'; '.join(lacking)}. Add it to docs/rbac, or ask for less."


# -- parts ----------------------------------------------------------------------------------------------------------
def parse_path(path: str) -> tuple[str, str, str, str, str, str]:
    """(group, version, plural, namespace, name, subresource) of an API path."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise _Refused(404, "NotFound", f"the fake serves no {path}; answer it with on()")
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    rest += ["", ""]
    return group, version, rest[0], namespace, rest[1], rest[2]


def plural_of(kind: str) -> str:
    for plural, known in IRREGULAR.items():
        if known == kind:
            return plural
    word = kind.lower()
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch")) else "s")


def kind_of(plural: str) -> str:
    return IRREGULAR.get(plural, plural.rstrip("s").capitalize())


def selected(selector: str, values: t.Mapping[str, str]) -> bool:
    """Kubernetes' label selector syntax: a=b, a==b, a!=b, a, !a, a in (b,c), a notin (b,c), joined by commas."""
    for term in re.split(r",(?![^(]*\))", selector):
        term = term.strip()
        if not term:
            continue
        match = re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", term)
        if match:
            wanted = [v.strip() for v in match[3].split(",")]
            holds = (values.get(match[1]) in wanted) == (match[2] == "in")
        elif "!=" in term:
            name, _sep, value = term.partition("!=")
            holds = values.get(name.strip()) != value.strip()
        elif "=" in term:
            name, _sep, value = term.replace("==", "=").partition("=")
            holds = values.get(name.strip()) == value.strip()
        elif term.startswith("!"):
            holds = values.get(term[1:]) is None
        else:
            holds = values.get(term) is not None
        if not holds:
            return False
    return True


class _Fields:
    """An object's fields by dotted path, as field selectors name them."""

    def __init__(self, body: dict[str, t.Any]) -> None:
        self._body = body

    def get(self, dotted: str) -> t.Any:
        value: t.Any = self._body
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value


def encode_secret(body: dict[str, t.Any]) -> None:
    if body.get("kind") == "Secret" and body.get("stringData"):
        data = body.setdefault("data", {})
        data.update({k: base64.b64encode(v.encode()).decode() for k, v in body.pop("stringData").items()})


def check_size(key: Key, body: dict[str, t.Any]) -> None:
    if key[:2] in (("", "configmaps"), ("", "secrets")):
        size = sum(len(v) for v in (body.get("data") or {}).values())
        if size > MEBIBYTE * (4 / 3 if key[1] == "secrets" else 1):
            what = f'{body["kind"]} "{key[3]}" is invalid'
            raise _Refused(422, "Invalid", f"{what}: []: Too long: may not be more than {MEBIBYTE} bytes")


def patched(old: dict[str, t.Any], patch: t.Any, content_type: str) -> dict[str, t.Any]:
    """old with a patch of one of the four types applied; old itself is left alone."""
    new = copy.deepcopy(old)
    if "json-patch" in content_type:
        for operation in patch:
            new = json_patch(new, operation)
        return new
    if "merge-patch+json" in content_type and "strategic" not in content_type:
        return merge_patch(new, patch)
    return merge_patch(new, patch, STRATEGIC_KEYS if "strategic" in content_type else {})


def merge_patch(target: t.Any, patch: t.Any, keys: dict[str, str] | None = None) -> t.Any:
    """RFC 7386; with `keys` (field -> merge key), lists of dicts in those fields are merged item by item."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif keys and name in keys and isinstance(value, list) and isinstance(result.get(name), list):
            merged = list(result[name])
            for item in value:
                at = next((i for i, have in enumerate(merged) if have.get(keys[name]) == item.get(keys[name])), None)
                if at is None:
                    merged.append(item)
                else:
                    merged[at] = merge_patch(merged[at], item, keys)
            result[name] = merged
        else:
            result[name] = merge_patch(result.get(name), value, keys)
    return result


def json_patch(document: t.Any, operation: dict[str, t.Any]) -> t.Any:
    """One operation of RFC 6902; a test that fails or a path that is not there is refused as the API server does."""
    op, pointer = operation["op"], operation["path"]
    if op in ("move", "copy"):
        value = _at(document, operation["from"])
        if op == "move":
            document = json_patch(document, {"op": "remove", "path": operation["from"]})
        return json_patch(document, {"op": "add", "path": pointer, "value": copy.deepcopy(value)})
    parts = _pointer(pointer)
    if op == "test":
        if _at(document, pointer) != operation.get("value"):
            raise _Refused(422, "Invalid", "the server rejected our request due to an error in our request")
        return document
    if not parts:
        return operation["value"]
    parent = _at(document, pointer.rpartition("/")[0])
    last = parts[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" and op == "add" else int(last)
        if index > len(parent) or (op != "add" and index >= len(parent)):
            raise _Refused(422, "Invalid", "the server rejected our request due to an error in our request")
        if op == "add":
            parent.insert(index, operation["value"])
        elif op == "replace":
            parent[index] = operation["value"]
        else:
            del parent[index]
        return document
    if not isinstance(parent, dict) or (op != "add" and last not in parent):
        raise _Refused(422, "Invalid", "the server rejected our request due to an error in our request")
    if op == "remove":
        del parent[last]
    else:
        parent[last] = operation["value"]
    return document


def _pointer(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _at(document: t.Any, pointer: str) -> t.Any:
    for part in _pointer(pointer):
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, ValueError, TypeError) as exc:
            raise _Refused(422, "Invalid", "the server rejected our request due to an error in our request") from exc
    return document
