# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal
from fake_cluster import FakeCluster, run_module

NAMESPACE = "bluegreen-mesh"
INVERSE = {"module": "virtual_service_gateways", "params": {"state": "unbound"}}


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def journal(cluster, check=False, **params):
    return run_module(migration_journal, {"name": "demo", **params}, cluster, check=check)


def opened(cluster, run_id="one", **params):
    result = journal(cluster, state="open", run_id=run_id, operator="ada", **params)
    assert not result.get("failed"), result
    return result["epoch"]


def handle(cluster, epoch, phase="bind"):
    return Journal.load(cluster, {"namespace": NAMESPACE, "name": "demo", "epoch": epoch, "phase": phase})


def stored(cluster):
    data = cluster.peek("configmaps", NAMESPACE, "demo")["data"]
    return {key: json.loads(value) if key != "cluster" else value for key, value in data.items()}


# -- open, close, fence ----------------------------------------------------------------------------------------------
def test_open_makes_namespace_and_journal(cluster):
    result = journal(cluster, state="open", run_id="one", operator="ada")
    assert result["changed"] and result["exists"] and result["epoch"] == 1
    assert result["run"]["id"] == "one" and result["run"]["operator"] == "ada" and result["run"]["state"] == "active"
    assert result["cluster"] == cluster.uid()
    body = cluster.peek("configmaps", NAMESPACE, "demo")
    assert body["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
    assert set(body["data"]) == {"epoch", "run", "cluster", "phases", "steps", "facts", "runs"}
    assert result["diff"]["before"] == {} and result["diff"]["after"]["epoch"] == 1


def test_open_with_the_current_epoch_is_a_check(cluster):
    epoch = opened(cluster)
    writes = cluster.writes
    again = journal(cluster, state="open", epoch=epoch)
    assert not again["changed"] and again["epoch"] == epoch and cluster.writes == writes
    opened(cluster, "two", takeover=True)
    stale = journal(cluster, state="open", epoch=epoch)
    assert stale["failed"] and stale["failure"]["code"] == "stale_epoch"


def test_open_in_check_mode_writes_nothing(cluster):
    result = journal(cluster, check=True, state="open")
    assert result["changed"] and result["exists"] is False and result["epoch"] == 1
    assert cluster.writes == 0
    opened(cluster)
    result = journal(cluster, check=True, state="open", takeover=True)
    assert result["exists"] is True and result["epoch"] == 2
    assert stored(cluster)["epoch"] == 1


def test_what_follows_a_check_mode_open_does_not_fail(cluster):
    epoch = journal(cluster, check=True, state="open")["epoch"]
    result = journal(
        cluster, check=True, state="recorded", epoch=epoch, phase="bind", phase_state="started", require=["preflight"]
    )
    assert not result.get("failed") and result["unmet"] == {"preflight": "it has not been run"}
    assert not journal(cluster, check=True, state="closed", epoch=epoch).get("failed")
    assert cluster.writes == 0


def test_a_closed_journal_is_opened_by_anyone(cluster):
    epoch = opened(cluster)
    assert journal(cluster, state="closed", epoch=epoch)["changed"]
    assert not journal(cluster, state="closed", epoch=epoch)["changed"]
    assert opened(cluster, "two") == 2


def test_the_same_run_opens_again_without_takeover(cluster):
    opened(cluster, "job-7")
    assert opened(cluster, "job-7") == 2


def test_an_open_journal_needs_takeover_and_says_who_has_it(cluster):
    opened(cluster)
    refused = journal(cluster, state="open", run_id="two")
    assert refused["failed"] and refused["failure"]["code"] == "run_active"
    for part in ("run one of ada", "epoch 1", "-e mesh_takeover=true", stored(cluster)["run"]["started"]):
        assert part in refused["msg"]
    assert opened(cluster, "two", takeover=True) == 2


def test_who_took_which_epoch_is_remembered_with_ticket_and_job(cluster):
    journal(cluster, state="open", run_id="one", operator="ada", ticket="CHG-7", job="42")
    assert "run one of ada" in journal(cluster, state="open", run_id="two")["msg"]
    assert "ticket CHG-7, job 42" in journal(cluster, state="open", run_id="two")["msg"]
    opened(cluster, "two", takeover=True)
    runs = journal(cluster)["runs"]
    assert [(r["epoch"], r["id"], r.get("ticket"), r.get("job")) for r in runs] == [
        (1, "one", "CHG-7", "42"), (2, "two", None, None),
    ]  # fmt: skip
    for _n in range(60):
        opened(cluster, "again", takeover=True)
    assert [run["epoch"] for run in journal(cluster)["runs"]] == list(range(13, 63))


def test_a_journal_of_before_runs_were_remembered_is_read(cluster):
    opened(cluster)
    cluster.edit("configmaps", NAMESPACE, "demo", lambda body: body["data"].pop("runs"))
    assert journal(cluster)["runs"] == [] and opened(cluster, "two", takeover=True) == 2


@pytest.mark.parametrize("act", ["check", "record", "done", "recorded", "closed"])
def test_an_older_epoch_is_refused_with_the_newer_runs_name(cluster, act):
    old = handle(cluster, opened(cluster))
    step = old.record("op", "key", INVERSE)
    opened(cluster, "two", takeover=True)
    before = cluster.peek("configmaps", NAMESPACE, "demo")
    if act in ("recorded", "closed"):
        result = journal(cluster, state=act, epoch=1)
        code, text = result["failure"]["code"], result["msg"]
    else:
        with pytest.raises(Refusal) as refusal:
            acts = {"record": lambda: old.record("op", "new", INVERSE), "done": lambda: old.done(step)}
            acts.get(act, old.check)()
        code, text = refusal.value.code, str(refusal.value)
    assert code == "stale_epoch" and "run two of ada" in text and "epoch 2" in text and "epoch 1" in text
    assert cluster.peek("configmaps", NAMESPACE, "demo") == before


def test_two_runs_that_open_at_the_same_moment_get_different_epochs(cluster):
    opened(cluster, "zero")
    raced = []

    def rival(_request):
        raced.append(opened(cluster, "rival", takeover=True))

    cluster.on("PATCH", "*/configmaps/demo", rival, times=1)
    result = journal(cluster, state="open", run_id="late", takeover=True)
    assert (raced, result["epoch"]) == ([2], 3)
    refused = journal(cluster, state="open", run_id="later")
    assert refused["failure"]["code"] == "run_active"


def test_the_loser_of_a_race_without_takeover_is_refused(cluster):
    raced = []

    def rival(_request):
        raced.append(opened(cluster, "rival"))

    cluster.on("POST", "*/configmaps", rival, times=1)
    result = journal(cluster, state="open", run_id="late")
    assert result["failed"] and result["failure"]["code"] == "run_active" and "run rival" in result["msg"]


def test_an_open_whose_answer_was_lost_takes_one_epoch(cluster):
    opened(cluster, "zero")

    def repeated(request):
        cluster.raw(*request)
        return 409, {"reason": "Conflict"}

    cluster.on("PATCH", "*/configmaps/demo", repeated, times=1)
    assert opened(cluster, "one", takeover=True) == 2


def test_writing_after_closing_is_refused(cluster):
    epoch = opened(cluster)
    journal(cluster, state="closed", epoch=epoch)
    with pytest.raises(Refusal) as refusal:
        handle(cluster, epoch).check()
    assert refusal.value.code == "run_closed"


def test_an_epoch_from_the_future_is_refused(cluster):
    opened(cluster)
    with pytest.raises(Refusal) as refusal:
        handle(cluster, 7).check()
    assert refusal.value.code == "unknown_epoch"


def test_another_clusters_journal_is_refused(cluster):
    epoch = opened(cluster)
    cluster.edit("configmaps", NAMESPACE, "demo", lambda body: body["data"].update(cluster="elsewhere"))
    with pytest.raises(Refusal) as refusal:
        handle(cluster, epoch).check()
    assert refusal.value.code == "wrong_cluster" and "elsewhere" in str(refusal.value)
    assert journal(cluster, state="open", takeover=True)["failure"]["code"] == "wrong_cluster"


def test_a_foreign_configmap_is_left_alone(cluster):
    metadata = {"namespace": NAMESPACE, "name": "demo"}
    cluster.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})
    assert journal(cluster, state="open")["failure"]["code"] == "not_a_journal"
    assert cluster.writes == 0


