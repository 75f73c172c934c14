# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green's Gateways, written from blue's, and the TLS Secrets that they name.

Rules of Istio that are encoded here (read in its source, 1.31):

- `./HOST` in servers[].hosts means the Gateway's own namespace; `NS/HOST`, `*/HOST` and `HOST` do not depend on it.
- A Secret named by credentialName is read from the namespace of the gateway's pods, not of the Gateway object; so is
  NAME-cacert, the CA of mutual TLS, for which NAME itself is the fallback. `kubernetes://NAME` is the same as NAME.
- A Gateway without a selector configures every gateway workload.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import re
import typing as t

from . import _certificates
from ._client import path_of
from ._module import Refusal
from ._objects import annotations_of, labels_of, ref_of

API = "networking.istio.io/v1"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "bluegreen.mesh"
TWIN_OF = "bluegreen.mesh/twin-of"
COPY_OF = "bluegreen.mesh/copy-of"
SOURCE_UID = "bluegreen.mesh/source-uid"
SOURCE_VERSION = "bluegreen.mesh/source-version"
CREDENTIAL_MODES = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
MUTUAL_MODES = ("MUTUAL", "OPTIONAL_MUTUAL")
CA_KEYS = ("ca.crt", "cacert")
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")

Ref = tuple[str, str]  # namespace, name
Object = dict[str, t.Any]


def parse_ref(text: t.Any, field: str) -> Ref:
    """'NAMESPACE/NAME'. Raises Refusal(malformed_reference)."""
    parts = text.split("/") if isinstance(text, str) else []
    if len(parts) != 2 or not all(_NAME.match(part) for part in parts):
        raise Refusal("malformed_reference", f"{field}: {text!r} is not NAMESPACE/NAME.", field=field)
    return parts[0], parts[1]


def title(ref: Ref) -> str:
    return f"{ref[0]}/{ref[1]}"


@dataclasses.dataclass(frozen=True)
class Pair:
    """One Gateway and its twin. spec: written as it is, instead of one made from blue's (for undoing)."""

    blue: Ref
    green: Ref
    selector: dict[str, str]
    ports: dict[int, int]
    blue_workload_namespace: str
    green_workload_namespace: str
    spec: Object | None

    def params(self) -> dict[str, t.Any]:
        """The pair as the module's option, without spec."""
        plain = dataclasses.asdict(self)
        del plain["spec"]
        return {
            **plain,
            "blue": title(self.blue),
            "green": title(self.green),
            "ports": {str(k): v for k, v in self.ports.items()},
        }


def parse_pairs(pairs: t.Sequence[dict[str, t.Any]]) -> list[Pair]:
    """The `pairs` option, validated. Raises Refusal(malformed_reference, bad_option)."""
    parsed: list[Pair] = []
    for number, raw in enumerate(pairs):
        field = f"pairs[{number}]"
        blue, green = parse_ref(raw["blue"], f"{field}.blue"), parse_ref(raw["green"], f"{field}.green")
        if blue == green or any(p.green == green for p in parsed):
            raise Refusal(
                "bad_option", f"{field}.green: {title(green)} is named twice; every twin needs a name of its own."
            )
        selector = {str(k): str(v) for k, v in (raw.get("selector") or {}).items()}
        ports = parse_ports(raw.get("ports"), f"{field}.ports")
        parsed.append(
            Pair(
                blue, green, selector, ports, raw.get("blue_workload_namespace") or blue[0],
                raw.get("green_workload_namespace") or green[0], raw.get("spec"),
            )
        )  # fmt: skip
    return parsed


def parse_ports(ports: t.Mapping[t.Any, t.Any] | None, field: str) -> dict[int, int]:
    """Blue's port number -> green's. Raises Refusal(bad_option)."""
    parsed = {}
    for old, new in (ports or {}).items():
        if not str(old).isdigit() or not str(new).isdigit() or not 0 < int(new) < 65536:
            raise Refusal("bad_option", f"{field}: {old!r}: {new!r} is not a pair of port numbers.")
        parsed[int(old)] = int(new)
    return parsed


