# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ingress_convert as a module: it writes what it predicts, once, notes how to undo it, and leaves what is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingress_convert
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import ingress_convert as by_hand
from ansible_collections.bluegreen.mesh.plugins.modules import ingress_convert, migration_journal
from fake_cluster import FakeCluster, parse_path, run_module
from fake_ingresses import ingress, service

CLASSES = [{"name": "nginx", "gateway": "edge/public", "selector": {"istio": "public"}}]
JOURNAL = {"namespace": "journals", "name": "m"}
ALL = {"affinity": "cookie", "whitelist-source-range": "10.0.0.0/8"}


def cluster(*items, services=("web",)):
    fake = FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}})
    return fake.add(*(service(name) for name in services), *(items or (ingress(notes=ALL, tls="cert"),)), secret())


def secret(name="cert", namespace="team"):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "data": {"tls.key": "c2VjcmV0"},
    }


def run(fake, check=False, **options):
    return run_module(ingress_convert, {"classes": CLASSES, **options}, fake, check=check)


def states(result):
    return {entry["object"]: entry["state"] for entry in result["objects"]}


MADE = {"DestinationRule team/web-from-ingress", "VirtualService team/public-shop-example-com", "Gateway edge/public"}


def test_it_writes_what_it_predicts_and_a_second_run_changes_nothing():
    fake = cluster()
    predicted = run(fake, check=True)
    assert predicted["changed"] and fake.writes == 0
    done = run(fake)
    assert done["objects"] == predicted["objects"] and done["diff"] == predicted["diff"]
    assert MADE < set(states(done)) and set(states(done).values()) == {"created"} and len(states(done)) == 4
    assert fake.peek("gateways", "edge", "public")["spec"]["servers"][0]["hosts"] == ["shop.example.com"]
    again = run(fake)
    assert again["changed"] is False and set(states(again).values()) == {"unchanged"}
    assert again["report"] == done["report"] and again["counts"] == {
        "ingresses": 1, "objects": 4, "translated": 2, "not_needed": 0, "not_translated": 0,
    }  # fmt: skip


def test_it_follows_the_ingresses_and_keeps_what_others_added():
    fake = cluster()
    run(fake)
    fake.edit(
        "virtualservices", "team", "public-shop-example-com", lambda item: item["metadata"]["labels"].update(team="a")
    )
    fake.edit(
        "ingresses", "team", "shop", lambda item: item["spec"]["rules"][0]["http"]["paths"][0].update(path="/app")
    )
    done = run(fake)
    assert states(done)["VirtualService team/public-shop-example-com"] == "updated"
    item = fake.peek("virtualservices", "team", "public-shop-example-com")
    assert item["metadata"]["labels"]["team"] == "a" and item["spec"]["http"][-1]["match"][0] == {
        "uri": {"exact": "/app"}
    }


def test_what_is_not_wanted_any_more_is_told_and_removed_on_demand():
    fake = cluster(ingress(), ingress("other", host="other.test"))
    run(fake)
    fake._store.pop(("networking.k8s.io", "ingresses", "team", "other"))
    told = run(fake)
    assert told["stale"] == ["VirtualService team/public-other-test"] and fake.peek(
        "virtualservices", "team", "public-other-test"
    )
    pruned = run(fake, prune=True)
    assert states(pruned)["VirtualService team/public-other-test"] == "removed"
    assert fake.peek("virtualservices", "team", "public-other-test") is None
    assert run(fake, prune=True)["changed"] is False