@pytest.mark.parametrize("damage", [{"steps": "{"}, {"steps": "{}"}, {"epoch": "x"}, {"phases": None}])
def test_a_damaged_journal_is_refused(cluster, damage):
    opened(cluster)

    def spoil(body):
        for key, value in damage.items():
            if value is None:
                del body["data"][key]
            else:
                body["data"][key] = value

    cluster.edit("configmaps", NAMESPACE, "demo", spoil)
    assert journal(cluster)["failure"]["code"] == "journal_damaged"


def test_no_journal(cluster):
    assert journal(cluster)["exists"] is False
    assert journal(cluster, undo_from="bind")["failure"]["code"] == "no_journal"
    with pytest.raises(Refusal) as refusal:
        handle(cluster, 1).check()
    assert refusal.value.code == "no_journal"
    assert cluster.writes == 0


def test_load_asks_nothing(cluster):
    assert Journal.load(cluster, None) is None
    handle(cluster, 1)
    assert cluster.total == 0


@pytest.mark.parametrize("name", ["Demo", "a.b", "-a", "a" * 41, ""])
def test_bad_names(cluster, name):
    assert journal(cluster, name=name)["failure"]["code"] == "bad_name"


def test_bad_phase(cluster):
    with pytest.raises(Refusal) as refusal:
        handle(cluster, 1, phase="binding")
    assert refusal.value.code == "unknown_phase" and "bind" in str(refusal.value)