# -- Gateways --------------------------------------------------------------------------------------------------------
def twin_spec(pair: Pair, blue: Object) -> Object:
    """blue's spec as it must read in green's place.

    Raises Refusal(same_workload, bad_option, unknown_port, port_clash).
    """
    if pair.spec is not None:
        return copy.deepcopy(pair.spec)
    spec = copy.deepcopy(blue.get("spec") or {})
    where = f"Gateway {title(pair.green)}"
    if not pair.selector:
        raise Refusal(
            "bad_option",
            f"{where}: selector is empty, and a Gateway without one configures every gateway workload, blue too. Give"
            " the labels of green's pods.",
        )
    blue_selector = spec.get("selector") or {}
    if pair.selector.items() <= blue_selector.items():
        raise Refusal(
            "same_workload",
            f"{where}: selector {pair.selector} matches blue's pods too ({title(pair.blue)} selects {blue_selector})."
            " Two Gateways with the same hosts at one workload hide each other: give a label that only green's pods"
            " have.",
        )
    servers = spec.get("servers") or []
    numbers = {server["port"]["number"] for server in servers}
    unknown = sorted(set(pair.ports) - numbers)
    if unknown:
        raise Refusal(
            "unknown_port",
            f"ports of {where}: Gateway {title(pair.blue)} has no server port {', '.join(map(str, unknown))}. It has:"
            f" {', '.join(map(str, sorted(numbers)))}.",
        )
    mapped = {number: pair.ports.get(number, number) for number in numbers}
    if len(set(mapped.values())) < len(mapped):
        raise Refusal("port_clash", f"ports of {where}: {mapped} gives two different ports of blue the same number.")
    for server in servers:
        server["port"]["number"] = mapped[server["port"]["number"]]
        server["hosts"] = [host_in(host, pair.blue[0], pair.green[0]) for host in server.get("hosts") or []]
    return {**spec, "selector": dict(pair.selector), "servers": servers}


def host_in(host: str, old_namespace: str, new_namespace: str) -> str:
    """A host of a Gateway in old_namespace, written so that it means the same in new_namespace."""
    if host.startswith("./") and old_namespace != new_namespace:
        return f"{old_namespace}/{host[2:]}"
    return host


def twin(pair: Pair, blue: Object, labels: t.Sequence[str] = (), annotations: t.Sequence[str] = ()) -> Object:
    """Green's Gateway. labels, annotations: names of those of blue's that come along; no other does, since they tell
    controllers (Helm, Argo CD, external-dns) that the object is theirs."""
    meta = blue.get("metadata") or {}
    kept_labels = {k: v for k, v in (meta.get("labels") or {}).items() if k in labels}
    kept_annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k in annotations}
    return {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {
            "namespace": pair.green[0],
            "name": pair.green[1],
            "labels": {**kept_labels, MANAGED_BY: MANAGER},
            "annotations": {**kept_annotations, TWIN_OF: title(pair.blue)},
        },
        "spec": twin_spec(pair, blue),
    }


def is_ours(item: Object, annotation: str) -> str | None:
    """The source that one of our objects names, or None when the object is not ours."""
    return annotations_of(item).get(annotation) if labels_of(item).get(MANAGED_BY) == MANAGER else None


def differences(expected: t.Any, found: t.Any, field: str = "spec") -> list[dict[str, t.Any]]:
    """Every field at which two plain values differ: [{field, expected, found}], by path, None for what is not there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            d for key in sorted({*expected, *found})
            for d in differences(expected.get(key), found.get(key), f"{field}.{key}")
        ]  # fmt: skip
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [d for n, pair in enumerate(zip(expected, found)) for d in differences(*pair, f"{field}[{n}]")]
    return [] if expected == found else [{"field": field, "expected": expected, "found": found}]


def with_meta(found: Object, wanted: Object) -> Object:
    """found with wanted's content, labels and annotations; labels and annotations that others added stay."""
    result = copy.deepcopy(found)
    for part in ("labels", "annotations"):
        result["metadata"][part] = {**(found["metadata"].get(part) or {}), **wanted["metadata"][part]}
    for key in ("spec", "type", "data"):
        if key in wanted:
            result[key] = wanted[key]
    return result


