"""What a migration finds: Istio's base chart, the blue gateways, and the applications behind them."""

from __future__ import annotations

import os
import subprocess
import sys

from . import settings as s
from .control_plane import istio_sources


def environment() -> dict[str, str]:
    """Where the lab's programs are, and the cluster, for every command that the lab or its operator runs."""
    path = os.pathsep.join([str(s.SHORT / "bin"), str(s.VENV / "bin"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    folder = s.STATE / "helm"
    return {
        "PATH": path, "KUBECONFIG": str(s.KUBECONFIG), "HELM_CACHE_HOME": str(folder / "cache"),
        "HELM_CONFIG_HOME": str(folder / "config"), "HELM_DATA_HOME": str(folder / "data"),
        "LAB_STATE": str(s.STATE), "LAB_CACHE": str(s.CACHE), "ISTIO_CHARTS": str(s.SHORT / "istio" / "manifests" / "charts"),
        "AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab",  # moto takes any, boto3 wants some
    }  # fmt: skip


def run(*argv: str) -> None:
    env = {**os.environ, **environment()}
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    with open(s.LOGS / "load.log", "a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(argv)}\n{done.stdout}")
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout.strip()[-2000:]}")


def base() -> None:
    chart = istio_sources() / "manifests" / "charts" / "base"
    run("helm", "upgrade", "--install", "istio-base", str(chart), "--namespace", "istio-system", "--create-namespace")


def applications() -> None:
    sys.path.insert(0, str(s.LAB))
    from apps import load  # the applications are data with a small loader of their own

    load.load(
        kubectl="kubectl", helm="helm", istio_dir=istio_sources(), workdir=s.STATE / "apps",
        env={**os.environ, **environment()}, vs=int(os.environ.get("LAB_VS", "0")),
        component=s.LAB / "apps" / "bare" if s.BARE else None,
    )  # fmt: skip
