# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_clone: what comes along from blue, what must not, what is refused, and how it is undone."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _clone
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_clone, migration_journal
from fake_cluster import FakeCluster, run_module

RBAC = "rbac.authorization.k8s.io/v1"
NAME = "public-ingressgateway"
POD_LABELS = {
    "app": NAME, "istio": "ingressgateway", "team": "edge", "sidecar.istio.io/inject": "true", "chart": "gateways",
    "install.operator.istio.io/owning-resource": "unknown", "operator.istio.io/component": "IngressGateways",
}  # fmt: skip
PARAMS = {
    "service": f"istio-system/{NAME}", "namespace": "istio-gateway", "name": "public-green",
    "labels": {"app": "public-green"}, "node_ports": {"http2": 30081, "https": 30444},
}  # fmt: skip


def thing(api_version, kind, name, namespace="istio-system", annotations=None, **content):
    meta = {
        "namespace": namespace, "name": name, "annotations": annotations or {},
        "labels": {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "x", "operator.istio.io/managed": "Reconcile"},
    }  # fmt: skip
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **content}


def gateway(name="public", namespace="istio-system", **selector):
    return thing("networking.istio.io/v1", "Gateway", name, namespace, spec={"selector": selector, "servers": []})


DEPLOYMENT = thing(
    "apps/v1", "Deployment", NAME, annotations={"deployment.kubernetes.io/revision": "3"},
    spec={
        "replicas": 2, "paused": True, "selector": {"matchLabels": {"app": NAME, "istio": "ingressgateway"}},
        "template": {
            "metadata": {
                "labels": POD_LABELS,
                "annotations": {"sidecar.istio.io/inject": "true", "kubectl.kubernetes.io/restartedAt": "x"},
            },
            "spec": {
                "serviceAccountName": f"{NAME}-sa", "serviceAccount": f"{NAME}-sa",
                "imagePullSecrets": [{"name": "private-registry"}],
                "volumes": [{"name": "certs", "secret": {"secretName": "certs", "optional": True}},
                            {"name": "ca", "configMap": {"name": "istio-ca-root-cert"}}],
                "affinity": {"podAntiAffinity": {"required": [{"labelSelector": {"matchExpressions": [
                    {"key": "app", "operator": "In", "values": [NAME]}]}}]}},
                "containers": [{"name": "istio-proxy", "image": "proxyv2:1.23", "env": [
                    {"name": "ISTIO_META_WORKLOAD_NAME", "value": NAME},
                    {"name": "ISTIO_META_OWNER",
                     "value": f"kubernetes://apis/apps/v1/namespaces/istio-system/deployments/{NAME}"},
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ]}],
            },
        },
    },
    status={"readyReplicas": 3},
)  # fmt: skip
SERVICE = thing(
    "v1", "Service", NAME, annotations={"external-dns.alpha.kubernetes.io/hostname": "a.test", "team/contact": "x"},
    spec={
        "type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "sessionAffinity": "ClientIP",
        "externalTrafficPolicy": "Local", "selector": {"app": NAME, "istio": "ingressgateway"},
        "ports": [
            {"name": "http2", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080, "appProtocol": "h2"},
            {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP", "nodePort": 30443},
        ],
    },
)  # fmt: skip
HPA = thing(
    "autoscaling/v2", "HorizontalPodAutoscaler", NAME,
    spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}, "minReplicas": 1,
          "maxReplicas": 2, "metrics": [{"type": "Resource"}]},
)  # fmt: skip
BUDGET = thing(
    "policy/v1", "PodDisruptionBudget", NAME, spec={"minAvailable": 1, "selector": {"matchLabels": {"app": NAME}}}
)
ACCOUNT = thing(
    "v1", "ServiceAccount", f"{NAME}-sa", secrets=[{"name": "token"}], imagePullSecrets=[{"name": "private-registry"}]
)
ROLE = thing(
    RBAC,
    "Role",
    f"{NAME}-sds",
    rules=[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}],
)
BINDING = thing(
    RBAC, "RoleBinding", f"{NAME}-sds", roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"{NAME}-sds"},
    subjects=[{"kind": "ServiceAccount", "name": f"{NAME}-sa"}],
)  # fmt: skip
OTHERS = [
    thing(RBAC, "Role", "other"),
    thing(
        RBAC,
        "RoleBinding",
        "other",
        roleRef={"kind": "Role", "name": "other"},
        subjects=[{"kind": "User", "name": "x"}],
    ),
    thing("policy/v1", "PodDisruptionBudget", "istiod", spec={"selector": {"matchLabels": {"app": "istiod"}}}),
    thing("v1", "Secret", "private-registry", "istio-gateway"),
]
EVERYTHING = [DEPLOYMENT, SERVICE, HPA, BUDGET, ACCOUNT, ROLE, BINDING, gateway(app=NAME), *OTHERS]
MADE = {
    "deployments": ["public-green"], "services": ["public-green"], "serviceaccounts": ["public-green"],
    "roles": [f"public-green-{NAME}-sds"], "rolebindings": [f"public-green-{NAME}-sds"],
    "horizontalpodautoscalers": ["public-green"], "poddisruptionbudgets": ["public-green"],
}  # fmt: skip


