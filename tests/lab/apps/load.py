# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings blue and the applications into a cluster that has Istio's CRDs, and waits until all of it is available.

From the folder tests/lab: `python -m apps.load --istio DIR --workdir DIR [--vs N] [--component DIR]`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from . import certs, generated

HERE = Path(__file__).resolve().parent
RELEASE, NAMESPACE = "istio-ingress", "istio-system"
SAMPLES = {  # our overlay -> Istio's files that it adapts
    "bookinfo": ("bookinfo/platform/kube/bookinfo.yaml", "bookinfo/networking/bookinfo-gateway.yaml"),
    "httpbin": ("httpbin/httpbin.yaml", "httpbin/httpbin-gateway.yaml"),
}
TIMEOUT = "180s"  # for all Deployments together, as kubectl and helm write it


class LoadError(RuntimeError):
    """A file of Istio's is missing, or a command failed; the message holds its output."""


def load(
    kubectl: str, helm: str, istio_dir: Path, workdir: Path, env: t.Mapping[str, str], vs: int = 0,
    component: Path | None = None,
) -> list[str]:  # fmt: skip
    """Loads everything; a second call changes nothing that is still as loaded. Returns what kubectl says it changed.

    kubectl, helm: the programs. istio_dir: Istio's sources, or a copy of their manifests/charts and samples.
    workdir: written to; certs/ in it is kept from one load to the next, so that clients go on trusting the CA.
    env: the commands' environment, with KUBECONFIG. vs: how many generated VirtualServices to add. component: a kustomize
    component that the applications are built with; blue is left alone then, it may be gone for good.

    A release that is deployed is left as it is, since an upgrade would undo what a migration did to it. The
    applications are applied again, as their teams' next delivery would do. Raises LoadError.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    files = certs.ensure(workdir / "certs")
    chart, samples = stage(istio_dir, workdir)
    if not component and not _deployed(helm, env):
        argv = [helm, "upgrade", "--install", RELEASE, str(chart), f"--namespace={NAMESPACE}", "--create-namespace"]
        argv += [f"--set-file=certificates.public-cert.crt={files.crt('public')}"]
        argv += [f"--set-file=certificates.public-cert.key={files.key('public')}"]
        _run(argv, env)

    applied = ""
    apply = [kubectl, "apply", "--server-side=false", "--filename=-"]
    for folder in (*samples, HERE / "hosts"):
        manifests = _built(kubectl, folder, component, workdir, env)
        if folder.name == "hosts":  # its passthrough backend starts with this Secret mounted
            manifests += f"\n---\n{json.dumps(_vault_tls(files))}\n"
        applied += _run(apply, env, stdin=manifests)
    if vs:
        manifests = generated.stream(vs)
        if component:
            folder = workdir / "generated"
            folder.mkdir(exist_ok=True)
            (folder / "all.yaml").write_text(manifests, encoding="utf-8")
            (folder / "kustomization.yaml").write_text("resources: [all.yaml]\n", encoding="utf-8")
            manifests = _built(kubectl, folder, component, workdir, env)
        applied += _run(apply, env, stdin=manifests)

    _run([
        kubectl, "wait", "deployment", "--all", "--all-namespaces", "--for=condition=Available", f"--timeout={TIMEOUT}",
    ], env)  # fmt: skip
    return [line for line in applied.splitlines() if not line.endswith(" unchanged")]


def _built(kubectl: str, folder: Path, component: Path | None, workdir: Path, env: t.Mapping[str, str]) -> str:
    """The manifests of a kustomization, with the component if there is one."""
    if component:
        overlay = workdir / "delivery" / folder.name
        overlay.mkdir(parents=True, exist_ok=True)
        # kustomize takes folders by relative path only
        content = {"resources": [os.path.relpath(folder, overlay)], "components": [os.path.relpath(component, overlay)]}
        (overlay / "kustomization.yaml").write_text(json.dumps(content), encoding="utf-8")
        folder = overlay
    return _run([kubectl, "kustomize", str(folder)], env)


def stage(istio_dir: Path, workdir: Path) -> tuple[Path, list[Path]]:
    """Our chart and overlays joined with Istio's files, in workdir; returns the chart and the overlays.

    Nothing of Istio's is kept in this repository, and its module cache is read-only: hence copies.
    """
    chart = workdir / "blue"
    shutil.rmtree(chart, ignore_errors=True)
    _copy(HERE / "blue", chart)
    _copy(istio_dir / "manifests" / "charts" / "gateway", chart / "charts" / "gateway")
    overlays = []
    for name, upstream in SAMPLES.items():
        overlay = workdir / "samples" / name
        shutil.rmtree(overlay, ignore_errors=True)
        _copy(HERE / "samples" / name, overlay)
        for file in upstream:
            _copy(istio_dir / "samples" / file, overlay / "upstream" / Path(file).name)
        overlays.append(overlay)
    return chart, overlays


def _copy(source: Path, target: Path) -> None:
    """Copies contents without modes: those of the Go module cache would make the copy read-only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
    elif source.is_file():
        shutil.copyfile(source, target)
    else:
        raise LoadError(f"{source} is missing: istio_dir has to hold Istio's manifests/charts and samples")


def _vault_tls(files: certs.Certificates) -> dict[str, t.Any]:
    data = {"tls.crt": files.crt("passthrough"), "tls.key": files.key("passthrough")}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "vault-tls", "namespace": "secure"},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(path.read_bytes()).decode() for key, path in data.items()},
    }


def _deployed(helm: str, env: t.Mapping[str, str]) -> bool:
    releases = json.loads(_run([helm, "list", "--deployed", f"--namespace={NAMESPACE}", "--output=json"], env) or "[]")
    return any(release["name"] == RELEASE for release in releases)


def _run(argv: list[str], env: t.Mapping[str, str], stdin: str = "") -> str:
    done = subprocess.run(argv, env=dict(env), input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stderr.strip()[-4000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Loads blue and the applications into the cluster of KUBECONFIG.")
    parser.add_argument("--istio", type=Path, required=True, metavar="DIR", help="Istio's sources: charts, samples")
    parser.add_argument("--workdir", type=Path, required=True, metavar="DIR", help="for certificates and copies")
    parser.add_argument("--vs", type=int, default=0, metavar="N", help="generated VirtualServices to add")
    parser.add_argument("--component", type=Path, metavar="DIR", help="a kustomize component to build them with")
    parser.add_argument("--kubectl", default="kubectl")
    parser.add_argument("--helm", default="helm")
    args = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        parser.error("KUBECONFIG is not set: no cluster is assumed")
    try:
        changed = load(args.kubectl, args.helm, args.istio, args.workdir, os.environ, args.vs, args.component)
    except LoadError as exc:
        raise SystemExit(str(exc)) from None
    print("\n".join(changed))


if __name__ == "__main__":
    main()
