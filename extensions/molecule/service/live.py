# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both of this scenario's tests look at: who is behind blue's Services, and by whom the clients are answered."""

from __future__ import annotations

import difflib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import lab  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of  # noqa: E402

TRAFFIC = f"{os.environ['LAB_STATE']}/traffic-service"
DISCOVERY = "discovery.k8s.io/v1"
LEASES = "coordination.k8s.io/v1"
BLUE = "istio-system"
SERVICES = ("public-ingressgateway", "passthrough-ingressgateway")


def slices(cluster: Cluster, name: str, by: str) -> list[dict[str, t.Any]]:
    query = {"labelSelector": f"kubernetes.io/service-name={name},endpointslice.kubernetes.io/managed-by={by}"}
    return cluster.list(path_of(DISCOVERY, "endpointslices", BLUE), query)


def ready(found: list[dict[str, t.Any]]) -> list[str]:
    endpoints = [e for s in found for e in s.get("endpoints") or ()]
    return sorted(e["addresses"][0] for e in endpoints if e["conditions"]["ready"])


def behind(cluster: Cluster, name: str = SERVICES[0]) -> tuple[list[str], list[str]]:
    """Blue's and green's ready addresses behind blue's Service."""
    controller = slices(cluster, name, "endpointslice-controller.k8s.io")
    return ready(controller), ready(slices(cluster, name, "bluegreen.mesh"))


def sizes(cluster: Cluster, services: t.Sequence[str] = SERVICES) -> list[tuple[int, int]]:
    """How many of each, at each Service."""
    return [(len(blue), len(green)) for blue, green in (behind(cluster, name) for name in services)]


def green_ready(cluster: Cluster, namespace: str) -> list[str]:
    query = {"labelSelector": f"kubernetes.io/service-name={SERVICES[0]}"}
    return ready(cluster.list(path_of(DISCOVERY, "endpointslices", namespace), query))


def pods(cluster: Cluster, namespace: str) -> list[str]:
    listed = cluster.list(path_of("v1", "pods", namespace))
    return sorted(p["status"]["podIP"] for p in listed if (p.get("status") or {}).get("podIP"))


def share(known: dict[str, list[str]], count: int = 240, address: str = "172.30.0.20", host: str = "shop") -> float:
    """Green's percentage of so many new connections through the balancer; each is asked by which gateway it came.
    known: addresses of gateways by colour. 240 miss a quarter by more than 10 points once in three thousand times, and a
    half once in six hundred."""
    host = f"{host}.lab.test"
    trusted = ssl.create_default_context(cafile=f"{os.environ['LAB_STATE']}/apps/certs/ca.crt")
    by = []
    for _n in range(count):
        with socket.create_connection((address, 443), 10) as plain:
            with trusted.wrap_socket(plain, server_hostname=host) as wire:
                wire.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: wire.recv(65536), b"")).decode()
        (gateway,) = re.findall(r"(?m)^IP=(\S+)$", answer)
        by += [colour for colour, addresses in known.items() if gateway in addresses]
    assert len(by) == count, f"{count - len(by)} answers by nobody that is known"
    return 100 * by.count("green") / count


def await_share(known: dict[str, list[str]], low: float, high: float, **place: str) -> None:
    """kube-proxy takes changes over once a second at most, and each look misses by chance now and then."""
    lab.until(lambda: low <= share(known, **place) <= high, 180, f"every node to follow: {low} to {high} %")


def look(cluster: Cluster) -> dict[str, t.Any]:
    """Blue's Services with who owns which field of them, what stands beside them, and the balancer."""
    found: dict[str, t.Any] = {"weights": lab.weights()}
    for name in SERVICES:
        body = cluster.get(path_of("v1", "services", BLUE, name))
        for field in ("resourceVersion", "generation"):
            body["metadata"].pop(field, None)
        # They come by their times, and what is given back has another one.
        entries = [{**e, "time": None} for e in body["metadata"]["managedFields"]]
        body["metadata"]["managedFields"] = sorted(entries, key=lambda e: json.dumps(e, sort_keys=True))
        found[name] = body
    for plural, group in (("services", "v1"), ("endpointslices", DISCOVERY), ("leases", LEASES)):
        found[plural] = sorted(item["metadata"]["name"] for item in cluster.list(path_of(group, plural, BLUE)))
    return found


def differences(before: dict[str, t.Any], after: dict[str, t.Any]) -> str:
    """Of two looks, line by line."""
    lines = [json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after)]
    return "\n".join(difflib.unified_diff(*lines, "before", "after", n=6, lineterm=""))


def keeper(settings: dict[str, t.Any]) -> t.Iterator[subprocess.Popen[str]]:
    """playbooks/keep_in_step.yml, as an operator runs it beside the migration."""
    command, options = lab.playing({**settings, "keep_seconds": 3600, "keep_interval": 0.5})
    command[command.index("playbooks/migrate.yml")] = "playbooks/keep_in_step.yml"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options
    )  # fmt: skip
    yield process
    end(process)


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def nothing_left(cluster: Cluster, before: dict[str, t.Any], process: subprocess.Popen[str]) -> None:
    """Ends the keeper, and holds a look against the one before. ansible-playbook is gone before its module, which gives
    its Leases up; slices go after their Services."""
    end(process)
    for kind in ("leases", "endpointslices"):
        lab.until(lambda kind=kind: look(cluster)[kind] == before[kind], what=f"{kind} as before")
    assert differences(before, look(cluster)) == ""  # with its owner's fields, and the balancer's weights


def kept(cluster: Cluster, services: t.Sequence[str] = SERVICES) -> bool:
    names = {item["metadata"]["name"] for item in cluster.list(path_of(LEASES, "leases", BLUE))}
    return {f"{name}-bluegreen" for name in services} <= names


def seen_since(since: float) -> dict[str, t.Any]:
    """What the clients have seen; fails if they have ended."""
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC), since=since))
    assert time.time() - seen["total"]["last"] < 10
    return seen
