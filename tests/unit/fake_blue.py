# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as blue's Helm release leaves it, and resource_keep run against it."""

from __future__ import annotations

import base64
import gzip
import json

from ansible_collections.bluegreen.mesh.plugins.module_utils import _helm_release as helm
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, resource_keep, resource_keep_info
from fake_cluster import FakeCluster, run_module
from fake_guard import serve_guard

JOURNAL = {"namespace": "bluegreen-mesh", "name": "night", "epoch": 1, "phase": "keep"}
HELM = {"meta.helm.sh/release-name": "blue", "meta.helm.sh/release-namespace": "istio-system"}
MANIFEST = """\
---
# Source: blue/templates/secret.yaml
apiVersion: v1
kind: Secret
metadata:
  name: public-cert
data: {}
---
# Source: blue/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: public-ingressgateway
  namespace: istio-system
---
# Source: blue/templates/gateway.yaml
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata:
  name: public
  annotations:
    über: "1"
spec: {}
"""


def obj(api_version, kind, name, namespace="istio-system", annotations=None, **more):
    meta = {"name": name, "annotations": {**HELM, **(annotations or {})}, "labels": more.pop("labels", {})}
    if namespace:
        meta["namespace"] = namespace
    meta.update(more.pop("meta", {}))
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


def gateway(annotations=None, tls=None, name="public", **more):
    servers = [
        {"hosts": ["*"], "port": {"number": 8080, "protocol": "HTTP"}, "tls": {"httpsRedirect": True}},
        {"hosts": ["*"], "port": {"number": 8443}, "tls": tls or {"mode": "SIMPLE", "credentialName": "public-cert"}},
    ]
    return obj("networking.istio.io/v1", "Gateway", name, annotations=annotations, spec={"servers": servers}, **more)


def secret(name="public-cert", annotations=None, **more):
    return obj(
        "v1", "Secret", name, annotations=annotations, type="kubernetes.io/tls", data={"tls.key": "c2VjcmV0"}, **more
    )


def encoded(
    manifest=MANIFEST, version=1, status="deployed", gzipped=True, name="blue", namespace="istio-system", **more
):
    data = {
        "name": name, "namespace": namespace, "version": version, "info": {"status": status}, "manifest": manifest,
        "config": {"ratio": 1.5}, **more,
    }  # fmt: skip
    raw = json.dumps(data, ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0) if gzipped else raw).decode()


def record(value=None, version=1, storage="istio-system", kind="Secret", status="deployed", label="blue", **more):
    value = encoded(version=version, status=status) if value is None else value
    data = base64.b64encode(value.encode()).decode() if kind == "Secret" else value
    return {
        "apiVersion": "v1", "kind": kind,
        "metadata": {
            "name": f"sh.helm.release.v1.{label}.v{version}", "namespace": storage,
            "labels": {"owner": "helm", "name": label, "status": status, "version": str(version)},
        },
        "data": {"release": data}, **({"type": "helm.sh/release.v1"} if kind == "Secret" else {}), **more,
    }  # fmt: skip


def blue(*more, records=None, objects=None, served=True, journal=True, **options):
    cluster = FakeCluster(*(objects or [gateway(), secret()]), *(records if records is not None else [record()]), *more)
    serve_guard(cluster, served=served, **options)
    if journal:
        opened = run_module(
            migration_journal,
            {"state": "open", "namespace": "bluegreen-mesh", "name": "night", "operator": "me"},
            cluster,
        )
        assert not opened.get("failed"), opened
    return cluster


def act(cluster, state="kept", check=False, **params):
    params = {"state": state, "gateways": ["istio-system/public"], "journal": JOURNAL, **params}
    return run_module(resource_keep, {k: v for k, v in params.items() if v is not None}, cluster, check=check)


def kept(cluster, **params):
    result = act(cluster, **params)
    assert not result.get("failed"), result
    return result


def refused(cluster, code, **params):
    before = snapshot(cluster)
    result = act(cluster, **params)
    assert result.get("failed"), result
    assert result["failure"]["code"] == code, result
    assert snapshot(cluster) == before, "a refusal has changed something"
    return result["msg"]


def snapshot(cluster):
    return json.dumps([cluster._store[key] for key in sorted(cluster._store)], sort_keys=True)


def manifest_of(cluster, version=1, storage="istio-system", kind="secrets", label="blue"):
    value = cluster.peek(kind, storage, f"sh.helm.release.v1.{label}.v{version}")["data"]["release"]
    return helm.decode(base64.b64decode(value).decode() if kind == "secrets" else value).manifest


def annotations_of(cluster, plural="gateways", name="public"):
    return cluster.peek(plural, "istio-system", name)["metadata"]["annotations"]


def info(cluster, **params):
    writes = cluster.writes
    result = run_module(resource_keep_info, params, cluster)
    assert cluster.writes == writes and not result.get("changed")
    return result
