# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as files, and the cluster as the files say."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _manifests
from ansible_collections.bluegreen.mesh.plugins.modules import manifest_files, manifest_state_info
from fake_cluster import FakeCluster, run_module

API = "networking.istio.io/v1"
SPEC = {"selector": {"app": "green"}, "servers": [{"port": {"number": 443}, "hosts": ["*.example.com"]}]}


def gateway(name, spec=None):
    meta = {"namespace": "green", "name": name, "labels": {"a": "b"}}
    return {"apiVersion": API, "kind": "Gateway", "metadata": meta, "spec": SPEC if spec is None else spec}


def ref(name, kind="Gateway", api=API, namespace="green"):
    return {"api_version": api, "kind": kind, "namespace": namespace, "name": name}


def write(dest, folder=None, *objects, check=False, migration="m"):
    options = {"dest": str(dest), "migration": migration, "objects": list(objects)}
    return run_module(manifest_files, options | ({"folder": folder} if folder else {}), check=check)


def listed(path):
    return yaml.safe_load((path / "kustomization.yaml").read_text())["resources"]


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


# -- files -----------------------------------------------------------------------------------------------------------
def test_a_phase_has_a_folder_and_is_listed(tmp_path):
    result = write(tmp_path / "new", "deploy", gateway("b"), gateway("a"))
    files = ["deploy/gateway.green.a.yaml", "deploy/gateway.green.b.yaml", "deploy/kustomization.yaml"]
    assert result["changed"] and result["files"] == [*files, "kustomization.yaml"]
    assert listed(tmp_path / "new") == ["deploy"]
    assert listed(tmp_path / "new/deploy") == ["gateway.green.a.yaml", "gateway.green.b.yaml"]
    assert yaml.safe_load((tmp_path / "new" / files[0]).read_text()) == gateway("a")
    assert result["objects"] == [ref("a"), ref("b")] and result["removed"] == []


def test_the_same_objects_in_another_order_change_nothing(tmp_path):
    write(tmp_path, "deploy", gateway("b"), gateway("a"))
    before = tree(tmp_path)
    assert not write(tmp_path, "deploy", gateway("a"), gateway("b"))["changed"]
    assert not write(tmp_path)["changed"]
    assert tree(tmp_path) == before


def test_phases_do_not_touch_each_other(tmp_path):
    write(tmp_path, "deploy", gateway("a"))
    before = tree(tmp_path / "deploy")
    write(tmp_path, "bind", gateway("x"))
    assert listed(tmp_path) == ["bind", "deploy"] and tree(tmp_path / "deploy") == before


def test_what_is_not_wanted_any_more_goes_and_its_folder_with_the_last(tmp_path):
    write(tmp_path, "deploy", gateway("a"), gateway("b"))
    (tmp_path / "deploy/notes.txt").write_text("of somebody")
    result = write(tmp_path, "deploy", gateway("b"))
    assert result["removed"] == [ref("a")] and result["objects"] == [ref("a"), ref("b")]
    assert listed(tmp_path / "deploy") == ["gateway.green.b.yaml"]
    (tmp_path / "deploy/notes.txt").unlink()
    assert write(tmp_path, "deploy")["removed"] == [ref("b")]
    assert not (tmp_path / "deploy").exists() and listed(tmp_path) == []
    assert not write(tmp_path, "deploy")["changed"]


def test_there_is_something_to_build_before_the_first_phase_and_after_the_last(tmp_path):
    write(tmp_path)
    top = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    assert top["resources"] == [] and top["labels"] == [{"pairs": {"bluegreen.mesh/migration": "m"}}]
    before = tree(tmp_path)
    write(tmp_path, "bind", gateway("a"))
    write(tmp_path, "bind")
    assert tree(tmp_path) == before


def test_what_the_cluster_adds_is_not_written(tmp_path):
    live = {**gateway("a"), "status": {"x": 1}}
    write(tmp_path, "deploy", live)
    assert yaml.safe_load((tmp_path / "deploy/gateway.green.a.yaml").read_text()) == gateway("a")


def test_check_mode_says_the_same_and_writes_nothing(tmp_path):
    planned = write(tmp_path / "new", "deploy", gateway("a"), check=True)
    assert not (tmp_path / "new").exists()
    assert planned == write(tmp_path / "new", "deploy", gateway("a"))
    planned = write(tmp_path / "new", "deploy", check=True)
    assert (tmp_path / "new/deploy").exists() and planned == write(tmp_path / "new", "deploy")


