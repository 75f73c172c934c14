"""Flux's helm-controller outside the cluster, and what stands in for its source-controller.

helm-controller takes a chart from where a source's status says. Here the lab serves charts itself and writes that
status, as source-controller would have for an OCIRepository.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
import urllib.error
from datetime import datetime, timezone
from pathlib import Path

import yaml

from . import build, proc
from . import settings as s
from .blue import run
from .control_plane import Api

CRDS = s.CACHE / "flux"
MODULES = (
    build.Module(
        s.LAB / "build" / "flux",
        {"helm-controller": "github.com/fluxcd/helm-controller"},
        sources={"github.com/fluxcd/helm-controller": ("config/crd/bases",)},
        copies=CRDS / "helm",
    ),
    build.Module(
        s.LAB / "build" / "flux-source",
        {},
        sources={"github.com/fluxcd/source-controller": ("config/crd/bases",)},
        copies=CRDS / "source",
    ),
)
ADDRESS = s.FLUX
NAMESPACE = "flux-system"
CHARTS = s.STATE / "flux-charts"
CHARTS_URL = f"http://{ADDRESS}:8088"
RELEASES = "/apis/helm.toolkit.fluxcd.io/v2/helmreleases"


def start() -> None:
    crds = ["--recursive", "--filename", str(CRDS)]
    run("kubectl", "apply", "--server-side", "--force-conflicts", *crds)  # too large for a client-side apply
    run("kubectl", "wait", "--for=condition=Established", "--timeout=60s", *crds)
    _apply("flux-system", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    CHARTS.mkdir(exist_ok=True)
    server = proc.start("flux-charts", [
        sys.executable, "-m", "http.server", "8088", "--bind", ADDRESS, "--directory", str(CHARTS),
    ], netns="flux")  # fmt: skip
    controller = proc.start("helm-controller", [
        str(s.BIN / "helm-controller"), "--watch-all-namespaces", "--metrics-addr=:8080", "--health-addr=:9440",
    ], netns="flux", env={"KUBECONFIG": str(s.KUBECONFIG), "RUNTIME_NAMESPACE": NAMESPACE})  # fmt: skip
    proc.await_("the charts' server", _charts_served, server)
    proc.await_("helm-controller", _controller_ready, controller)


def _charts_served() -> bool:
    return proc.http_ok(CHARTS_URL)


def _controller_ready() -> bool:
    return proc.http_ok(f"http://{ADDRESS}:9440/readyz")


def ready() -> None:
    proc.await_("the charts' server", _charts_served)
    proc.await_("helm-controller", _controller_ready)


def clean() -> None:
    """What HelmReleases have installed stays: their finalizer, which would wait for the controller, is taken off."""
    api = Api()
    try:
        left = api("GET", RELEASES)["items"]
    except urllib.error.HTTPError as exc:
        if exc.code != 404:
            raise
        left = []
    for release in left:
        path = f"{RELEASES.replace('/helmreleases', '')}/namespaces/{release['metadata']['namespace']}/helmreleases"
        api("PATCH", f"{path}/{release['metadata']['name']}", {"metadata": {"finalizers": None}},
            "application/merge-patch+json")  # fmt: skip
    run("kubectl", "delete", "--ignore-not-found", "--recursive", "--filename", str(CRDS))
    run("kubectl", "delete", "--ignore-not-found", "namespace", NAMESPACE)


def chart(name: str, folder: Path, namespace: str = NAMESPACE) -> str:
    """Makes an OCIRepository of a chart folder, or brings it up to date. Returns the artifact's revision."""
    content = pack(folder)
    digest = hashlib.sha256(content).hexdigest()
    version = _about(folder)["version"]
    file = f"{namespace}-{name}-{digest[:12]}.tgz"
    CHARTS.mkdir(exist_ok=True)
    (CHARTS / file).write_bytes(content)
    api = Api()
    path = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/ocirepositories/{name}"
    _apply(f"{namespace}-{name}", {
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"interval": "1h", "url": f"oci://charts.lab.test/{name}", "ref": {"tag": version}},
    })  # fmt: skip
    repository = api("GET", path)
    generation = repository["metadata"]["generation"]
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    artifact = {
        "path": file, "url": f"{CHARTS_URL}/{file}", "revision": f"{version}@sha256:{digest}",
        "digest": f"sha256:{digest}", "size": len(content), "lastUpdateTime": now,
    }  # fmt: skip
    status = repository.get("status", {})
    if status.get("artifact", {}).get("digest") != artifact["digest"] or status.get("observedGeneration") != generation:
        ready_ = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": f"stored {file}",
                  "lastTransitionTime": now, "observedGeneration": generation}  # fmt: skip
        body = {"status": {"observedGeneration": generation, "conditions": [ready_], "artifact": artifact}}
        api("PATCH", f"{path}/status", body, "application/merge-patch+json")
    return artifact["revision"]


def pack(folder: Path) -> bytes:
    """A chart folder as an archive that is the same whenever its files are."""
    top = _about(folder)["name"]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(f"{top}/{file.relative_to(folder)}")  # without owner, mode and time of the file
            content = file.read_bytes()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def _about(folder: Path) -> dict[str, str]:
    about: dict[str, str] = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    return about


def _apply(name: str, body: dict[str, object]) -> None:
    file = CHARTS.parent / f"{name}.json"
    file.write_text(json.dumps(body))
    run("kubectl", "apply", "--filename", str(file))