def test_the_journal_knows_how_to_undo_it():
    fake = cluster(ingress(), ingress("other", host="other.test"))
    epoch = run_module(migration_journal, {**JOURNAL, "state": "open"}, fake)["epoch"]
    place = {**JOURNAL, "epoch": epoch, "phase": "bind"}
    clean = set(fake.names("virtualservices") + fake.names("gateways"))
    run(fake, journal=place)
    made = {
        key: fake.peek(*key)["spec"]
        for key in [("virtualservices", "team", "public-other-test"), ("gateways", "edge", "public")]
    }
    fake._store.pop(("networking.k8s.io", "ingresses", "team", "other"))
    run(fake, prune=True, journal={**place, "phase": "deploy"})
    steps = json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])
    assert {step["state"] for step in steps} == {"done"} and len(steps) == 2  # one for all that a run did
    undo = [step for step in reversed(steps) if step["phase"] == "deploy"]
    for step in undo:
        run_module(ingress_convert, step["inverse"]["params"], fake)
        assert by_hand.commands(step, step["inverse"]["params"], None)[0].run.startswith(("k ", "printf "))
    assert {key: fake.peek(*key)["spec"] for key in made} == made
    assert (
        fake.peek("virtualservices", "team", "public-other-test")["metadata"]["labels"][_ingress_convert.MARK]
        == "ingress"
    )
    for step in reversed(steps):
        if step["phase"] == "bind":
            run_module(ingress_convert, step["inverse"]["params"], fake)
            assert run_module(ingress_convert, step["inverse"]["params"], fake)["changed"] is False
    assert set(fake.names("virtualservices") + fake.names("gateways")) == clean == set()


def test_what_is_not_ours_is_neither_written_nor_removed():
    theirs = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {},
    }
    fake = cluster(ingress(), theirs)
    refused = run(fake)
    assert refused["failure"]["code"] == "foreign" and "Gateway edge/public" in refused["msg"] and fake.writes == 0
    entry = {"api_version": "networking.istio.io/v1", "kind": "Gateway", "namespace": "edge", "name": "public"}
    for options in (
        {"state": "absent", "objects": [entry]},
        {"state": "restored", "objects": [{**entry, "spec": {"x": 1}}]},
    ):
        assert run_module(ingress_convert, options, fake)["objects"][0]["state"] == "foreign"
    assert fake.writes == 0
    other = run(cluster(ingress()), name="mine")
    assert set(states(other).values()) == {"created"}


def test_another_conversion_of_the_cluster_is_somebody_else():
    fake = cluster(ingress())
    run(fake, name="one")
    assert run(fake, name="two", waive=["host_taken"])["failure"]["code"] == "foreign"


def test_an_error_stops_all_before_the_first_write_unless_it_is_waived(tmp_path):
    fake = cluster(ingress(notes={"auth-url": "https://auth.test"}))
    refused = run(fake, dest=str(tmp_path / "out"))
    assert refused["failure"]["code"] == "findings" and "annotation_protection: Ingress team/shop" in refused["msg"]
    assert refused["failure"]["findings"][0]["fix"] and fake.writes == 0 and not (tmp_path / "out").exists()
    assert run(fake, check=True)["failure"]["code"] == "findings"
    looked = run(fake, apply=False)
    assert looked["changed"] is False and "annotation_protection" in {f["code"] for f in looked["findings"]}
    waived = run(fake, waive=["annotation_protection:team/shop", "typo"])
    assert (
        waived["changed"]
        and waived["unused_waivers"] == ["typo"]
        and waived["waived"][0]["code"] == "annotation_protection"
    )


def test_an_internal_class_never_lands_on_a_public_gateway():
    fake = cluster(
        ingress("in", class_name="internal", host="in.test"),
        ingress("old", class_name=None, notes={"kubernetes.io/ingress.class": "internal"}, host="old.test"),
        ingress("pub", host="pub.test"), ingress("none", class_name=None, host="none.test"),
    )  # fmt: skip
    alone = run(fake, check=True, waive=["ingress_without_class"])
    assert [(e["ingress"], e["class"]) for e in alone["left"]] == [
        ("team/in", "internal"),
        ("team/none", ""),
        ("team/old", "internal"),
    ]
    both = [*CLASSES, {"name": "internal", "gateway": "inner/private", "selector": {"istio": "private"}}]
    fake.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inner"}})
    done = run(fake, classes=both, waive=["ingress_without_class"])
    hosts = {name: fake.peek("gateways", *name.split("/"))["spec"]["servers"][0]["hosts"] for name in done["gateways"]}
    assert hosts == {"edge/public": ["pub.test"], "inner/private": ["in.test", "old.test"]}
    fake.add(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        }
    )
    assert (
        "none.test"
        in run(fake, classes=both, check=True)["diff"]["after"]["Gateway edge/public"]["spec"]["servers"][0]["hosts"]
    )


