# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gateways can't serve without, found from their selectors on.

Keeping the Gateways alone leaves Gateways with no pods: the old Big Bang chart has the IstioOperator in the same
release, and removing that takes gateways and istiod with it. What more than these Gateways need is `shared`, and stays
when they go. TLS Secrets are not here: what names those is the Gateway itself (_keep_target.tls_secrets).
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._client import ApiError, Cluster, path_of
from ._objects import OUR_LABELS, label_query, labels_of, picks, selector_of, selects, template_labels
from ._resources import Ref

Object = dict[str, t.Any]
CONTROL_PLANE = "istio-system"  # also where no istiod is found: it may be scaled to 0, or run elsewhere
RBAC = "rbac.authorization.k8s.io/v1"
# By the inventory's names: (group and version, plural, whether of one namespace).
KINDS = {
    "deployments": ("apps/v1", "deployments", True),
    "daemon_sets": ("apps/v1", "daemonsets", True),
    "services": ("v1", "services", True),
    "service_accounts": ("v1", "serviceaccounts", True),
    "role_bindings": (RBAC, "rolebindings", True),
    "hpas": ("autoscaling/v2", "horizontalpodautoscalers", True),
    "pdbs": ("policy/v1", "poddisruptionbudgets", True),
    "network_policies": ("networking.k8s.io/v1", "networkpolicies", True),
    "cluster_role_bindings": (RBAC, "clusterrolebindings", False),
    "mutating_webhooks": ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", False),
    "validating_webhooks": ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", False),
    "istio_operators": ("install.istio.io/v1alpha1", "istiooperators", False),
}
CRDS = (
    *(f"{plural}.networking.istio.io" for plural in (
        "destinationrules", "envoyfilters", "gateways", "proxyconfigs", "serviceentries", "sidecars",
        "virtualservices", "workloadentries", "workloadgroups")),
    *(f"{plural}.security.istio.io" for plural in (
        "authorizationpolicies", "peerauthentications", "requestauthentications")),
    "telemetries.telemetry.istio.io", "trafficextensions.extensions.istio.io", "wasmplugins.extensions.istio.io",
    "istiooperators.install.istio.io",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Need:
    """An object that is needed if it is there. why: in words; shared: whether more than these Gateways need it."""

    ref: Ref
    why: str
    shared: bool


# -- from plain objects ----------------------------------------------------------------------------------------------
def blue_needs(inventory: dict[str, list[Object]]) -> list[Need]:
    """inventory: `gateways`, and what read() lists. Each object once, in the order in which it was found."""
    found: dict[Ref, Need] = {}

    def add(ref: Ref, why: str, shared: bool) -> None:
        known = found.get(ref)
        if known is None or (shared and not known.shared):
            found[ref] = Need(ref, known.why if known else why, shared)

    gateways = inventory.get("gateways") or []
    workloads = [*(inventory.get("deployments") or []), *(inventory.get("daemon_sets") or [])]
    of_blue = [w for w in workloads if any(selects(selector_of(g), template_labels(w)) for g in gateways)]
    of_istiod = [w for w in workloads if is_istiod(w)]
    for workload in of_blue:
        for ref, why in _around(workload, inventory):
            add(ref, why, ref.namespace == "")
    for workload in of_istiod:
        for ref, why in _around(workload, inventory):
            add(ref, why, True)
    for ref, why in _control_plane(of_istiod, inventory):
        add(ref, why, True)
    for item in inventory.get("istio_operators") or []:
        add(Ref.of(item), "the operator prunes gateways and istiod when it goes", True)
    for namespace in dict.fromkeys(_namespace(item) for item in (*gateways, *of_blue, *of_istiod)):
        add(Ref("v1", "Namespace", "", namespace), "what is needed is in it", True)
    for name in CRDS:
        add(Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name), "Istio's configuration", True)
    return list(found.values())


def is_istiod(workload: Object) -> bool:
    return template_labels(workload).get("app") == "istiod"


def is_ours(item: Object) -> bool:
    """What a migration has put beside blue for a while; it takes that away itself."""
    return OUR_LABELS.items() <= labels_of(item).items()


def _around(workload: Object, inventory: dict[str, list[Object]]) -> t.Iterator[tuple[Ref, str]]:
    """A workload and what it runs by."""
    namespace, labels, spec = _namespace(workload), template_labels(workload), _pod_spec(workload)
    title = f"{workload['kind']} {namespace}/{workload['metadata']['name']}"

    def here(kind: str) -> list[Object]:
        return [item for item in inventory.get(kind) or [] if _namespace(item) == namespace]

    yield Ref.of(workload), "istiod configures the gateways" if is_istiod(workload) else "its pods serve the Gateway"
    for service in here("services"):
        if selects(selector_of(service), labels) and not is_ours(service):
            yield Ref.of(service), f"leads to the pods of {title}"
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    pull = list(spec.get("imagePullSecrets") or [])
    for item in here("service_accounts"):
        if item["metadata"]["name"] == account:
            pull += item.get("imagePullSecrets") or []
            if account != "default":  # made anew by Kubernetes itself
                yield Ref.of(item), f"service account of {title}"
    for secret in pull:
        yield Ref("v1", "Secret", namespace, secret["name"]), f"pull secret of {title}"
    for kind, name in _mounted(spec):
        yield Ref("v1", kind, namespace, name), f"mounted by {title}"
    for bindings in (here("role_bindings"), inventory.get("cluster_role_bindings") or []):
        for item in bindings:
            if any(
                _is_account(subject, namespace, account, _namespace(item)) for subject in item.get("subjects") or []
            ):
                role = item["roleRef"]
                yield Ref.of(item), f"what {title} may do, as to be handed out Secrets"
                space = _namespace(item) if role["kind"] == "Role" else ""
                yield Ref(RBAC, role["kind"], space, role["name"]), f"what {title} may do, as to be handed out Secrets"
    for item in here("hpas"):
        scaled = (item.get("spec") or {}).get("scaleTargetRef") or {}
        if (scaled.get("kind"), scaled.get("name")) == (workload["kind"], workload["metadata"]["name"]):
            yield Ref.of(item), f"scales {title}"
    for kind, field in (("pdbs", "selector"), ("network_policies", "podSelector")):
        for item in here(kind):
            if picks((item.get("spec") or {}).get(field), labels):
                yield Ref.of(item), f"is about the pods of {title}"