@pytest.fixture
def cluster():
    return FakeCluster(*EVERYTHING)


def run(cluster, check=False, **params):
    return run_module(gateway_clone, {**PARAMS, **params}, cluster, check=check)


def green(cluster, plural):
    return cluster.peek(plural, "istio-gateway", MADE[plural][0])


# -- what comes along --------------------------------------------------------------------------------------------------
def test_every_object_is_made_under_greens_name(cluster):
    result = run(cluster)
    assert {o["state"] for o in result["objects"]} == {"created"} and result["changed"]
    assert {plural: cluster.names(plural, "istio-gateway") for plural in MADE} == MADE
    for plural in MADE:
        meta = green(cluster, plural)["metadata"]
        assert meta["labels"] == {"app.kubernetes.io/managed-by": "bluegreen.mesh", "app": "public-green"}
        assert list(meta["annotations"]) == ["bluegreen.mesh/clone-of"]


def test_pods_have_greens_labels_and_none_that_selects_blues(cluster):
    run(cluster)
    spec = green(cluster, "deployments")["spec"]
    assert spec["template"]["metadata"]["labels"] == {
        "app": "public-green", "team": "edge", "sidecar.istio.io/inject": "true",
    }  # fmt: skip
    assert spec["selector"] == {"matchLabels": {"app": "public-green"}}
    assert spec["template"]["metadata"]["annotations"] == {"sidecar.istio.io/inject": "true"}
    term = spec["template"]["spec"]["affinity"]["podAntiAffinity"]["required"][0]["labelSelector"]
    assert term["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_green_is_as_large_as_blue_is_ready_and_not_paused(cluster):
    assert run(cluster)["replicas"] == 3
    assert "paused" not in green(cluster, "deployments")["spec"]
    spec = green(cluster, "horizontalpodautoscalers")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 3)
    assert spec["scaleTargetRef"]["name"] == "public-green" and spec["metrics"]


def test_the_proxy_goes_by_greens_name(cluster):
    run(cluster)
    pod = green(cluster, "deployments")["spec"]["template"]["spec"]
    values = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
    assert values["ISTIO_META_WORKLOAD_NAME"] == "public-green"
    assert values["ISTIO_META_OWNER"].endswith("/namespaces/istio-gateway/deployments/public-green")
    assert pod["serviceAccountName"] == "public-green" == pod["serviceAccount"]


def test_the_service_keeps_what_is_not_blues_alone(cluster):
    run(cluster)
    spec = green(cluster, "services")["spec"]
    assert not {"clusterIP", "clusterIPs"} & spec.keys()
    assert (spec["sessionAffinity"], spec["externalTrafficPolicy"]) == ("ClientIP", "Local")
    assert spec["selector"] == {"app": "public-green"}
    ports = [(p["name"], p["port"], p["targetPort"], p["nodePort"]) for p in spec["ports"]]
    assert (
        ports == [("http2", 80, 8080, 30081), ("https", 443, 8443, 30444)] and spec["ports"][0]["appProtocol"] == "h2"
    )


def test_only_named_annotations_come_along(cluster):
    run(cluster, annotations=["team/contact"])
    assert sorted(green(cluster, "services")["metadata"]["annotations"]) == ["bluegreen.mesh/clone-of", "team/contact"]


def test_the_account_may_do_what_blues_may(cluster):
    run(cluster)
    binding = green(cluster, "rolebindings")
    assert binding["roleRef"]["name"] == MADE["roles"][0]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "public-green", "namespace": "istio-gateway"}]
    assert green(cluster, "roles")["rules"] == ROLE["rules"]
    assert "secrets" not in green(cluster, "serviceaccounts")


