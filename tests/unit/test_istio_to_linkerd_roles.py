# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the roles refuse on the way from Istio to an Ingress controller, as Ansible evaluates them."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.modules import gke_files
from role_tasks import evaluate, holds, load, refusal, task

CLEANUP, SOAK = "cleanup/tasks/istio_to_linkerd.yml", "soak/tasks/istio_to_linkerd.yml"
CRD = {"kind": "CustomResourceDefinition", "name": "gateways.networking.istio.io"}
OTHERS = {"kind": "Service", "name": "istiod", "release": "another"}


def asked(delete=(), taken_over=()):
    """What resource_keep_info says of a release."""
    release = {"namespace": "istio-system", "name": "base"}
    return {"item": release, "delete": list(delete), "taken_over": list(taken_over), "storage": ["Secret istio-system/r"]}


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (asked([{"kind": "ServiceAccount", "name": "a"}]), ""),
        (asked([CRD]), "helm uninstall base would also delete CustomResourceDefinition gateways.networking.istio.io."),
        (asked([{"kind": "Namespace", "name": "istio-system"}]), "Namespace istio-system"),
        (asked([OTHERS], [OTHERS]), "delete Secret istio-system/r instead"),
    ],
)
def test_a_release_that_would_take_more_along_is_refused(release, words):
    said = refusal(task(CLEANUP, "Refuse to delete what is more"), item=release)
    assert words in said and bool(said) == bool(words)


def test_every_release_of_the_stages_that_go_is_asked_and_no_other():
    stages = [
        {"stage": "gateways", "releases": [{"namespace": "a", "name": "gateway"}]},
        {"stage": "webhooks", "releases": []},
        {"stage": "control_plane", "releases": [{"namespace": "b", "name": "istiod"}]},
    ]
    loop = task(CLEANUP, "Ask what the removal")["loop"]
    found = evaluate(loop, cleanup_removal={"stages": stages}, mesh_ingress={"remove": ["webhooks", "control_plane"]})
    assert [one["name"] for one in found] == ["istiod"]
    assert evaluate(loop, cleanup_removal={"stages": stages}, mesh_ingress={}) == []


@pytest.mark.parametrize(
    ("settings", "namespace"),
    [({}, None), ({"root_namespace": "mesh"}, "mesh"), ({"root_namespace": "mesh", "mesh_config": "istiod/istio"}, "istiod")],
)
def test_istio_is_looked_for_where_its_configuration_is(settings, namespace):
    for name in (CLEANUP, "plan/tasks/cleanup/istio_to_linkerd.yml"):
        option = task(name, "See what there is of Istio")["bluegreen.mesh.istio_removal_info"]["root_namespace"]
        assert evaluate(option, mesh_istio=settings, omit="(left out)") == (namespace or "(left out)")


def test_soak_does_not_end_while_hosts_stay_behind_the_old_gateway():
    last = task(SOAK, "Go no further")
    said = refusal(last, soak_kept={"a.test": "", "b.test": "route_not_translated: fault"})
    assert "still serves a.test (it could move); b.test (route_not_translated: fault), which" in " ".join(said.split())
    assert refusal(last, soak_kept={}) == ""
    measured = task(SOAK, "Measure the old gateway")["when"]
    assert holds(measured, soak_kept={}) and not holds(measured, soak_kept={"a.test": ""})


def test_every_option_of_googles_load_balancer_is_a_setting_and_passed_on():
    given = load("deploy/tasks/gke.yml")[0]["bluegreen.mesh.gke_files"]
    parts = load("mesh/meta/argument_specs.yml")["argument_specs"]["main"]["options"]["mesh_ingress"]["options"]["gke"]["options"]
    asked = set(re.findall(r"deploy_gke\.(\w+)", str(given)))
    own = yaml.safe_load(gke_files.DOCUMENTATION)["options"]
    assert given.keys() == own.keys() and asked == parts.keys()
    assert {name for name, part in parts.items() if part.get("required")} == {
        name for name, option in own.items() if option.get("required")
    } - {"service", "old_service"}
    optional = [text for text in given.values() if "deploy_gke." in text and "default(omit)" not in text]
    assert len(optional) == sum(bool(part.get("required")) for part in parts.values())


def test_a_load_balancer_is_looked_at_only_where_there_is_to_be_one():
    for name, word in (("deploy/tasks/istio_to_linkerd.yml", "Have Google"), ("preflight/tasks/istio_to_linkerd.yml", "See whether Google")):
        when = task(name, word)["when"]
        assert holds(when, mesh_ingress={"gke": {"name": "edge"}}) and not holds(when, mesh_ingress={})
    assert task("preflight/tasks/istio_to_linkerd.yml", "See whether Google")["ansible.builtin.include_role"]["apply"]["check_mode"]
