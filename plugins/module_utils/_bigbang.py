# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Big Bang: the values that deploy green beside blue, and what must be so before they are deployed.

Read in Big Bang's umbrella chart 2.54.0, the last with both ways to install Istio, and in its packages istio-gateway and
istiod: keys and defaults of values.yaml, values.schema.json, templates/istio*, templates/_helpers.tpl. Each gateway is
a Flux HelmRelease NAME-ingressgateway in namespace istio-gateway, and everything below `upstream` goes to Istio's own
gateway chart.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import typing as t

from ._client import ApiError, path_of
from ._clone import live_replicas
from ._frozen import Note
from ._module import Refusal
from ._values import proxy_settings, service_ports, service_settings
from ._values_file import Path, ValuesFile, plain

Object = dict[str, t.Any]
GATEWAYS: Path = ("istioGateway", "values", "gateways")
KIND = "ingressgateway"  # of a gateway, as its label `istio` and the end of its release's name
TYPE = "NodePort"  # of green's Service
NAMED_TARGETS = {80: 8080, 443: 8443, 15021: 15021}  # what the package's Gateways listen on, for a port by name
HELM_RELEASES = tuple(f"helm.toolkit.fluxcd.io/{version}" for version in ("v2", "v2beta2", "v2beta1"))
SOURCES = {
    "GitRepository": ("gitrepositories", "source.toolkit.fluxcd.io", ("v1", "v1beta2")),
    "OCIRepository": ("ocirepositories", "source.toolkit.fluxcd.io", ("v1", "v1beta2")),
}
ERROR, WARNING = "error", "warning"


# -- values ------------------------------------------------------------------------------------------------------------
def gateway_values(
    name: str, service: Object, deployment: Object, hpas: t.Sequence[Object], labels: t.Mapping[str, str],
    node_ports: t.Mapping[str, int], have: t.Mapping[str, t.Any], alb: t.Mapping[str, t.Any] | None = None,
) -> Object:  # fmt: skip
    """Values of one gateway, to be merged below GATEWAYS.

    have: what the file says of it already: autoscaling there is never lowered, and of what is only to be as blue has it,
    the file's own wins. alb: blue's Gateway, if an Application
    Load Balancer sends to it: that sends no server name, so every host has to be taken.

    Raises Refusal as service_ports does, and bad_labels, no_credential.
    """
    release = f"{name}-{KIND}"
    fixed = {"app": release, "istio": KIND}
    wrong = {key: labels[key] for key, value in fixed.items() if labels.get(key, value) != value}
    if wrong:
        raise Refusal(
            "bad_labels",
            f"green.labels of {release}: {wrong} can't be: Big Bang's Gateway selects app: {release}, and its packages'"
            f" NetworkPolicies admit app: {release}, istio: {KIND}. Leave these, and add labels of other names.",
        )
    own = {key: value for key, value in labels.items() if key not in fixed}
    said = have.get("upstream") or {}
    upstream: Object = {
        **({"labels": own} if own else {}),
        **unsaid(proxy_settings(deployment), said),
        **size(deployment, hpas, said),
        "service": {
            "type": TYPE, "ports": [_port(port) for port in service_ports(service, node_ports)],
            **unsaid(service_settings(service, TYPE), said.get("service") or {}),
        },
    }  # fmt: skip
    if service["spec"].get("externalTrafficPolicy") == "Local":
        upstream["service"]["externalTrafficPolicy"] = "Local"
    return {"upstream": upstream, **({"gateway": {"servers": any_host(alb)}} if alb else {})}


def unsaid(values: t.Mapping[str, t.Any], have: t.Mapping[str, t.Any]) -> Object:
    """What the file does not say yet; of annotations, each on its own."""
    found: Object = {}
    for key, value in values.items():
        own = plain(have.get(key))
        if key in ("annotations", "podAnnotations"):
            value = {name: text for name, text in value.items() if name not in (own or {})}
        elif own:
            continue
        if value:
            found[key] = value
    return found


def size(deployment: Object, hpas: t.Sequence[Object], have: t.Mapping[str, t.Any]) -> Object:
    """Autoscaling that never goes below what blue has now, or below what the file says already."""
    own = plain(have.get("autoscaling")) or {}
    low = max(
        [live_replicas(deployment), own.get("minReplicas") or 1, *(h["spec"].get("minReplicas", 1) for h in hpas)]
    )
    high = max([low, own.get("maxReplicas") or 1, *(h["spec"]["maxReplicas"] for h in hpas)])
    if own.get("enabled") is False:
        return {"replicaCount": max(low, plain(have.get("replicaCount")) or 1)}
    return {"autoscaling": {"minReplicas": low, "maxReplicas": high}}


