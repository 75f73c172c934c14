"""Which local program stands for a container image.

Five kinds are enough: Istio's gateway (pilot-agent with Envoy), istiod, Traefik, an execution environment, in which a
container's own command runs, and Istio's own echo server for every application.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import typing as t
import urllib.error
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
    ends: bool = False  # by itself; it is ready while it runs


class Waiting(Exception):
    """It can't be started yet. state: the container's, as its status has it."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(f"{reason}: {message}")
        self.state = {"waiting": {"reason": reason, "message": message}}


Pod = t.Mapping[str, t.Any]


def program(pod: Pod, address: str, folder: Path, api: control_plane.Api) -> Program:
    container = pod["spec"]["containers"][0]
    image = container.get("image", "")
    if image == "auto" or "proxyv2" in image:
        return _gateway(pod, address, folder, api)
    if "no-such-image" in image:
        raise Waiting("ImagePullBackOff", f'Back-off pulling image "{image}": not found')
    if s.BARE and "/pilot:" in image:
        return _istiod(pod, container, address, folder, api)
    if "traefik" in image:
        return _traefik(pod, container, folder, api)
    if "execution-environment" in image:
        return _environment(pod, container, address, folder, api)
    return _echo(pod, container, address, folder, api)


def _gateway(pod: Pod, address: str, folder: Path, api: control_plane.Api) -> Program:
    meta = pod["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    account = pod["spec"].get("serviceAccountName", "default")
    token = _token(pod, ["istio-ca"], api)
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
    injected = _env(pod, address)  # by the chart's own injector, where there is one
    proxy = {
        **(yaml.safe_load(injected.pop("PROXY_CONFIG", "")) or {}),
        "binaryPath": str(s.VENV / "bin" / "envoy"), "discoveryAddress": f"{_discovery(api)}:15010", "concurrency": 1,
        "controlPlaneAuthPolicy": "NONE", "configPath": str(folder / "etc/istio/proxy"),
        **(yaml.safe_load(annotations.get("proxy.istio.io/config", "{}")) or {}),
    }  # fmt: skip
    injected.pop("CA_ADDR", None)  # a name, and with TLS: pods have no DNS here
    owner = next((o["name"] for o in meta.get("ownerReferences", []) if o["kind"] == "ReplicaSet"), name)
    env = {
        "POD_NAME": name, "POD_NAMESPACE": namespace, "INSTANCE_IP": address, "SERVICE_ACCOUNT": account,
        "ISTIO_META_CLUSTER_ID": "Kubernetes", "ISTIO_META_WORKLOAD_NAME": owner.rsplit("-", 1)[0],
        "TRUST_DOMAIN": "cluster.local", "PROXY_CONFIG": json.dumps(proxy), **injected,
    }  # fmt: skip
    return Program(
        [
            str(s.BIN / "pilot-agent"), "proxy", "router", "--domain", f"{namespace}.svc.cluster.local",
            "--templateFile", str(control_plane.istio_sources() / "tools/packaging/common/envoy_bootstrap.json"), "--proxyLogLevel=warning",
        ],
        env, ready_url=f"http://{address}:15021/healthz/ready",
    )  # fmt: skip


def _discovery(api: control_plane.Api) -> str:
    """Where istiod is: beside the API server, or, where the lab began without Istio, behind its Service."""
    if not s.BARE:
        return s.API
    return str(api("GET", "/api/v1/namespaces/istio-system/services/istiod")["spec"]["clusterIP"])


def _istiod(
    pod: Pod, container: t.Mapping[str, t.Any], address: str, folder: Path, api: control_plane.Api
) -> Program:  # fmt: skip
    """With its chart's arguments and environment, as its own service account. It writes where it is started."""
    token, ca, _server = _account(pod, folder, api)
    config = folder / "kubeconfig"
    config.write_text(json.dumps(control_plane.kubeconfig({"istiod": token.read_text()}, ca.read_bytes())))
    argv = [str(s.BIN / "pilot-discovery"), *(container.get("args") or []), f"--kubeconfig={config}"]
    env = {**_env(pod, address), **control_plane.ISTIOD}
    env.pop("KUBECONFIG", None)  # of a remote cluster, which is none
    return Program(argv, env, ready_url=f"http://{address}:8080/ready")


def _token(pod: Pod, audiences: list[str], api: control_plane.Api) -> str:
    """Of the pod's service account."""
    namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
    return str(api("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": audiences, "expirationSeconds": 86400},
    })["status"]["token"])  # fmt: skip


