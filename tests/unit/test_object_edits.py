# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""object_edits and the writes of a journey: made, edited by fields, removed, and taken back exactly."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _edits
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import object_edits as rendered
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, object_edits
from fake_cluster import FakeCluster, json_patch, run_module
from hypothesis import given
from hypothesis import strategies as st

REF = Ref("v1", "ConfigMap", "shop", "c")
PATH = "/api/v1/namespaces/shop/configmaps/c"


def config_map(**more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "c", **more}}


def mine(data, **annotations):
    return _edits.marked({**config_map(annotations=annotations), "data": data}, "test")


# -- fields ------------------------------------------------------------------------------------------------------------
def test_a_field_is_set_where_its_parents_are_missing_and_taken_away_again():
    item = config_map()
    fields = {"/metadata/annotations/linkerd.io~1inject": "enabled", "/metadata/labels/a": "1"}
    new = _edits.put(item, fields)
    assert new["metadata"]["annotations"] == {"linkerd.io/inject": "enabled"} and new["metadata"]["labels"] == {
        "a": "1"
    }
    assert item == config_map()
    again = _edits.put(new, dict.fromkeys(fields))
    assert _edits.at(again, "/metadata/annotations") == {} and _edits.at(again, "/metadata/labels") == {}


def test_fields_within_lists_are_named_by_their_place():
    item = {"spec": {"ingress": [{"from": [1]}, {"from": [2]}]}}
    assert _edits.at(item, "/spec/ingress/1/from") == [2] and _edits.at(item, "/spec/ingress/2/from") is None
    assert _edits.put(item, {"/spec/ingress/1/from": [2, 3]})["spec"]["ingress"] == [{"from": [1]}, {"from": [2, 3]}]


maps = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from(["a", "b/c", "~"]), inner, max_size=3), max_leaves=6
)


@given(
    st.dictionaries(st.sampled_from(["a", "b/c"]), maps),
    st.lists(st.sampled_from(["a", "b/c", "~"]), min_size=1, max_size=3),
    maps,
)
def test_the_patch_that_is_sent_makes_what_was_planned(item, parts, value):
    fields = {_edits.pointer(*parts): value}
    done = copy.deepcopy(item)
    for operation in _edits.operations(item, fields):
        done = json_patch(done, operation)
    assert done == _edits.put(item, fields) and _edits.at(done, *fields) == value


# -- writes ------------------------------------------------------------------------------------------------------------
def test_what_others_have_made_is_never_overwritten_or_removed():
    with pytest.raises(Refusal, match="not ours"):
        _edits.made(REF, PATH, config_map(), mine({"a": "1"}))
    with pytest.raises(Refusal):
        _edits.made(REF, PATH, _edits.marked(config_map(), "another part"), mine({"a": "1"}))
    assert _edits.removed(REF, PATH, config_map()).state == "skipped"


def test_an_object_of_ours_loses_annotations_that_it_no_longer_has_and_keeps_those_of_others():
    old = mine({"a": "1"}, **{"dialect.io/x": "1", "dialect.io/y": "1", "cert-manager.io/z": "1"})
    new = mine({"a": "1"}, **{"dialect.io/x": "1"})
    write = _edits.made(REF, PATH, old, new)
    assert write.state == "edited" and list(write.fields) == ["/metadata/annotations"]
    assert sorted(write.after["metadata"]["annotations"]) == [
        "bluegreen.mesh/part",
        "cert-manager.io/z",
        "dialect.io/x",
    ]
    assert _edits.made(REF, PATH, write.after, new).state == "unchanged"


def open_journal(fake):
    from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal

    place = {"namespace": "journals", "name": "m"}
    epoch = run_module(migration_journal, {**place, "state": "open"}, fake)["epoch"]
    return {**place, "epoch": epoch, "phase": "bind"}


def steps_of(fake):
    return json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])


