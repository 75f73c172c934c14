# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VirtualServices with sources, and what a cluster knows of these, for the tests of the package `sources`."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _desired, _helm_storage, sources
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs

API = "networking.istio.io/v1"
BLUE, GREEN = "edge/public", "gw/public"
PAIRS = (vs.Pair(BLUE, GREEN),)


def virtual_service(gateways: t.Any = (BLUE,), ref: str = "shop/web", match: t.Any = None, **meta: t.Any) -> t.Any:
    namespace, _slash, name = ref.partition("/")
    http = {"http": [{"match": [{"gateways": list(match)}]}]} if match else {}
    spec = {"hosts": ["web.test"], **({"gateways": list(gateways)} if gateways else {}), **http}
    return {
        "apiVersion": API, "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1", **meta}, "spec": spec,
    }  # fmt: skip


def applied(manager: str = "helm", *fields: str) -> list[dict[str, t.Any]]:
    """managedFields of a server-side apply."""
    own = {f"f:{field}": {} for field in fields or ("gateways", "hosts", "http")}
    entry = {"manager": manager, "operation": "Apply", "apiVersion": API, "fieldsType": "FieldsV1"}
    return [{**entry, "fieldsV1": {"f:spec": own}}]


def in_release(name: str = "team/shop") -> dict[str, str]:
    """The annotations of an object in a Helm release."""
    namespace, _slash, release = name.partition("/")
    return {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}


def last_applied(gateways: t.Any = (BLUE,), **more: t.Any) -> dict[str, str]:
    """The annotation of an object that was applied with these gateways."""
    return {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(virtual_service(gateways, **more)) + "\n"}


def record_secret(
    name: str = "team/shop", bodies: t.Sequence[t.Any] = (), config: t.Any = None, values: t.Any = None,
    chart: str = "shop", **more: t.Any,
) -> dict[str, t.Any]:  # fmt: skip
    """The Secret of a deployed release that renders these objects."""
    namespace, _slash, release = name.partition("/")
    bare = [{**b, "metadata": {k: b["metadata"][k] for k in ("name", "namespace")}} for b in bodies]
    content = {
        "name": release, "namespace": namespace, "version": 3, "info": {"status": "deployed"},
        "config": config or {}, "chart": {"metadata": {"name": chart}, "values": values or {}},
        "manifest": "".join(f"---\n{yaml.safe_dump(body)}" for body in bare), **more,
    }  # fmt: skip
    stored = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()
    labels = {"owner": "helm", "name": release, "status": "deployed", "version": "3"}
    metadata = {
        "name": f"sh.helm.release.v1.{release}.v3",
        "namespace": namespace,
        "labels": labels,
        "resourceVersion": "1",
    }
    data = {"release": base64.b64encode(stored.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata, "data": data}


def thing(api_version: str, kind: str, key: str, spec: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    namespace, _slash, name = key.partition("/")
    status = {"status": more.pop("status")} if "status" in more else {}
    metadata = {"name": name, "namespace": namespace, **more}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec or {}, **status}


class Known:
    """sources.Evidence over plain objects. denied: what may not be read, by group, kind or `helm`."""

    def __init__(self, *objects: t.Any, releases: t.Sequence[t.Any] = (), denied: t.Sequence[str] = ()) -> None:
        self.all = objects
        self.storage = _helm_storage.Storage([_helm_storage.parse("Secret", item) for item in releases], [])
        self.denied = denied

    def _check(self, what: str) -> None:
        if what in self.denied:
            raise sources.Unreadable(f"{what} may not be read")

    def objects(self, group: str, _versions: t.Any, plural: str) -> dict[str, t.Any]:
        self._check(group)
        return {
            f"{o['metadata']['namespace']}/{o['metadata']['name']}": o
            for o in self.all
            if o["apiVersion"].startswith(f"{group}/") and o["kind"].lower() + "s" == plural
        }

    def owner(self, api_version: str, kind: str, key: str) -> t.Any:
        self._check(kind)
        return self.objects(api_version.partition("/")[0], (), kind.lower() + "s").get(key)

    def release(self, namespace: str, name: str) -> t.Any:
        self._check("helm")
        return next(iter(self.storage.of(name, namespace)), None)


def judge(body: t.Any, known: t.Any = None, pairs: t.Any = PAIRS) -> _desired.Judgement:
    """The one judgement of an object that has one source."""
    (only,) = _desired.judge([body], pairs, known or Known())
    return only


def files(bodies: t.Any, known: t.Any = None, pairs: t.Any = PAIRS) -> dict[str, t.Any]:
    """The overrides, by path, as they read back."""
    bodies = bodies if isinstance(bodies, list) else [bodies]
    known = known or Known()
    made = _desired.overrides(_desired.judge(bodies, pairs, known), pairs, known)
    assert all(file.text().startswith("# Makes ") for file in made)
    return {file.path: yaml.safe_load(file.text()) for file in made}


def text(bodies: t.Any, known: t.Any, pairs: t.Any = PAIRS) -> str:
    made = _desired.overrides(_desired.judge([bodies], pairs, known), pairs, known)
    return "\n".join(file.text() for file in made)