def test_a_secret_is_refused_by_name(tmp_path):
    meta = {"namespace": "green", "name": "cert"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"k": "x"}}
    result = write(tmp_path, "deploy", gateway("a"), secret)
    assert result["failure"]["code"] == "secret_refused" and "Secret green/cert" in result["msg"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["resources: [apps]\n", "# Written by bluegreen.mesh, migration m2.\n---\n{}\n"])
def test_a_kustomization_of_others_is_left_alone(tmp_path, text):
    (tmp_path / "kustomization.yaml").write_text(text)
    result = write(tmp_path, "deploy", gateway("a"))
    assert result["failure"]["code"] == "foreign_file" and str(tmp_path / "kustomization.yaml") in result["msg"]
    assert tree(tmp_path) == {"kustomization.yaml": text.encode()}


@pytest.mark.parametrize("folder", ["../x", "a/b", "."])
def test_a_folder_that_is_none_is_refused(tmp_path, folder):
    assert write(tmp_path, folder, gateway("a"))["failure"]["code"] == "bad_option"
    assert not list(tmp_path.iterdir())


def test_an_object_without_a_name_is_refused(tmp_path):
    assert write(tmp_path, "deploy", {"kind": "Gateway"})["failure"]["code"] == "bad_option"


# -- the cluster -----------------------------------------------------------------------------------------------------
@pytest.fixture
def cluster():
    fake = FakeCluster()
    fake.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "green"}})
    return fake


def state(cluster, dest, *gone, timeout=0):
    options = {"dir": str(dest / "deploy"), "gone": list(gone), "timeout": timeout}
    return run_module(manifest_state_info, options, cluster)


def test_the_cluster_may_have_more_than_the_files(cluster, tmp_path):
    write(tmp_path, "deploy", gateway("a"))
    more = gateway("a", {**SPEC, "servers": [{**SPEC["servers"][0], "name": "default"}]})
    more["metadata"]["labels"]["bluegreen.mesh/migration"] = "m"
    cluster.add(more)
    writes = cluster.writes
    result = state(cluster, tmp_path)
    assert result["objects"] == 1 and not result["changed"] and cluster.writes == writes


def test_what_is_missing_is_named_with_its_field(cluster, tmp_path):
    write(tmp_path, "deploy", gateway("a"), gateway("b"))
    cluster.add(gateway("a", {**SPEC, "selector": {"app": "blue"}}))
    cluster.add(gateway("old"))
    result = state(cluster, tmp_path, ref("old"), ref("a"))
    assert result["failure"]["code"] == "not_reconciled" and str(tmp_path / "deploy") in result["msg"]
    assert [one["text"] for one in result["failure"]["missing"]] == [
        "Gateway green/a spec.selector.app: found blue, expected green",
        "Gateway green/b is not there",
        "Gateway green/old is still there",
    ]


def test_it_waits_until_it_is_so(cluster, tmp_path, monkeypatch):
    write(tmp_path, "deploy", gateway("a"))
    monkeypatch.setattr(_manifests.time, "sleep", lambda _seconds: cluster.add(gateway("a")))
    assert state(cluster, tmp_path, timeout=5)["objects"] == 1


def test_a_folder_that_is_not_there_wants_nothing_but_that_all_is_gone(cluster, tmp_path):
    assert state(cluster, tmp_path, ref("a"))["objects"] == 0
    cluster.add(gateway("a"))
    assert state(cluster, tmp_path, ref("a"))["failure"]["code"] == "not_reconciled"


def test_a_listed_file_that_is_not_there_is_an_error(cluster, tmp_path):
    write(tmp_path, "deploy", gateway("a"))
    (tmp_path / "deploy/gateway.green.a.yaml").unlink()
    assert state(cluster, tmp_path)["failure"]["code"] == "unreadable"


@pytest.mark.parametrize(
    ("wanted", "live", "fields"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": {}}, {}, []),
        ({"a": []}, {"a": [1]}, ["a"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2, "c": 3}]}, ["a[0].b"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        ({"a": {"b": 0}}, {"a": None}, ["a"]),
        ({"a": False}, {}, ["a"]),
    ],
)
def test_every_field_of_the_file_counts_and_no_other(wanted, live, fields):
    assert [one["field"] for one in _manifests.unlike(wanted, live)] == fields