@pytest.mark.parametrize("named", [False, True])
def test_a_role_is_added_where_no_role_lets_istiod_hand_out_certificates(named):
    role = {**ROLE, "rules": [{**ROLE["rules"][0], "resourceNames": ["one"]}]}
    cluster = FakeCluster(*[o for o in EVERYTHING if o not in (ROLE, BINDING)], *([role, BINDING] if named else []))
    run(cluster)
    assert cluster.peek("roles", "istio-gateway", "public-green")["rules"] == [_clone.SECRETS_RULE]
    assert cluster.peek("rolebindings", "istio-gateway", "public-green")["roleRef"]["name"] == "public-green"


# -- again, and check mode ---------------------------------------------------------------------------------------------
def test_check_mode_predicts_and_writes_nothing(cluster):
    predicted = run(cluster, check=True)
    assert cluster.writes == 0 and cluster.names("deployments", "istio-gateway") == []
    assert predicted["diff"] == run(cluster)["diff"]


def test_a_second_run_changes_nothing_even_with_what_the_cluster_adds(cluster):
    run(cluster)
    cluster.edit("services", "istio-gateway", "public-green", lambda o: o["spec"].update(clusterIP="10.0.0.9"))
    cluster.edit("deployments", "istio-gateway", "public-green", lambda o: o["spec"]["template"]["metadata"].update(
        creationTimestamp=None))  # fmt: skip
    writes = cluster.writes
    assert not run(cluster)["changed"] and cluster.writes == writes


def test_it_follows_blue_and_never_shrinks(cluster):
    run(cluster)
    cluster.edit("deployments", "istio-gateway", "public-green", lambda o: o["spec"].update(replicas=9))
    pods = ("spec", "template", "spec", "containers")
    cluster.edit(
        "deployments", "istio-system", NAME, lambda o: o[pods[0]][pods[1]][pods[2]][pods[3]][0].update(image="new")
    )
    result = run(cluster)
    assert [o["object"] for o in result["objects"] if o["state"] == "updated"] == [
        "Deployment istio-gateway/public-green"
    ]
    spec = green(cluster, "deployments")["spec"]
    assert spec["replicas"] == 9 and spec["template"]["spec"]["containers"][0]["image"] == "new"


def test_requests_do_not_grow_with_other_deployments(cluster):
    run(cluster)
    before = cluster.total
    run(cluster)
    few = cluster.total - before
    cluster.add(
        *(thing("apps/v1", "Deployment", f"d{i}", spec={"template": {"metadata": {}, "spec": {}}}) for i in range(50))
    )
    before = cluster.total
    run(cluster)
    assert cluster.total - before == few


