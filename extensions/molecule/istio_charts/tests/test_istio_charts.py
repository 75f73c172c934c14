# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploy brings Istio into a cluster that has none: its kinds, istiod and the gateway by Istio's own charts, in this
order, with the chart's own service accounts, injector and webhooks. And a rollback takes it away again.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import lab
import pytest
import yaml

CHARTS = pathlib.Path(os.environ["ISTIO_CHARTS"])
JOURNEY = yaml.safe_load((lab.ROOT / "tests/demo/journeys/ingress_to_istio.yml").read_text(encoding="utf-8"))
# The lab's Envoy is upstream's, without Istio's own filters, and its pods have no DNS by which to ask for certificates.
VALUES = {"meshConfig": {"enableAutoMtls": False}, "telemetry": {"enabled": False}}
ISTIO = {
    "base": {"ref": f"{CHARTS}/base"},
    "istiod": {"ref": f"{CHARTS}/istio-control/istio-discovery", "values": VALUES},
}  # fmt: skip
RELEASES = ["istio-base", "istiod", "istio-ingress"]


def bare(*command: str) -> subprocess.CompletedProcess[str]:
    """On the operator's host of the lab in the lab."""
    _argv, options = lab.playing({})
    options["env"] |= {"LAB_STATE": f"{os.environ['LAB_STATE']}/bare", "LAB_BARE": "1"}
    argv = [str(lab.ROOT / "tests/lab/lab"), "exec", "--", *command]
    return subprocess.run(argv, capture_output=True, timeout=600, check=False, **options)


def play(*argv: str, **more: t.Any) -> subprocess.CompletedProcess[str]:
    command, _options = lab.playing({**JOURNEY, **more}, *argv)
    return bare(*command)


def said(*command: str) -> t.Any:
    done = bare(*command)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def releases() -> list[str]:
    """Names of Istio's releases, in the order in which they were installed."""
    found = said("helm", "list", "--all-namespaces", "--output=json")
    assert {one["status"] for one in found} <= {"deployed"}
    return [one["name"] for one in sorted(found, key=lambda one: one["updated"])]


def kinds() -> set[str]:
    names = (item["metadata"]["name"] for item in said("kubectl", "get", "customresourcedefinitions", "--output=json")["items"])
    return {name for name in names if name.endswith(".istio.io")}


def test_without_a_chart_it_is_refused_before_anything_is_made() -> None:
    assert kinds() == set() and releases() == []
    done = play("--tags", "preflight,keep,bind")
    assert done.returncode == 0, done.stdout[-4000:]
    done = play("--tags", "deploy")
    assert done.returncode != 0 and "Istio's kinds are not in the cluster. Name its charts" in done.stdout, done.stdout[-4000:]
    assert kinds() == set() and releases() == []


@pytest.fixture(scope="module")
def deployed() -> str:
    done = play("--tags", "deploy,verify", mesh_conversion={**JOURNEY["mesh_conversion"], "istio": ISTIO})
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_base_istiod_and_gateway_come_by_their_charts_in_this_order(deployed: str) -> None:
    assert releases() == RELEASES
    assert {"virtualservices.networking.istio.io", "gateways.networking.istio.io"} <= kinds()
    (istiod,) = said("kubectl", "get", "pods", "--namespace=istio-system", "--selector=app=istiod", "--output=json")["items"]
    assert istiod["status"]["containerStatuses"][0]["ready"] and istiod["spec"]["serviceAccountName"] == "istiod"


def test_the_gateways_pods_were_injected_and_serve_what_blue_serves(deployed: str) -> None:
    """verify has compared each route on both sides."""
    pods = said("kubectl", "get", "pods", "--namespace=istio-ingress", "--output=json")["items"]
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    assert pods and "auto" not in images and all("proxyv2" in image for image in images)


def test_a_second_run_changes_nothing_and_adopts_what_is_there(deployed: str) -> None:
    done = play("--tags", "deploy", mesh_conversion={**JOURNEY["mesh_conversion"], "istio": ISTIO})
    assert done.returncode == 0 and " changed=0 " in done.stdout, done.stdout[-4000:]
    assert "istiod is there, and stays as it is" in " ".join(done.stdout.split())
    assert releases() == RELEASES


def test_a_rollback_takes_them_away_again(deployed: str) -> None:
    done = play("--tags", "rollback", mesh_rollback_to="deploy")
    assert done.returncode == 0, done.stdout[-4000:]
    assert releases() == []
    assert said("kubectl", "get", "ingresses", "--all-namespaces", "--output=json")["items"]
