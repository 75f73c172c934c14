# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gke_files: today's API, and nothing that the old load balancer kept out comes in by the new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.modules import gke_files
from fake_cluster import FakeCluster, run_module
from fake_ingress import service, thing


def cluster(old_policy="", port=443):
    said = {"cloud.google.com/backend-config": json.dumps({"ports": {"https": "old"}})}
    spec = {"securityPolicy": {"name": old_policy}} if old_policy else {}
    return FakeCluster(
        thing("v1", "Service", "istio-system/gw", {"ports": []}, annotations=said),
        thing("cloud.google.com/v1", "BackendConfig", "istio-system/old", spec),
        service("ingress/traefik", ports=[{"name": "https", "port": port}]),
    )


def run(tmp_path, fake=None, check=False, **options):
    given = {
        "dest": str(tmp_path / "out"), "name": "edge", "service": "ingress/traefik", "secrets": ["cert"],
        "old_service": "istio-system/gw", "health_path": "/ping", **options,
    }  # fmt: skip
    return run_module(gke_files, given, fake or cluster(), check=check)


def documents(tmp_path, name="load-balancer.yaml"):
    return {d["kind"]: d for d in yaml.safe_load_all((tmp_path / "out" / name).read_text(encoding="utf-8"))}


def test_the_objects_are_of_todays_api_and_name_each_other(tmp_path):
    run(tmp_path, security_policy="armor", ssl_policy="modern", health_port=8080)
    found = documents(tmp_path)
    ingress = found["Ingress"]
    assert ingress["apiVersion"] == "networking.k8s.io/v1"
    assert ingress["spec"] == {
        "defaultBackend": {"service": {"name": "traefik", "port": {"number": 443}}}, "tls": [{"secretName": "cert"}]
    }  # fmt: skip
    said = ingress["metadata"]["annotations"]
    assert said["networking.gke.io/v1beta1.FrontendConfig"] == found["FrontendConfig"]["metadata"]["name"] == "edge"
    assert (
        said["kubernetes.io/ingress.global-static-ip-name"] == "edge"
        and said["kubernetes.io/ingress.allow-http"] == "false"
    )
    backend = found["BackendConfig"]["spec"]
    assert backend["securityPolicy"] == {"name": "armor"} and backend["timeoutSec"] == 3600
    assert backend["healthCheck"] == {"type": "HTTP", "requestPath": "/ping", "port": 8080}
    own = documents(tmp_path, "service-patch.yaml")["Service"]["metadata"]["annotations"]
    assert json.loads(own["cloud.google.com/neg"]) == {"ingress": True}
    assert json.loads(own["cloud.google.com/app-protocols"]) == {"https": "HTTPS"}
    assert json.loads(own["cloud.google.com/backend-config"]) == {"default": "edge"}


def test_a_second_run_changes_nothing_and_check_mode_writes_nothing(tmp_path):
    assert run(tmp_path, check=True)["changed"] and not (tmp_path / "out").exists()
    assert run(tmp_path)["changed"] is True and run(tmp_path)["changed"] is False


def test_a_security_policy_that_would_be_lost_is_an_error(tmp_path):
    fake = cluster("armor")
    result = run(tmp_path, fake)
    assert [f["code"] for f in result["failure"]["findings"]] == ["gke_security_policy"] and not (
        tmp_path / "out"
    ).exists()
    assert run(tmp_path, cluster("armor"), security_policy="armor")["old_security_policy"] == "armor"
    assert run(tmp_path, old_security_policy="by-hand")["failure"]["code"] == "findings"


@pytest.mark.parametrize(
    ("options", "code"),
    [({"protocol": "HTTP2"}, "gke_websockets"), ({"grpc": True}, "gke_grpc")],
)
def test_one_protocol_does_not_carry_both(tmp_path, options, code):
    assert [f["code"] for f in run(tmp_path, **options)["failure"]["findings"]] == [code]
    assert run(tmp_path, protocol="HTTP2", grpc=True, websockets=False)["changed"]


def test_the_controllers_port_must_be_there(tmp_path):
    assert run(tmp_path, cluster(port=8443))["failure"]["findings"][0]["code"] == "gke_port"


def test_terraform_has_the_address_and_the_rules_with_a_default(tmp_path):
    rules = [
        {"priority": 20, "action": "allow", "expression": 'origin.region_code == "NO" && "${x}" != ""'},
        {"priority": 10, "action": "allow", "ranges": ["192.0.2.0/24"], "description": "office"},
    ]
    run(tmp_path, security_policy="armor", rules=rules, project="p", redirect=True)
    text = Path(tmp_path, "out", "load-balancer.tf").read_text(encoding="utf-8")
    assert 'resource "google_compute_global_address" "edge" {' in text and text.index("= 10\n") < text.index("= 20\n")
    assert '\\"NO\\"' in text and "$${x}" in text and '"192.0.2.0/24"' in text
    assert text.count("rule {") == 3 and 'priority = 2147483647\n    action = "deny(403)"' in text
    assert text.count("{") == text.count("}")
    assert "kubernetes.io/ingress.allow-http" not in documents(tmp_path)["Ingress"]["metadata"]["annotations"]
    assert documents(tmp_path)["FrontendConfig"]["spec"]["redirectToHttps"]["enabled"] is True


def test_without_rules_the_policy_is_looked_up(tmp_path):
    run(tmp_path, security_policy="armor", internal=True, region="europe-north1")
    text = Path(tmp_path, "out", "load-balancer.tf").read_text(encoding="utf-8")
    assert 'data "google_compute_security_policy" "armor"' in text and 'resource "google_compute_address"' in text
    assert documents(tmp_path)["Ingress"]["metadata"]["annotations"]["kubernetes.io/ingress.class"] == "gce-internal"


@pytest.mark.parametrize(
    "options",
    [{"name": "Edge!"}, {"secrets": []}, {"internal": True}, {"rules": [{"priority": 1, "action": "allow"}]},
     {"rules": [{"priority": 1, "action": "allow", "ranges": ["*"]}] * 2}],
)  # fmt: skip
def test_bad_options_write_nothing(tmp_path, options):
    assert run(tmp_path, **options)["failure"]["code"] == "bad_option" and not (tmp_path / "out").exists()
