# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mesh_wave: both switches at once, workloads one batch after another until their pods are in the new mesh, and
back."""

from __future__ import annotations

import json

import by_hand
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _mesh_swap, _mesh_wave
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import mesh_wave as rendered
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook._command import Book
from ansible_collections.bluegreen.mesh.plugins.modules import mesh_wave, migration_journal
from fake_cluster import run_module
from fake_ingress import journal, namespace, thing
from fake_rollout import deployment, meshes


JOURNAL = {"namespace": "journals", "name": "m"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_mesh_wave, "LOOK_SECONDS", 0.01)


def run(fake, check=False, **options):
    given = {"namespaces": ["shop"], "name": "wave-1", "timeout": 1, **options}
    return run_module(mesh_wave, given, fake, check=check)


def steps_of(fake):
    return json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])


def test_pods_change_meshes_and_a_second_run_changes_nothing():
    fake = meshes(deployment(), deployment("shop/api"))
    assert fake.proxies("shop", "web") == {"istio": 2}
    done = run(fake)
    assert (
        done["changed"] and done["done"] == ["Deployment shop/api", "Deployment shop/web"] and done["remaining"] == []
    )
    assert fake.proxies("shop", "web") == fake.proxies("shop", "api") == {"linkerd": 2}
    writes = fake.writes
    again = run(fake, name="wave-1-again")
    assert again["changed"] is False and fake.writes == writes and fake.restarts == ["api", "web"]


def test_istios_switch_and_linkerds_are_turned_in_one_patch():
    fake = meshes(deployment())
    run(fake)
    (patch,) = [r for r in fake.log if r.method == "PATCH" and r.path == "/api/v1/namespaces/shop"]
    paths = {operation["path"] for operation in patch.body}
    assert "/metadata/labels/istio-injection" in paths and "/metadata/annotations/linkerd.io~1inject" in paths
    first_restart = next(i for i, r in enumerate(fake.log) if r.method == "PATCH" and "deployments" in r.path)
    assert fake.log.index(patch) < first_restart


def test_check_mode_says_what_would_be_and_writes_nothing():
    fake = meshes(deployment())
    predicted = run(fake, check=True)
    assert predicted["changed"] and fake.writes == 0 and fake.restarts == []
    assert run(fake)["objects"] == predicted["objects"]


def test_the_wave_comes_back_to_exactly_what_was_there():
    fake = meshes(deployment(labels={"sidecar.istio.io/inject": "true"}), labels={"istio.io/rev": "1-29", "team": "a"})
    before = fake.peek("namespaces", "", "shop")["metadata"]
    template = fake.peek("deployments", "shop", "web")["spec"]["template"]
    run(fake)
    assert fake.proxies("shop", "web") == {"linkerd": 2}
    back = run(fake, state="istio")
    assert back["changed"] and fake.proxies("shop", "web") == {"istio": 2}
    after = fake.peek("namespaces", "", "shop")["metadata"]
    assert after["labels"] == before["labels"] and not after.get("annotations")
    now = fake.peek("deployments", "shop", "web")["spec"]["template"]
    assert now["metadata"]["labels"] == template["metadata"]["labels"] and now["spec"] == template["spec"]
    assert run(fake, state="istio")["changed"] is False
    assert run(fake)["changed"] and fake.proxies("shop", "web") == {"linkerd": 2}


def test_the_journal_takes_a_wave_back_as_one():
    fake = meshes(deployment(), deployment("shop/api", labels={"sidecar.istio.io/inject": "true"}))
    run(fake, journal=journal(fake, run_module, "cutover"), limit=1)
    run(fake, journal=journal(fake, run_module, "cutover"))
    (step,) = steps_of(fake)
    assert step["state"] == "done" and step["key"] == "wave-1: shop"
    back = run_module(mesh_wave, step["inverse"]["params"], fake)
    assert back["changed"] and fake.proxies("shop", "web") == fake.proxies("shop", "api") == {"istio": 2}
    assert fake.peek("namespaces", "", "shop")["metadata"]["labels"] == {"istio-injection": "enabled"}


def test_a_wave_that_goes_back_by_itself_leaves_nothing_to_undo():
    fake = meshes(deployment())
    mine = journal(fake, run_module, "cutover")
    run(fake, journal=mine)
    run(fake, journal=mine, state="istio")
    assert [step["state"] for step in steps_of(fake)] == ["undone"]
    run(fake, journal=mine)
    assert [step["state"] for step in steps_of(fake)] == ["undone", "done"]


def test_a_wave_that_stops_half_way_is_to_be_undone():
    fake = meshes(deployment())
    fake.stuck.add("web")
    assert "failure" in run(fake, journal=journal(fake, run_module, "cutover"), timeout=1)
    assert [step["state"] for step in steps_of(fake)] == ["recorded"]


def test_pods_that_others_made_meanwhile_come_back_too():
    fake = meshes(deployment("shop/a"), deployment("shop/b"))
    run(fake, limit=1)
    fake.edit("deployments", "shop", "b", lambda body: body["spec"]["template"]["metadata"].update(annotations={"x": "1"}))
    fake.roll()
    assert fake.proxies("shop", "b") == {"linkerd": 2}
    assert run(fake, state="istio")["remaining"] == []
    assert fake.proxies("shop", "a") == fake.proxies("shop", "b") == {"istio": 2}


def test_who_was_in_linkerds_mesh_before_stays_there():
    fake = meshes(deployment("shop/a", annotations={"linkerd.io/inject": "enabled"}, labels={"sidecar.istio.io/inject": "false"}))
    assert fake.proxies("shop", "a") == {"linkerd": 2}
    run(fake)
    assert run(fake, state="istio")["done"] == [] and fake.proxies("shop", "a") == {"linkerd": 2}


def test_by_hand_a_wave_is_taken_back_by_what_was_noted():
    before = deployment(labels={"sidecar.istio.io/inject": "true"}, annotations={"linkerd.io/inject": "disabled"})
    fake = meshes(before, labels={"istio-injection": "enabled", "team": "a"})
    run(fake)
    params = {"name": "wave-1", "namespaces": ["shop"], "workloads": [], "state": "istio"}
    switches, *rollouts = rendered.commands({}, params, Book("m", "n"))
    (space,) = by_hand.run(switches.run, fake.peek("namespaces", "", "shop"))
    assert space["metadata"]["labels"] == {"istio-injection": "enabled", "team": "a"}
    assert not {"linkerd.io/inject", "bluegreen.mesh/istio-was"} & space["metadata"]["annotations"].keys()
    other = {"metadata": {"annotations": {}}, "spec": {}}
    done = by_hand.run(rollouts[0].run, fake.peek("deployments", "shop", "web"), other)
    assert len(done) == 1
    meta = done[0]["spec"]["template"]["metadata"]
    assert meta["labels"] == before["spec"]["template"]["metadata"]["labels"]
    assert meta["annotations"] == {"linkerd.io/inject": "disabled", "bluegreen.mesh/wave": "wave-1-back"}
    assert "bluegreen.mesh/istio-was" not in done[0]["metadata"]["annotations"]


def test_a_limit_stops_for_a_look_and_the_next_run_goes_on():
    fake = meshes(*(deployment(f"shop/w{n}") for n in range(5)))
    first = run(fake, limit=2)
    assert len(first["done"]) == 2 and len(first["remaining"]) == 3 and len(fake.restarts) == 2
    second = run(fake, limit=2)
    assert len(second["done"]) == 4 and len(second["remaining"]) == 1
    assert run(fake)["remaining"] == [] and sorted(fake.restarts) == [f"w{n}" for n in range(5)]


def test_no_more_roll_out_at_once_than_is_allowed():
    fake = meshes(*(deployment(f"shop/w{n}") for n in range(5)))
    open_, most = set(), []

    def patched(request):
        open_.add(request.path)
        most.append(len(open_))

    fake.on("PATCH", "*/deployments/*", patched)
    fake.on("GET", "*/shop/pods", lambda _request: open_.clear())
    run(fake, parallel=2)
    assert max(most) == 2 and len(fake.restarts) == 5


def test_a_workload_that_does_not_get_ready_stops_the_wave_there():
    fake = meshes(deployment("shop/a"), deployment("shop/b"), deployment("shop/c"))
    fake.stuck.add("b")
    result = run(fake, timeout=1)
    assert result["failure"]["code"] == "not_arrived" and result["failure"]["done"] == ["Deployment shop/a"]
    assert list(result["failure"]["stuck"]) == ["Deployment shop/b"] and result["failure"]["remaining"] == [
        "Deployment shop/c"
    ]
    assert fake.restarts == ["a", "b"] and fake.proxies("shop", "c") == {"istio": 2}
    fake.stuck.clear()
    fake.edit("deployments", "shop", "b", lambda body: body["status"].update(availableReplicas=2))
    assert run(fake)["remaining"] == [] and fake.restarts == ["a", "b", "c"]


class Clock:
    """Time that goes by only while somebody sleeps. during: what happens at the first sleep."""

    def __init__(self, during=lambda: None):
        self.now, self.slept, self.during = 100.0, 0.0, during

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.during()
        self.during = lambda: None
        self.now += seconds
        self.slept += seconds


def test_a_pause_lasts_as_long_as_it_is_asked_for_and_only_between_batches(monkeypatch):
    fake, clock = meshes(deployment("shop/a"), deployment("shop/b"), deployment("shop/c")), Clock()
    monkeypatch.setattr(_mesh_wave, "time", clock)
    assert run(fake, pause=30, check=True)["changed"] and clock.slept == 0
    assert run(fake, pause=30)["remaining"] == [] and clock.slept == pytest.approx(60)


def test_what_does_not_stay_up_in_a_pause_stops_the_wave_there(monkeypatch):
    fake = meshes(deployment("shop/a"), deployment("shop/b"))

    def falls():
        fake.edit("deployments", "shop", "a", lambda body: body["status"].update(availableReplicas=1))

    monkeypatch.setattr(_mesh_wave, "time", Clock(falls))
    failure = run(fake, pause=30)["failure"]
    assert failure["code"] == "not_arrived" and failure["stuck"] == {"Deployment shop/a": "1 of 2 pods are ready"}
    assert failure["remaining"] == ["Deployment shop/b"] and fake.proxies("shop", "b") == {"istio": 2}


def test_a_newer_run_ends_a_pause(monkeypatch):
    fake = meshes(deployment("shop/a"), deployment("shop/b"))
    place = journal(fake, run_module)
    clock = Clock(lambda: run_module(migration_journal, {**JOURNAL, "state": "open", "takeover": True}, fake))
    monkeypatch.setattr(_mesh_wave, "time", clock)
    assert run(fake, pause=3600, journal=place)["failure"]["code"] == "stale_epoch"
    assert clock.slept < 3600 and fake.restarts == ["a"]


def test_pods_without_a_proxy_are_no_success():
    fake = meshes(deployment())
    fake.injectors.discard("linkerd")
    result = run(fake)
    assert result["failure"]["code"] == "not_arrived" and "injector did not act" in result["msg"]


def test_single_workloads_leave_their_namespace_as_it_is():
    fake = meshes(deployment(), deployment("shop/api"))
    before = fake.peek("namespaces", "", "shop")
    run(fake, workloads=["Deployment shop/web"])
    assert fake.proxies("shop", "web") == {"linkerd": 2} and fake.proxies("shop", "api") == {"istio": 2}
    assert fake.peek("namespaces", "", "shop") == before
    run(fake, workloads=["Deployment shop/web"], state="istio")
    assert fake.proxies("shop", "web") == {"istio": 2}


def test_errors_stop_it_before_anything_is_written():
    strict = thing("security.istio.io/v1", "PeerAuthentication", "shop/p", {"mtls": {"mode": "STRICT"}})
    fake = meshes(deployment(), strict)
    result = run(fake)
    assert result["failure"]["code"] == "findings" and "swap_strict_mtls" in result["msg"] and fake.writes == 0
    assert run(fake, waive=["swap_strict_mtls:shop/p"])["changed"]


def test_a_finding_of_another_workload_does_not_stop_a_wave_of_one():
    fake = meshes(deployment(), deployment("shop/one", replicas=1, strategy={"type": "Recreate"}))
    assert run(fake)["failure"]["code"] == "findings"
    assert run(fake, workloads=["Deployment shop/web"])["changed"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"namespaces": []}, "bad_option"), ({"namespaces": ["nowhere"]}, "no_such_namespace"),
        ({"namespaces": ["istio-system"]}, "bad_option"), ({"parallel": 0}, "bad_option"), ({"waive": ["x"]}, "bad_option"),
        ({"workloads": ["Deployment shop/none"]}, "no_such_workload"),
    ],
)  # fmt: skip
def test_bad_options_change_nothing(options, code):
    fake = meshes(deployment())
    assert run(fake, **options)["failure"]["code"] == code and fake.writes == 0


# -- rules -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("labels", "pod", "annotations", "expected"),
    [
        ({"istio-injection": "enabled"}, {}, {}, True), ({"istio-injection": "disabled", "istio.io/rev": "a"}, {}, {}, False),
        ({"istio.io/rev": "a"}, {}, {}, True), ({}, {}, {}, False), ({}, {"istio.io/rev": "a"}, {}, True),
        ({"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, {}, False),
        ({"istio-injection": "enabled"}, {}, {"sidecar.istio.io/inject": "false"}, False),
        ({}, {"sidecar.istio.io/inject": "true"}, {}, True),
        ({}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}, True),
    ],
)  # fmt: skip
def test_whom_istio_injects(labels, pod, annotations, expected):
    assert (
        _mesh_swap.injected_by_istio(namespace("n", labels), {"metadata": {"labels": pod, "annotations": annotations}})
        is expected
    )


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Deployment", {"replicas": 2}, 0), ("Deployment", {"replicas": 4}, 25), ("Deployment", {"replicas": 1}, 0),
        ("Deployment", {"replicas": 1, "strategy": {"type": "Recreate"}}, 100), ("Deployment", {"replicas": 0}, 0),
        ("Deployment", {"replicas": 1, "strategy": {"rollingUpdate": {"maxUnavailable": 1}}}, 100),
        ("StatefulSet", {"replicas": 1}, 100), ("StatefulSet", {"replicas": 3}, 33),
        ("DaemonSet", {"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}, 0),
    ],
)  # fmt: skip
def test_how_many_pods_a_strategy_takes_away_at_once(kind, spec, expected):
    assert _mesh_swap.unavailable({"kind": kind, "metadata": {}, "spec": spec}) == expected


@pytest.mark.parametrize(
    ("kind", "spec", "status", "words"),
    [
        ("Deployment", {"replicas": 2}, {"observedGeneration": 1}, "has not seen"),
        ("Deployment", {"replicas": 2}, {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 2}, "1 of 2 pods are new"),
        ("Deployment", {"replicas": 2}, {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3}, "1 old"),
        ("Deployment", {"replicas": 2},
         {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 1}, "1 of 2 pods are ready"),
        ("DaemonSet", {}, {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
                           "numberAvailable": 2}, ""),
        ("StatefulSet", {"replicas": 1}, {"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 1}, ""),
    ],
)  # fmt: skip
def test_when_a_workload_has_rolled_out(kind, spec, status, words):
    body = {"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}
    found = _mesh_swap.rolled_out(body)
    assert words in found and bool(found) is bool(words)


def test_waves_keep_together_what_policies_tie():
    mesh = _mesh_swap.Mesh({"pods": []}, ["a", "b", "c", "d", "e"])
    assert _mesh_swap.waves(mesh, 2) == [["a", "b"], ["c", "d"], ["e"]]
    found = _mesh_swap.waves(mesh, 2, [{"a", "e"}, {"e", "d"}])
    assert {"a", "d", "e"} in [set(wave) for wave in found] and sorted(sum(found, [])) == ["a", "b", "c", "d", "e"]
