# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what is collected, in which order it is said, what counts as having moved away, and the module around it."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _plan
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import migration_plan, service_node_ports
from fake_cluster import FakeCluster, run_module

HEADER = {
    "migration": "m", "cluster": "uid", "context": "lab", "made_at": "2026-01-01T00:00:00Z", "made_by": "ada",
    "ticket": "CHG-1", "strategies": "direct", "point_of_no_return": "cleanup removes blue",
}  # fmt: skip


def change(name: str, before, after, field: str = "spec"):
    return {"object": name, "field": field, "before": before, "after": after}


def plan(**phases):
    """phase=[changes], or phase="why it is unknown"."""
    listed = [
        {"phase": name, "unknown": said} if isinstance(said, str) else {"phase": name, "changes": said}
        for name, said in phases.items()
    ]
    return _plan.build(HEADER, listed, [], [], {"mesh_cutover_steps": [10, 100]})


def drift(approved, now, begun=()):
    return [(d["phase"], d["object"], d["approved"], d["now"]) for d in _plan.compare(approved, now, begun)]


# -- collecting ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("module", "diff", "expected"),
    [
        (
            "virtual_service_gateways",
            {"before": {"a/b": {"spec.gateways": ["x"]}}, "after": {"a/b": {"spec.gateways": ["x", "y"]}}},
            [change("VirtualService a/b", ["x"], ["x", "y"], "spec.gateways")],
        ),
        (
            "gateway_twin",
            {"before": {"Secret n/g": {}}, "after": {"Secret n/g": {"a": {"bluegreen.mesh/source-version": "7", "b": 1}}}},
            [change("Secret n/g", None, {"a": {"b": 1}}, "")],
        ),
        (
            "haproxy_weights",
            {"before": {"tcp:h:1": {"b": {"s": 100, "t": 0}}}, "after": {"tcp:h:1": {"b": {"s": 90, "t": 0}}}},
            [change("HAProxy tcp:h:1", 100, 90, "b.s")],
        ),
        (
            "resource_keep",
            {"before": {"Gateway n/g": {}}, "after": {"Gateway n/g": {"helm.sh/resource-policy": "keep"}}},
            [change("Gateway n/g", None, "keep", "metadata.helm.sh/resource-policy")],
        ),
        (
            "resource_keep",
            {"before": {"HelmRelease n/r: spec.suspend": False}, "after": {"HelmRelease n/r: spec.suspend": True}},
            [change("HelmRelease n/r", False, True, "spec.suspend")],
        ),
        (
            "service_node_ports",
            {"before": {"http2": 1}, "after": {"http2": 2}},
            [change("Service n/s", 1, 2, "http2")],
        ),
        (
            "a_module_of_tomorrow",
            {"before": {"Thing n/a": {"spec": {"on": True}}}, "after": {}},
            [change("Thing n/a", {"spec": {"on": True}}, None, "")],
        ),
    ],
)
def test_every_shape_of_a_diff_becomes_changes(module, diff, expected):
    assert _plan.changes_of(module, {"namespace": "n", "name": "s"}, diff) == expected


def test_values_without_a_counterpart_are_digests():
    shown = _plan.digest_unless({"a": 1, "b": {"c": "hunter2", "d": 2}}, {"a": 0, "b": {"d": 0}})
    assert shown["a"] == 1 and shown["b"]["d"] == 2 and shown["b"]["c"].startswith("sha256:")


def test_settings_are_flat_and_without_secrets():
    shown = _plan.shown_settings(
        {"mesh_workloads": [{"green": {"chart_values": {"env": "hunter2"}, "release": "r"}, "api_token": "hunter2"}],
         "mesh_ticket": "CHG-1"}
    )
    assert shown["mesh_workloads[0].green.release"] == "r" and "hunter2" not in json.dumps(shown)
    assert not [name for name in shown if name.startswith("mesh_ticket")]


# -- building --------------------------------------------------------------------------------------------------------
def test_what_an_earlier_phase_does_is_not_done_again():
    built = plan(bind=[change("V", 1, 2)], deploy=[change("V", 1, 2), change("W", 1, 2)])
    assert [c["object"] for c in built["phases"][1]["changes"]] == ["W"]


def test_each_step_finds_what_the_step_before_left():
    built = plan(cutover=[change("H", 0, 10), change("H", 0, 50), change("H", 0, 100)])
    assert [(c["before"], c["after"]) for c in built["phases"][0]["changes"]] == [(0, 10), (10, 50), (50, 100)]


def test_the_digest_is_of_what_is_said():
    one = plan(bind=[change("V", 1, 2)])
    later = _plan.build({**HEADER, "made_at": "2027", "ticket": "CHG-2"}, [{"phase": "bind", "changes": [
        change("V", 1, 2)]}], [], [], {"mesh_cutover_steps": [10, 100]})  # fmt: skip
    assert one["digest"] == later["digest"] != plan(bind=[change("V", 1, 3)])["digest"]


