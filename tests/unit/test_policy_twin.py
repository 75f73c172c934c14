# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""policy_twin as a module: it writes what it predicts, once, notes how to undo it, and leaves what is not ours."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _policies
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, policy_twin
from fake_cluster import FakeCluster, run_module
from fake_mesh import PAIR, WORKLOAD, base, thing

COPY = "AuthorizationPolicy gw/p-new"
RULES = {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}]}
JOURNAL = {"namespace": "journals", "name": "m"}


def cluster(**extra):
    blue = thing("AuthorizationPolicy", "edge/p", {"selector": {"matchLabels": {"app": "old"}}, **RULES})
    fake = FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gw"}})
    for kind, items in {**base(), "authorization_policies": [blue], **extra}.items():
        for item in items if kind in _policies.VERSIONS else ():
            fake.add({**item, "apiVersion": _policies.VERSIONS[kind][0][0]})
    return fake


def run(fake, check=False, **options):
    given = {"pairs": [PAIR], "workloads": [WORKLOAD], **options}
    return run_module(policy_twin, given, fake, check=check)


def found(fake, plural="authorizationpolicies", name="p-new"):
    return fake.peek(plural, "gw", name)


def test_it_writes_what_it_predicts_and_a_second_run_changes_nothing():
    fake = cluster()
    predicted = run(fake, check=True)
    assert predicted["changed"] and fake.writes == 0
    done = run(fake)
    assert done["copies"] == predicted["copies"] == [
        {"object": COPY, "source": "AuthorizationPolicy edge/p", "state": "created"}
    ]  # fmt: skip
    assert done["diff"] == predicted["diff"] and done["diff"]["before"] == {COPY: {}}
    assert found(fake)["spec"] == {"selector": {"matchLabels": {"app": "new"}}, **RULES}
    again = run(fake)
    assert again["changed"] is False and [c["state"] for c in again["copies"]] == ["unchanged"]


def test_it_follows_its_source_and_keeps_what_others_added():
    fake = cluster()
    run(fake)
    fake.edit("authorizationpolicies", "gw", "p-new", lambda item: item["metadata"]["labels"].update(team="edge"))
    fake.edit("authorizationpolicies", "edge", "p", lambda item: item["spec"].update(action="AUDIT"))
    assert [c["state"] for c in run(fake)["copies"]] == ["updated"]
    assert found(fake)["spec"]["action"] == "AUDIT" and found(fake)["metadata"]["labels"]["team"] == "edge"


def test_the_journal_knows_how_to_undo_it():
    fake = cluster()
    epoch = run_module(migration_journal, {**JOURNAL, "state": "open"}, fake)["epoch"]
    place = {**JOURNAL, "epoch": epoch, "phase": "deploy"}
    run(fake, journal=place)
    (step,) = json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])
    assert (step["state"], step["op"], step["key"]) == ("done", "copy_authorizationpolicy", "gw/p-new")
    assert step["inverse"] == {"module": "policy_twin", "params": {"state": "absent", "copies": [COPY]}}
    assert run_module(policy_twin, step["inverse"]["params"], fake)["copies"][0]["state"] == "removed"
    assert found(fake) is None
    assert run_module(policy_twin, step["inverse"]["params"], fake)["changed"] is False


def test_what_is_not_ours_is_neither_written_nor_removed():
    foreign = thing("AuthorizationPolicy", "gw/p-new", {"action": "ALLOW"})
    fake = cluster()
    fake.add({**foreign, "apiVersion": "security.istio.io/v1"})
    refused = run(fake)
    assert refused["failure"]["code"] == "not_copied" and refused["failure"]["objects"] == [
        "AuthorizationPolicy edge/p"
    ]
    assert run_module(policy_twin, {"state": "absent", "copies": [COPY]}, fake)["copies"][0]["state"] == "foreign"
    assert fake.writes == 0 and found(fake)["spec"] == {"action": "ALLOW"}


def test_one_that_can_not_be_copied_stops_all_before_the_first_write():
    pull = {"selector": {"matchLabels": {"app": "old"}}, "imagePullSecret": "pull"}
    fake = cluster(wasm_plugins=[thing("WasmPlugin", "edge/w", pull)])
    refused = run(fake)
    assert refused["failure"]["code"] == "not_copied" and "WasmPlugin edge/w spec.imagePullSecret" in refused["msg"]
    assert fake.writes == 0
    assert run(fake, waive=["policy_bound_to_blue:edge/w"])["changed"] is True
    assert run(fake, kinds=["AuthorizationPolicy"])["changed"] is False


def test_only_the_kinds_that_are_asked_for_are_read_and_a_list_that_fails_is_a_refusal():
    fake = cluster()
    run(fake, check=True, kinds=["AuthorizationPolicy"])
    read = {request.path.rpartition("/")[2] for request in fake.log if request.method == "GET"}
    assert read == {"services", "pods", "deployments", "configmaps", "authorizationpolicies"}
    fake.fail("GET", "*/envoyfilters", 403, "Forbidden", "no")
    assert run(fake)["failure"]["code"] == "unreadable" and fake.writes == 0


def test_a_missing_namespace_is_named_unless_it_is_to_be_made():
    fake = cluster()
    fake._store.pop(("", "namespaces", "", "gw"))
    assert run(fake)["failure"]["code"] == "namespace_missing"
    assert run(fake, check=True)["failure"]["code"] == "namespace_missing"
    assert run(fake, check=True, expect_namespaces=True)["changed"] is True


def test_a_change_meanwhile_is_planned_anew():
    fake = cluster()
    run(fake)
    fake.edit("authorizationpolicies", "edge", "p", lambda item: item["spec"].update(action="AUDIT"))

    def meddle(_request):
        fake.edit("authorizationpolicies", "gw", "p-new", lambda item: item["metadata"]["labels"].update(team="edge"))

    fake.on("PUT", "*/authorizationpolicies/p-new", meddle, times=1)
    assert run(fake)["changed"] is True
    assert found(fake)["spec"]["action"] == "AUDIT" and found(fake)["metadata"]["labels"]["team"] == "edge"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"workloads": [{"name": "x"}]}, "bad_option", "workloads[0].blue.namespace"),
        ({"workloads": [{**WORKLOAD, "green": {"namespace": "gw"}}]}, "bad_option", "workloads[0].green.release"),
        ({"state": "absent", "copies": ["Secret a/b"]}, "malformed_reference", "KIND NAMESPACE/NAME"),
        ({"state": "absent", "copies": ["NetworkPolicy b"]}, "malformed_reference", "NAMESPACE/NAME"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(options, code, words):
    fake = cluster()
    result = run(fake, **options)
    assert result["failed"] and result["failure"]["code"] == code and words in result["msg"]
    assert fake.total == 0
