# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Testers reach green at blue's address by a header, before any client is moved; nobody else notices.

The tests build on each other, in their order.
"""

from __future__ import annotations

import io
import os
import re
import typing as t
from urllib.parse import urlsplit

import lab
import pycurl
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-preview"
HEADER = {"name": "x-preview", "exact": "let-me-in"}
SETTINGS = {
    "mesh_migration": "preview",
    "mesh_journal_namespace": "mesh-preview",
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_preview": {"header": HEADER, "ports": {"8080": 80, "8443": 443, "80": 80}, "verify": False},
    **lab.QUICK,
}
OURS = "bluegreen-preview-"
TARGETS = yaml.safe_load((lab.ROOT / "tests/lab/apps/targets.yml").read_text(encoding="utf-8"))
# What says whom it was asked by. A WebSocket is opened by the clients themselves, and TLS that blue does not end shows no
# header.
SEEN = [one for one in TARGETS if "via_pattern" in one and one["protocol"] in ("http1", "h2")]


def preview(state: str = "present") -> t.Any:
    return lab.play({**SETTINGS, "preview_state": state}, playbook="playbooks/preview.yml")


def ask(target: dict[str, t.Any], *headers: str) -> tuple[int, str | None]:
    """Status, and the address of the gateway's pod that asked the application, if it says so."""
    curl, body, url = pycurl.Curl(), io.BytesIO(), urlsplit(target["url"])
    address, port = target["connect_to"].split(":")
    curl.setopt(pycurl.URL, target["url"])
    curl.setopt(pycurl.RESOLVE, [f"{url.hostname}:{port}:{address}"])
    curl.setopt(pycurl.CAINFO, f"{STATE}/apps/certs/ca.crt")
    own = [f"{name}: {value}" for name, value in target.get("headers", {}).items()]
    curl.setopt(pycurl.HTTPHEADER, [*own, *headers])
    curl.setopt(pycurl.TIMEOUT, 10)
    curl.setopt(pycurl.WRITEFUNCTION, body.write)
    curl.perform()
    status = curl.getinfo(pycurl.RESPONSE_CODE)
    curl.close()
    found = re.search(target["via_pattern"], body.getvalue().decode()) if "via_pattern" in target else None
    return status, found[1] if found else None


def answered_by(cluster: Cluster, *headers: str) -> dict[str, str]:
    """Colour by target."""
    pods = {
        address: colour
        for colour, namespace in (("blue", "istio-system"), ("green", "istio-gateway"))
        for address in lab.gateway_pods(cluster, namespace)
    }
    return {target["name"]: pods.get(ask(target, *headers)[1] or "", "nobody") for target in SEEN}


def ours(cluster: Cluster) -> set[str]:
    """Objects of the preview, anywhere."""
    kinds = ("virtualservices", "destinationrules")
    found = [item for kind in kinds for item in cluster.list(path_of("networking.istio.io/v1", kind))]
    return {item["metadata"]["name"] for item in found if item["metadata"]["name"].startswith(OURS)}


@pytest.fixture(scope="module")
def shown(cluster: Cluster) -> str:
    done = lab.play(SETTINGS, "--tags", "preflight,keep,bind,deploy,verify")
    assert done.returncode == 0, done.stdout[-4000:]
    assert set(answered_by(cluster, "x-preview: let-me-in").values()) == {"blue"}
    done = preview()
    assert done.returncode == 0, done.stdout[-4000:]
    return str(done.stdout)


def test_whoever_has_the_header_is_answered_by_green(shown: str, cluster: Cluster) -> None:
    assert len(SEEN) > 8
    lab.until(lambda: set(answered_by(cluster, "x-preview: let-me-in").values()) == {"green"}, 60)


def test_all_others_are_answered_by_blue(shown: str, cluster: Cluster) -> None:
    assert set(answered_by(cluster).values()) == {"blue"}
    assert set(answered_by(cluster, "x-preview: something-else").values()) == {"blue"}


def test_what_blue_refuses_is_refused_with_the_header_too(shown: str) -> None:
    (office,) = [target for target in TARGETS if target["name"] == "back-office"]
    assert ask(office)[0] == ask(office, "x-preview: let-me-in")[0] == 403
    nobody = {**office, "url": "https://nobody.lab.test/"}
    assert ask(nobody)[0] == ask(nobody, "x-preview: let-me-in")[0] == 404


def test_what_can_not_be_reached_so_is_said(shown: str) -> None:
    assert "istio-system/passthrough" in shown and "no HTTP is seen there" in shown


def test_a_second_run_changes_nothing(shown: str) -> None:
    again = preview()
    assert again.returncode == 0 and " changed=0 " in again.stdout, again.stdout[-3000:]


def test_it_goes_and_leaves_nothing(shown: str, cluster: Cluster) -> None:
    assert ours(cluster)
    done = preview("absent")
    assert done.returncode == 0 and ours(cluster) == set(), done.stdout[-3000:]
    lab.until(lambda: set(answered_by(cluster, "x-preview: let-me-in").values()) == {"blue"}, 60)


def test_a_rollback_takes_it_away(shown: str, cluster: Cluster) -> None:
    assert preview().returncode == 0 and ours(cluster)
    done = lab.play({**SETTINGS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert done.returncode == 0 and ours(cluster) == set(), done.stdout[-4000:]


def test_no_request_was_lost(shown: str) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 3000, str(seen["errors"])
