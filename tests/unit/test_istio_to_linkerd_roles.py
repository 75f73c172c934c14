# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the roles refuse on the way from Istio to an Ingress controller, as Ansible evaluates them."""

from __future__ import annotations

import pytest
from role_tasks import evaluate, holds, refusal, task

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