# -- Secrets -----------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Credential:
    """A Secret that a Gateway's servers name. optional: NAME-cacert, which there may or may not be."""

    name: str
    optional: bool = False


def credentials(spec: Object) -> list[Credential]:
    """The Secrets that a Gateway's spec makes its workload read, in order, each once.

    Names that carry a namespace or another kind (configmap://, kubernetes-gateway://) do not depend on where the
    gateway is, and builtin:// is no object: they are left out.
    """
    found: dict[str, Credential] = {}
    for server in spec.get("servers") or []:
        tls = server.get("tls") or {}
        mode = tls.get("mode")
        if mode not in CREDENTIAL_MODES:  # not given means PASSTHROUGH
            continue
        names = [tls.get("credentialName"), *(tls.get("credentialNames") or []), tls.get("caCertCredentialName")]
        for raw in names:
            name = (raw or "").removeprefix("kubernetes://")
            if not name or "/" in name:
                continue
            found[name] = Credential(name)
            if mode in MUTUAL_MODES and not name.endswith("-cacert"):
                found.setdefault(f"{name}-cacert", Credential(f"{name}-cacert", optional=True))
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A Secret to be had in a workload's namespace: where it comes from, and where it goes."""

    source: Ref
    target: Ref
    optional: bool
    gateway: Ref


def certificates(pair: Pair, spec: Object) -> list[Certificate]:
    return [
        Certificate(
            (pair.blue_workload_namespace, c.name), (pair.green_workload_namespace, c.name), c.optional, pair.green
        )
        for c in credentials(spec)
    ]  # fmt: skip


def secret_copy(source: Object, target: Ref) -> Object:
    """A copy of a Secret: its type and data, no label or annotation of its own; it says whose copy it is."""
    meta = source["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": target[0],
            "name": target[1],
            "labels": {MANAGED_BY: MANAGER},
            "annotations": {
                COPY_OF: f"{meta['namespace']}/{meta['name']}",
                SOURCE_UID: meta["uid"],
                SOURCE_VERSION: meta["resourceVersion"],
            },
        },
        "type": source.get("type", "Opaque"),
        "data": dict(source.get("data") or {}),
    }


def same_content(one: Object, other: Object) -> bool:
    return one.get("type") == other.get("type") and (one.get("data") or {}) == (other.get("data") or {})


def masked(item: Object | None) -> Object:
    """What of an object may be shown: metadata that we set, spec, and of a Secret's values a sha256 prefix."""
    if item is None:
        return {}
    meta = item["metadata"]
    shown: Object = {
        "kind": item["kind"],
        "metadata": {key: meta[key] for key in ("namespace", "name", "labels", "annotations") if meta.get(key)},
    }
    if item["kind"] == "Secret":
        shown["type"] = item.get("type")
        shown["data"] = {k: digest(v) for k, v in sorted((item.get("data") or {}).items())}
    else:
        shown["spec"] = item.get("spec")
    return shown


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:12]


