# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays Big Bang's new gateways: python bigbang.py VALUES_FILE. The values' `upstream` goes to Istio's gateway
chart, beside
it come the Gateway that selects app: RELEASE, the certificate, and the HelmRelease that Flux would have made Ready."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import yaml

NAMESPACE = "mesh-bigbang"


def run(*argv: str, given: t.Any = None) -> str:
    text = None if given is None else json.dumps(given)
    return subprocess.run(argv, input=text, text=True, check=True, stdout=subprocess.PIPE).stdout


def apply(api_version: str, kind: str, name: str, namespace: str = NAMESPACE, **content: t.Any) -> None:
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}
    run("kubectl", "apply", "--server-side", "--filename", "-", given=body)


def main() -> None:
    values = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    secret = json.loads(run("kubectl", "get", "secret", "-n", "istio-system", "public-cert", "-o", "json"))
    for name, said in values["istioGateway"]["values"]["gateways"].items():
        release = f"{name}-ingressgateway"
        upstream = said["upstream"]
        upstream["labels"] = {"istio": "ingressgateway", **upstream.get("labels", {})}
        chart = f"{os.environ['ISTIO_CHARTS']}/gateway"
        install = ["helm", "upgrade", "--install", release, chart, "--namespace", NAMESPACE, "--create-namespace"]
        run(*install, "--values", "-", given=upstream)
        apply("v1", "Secret", "public-cert", type=secret["type"], data=secret["data"])
        apply(
            "networking.istio.io/v1beta1", "Gateway", release,
            spec={"selector": {"app": release}, "servers": said["gateway"]["servers"]},
        )  # fmt: skip
        apply("helm.toolkit.fluxcd.io/v2", "HelmRelease", release, "bigbang", spec={"interval": "5m"})
        ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
        status = json.dumps({"status": {"observedGeneration": 1, "conditions": [ready]}})
        patch = ["kubectl", "patch", "helmrelease", "-n", "bigbang", release, "--subresource", "status"]
        run(*patch, "--type", "merge", "--patch", status)


if __name__ == "__main__":
    main()