def test_the_text_has_everything_a_reviewer_asks_for():
    phases = {"bind": [change("VirtualService a/b", ["x"], ["x", "y"])], "unbind": "unknown until bind has run"}
    text = _plan.render(plan(**phases, cleanup=[change("Service n/s", {"exists": True}, None, "")]))
    for part in ("Plan of migration m", "kube-system uid", "ada, ticket CHG-1", "direct", "1. bind", '- spec: ["x"]',
                 '+ spec: ["x", "y"]', "unknown until bind has run", "is deleted", "Besides, it takes off"):  # fmt: skip
        assert part in text, part
    assert text.index("unbind") < text.index("the way back") < text.index("3. cleanup")
    assert max(map(len, text.splitlines())) <= 120


# -- comparing -------------------------------------------------------------------------------------------------------
APPROVED = plan(
    bind=[change("V", 1, 2), change("W", 1, 2)], cutover=[change("H", 0, 10), change("H", 0, 100)], unbind="unknown"
)


def test_nothing_has_moved():
    assert drift(APPROVED, APPROVED) == []


@pytest.mark.parametrize(
    ("now", "begun", "expected"),
    [
        ({"bind": [change("W", 1, 2)]}, ["bind"], []),  # V is done
        ({"bind": []}, ["bind"], []),
        ({"bind": [change("V", 1, 2)]}, [], [("bind", "W", {"to": 2}, "nothing to do: it is gone, or so already")]),
        ({"bind": [change("V", 7, 2), change("W", 1, 2)]}, [], [("bind", "V", {"from": 1}, {"from": 7})]),
        ({"bind": [change("V", 1, 8), change("W", 1, 2)]}, [], [("bind", "V", {"to": 2}, {"to": 8})]),
        ({"bind": [change("V", 1, 2), change("N", 1, 2)]}, ["bind"],
         [("bind", "N", "no change", {"from": 1, "to": 2})]),
        ({"cutover": [change("H", 10, 100)]}, ["cutover"], []),  # the first step is done
        ({"cutover": [change("H", 30, 100)]}, ["cutover"], [("cutover", "H", {"from": 10}, {"from": 30})]),
        ({"unbind": [change("V", 2, 3)]}, [],  # was unknown when it was approved
         [("unbind", "the phase itself", "unknown", "it is known, and makes 1 changes")]),
        ({"unbind": []}, [], []),
        ({"unbind": "unknown"}, [], []),
        ({"bind": "unknown until keep has run"}, [], []),
        ({"soak": [change("V", 2, 3)]}, [],
         [("soak", "the phase itself", "it is not in the plan", "it is known, and makes 1 changes")]),
    ],
)  # fmt: skip
def test_what_has_moved_and_what_was_done(now, begun, expected):
    assert drift(APPROVED, plan(**now), begun) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ([change("V", 9, 3), change("W", 2, 3)], []),  # its source has named green meanwhile, in another form
        ([change("V", 2, 3)], []),  # its source has left blue out
        ([change("V", 2, 4)], [("unbind", "V", {"to": 3}, {"to": 4})]),
        ([change("N", 2, 3)], [("unbind", "N", "no change", {"from": 2, "to": 3})]),
    ],
)
def test_before_unbind_others_change_what_is_found_and_only_where_it_leads_counts(now, expected):
    assert drift(plan(unbind=[change("V", 2, 3), change("W", 2, 3)]), plan(unbind=now)) == expected


def test_a_phase_that_would_have_refused_was_not_approved():
    approved, now = copy.deepcopy(APPROVED), copy.deepcopy(APPROVED)
    approved["phases"][0]["refused"] = "no such Gateway"
    was = "it would have refused: no such Gateway"
    assert drift(approved, now) == [("bind", "the phase itself", was, "it could run")]
    now["phases"][0]["refused"] = "no such label"
    assert drift(approved, now) == [("bind", "the phase itself", was, "no such label")]


def test_what_nobody_can_know_yet_is_named():
    assert _plan.uncovered(APPROVED, plan(bind=[], unbind="unknown", soak="unknown")) == ["unbind", "soak"]
    assert _plan.uncovered(APPROVED, plan(unbind=[])) == []


def test_other_settings_and_new_errors_have_moved():
    now = copy.deepcopy(APPROVED)
    now["settings"]["mesh_cutover_steps"] = [100]
    trap = {"code": "trap", "severity": "error", "object": "Gateway a/b", "field": "", "found": "bad", "fix": "mend"}
    now["findings"] = [trap, {**trap, "code": "small", "severity": "warning"}]
    assert drift(APPROVED, now) == [
        ("settings", "setting", [10, 100], [100]), ("preflight", "Gateway a/b", "no finding", "trap: bad"),
    ]  # fmt: skip


def test_a_phase_that_refuses_now_has_moved():
    now = copy.deepcopy(APPROVED)
    now["phases"][0]["refused"] = "no such Gateway"
    assert drift(APPROVED, now) == [("bind", "the phase itself", "it could run", "no such Gateway")]