@pytest.mark.parametrize(
    "params",
    [{"facts": {"a": 1}}, {"state": "open", "undo_from": "bind"}, {"state": "recorded", "epoch": 1, "takeover": True},
     {"state": "open", "require": ["bind"]}],
)  # fmt: skip
def test_options_that_would_be_ignored_are_refused(cluster, params):
    result = journal(cluster, **params)
    assert result["failed"] and result["failure"]["code"] == "bad_options" and cluster.total == 0


# -- phases and facts ------------------------------------------------------------------------------------------------
def recorded(cluster, epoch, **params):
    result = journal(cluster, state="recorded", epoch=epoch, **params)
    assert not result.get("failed"), result
    return result


def test_phase_goes_from_started_to_done_and_a_second_run_changes_nothing(cluster):
    epoch = opened(cluster)
    for to in ("started", "done"):
        assert recorded(cluster, epoch, phase="bind", phase_state=to)["changed"]
        assert not recorded(cluster, epoch, phase="bind", phase_state=to)["changed"]
    assert stored(cluster)["phases"]["bind"]["state"] == "done"
    assert not recorded(cluster, epoch, phase="bind", phase_state="started")["changed"]
    assert stored(cluster)["phases"]["bind"]["state"] == "done"


def test_a_new_step_makes_a_done_phase_started_again(cluster):
    epoch = opened(cluster)
    recorded(cluster, epoch, phase="bind", phase_state="done")
    handle(cluster, epoch).record("op", "key", INVERSE)
    assert stored(cluster)["phases"]["bind"]["state"] == "started"


def test_require_names_the_phase_and_the_tag(cluster):
    epoch = opened(cluster)
    recorded(cluster, epoch, phase="preflight", phase_state="done")
    recorded(cluster, epoch, phase="bind", phase_state="started")
    writes = cluster.writes
    result = journal(
        cluster, state="recorded", epoch=epoch, phase="cutover", phase_state="started",
        require=["preflight", "bind", "verify"],
    )  # fmt: skip
    assert result["failure"]["code"] == "phase_missing" and cluster.writes == writes
    assert "bind: it was started at" in result["msg"] and "verify: it has not been run" in result["msg"]
    assert "-t bind first" in result["msg"] and "preflight:" not in result["msg"]
    recorded(cluster, epoch, phase="bind", phase_state="done")
    recorded(cluster, epoch, phase="verify", phase_state="done")
    assert recorded(cluster, epoch, require=["preflight", "bind", "verify"])["unmet"] == {}
    recorded(cluster, epoch, phase="bind", phase_state="undone")
    assert "rolled back" in journal(cluster, require=["bind"])["msg"]


def test_facts_are_merged(cluster):
    epoch = opened(cluster)
    assert recorded(cluster, epoch, facts={"weights": {"a": 1}, "x": 1})["changed"]
    assert not recorded(cluster, epoch, facts={"x": 1})["changed"]
    result = recorded(cluster, epoch, facts={"x": None, "point_of_no_return": {"phase": "cleanup"}})
    assert result["facts"] == {"weights": {"a": 1}, "point_of_no_return": {"phase": "cleanup"}}
    assert journal(cluster)["point_of_no_return"] == {"phase": "cleanup"}
    too_big = journal(cluster, state="recorded", epoch=epoch, facts={"big": "x" * 40000})
    assert too_big["failure"]["code"] == "facts_too_big" and "big" in too_big["msg"]