def _port(port: Object) -> Object:
    target = port["targetPort"]
    if not isinstance(target, int):
        target = NAMED_TARGETS.get(port["port"], port["port"])
    return {
        "port": port["port"], "nodePort": port["nodePort"], "targetPort": target, "name": port["name"],
        "protocol": port["protocol"],
    }  # fmt: skip


def any_host(gateway: Object) -> list[Object]:
    """Servers for every host: redirect from HTTP, and TLS with the certificate that blue's Gateway has.

    Raises Refusal no_credential.
    """
    servers = gateway["spec"].get("servers") or []
    names = {(server.get("tls") or {}).get("credentialName") for server in servers} - {None}
    if len(names) != 1:
        meta = gateway["metadata"]
        raise Refusal(
            "no_credential",
            f"Gateway {meta['namespace']}/{meta['name']}: spec.servers[].tls.credentialName is"
            f" {', '.join(sorted(names)) or 'not there'}; behind an ALB, which sends no server name, exactly one"
            " certificate can be served. Do not name this workload in mesh_bigbang.alb.",
        )
    return [
        {
            "hosts": ["*"], "port": {"name": "http", "number": 8080, "protocol": "HTTP"},
            "tls": {"httpsRedirect": True},
        },
        {
            "hosts": ["*"], "port": {"name": "https", "number": 8443, "protocol": "HTTPS"},
            "tls": {"credentialName": names.pop(), "mode": "SIMPLE"},
        },
    ]  # fmt: skip


def nested(path: Path, value: t.Any) -> t.Any:
    for key in reversed(path):
        value = {key: value}
    return value


# -- old keys ----------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Move:
    """Where something of the old charts is said now. old: `*` stands for any name; new: None if nowhere, G for each
    gateway that the name means. default: a value that green has anyway."""

    old: str
    new: str | None
    default: t.Any = None


G = ".".join(GATEWAYS) + ".{g}"
UPSTREAM = "istiod.values.upstream"
_GATEWAY_KEYS = (
    *((key, f"{G}.gateway.servers") for key in ("hosts", "ports", "servers")),
    *((f"tls.{key}", f"{G}.gateway.servers") for key in ("mode", "credentialName", "minProtocolVersion")),
    *((f"tls.{key}", f"{G}.gatewayCerts") for key in ("key", "cert", "ca")),
)
_K8S_KEYS = (
    ("service", f"{G}.upstream.service"), ("serviceAnnotations", f"{G}.upstream.service.annotations"),
    ("hpaSpec", f"{G}.upstream.autoscaling"), ("replicaCount", f"{G}.upstream.replicaCount"),
    *((key, f"{G}.upstream.{key}") for key in (
        "resources", "nodeSelector", "tolerations", "affinity", "podAnnotations", "env", "strategy",
    )),
)  # fmt: skip
# The longest `old` that fits a key is what counts.
MOVES = (
    Move("istioOperator", None),
    Move("istio.enabled", None),
    Move("istio.status", None),
    Move("istio.mtls.mode", "istiod.values.mtls.mode", "STRICT"),
    Move("istio.sourceType", "istiod.sourceType", "git"),
    Move("istio.git", "istiod.git"),
    Move("istio.helmRepo", "istiod.helmRepo"),
    Move("istio.enterprise", f"{UPSTREAM}.global.hub", False),
    Move("istio.flux", "istiod.flux"),
    Move("istio.postRenderers", "istiod.postRenderers"),
    Move("istio.ingressGateways.*", f"{G}.upstream"),
    Move("istio.ingressGateways.*.enabled", None),
    Move("istio.ingressGateways.*.type", f"{G}.upstream.service.type", "LoadBalancer"),
    Move("istio.ingressGateways.*.nodePortBase", f"{G}.upstream.service.ports"),
    Move("istio.ingressGateways.*.extraLabels", f"{G}.upstream.labels"),
    *(Move(f"istio.ingressGateways.*.kubernetesResourceSpec.{old}", new) for old, new in _K8S_KEYS),
    *(Move(f"istio.ingressGateways.*.k8s.{old}", new) for old, new in _K8S_KEYS),
    Move("istio.gateways.*", f"{G}.gateway.servers"),
    Move("istio.gateways.*.enabled", None),
    Move("istio.gateways.*.ingressGateway", None),
    Move("istio.gateways.*.autoHttpRedirect.enabled", f"{G}.gateway.servers", True),
    *(Move(f"istio.gateways.*.{old}", new) for old, new in _GATEWAY_KEYS),
    Move("istio.values", "istiod.values"),
    Move("istio.values.hub", f"{UPSTREAM}.global.hub"),
    Move("istio.values.tag", f"{UPSTREAM}.global.tag"),
    Move("istio.values.revision", f"{UPSTREAM}.revision"),
    Move("istio.values.istiod", UPSTREAM),
    Move("istio.values.meshConfig", f"{UPSTREAM}.meshConfig"),
    Move("istio.values.tracing", f"{UPSTREAM}.meshConfig"),
    Move("istio.values.values", UPSTREAM),
    Move("istio.values.values.global", f"{UPSTREAM}.global"),
    Move("istio.values.ingressGateways.*", f"{G}.upstream"),
    Move("istio.values.egressGateways", ".".join(GATEWAYS)),
    Move("istio.values.gateways.*", f"{G}.gateway.servers"),
    *(Move(f"istio.values.{key}", None) for key in ("profile", "imagePullSecrets", "postInstallHook")),
)  # fmt: skip
OLD_KEYS = ("istio", "istioOperator")


