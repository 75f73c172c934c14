"""etcd, kube-apiserver, kube-controller-manager, nodes with kube-proxy, istiod: how each is started."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import settings as s
from .proc import await_, http_ok, start


def kubeconfig(tokens: dict[str, str], ca: bytes) -> dict[str, object]:
    """One context a user, of which the first is the current one; the administrator's is called `lab`."""
    name = {user: "lab" if user == "admin" else user for user in tokens}
    cluster = {
        "server": f"https://{s.API}:6443",
        "certificate-authority-data": base64.b64encode(ca).decode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}} for user, token in tokens.items()],
        "contexts": [{"name": name[user], "context": {"cluster": "lab", "user": user}} for user in tokens],
        "current-context": name[next(iter(tokens))],
    }


class Api:
    """The few plain requests that the lab itself makes; everything else goes through kubectl and helm."""

    def __init__(self) -> None:
        config = yaml.safe_load(s.KUBECONFIG.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server = cluster["server"]
        self.token = next(u["user"]["token"] for u in config["users"] if u["name"] == "admin")
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.tls = ssl.create_default_context(cadata=ca)

    def open(self, method: str, path: str, body: object = None, content_type: str = "application/json", timeout: float = 30):
        request = urllib.request.Request(
            self.server + path, method=method, data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": content_type},
        )  # fmt: skip
        return urllib.request.urlopen(request, timeout=timeout, context=self.tls)

    def __call__(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> dict:
        with self.open(method, path, body, content_type) as answer:
            return json.loads(answer.read() or b"{}")


def etcd() -> subprocess.Popen[bytes]:
    process = start("etcd", [
        str(s.BIN / "etcd"), "--data-dir", str(s.STATE / "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
        "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
        "--initial-cluster", "default=http://127.0.0.1:2380",
    ])  # fmt: skip
    await_("etcd", lambda: http_ok("http://127.0.0.1:2379/health"), process)
    return process


def api_server() -> subprocess.Popen[bytes]:
    pki = s.STATE / "pki"
    pki.mkdir(exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (pki / "sa.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
    (pki / "sa.pub").write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))  # fmt: skip
    tokens = {user: secrets.token_hex(16) for user in s.USERS}
    token_file = pki / "tokens.csv"
    token_file.write_text("".join(f'{tokens[user]},{user},{user},"{groups}"\n' for user, groups in s.USERS.items()))
    policy = pki / "audit.yaml"
    policy.write_text(json.dumps({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }))  # fmt: skip
    process = start("kube-apiserver", [
        str(s.BIN / "kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={s.API}",
        f"--bind-address={s.API}", "--secure-port=6443", f"--cert-dir={pki}", "--endpoint-reconciler-type=none",
        "--authorization-mode=Node,RBAC", f"--token-auth-file={token_file}", f"--service-cluster-ip-range={s.SERVICE_NET}",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key", f"--audit-policy-file={policy}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-log-path={s.AUDIT_LOG}", "--audit-log-mode=batch", "--audit-log-batch-max-wait=200ms", "--v=1",
    ])  # fmt: skip
    await_("kube-apiserver's certificate", (pki / "apiserver.crt").exists, process)
    config = kubeconfig(tokens, (pki / "apiserver.crt").read_bytes())
    s.KUBECONFIG.touch(mode=0o600)
    s.KUBECONFIG.write_text(yaml.safe_dump(config))
    api = Api()
    await_("kube-apiserver", lambda: api.open("GET", "/readyz").status == 200, process)
    return process


def controller_manager() -> subprocess.Popen[bytes]:
    pki = s.STATE / "pki"
    # No kubelet sends heartbeats here, so nobody may judge nodes by them.
    return start("kube-controller-manager", [
        str(s.BIN / "kube-controller-manager"), f"--kubeconfig={s.KUBECONFIG}", "--leader-elect=false",
        f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/apiserver.crt",
        "--controllers=*,-node-lifecycle-controller", "--bind-address=127.0.0.1", "--v=1",
    ])  # fmt: skip


def nodes(api: Api) -> list[subprocess.Popen[bytes]]:
    """Node objects, made Ready; in the namespace of each a real kube-proxy, and what hands out logs."""
    processes = []
    for node, address in s.NODES.items():
        api("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node, "labels": {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"}},
            "spec": {"podCIDR": f"{s.POD_NETS[node]}.0/24"},
        })  # fmt: skip
        capacity = {"cpu": "16", "memory": "32Gi", "pods": "110"}
        api("PATCH", f"/api/v1/nodes/{node}/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": node}],
            "capacity": capacity, "allocatable": capacity,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": s.KUBELET_PORT}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Lab", "message": "the pod runner is up"}],
        }}, "application/merge-patch+json")  # fmt: skip
        processes.append(start(f"kube-proxy-{node}", [
            str(s.BIN / "kube-proxy"), f"--kubeconfig={s.KUBECONFIG}", "--proxy-mode=nftables",
            f"--hostname-override={node}", f"--cluster-cidr={s.POD_NET}", "--detect-local-mode=ClusterCIDR",
            "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0", "--healthz-bind-address=127.0.0.1:10256",
        ], netns=node))  # fmt: skip
        processes.append(start(f"kubelet-{node}", [sys.executable, "-m", "bglab", "kubelet"], netns=node))
    return processes


def istio_sources() -> Path:
    """Istio's charts and samples, where the build left a copy of them."""
    return s.CACHE / "istio"


# Upstream Envoy lacks Istio's own filters; these keep them out of what istiod sends. Proxies ask without TLS.
ISTIOD = {
    "XDS_AUTH_PLAINTEXT": "true", "PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_DISABLE_MX_ALPN": "true",
    "PILOT_ENABLE_ALPN_FILTER": "false",
}  # fmt: skip


def istiod() -> subprocess.Popen[bytes]:
    folder = s.STATE / "istiod"
    folder.mkdir(exist_ok=True)
    mesh = folder / "mesh.yaml"
    mesh.write_text(yaml.safe_dump({"enableAutoMtls": False, "enableTracing": False, "accessLogFile": ""}))
    env = {
        **ISTIOD, "POD_NAMESPACE": "istio-system", "POD_NAME": "istiod-0", "CLUSTER_ID": "Kubernetes",
        "INJECT_ENABLED": "false", "VALIDATION_WEBHOOK_CONFIG_NAME": "", "ENABLE_LEADER_ELECTION": "false",
    }  # fmt: skip
    process = start("istiod", [
        str(s.BIN / "pilot-discovery"), "discovery", f"--kubeconfig={s.KUBECONFIG}", f"--meshConfig={mesh}",
        "--grpcAddr=:15010", "--secureGRPCAddr=", "--httpsAddr=", "--httpAddr=:8080", "--monitoringAddr=:15014",
    ], env=env, cwd=folder)  # fmt: skip
    await_("istiod", lambda: http_ok("http://127.0.0.1:8080/ready"), process)
    return process


def clean_state() -> None:
    shutil.rmtree(s.STATE, ignore_errors=True)
    s.LOGS.mkdir(parents=True)
