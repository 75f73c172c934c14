# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal's copy outside the cluster: what is in it, what it refuses, and that a restored journal undoes the same."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _journal
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal
from fake_cluster import FakeCluster, run_module

WHERE = {"namespace": "bluegreen-mesh", "name": "demo"}


def journal(cluster, **params):
    return run_module(migration_journal, {**WHERE, **params}, cluster)


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture
def copy(cluster, tmp_path):
    """Of a journal with one secret and one plain step, closed."""
    journal(cluster, state="open", run_id="one", operator="ada")
    ref = {**WHERE, "epoch": 1, "phase": "bind"}
    run = _journal.Journal.load(cluster, ref)
    run.record("a", "secret", {"module": "m", "params": {"key": "hunter2"}}, secret=True)
    run.record("b", "plain", {"module": "m", "params": {"x": 1}})
    closed = journal(cluster, state="closed", epoch=1, backup_dir=str(tmp_path / "copies"))
    assert not closed.get("failed"), closed
    return closed["backup_file"]


def lose(cluster):
    for name in cluster.names("secrets", "bluegreen-mesh"):
        cluster.delete(f"/api/v1/namespaces/bluegreen-mesh/secrets/{name}")
    cluster.delete("/api/v1/namespaces/bluegreen-mesh/configmaps/demo")


def restore(cluster, path, **params):
    return journal(cluster, state="restored", src=path, **params)


def test_a_copy_is_for_its_owner_alone_and_one_for_each_run(cluster, copy):
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    journal(cluster, state="open", run_id="two")
    journal(cluster, state="closed", epoch=2, backup_dir=os.path.dirname(copy))
    assert len(os.listdir(os.path.dirname(copy))) == 2


def test_check_mode_writes_no_copy(cluster, tmp_path):
    journal(cluster, state="open")
    params = {**WHERE, "state": "closed", "epoch": 1, "backup_dir": str(tmp_path / "none")}
    run_module(migration_journal, params, cluster, check=True)
    assert not (tmp_path / "none").exists()


def test_what_was_lost_is_restored_and_undoes_the_same(cluster, copy):
    before = journal(cluster, state="read")
    lose(cluster)
    result = restore(cluster, copy)
    assert result["changed"] and result["steps"] == before["steps"] and result["run"]["state"] == "closed"
    store = _journal.Store(cluster, **WHERE)
    inverses = [store.inverse(step)["params"] for step in store.existing().steps]
    assert inverses == [{"key": "hunter2"}, {"x": 1}]
    assert not restore(cluster, copy)["changed"]


def test_no_run_of_before_can_write_any_more(cluster, copy):
    journal(cluster, state="open", run_id="two")
    lose(cluster)
    restore(cluster, copy)
    for epoch in (1, 2):
        assert journal(cluster, state="closed", epoch=epoch)["failure"]["code"] == "stale_epoch"
    assert journal(cluster, state="open", run_id="three")["epoch"] > 1000


def test_a_restore_that_was_killed_is_finished_by_the_next(cluster, copy):
    lose(cluster)
    cluster.fail("POST", "*/secrets", 403, "Forbidden", times=1)
    assert restore(cluster, copy)["failed"]
    restore(cluster, copy)
    assert len(cluster.names("secrets", "bluegreen-mesh")) == 1


def test_the_copy_of_another_cluster_or_migration_is_refused(cluster, copy):
    assert restore(FakeCluster(), copy)["failure"]["code"] == "wrong_cluster"
    assert restore(cluster, copy, name="other")["failure"]["code"] == "wrong_migration"


def test_a_copy_that_would_forget_steps_is_refused_unless_told(cluster, copy):
    journal(cluster, state="open", run_id="two")
    _journal.Journal.load(cluster, {**WHERE, "epoch": 2, "phase": "bind"}).record("c", "new", {"module": "m", "params": {}})
    refused = restore(cluster, copy)
    assert refused["failure"]["code"] == "backup_older" and "mesh_journal_restore_older" in refused["msg"]
    assert [step["key"] for step in restore(cluster, copy, older=True)["steps"]] == ["secret", "plain"]


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"format": 9}', json.dumps({"format": 1, "data": {}})])
def test_what_is_no_copy_is_refused(cluster, tmp_path, content):
    path = tmp_path / "copy.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    refused = restore(cluster, str(path))
    assert refused["failure"]["code"] == "backup_unreadable" and str(path) in refused["msg"] and cluster.writes == 0


def test_a_folder_that_can_not_be_written_is_said(cluster, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    journal(cluster, state="open")
    result = journal(cluster, state="closed", epoch=1, backup_dir=str(tmp_path / "file"))
    assert result["failure"]["code"] == "no_backup" and "mesh_journal_backup_dir" in result["msg"]
    assert journal(cluster)["run"]["state"] == "closed"