@dataclasses.dataclass(frozen=True)
class Finding:
    code: str
    severity: str
    object: str
    found: str
    fix: str

    @property
    def text(self) -> str:
        return f"{self.severity} {self.code}: {self.object}: {self.found}. {self.fix}"


def move_of(path: Path) -> Move | None:
    """What becomes of an old key: the move whose `old` fits the most of it."""
    fitting = []
    for move in MOVES:
        words = move.old.split(".")
        if len(words) <= len(path) and all(word in ("*", key) for word, key in zip(words, path)):
            fitting.append((len(words), move))
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def old_keys(files: t.Sequence[ValuesFile], accept: t.Collection[str] = ()) -> list[Finding]:
    """Keys of the old charts: what they say that no new key says (green would lack it), and that they have to go.

    accept: keys, as written in a finding, whose loss is meant.
    """
    found = []
    for file in files:
        for top in OLD_KEYS:
            if top not in file.document:
                continue
            found.append(
                Finding(
                    "old_key", WARNING, f"{file.name}, line {file.line((top,))}", f"{top} is a key of the old charts",
                    "Remove it before Big Bang 3.0 (SmoothGlue 6.18): values with it are refused from there on, and"
                    " there is no way back to the operator.",
                )
            )  # fmt: skip
            found += [f for path in file.leaves((top,)) if (f := _unmoved(file, path, files, accept))]
    return found


def _unmoved(file: ValuesFile, path: Path, files: t.Sequence[ValuesFile], accept: t.Collection[str]) -> Finding | None:
    move, value = move_of(path), file.get(path)
    if move is None or move.new is None or value in (None, "", {}, []) or plain(value) == move.default:
        return None
    places = _places(move, path, files)
    if all(any(other.get(tuple(place.split("."))) is not None for other in files) for place in places):
        return None
    key = ".".join(path)
    if key in accept:
        return None
    return Finding(
        "old_key_not_moved", ERROR, f"{file.name}, line {file.line(path)}",
        f"{key} is said in the old charts' way only", f"Say it in {' and '.join(places)}, or accept that green lacks it.",
    )  # fmt: skip


def _places(move: Move, path: Path, files: t.Sequence[ValuesFile]) -> list[str]:
    new = move.new or ""
    if "{g}" not in new:
        return [new]
    name = path[move.old.split(".").index("*")]
    if "ingressGateways" not in move.old:
        return [new.format(g=name)]
    # An old ingress gateway served each Gateway that named it; now each has its own.
    served = [
        gateway
        for file in files
        for gateway, said in (file.get(("istio", "gateways")) or {}).items()
        if isinstance(said, dict) and said.get("ingressGateway") == name
    ]
    return [new.format(g=gateway) for gateway in dict.fromkeys(served or [name.removesuffix(f"-{KIND}")])]