def test_files_are_written_once_and_in_a_stable_order(tmp_path):
    fake = cluster()
    predicted = run(fake, check=True, apply=False, dest=str(tmp_path))
    assert predicted["changed"] and not list(tmp_path.iterdir())
    done = run(fake, apply=False, dest=str(tmp_path))
    assert done["diff"] == predicted["diff"] and fake.writes == 0 and done["objects"] == []
    listed = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())["resources"]
    assert listed == sorted(listed) and [*listed, "kustomization.yaml"] == done["files"]
    bodies = [yaml.safe_load((tmp_path / path).read_text()) for path in listed]
    assert {f"{b['kind']} {b['metadata']['namespace']}/{b['metadata']['name']}" for b in bodies} > MADE
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.yaml")}
    assert run(fake, apply=False, dest=str(tmp_path))["changed"] is False
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.yaml")} == before
    assert not any("&id" in (tmp_path / path).read_text() for path in listed)
    both = run(fake, dest=str(tmp_path))
    assert set(states(both).values()) == {"created"} and not [
        name for name in both["diff"]["after"] if name.startswith("File")
    ]


def test_files_of_others_are_left_alone_and_stale_ones_told(tmp_path):
    fake = cluster(ingress(), ingress("other", host="other.test"))
    run(fake, apply=False, dest=str(tmp_path))
    (tmp_path / "virtualservices" / "mine.yaml").write_text("mine: true\n")
    fake._store.pop(("networking.k8s.io", "ingresses", "team", "other"))
    stale = "virtualservices/team.public-other-test.yaml"
    assert run(fake, apply=False, dest=str(tmp_path))["stale_files"] == [stale] and (tmp_path / stale).exists()
    run(fake, apply=False, dest=str(tmp_path), prune=True)
    assert not (tmp_path / stale).exists() and (tmp_path / "virtualservices" / "mine.yaml").exists()
    Path(tmp_path / "kustomization.yaml").write_text("resources: []\n")
    refused = run(fake, dest=str(tmp_path))
    assert refused["failure"]["code"] == "foreign_file" and fake.writes == 0


def test_no_secret_leaves_the_cluster():
    text = json.dumps(run(cluster()))
    assert "c2VjcmV0" not in text and "edge/team-cert" in text


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"classes": []}, "bad_option", "classes is empty"),
        ({"classes": [{**CLASSES[0], "gateway": "public"}]}, "malformed_reference", "classes[0].gateway"),
        ({"classes": [{**CLASSES[0], "selector": {}}]}, "bad_option", "classes[0].selector"),
        ({"classes": [*CLASSES, *CLASSES]}, "bad_option", "there twice"),
        (
            {"classes": [*CLASSES, {**CLASSES[0], "name": "b", "selector": {"a": "b"}}]},
            "bad_option",
            "with other settings",
        ),
        ({"state": "absent", "objects": [{"kind": "Gateway"}]}, "bad_option", "api_version"),
    ],
)  # fmt: skip
def test_bad_options_are_refused_before_anything_is_read(options, code, words):
    fake = cluster()
    result = run(fake, **options)
    assert result["failed"] and result["failure"]["code"] == code and words in result["msg"] and fake.total == 0