# -- refusals ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("params", "code", "says"),
    [
        ({"labels": {"app": NAME, "istio": "green"}}, "same_labels", "Gateway istio-system/public"),
        ({"node_ports": {"http2": 30081, "https": 30443}}, "port_in_use", f"istio-system/{NAME}"),
        ({"node_ports": {"http2": 30081}}, "unnamed_port", "https"),
        ({"node_ports": {"http2": "x", "https": 1}}, "bad_port", "http2"),
        ({"service": "istio-system/nope"}, "no_such_service", "istio-system/nope"),
        ({"service": "nope"}, "malformed_reference", "nope"),
        ({"namespace": "istio-system", "name": NAME}, "bad_option", "blue itself"),
        ({"labels": {}}, "bad_option", "labels"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(cluster, params, code, says):
    result = run(cluster, **params)
    assert result["failed"] and result["failure"]["code"] == code and says in result["msg"]
    assert cluster.writes == 0


def test_a_gateway_without_a_selector_takes_both(cluster):
    cluster.add(gateway("all", "edge"))
    assert "every gateway workload" in run(cluster)["msg"]


def test_blues_service_must_not_take_greens_pods_in_one_namespace():
    service = copy.deepcopy(SERVICE)
    service["spec"]["selector"] = {"team": "edge"}
    blue = _clone.Blue(service, DEPLOYMENT, ACCOUNT, [], [], [], [], [])
    with pytest.raises(Refusal) as caught:
        _clone.refuse_shared(blue, _clone.Green("istio-system", "g", {"team": "edge"}, {}))
    assert caught.value.code == "same_labels"


def test_what_is_there_and_not_ours_is_left_alone(cluster):
    cluster.add(thing("v1", "Service", "public-green", "istio-gateway", spec={"ports": []}))
    result = run(cluster)
    assert result["failure"]["code"] == "foreign" and result["failure"]["objects"] == [
        "Service istio-gateway/public-green"
    ]
    assert cluster.writes == 0


def test_pods_that_could_not_start_are_refused(cluster):
    cluster.delete("/api/v1/namespaces/istio-gateway/secrets/private-registry")
    writes = cluster.writes
    result = run(cluster)
    assert result["failure"]["code"] == "missing_reference"
    assert result["failure"]["objects"] == ["Secret istio-gateway/private-registry"] and cluster.writes == writes


def test_every_way_to_refer_to_an_object_is_known():
    pod = {
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [
            {"secret": {"secretName": "s1"}}, {"configMap": {"name": "c1"}}, {"persistentVolumeClaim": {"claimName": "p"}},
            {"projected": {"sources": [{"secret": {"name": "s2"}}, {"configMap": {"name": "c2", "optional": True}}]}},
        ],
        "initContainers": [{"envFrom": [{"configMapRef": {"name": "c3"}}]}],
        "containers": [{"env": [{"name": "x", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}}, {"name": "y"}]}],
    }  # fmt: skip
    assert _clone.references(pod) == [
        ("Secret", "pull"), ("Secret", "s1"), ("ConfigMap", "c1"), ("PersistentVolumeClaim", "p"), ("Secret", "s2"),
        ("ConfigMap", "c3"), ("Secret", "s3"),
    ]  # fmt: skip


def test_a_missing_namespace_is_named():
    cluster = FakeCluster(*[o for o in EVERYTHING if o["metadata"]["namespace"] == "istio-system"])
    cluster.edit("deployments", "istio-system", NAME, lambda o: o["spec"]["template"]["spec"].pop("imagePullSecrets"))
    cluster.edit("serviceaccounts", "istio-system", f"{NAME}-sa", lambda o: o.pop("imagePullSecrets"))
    assert run(cluster)["failure"]["code"] == "namespace_missing"


# -- the way back ------------------------------------------------------------------------------------------------------
def journal(cluster):
    return json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])


def opened(cluster):
    where = {"namespace": "bluegreen-mesh", "name": "night"}
    epoch = run_module(migration_journal, {**where, "state": "open", "takeover": True}, cluster)["epoch"]
    return {**where, "epoch": epoch, "phase": "deploy"}


def test_the_journals_inverses_undo_it(cluster):
    run(cluster, journal=opened(cluster))
    steps = journal(cluster)
    assert len(steps) == len(MADE) and {s["state"] for s in steps} == {"done"}
    for step in reversed(steps):
        assert step["inverse"]["module"] == "gateway_clone"
        run_module(gateway_clone, step["inverse"]["params"], cluster)
    assert all(cluster.names(plural, "istio-gateway") == [] for plural in MADE)
    assert cluster.names("deployments") == [NAME]


def test_an_update_is_undone_to_what_was_there(cluster):
    run(cluster)
    before = green(cluster, "services")["spec"]
    cluster.edit("services", "istio-system", NAME, lambda o: o["spec"].update(externalTrafficPolicy="Cluster"))
    run(cluster, journal=opened(cluster))
    (step,) = journal(cluster)
    assert green(cluster, "services")["spec"]["externalTrafficPolicy"] == "Cluster"
    run_module(gateway_clone, step["inverse"]["params"], cluster)
    assert green(cluster, "services")["spec"] == before
    assert not run_module(gateway_clone, step["inverse"]["params"], cluster)["changed"]


def test_undoing_leaves_what_others_made(cluster):
    target = {"api_version": "v1", "kind": "Service", "namespace": "istio-system", "name": NAME}
    result = run_module(gateway_clone, {"state": "absent", "objects": [target]}, cluster)
    assert result["objects"][0]["state"] == "foreign" and cluster.writes == 0


def test_a_change_made_meanwhile_is_retried_from_a_fresh_read(cluster):
    run(cluster)
    cluster.edit("services", "istio-system", NAME, lambda o: o["spec"].update(externalTrafficPolicy="Cluster"))

    def touch(o):
        o["metadata"]["annotations"].update(other="x")

    cluster.on("PUT", "*", lambda _r: cluster.edit("services", "istio-gateway", "public-green", touch), times=1)
    assert run(cluster)["changed"]
    assert green(cluster, "services")["metadata"]["annotations"]["other"] == "x"