def plan_certificate(
    wanted: Certificate, source: Object | None, target: Object | None, mode: str
) -> tuple[str, Object | None]:
    """What to do about one Secret: (state, object to write or None).

    state: created, updated, unchanged (our copy), foreign (somebody else's; left alone), orphan (our copy, its source
    is gone), none (an optional one that there is not). mode: copy, certificate or require. Raises Refusal(secret_missing,
    secret_conflict).
    """
    here, there = title(wanted.target), title(wanted.source)
    gateway = title(wanted.gateway)
    if target is None:
        if wanted.optional and source is None:
            return "none", None
        if wanted.optional and mode == "require":
            return "none", None  # NAME itself may hold the CA; that is checked where NAME is
        if mode == "require" or wanted.source == wanted.target:
            raise Refusal(
                "secret_missing",
                f"Secret {here}, which Gateway {gateway} names, does not exist. Istio reads it from the namespace of"
                " the gateway's pods. Create it there"
                f"{', or let it be copied with certificates: copy' if wanted.source != wanted.target else ''}.",
                secret=here,
            )
        if source is None:
            raise Refusal(
                "secret_missing",
                f"Secret {here}, which Gateway {gateway} names, does not exist, and there is no {there} to copy either."
                " If blue's pods are in another namespace, name it in blue_workload_namespace.",
                secret=here, source=there,
            )  # fmt: skip
        return "created", secret_copy(source, wanted.target)
    if wanted.source == wanted.target or _certificates.written_by(target):
        return "foreign", None  # what cert-manager writes is renewed there, and need not be what blue has
    if is_ours(target, COPY_OF) == there:
        if source is None:
            return "orphan", None
        if mode == "require" or same_content(source, target):
            return "unchanged", None
        if source.get("type") != target.get("type"):
            raise Refusal(
                "secret_conflict",
                f"Secret {here} is our copy of {there}, whose type has changed from {target.get('type')} to"
                f" {source.get('type')}; a Secret's type can't be changed. Delete the copy, and run this again.",
                secret=here,
            )
        return "updated", with_meta(target, secret_copy(source, wanted.target))
    if mode != "require" and source is not None and not same_content(source, target):
        raise Refusal(
            "secret_conflict",
            f"Secret {here}, which Gateway {gateway} names, exists, is not our copy of {there}, and differs from it in"
            f" {', '.join(_differing_keys(source, target))}. It is left alone. If it is the certificate that green is"
            " to serve, set certificates: require; if not, delete it.",
            secret=here, source=there,
        )  # fmt: skip
    return "foreign", None


def missing_ca(spec: Object, secrets: t.Callable[[str], Object | None]) -> list[str]:
    """Names of Secrets that mutual TLS takes its CA from, and that hold none. secrets: name -> the Secret at green."""
    missing = []
    for server in spec.get("servers") or []:
        tls = server.get("tls") or {}
        name = (tls.get("credentialName") or "").removeprefix("kubernetes://")
        if tls.get("mode") in MUTUAL_MODES and name and "/" not in name and not tls.get("caCertCredentialName"):
            held = [secrets(name), secrets(f"{name}-cacert")]
            if not any(key in (s.get("data") or {}) for s in held if s for key in CA_KEYS):
                missing.append(name)
    return missing