def test_what_was_done_is_taken_back_to_exactly_what_was_there():
    fake = FakeCluster({**config_map(labels={"istio-injection": "enabled"}), "data": {"k": "v"}})
    before = fake.peek("configmaps", "shop", "c")
    edit = {"/metadata/labels/istio-injection": None, "/data/k": "w"}

    class Module:
        check_mode = False

    def plan():
        found = fake.find(PATH)
        made = mine({"x": "y"})
        made["metadata"]["name"] = "d"
        other = Ref.of(made)
        return [
            _edits.edited(REF, PATH, found, edit),
            _edits.made(other, PATH[:-1] + "d", fake.find(PATH[:-1] + "d"), made),
        ]

    from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

    journal = Journal.load(fake, open_journal(fake))
    done = _edits.carry_out(Module, fake, journal, plan)
    assert done["changed"] and [o["state"] for o in done["objects"]] == ["edited", "created"]
    assert _edits.carry_out(Module, fake, journal, plan)["changed"] is False
    steps = steps_of(fake)
    assert [s["state"] for s in steps] == ["done", "done"]
    for step in reversed(steps):
        assert step["inverse"]["module"] == "object_edits"
        assert run_module(object_edits, step["inverse"]["params"], fake)["changed"] is True
        assert run_module(object_edits, step["inverse"]["params"], fake)["changed"] is False
    after = fake.peek("configmaps", "shop", "c")
    assert after["data"] == before["data"] and after["metadata"]["labels"] == before["metadata"]["labels"]
    assert fake.peek("configmaps", "shop", "d") is None


def test_a_removed_object_is_made_again_without_what_the_server_gives():
    fake = FakeCluster(mine({"a": "1"}))
    write = _edits.removed(REF, PATH, fake.find(PATH))
    params = _edits.inverse(write)["params"]
    assert "uid" not in params["create"][0]["metadata"]
    _edits.apply(fake, write, False)
    assert fake.peek("configmaps", "shop", "c") is None
    assert run_module(object_edits, params, fake)["changed"] and fake.peek("configmaps", "shop", "c")["data"] == {
        "a": "1"
    }


def test_a_field_that_others_have_changed_since_is_left_and_said():
    fake = FakeCluster({**config_map(), "data": {"k": "theirs"}})
    fields = {"/data/k": {"from": "ours", "to": "before"}}
    ref = {"api_version": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "c"}
    done = run_module(object_edits, {"edits": [{**ref, "fields": fields}]}, fake)
    assert done["changed"] is False and fake.writes == 0
    assert done["objects"][0]["state"] == "skipped" and "changed by others" in done["objects"][0]["reason"]
    assert done["warnings"]


def test_check_mode_writes_nothing_and_says_the_same():
    fake = FakeCluster({**config_map(), "data": {"k": "ours"}})
    ref = {"api_version": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "c"}
    params = {"edits": [{**ref, "fields": {"/data/k": {"from": "ours", "to": "before"}}}]}
    predicted = run_module(object_edits, params, fake, check=True)
    assert fake.writes == 0
    done = run_module(object_edits, params, fake)
    assert predicted["objects"] == done["objects"] and predicted["diff"] == done["diff"] and done["changed"]