def test_recording_in_check_mode_writes_nothing(cluster):
    epoch = opened(cluster)
    writes = cluster.writes
    step = {"op": "weights", "key": "lb", "inverse": INVERSE}
    result = journal(cluster, check=True, state="recorded", epoch=epoch, phase="bind", phase_state="done", step=step)
    assert result["changed"] and result["step_id"] == "" and cluster.writes == writes
    assert result["diff"]["after"]["phases"]["bind"]["state"] == "done"


# -- steps -----------------------------------------------------------------------------------------------------------
def test_a_step_is_written_before_it_is_done(cluster):
    run = handle(cluster, opened(cluster))
    step = run.record("bind", "all", INVERSE)
    assert stored(cluster)["steps"][0]["state"] == "recorded" and stored(cluster)["steps"][0]["inverse"] == INVERSE
    run.done(step)
    assert stored(cluster)["steps"][0]["state"] == "done"


def test_the_first_inverse_is_kept(cluster):
    run = handle(cluster, opened(cluster))
    first = run.record("bind", "all", INVERSE)
    assert run.record("bind", "all", {"module": "other", "params": {}}) == first
    run.done(first)
    next_run = handle(cluster, opened(cluster, "two", takeover=True))
    assert next_run.record("bind", "all", {"module": "other", "params": {}}) == first
    assert [step["inverse"] for step in stored(cluster)["steps"]] == [INVERSE]


def test_an_undone_step_makes_room_for_a_new_one(cluster):
    epoch = opened(cluster)
    run = handle(cluster, epoch)
    first = run.record("bind", "all", INVERSE)
    assert recorded(cluster, epoch, undone=[first])["changed"]
    second = handle(cluster, epoch).record("bind", "all", {"module": "other", "params": {}})
    assert second != first
    handle(cluster, epoch).done(first, second)
    assert [step["state"] for step in stored(cluster)["steps"]] == ["undone", "done"]


def test_a_conflicting_write_is_repeated_from_a_fresh_read(cluster):
    epoch = opened(cluster)
    run = handle(cluster, epoch)
    run.check()
    handle(cluster, epoch).record("a", "a", INVERSE)
    run.record("b", "b", INVERSE)
    assert [step["op"] for step in stored(cluster)["steps"]] == ["a", "b"]


def test_endless_conflicts_end(cluster):
    run = handle(cluster, opened(cluster))
    cluster.fail("PATCH", "*/configmaps/demo", 409, "Conflict")
    with pytest.raises(Refusal) as refusal:
        run.record("a", "a", INVERSE)
    assert refusal.value.code == "conflict" and cluster.requests["PATCH"] == _journal.TRIES


def test_requests_of_a_step_are_few(cluster):
    run = handle(cluster, opened(cluster))
    before = cluster.total
    run.done(run.record("a", "a", INVERSE))
    assert cluster.total - before == 4  # kube-system's UID, the journal, the step, its end


def test_unknown_steps_are_refused(cluster):
    epoch = opened(cluster)
    result = journal(cluster, state="recorded", epoch=epoch, done=["nope"])
    assert result["failure"]["code"] == "unknown_step" and "nope" in result["msg"]


def test_a_large_inverse_goes_to_a_secret_and_comes_back(cluster):
    epoch = opened(cluster)
    large = {"module": "m", "params": {"names": [f"namespace/name-{i}" for i in range(5000)]}}
    handle(cluster, epoch).record("bind", "all", large)
    step = stored(cluster)["steps"][0]
    assert step["inverse"] is None and step["backup"] == f"demo-backup-{step['id']}"
    secret = cluster.peek("secrets", NAMESPACE, step["backup"])
    assert secret["type"] == "Opaque" and "owner" not in secret["metadata"]["labels"]
    assert journal(cluster, undo_from="bind")["undo"][0]["inverse"] == large


def test_a_secret_inverse_is_never_returned(cluster):
    epoch = opened(cluster)
    run = handle(cluster, epoch)
    run.record("copy", "a/b", {"module": "m", "params": {"data": "hunter2"}}, secret=True, backup={"more": "hunter3"})
    result = journal(cluster, undo_from="bind")
    assert "hunter" not in json.dumps(result) and "hunter" not in json.dumps(stored(cluster))
    step = result["undo"][0]
    assert step["inverse"] == {"module": "m", "params": None} and step["secret"] is True
    assert run.store.inverse(step)["params"] == {"data": "hunter2"}
    assert run.store.backup(step)["more"] == b"hunter3"