def _account(pod: Pod, folder: Path, api: control_plane.Api) -> tuple[Path, Path, str]:
    """Files with the token of the pod's account and the API server's CA, and where that is."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(_token(pod, [], api))
    config = yaml.safe_load(s.KUBECONFIG.read_text())["clusters"][0]["cluster"]
    ca = folder / "ca.crt"
    ca.write_bytes(base64.b64decode(config["certificate-authority-data"]))
    return token, ca, str(config["server"])


def _traefik(pod: Pod, container: t.Mapping[str, t.Any], folder: Path, api: control_plane.Api) -> Program:
    """With the container's own arguments. Where a container would have the token of its service account, its provider
    is told where the API server is."""
    token, ca, server = _account(pod, folder, api)
    args = list(container.get("args") or [])
    for provider in ("kubernetesingressnginx", "kubernetesingress"):
        if any(re.match(rf"--providers\.{provider}(=|\.|$)", arg) for arg in args):
            told = {"endpoint": server, "token": token, "certauthfilepath": ca}
            args += [f"--providers.{provider}.{name}={value}" for name, value in told.items()]
    port = next(p["containerPort"] for p in container["ports"])
    return Program([str(s.VENV / "bin" / "traefik"), *args], ready_port=port)


def _echo(pod: Pod, container: t.Mapping[str, t.Any], address: str, folder: Path, api: control_plane.Api) -> Program:
    args = list(container.get("args") or [])
    ports = [p["containerPort"] for p in container.get("ports", [])] or [8080]
    if not any(a.startswith(("--port", "--grpc", "--tcp")) for a in args):
        args = [f"--port={port}" for port in ports]
    args = [_mounted(a, pod, container, folder, api) for a in args]
    if not any(a.startswith("--log_output_level") for a in args):
        args += ["--log_output_level=all:none"]
    return Program([str(s.BIN / "echo-server"), *args], _env(pod, address), ready_port=ports[0])


def _environment(
    pod: Pod, container: t.Mapping[str, t.Any], address: str, folder: Path, api: control_plane.Api
) -> Program:  # fmt: skip
    """The container's command with the lab's Python. Volumes are where the container expects them, in a mount namespace
    of its own; beside them it can write nowhere, if it says so."""
    lines = []
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        source = folder / "volumes" / mount["name"]
        source.mkdir(parents=True, exist_ok=True)
        for path, content in _content(volumes[mount["name"]], pod, api).items():
            file = source / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        target = shlex.quote(mount["mountPath"])
        lines += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(source))} {target}"]
        if mount.get("readOnly"):
            lines.append(f"mount -o remount,bind,ro {target}")
    if (container.get("securityContext") or {}).get("readOnlyRootFilesystem"):
        lines += [f"mount -o remount,bind,ro {place}" for place in ("/", "/run")]
    script = "set -e\n" + "\n".join(lines) + '\ncd /\nexec env -i "$@"'
    env = {
        "PATH": f"{s.VENV}/bin:/usr/bin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(s.ROOT / "playbooks" / "collections"), **_env(pod, address),
    }  # fmt: skip
    command = [*(container.get("command") or []), *(container.get("args") or [])]
    pairs = [f"{name}={value}" for name, value in env.items()]
    return Program(["unshare", "--mount", "sh", "-c", script, "sh", *pairs, *command], ends=True)


def _content(volume: t.Mapping[str, t.Any], pod: Pod, api: control_plane.Api) -> dict[str, bytes]:
    """The files of a volume: of a Secret, a ConfigMap, a token, or several of these together."""
    if "projected" in volume:
        parts = [_content(source, pod, api) for source in volume["projected"]["sources"]]
        return {path: content for part in parts for path, content in part.items()}
    namespace = pod["metadata"]["namespace"]
    if "serviceAccountToken" in volume:
        asked = volume["serviceAccountToken"]
        audience = asked.get("audience")
        return {asked["path"]: _token(pod, [audience] if audience else [], api).encode()}
    for field_name, kind in (("secret", "secrets"), ("configMap", "configmaps")):
        if field_name in volume:
            return _keys(volume[field_name], f"/api/v1/namespaces/{namespace}/{kind}", api)
    return {}


def _keys(source: t.Mapping[str, t.Any], collection: str, api: control_plane.Api) -> dict[str, bytes]:
    path = f"{collection}/{source.get('secretName') or source['name']}"
    try:
        body = api("GET", path)
    except urllib.error.HTTPError as exc:
        if exc.code != 404:
            raise
        raise Waiting("ContainerCreating", f"{path} not found") from exc
    data = body.get("data") or {}
    found = {k: base64.b64decode(v) if "secrets" in collection else v.encode() for k, v in data.items()}
    if "items" in source:
        return {item["path"]: found[item["key"]] for item in source["items"]}
    return found


def _mounted(arg: str, pod: Pod, container: t.Mapping[str, t.Any], folder: Path, api: control_plane.Api) -> str:
    """Writes the Secret behind a volume mount that arg points into, and points arg there: pods share our file system."""
    for mount in container.get("volumeMounts", []):
        if mount["mountPath"] not in arg:
            continue
        volume = next(v for v in pod["spec"].get("volumes", []) if v["name"] == mount["name"])
        if "secret" not in volume:
            continue
        target = folder / "mounts" / mount["name"]
        target.mkdir(parents=True, exist_ok=True)
        for key, value in _content(volume, pod, api).items():
            file = target / key
            file.touch(mode=0o600)
            file.write_bytes(value)
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