def _control_plane(istiods: t.Sequence[Object], inventory: dict[str, list[Object]]) -> t.Iterator[tuple[Ref, str]]:
    """What istiod runs by besides its Deployment, by name: the chart gives no label that tells them from others."""
    for namespace in dict.fromkeys((CONTROL_PLANE, *(_namespace(w) for w in istiods))):
        for name in ("istio-ca-secret", "cacerts"):
            yield Ref("v1", "Secret", namespace, name), "the root of every certificate in the mesh"
        revisions = {""}
        for workload in istiods:
            revision = template_labels(workload).get("istio.io/rev", "default")
            revisions |= {f"-{revision}"} if _namespace(workload) == namespace and revision != "default" else set()
        for name in (f"{base}{rev}" for base in ("istio", "istio-sidecar-injector") for rev in sorted(revisions)):
            yield Ref("v1", "ConfigMap", namespace, name), "istiod's configuration"
    served = {
        (_namespace(service), service["metadata"]["name"])
        for workload in istiods for service in inventory.get("services") or []
        if _namespace(service) == _namespace(workload)
        and selects(selector_of(service), template_labels(workload))
    }  # fmt: skip
    for item in (*(inventory.get("mutating_webhooks") or []), *(inventory.get("validating_webhooks") or [])):
        asked = [((hook.get("clientConfig") or {}).get("service") or {}) for hook in item.get("webhooks") or []]
        if any((service.get("namespace"), service.get("name")) in served for service in asked):
            yield Ref.of(item), "calls istiod"


def _mounted(spec: Object) -> t.Iterator[tuple[str, str]]:
    for volume in spec.get("volumes") or []:
        for source in (volume, *((volume.get("projected") or {}).get("sources") or [])):
            secret, config = source.get("secret") or {}, source.get("configMap") or {}
            if secret.get("secretName") or secret.get("name"):
                yield "Secret", secret.get("secretName") or secret["name"]
            if config.get("name"):
                yield "ConfigMap", config["name"]


def _is_account(subject: Object, namespace: str, account: str, bound_in: str) -> bool:
    return (subject.get("kind"), subject.get("name"), subject.get("namespace") or bound_in) == (
        "ServiceAccount", account, namespace,
    )  # fmt: skip


def _namespace(item: Object) -> str:
    return item["metadata"].get("namespace") or ""


def _template(workload: Object) -> Object:
    return (workload.get("spec") or {}).get("template") or {}


def _pod_spec(workload: Object) -> Object:
    return _template(workload).get("spec") or {}


# -- reading ---------------------------------------------------------------------------------------------------------
def read(cluster: Cluster, gateways: t.Sequence[Object], namespaces: t.Iterable[str] = ()) -> dict[str, list[Object]]:
    """The inventory that blue_needs() takes: a number of lists that grows with the namespaces of gateways alone.

    namespaces: more to look in, besides those of the Gateways, their pods and istiod. Raises ApiError for a list that
    is refused: what was not looked at is not known to be kept.
    """
    selectors = dict.fromkeys(label_query(selector_of(gateway)) for gateway in gateways)
    asked = [("v1", "pods", None, selector) for selector in selectors if selector]
    asked.append(("apps/v1", "deployments", None, "app=istiod"))
    near = {_namespace(item) for item in (*gateways, *(found for answer in _lists(cluster, asked) for found in answer))}
    near |= {CONTROL_PLANE, *namespaces}
    kinds = [
        (kind, (version, plural, namespace, ""))
        for kind, (version, plural, namespaced) in KINDS.items()
        for namespace in (sorted(near) if namespaced else [None])
    ]
    inventory: dict[str, list[Object]] = {"gateways": list(gateways)}
    for (kind, _what), answer in zip(kinds, _lists(cluster, [what for _kind, what in kinds])):
        inventory.setdefault(kind, []).extend(answer)
    return inventory


def _lists(cluster: Cluster, asked: t.Sequence[tuple[str, str, str | None, str]]) -> list[list[Object]]:
    def one(what: tuple[str, str, str | None, str]) -> list[Object]:
        version, plural, namespace, selector = what
        try:
            return cluster.list(path_of(version, plural, namespace), {"labelSelector": selector} if selector else None)
        except ApiError as exc:
            if exc.status == 404:  # no such kind here
                return []
            raise

    answers = cluster.parallel(one, asked)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