def test_a_backup_leaves_a_small_inverse_where_it_is(cluster):
    run = handle(cluster, opened(cluster))
    run.record("edit", "a/b", INVERSE, backup={"release": b"\x1f\x8b"})
    step = stored(cluster)["steps"][0]
    assert step["inverse"] == INVERSE and run.store.backup(step) == {"release": b"\x1f\x8b"}


def test_a_backup_that_is_gone_is_said_so(cluster):
    epoch = opened(cluster)
    handle(cluster, epoch).record("a", "b", {"module": "m", "params": {"x": "y" * 70000}})
    name = stored(cluster)["steps"][0]["backup"]
    cluster.delete(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")
    result = journal(cluster, undo_from="bind")
    assert result["failure"]["code"] == "backup_missing" and name in result["msg"]


def test_undo_is_newest_first_from_the_named_phase_on(cluster):
    epoch = opened(cluster)
    for phase, key in [("keep", "1"), ("bind", "2"), ("deploy", "3"), ("keep", "4"), ("cutover", "5")]:
        run = handle(cluster, epoch, phase)
        run.done(run.record("op", key, INVERSE))
    undo = journal(cluster, undo_from="bind")["undo"]
    assert [step["key"] for step in undo] == ["5", "3", "2"]
    recorded(cluster, epoch, undone=[undo[0]["id"]])
    assert [step["key"] for step in journal(cluster, undo_from="bind")["undo"]] == ["3", "2"]


def test_what_says_so_is_undone_before_all_else_of_its_phase(cluster):
    epoch = opened(cluster)
    for phase, key, inverse in [
        ("bind", "1", {**INVERSE, "first": True}), ("bind", "2", INVERSE), ("deploy", "3", INVERSE),
        ("bind", "4", INVERSE), ("deploy", "5", INVERSE), ("keep", "6", {**INVERSE, "first": True}),
    ]:  # fmt: skip
        run = handle(cluster, epoch, phase)
        run.done(run.record("op", key, inverse))
    assert [step["key"] for step in journal(cluster, undo_from="bind")["undo"]] == ["5", "1", "4", "3", "2"]
    assert [step["key"] for step in journal(cluster, undo_from="keep")["undo"]][0] == "6"


def test_rollback_is_fenced_and_records_nothing(cluster):
    run = handle(cluster, opened(cluster), "rollback")
    step = run.record("bind", "all", INVERSE)
    run.done(step)
    assert step == "" and stored(cluster)["steps"] == []
    opened(cluster, "two", takeover=True)
    with pytest.raises(Refusal):
        run.record("bind", "more", INVERSE)


def test_a_role_records_its_own_step(cluster):
    epoch = opened(cluster)
    inverse = {"module": "haproxy_weights", "params": {"weights": {"blue": 100}}}
    step = {"op": "weights", "key": "lb/https", "inverse": inverse}
    first = recorded(cluster, epoch, phase="cutover", step=step)
    assert first["changed"] and first["step_id"]
    assert not recorded(cluster, epoch, phase="cutover", step=step)["changed"]
    assert recorded(cluster, epoch, done=[first["step_id"]])["steps"][0]["state"] == "done"


def test_undone_steps_are_forgotten_when_room_is_needed_and_others_never(cluster):
    epoch = opened(cluster)
    run = handle(cluster, epoch)
    ids = [run.record("op", str(i), {"module": "m", "params": {"x": "y" * 60000}}) for i in range(14)]
    recorded(cluster, epoch, undone=ids[:3])
    run = handle(cluster, epoch)
    more = run.record("op", "more", {"module": "m", "params": {"x": "z" * 60000}})  # no room left: to a Secret
    keys = [step["key"] for step in stored(cluster)["steps"]]
    assert set(ids[3:]) | {more} <= {step["id"] for step in stored(cluster)["steps"]}
    assert sum(len(v) for v in cluster.peek("configmaps", NAMESPACE, "demo")["data"].values()) <= _journal.JOURNAL_LIMIT
    assert keys[-1] == "more"


def test_a_refused_permission_is_named(cluster):
    cluster.fail("GET", "*/configmaps/demo", 403, "Forbidden", 'cannot get resource "configmaps"')
    result = journal(cluster)
    assert result["failed"] and "configmaps" in result["msg"] and result["failure"]["status"] == 403
