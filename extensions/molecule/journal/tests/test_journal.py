# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal as the API server has it, and what it withstands there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal

NAMESPACE = "mesh-journal"


def data(cluster, name="demo"):
    return cluster.get(path_of("v1", "configmaps", NAMESPACE, name))["data"]


def take(cluster, name, run):
    store = _journal.Store(cluster, NAMESPACE, name)

    def change(state):
        _journal.take(state, {"id": run, "operator": "test", "host": "test", "started": _journal.now()}, True, "")
        return state.epoch

    return store.open(change)


def handle(cluster, epoch, name):
    return _journal.Journal.load(cluster, {"namespace": NAMESPACE, "name": name, "epoch": epoch, "phase": "bind"})


def test_the_configmap_holds_what_was_noted(cluster):
    found = data(cluster)
    assert found["epoch"] == "2"  # converge and idempotence
    assert found["cluster"] == cluster.uid()
    assert json.loads(found["phases"])["preflight"]["state"] == "done"
    assert json.loads(found["facts"]) == {"weights": {"blue": 100, "green": 0}}
    (step,) = json.loads(found["steps"])
    assert (step["op"], step["state"], step["inverse"]["module"]) == ("weights", "done", "haproxy_weights")


def test_check_mode_has_made_nothing(cluster):
    assert cluster.find(path_of("v1", "configmaps", NAMESPACE, "absent")) is None


def test_runs_that_open_at_once_all_get_epochs_of_their_own(cluster):
    with ThreadPoolExecutor(4) as pool:
        epochs = list(pool.map(lambda i: take(cluster, "race", f"run-{i}"), range(4)))
    assert sorted(epochs) == [1, 2, 3, 4] and data(cluster, "race")["epoch"] == "4"


def test_only_the_newest_epoch_writes(cluster):
    old = handle(cluster, take(cluster, "fence", "old"), "fence")
    old.check()
    new = handle(cluster, take(cluster, "fence", "new"), "fence")
    with pytest.raises(Refusal) as refusal:
        old.record("op", "key", {"module": "m", "params": {}})
    assert refusal.value.code == "stale_epoch" and "run new" in str(refusal.value)
    new.done(new.record("op", "key", {"module": "m", "params": {}}))


def test_large_and_secret_inverses_are_kept_out_of_the_configmap(cluster):
    run = handle(cluster, take(cluster, "large", "run"), "large")
    secret = {"module": "m", "params": {"key": "hunter2"}}
    large = {"module": "m", "params": {"names": [f"namespace/{i:060}" for i in range(5000)]}}
    run.record("a", "a", secret, secret=True)
    run.record("b", "b", large)
    assert "hunter2" not in json.dumps(data(cluster, "large"))
    steps = json.loads(data(cluster, "large")["steps"])
    assert [run.store.inverse(step) for step in steps] == [secret, large]
    body = cluster.get(path_of("v1", "secrets", NAMESPACE, steps[0]["backup"]))
    assert body["type"] == "Opaque" and set(body["metadata"]["labels"]) == {
        "app.kubernetes.io/managed-by", "bluegreen.mesh/journal",
    }  # fmt: skip


def test_a_full_journal_overflows_into_secrets_and_stays_below_the_servers_limit(cluster):
    run = handle(cluster, take(cluster, "full", "run"), "full")
    for i in range(20):
        run.record("op", str(i), {"module": "m", "params": {"x": "y" * 60000}})
    found = data(cluster, "full")
    assert sum(len(value) for value in found.values()) <= _journal.JOURNAL_LIMIT
    assert [step["key"] for step in json.loads(found["steps"])] == [str(i) for i in range(20)]
