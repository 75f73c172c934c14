# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ingress_convert over a cluster: what is read, what is written, and how that is undone.

What we have made carries a label with the conversion's name, by which what is no longer wanted is told. An object of a
wanted name without it is somebody else's, and is never written.
"""

from __future__ import annotations

import copy
import hashlib
import typing as t

from . import _clone, _ingress_files, _ingress_probes, ingress
from ._client import ApiError, path_of
from ._gateways import ISTIO_VERSIONS
from ._inventory import ERROR, WARNING, Finding
from ._module import Refusal
from ._objects import OUR_LABELS, key_of, labels_of, ref_of
from ._resources import Ref
from ._twin import parse_ref
from .ingress import _read
from .ingress._model import Target, World

Object = dict[str, t.Any]
MARK = "bluegreen.mesh/ingress-convert"
# kind -> (group and version that is written, plural): what a conversion makes, and removes when it is not wanted any
# more
KINDS = {
    "Gateway": ("networking.istio.io/v1", "gateways"),
    "VirtualService": ("networking.istio.io/v1", "virtualservices"),
    "DestinationRule": ("networking.istio.io/v1", "destinationrules"),
    "AuthorizationPolicy": ("security.istio.io/v1", "authorizationpolicies"),
    "Certificate": ("cert-manager.io/v1", "certificates"),
}
SHOWN = 10  # findings in an error message


# -- options -----------------------------------------------------------------------------------------------------------
def targets_of(classes: t.Sequence[Object]) -> list[Target]:
    """The option `classes`. Raises Refusal bad_option, malformed_reference."""
    found: list[Target] = []
    for number, given in enumerate(classes):
        field = f"classes[{number}]"
        gateway = parse_ref(given["gateway"], f"{field}.gateway")
        selector = {str(key): str(value) for key, value in given["selector"].items()}
        if not selector:
            raise Refusal(
                "bad_option", f"{field}.selector is empty: such a Gateway would be for the pods of every gateway."
            )
        target = Target(
            given["name"], gateway, selector, given.get("workload_namespace") or gateway[0],
            given.get("http_port") or 80,
            given.get("https_port") or 443, given.get("default_secret") or "",
        )  # fmt: skip
        for other in found:
            if other.class_name == target.class_name:
                raise Refusal(
                    "bad_option", f"{field}.name: class {target.class_name} is there twice; a class has one Gateway."
                )
            if other.gateway == gateway and vars_of(other) != vars_of(target):
                raise Refusal(
                    "bad_option",
                    f"{field}: Gateway {target.name} is also that of class {other.class_name}, with other settings.",
                )
        found.append(target)
    if not found:
        raise Refusal("bad_option", "classes is empty; say which class of Ingresses comes to which Gateway.")
    return found


def vars_of(target: Target) -> tuple[t.Any, ...]:
    return target.selector, target.workload_namespace, target.http_port, target.https_port, target.default_secret


# -- reading -----------------------------------------------------------------------------------------------------------
def read(cluster: t.Any, params: Object) -> tuple[World, list[Object], dict[str, list[Object] | None]]:
    """(the world with its sources chosen, Ingresses that are left alone, all objects of KINDS by kind, None for a kind
    that could not be listed).

    A fixed number of lists. Raises Refusal no_istio where Istio's kinds are not there and objects are to be applied.
    """
    targets = targets_of(params["classes"])
    namespaces = sorted({target.workload_namespace for target in targets})
    lists = {
        "ingresses": [("networking.k8s.io/v1", "ingresses", None, None)],
        "classes": [("networking.k8s.io/v1", "ingressclasses", None, None)],
        "services": [("v1", "services", None, None)],
        # Helm's records are Secrets, too, and large.
        "secrets": [("v1", "secrets", None, {"fieldSelector": "type!=helm.sh/release.v1"})],
        "pods": [("v1", "pods", namespace, None) for namespace in namespaces],
        "Gateway": [(ISTIO_VERSIONS, "gateways", None, None)],
        "VirtualService": [(ISTIO_VERSIONS, "virtualservices", None, None)],
        "DestinationRule": [(ISTIO_VERSIONS, "destinationrules", None, None)],
        "AuthorizationPolicy": [(*KINDS["AuthorizationPolicy"], None, None)],
        "Certificate": [(*KINDS["Certificate"], None, None)],
        "issuers": [
            ("cert-manager.io/v1", "issuers", None, None),
            ("cert-manager.io/v1", "clusterissuers", None, None),
        ],
    }
    tasks = [(name, *task) for name, wanted in lists.items() for task in wanted]
    answers = cluster.parallel(lambda task: _list(cluster, *task[1:]), tasks)
    found: dict[str, list[Object]] = {name: [] for name in lists}
    findings, absent = [], set()
    for (name, _version, plural, *_rest), answer in zip(tasks, answers):
        if isinstance(answer, ApiError) and name not in ("ingresses", "services"):
            findings.append(
                Finding(
                    "unreadable", ERROR if name in KINDS else WARNING, f"{plural}", "", answer.explain(),
                    "Allow it, or waive this: nothing is known of them.",
                )
            )  # fmt: skip
            absent.add(name)
        elif isinstance(answer, Exception):
            raise answer
        elif answer is None:
            absent.add(name)
        else:
            found[name] += answer
    if params["apply"] and {"Gateway", "VirtualService"} & absent:
        raise Refusal(
            "no_istio",
            "The API server does not have (or show) Istio's Gateways and VirtualServices. Install Istio first.",
        )
    mark = {MARK: params["name"]}
    theirs = {kind: [item for item in found[kind] if labels_of(item).get(MARK) != params["name"]] for kind in KINDS}
    sources, left, more = _read.select(found["ingresses"], found["classes"], targets, params["namespaces"] or ())
    for target in targets:
        if not any(source.target is target for source in sources):
            more.append(
                Finding(
                    "class_empty", WARNING, f"IngressClass {target.class_name}", "metadata.name",
                    "no Ingress has this class",
                    "Correct the name, or leave it out.",
                )
            )  # fmt: skip
    world = World(
        sources, targets, found["services"],
        None if "secrets" in absent else {ref_of(item) for item in found["secrets"]},
        found["issuers"], found["Certificate"], found["pods"], theirs["Gateway"], theirs["VirtualService"],
        theirs["DestinationRule"], params["cluster_domain"], {**OUR_LABELS, **mark}, findings=[*findings, *more],
    )  # fmt: skip
    there = {kind: None if kind in absent else found[kind] for kind in KINDS}
    return world, sorted(left, key=lambda entry: entry["ingress"]), there


def _list(
    cluster: t.Any, versions: str | t.Sequence[str], plural: str, namespace: str | None, query: Object | None
) -> list[Object] | None:
    """None where the API server does not have the kind."""
    for version in [versions] if isinstance(versions, str) else versions:
        try:
            return cluster.list(path_of(version, plural, namespace), query)
        except ApiError as exc:
            if exc.status != 404:
                raise
    return None


# -- plans -------------------------------------------------------------------------------------------------------------
def plan_present(wanted: t.Sequence[Object], found: t.Sequence[Object | None], name: str) -> list[_clone.Step]:
    """Raises Refusal foreign for objects of these names that this conversion did not make, before anything is
    written."""
    foreign = [str(Ref.of(want)) for want, have in zip(wanted, found) if have and labels_of(have).get(MARK) != name]
    if foreign:
        raise Refusal(
            "foreign",
            f"{', '.join(foreign)}: there already, and not made by conversion {name!r}. Choose another name for the"
            " Gateway, move the host, or delete them if they are of no use.",
            objects=foreign,
        )
    steps = []
    for want, have in zip(wanted, found):
        if have is None:
            steps.append(_clone.Step("created", Ref.of(want), None, want))
            continue
        after = copy.deepcopy(have)
        for part in ("labels", "annotations"):
            after["metadata"][part] = {**(have["metadata"].get(part) or {}), **want["metadata"].get(part, {})}
        after.update(apiVersion=want["apiVersion"], spec=copy.deepcopy(want["spec"]))
        same = _clone.without_nulls({**after, "apiVersion": have["apiVersion"]}) == _clone.without_nulls(have)
        steps.append(_clone.Step("unchanged" if same else "updated", Ref.of(want), have, have if same else after))
    return steps


def stale(wanted: t.Sequence[Object], there: dict[str, list[Object] | None], name: str) -> list[Object]:
    """What an earlier run of this conversion has made and this one does not want."""
    names = {(item["kind"], *ref_of(item)) for item in wanted}
    return [
        item for kind, items in there.items() for item in items or ()
        if labels_of(item).get(MARK) == name and (kind, *ref_of(item)) not in names
    ]  # fmt: skip


def plan_absent(refs: t.Sequence[Ref], found: t.Sequence[Object | None]) -> list[_clone.Step]:
    return [
        _clone.Step("absent" if have is None else "removed" if MARK in labels_of(have) else "foreign", ref, have, None)
        for ref, have in zip(refs, found)
    ]


def plan_restored(wanted: t.Sequence[Object], found: t.Sequence[Object | None]) -> list[_clone.Step]:
    """Objects back to their former spec. One that is gone is made again only if it was we who removed it (it has
    `labels` then): else whoever removed it meant it."""
    steps = []
    for entry, have in zip(wanted, found):
        ref = ref_in(entry)
        if have is None and "labels" in entry:
            meta = {
                "namespace": ref.namespace,
                "name": ref.name,
                "labels": entry["labels"],
                "annotations": entry["annotations"],
            }
            body = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta, "spec": entry["spec"]}
            steps.append(_clone.Step("created", ref, None, body))
        elif have is None or MARK not in labels_of(have):
            steps.append(_clone.Step("absent" if have is None else "foreign", ref, have, None))
        else:
            same = _clone.without_nulls(have.get("spec")) == _clone.without_nulls(entry["spec"])
            after = {**have, "spec": copy.deepcopy(entry["spec"])}
            steps.append(_clone.Step("unchanged" if same else "updated", ref, have, after))
    return steps


def ref_in(entry: Object) -> Ref:
    """Raises Refusal bad_option for an entry of `objects` that names none."""
    try:
        return Ref(entry["api_version"], entry["kind"], entry["namespace"], entry["name"])
    except KeyError as exc:
        raise Refusal("bad_option", f"objects: an entry has no {exc.args[0]}: {entry}") from exc


def inverses(steps: t.Sequence[_clone.Step]) -> list[tuple[str, Object]]:
    """(key, how to undo) of all steps of a run, one for what was made and one for what was there before: a rollback
    takes hundreds of objects back in two tasks. The key names the objects, so that those of a later run are others."""
    found = []
    for state in ("absent", "restored"):
        undo = [one["params"]["objects"][0] for one in map(inverse, steps) if one["params"]["state"] == state]
        if undo:
            names = "\n".join(str(ref_in(entry)) for entry in undo)
            key = f"{len(undo)} objects {hashlib.sha256(names.encode()).hexdigest()[:8]}"
            found.append((key, {"module": "ingress_convert", "params": {"state": state, "objects": undo}}))
    return found


def inverse(step: _clone.Step) -> Object:
    """How to undo a step, for the journal."""
    entry: Object = step.ref.as_dict()
    if step.state == "created":
        return {"module": "ingress_convert", "params": {"state": "absent", "objects": [entry]}}
    before = step.before or {}
    entry["spec"] = before.get("spec") or {}
    if step.state == "removed":
        meta = before["metadata"]
        entry.update(labels=meta.get("labels") or {}, annotations=meta.get("annotations") or {})
    return {"module": "ingress_convert", "params": {"state": "restored", "objects": [entry]}}


# -- the module's work -------------------------------------------------------------------------------------------------
class Work:
    """One run with state present: what is converted, planned and returned."""

    def __init__(self, cluster: t.Any, params: Object) -> None:
        self.cluster = cluster
        self.params = params

    def plan(self) -> list[_clone.Step]:
        """Reads all and plans the objects. Raises Refusal findings, foreign, foreign_file, no_istio."""
        params = self.params
        self.world, self.left, there = read(self.cluster, params)
        self.conversion = ingress.convert(self.world)
        self.standing, self.waived, self.unused = self.conversion.split(params["waive"])
        errors = [finding for finding in self.standing if finding.severity == ERROR]
        if errors and (params["apply"] or params["dest"]):
            told = [f"{f.code}: {f.object} {f.field}: {f.found}. {f.fix}" for f in errors[:SHOWN]]
            more = f" (and {len(errors) - SHOWN} more)" if len(errors) > SHOWN else ""
            raise Refusal(
                "findings",
                f"{len(errors)} finding(s) would make the routes do something else than they do now."
                f" {' '.join(told)}{more} Mend"
                " them, or accept them by name in `waive` (CODE, or CODE:NAMESPACE/NAME). Nothing has been written.",
                findings=[vars(f) for f in errors],
            )
        wanted = self.conversion.objects
        self.stale = stale(wanted, there, params["name"])
        self.files(check_mode=True)  # what stands in the way there is said before anything is written here
        if not params["apply"]:
            return []
        known = {(kind, *ref_of(item)): item for kind, items in there.items() for item in items or ()}
        here = [
            _clone.found(self.cluster, [Ref.of(item)])[0] if there[item["kind"]] is None
            else known.get((item["kind"], *ref_of(item)))
            for item in wanted
        ]  # fmt: skip
        steps = plan_present(wanted, here, params["name"])
        if params["prune"]:
            steps += [
                _clone.Step("removed", Ref(KINDS[o["kind"]][0], o["kind"], *ref_of(o)), o, None) for o in self.stale
            ]
        return steps

    def files(self, check_mode: bool) -> _ingress_files.Written:
        if not self.params["dest"]:
            return _ingress_files.Written([], [], {}, {})
        return _ingress_files.write(self.params["dest"], self.conversion.objects, self.params["prune"], check_mode)

    def result(self) -> Object:
        found = self.conversion
        asked = _ingress_probes.plan(found, self.params["wildcard_label"])
        count = {status: sum(entry["status"] == status for entry in found.report) for status in ingress.STATUSES}
        return {
            "report": found.report,
            "routes": found.routes,
            "secrets": found.secrets,
            "probes": asked.routes,
            "unprobed": asked.unprobed,
            "findings": [vars(finding) for finding in self.standing],
            "waived": [vars(finding) for finding in self.waived],
            "unused_waivers": self.unused,
            "ingresses": sorted(source.key for source in self.world.sources),
            "left": self.left,
            "stale": [f"{item['kind']} {key_of(item)}" for item in self.stale],
            "gateways": [key_of(item) for item in found.objects if item["kind"] == "Gateway"],
            "counts": {"ingresses": len(self.world.sources), "objects": len(found.objects), **count},
        }
