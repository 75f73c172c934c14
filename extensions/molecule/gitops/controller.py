# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for a GitOps controller: python controller.py REPO WORK LABEL

At each new commit of REPO's branch main, and until it has succeeded, every folder of it that has a kustomization is
built and applied, and what has LABEL and is built no more is removed. WORK/revision is the last commit that was
applied, WORK/log what was done. Like the real ones, it removes nothing where a folder does not build.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

SECONDS = 0.5  # between two looks
PRUNED = (
    "gateways.networking.istio.io", "authorizationpolicies.security.istio.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
)  # fmt: skip
KUBECTL = ("kubectl", "--context=lab")


def run(*argv: str, stdin: str | None = None) -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


def export(repo: str, revision: str, to: Path) -> None:
    """The commit's files, and none that are in a working copy only."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", repo, "archive", revision], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(to)], input=archive, check=True)


def names(text: str) -> set[tuple[str, str, str]]:
    """Kind, namespace and name of everything in a List."""
    found = json.loads(text)
    items = found["items"] if found["kind"].endswith("List") else [found]
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items}


def reconcile(tree: Path, label: str) -> t.Iterator[str]:
    """Yields what was done."""
    built = [run("kubectl", "kustomize", str(path.parent)) for path in sorted(tree.glob("*/kustomization.yaml"))]
    wanted: set[tuple[str, str, str]] = set()
    for manifests in filter(str.strip, built):
        yield run(*KUBECTL, "apply", "--filename=-", stdin=manifests)
        wanted |= names(run(*KUBECTL, "apply", "--filename=-", "--dry-run=client", "--output=json", stdin=manifests))
    for kind in PRUNED:
        live = names(run(*KUBECTL, "get", kind, "--all-namespaces", f"--selector={label}", "--output=json"))
        for _kind, namespace, name in live - wanted:
            where = [f"--namespace={namespace}"] if namespace else []
            yield run(*KUBECTL, "delete", kind, name, *where)


def main(repo: str, work: Path, label: str) -> None:
    applied = ""
    while True:
        revision = run("git", "-C", repo, "rev-parse", "main").strip()
        if revision != applied:
            with open(work / "log", "a", encoding="utf-8") as log:
                try:
                    export(repo, revision, work / "tree")
                    log.write(f"{revision}\n" + "".join(reconcile(work / "tree", label)))
                    applied = revision
                    (work / "revision").write_text(revision, encoding="utf-8")
                except (RuntimeError, subprocess.CalledProcessError) as exc:
                    log.write(f"{revision}: {exc}\n")
        time.sleep(SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