# -- versions ----------------------------------------------------------------------------------------------------------
TOO_LATE = {"Big Bang": (3, 0), "SmoothGlue": (6, 18)}  # from there on the operator's gateways are gone at once
BETA, STABLE = (2, 51), (2, 54)  # since when Big Bang has the new gateways, and since when for production


def number(version: str | None) -> tuple[int, int] | None:
    match = re.search(r"(\d+)\.(\d+)", version or "")
    return (int(match[1]), int(match[2])) if match else None


def too_late(versions: t.Mapping[str, str | None]) -> list[Finding]:
    """versions: by name (Big Bang, SmoothGlue); None where it is not known."""
    found = []
    for name, limit in TOO_LATE.items():
        have, text = number(versions.get(name)), ".".join(map(str, limit))
        if have and have >= limit:
            found.append(
                Finding(
                    "too_late", ERROR, name, f"{versions[name]} is installed",
                    f"From {text} on Istio is without its operator, and the old gateways were replaced at once: there is"
                    " no blue to go on from. A blue-green migration begins before that version.",
                )
            )  # fmt: skip
    have = number(versions.get("Big Bang"))
    if have is None:
        found.append(
            Finding(
                "version_unknown", ERROR, "Big Bang", "no HelmRelease or source tells its version",
                "Give it as mesh_bigbang.version, after looking: from 3.0 on it is too late.",
            )
        )  # fmt: skip
    elif have < STABLE:
        told = "does not have the new gateways yet" if have < BETA else "has the new gateways as beta"
        found.append(
            Finding(
                "too_early", WARNING, "Big Bang", f"{versions['Big Bang']} is installed, which {told}",
                "Make sure that what is deployed now is 2.54 or later, and below 3.0.",
            )
        )  # fmt: skip
    return found


def version_of(release: Object | None, source: Object | None) -> str | None:
    """Big Bang's version: what Flux installed last, else what is asked for."""
    status, spec = (release or {}).get("status") or {}, (release or {}).get("spec") or {}
    history = status.get("history") or [{}]
    ref = ((source or {}).get("spec") or {}).get("ref") or {}
    chart = (spec.get("chart") or {}).get("spec") or {}
    told = (
        history[0].get("chartVersion"), status.get("lastAppliedRevision"), status.get("lastAttemptedRevision"),
        chart.get("version"), ref.get("tag"), ref.get("semver"),
    )  # fmt: skip
    return next((version for version in told if number(version)), None)


def istio_version(deployments: t.Sequence[Object]) -> str | None:
    """By the image of istiod."""
    for deployment in deployments:
        if deployment["metadata"]["name"].startswith("istiod"):
            image = deployment["spec"]["template"]["spec"]["containers"][0].get("image", "")
            return image.rpartition("/")[2].partition("@")[0].partition(":")[2] or None
    return None


# -- NetworkPolicies ---------------------------------------------------------------------------------------------------
def closed_to_blue(policies: t.Sequence[Object], namespace: str) -> list[Finding]:
    """Big Bang's packages admit traffic from one gateway namespace, by a label with that name. Enabling istiod makes it
    istio-gateway in all of them at once (istioNamespaceSelector in _helpers.tpl)."""
    namespaces = sorted({p["metadata"]["namespace"] for p in policies if _admits(p, "istio-controlplane")})
    if not namespaces:
        return []
    return [
        Finding(
            "network_policy", ERROR, f"NetworkPolicies in {', '.join(namespaces)}",
            f"admit the gateways of {namespace} by a label that deploying green changes to istio-gateway",
            f"Blue would be cut off from these. Create a NetworkPolicy in each that admits namespace {namespace} until"
            " the cleanup (they add up), then accept this.",
        )
    ]  # fmt: skip


def _admits(policy: Object, name: str) -> bool:
    return any(
        name in ((peer.get("namespaceSelector") or {}).get("matchLabels") or {}).values()
        for rule in (policy.get("spec") or {}).get("ingress") or ()
        for peer in rule.get("from") or ()
    )


