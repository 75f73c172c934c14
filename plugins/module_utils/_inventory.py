# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the findings look at, read once: a fixed number of lists, whatever the cluster's size.

A list that may not be read is remembered, and is a finding of its own: what was not looked at is not known to be fine.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

try:
    import yaml
except ImportError:  # ansible-core needs PyYAML itself
    yaml = None

from . import _virtual_services
from ._client import ApiError, Cluster, path_of
from ._module import Refusal
from ._objects import OPERATOR, PREVIEW_OF, annotations_of, configures, labels_of, ref_of, selector_of, selects, template_labels
from ._twin import Ref, credentials, parse_ports, parse_ref, title
from ._values import service_settings

Object = dict[str, t.Any]
ERROR, WARNING = "error", "warning"
DOMAIN = "svc.cluster.local"
# A pair as modules take it; the doc fragment pairs.workloads says what it means.
PAIR: dict[str, t.Any] = {
    "blue": {"type": "str", "required": True},
    "green": {"type": "str", "required": True},
    "workload": {"type": "str"},
    "ports": {"type": "dict", "default": {}},
}
_WORDS: dict[str, t.Any] = {"type": "str", "required": True}
_SOME: dict[str, t.Any] = {"type": "dict"}
# A workload as modules take it that read both sides; the doc fragment sides says what it means.
WORKLOAD: dict[str, t.Any] = {
    "name": _WORDS,
    "method": {"type": "str"},
    "blue": {"type": "dict", "required": True, "options": {"namespace": _WORDS, "service": _WORDS}},
    "green": {"type": "dict", "required": True, "options": {
        "namespace": _WORDS, "release": _WORDS, "labels": _SOME, "node_ports": _SOME, "chart_values": _SOME,
    }},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that would go wrong. object: 'Kind NAMESPACE/NAME'; field, found: where and what; fix: what to do."""

    code: str
    severity: str
    object: str
    field: str
    found: str
    fix: str

    def waived_by(self, waivers: t.Collection[str]) -> str | None:
        """The waiver that accepts it: its code, or CODE:NAMESPACE/NAME (CODE:NAME for what has no namespace)."""
        return next((w for w in (f"{self.code}:{self.object.partition(' ')[2]}", self.code) if w in waivers), None)


CONTROL_PLANE = "istio-system"


@dataclasses.dataclass(frozen=True)
class Kind:
    """versions: (group and version, plural), newest first; the first that the API server has is used. everywhere:
    listed in all namespaces, else only in those of the workloads. required: not having the kind is a finding.
    namespace, query: where alone it is listed, and by which selector."""

    name: str
    versions: tuple[tuple[str, str], ...]
    everywhere: bool = True
    required: bool = False
    namespace: str | None = None
    query: tuple[tuple[str, str], ...] = ()

    def where(self, namespace: str | None) -> str:
        """What `unreadable` calls a list of this kind."""
        group_version, plural = self.versions[0]
        group = group_version.partition("/")[0] if "/" in group_version else "core"
        return plural + (f" in {namespace}" if namespace else "") + f" ({group})"


def _istio(name: str, plural: str, group: str, *versions: str, required: bool = False) -> Kind:
    return Kind(name, tuple((f"{group}.istio.io/{v}", plural) for v in versions), required=required)


def _gateway_api(name: str, plural: str, *versions: str) -> Kind:
    return Kind(name, tuple((f"gateway.networking.k8s.io/{v}", plural) for v in versions))


def _prometheus(name: str, plural: str) -> Kind:
    return Kind(name, (("monitoring.coreos.com/v1", plural),))


KINDS = (
    _istio("gateways", "gateways", "networking", "v1", "v1beta1", required=True),
    _istio("virtual_services", "virtualservices", "networking", "v1", "v1beta1", required=True),
    _istio("destination_rules", "destinationrules", "networking", "v1", "v1beta1"),
    _istio("service_entries", "serviceentries", "networking", "v1", "v1beta1"),
    _istio("envoy_filters", "envoyfilters", "networking", "v1alpha3"),
    _istio("proxy_configs", "proxyconfigs", "networking", "v1beta1"),
    _istio("authorization_policies", "authorizationpolicies", "security", "v1", "v1beta1"),
    _istio("request_authentications", "requestauthentications", "security", "v1", "v1beta1"),
    _istio("telemetries", "telemetries", "telemetry", "v1", "v1alpha1"),
    _istio("wasm_plugins", "wasmplugins", "extensions", "v1alpha1"),
    _gateway_api("k8s_gateways", "gateways", "v1", "v1beta1"),
    _gateway_api("http_routes", "httproutes", "v1", "v1beta1"),
    _gateway_api("grpc_routes", "grpcroutes", "v1"),
    _gateway_api("tls_routes", "tlsroutes", "v1", "v1alpha3", "v1alpha2"),
    _gateway_api("tcp_routes", "tcproutes", "v1alpha2"),
    Kind("applications", (("argoproj.io/v1alpha1", "applications"),)),
    Kind("helm_releases", tuple((f"helm.toolkit.fluxcd.io/{v}", "helmreleases") for v in ("v2", "v2beta2"))),
    Kind("kustomizations", tuple((f"kustomize.toolkit.fluxcd.io/{v}", "kustomizations") for v in ("v1", "v1beta2"))),
    Kind("ingresses", (("networking.k8s.io/v1", "ingresses"),)),
    Kind("ingress_classes", (("networking.k8s.io/v1", "ingressclasses"),)),
    Kind("network_policies", (("networking.k8s.io/v1", "networkpolicies"),)),
    _prometheus("service_monitors", "servicemonitors"),
    _prometheus("pod_monitors", "podmonitors"),
    _prometheus("prometheus_rules", "prometheusrules"),
    # Grafana's sidecar, as Helm charts of dashboards use it, goes by this label.
    Kind("dashboards", (("v1", "configmaps"),), query=(("labelSelector", "grafana_dashboard"),)),
    # Distributions name the cluster's DNS differently: what is its is told by the keys (Inventory.dns).
    Kind("coredns", (("v1", "configmaps"),), namespace="kube-system"),
    # istiod's configuration, one for each revision, among others (Inventory.mesh_configs).
    Kind("mesh_configs", (("v1", "configmaps"),), namespace=CONTROL_PLANE, query=(("labelSelector", "istio.io/rev"),)),
    Kind("namespaces", (("v1", "namespaces"),)),
    Kind("services", (("v1", "services"),)),
    Kind("nodes", (("v1", "nodes"),)),
    Kind("pods", (("v1", "pods"),), everywhere=False),
    Kind("secrets", (("v1", "secrets"),), everywhere=False),
    Kind("deployments", (("apps/v1", "deployments"),), everywhere=False),
    # external-dns, wherever it is: as its charts label it, and as its manifests call it.
    Kind("external_dns", (("apps/v1", "deployments"),), query=(("labelSelector", "app.kubernetes.io/name=external-dns"),)),
    Kind("external_dns_named", (("apps/v1", "deployments"),), query=(("fieldSelector", "metadata.name=external-dns"),)),
    # What Istio's operator makes, wherever it is: one IstioOperator may have gateways in several namespaces.
    Kind("of_operators", (("apps/v1", "deployments"),), query=(("labelSelector", OPERATOR),)),
    Kind("hpas", (("autoscaling/v2", "horizontalpodautoscalers"),), everywhere=False),
    Kind("pdbs", (("policy/v1", "poddisruptionbudgets"),), everywhere=False),
    Kind("certificates", (("cert-manager.io/v1", "certificates"),), everywhere=False),
)
# What makes VirtualServices: needed where it is known how these will be bound (Inventory.binding).
SOURCES = ("applications", "helm_releases", "kustomizations")
# Of a Secret's annotations these may be kept: they say whose copy or certificate it is, and hold no value.
SECRET_ANNOTATIONS = ("bluegreen.mesh/", "cert-manager.io/")
CERTIFICATE_KEYS = ("tls.crt", "cert")


@dataclasses.dataclass(frozen=True)
class Workload:
    """A gateway's pods and Service, of both colours, as the settings name them."""

    name: str
    blue: Ref  # the Service
    green: Ref  # the Helm release, and so its Service
    green_labels: dict[str, str]
    node_ports: dict[str, int]
    green_account: str
    chart_service: Object  # what the chart's values say of green's Service
    method: str = "helm"

    @property
    def by_chart(self) -> bool:
        """Whether green's values are worked out from blue."""
        return self.method in ("helm", "bigbang")

    def foretold(self, blue: Object | None) -> Object:
        """Type, settings and annotations of green's Service before it is there, by the values that it will have."""
        kind = "NodePort" if self.method == "bigbang" else ((blue or {}).get("spec") or {}).get("type")
        taken = service_settings(blue, self.chart_service.get("type") or kind) if blue and self.by_chart else {}
        annotations = {**(taken.get("annotations") or {}), **(self.chart_service.get("annotations") or {})}
        return {"type": kind, **taken, **self.chart_service, "annotations": annotations}


@dataclasses.dataclass(frozen=True)
class GatewayPair:
    blue: Ref
    green: Ref
    workload: Workload | None
    ports: dict[int, int]


@dataclasses.dataclass
class Inventory:
    """objects: by the names of KINDS. unreadable: why, by what could not be read; unread: the names of those KINDS, of
    which nothing is known to be missing. The findings read nothing else."""

    pairs: list[GatewayPair]
    workloads: list[Workload]
    objects: dict[str, list[Object]] = dataclasses.field(default_factory=dict)
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    unread: set[str] = dataclasses.field(default_factory=set)
    not_copied: dict[str, str] = dataclasses.field(default_factory=dict)  # object -> why the deployment can't copy it
    root_namespace: str = CONTROL_PLANE  # where istiod's configuration can't be read
    certificates: str = "copy"
    balancer: str = ""  # mesh_balancer.type
    binding: str = ""  # what mesh_bind_strategy comes to in this cluster; '' where that is not known

    def __getitem__(self, kind: str) -> list[Object]:
        return self.objects.get(kind, [])

    def find(self, kind: str, ref: Ref) -> Object | None:
        if kind not in self._indexed:
            self._indexed[kind] = {ref_of(item): item for item in self[kind]}
        return self._indexed[kind].get(ref)

    def replace(self, kind: str, items: list[Object]) -> None:
        """Other objects of a kind than were read."""
        self.objects[kind] = items
        self._indexed.pop(kind, None)

    @functools.cached_property
    def _indexed(self) -> dict[str, dict[Ref, Object]]:
        return {}

    @functools.cached_property
    def mesh_configs(self) -> list[tuple[Ref, Object]]:
        """istiod's configuration of each revision, that of the default one first; what can't be read as such is left."""
        found = []
        for item in sorted(self["mesh_configs"], key=lambda item: (ref_of(item)[1] != "istio", ref_of(item))):
            try:
                config = mesh_of(item)
            except yaml.YAMLError:
                config = None
            if isinstance(config, dict):
                found.append((ref_of(item), config))
        return found

    @property
    def root_namespaces(self) -> set[str]:
        """Where policies hold for the whole mesh: as istiod is configured, else as the settings say."""
        return {str(config.get("rootNamespace") or ref[0]) for ref, config in self.mesh_configs} or {self.root_namespace}

    def exported(self, given: t.Sequence[str] | None, kind: str) -> t.Sequence[str] | None:
        """exportTo of an object, or what istiod takes where it has none. kind: Service, VirtualService or
        DestinationRule (mesh.istio.io, defaultServiceExportTo and the like)."""
        return given or next((config.get(f"default{kind}ExportTo") for _ref, config in self.mesh_configs), None)

    @property
    def dns(self) -> list[tuple[Object, str, str]]:
        """(ConfigMap, key, text) of the cluster's DNS: CoreDNS' own file, and what distributions have it import."""
        return [
            (item, key, text)
            for item in self["coredns"]
            for key, text in (item.get("data") or {}).items()
            if key == "Corefile" or key.endswith((".override", ".server")) or "coredns" in ref_of(item)[1]
        ]

    # -- what belongs to which side ----------------------------------------------------------------------------------
    def blue_pods(self, workload: Workload) -> list[Object]:
        return self._pods(workload.blue)

    def green_pods(self, workload: Workload) -> list[Object]:
        return self._pods(workload.green)

    def _pods(self, service: Ref) -> list[Object]:
        selector = selector_of(self.find("services", service))
        return [p for p in self["pods"] if p["metadata"]["namespace"] == service[0] and selects(selector, labels_of(p))]

    def blue_labels(self, workload: Workload) -> list[dict[str, str]]:
        """Of each of blue's pods; where there is none now, what its Service selects."""
        pods = [labels_of(p) for p in self.blue_pods(workload)]
        selector = selector_of(self.find("services", workload.blue))
        return pods or ([selector] if selector else [])

    def blue_accounts(self, workload: Workload) -> set[str]:
        return {(p.get("spec") or {}).get("serviceAccountName") or "default" for p in self.blue_pods(workload)}

    def blue_deployment(self, workload: Workload) -> Object | None:
        return self._deployment(workload.blue)

    def green_deployment(self, workload: Workload) -> Object | None:
        """None until green is deployed."""
        return self._deployment(workload.green)

    def _deployment(self, service: Ref) -> Object | None:
        selector = selector_of(self.find("services", service))
        own = (d for d in self["deployments"] if ref_of(d)[0] == service[0])
        return next((d for d in own if selects(selector, template_labels(d))), None)

    def deployed(self) -> list[tuple[Object, Object]]:
        """Blue's and green's Deployment of each workload that has both already."""
        both = ((self.blue_deployment(w), self.green_deployment(w)) for w in self.workloads)
        return [(blue, green) for blue, green in both if blue and green]

    def on_blue(self, gateway: Object) -> list[Workload]:
        """The workloads whose blue pods this Gateway configures; one without a selector configures all."""
        return [w for w in self.workloads if any(configures(gateway, labels) for labels in self.blue_labels(w))]

    # -- routes ------------------------------------------------------------------------------------------------------
    @functools.cached_property
    def _blue_names(self) -> dict[str, GatewayPair]:
        return {title(pair.blue): pair for pair in self.pairs}

    @functools.cached_property
    def routed(self) -> list[tuple[Object, list[GatewayPair]]]:
        """Every VirtualService that serves on a blue Gateway, with those pairs; delegates with those of their roots."""
        found: dict[str, tuple[Object, dict[str, GatewayPair]]] = {}
        by_key = {title(ref_of(vs)): vs for vs in self["virtual_services"]}
        for key, vs in by_key.items():
            if _virtual_services.is_delegate(vs) or PREVIEW_OF in annotations_of(vs):  # which is to be blue's alone
                continue
            names = _virtual_services.gateways_of(vs)
            pairs = {name: self._blue_names[name] for name in names if name in self._blue_names}
            for concerned in [key, *_virtual_services.delegates_of(vs)] if pairs else []:
                if concerned in by_key:
                    found.setdefault(concerned, (by_key[concerned], {}))[1].update(pairs)
        return [(vs, list(pairs.values())) for vs, pairs in found.values()]

    @functools.cached_property
    def routed_hosts(self) -> dict[str, set[Ref]]:
        """Host (in full) of every destination of those VirtualServices -> the (blue, green) workload namespaces it is
        reached from."""
        found: dict[str, set[Ref]] = {}
        for vs, pairs in self.routed:
            for _field, host in self.destinations(vs):
                full = full_host(host, vs["metadata"]["namespace"])
                found.setdefault(full, set()).update(namespaces_of(pair) for pair in pairs)
        return found

    @staticmethod
    def destinations(vs: Object) -> t.Iterator[tuple[str, str]]:
        """(field, host as it is written) of every destination of a VirtualService, mirrors too."""
        spec = vs.get("spec") or {}
        for kind in ("http", "tcp", "tls"):
            for i, route in enumerate(spec.get(kind) or ()):
                at, route = f"spec.{kind}[{i}]", route or {}
                targets = [
                    (f"{at}.{key}[{j}].destination", (entry or {}).get("destination"))
                    for key in ("route", "mirrors")
                    for j, entry in enumerate(route.get(key) or ())
                ]
                mirror = route.get("mirror") or {}
                targets.append((f"{at}.mirror", mirror.get("destination", mirror)))
                for field, target in targets:
                    if target and target.get("host"):
                        yield f"{field}.host", target["host"]


# -- small words -------------------------------------------------------------------------------------------------------
def named(item: Object) -> str:
    """'Kind NAMESPACE/NAME', as findings name objects."""
    namespace, name = ref_of(item)
    return f"{item.get('kind', 'Object')} {namespace}/{name}" if namespace else f"{item.get('kind', 'Object')} {name}"


def namespaces_of(pair: GatewayPair) -> tuple[str, str]:
    """Namespaces of blue's and of green's pods: exportTo, policies and Secrets go by these, not the Gateway's own."""
    if pair.workload:
        return pair.workload.blue[0], pair.workload.green[0]
    return pair.blue[0], pair.green[0]


def full_host(host: str, namespace: str) -> str:
    """A destination's host as istiod completes it: a short name is a Service of the object's own namespace."""
    return host if "." in host or host.startswith("*") else f"{host}.{namespace}.{DOMAIN}"


def host_covers(pattern: str, host: str) -> bool:
    """Whether a DestinationRule for `pattern` is one for `host`; both in full."""
    return host.endswith(pattern[1:]) if pattern.startswith("*") else pattern == host


def service_of(host: str) -> Ref | None:
    """The Service that a full host names, or None for a host outside the cluster."""
    parts = host.split(".")
    return (parts[1], parts[0]) if len(parts) > 2 and parts[2] == "svc" else None


def mesh_of(config_map: Object) -> t.Any:
    """What istiod's ConfigMap says of the mesh; None where it says nothing. Raises yaml.YAMLError."""
    return yaml.safe_load((config_map.get("data") or {}).get("mesh") or "")


def visible(export_to: t.Sequence[str] | None, own: str, namespace: str) -> bool:
    """Whether an object in namespace `own` with this exportTo is seen by proxies in `namespace`."""
    return not export_to or any(e == "*" or e == namespace or e == "." and own == namespace for e in export_to)


# -- reading -----------------------------------------------------------------------------------------------------------
def parse(
    pairs: t.Sequence[dict[str, t.Any]], workloads: t.Sequence[dict[str, t.Any]]
) -> tuple[list[GatewayPair], list[Workload]]:
    """The module's options. Raises Refusal(malformed_reference, bad_option)."""
    known: dict[str, Workload] = {}
    for raw in workloads:
        blue, green = raw["blue"], raw["green"]
        values = green.get("chart_values") or {}
        known[raw["name"]] = Workload(
            raw["name"], (blue["namespace"], blue["service"]), (green["namespace"], green["release"]),
            {str(k): str(v) for k, v in (green.get("labels") or {}).items()},
            {k: int(v) for k, v in (green.get("node_ports") or {}).items()},
            (values.get("serviceAccount") or {}).get("name") or green["release"], values.get("service") or {},
            raw.get("method") or "helm",
        )  # fmt: skip
    if len(known) < len(workloads):
        raise Refusal("bad_option", f"workloads: names must differ; found {[raw['name'] for raw in workloads]}.")
    parsed = []
    for number, raw in enumerate(pairs):
        name = raw.get("workload")
        if name and name not in known:
            raise Refusal(
                "bad_option", f"pairs[{number}].workload: {name!r} is none of workloads ({', '.join(known)})."
            )
        workload = known[name] if name else next(iter(known.values())) if len(known) == 1 else None
        refs = [parse_ref(raw[colour], f"pairs[{number}].{colour}") for colour in ("blue", "green")]
        ports = parse_ports(raw.get("ports"), f"pairs[{number}].ports")
        parsed.append(GatewayPair(refs[0], refs[1], workload, ports))
    return parsed, list(known.values())


def read(cluster: Cluster, inventory: Inventory, only: t.Collection[str] = ()) -> Inventory:
    """Fills inventory.objects by listing every kind, and says in inventory.unreadable what could not be listed.
    only: the names of KINDS that are needed, if not all.

    Raises ClusterError when the cluster can't be reached at all. Of Secrets no private value is kept.
    """
    namespaces = sorted(
        {ref[0] for w in inventory.workloads for ref in (w.blue, w.green)}
        | {n for pair in inventory.pairs for n in namespaces_of(pair)}
    )
    kinds = [kind for kind in KINDS if not only or kind.name in only]
    tasks = [(k, n) for k in kinds for n in ([k.namespace] if k.everywhere or k.namespace else namespaces)]
    answers = cluster.parallel(lambda task: _list(cluster, *task), tasks)
    for (kind, namespace), answer in zip(tasks, answers):
        where = kind.where(namespace)
        if isinstance(answer, ApiError):
            inventory.unreadable[where] = answer.explain()
            inventory.unread.add(kind.name)
        elif isinstance(answer, Exception):
            raise answer
        elif answer is None:
            if kind.required:
                inventory.unreadable[where] = "the API server does not have this kind"
                inventory.unread.add(kind.name)
        else:
            inventory.objects.setdefault(kind.name, []).extend(answer)
    _strip_secrets(inventory)
    return inventory


def _strip_secrets(inventory: Inventory) -> None:
    """Leaves of each Secret its keys, and of those that a Gateway names the certificate, which is public."""
    named_by_gateways = {c.name for gateway in inventory["gateways"] for c in credentials(gateway.get("spec") or {})}
    for secret in inventory["secrets"]:
        public = CERTIFICATE_KEYS if secret["metadata"]["name"] in named_by_gateways else ()
        secret["data"] = {k: v if k in public else "" for k, v in (secret.get("data") or {}).items()}
        secret["metadata"].pop("managedFields", None)
        # Not all: last-applied-configuration may hold the values.
        secret["metadata"]["annotations"] = {
            k: v for k, v in annotations_of(secret).items() if k.startswith(SECRET_ANNOTATIONS)
        }


def _list(cluster: Cluster, kind: Kind, namespace: str | None) -> list[Object] | None:
    for group_version, plural in kind.versions:
        try:
            return cluster.list(path_of(group_version, plural, namespace), dict(kind.query))
        except ApiError as exc:
            if exc.status != 404:
                raise
    return None