def test_an_edited_plan_is_refused():
    edited = copy.deepcopy(APPROVED)
    edited["phases"][0]["changes"].pop()
    with pytest.raises(Refusal) as refusal:
        _plan.parse(json.dumps(edited), "p.json")
    assert refusal.value.code == "plan_edited"
    for text in ("{", "[]", '{"format": 1}', '{"format": 9, "phases": [], "settings": {}}'):
        with pytest.raises(Refusal) as refusal:
            _plan.parse(text, "p.json")
        assert refusal.value.code == "plan_unreadable"


# -- the modules -----------------------------------------------------------------------------------------------------
def service(port: int = 30080):
    ports = [{"name": "http2", "port": 80, "protocol": "TCP", "nodePort": port}]
    meta = {"namespace": "edge", "name": "green"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"type": "NodePort", "ports": ports}}


@pytest.fixture
def said(tmp_path, monkeypatch):
    monkeypatch.setenv("BLUEGREEN_MESH_PLAN", str(tmp_path / "said"))
    return tmp_path / "said"


PORTS = {"namespace": "edge", "name": "green", "node_ports": {"http2": 31080}}


def test_a_module_in_check_mode_tells_the_plan(said):
    cluster = FakeCluster(service())
    run_module(service_node_ports, PORTS, cluster, check=True)
    assert json.loads(said.read_text()) == change("Service edge/green", 30080, 31080, "http2")
    assert cluster.writes == 0


def test_one_that_acts_or_changes_nothing_does_not(said):
    run_module(service_node_ports, PORTS, FakeCluster(service()))
    run_module(service_node_ports, PORTS, FakeCluster(service(31080)), check=True)
    assert not said.exists() or said.read_text() == ""


def test_a_change_by_others_modules_can_be_said(said):
    noted = {"state": "noted", "object": "Helm release a/b", "after": {"values": {"replicas": 2, "key": "hunter2"}},
             "shown": {"values": {"replicas": 1}}}  # fmt: skip
    assert not run_module(migration_plan, noted, FakeCluster())["changed"]
    run_module(migration_plan, noted, FakeCluster(), check=True)
    (line,) = said.read_text().splitlines()
    assert json.loads(line)["after"]["values"]["replicas"] == 2 and "hunter2" not in line


def write(tmp_path, cluster, changes, **params):
    (tmp_path / "said").write_text("".join(json.dumps(c) + "\n" for c in changes), encoding="utf-8")
    phases = [{"phase": "bind", "file": str(tmp_path / "said")}]
    options = {"migration": "m", "phases": phases, "dir": str(tmp_path / "plans"), "name": "m-lab", **params}
    return run_module(migration_plan, options, cluster)


def test_a_plan_is_written_once_and_refuses_when_the_cluster_moves(tmp_path):
    cluster = FakeCluster()
    first = write(tmp_path, cluster, [change("V", 1, 2)])
    assert first["changed"] and not write(tmp_path, cluster, [change("V", 1, 2)])["changed"]
    assert (tmp_path / "plans" / "m-lab.txt").read_text().splitlines() == first["text"]
    approved = {"state": "approved", "approved": first["files"][0]}
    assert write(tmp_path, cluster, [change("V", 1, 2)], **approved)["digest"] == first["digest"]
    moved = write(tmp_path, cluster, [change("V", 9, 2)], **approved)
    assert moved["failure"]["code"] == "plan_drift" and "bind: V spec: approved" in moved["msg"]
    assert moved["failure"]["drift"] == [
        {"phase": "bind", "object": "V", "field": "spec", "approved": {"from": 1}, "now": {"from": 9}}
    ]


def test_what_the_plan_does_not_cover_is_said(tmp_path):
    cluster = FakeCluster()
    unknown = [{"phase": "unbind", "unknown": "unknown until bind has run"}]
    first = write(tmp_path, cluster, [], phases=unknown)
    approved = {"state": "approved", "approved": first["files"][0]}
    told = write(tmp_path, cluster, [], phases=unknown, **approved)
    assert told["not_covered"] == ["unbind"] and "does not cover unbind" in str(told["warnings"])
    known = [{"phase": "unbind", "file": str(tmp_path / "said")}]
    assert write(tmp_path, cluster, [change("V", 1, 2)], phases=known, **approved)["failure"]["code"] == "plan_drift"
    again = write(tmp_path, cluster, [], phases=known, **approved)
    assert again["not_covered"] == [] and "warnings" not in again


def test_a_plan_of_something_else_is_refused(tmp_path):
    first = write(tmp_path, FakeCluster(), [])
    approved = {"state": "approved", "approved": first["files"][0]}
    assert write(tmp_path, FakeCluster(), [], **approved)["failure"]["code"] == "wrong_cluster"
    same = FakeCluster()
    assert not write(tmp_path, same, []).get("failed")
    other = write(tmp_path, same, [], **approved, migration="other")
    assert other["failure"]["code"] == "wrong_migration"
    missing = write(tmp_path, same, [], state="approved", approved=str(tmp_path / "none.json"))
    assert missing["failure"]["code"] == "plan_unreadable"