# -- HelmReleases ------------------------------------------------------------------------------------------------------
def not_ready(release: Object) -> str | None:
    """Why a HelmRelease is not Ready for its current generation; None if it is, or if it is suspended on purpose."""
    meta, status = release["metadata"], release.get("status") or {}
    generation = meta.get("generation", 1)
    if meta.get("deletionTimestamp"):
        return "is being deleted"
    if suspended(release):
        return None
    if status.get("observedGeneration", 0) < generation:
        return f"generation {generation} has not been looked at (last: {status.get('observedGeneration', 0)})"
    ready = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), None)
    if ready is None:
        return "has no condition Ready"
    if ready.get("observedGeneration", generation) < generation:
        return f"its condition Ready is of generation {ready['observedGeneration']}, not {generation}"
    if ready["status"] != "True":
        return f"{ready.get('reason', 'not ready')}: {ready.get('message', '')}"
    return None


def suspended(release: Object) -> bool:
    return bool((release.get("spec") or {}).get("suspend"))


def umbrella_suspended(releases: t.Sequence[Object]) -> list[Finding]:
    """Nothing that is deployed would come about: the umbrella makes every other HelmRelease, green's too."""
    return [
        Finding(
            "umbrella_suspended", ERROR, f"HelmRelease {r['metadata']['namespace']}/{r['metadata']['name']}",
            f"spec.suspend is true{', by migration ' + ', '.join(held) if (held := _holders(r)) else ''}",
            "It would deploy nothing, and green would be waited for in vain. "
            + (
                "It corrects drift (spec.driftDetection.mode: enabled), so it was held still with what is kept below it:"
                " set that to warn where the HelmRelease comes from, then -t rollback -e mesh_rollback_to=keep, and -t"
                " keep again."
                if held else "Let it go on: flux resume helmrelease, or where it comes from."
            ),
        )
        for r in releases if r["metadata"]["name"] == "bigbang" and suspended(r)
    ]  # fmt: skip


def _holders(release: Object) -> list[str]:
    """The migrations that hold it still."""
    return sorted({holder.partition(" ")[0] for holder in Note.of(release).held_for})


# -- reading -----------------------------------------------------------------------------------------------------------
def helm_releases(cluster: t.Any, namespace: str) -> list[Object]:
    """By the newest version that the API server has. Raises Refusal no_flux."""
    for version in HELM_RELEASES:
        try:
            return cluster.list(path_of(version, "helmreleases", namespace))
        except ApiError as exc:
            if exc.status != 404:
                raise
    raise Refusal(
        "no_flux",
        "The API server has no HelmReleases (helm.toolkit.fluxcd.io): Big Bang is not installed by Flux here.",
    )


def installed(cluster: t.Any, namespace: str) -> dict[str, str | None]:
    """Versions by name, None where they can't be known. Zarf notes what it deployed in Secrets, of which only name and
    version are looked at."""
    releases = helm_releases(cluster, namespace)
    umbrella = next((r for r in releases if r["metadata"]["name"] == "bigbang"), None)
    return {
        "Big Bang": version_of(umbrella, _source(cluster, umbrella, namespace)),
        "Istio": istio_version(cluster.list(path_of("apps/v1", "deployments", "istio-system"))),
        "SmoothGlue": smoothglue_version(_zarf_packages(cluster)),
    }


def _source(cluster: t.Any, release: Object | None, namespace: str) -> Object | None:
    spec = (release or {}).get("spec") or {}
    ref = (((spec.get("chart") or {}).get("spec") or {}).get("sourceRef")) or spec.get("chartRef") or {}
    if ref.get("kind") not in SOURCES:
        return None
    plural, group, versions = SOURCES[ref["kind"]]
    for version in versions:
        found = cluster.find(path_of(f"{group}/{version}", plural, ref.get("namespace") or namespace, ref["name"]))
        if found:
            return found
    return None


def _zarf_packages(cluster: t.Any) -> list[Object]:
    try:
        return cluster.list(path_of("v1", "secrets", "zarf"), {"labelSelector": "package-deploy-info"})
    except ApiError as exc:
        if exc.status not in (403, 404):
            raise
        return []


def smoothglue_version(secrets: t.Sequence[Object]) -> str | None:
    """From Zarf's record of the package: Secret zarf-package-NAME, key data, a JSON of which `data` is the package."""
    for secret in secrets:
        if "smoothglue" not in secret["metadata"]["name"].lower():
            continue
        try:
            record = json.loads(base64.b64decode((secret.get("data") or {}).get("data", "")))
            version = ((record.get("data") or {}).get("metadata") or {}).get("version")
        except (ValueError, AttributeError):
            continue
        if number(version):
            return version
    return None
