"""Which local program stands for a container image.

Two kinds are enough: Istio's gateway (pilot-agent with Envoy), and Istio's own echo server for every application.
"""

from __future__ import annotations

import base64
import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from . import control_plane
from . import settings as s


@dataclass
class Program:
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    ready_url: str = ""  # else a TCP connection to ready_port
    ready_port: int = 0


Pod = t.Mapping[str, t.Any]


def program(pod: Pod, address: str, folder: Path, api: control_plane.Api) -> Program:
    container = pod["spec"]["containers"][0]
    image = container.get("image", "")
    if image == "auto" or "proxyv2" in image:
        return _gateway(pod, address, folder, api)
    return _echo(pod, container, address, folder, api)


def _gateway(pod: Pod, address: str, folder: Path, api: control_plane.Api) -> Program:
    meta = pod["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    account = pod["spec"].get("serviceAccountName", "default")
    token = api("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": 86400},
    })["status"]["token"]  # fmt: skip
    secret = folder / "var/run/secrets/tokens"
    secret.mkdir(parents=True, exist_ok=True)
    (secret / "istio-token").write_text(token)
    info = folder / "etc/istio/pod"  # what the kubelet would project from the downward API
    info.mkdir(parents=True, exist_ok=True)
    for key in ("labels", "annotations"):
        values = meta.get(key) or {}
        (info / key).write_text("".join(f"{k}={json.dumps(v)}\n" for k, v in values.items()))
    (folder / "etc/istio/proxy").mkdir(parents=True, exist_ok=True)
    annotations = meta.get("annotations") or {}
    proxy = {
        "binaryPath": str(s.VENV / "bin" / "envoy"), "discoveryAddress": f"{s.API}:15010", "concurrency": 1,
        "controlPlaneAuthPolicy": "NONE", "configPath": str(folder / "etc/istio/proxy"),
        **(yaml.safe_load(annotations.get("proxy.istio.io/config", "{}")) or {}),
    }  # fmt: skip
    owner = next((o["name"] for o in meta.get("ownerReferences", []) if o["kind"] == "ReplicaSet"), name)
    env = {
        "POD_NAME": name, "POD_NAMESPACE": namespace, "INSTANCE_IP": address, "SERVICE_ACCOUNT": account,
        "ISTIO_META_CLUSTER_ID": "Kubernetes", "ISTIO_META_WORKLOAD_NAME": owner.rsplit("-", 1)[0],
        "TRUST_DOMAIN": "cluster.local", "PROXY_CONFIG": json.dumps(proxy), **_env(pod, address),
    }  # fmt: skip
    return Program(
        [
            str(s.BIN / "pilot-agent"), "proxy", "router", "--domain", f"{namespace}.svc.cluster.local",
            "--templateFile", str(control_plane.istio_sources() / "tools/packaging/common/envoy_bootstrap.json"), "--proxyLogLevel=warning",
        ],
        env, ready_url=f"http://{address}:15021/healthz/ready",
    )  # fmt: skip


def _echo(pod: Pod, container: t.Mapping[str, t.Any], address: str, folder: Path, api: control_plane.Api) -> Program:
    args = list(container.get("args") or [])
    ports = [p["containerPort"] for p in container.get("ports", [])] or [8080]
    if not any(a.startswith(("--port", "--grpc", "--tcp")) for a in args):
        args = [f"--port={port}" for port in ports]
    args = [_mounted(a, pod, container, folder, api) for a in args]
    if not any(a.startswith("--log_output_level") for a in args):
        args += ["--log_output_level=all:none"]
    return Program([str(s.BIN / "echo-server"), *args], _env(pod, address), ready_port=ports[0])


def _mounted(arg: str, pod: Pod, container: t.Mapping[str, t.Any], folder: Path, api: control_plane.Api) -> str:
    """Writes the Secret behind a volume mount that arg points into, and points arg there: pods share our file system."""
    for mount in container.get("volumeMounts", []):
        if mount["mountPath"] not in arg:
            continue
        volume = next(v for v in pod["spec"].get("volumes", []) if v["name"] == mount["name"])
        if "secret" not in volume:
            continue
        namespace = pod["metadata"]["namespace"]
        secret = api("GET", f"/api/v1/namespaces/{namespace}/secrets/{volume['secret']['secretName']}")
        target = folder / "mounts" / mount["name"]
        target.mkdir(parents=True, exist_ok=True)
        for key, value in secret["data"].items():
            file = target / key
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(value))
        return arg.replace(mount["mountPath"], str(target))
    return arg


def _env(pod: Pod, address: str) -> dict[str, str]:
    fields = {
        "metadata.name": pod["metadata"]["name"], "metadata.namespace": pod["metadata"]["namespace"],
        "status.podIP": address, "status.hostIP": s.NODES[pod["spec"]["nodeName"]],
        "spec.nodeName": pod["spec"]["nodeName"], "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
    }  # fmt: skip
    env = {"INSTANCE_IP": address, "NAMESPACE": pod["metadata"]["namespace"]}
    for item in pod["spec"]["containers"][0].get("env", []):
        if "value" in item:
            env[item["name"]] = item["value"]
        elif "fieldRef" in item.get("valueFrom", {}):
            env[item["name"]] = fields.get(item["valueFrom"]["fieldRef"]["fieldPath"], "")
    return env
