# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Big Bang's old istio as a whole: kept while Big Bang deploys green, removed at cleanup, and the way back."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _deletion_guard as guard
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import flux_helm_release as flux
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import istio_operator as operator
from ansible_collections.bluegreen.mesh.plugins.modules import bigbang_info, migration_journal, resource_archive, resource_keep
from fake_bigbang import IOP, NAME, OPERATOR, RELEASES, deploys_green, old_bigbang, package, stored, take
from fake_blue import JOURNAL, info, kept, manifest_of
from fake_cluster import run_module

WHERE = {key: JOURNAL[key] for key in ("namespace", "name")}
ASKED = {"gateways": ["istio-system/public"], "needs": True, "services": [f"istio-system/{NAME}"], "journal": WHERE}
BLUE = {f"Deployment {NAME}", "Gateway public", "Secret public-cert", f"Service {NAME}", f"ServiceAccount {NAME}-service-account"}
SERVICES = (("services", NAME), ("deployments", NAME), ("deployments", "istiod"), ("services", "istiod"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    clock = {"now": 0.0}
    for module in (guard, flux, operator, resource_archive):
        monkeypatch.setattr(module.time, "monotonic", lambda: clock["now"])
        monkeypatch.setattr(module.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))


def spec_of(cluster, name):
    return cluster.peek("helmreleases", "bigbang", name)["spec"]


def replicas(cluster):
    return cluster.peek("deployments", "istio-operator", "istio-operator")["spec"]["replicas"]


def names(items):
    return {f"{item['kind']} {item['name']}" for item in items}


def sources(told):
    return {claim["name"] for item in told["going"] for claim in item["claims"] if claim["source"]}


def labelled(cluster):
    found = {f"{plural} {name}": cluster.peek(plural, "istio-system", name) for plural, name in SERVICES}
    return {name for name, body in found.items() if body and operator.OWNER in body["metadata"]["labels"]}


# -- kept --------------------------------------------------------------------------------------------------------------
def test_what_would_make_it_anew_is_held_still_and_what_deploys_green_is_not():
    cluster = old_bigbang()
    order = []
    cluster.on("PATCH", "*", lambda r: order.append(r.path.rsplit("/", 2)[-2:]))
    result = kept(cluster, needs=True)
    assert {item["name"] for item in result["frozen"]} == {"istio", "istio-operator"}
    assert spec_of(cluster, "istio")["suspend"] is True and spec_of(cluster, "istio-operator")["suspend"] is True
    held = [["helmreleases", "istio-operator"], ["deployments", "istio-operator"], ["deployments", NAME]]
    assert [step for step in order if step in held] == held, "parents, then the operator, then the labels"
    assert "suspend" not in spec_of(cluster, "bigbang") and replicas(cluster) == 0 and labelled(cluster) == set()
    assert "resource-policy" not in manifest_of(cluster, storage="bigbang", label="bigbang"), "drift would undo it"
    assert manifest_of(cluster, storage="bigbang", label="istio-system-istio").count("resource-policy") == 2
    assert info(cluster, **ASKED)["would_delete"] == [] and all(item["safe"] for item in result["protected"])
    writes = cluster.writes
    assert kept(cluster, needs=True)["changed"] is False and cluster.writes == writes
    looked = run_module(bigbang_info, {"files": []}, cluster)
    assert looked["errors"] == [], "and so green can be deployed"
    deploys_green(cluster)
    # Of blue's nobody would take anything. istiod has a new owner, which is held as any other when it is kept again.
    doomed = info(cluster, **ASKED)["would_delete"]
    assert {name for entry in doomed for name in names(entry["objects"])} == {"Deployment istiod", "Service istiod"}
    assert kept(cluster, needs=True)["changed"] and spec_of(cluster, "istiod")["suspend"] is True
    assert info(cluster, **ASKED)["would_delete"] == []


def test_without_the_live_annotation_the_umbrellas_upgrade_would_take_it():
    cluster = old_bigbang()
    kept(cluster, needs=True, live_annotation=False)
    annotations = cluster.peek("secrets", "istio-system", "public-cert")["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep", "it is this owner's own way"
    cluster.edit("secrets", "istio-system", "public-cert",
                 lambda b: b["metadata"]["annotations"].pop("helm.sh/resource-policy"))  # fmt: skip
    doomed = {entry["name"]: names(entry["objects"]) for entry in info(cluster, **ASKED)["would_delete"]}
    assert doomed == dict.fromkeys(("Helm release bigbang/bigbang", "HelmRelease bigbang/bigbang"), {"Secret public-cert"})


@pytest.mark.parametrize("state", ["suspended", "none", "post_renderers"])
def test_an_umbrella_is_left_alone_whatever_else_is_done(state):
    cluster = old_bigbang()
    if state == "suspended":
        cluster.edit("helmreleases", "bigbang", "bigbang", lambda b: b["spec"].update(suspend=True))
    before = cluster.peek("helmreleases", "bigbang", "bigbang")
    secret = [{"api_version": "v1", "kind": "Secret", "namespace": "istio-system", "name": "public-cert"}]
    method = {} if state == "suspended" else {"flux_method": state}
    kept(cluster, gateways=None, resources=secret, **method)
    assert cluster.peek("helmreleases", "bigbang", "bigbang") == before
    assert "resource-policy" not in manifest_of(cluster, storage="bigbang", label="bigbang")


@pytest.mark.parametrize(("says", "held"), [("", False), ("spec: {suspend: false}\n", True)])
def test_an_umbrella_that_corrects_drift_is_held_still_only_if_it_would_resume_its_packages(says, held):
    manifest = "---\n".join((package("istio") + says, package("istio-operator") + says))
    cluster = old_bigbang()
    stored_at = "sh.helm.release.v1.bigbang.v1"
    cluster.edit("secrets", "bigbang", stored_at, lambda b: b.update(data=stored("bigbang", manifest)["data"]))
    cluster.edit("helmreleases", "bigbang", "bigbang", lambda b: b["spec"].update(driftDetection={"mode": "enabled"}))
    kept(cluster, needs=True)
    assert bool(spec_of(cluster, "bigbang").get("suspend")) is held
    errors = [error["code"] for error in run_module(bigbang_info, {"files": []}, cluster)["errors"]]
    assert errors == (["umbrella_suspended"] if held else [])


def test_an_operator_that_its_chart_does_not_size_is_no_drift():
    cluster = old_bigbang()
    release = stored("istio-operator-istio-operator", OPERATOR.replace("spec: {replicas: 1}\n", ""))
    stored_at = "sh.helm.release.v1.istio-operator-istio-operator.v1"
    cluster.edit("secrets", "bigbang", stored_at, lambda b: b.update(data=release["data"]))
    kept(cluster, needs=True)
    assert "suspend" not in spec_of(cluster, "istio-operator") and replicas(cluster) == 0


def test_released_all_is_as_it_was():
    cluster = old_bigbang()
    before = labelled(cluster)
    kept(cluster, needs=True)
    kept(cluster, state="released", needs=True)
    assert "suspend" not in spec_of(cluster, "istio") and "suspend" not in spec_of(cluster, "istio-operator")
    assert replicas(cluster) == 1 and labelled(cluster) == before and before
    assert cluster.peek("secrets", "istio-system", "public-cert")["metadata"]["annotations"] == {
        "meta.helm.sh/release-name": "bigbang", "meta.helm.sh/release-namespace": "bigbang"}  # fmt: skip


# -- removed -----------------------------------------------------------------------------------------------------------
def before_cleanup(**options):
    cluster = old_bigbang()
    kept(cluster, needs=True)
    deploys_green(cluster, **options)
    kept(cluster, needs=True)  # again, since istiod has a new owner
    return cluster


both = pytest.mark.parametrize("spaces", [True, False], ids=["operator gone", "operator at 0"])


@both
def test_blue_goes_with_its_istio_operator_and_the_packages_that_are_left(spaces):
    told = info(before_cleanup(spaces=spaces), **ASKED)
    assert [owner["release"] for owner in told["releases"]] == list(RELEASES[1:])
    assert names(told["going"]) == BLUE | {"IstioOperator istiocontrolplane"}
    assert sources(told) == set()


def test_the_istio_operator_stays_for_an_istiod_that_nobody_has_taken_over():
    told = info(before_cleanup(istiod=False), **ASKED)
    assert told["releases"] == []
    # The Gateway is in the IstioOperator's release, which stays with it.
    assert names(told["going"]) == BLUE - {"Gateway public"}


def test_an_operator_that_has_another_istio_operator_stays_and_so_does_blues():
    cluster = before_cleanup(spaces=False)
    cluster.add({"apiVersion": IOP, "kind": "IstioOperator", "metadata": {"name": "other", "namespace": "else"}})
    assert info(cluster, **ASKED)["releases"] == []
    assert sources(info(cluster, **ASKED)) == {"IstioOperator istio-system/istiocontrolplane"}


def test_before_big_bang_has_deployed_green_its_sources_refuse():
    cluster = old_bigbang()
    kept(cluster, needs=True)
    assert sources(info(cluster, **ASKED)) == {"IstioOperator istio-system/istiocontrolplane"}


def cleanup(cluster):
    """As the role does it, with Helm's part played."""
    told = info(cluster, **ASKED)
    refs = [{key: item[key] for key in ("api_version", "kind", "namespace", "name")} for item in told["going"]]
    journal = {**JOURNAL, "phase": "cleanup"}
    for owner in told["releases"]:
        would = info(cluster, release={"name": owner["release"], "namespace": owner["namespace"]})
        assert [item["kind"] for item in would["delete"]] == (["Deployment"] if "operator" in owner["release"] else [])
        gone = [{key: item[key] for key in ("api_version", "kind", "namespace", "name")} for item in would["delete"]]
        releases = [{"name": owner["release"], "namespace": "bigbang"}]
        put = {"key": f"{owner['namespace']}/{owner['release']}", "resources": gone, "releases": releases}
        done = run_module(resource_archive, {**put, "journal": journal}, cluster)
        assert not done.get("failed"), done
        take(cluster, ("", "secrets", "bigbang", f"sh.helm.release.v1.{owner['release']}.v1"))
        if would["delete"] and cluster.peek("deployments", "istio-operator", "istio-operator"):
            take(cluster, ("apps", "deployments", "istio-operator", "istio-operator"))
    params = {"resources": refs, "gateways": None, "journal": journal}
    kept(cluster, state="released", owner_deletes="accept", thaw=False, **params)
    removed = {"state": "removed", "key": "blue", "resources": refs, "finalizers": [operator.FINALIZER]}
    done = run_module(resource_archive, {**removed, "journal": journal}, cluster)
    assert not done.get("failed"), done
    kept(cluster, state="released", needs=True, journal=journal)


def undo_from(cluster, phase):
    read = run_module(migration_journal, {**WHERE, "state": "read", "undo_from": phase}, cluster)
    modules = {"resource_archive": resource_archive, "resource_keep": resource_keep}
    for step in read["undo"]:
        params = {**step["inverse"]["params"], "journal": {**JOURNAL, "phase": "rollback"}}
        params = {key: value for key, value in params.items() if value not in (None, [])}
        done = run_module(modules[step["inverse"]["module"]], params, cluster)
        assert not done.get("failed"), (step, done)
        run_module(migration_journal, {**WHERE, "epoch": 1, "state": "recorded", "undone": [step["id"]]}, cluster)


@both
def test_cleanup_leaves_nothing_of_it_and_rollback_brings_it_back(spaces):
    cluster = before_cleanup(spaces=spaces)
    cluster.on("POST", "/apis/apps/v1/*", lambda request: request.body.update(
        status={"readyReplicas": 2, "observedGeneration": 9}) and None)  # fmt: skip
    cleanup(cluster)
    assert cluster.peek("istiooperators", "istio-system", "istiocontrolplane") is None, "its finalizer held it up"
    assert cluster.peek("deployments", "istio-operator", "istio-operator") is None
    for plural, name in (("gateways", "public"), ("secrets", "public-cert"), ("services", NAME), ("deployments", NAME)):
        assert cluster.peek(plural, "istio-system", name) is None
    for release in RELEASES[1:]:
        assert cluster.peek("secrets", "bigbang", f"sh.helm.release.v1.{release}.v1") is None
    istiod = cluster.peek("deployments", "istio-system", "istiod")["metadata"]
    assert not [key for key in istiod["annotations"] if "bluegreen" in key], "let go of"
    assert "suspend" not in spec_of(cluster, "istiod") and "suspend" not in spec_of(cluster, "bigbang")
    undo_from(cluster, "cleanup")
    again = cluster.peek("istiooperators", "istio-system", "istiocontrolplane")
    assert again["spec"]["components"]["ingressGateways"][0]["name"] == NAME
    assert again["metadata"]["finalizers"] == [operator.FINALIZER]
    told = info(cluster, **ASKED)
    assert names(told["going"]) == BLUE | {"IstioOperator istiocontrolplane"} and told["would_delete"] == []
    assert {item["kept_by"] for item in told["going"]} == {"night"}
    assert labelled(cluster) == set(), "an operator that comes back with Big Bang has nothing to prune"
    assert spaces or replicas(cluster) == 0
    undo_from(cluster, "keep")
    assert labelled(cluster) == {f"{plural} {name}" for plural, name in SERVICES}
    assert spaces or replicas(cluster) == 1


def test_what_another_release_has_taken_over_is_told():
    cluster = old_bigbang()
    asked = {"name": "istio-system-istio", "namespace": "istio-system"}
    assert info(cluster, release=asked)["taken_over"] == []
    cluster.edit("gateways", "istio-system", "public",
                 lambda b: b["metadata"]["annotations"].update({"meta.helm.sh/release-name": "public"}))  # fmt: skip
    (taken,) = info(cluster, release=asked)["taken_over"]
    assert (taken["kind"], taken["name"], taken["release"]) == ("Gateway", "public", "public")
    kept(cluster, needs=True)
    assert info(cluster, release=asked)["taken_over"] == [], "kept, so not deleted"