def _differing_keys(one: Object, other: Object) -> list[str]:
    a, b = one.get("data") or {}, other.get("data") or {}
    keys = [f"data.{key}" for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    return keys + (["type"] if one.get("type") != other.get("type") else [])


# -- plans over a cluster ----------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Step:
    """One object and what is to be done with it. pair is None for a Secret, and for a Certificate (issued). wanted: a
    Gateway of ours as it is to be, without what the cluster and others have added."""

    state: str
    ref: Ref
    before: Object | None
    after: Object | None
    pair: Pair | None = None
    source: Ref | None = None
    differences: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    issued: bool = False
    wanted: Object | None = None

    @property
    def kind(self) -> str:
        return "Gateway" if self.pair else "Certificate" if self.issued else "Secret"

    @property
    def path(self) -> str:
        return {"Gateway": gateway_path, "Certificate": _certificates.path, "Secret": secret_path}[self.kind](self.ref)

    @property
    def acts(self) -> bool:
        return self.state in ("created", "updated", "removed")

    @property
    def object(self) -> str:
        return f"{self.kind} {title(self.ref)}"


def gateway_path(ref: Ref | None = None) -> str:
    return path_of(API, "gateways", *ref) if ref else path_of(API, "gateways")


def secret_path(ref: Ref) -> str:
    return path_of("v1", "secrets", *ref)


class Plans:
    """Plans the steps of one run. What is read is read once; every refusal comes before the first write."""

    def __init__(self, cluster: t.Any, options: dict[str, t.Any]) -> None:
        self._cluster = cluster
        self._mode = options["certificates"]
        self._labels = options["labels"]
        self._annotations = options["annotations"]

    def _read(self, paths: t.Iterable[str]) -> dict[str, Object | None]:
        unique = sorted(set(paths))
        found = self._cluster.parallel(self._cluster.find, unique)
        for item in found:
            if isinstance(item, Exception):
                raise item
        return dict(zip(unique, found))

    def present(self, pairs: t.Sequence[Pair]) -> list[Step]:
        """Certificates and Secrets first, then Gateways: a listener whose Secret is missing is there, and fails its
        handshakes."""
        gateways = self._read(gateway_path(ref) for pair in pairs for ref in (pair.blue, pair.green))
        steps = [self._plan_twin(p, gateways[gateway_path(p.blue)], gateways[gateway_path(p.green)]) for p in pairs]
        wanted: dict[Ref, Certificate] = {}
        for pair, step in zip(pairs, steps):
            for certificate in certificates(pair, (step.after or step.before or {}).get("spec") or {}):
                known = wanted.setdefault(certificate.target, certificate)
                if known.source != certificate.source:
                    raise Refusal(
                        "secret_conflict",
                        f"Secret {title(certificate.target)} would be a copy of {title(known.source)} for Gateway"
                        f" {title(known.gateway)} and of {title(certificate.source)} for {title(certificate.gateway)}."
                        " Give one of the credentials another name.",
                    )
                if known.optional and not certificate.optional:
                    wanted[certificate.target] = certificate
        issued = self._plan_issued(list(wanted.values())) if self._mode == "certificate" else {}
        rest = [certificate for ref, certificate in wanted.items() if ref not in issued]
        return list(issued.values()) + self._plan_certificates(rest, steps, set(issued)) + steps

    def refreshed(self, pairs: t.Sequence[Pair]) -> list[Step]:
        """The copies alone, where blue's has been renewed since. Nothing is made, and what others made is left."""
        gateways = self._read(gateway_path(pair.green) for pair in pairs)
        wanted = {
            certificate.target: certificate
            for pair in pairs if (green := gateways[gateway_path(pair.green)])
            for certificate in certificates(pair, green.get("spec") or {})
        }  # fmt: skip
        secrets = self._read(secret_path(ref) for c in wanted.values() for ref in (c.source, c.target))
        steps = []
        for certificate in wanted.values():
            source, target = secrets[secret_path(certificate.source)], secrets[secret_path(certificate.target)]
            if target is None or is_ours(target, COPY_OF) != title(certificate.source):
                continue
            state, after = plan_certificate(certificate, source, target, "copy")
            steps.append(Step(state, certificate.target, target, after or target, source=certificate.source))
        return steps

    def _plan_issued(self, wanted: t.Sequence[Certificate]) -> dict[Ref, Step]:
        """By Secret: green's own Certificate, where one of blue's writes the source. Raises
        Refusal(secret_conflict, certificate_conflict, issuer_missing)."""
        known = _certificates.read(self._cluster, {ref[0] for c in wanted for ref in (c.source, c.target)})
        steps: dict[Ref, Step] = {}
        for certificate in wanted:
            source, there = known.get(certificate.source), known.get(certificate.target)
            if certificate.source == certificate.target or not (source or there):
                continue
            if there:
                steps[certificate.target] = self._plan_known(source, there)
                continue
            ref = (certificate.target[0], ref_of(source)[1])
            taken, secret = (
                self._cluster.find(path) for path in (_certificates.path(ref), secret_path(certificate.target))
            )
            if taken:
                raise Refusal(
                    "certificate_conflict",
                    f"Certificate {title(ref)} exists and writes Secret {taken['spec'].get('secretName')}, expected"
                    f" {certificate.target[1]}. Rename it, or set certificates: require and make Secret"
                    f" {title(certificate.target)} yourself.",
                )
            if secret and is_ours(secret, COPY_OF) != title(certificate.source):
                raise Refusal(
                    "secret_conflict",
                    f"Secret {title(certificate.target)} exists and no Certificate of its namespace writes it;"
                    " cert-manager would overwrite it. If it is the certificate that green is to serve, set"
                    " certificates: require; if not, delete it.",
                    secret=title(certificate.target), source=title(certificate.source),
                )  # fmt: skip
            _certificates.refuse_without_issuer(self._cluster, source, ref[0])
            steps[certificate.target] = Step(
                "created", ref, None, self._issued(source, ref), source=ref_of(source), issued=True
            )
        return steps

    def _plan_known(self, source: Object | None, there: Object) -> Step:
        """A Certificate that green has: ours follows blue's, another one is left."""
        ref = ref_of(there)
        ours = is_ours(there, TWIN_OF)
        if ours is None or source is None or ours != title(ref_of(source)):
            return Step("foreign" if ours is None else "orphan", ref, there, there, issued=True)
        after = with_meta(there, self._issued(source, ref))
        state = "unchanged" if after == there else "updated"
        return Step(state, ref, there, after, source=ref_of(source), issued=True)

    @staticmethod
    def _issued(source: Object, ref: Ref) -> Object:
        meta = {
            "namespace": ref[0], "name": ref[1], "labels": {MANAGED_BY: MANAGER},
            "annotations": {TWIN_OF: title(ref_of(source))},
        }  # fmt: skip
        spec = _certificates.twin_spec(source)
        return {"apiVersion": _certificates.API, "kind": "Certificate", "metadata": meta, "spec": spec}

    def _plan_twin(self, pair: Pair, blue: Object | None, green: Object | None) -> Step:
        if blue is None and pair.spec is None:
            if green is None:
                raise Refusal(
                    "no_gateway",
                    f"Gateway {title(pair.blue)} does not exist, so {title(pair.green)} can't be made from it. Check"
                    " the pair's namespace and name.",
                    gateway=title(pair.blue),
                )
            return Step("orphan", pair.green, green, green, pair)
        wanted = twin(pair, blue or {}, self._labels, self._annotations)
        if green is None:
            return Step("created", pair.green, None, wanted, pair, wanted=wanted)
        differing = differences(wanted["spec"], green.get("spec"))
        source = is_ours(green, TWIN_OF)
        if source is None:
            return Step("foreign", pair.green, green, green, pair, differences=differing)
        if source != title(pair.blue):
            raise Refusal(
                "twin_of_other",
                f"Gateway {title(pair.green)} is our twin of {source}, not of {title(pair.blue)}. Give the pair another"
                " green name, or remove that twin first (state: absent).",
            )
        after = with_meta(green, wanted)
        if after == green:
            return Step("unchanged", pair.green, green, green, pair, wanted=wanted)
        return Step("updated", pair.green, green, after, pair, differences=differing, wanted=wanted)

    def _plan_certificates(
        self, wanted: t.Sequence[Certificate], gateways: t.Sequence[Step], issued: t.Collection[Ref] = ()
    ) -> list[Step]:
        """issued: Secrets that cert-manager writes; whether one has a CA is its issuer's to say."""
        secrets = self._read(secret_path(ref) for c in wanted for ref in (c.source, c.target))
        steps, refusals = [], []
        for certificate in wanted:
            source, target = secrets[secret_path(certificate.source)], secrets[secret_path(certificate.target)]
            try:
                state, after = plan_certificate(certificate, source, target, self._mode)
            except Refusal as exc:
                refusals.append(exc)
                continue
            if state != "none":
                steps.append(Step(state, certificate.target, target, after or target, source=certificate.source))
        if refusals:  # all at once: what is missing is asked for once
            raise Refusal(
                refusals[0].code, " ".join(map(str, refusals)), secrets=[r.details["secret"] for r in refusals]
            )
        held = {step.ref: step.after for step in steps}
        for step in gateways:
            namespace = step.pair.green_workload_namespace if step.pair else ""
            lacking = [
                name for name in missing_ca((step.after or {}).get("spec") or {}, lambda n: held.get((namespace, n)))
                if (namespace, name) not in issued
            ]  # fmt: skip
            if lacking:
                raise Refusal(
                    "secret_missing",
                    f"Gateway {title(step.ref)} asks for client certificates, and neither Secret"
                    f" {namespace}/{lacking[0]} nor {namespace}/{lacking[0]}-cacert holds a CA (key ca.crt or cacert).",
                    secret=f"{namespace}/{lacking[0]}-cacert",
                )
        return steps

    def absent(self, pairs: t.Sequence[Pair], copies: t.Sequence[Ref], issued: t.Sequence[Ref] = ()) -> list[Step]:
        """Gateways first, then Certificates, then the copies that no pod reads for another Gateway, and what these
        Certificates wrote. What is not ours is left."""
        gateways = self._read(gateway_path(ref) for pair in pairs for ref in (pair.blue, pair.green))
        steps, candidates = [], list(copies)
        for pair in pairs:
            green = gateways[gateway_path(pair.green)]
            ours = green is not None and is_ours(green, TWIN_OF) == title(pair.blue)
            state = "removed" if ours else "absent" if green is None else "foreign"
            steps.append(Step(state, pair.green, green, None if ours else green, pair))
            for spec in (item.get("spec") or {} for item in (green, gateways[gateway_path(pair.blue)]) if item):
                candidates += [c.target for c in certificates(pair, spec)]
        writers: dict[Ref, str] = {}
        for ref in issued:
            found = self._cluster.find(_certificates.path(ref))
            ours = found is not None and is_ours(found, TWIN_OF) is not None
            state = "removed" if ours else "absent" if found is None else "foreign"
            steps.append(Step(state, ref, found, None if ours else found, issued=True))
            if ours:
                writers[(ref[0], found["spec"]["secretName"])] = ref[1]
        candidates += list(writers)
        secrets = self._read(secret_path(ref) for ref in candidates)
        held = [
            ref for ref in dict.fromkeys(candidates)
            if (secret := secrets[secret_path(ref)])
            and (is_ours(secret, COPY_OF) or _certificates.written_by(secret) == writers.get(ref, "-"))
        ]  # fmt: skip
        used = self._used({ref[0] for ref in held}, {step.ref for step in steps if step.state == "removed"})
        for ref in held:
            secret = secrets[secret_path(ref)]
            state = "in_use" if ref in used else "removed"
            steps.append(Step(state, ref, secret, secret if state == "in_use" else None))
        return steps

    def _used(self, namespaces: set[str], removed: set[Ref]) -> set[Ref]:
        """The Secrets in these namespaces that the pods there read, for Gateways that stay."""
        if not namespaces:
            return set()
        staying = [
            item.get("spec") or {} for item in self._cluster.list(gateway_path())
            if ref_of(item) not in removed
        ]  # fmt: skip
        used = set()
        for namespace in namespaces:
            pods = [labels_of(pod) for pod in self._cluster.list(path_of("v1", "pods", namespace))]
            for spec in staying:
                selector = spec.get("selector") or {}
                if any(selector.items() <= labels.items() for labels in pods):
                    used |= {(namespace, c.name) for c in credentials(spec)}
        return used


def inverse(step: Step) -> dict[str, t.Any] | None:
    """How to undo a step, for the journal; None where nothing is to be undone.

    A refreshed copy stays: turning it back would serve a certificate that its source no longer has.
    """
    if step.pair is None:
        if step.state == "created":
            what = "issued" if step.issued else "copies"
            return {"module": "gateway_twin", "params": {"state": "absent", what: [title(step.ref)]}}
        return None
    if step.before is None:
        return {"module": "gateway_twin", "params": {"state": "absent", "pairs": [step.pair.params()]}}
    params = {"state": "present", "certificates": "copy" if step.state == "removed" else "require"}
    return {
        "module": "gateway_twin",
        "params": {**params, "pairs": [{**step.pair.params(), "spec": step.before["spec"]}]},
    }


def apply(cluster: t.Any, step: Step, dry_run: bool) -> None:
    """Writes one step, if the object is still what the plan saw. Raises ApiError (409 when it is not)."""
    path = step.path
    if step.state == "created":
        cluster.create(path.rpartition("/")[0], step.after, dry_run=dry_run)
    elif step.state == "updated":
        cluster.replace(path, step.after, dry_run=dry_run)
    elif step.state == "removed":
        meta = step.before["metadata"]
        cluster.delete(path, uid=meta["uid"], resource_version=meta["resourceVersion"], dry_run=dry_run)