def test_a_field_applied_by_another_manager_is_given_back():
    fields = {"f:spec": {"f:mtls": {"f:mode": {}}}}
    managed = [{"manager": "helm", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields}]
    item = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICT"}},
            "metadata": {"namespace": "shop", "name": "p", "managedFields": managed}}  # fmt: skip
    fake = FakeCluster(item)
    path = "/apis/security.istio.io/v1/namespaces/shop/peerauthentications/p"

    def take(request):  # as the API server does: an update takes the field from the one who applied it
        if any(operation["path"] == "/spec/mtls/mode" for operation in request.body):
            taken = [{"manager": "bluegreen-mesh", "operation": "Update", "apiVersion": "v1", "fieldsV1": fields}]
            fake.edit("peerauthentications", "shop", "p", lambda body: body["metadata"].update(managedFields=taken))
            request.body[0]["value"] = fake.peek("peerauthentications", "shop", "p")["metadata"]["resourceVersion"]

    fake.on("PATCH", path, take, times=1)
    write = _edits.edited(Ref.of(item), path, fake.find(path), {"/spec/mtls/mode": "PERMISSIVE"})
    _edits.apply(fake, write, False)
    body = fake.peek("peerauthentications", "shop", "p")
    assert body["spec"]["mtls"]["mode"] == "PERMISSIVE"
    assert [e["manager"] for e in body["metadata"]["managedFields"]] == ["helm"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            {"edits": [{"api_version": "v1", "kind": "Pod", "name": "p", "fields": {"spec": {"from": 1, "to": 2}}}]},
            "pointer",
        ),
        ({"edits": [{"api_version": "v1", "kind": "Pod", "name": "p", "fields": {"/spec": {"to": 2}}}]}, "from and to"),
        ({"create": [{"kind": "Pod"}]}, "apiVersion"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(params, words):
    fake = FakeCluster()
    result = run_module(object_edits, params, fake)
    assert result["failure"]["code"] == "bad_option" and words in result["msg"] and fake.total == 0


def test_by_hand_it_is_kubectl_with_tests_of_what_is_there():
    ref = {"api_version": "networking.k8s.io/v1", "kind": "Ingress", "namespace": "a", "name": "b"}
    fields = {"/spec/x": {"from": 1, "to": None}, "/spec/y": {"from": None, "to": 2}}
    found = rendered.commands(
        {}, {"edits": [{**ref, "fields": fields}], "remove": [ref], "create": [config_map()]}, None
    )
    assert found[0].run == f"echo '{json.dumps(config_map())}' | k create -f -"
    assert found[1].run.startswith("k patch ingress.networking.k8s.io b -n a --type=json")
    assert found[2].run == "k delete ingress.networking.k8s.io b -n a --ignore-not-found"
    patch = json.loads(found[1].run.partition("-p ")[2].strip("'"))
    assert patch == [
        {"op": "test", "path": "/spec/x", "value": 1}, {"op": "remove", "path": "/spec/x"},
        {"op": "add", "path": "/spec/y", "value": 2},
    ]  # fmt: skip


# -- secrets -----------------------------------------------------------------------------------------------------------
def secret(value):
    meta = {"namespace": "shop", "name": "c", "labels": {"app.kubernetes.io/managed-by": "bluegreen.mesh"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"key": value}}


def test_what_a_secret_was_comes_back_from_the_journals_own_secret():
    fake = FakeCluster(secret("hunter2"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
    ref = {"namespace": "journals", "name": "m"}
    mine = {**ref, "phase": "deploy", "epoch": run_module(migration_journal, {**ref, "state": "open"}, fake)["epoch"]}
    edit = {"api_version": "v1", "kind": "Secret", "namespace": "shop", "name": "c"}
    fields = {"/data/key": {"from": "hunter2", "to": "hunter3"}}
    run_module(object_edits, {"edits": [{**edit, "fields": fields}], "journal": mine}, fake)
    (step,) = run_module(migration_journal, {**ref, "undo_from": "deploy"}, fake)["undo"]
    assert step["inverse"] == {"module": "object_edits", "params": None} and "hunter" not in str(step)

    undo = {"inverse_of": {**ref, "step": step["id"]}, "journal": {**mine, "phase": "rollback"}}
    predicted = run_module(object_edits, undo, fake, check=True)
    assert predicted["changed"] and "hunter" not in str(predicted)
    assert run_module(object_edits, undo, fake)["objects"] == predicted["objects"]
    assert fake.peek("secrets", "shop", "c")["data"] == {"key": "hunter2"}
    assert run_module(object_edits, undo, fake)["changed"] is False
    assert run_module(object_edits, {"inverse_of": {**ref, "step": "1-x"}}, fake)["failure"]["code"] == "unknown_step"


def test_a_secret_that_others_have_changed_since_is_not_told():
    write = _edits.restored(Ref("v1", "Secret", "shop", "c"), "", secret("b"), {"/data/key": {"from": "c", "to": "a"}})
    assert write.reason == "/data/key has been changed by others since"