def ingress_class(name, controller="k8s.io/ingress-nginx"):
    own = {"metadata": {"name": name}, "spec": {"controller": controller}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", **own}


def test_what_blue_may_serve_and_green_would_not_is_an_error():
    classes = ingress_class("nginx"), ingress_class("legacy"), ingress_class("other", "example.com/other")
    fake = cluster(
        ingress(), ingress("old", class_name="legacy", host="old.test"), ingress("none", class_name=None, host="none.test"),
        ingress("else", class_name="other", host="else.test"), *classes,
    )  # fmt: skip
    refused = run(fake)["failure"]
    assert {(f["code"], f["object"]) for f in refused["findings"]} == {
        ("ingress_left", "Ingress team/old"), ("ingress_without_class", "Ingress team/none")
    }  # fmt: skip
    assert fake.writes == 0
    assert run(fake, waive=["ingress_left:team/old", "ingress_without_class:team/none"])["changed"]


def test_one_in_a_namespace_that_is_not_asked_for_is_said():
    away = ingress("away", namespace="beside", host="away.test")
    result = run(cluster(ingress(), away), namespaces=["team"], check=True)
    assert [(f["severity"], f["object"]) for f in result["findings"] if f["code"] == "ingress_left"] == [
        ("warning", "Ingress beside/away")
    ]


def test_a_class_that_nobody_has_is_told():
    result = run(
        cluster(),
        classes=[*CLASSES, {"name": "ngnix", "gateway": "edge/public", "selector": {"istio": "public"}}],
        check=True,
    )
    assert [f["object"] for f in result["findings"] if f["code"] == "class_empty"] == ["IngressClass ngnix"]


def test_the_number_of_requests_grows_with_what_changes_only():
    few, many = cluster(ingress()), cluster(*(ingress(f"i{n}", host=f"h{n}.test") for n in range(40)))
    counted = []
    for fake in (few, many):
        first = run(fake)
        written = len([entry for entry in first["objects"] if entry["state"] == "created"])
        assert fake.requests["POST"] == written
        counted.append((fake.requests["GET"], written))
        before = fake.total
        run(fake)
        counted.append((fake.total - before, 0))
    assert {gets for gets, _written in counted} == {counted[0][0]} and counted[2][1] == 41


def test_a_missing_namespace_is_named():
    fake = cluster()
    fake._store.pop(("", "namespaces", "", "edge"))
    assert run(fake)["failure"]["code"] == "namespace_missing"


def test_a_change_meanwhile_is_planned_anew():
    fake = cluster()
    run(fake)
    fake.edit(
        "ingresses", "team", "shop", lambda item: item["spec"]["rules"][0]["http"]["paths"][0].update(path="/app")
    )

    def meddle(_request):
        fake.edit(
            "virtualservices",
            "team",
            "public-shop-example-com",
            lambda item: item["metadata"]["labels"].update(team="a"),
        )

    fake.on("PUT", "*/virtualservices/*", meddle, times=1)
    assert run(fake)["changed"] is True
    item = fake.peek("virtualservices", "team", "public-shop-example-com")
    assert item["metadata"]["labels"]["team"] == "a" and item["spec"]["http"][-1]["match"][0] == {
        "uri": {"exact": "/app"}
    }


def test_what_may_not_be_listed_is_a_finding_and_not_taken_for_absent():
    fake = cluster()
    fake.fail("GET", "*/secrets", 403, "Forbidden", "no")
    result = run(fake)
    assert (
        result["changed"]
        and "unreadable" in {f["code"] for f in result["findings"]}
        and result["secrets"][0]["exists"] is None
    )
    fake.fail("GET", "*/destinationrules", 403, "Forbidden", "no")
    assert run(fake)["failure"]["code"] == "findings"
    fake.fail("GET", "*/virtualservices", 404, "NotFound", "no")
    assert run(fake)["failure"]["code"] == "no_istio"


def test_what_it_reads_and_writes_is_in_the_permissions_that_are_shipped():
    root = Path(__file__).resolve().parents[2]
    rules = yaml.safe_load((root / "docs/rbac/convert.yml").read_text(encoding="utf-8"))["rules"]
    allowed = {
        (group, plural, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for plural in rule["resources"]
        for verb in rule["verbs"]
    }
    fake = cluster()
    run(fake)
    verbs = {"GET": "list", "POST": "create", "PUT": "update", "DELETE": "delete"}
    asked = {(*parse_path(r.path)[:3:2], verbs[r.method]) for r in fake.log}
    assert asked <= allowed
    for group_version, plural in _ingress_convert.KINDS.values():
        assert {
            (group_version.partition("/")[0], plural, verb) for verb in ("get", "list", "create", "update", "delete")
        } <= allowed
