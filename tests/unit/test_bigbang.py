# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Big Bang: green's values in a person's own file, what is looked at before, and the wait for Flux after."""

from __future__ import annotations

import base64
import copy
import difflib
import json
import re
from pathlib import Path

import permissions
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _bigbang
from ansible_collections.bluegreen.mesh.plugins.module_utils._values_file import ValuesFile, plain
from ansible_collections.bluegreen.mesh.plugins.modules import (
    bigbang_info,
    bigbang_values,
    flux_release_info,
    migration_journal,
)
from fake_cluster import FakeCluster, run_module

BLUE = {"namespace": "istio-system", "name": "public-ingressgateway"}
PORTS = [(15021, 15021, "status-port"), (80, 8080, "http2"), (443, 8443, "https")]
NODE_PORTS = {"status-port": 30022, "http2": 30081, "https": 30444}
FLUX = "helm.toolkit.fluxcd.io/v2"
WHERE = {"namespace": "bluegreen-mesh", "name": "night"}


def thing(api, kind, namespace, name, **content):
    return {"apiVersion": api, "kind": kind, "metadata": {"namespace": namespace, "name": name}, **content}


def blue(replicas=3, low=1, high=5):
    service = {
        "type": "LoadBalancer", "selector": {"app": "public-ingressgateway"},
        "ports": [{"name": n, "port": p, "targetPort": t, "nodePort": 30000 + p, "protocol": "TCP"} for p, t, n in PORTS],
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": "public-ingressgateway"}}, "spec": {"containers": [{}]}}
    target = {"kind": "Deployment", "name": "public-ingressgateway"}
    tls = {"tls": {"mode": "SIMPLE", "credentialName": "public-cert"}, "hosts": ["*.test"]}
    return [
        thing("v1", "Service", *BLUE.values(), spec=service),
        thing("apps/v1", "Deployment", *BLUE.values(), spec={"replicas": replicas, "template": template}),
        thing("autoscaling/v2", "HorizontalPodAutoscaler", *BLUE.values(),
              spec={"minReplicas": low, "maxReplicas": high, "scaleTargetRef": target}),
        thing("networking.istio.io/v1", "Gateway", "istio-system", "public", spec={"servers": [{"hosts": ["*"]}, tls]}),
        thing("networking.istio.io/v1", "Gateway", "istio-system", "passthrough", spec={"servers": [{"hosts": ["*"]}]}),
    ]  # fmt: skip


FILE = """\
# What our site says. Ask the platform team.
---
domain: "lab.test"   # quoted on purpose

istioGateway:
  enabled: true
  values:
    gateways:
      public:
        gatewayCerts:
          - name: public-cert
            tls:
              key: "the private key"
        upstream:
          autoscaling:
            maxReplicas: 9   # paid for
          service:
            ports:
              - port: 80   # plain
                nodePort: 30080
                name: http2
                protocol: TCP
                targetPort: 8080
              - port: 9443
                nodePort: 30999
                name: ours
addons: {argocd: {enabled: true}}
"""


@pytest.fixture
def cluster():
    return FakeCluster(*blue())


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "bigbang-values.yaml"
    file.write_text(FILE)
    file.chmod(0o640)
    return file


def run(cluster, path, check=False, gateway=None, **params):
    one = {
        "name": "public",
        "service": "istio-system/public-ingressgateway",
        "node_ports": NODE_PORTS,
        **(gateway or {}),
    }
    return run_module(bigbang_values, {"path": str(path), "gateways": [one], **params}, cluster, check=check)


def said(path, name="public"):
    return plain(ValuesFile(path.read_text(), "x").get((*_bigbang.GATEWAYS, name)))


# -- values ------------------------------------------------------------------------------------------------------------
def test_green_is_on_ports_of_its_own_and_never_smaller_than_blue(cluster, path):
    assert run(cluster, path)["changed"]
    upstream = said(path)["upstream"]
    assert upstream["autoscaling"] == {"minReplicas": 3, "maxReplicas": 9}
    assert upstream["service"]["type"] == "NodePort"
    ports = {p["port"]: (p["nodePort"], p.get("targetPort"), p["name"]) for p in upstream["service"]["ports"]}
    assert ports == {
        15021: (30022, 15021, "status-port"), 80: (30081, 8080, "http2"), 443: (30444, 8443, "https"),
        9443: (30999, None, "ours"),
    }  # fmt: skip
    assert "labels" not in upstream and "gateway" not in said(path)


def test_everything_else_in_the_file_is_as_it_was(cluster, path):
    run(cluster, path)
    changed = list(difflib.unified_diff(FILE.splitlines(), path.read_text().splitlines(), n=0, lineterm=""))
    removed = [line for line in changed[2:] if line.startswith("-")]
    assert removed == ["-                nodePort: 30080"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_second_run_changes_nothing_and_check_mode_writes_nothing(cluster, path):
    predicted = run(cluster, path, check=True)
    assert path.read_text() == FILE and predicted["changed"] and "backup_file" not in predicted
    done = run(cluster, path)
    assert done["changes"] == predicted["changes"] and done["diff"] == predicted["diff"]
    text = path.read_text()
    again = run(cluster, path)
    assert not again["changed"] and path.read_text() == text and len(list(path.parent.iterdir())) == 2


def test_the_backup_is_the_file_as_it_was(cluster, path):
    backup = run(cluster, path)["backup_file"]
    assert path.parent.joinpath(backup).read_text() == FILE
    path.write_text(FILE)
    assert "backup_file" not in run(cluster, path, backup=False)


def test_no_secret_of_the_file_is_shown(cluster, path):
    assert "private key" not in json.dumps(run(cluster, path))


def test_more_that_the_file_asks_for_stays(cluster, path):
    path.write_text(FILE.replace("maxReplicas: 9", "minReplicas: 6\n            maxReplicas: 7"))
    run(cluster, path)
    assert said(path)["upstream"]["autoscaling"] == {"minReplicas": 6, "maxReplicas": 7}


def test_without_autoscaling_the_number_itself_is_set(cluster, path):
    path.write_text(FILE.replace("maxReplicas: 9", "enabled: false"))
    run(cluster, path)
    assert said(path)["upstream"]["replicaCount"] == 3 and said(path)["upstream"]["autoscaling"] == {"enabled": False}


def test_behind_an_alb_every_host_is_taken_with_blues_certificate(cluster, path):
    run(cluster, path, gateway={"alb": "istio-system/public"})
    plain_http, https = said(path)["gateway"]["servers"]
    assert plain_http["hosts"] == https["hosts"] == ["*"] and plain_http["tls"] == {"httpsRedirect": True}
    assert https["tls"] == {"credentialName": "public-cert", "mode": "SIMPLE"}
    assert (plain_http["port"]["number"], https["port"]["number"]) == (8080, 8443)
    assert not run(cluster, path, gateway={"alb": "istio-system/public"})["changed"]


def test_a_gateway_that_the_file_does_not_have_yet(cluster, path):
    run(cluster, path, gateway={"name": "internal", "labels": {"colour": "green", "istio": "ingressgateway"}})
    assert said(path, "internal")["upstream"]["labels"] == {"colour": "green"}
    assert said(path) == plain(ValuesFile(FILE, "x").get((*_bigbang.GATEWAYS, "public")))


def test_an_empty_file_and_one_with_other_line_ends(cluster, path):
    path.write_text("")
    run(cluster, path)
    assert said(path)["upstream"]["service"]["type"] == "NodePort"
    path.write_bytes(FILE.replace("\n", "\r\n").encode())
    run(cluster, path)
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n")


def test_named_target_ports_and_the_traffic_policy(path):
    cluster = FakeCluster(*blue())
    cluster.edit("services", *BLUE.values(), lambda o: (
        o["spec"]["ports"][1].update(targetPort="http"), o["spec"].update(externalTrafficPolicy="Local")))  # fmt: skip
    run(cluster, path)
    service = said(path)["upstream"]["service"]
    assert {p["port"]: p.get("targetPort") for p in service["ports"]}[80] == 8080
    assert service["externalTrafficPolicy"] == "Local"


def test_what_blue_has_comes_along_unless_the_file_says_it(path):
    cluster = FakeCluster(*blue())
    neg, scheme = "cloud.google.com/neg", "service.beta.kubernetes.io/aws-load-balancer-scheme"
    cluster.edit("services", *BLUE.values(), lambda o: (
        o["spec"].update(loadBalancerSourceRanges=["192.0.2.0/24"], internalTrafficPolicy="Local", ipFamilyPolicy="PreferDualStack"),
        o["metadata"].update(annotations={neg: "{}", scheme: "internal", f"{scheme}-name": "x"})))  # fmt: skip
    cluster.edit("deployments", *BLUE.values(), lambda o: (
        o["spec"]["template"]["metadata"].update(annotations={"proxy.istio.io/config": "{}", "checksum/x": "y"}),
        o["spec"]["template"]["spec"].update(containers=[{"resources": {"limits": {"cpu": "2"}}}])))  # fmt: skip
    own = f"service:\n            ipFamilyPolicy: SingleStack   # ours\n            annotations: {{{neg}: ours}}"
    path.write_text(FILE.replace("service:", own))
    run(cluster, path)
    upstream = said(path)["upstream"]
    assert {key: value for key, value in upstream["service"].items() if key != "ports"} == {
        "type": "NodePort", "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Local",
        "annotations": {neg: "ours", scheme: "internal"},
    }  # fmt: skip
    assert upstream["resources"] == {"limits": {"cpu": "2"}} and upstream["podAnnotations"] == {"proxy.istio.io/config": "{}"}
    assert not run(cluster, path)["changed"]
    path.write_text(FILE.replace("autoscaling:", "resources: {limits: {cpu: 3}}\n          autoscaling:"))
    run(cluster, path)
    assert said(path)["upstream"]["resources"] == {"limits": {"cpu": 3}}


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate_key", "line 3: key 'a'"),
        ("# x\n---\na: 1\na: 3\n", "duplicate_key", "line 4"),
        ("a: [1\nb: 2\n", "bad_yaml", "line 2"),
        ("a:\n\tb: 1\n", "bad_yaml", "line 2"),
        ("- a\n", "not_a_mapping", "keys at its top"),
        ("a: 1\n---\nb: 2\n", "not_a_mapping", "2 YAML documents"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3132\n", "encrypted", "ansible-vault"),
        ("a: ENC[x]\nsops:\n  mac: x\n", "encrypted", "SOPS"),
        (
            "istioGateway:\n  values:\n    gateways:\n      public: &p\n        upstream: {service: {type: x}}\n      other: *p\n",
            "anchored", "line 4: istioGateway.values.gateways.public has the anchor &p",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cant_be_changed_safely_is_refused_with_its_line(cluster, path, text, code, says):
    path.write_text(text)
    result = run(cluster, path)
    assert result["failed"] and result["failure"]["code"] == code and says in result["msg"]
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("gateway", "code"),
    [
        ({"service": "istio-system/nope"}, "no_such_service"),
        ({"node_ports": {"https": 30444}}, "unnamed_port"),
        ({"node_ports": {**NODE_PORTS, "https": "x"}}, "bad_port"),
        ({"labels": {"app": "public-gateway"}}, "bad_labels"),
        ({"alb": "istio-system/nope"}, "no_such_gateway"),
        ({"alb": "istio-system/passthrough"}, "no_credential"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(cluster, path, gateway, code):
    assert run(cluster, path, gateway=gateway)["failure"]["code"] == code
    assert path.read_text() == FILE


def test_a_file_that_is_not_there(cluster, tmp_path):
    assert run(cluster, tmp_path / "x.yaml")["failure"]["code"] == "no_such_file"


def test_the_journals_inverse_takes_it_back(cluster, path):
    epoch = run_module(migration_journal, {**WHERE, "state": "open"}, cluster)["epoch"]
    run(cluster, path, journal={**WHERE, "epoch": epoch, "phase": "deploy"})
    text = cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"]
    (step,) = json.loads(text)
    assert step["state"] == "done" and "private key" not in text
    # A value that somebody has changed since is theirs.
    path.write_text(path.read_text().replace("type: NodePort", "type: LoadBalancer"))
    undone = run_module(bigbang_values, step["inverse"]["params"], cluster)
    assert undone["changed"] and "deploy it with this file" in str(undone["warnings"])
    assert plain(ValuesFile(path.read_text(), "x").document) == {
        **plain(ValuesFile(FILE, "x").document), "istioGateway": _with_type(FILE)}  # fmt: skip
    assert not run_module(bigbang_values, step["inverse"]["params"], cluster)["changed"]


def test_undoing_on_a_host_without_the_file_says_so(tmp_path):
    result = run_module(
        bigbang_values, {"state": "restored", "path": str(tmp_path / "x"), "changes": []}, FakeCluster()
    )
    assert not result["changed"] and "by hand" in str(result["warnings"])


def _with_type(text):
    found = plain(ValuesFile(text, "x").document["istioGateway"])
    found["values"]["gateways"]["public"]["upstream"]["service"]["type"] = "LoadBalancer"
    return found


@pytest.mark.parametrize(
    "layout",
    [
        "a:\n- b: 1\n  c: 2\n",
        "a:\n  - b: 1\n    c: 2\n",
        "a:\n    - b: 1\n      c:\n          d: 2\n",
        "a:\n- b:\n      c: 1\n",
    ],
)
def test_a_files_own_layout_is_kept(layout):
    assert ValuesFile(layout, "x").dump() == layout


# -- before ------------------------------------------------------------------------------------------------------------
OLD = """\
istioOperator:
  enabled: true
  values: {resources: {requests: {cpu: 1}}}
istio:
  enabled: true
  mtls: {mode: STRICT}
  ingressGateways:
    public-ingressgateway:
      type: NodePort
      nodePortBase: 30080
      kubernetesResourceSpec:
        resources: {requests: {cpu: 2}}
  gateways:
    public:
      ingressGateway: public-ingressgateway
      autoHttpRedirect: {enabled: true}
      tls:
        cert: "the certificate"
  values:
    meshConfig: {accessLogFile: /dev/stdout}
"""
NEW = {
    "istioGateway.values.gateways.public.upstream.service.type": "NodePort",
    "istioGateway.values.gateways.public.upstream.service.ports": [{"port": 80}],
    "istioGateway.values.gateways.public.upstream.resources.requests.cpu": 2,
    "istioGateway.values.gateways.public.gatewayCerts": [{"name": "public-cert"}],
    "istiod.values.upstream.meshConfig.accessLogFile": "/dev/stdout",
}
SMOOTHGLUE = {
    **thing("v1", "Secret", "zarf", "zarf-package-smoothglue"),
    "data": {"data": base64.b64encode(json.dumps({"data": {"metadata": {"version": "6.17.2"}}}).encode()).decode()},
}
SMOOTHGLUE["metadata"]["labels"] = {"package-deploy-info": "smoothglue"}


def release(name="bigbang", generation=2, seen=2, ready="True", **spec):
    condition = {"type": "Ready", "status": ready, "reason": "InstallFailed", "message": "no such chart"}
    status = {"observedGeneration": seen, "conditions": [condition], "history": [{"chartVersion": "2.54.0+abc"}]}
    item = thing(FLUX, "HelmRelease", "bigbang", name, spec=spec, status=status)
    item["metadata"]["generation"] = generation
    return item


ISTIOD = thing(
    "apps/v1", "Deployment", "istio-system", "istiod",
    spec={"template": {"spec": {"containers": [{"image": "registry.test/istio/pilot:1.23.6"}]}}},
)  # fmt: skip


def info(*objects, files=(), **params):
    cluster = FakeCluster(*objects)
    result = run_module(bigbang_info, {"files": [str(f) for f in files], **params}, cluster)
    assert cluster.writes == 0
    return result


def written(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_versions_are_read():
    assert info(release(), ISTIOD, SMOOTHGLUE)["versions"] == {
        "Big Bang": "2.54.0+abc", "Istio": "1.23.6", "SmoothGlue": "6.17.2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("strip", "source"),
    [
        ({"status": {"lastAppliedRevision": "2.54.0"}}, None),
        ({"status": {}, "spec": {"chart": {"spec": {"version": "2.54.0"}}}}, None),
        (
            {"status": {}, "spec": {"chart": {"spec": {"sourceRef": {"kind": "GitRepository", "name": "bb"}}}}},
            "GitRepository",
        ),
        ({"status": {}, "spec": {"chartRef": {"kind": "OCIRepository", "name": "bb"}}}, "OCIRepository"),
    ],
)
def test_big_bangs_version_is_found_wherever_it_is(strip, source):
    objects = [{**release(), **strip}]
    if source:
        objects.append(thing("source.toolkit.fluxcd.io/v1", source, "bigbang", "bb", spec={"ref": {"tag": "2.54.0"}}))
    assert info(*objects)["versions"]["Big Bang"].startswith("2.54.0")


@pytest.mark.parametrize(
    ("versions", "code"),
    [
        ({"Big Bang": "3.0.0"}, "too_late"), ({"Big Bang": "3.12.1"}, "too_late"),
        ({"Big Bang": "2.54.0", "SmoothGlue": "6.18.0"}, "too_late"), ({}, "version_unknown"),
        ({"Big Bang": "2.53.0"}, "too_early"), ({"Big Bang": "2.9.0"}, "too_early"),
    ],
)  # fmt: skip
def test_versions_from_which_it_is_too_late(versions, code):
    (finding,) = _bigbang.too_late(versions)
    assert finding.code == code and finding.severity == ("warning" if code == "too_early" else "error")


@pytest.mark.parametrize("versions", [{"Big Bang": "2.54.0"}, {"Big Bang": "2.60.1", "SmoothGlue": "6.17.9"}])
def test_versions_that_are_right(versions):
    assert _bigbang.too_late(versions) == []


def test_a_version_that_the_cluster_does_not_tell_can_be_given():
    bare = {**release(), "status": {}}
    assert [e["code"] for e in info(bare)["errors"]] == ["version_unknown"]
    assert info(bare, version="2.54.0")["errors"] == []


def test_an_umbrella_that_is_suspended_deploys_nothing():
    assert info(release(suspend=False), release("istio", suspend=True))["errors"] == []
    (finding,) = info(release(suspend=True))["errors"]
    assert (finding["code"], finding["object"]) == ("umbrella_suspended", "HelmRelease bigbang/bigbang")
    assert finding["found"] == "spec.suspend is true" and "flux resume" in finding["fix"]
    held = release(suspend=True)
    note = {"for": ["night v1/Secret/istio-system/public-cert"], "fields": [[["spec", "suspend"], None]]}
    held["metadata"]["annotations"] = {"bluegreen.mesh/frozen": json.dumps(note)}
    (finding,) = info(held)["errors"]
    assert finding["found"] == "spec.suspend is true, by migration night" and "mesh_rollback_to=keep" in finding["fix"]


def test_old_keys_that_nothing_new_says_are_named_with_file_line_and_place(tmp_path):
    result = info(release(), files=[written(tmp_path, "v.yaml", OLD)])
    errors = {e["found"].split()[0]: e for e in result["errors"]}
    assert sorted(errors) == [
        "istio.gateways.public.tls.cert", "istio.ingressGateways.public-ingressgateway.kubernetesResourceSpec.resources.requests.cpu",
        "istio.ingressGateways.public-ingressgateway.nodePortBase", "istio.ingressGateways.public-ingressgateway.type",
        "istio.values.meshConfig.accessLogFile",
    ]  # fmt: skip
    cert = errors["istio.gateways.public.tls.cert"]
    assert cert["object"].endswith("v.yaml, line 18") and "gateways.public.gatewayCerts" in cert["fix"]
    assert "the certificate" not in json.dumps(result)
    left = [f for f in result["findings"] if f["severity"] == "warning"]
    assert [f["code"] for f in left] == ["old_key", "old_key"] and left[0]["object"].endswith("line 4")


def test_what_has_been_moved_to_any_of_the_files_is_fine(tmp_path):
    new = ValuesFile("", "x")
    for key, value in NEW.items():
        new.merge(_bigbang.nested(tuple(key.split(".")), value))
    files = [written(tmp_path, "v.yaml", OLD), written(tmp_path, "secrets.yaml", new.dump())]
    assert info(release(), files=files)["errors"] == []
    for gone in NEW:
        less = ValuesFile("", "x")
        for key, value in NEW.items():
            if key != gone:
                less.merge(_bigbang.nested(tuple(key.split(".")), value))
        files[1].write_text(less.dump())
        assert len(info(release(), files=files)["errors"]) == 1, gone


def test_a_loss_that_is_meant_can_be_accepted(tmp_path):
    file = written(tmp_path, "v.yaml", "istio:\n  values:\n    meshConfig: {x: 1}\n")
    assert len(info(release(), files=[file])["errors"]) == 1
    assert info(release(), files=[file], accept=["istio.values.meshConfig.x"])["errors"] == []
    assert info(release(), files=[file], accept=["old_key_not_moved", "old_key"])["findings"] == []


def test_every_move_is_found_by_its_own_key():
    for move in _bigbang.MOVES:
        path = tuple(move.old.replace("*", "some").split("."))
        assert _bigbang.move_of(path) == move and _bigbang.move_of((*path, "deeper")) is not None
    assert _bigbang.move_of(("istiod",)) is None


def test_the_documented_moves_and_codes_are_those_of_the_code():
    text = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text(encoding="utf-8")
    for move in _bigbang.MOVES:
        words = {move.old, move.old.rpartition(".")[2], move.old.removeprefix("istio.gateways.*.")}
        words.add(move.old.replace(".k8s.", ".kubernetesResourceSpec."))
        words.add(re.sub(r".*(k8s|kubernetesResourceSpec)\.", "....", move.old))
        assert any(f"`{word}`" in text for word in words), move.old
        place = (move.new or "").replace(_bigbang.UPSTREAM, "U").replace(_bigbang.G, "G")
        assert not place or f"`{place}`" in text or place.startswith("G.upstream."), place
    for code in ("too_late", "too_early", "version_unknown", "old_key_not_moved", "old_key", "network_policy"):
        assert re.search(rf"^\| `{code}` \| (error|warning) \|", text, re.M)


def test_network_policies_that_would_shut_blue_out():
    peer = {"namespaceSelector": {"matchLabels": {"app.kubernetes.io/name": "istio-controlplane"}}}
    policies = [
        thing("networking.k8s.io/v1", "NetworkPolicy", namespace, "x", spec=spec)
        for namespace, spec in {
            "argocd": {"ingress": [{"from": [peer]}]}, "other": {"ingress": [{}]}, "third": {}, "gitlab": {"ingress": [{"from": [{}, peer]}]},
        }.items()
    ]  # fmt: skip
    (error,) = info(release(), *policies)["errors"]
    assert error["code"] == "network_policy" and error["object"] == "NetworkPolicies in argocd, gitlab"
    assert info(release(), *policies, accept=["network_policy"])["errors"] == []


def test_it_is_looked_at_before_anything_is_written():
    assert {use.phase for use in permissions.uses()["bigbang_info"]} >= {"preflight", "deploy"}


# -- after -------------------------------------------------------------------------------------------------------------
def wait(cluster, **params):
    return run_module(flux_release_info, {"namespace": "bigbang", "settle": 0, **params}, cluster)


def test_all_are_ready_and_a_suspended_one_is_named():
    cluster = FakeCluster(release(), release("istio", seen=0, suspend=True), release("public-ingressgateway"))
    result = wait(cluster, required=["public-ingressgateway"])
    assert result["ready"] == ["bigbang", "public-ingressgateway"] and result["suspended"] == ["istio"]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (release("x", generation=3), "generation 3 has not been looked at (last: 2)"),
        (release("x", ready="False"), "InstallFailed: no such chart"),
        ({**release("x"), "status": {"observedGeneration": 2}}, "no condition Ready"),
        ({**release("x"), "status": {"observedGeneration": 2, "conditions": [
            {"type": "Ready", "status": "True", "observedGeneration": 1}]}}, "is of generation 1"),
    ],
)  # fmt: skip
def test_those_that_are_not_are_named_with_the_reason(item, says):
    result = wait(FakeCluster(release(), item))
    assert result["failure"]["code"] == "not_ready" and list(result["failure"]["releases"]) == ["x"]
    assert "bigbang/x" in result["msg"] and says in result["msg"]


def test_one_that_is_being_deleted_is_not_done():
    item = copy.deepcopy(release("x"))
    item["metadata"]["deletionTimestamp"] = "x"
    assert "being deleted" in wait(FakeCluster(item))["msg"]


def test_what_is_required_must_be_there():
    assert "does not exist" in wait(FakeCluster(release()), required=["public-ingressgateway"])["msg"]
    assert "no HelmRelease at all" in wait(FakeCluster())["msg"]


def test_it_waits_and_goes_on_waiting_when_one_falls_back(monkeypatch):
    monkeypatch.setattr(flux_release_info, "POLL_SECONDS", 0.01)
    cluster = FakeCluster(release(seen=1))
    looks = []

    def move(_request):
        looks.append(1)
        if len(looks) == 3:
            cluster.edit("helmreleases", "bigbang", "bigbang", lambda o: o["status"].update(observedGeneration=2))
        if len(looks) == 5:  # Ready, but not for long: the umbrella has changed a child
            cluster.add(release("child", seen=1))
        if len(looks) == 8:
            cluster.edit("helmreleases", "bigbang", "child", lambda o: o["status"].update(observedGeneration=2))

    cluster.on("GET", "*/helmreleases", move)
    assert wait(cluster, deadline=60, settle=1)["ready"] == ["bigbang", "child"] and len(looks) > 8


def test_older_versions_of_the_kind_and_none():
    cluster = FakeCluster({**release(), "apiVersion": "helm.toolkit.fluxcd.io/v2beta2"})
    cluster.fail("GET", "/apis/helm.toolkit.fluxcd.io/v2/*", 404)
    assert wait(cluster)["ready"] == ["bigbang"]
    cluster.fail("GET", "/apis/helm.toolkit.fluxcd.io/*", 404)
    assert wait(cluster)["failure"]["code"] == "no_flux"
