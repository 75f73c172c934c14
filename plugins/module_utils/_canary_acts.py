# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module canary_routes reads and writes, and in which order.

Adding: subsets; scouts; a wait until the scouts of all that will get traffic are served, so that every proxy has the
cluster; weights; a wait. Removing: the routes of before, with a scout; a wait, after which no proxy goes by a subset;
the scout away; subsets away.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from . import _binding, _canary, _canary_rules, _canary_settle, _field_owners, _virtual_services, sources
from ._canary import HEADER, NOTE, Match, Share, Target
from ._client import ApiError, Cluster, path_of
from ._give_back import give_back
from ._journal import ROLLBACK, Journal
from ._module import Refusal, settled
from ._objects import OUR_LABELS, annotations_of, key_of, label_query

Object = dict[str, t.Any]
PLURALS = {"VirtualService": "virtualservices", "DestinationRule": "destinationrules", "ServiceEntry": "serviceentries"}
RECORDED = (
    "service",
    "host",
    "namespace",
    "domain",
    "subsets",
    "mesh",
    "gateways",
    "hosts",
    "port",
    "names",
    "external",
    "settle",
)
OP = "canary_routes"


@dataclasses.dataclass
class Step:
    """One object and what becomes of it; before or after is None where there is none."""

    kind: str
    before: Object | None
    after: Object | None

    @property
    def object(self) -> str:
        return f"{self.kind} {key_of(self.before or self.after or {})}"

    @property
    def acts(self) -> bool:
        return self.before != self.after

    @property
    def state(self) -> str:
        if not self.acts:
            return "unchanged"
        return "created" if self.before is None else "removed" if self.after is None else "updated"


@dataclasses.dataclass
class View:
    """What was read. api: group and version."""

    api: str
    virtual_services: list[Object]
    rules: list[Object]
    entries: list[Object]
    service: Object | None
    ready: dict[str, int]


def target_of(params: dict[str, t.Any]) -> Target:
    """Raises Refusal (malformed_reference, bad_option)."""
    subsets = {one["name"]: {str(k): str(v) for k, v in (one["labels"] or {}).items()} for one in params["subsets"]}
    if len(subsets) < len(params["subsets"]) or len(subsets) < 2:
        raise Refusal(
            "bad_option", f"subsets: found {', '.join(subsets)}; expected two or more, each with a name of its own."
        )
    if len({json.dumps(labels, sort_keys=True) for labels in subsets.values()}) < len(subsets) or not all(
        subsets.values()
    ):
        raise Refusal("bad_option", "subsets: each needs labels that no other has, by which its pods are told.")
    if params["service"]:
        if not _virtual_services.NAMESPACED_NAME.fullmatch(params["service"]):
            raise Refusal("malformed_reference", f"service is {params['service']!r}; expected NAMESPACE/NAME.")
        namespace, name = params["service"].split("/")
        return Target(f"{name}.{namespace}.svc.{params['domain']}", namespace, subsets, params["domain"])
    if not params["namespace"] or "." not in params["host"]:
        raise Refusal(
            "bad_option", "host: expected a name with a dot, and namespace, where the objects for it are to be."
        )
    return Target(params["host"].lower(), params["namespace"], subsets, params["domain"])


def share_of(params: dict[str, t.Any], target: Target) -> Share:
    """Raises Refusal (bad_weights, bad_match)."""
    matches = []
    for number, one in enumerate(params["match"] or []):
        given = [kind for kind in ("header", "cookie") if one.get(kind)]
        if len(given) != 1:
            raise Refusal(
                "bad_match",
                f"match[{number}]: expected one of header and cookie, found {' and '.join(given) or 'none'}.",
            )
        pair, where = one[given[0]], f"match[{number}].{given[0]}"
        hows = [how for how in _canary.HOWS if pair.get(how) is not None]
        if len(hows) != 1:
            raise Refusal(
                "bad_match",
                f"{where}: expected one of {', '.join(_canary.HOWS)}, found {' and '.join(hows) or 'none'}.",
            )
        matches.append(Match(one["subset"], given[0], pair["name"], str(pair[hows[0]]), hows[0]))
    weights = {str(name): weight for name, weight in (params["weights"] or {}).items()}
    for name, weight in weights.items():
        if not re.fullmatch(r"\d{1,3}", str(weight)):
            raise Refusal("bad_weights", f"weights.{name}: found {weight!r}, expected a whole number from 0 to 100.")
    share = Share({name: int(weight) for name, weight in weights.items()}, tuple(matches))
    _canary.check_share(share, target.subsets)
    return share


def read(cluster: Cluster, target: Target, params: dict[str, t.Any]) -> View:
    """Raises Refusal (no_istio, no_service)."""
    api, virtual_services = _binding.read_all(cluster)
    rules = cluster.list(path_of(api, "destinationrules"))
    entries, service, pods = [], None, []
    if params["service"]:
        name = params["service"].split("/")[1]
        service = cluster.find(path_of("v1", "services", target.namespace, name))
        if service is None:
            raise Refusal(
                "no_service",
                f"service: there is no Service {params['service']} in the cluster of context {cluster.context}.",
            )
        if not (service.get("spec") or {}).get("selector"):
            raise Refusal(
                "no_selector",
                f"Service {params['service']} has no selector, so that no subset of its pods can be told.",
            )
        query = {"labelSelector": label_query(service["spec"]["selector"])}
        pods = cluster.list(path_of("v1", "pods", target.namespace), query)
    else:
        entries = cluster.list(path_of(api, "serviceentries"))
    _canary.check_kinds(virtual_services, target)
    entry = _canary_rules.entry_of(entries, target)
    return View(api, virtual_services, rules, entries, service, _canary_rules.ready(service, entry, pods, target))


def noting(item: Object, name: str, value: str) -> Object:
    """The object with an annotation, or without it where value is ''."""
    kept = {key: text for key, text in annotations_of(item).items() if key != name}
    annotations = {**kept, **({name: value} if value else {})}
    meta = {key: field for key, field in item["metadata"].items() if key != "annotations"}
    if annotations or "annotations" in item["metadata"]:
        meta["annotations"] = annotations
    return {**item, "metadata": meta}


def with_http(item: Object, done: _canary.Edited) -> Object:
    text = json.dumps(done.note, separators=(",", ":"), sort_keys=True) if done.note else ""
    return noting({**item, "spec": {**item["spec"], "http": done.http}}, NOTE, text)


# -- plans -------------------------------------------------------------------------------------------------------------
class Planner:
    """The steps of one write, over what was read. Every refusal comes before the first write."""

    def __init__(self, params: dict[str, t.Any], target: Target, view: View) -> None:
        self.params, self.target, self.view = params, target, view
        self.own = _canary_rules.own_name(target)

    def chosen(self) -> list[Object]:
        """VirtualServices that may be edited; ours is one of them once it is there."""
        names = set(self.params["names"] or ())
        missing = names - set(map(key_of, self.view.virtual_services))
        if missing:
            raise Refusal("no_virtual_service", f"names: there is no VirtualService {', '.join(sorted(missing))}.")
        return [
            vs for vs in self.view.virtual_services
            if (not names or key_of(vs) in names or self.is_own(vs)) and not vs["metadata"].get("deletionTimestamp")
            and (not _virtual_services.left_alone(vs) or self.is_own(vs))
        ]  # fmt: skip

    def is_own(self, vs: Object) -> bool:
        return key_of(vs) == f"{self.target.namespace}/{self.own}" and _canary_rules.is_ours(vs)

    def current(self) -> tuple[dict[str, int] | None, list[Match], str]:
        """Weights in force (None where there are none), matches, and the marker of the scouts."""
        found = [(vs, _canary.weights_of(vs, self.target)) for vs in self.view.virtual_services]
        shared = [(vs, weights) for vs, weights in found if weights]
        weights = max((w for _vs, w in shared), key=lambda w: w[self.target.stable], default=None)
        matches = next((m for vs, _w in shared if (m := _canary.matches_of(vs, self.target))), [])
        return weights, matches, self.marker()

    def marker(self) -> str:
        """Of the scouts that are there, if all are of one write; else ''."""
        found = set()
        for vs in self.view.virtual_services:
            for route in _canary.http_of(vs):
                if _canary.is_ours(route, f"{self.target.mark}scout"):
                    found.add(route["headers"]["response"]["set"][HEADER])
        return found.pop() if len(found) == 1 else ""

    def subsets(self) -> list[Step]:
        steps = []
        if self.params["external"] and not self.params["service"]:
            entry = _canary_rules.entry_of(self.view.entries, self.target)
            made = {**_canary_rules.new_entry(self.target, self.params["external"]), "apiVersion": self.view.api}
            if entry is None:
                steps.append(Step("ServiceEntry", None, made))
            elif not _canary_rules.is_ours(entry):
                raise Refusal(
                    "host_taken",
                    f"external: ServiceEntry {key_of(entry)} declares {self.target.host} already. Leave external out;"
                    " its endpoints need the labels of the subsets.",
                )
            else:
                steps.append(Step("ServiceEntry", entry, {**entry, "spec": {**entry["spec"], **made["spec"]}}))
        rule = _canary_rules.rule_of(self.view.rules, self.target)
        base = rule or {**_canary_rules.new_rule(self.target), "apiVersion": self.view.api}
        subsets, added = _canary_rules.with_subsets(base, self.target)
        after = {**base, "spec": {**base["spec"], "subsets": subsets}}
        if added and not _canary_rules.is_ours(base):
            noted = dict.fromkeys([*_canary_rules.added_to(base), *added])
            after = noting(after, _canary_rules.ADDED, ",".join(noted))
        return [*steps, Step("DestinationRule", rule, after)]

    def absent(self) -> list[Step]:
        steps = []
        rule = _canary_rules.rule_of([r for r in self.view.rules if self._concerned(r)], self.target)
        if rule is not None:
            own = _canary_rules.is_ours(rule)
            going = list(self.target.subsets if own else _canary_rules.added_to(rule))
            used = _canary.named_subsets(self.view.virtual_services, self.target)
            for name in going:
                if name in used:
                    raise Refusal(
                        "subset_in_use",
                        f"{used[name]} still names subset {name} of {self.target.host}: without it, Envoy answers 503."
                        " Take the routes back first (state: unrouted).",
                    )
            left = [one for one in _canary_rules.subsets_of(rule) if one["name"] not in going]
            if own and not left:
                steps.append(Step("DestinationRule", rule, None))
            elif going:
                spec = {key: value for key, value in rule["spec"].items() if key != "subsets"}
                after = {**rule, "spec": {**spec, **({"subsets": left} if left else {})}}
                steps.append(Step("DestinationRule", rule, noting(after, _canary_rules.ADDED, "")))
        entry = _canary_rules.entry_of(self.view.entries, self.target)
        if entry is not None and _canary_rules.is_ours(entry):
            steps.append(Step("ServiceEntry", entry, None))
        return steps

    def _concerned(self, rule: Object) -> bool:
        """On the way back, only a rule that we have added to; others may have come since, and are not in its way."""
        return bool(_canary_rules.added_to(rule)) or _canary_rules.is_ours(rule)

    def routed(self, share: Share | None, marker: str) -> list[Step]:
        """Shared as said; with share None, scouts for the subsets alone."""
        rule = _canary_rules.rule_of(self.view.rules, self.target)
        there = [one["name"] for one in _canary_rules.subsets_of(rule)]
        missing = [name for name in self.target.subsets if name not in there]
        if missing:
            raise Refusal(
                "no_subset",
                f"{f'DestinationRule {key_of(rule)}' if rule else 'No DestinationRule'} has subset {missing[0]} of"
                f" {self.target.host}; found {', '.join(there) or 'none'}. Make the subsets first (state: subsets).",
            )
        _canary_rules.with_subsets(rule or {}, self.target)  # whether they are the same ones
        wanted = [*self.chosen(), *self._shell()]
        steps = []
        for vs in wanted:
            done = self._scouted(vs, marker) if share is None else _canary.edited(vs, self.target, share, marker)
            if done.concerned:
                fresh = "uid" not in vs["metadata"]
                steps.append(Step("VirtualService", None if fresh else vs, with_http(vs, done)))
        if not steps:
            raise Refusal(
                "no_route",
                f"No route of {'the VirtualServices in names' if self.params['names'] else 'any VirtualService'} sends"
                f" to {self.target.host}, or only to a subset by name. Set mesh, or gateways and hosts, to have one"
                " made.",
            )
        changed = {key_of(step.after or {}): step.after for step in steps}
        after = [changed.pop(key_of(vs), vs) for vs in self.view.virtual_services] + list(changed.values())
        _canary.check_subsets(t.cast(list[Object], after), self.target, there)
        return steps

    def _scouted(self, vs: Object, marker: str) -> _canary.Edited:
        """Scouts to the subsets beside what is there, whatever that is: shared already, or not."""
        weights, matches = _canary.weights_of(vs, self.target), _canary.matches_of(vs, self.target)
        nominal = Share(weights or {self.target.stable: 100}, tuple(matches))
        done = _canary.edited(vs, self.target, nominal, marker)
        if weights:
            return done
        originals = iter(_canary.plain(vs, self.target))
        http = [r if _canary.is_ours(r, f"{self.target.mark}scout") else next(originals) for r in done.http]
        note = {host: places for host, places in done.note.items() if host != self.target.host}
        return _canary.Edited(http, note, done.concerned)

    def _shell(self) -> list[Object]:
        """A VirtualService of ours, where one is needed and not there yet."""
        if any(self.is_own(vs) for vs in self.view.virtual_services):
            return []
        meshed = any(_canary.serves_mesh(vs, self.target) for vs in self.view.virtual_services)
        gateways = (["mesh"] if self.params["mesh"] and not meshed else []) + list(self.params["gateways"] or [])
        if not gateways:
            return []
        hosts = ([self.target.host] if "mesh" in gateways else []) + list(self.params["hosts"] or [])
        self._check_hosts(gateways)
        declared = self.view.service or _canary_rules.entry_of(self.view.entries, self.target)
        if declared is not None:
            _canary_rules.check_ports(declared, self.params["port"], gateways)
        body = _canary.shell(self.target, self.own, hosts, gateways, self.params["port"])
        body["apiVersion"] = self.view.api
        body["metadata"]["labels"] = {**OUR_LABELS, _virtual_services.LEAVE_ALONE: "false"}
        return [body]

    def _check_hosts(self, gateways: t.Sequence[str]) -> None:
        for vs in self.view.virtual_services:
            namespace = vs["metadata"]["namespace"]
            named = {_virtual_services.resolve(one, namespace) for one in (vs.get("spec") or {}).get("gateways") or ()}
            both = set(self.params["hosts"] or ()) & set((vs.get("spec") or {}).get("hosts") or ())
            if both and named & set(gateways):
                raise Refusal(
                    "host_taken",
                    f"hosts: VirtualService {key_of(vs)} serves {', '.join(sorted(both))} on that gateway. Leave"
                    " gateways and hosts out: its own routes are shared.",
                )

    def unrouted(self, marker: str) -> list[Step]:
        """As it was before; with a scout that shows it, if there is a marker. Ours goes once there is none."""
        steps, stays = [], []
        for vs in self.view.virtual_services:
            ours = any(_canary.is_ours(route, self.target.mark) for route in _canary.http_of(vs))
            if not ours and self.target.host not in _canary.noted(vs) and not self.is_own(vs):
                continue
            done = _canary.edited(vs, self.target, None, marker)
            if _canary.weights_of(vs, self.target):
                stays += [one for route in _canary.plain(vs, self.target) for one in self._own(vs, route)]
            gone = self.is_own(vs) and not marker
            steps.append(Step("VirtualService", vs, None if gone else with_http(vs, done)))
        self._check_pods({_canary.subset_of(one) for one in stays})
        return steps

    def _own(self, vs: Object, route: Object) -> list[Object]:
        found = route.get("route") or []
        return [found[i] for i in _canary.taken(found, self.target, vs["metadata"]["namespace"])]

    def _check_pods(self, names: set[str]) -> None:
        ready = self.view.ready
        serving = [name for name, count in ready.items() if count]
        if "" in names and len(serving) > 1 and self.view.service is not None and not self.params["allow_mixed"]:
            raise Refusal(
                "would_mix",
                f"{' and '.join(f'{ready[name]} pods of {name}' for name in serving)} are ready: without the canary's"
                f" routes {self.target.host} is all of them, in proportion. Give one subset everything, scale the"
                " others to nothing, and run this again; or set allow_mixed.",
                ready=ready,
            )
        for name in names - {""}:
            if not ready.get(name):
                raise Refusal(
                    "no_pods",
                    f"A route named subset {name} before, of which no pod is ready: found {ready}. Have its owner write"
                    " the route as it is to be, or make pods of that subset again.",
                    ready=ready,
                )


def check_ready(share: Share, view: View) -> None:
    """Raises Refusal subset_not_ready."""
    wanted = {name for name, weight in share.weights.items() if weight} | {match.subset for match in share.matches}
    for name in sorted(wanted):
        if not view.ready[name]:
            raise Refusal(
                "subset_not_ready",
                f"subset {name} is to get traffic, and none of its pods is ready: found {view.ready}. Wait for them;"
                " until then weights can pin everything to the other one.",
                ready=view.ready,
            )


# -- writing -----------------------------------------------------------------------------------------------------------
def patch_of(before: Object, after: Object) -> list[dict[str, t.Any]]:
    """A JSON patch of the fields that differ: parts of the spec, and annotations. 409 if others have written
    meanwhile."""
    patch = [{"op": "replace", "path": "/metadata/resourceVersion", "value": before["metadata"]["resourceVersion"]}]
    old, new = before["metadata"].get("annotations"), after["metadata"].get("annotations") or {}
    if old is None and new:
        patch.append({"op": "add", "path": "/metadata/annotations", "value": new})
    for name in [*(old or {}), *(name for name in new if old is not None and name not in old)]:
        pointer = "/metadata/annotations/" + name.replace("~", "~0").replace("/", "~1")
        if name not in new:
            patch.append({"op": "remove", "path": pointer})
        elif (old or {}).get(name) != new[name]:
            patch.append({"op": "add", "path": pointer, "value": new[name]})
    for name in [*before["spec"], *(name for name in after["spec"] if name not in before["spec"])]:
        if name not in after["spec"]:
            patch.append({"op": "remove", "path": f"/spec/{name}"})
        elif before["spec"].get(name) != after["spec"][name]:
            patch.append({"op": "add", "path": f"/spec/{name}", "value": after["spec"][name]})
    return patch


class Writer:
    """Carries out steps, and gives fields back to who had applied them."""

    def __init__(self, cluster: Cluster, api: str, dry_run: bool) -> None:
        self.cluster, self.api, self.dry_run = cluster, api, dry_run
        self.warnings: list[str] = []

    def write(self, step: Step) -> None:
        """Raises ApiError; 404 and 409 where others were faster."""
        body = step.before or step.after or {}
        meta, plural = body["metadata"], PLURALS[step.kind]
        path = path_of(self.api, plural, meta["namespace"], meta["name"])
        if step.before is None:
            self.cluster.create(path_of(self.api, plural, meta["namespace"]), body, dry_run=self.dry_run)
        elif step.after is None:
            self.cluster.delete(path, meta["uid"], meta["resourceVersion"], dry_run=self.dry_run)
        else:
            answer = self.cluster.patch(path, patch_of(step.before, step.after), "json", dry_run=self.dry_run)
            if not self.dry_run:
                self._give_back(step, path, answer)

    def moved(self, step: Step) -> bool:
        """Whether others have written it since: what a patch takes away may be gone by then, which is a 422."""
        meta = (step.before or step.after or {})["metadata"]
        found = self.cluster.find(path_of(self.api, PLURALS[step.kind], meta["namespace"], meta["name"]))
        return found is None or found["metadata"]["resourceVersion"] != meta.get("resourceVersion")

    def _give_back(self, step: Step, path: str, body: Object | None) -> None:
        appliers = _field_owners.appliers(step.before or {"metadata": {}})
        refusal = give_back(self.cluster, path, appliers, body, tries=3)
        if refusal:
            self.warnings.append(f"{step.object}: {refusal}")


class Operation:
    """One call of the module."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool, cluster: Cluster) -> None:
        self.params, self.check_mode, self.cluster = params, check_mode, cluster
        self.target = target_of(params)
        self.share = share_of(params, self.target) if params["state"] == "routed" else None
        self.settle = params["settle"]
        if self.settle:
            _canary_settle.check(self.settle)
        for name in params["gateways"] or ():
            if not _virtual_services.NAMESPACED_NAME.fullmatch(name):
                raise Refusal("malformed_reference", f"gateways has {name!r}; expected a Gateway as NAMESPACE/NAME.")
        if bool(params["gateways"]) != bool(params["hosts"]):
            raise Refusal("bad_option", "gateways and hosts: one is given without the other.")
        self.journal = Journal.load(cluster, params["journal"])
        self.done: list[Step] = []
        self.waits: list[dict[str, t.Any]] = []
        self.warnings: list[str] = []
        self.recorded: list[str] = []

    def run(self) -> dict[str, t.Any]:
        if self.journal and not self.check_mode:
            self.journal.check()
        view = read(self.cluster, self.target, self.params)
        if not (self.params["service"] or self.params["external"] or _canary_rules.entry_of(view.entries, self.target)):
            raise Refusal(
                "no_service", f"host: no ServiceEntry declares {self.target.host}. Declare it, or give external."
            )
        before = Planner(self.params, self.target, view).current()
        getattr(self, f"_{self.params['state']}")(view, before)
        if self.recorded and self.journal:
            self.journal.done(*self.recorded)
        return self._result(view)

    # -- states --------------------------------------------------------------------------------------------------------
    def _read(self, _view: View, _before: t.Any) -> None:
        pass

    def _subsets(self, view: View, _before: t.Any) -> None:
        self._write(lambda planner: planner.subsets(), view, "subsets", {"state": "absent"})

    def _absent(self, view: View, _before: t.Any) -> None:
        self._write(lambda planner: planner.absent(), view, "no subsets", {"state": "subsets"})

    def _routed(self, view: View, before: t.Any) -> None:
        share, (weights, matches, marker) = t.cast(Share, self.share), before
        if self.params["require_ready"]:
            check_ready(share, view)
        served = tuple(
            name for name in self.target.subsets if share.weights.get(name) or name in {m.subset for m in share.matches}
        )
        served = tuple(name for name in served if view.ready[name])
        if weights is None:
            key, inverse = "routes", {"state": "unrouted"}
        else:
            key, inverse = "weights", {
                "state": "routed",
                "weights": weights,
                "match": [shown(match) for match in matches],
            }
        final = dataclasses.replace(share, marker=self._marker(view, share, "routed") if self.settle else "")
        if self.settle and not self.check_mode:
            planner = Planner(self.params, self.target, view)
            self.done = planner.routed(final, final.marker)
            if not any(step.acts for step in self.done):
                self._wait(final.marker, served)  # an earlier run may have been killed before it had waited
                return
            self.done = []
            if not marker or weights is None:
                marker = self._marker(view, Share({}), "scouted")
                self._write(lambda planner: planner.routed(None, marker), view, key, inverse)
            self._wait(marker, served)
        self._write(lambda planner: planner.routed(share, final.marker), view, key, inverse)
        self._wait(final.marker, served)

    def _unrouted(self, view: View, before: t.Any) -> None:
        weights, matches, _marker = before
        inverse = (
            {"state": "routed", "weights": weights, "match": [shown(match) for match in matches]} if weights else None
        )
        if self.settle and weights and not self.check_mode:
            marker = self._marker(view, Share({}), "unrouted")
            self._write(lambda planner: planner.unrouted(marker), view, "no routes", inverse)
            self._wait(marker, ("",))
        self._write(lambda planner: planner.unrouted(""), view, "no routes", inverse)

    def _marker(self, view: View, share: Share, state: str) -> str:
        found = view.service or _canary_rules.entry_of(view.entries, self.target) or {"metadata": {}}
        return _canary.marker_of(found["metadata"].get("uid", ""), share, state)

    def _wait(self, marker: str, subsets: tuple[str, ...]) -> None:
        if self.settle and subsets and not self.check_mode:
            expected = _canary_settle.Expected(marker, subsets, self.target.host)
            self.waits.append(_canary_settle.wait(self.settle, expected))

    # -- writing -------------------------------------------------------------------------------------------------------
    def _write(
        self, plan: t.Callable[[Planner], list[Step]], view: View, what: str, inverse: dict[str, t.Any] | None
    ) -> None:  # fmt: skip
        first = [view] if not self.done else []  # what was read already serves the first plan

        def planned() -> list[Step]:
            seen = first.pop() if first else read(self.cluster, self.target, self.params)
            steps = plan(Planner(self.params, self.target, seen))
            self._contested([step for step in steps if step.acts])
            return steps

        writer = Writer(self.cluster, view.api, self.check_mode)

        def write(steps: t.Sequence[Step], _recorded: list[str]) -> str | None:
            acting = [step for step in steps if step.acts]
            if self.journal and acting and inverse and not self.check_mode:
                self.journal.check()
                undo = {"module": OP, "params": {**self._common(), **inverse}}
                self.recorded.append(self.journal.record(OP, f"{self.target.host} {what}", undo))
            for step in acting:
                try:
                    writer.write(step)
                except ApiError as exc:
                    if exc.status == 404 and step.before is None:
                        raise Refusal("namespace_missing", f"{step.object} can't be made: {exc.text}.") from exc
                    if exc.status not in (404, 409) and not (exc.status == 422 and writer.moved(step)):
                        raise
                    return step.object
            return None

        self.done += settled(planned, write, None)
        self.warnings += writer.warnings

    def _common(self) -> dict[str, t.Any]:
        return {name: self.params[name] for name in RECORDED if self.params[name] is not None}

    def _contested(self, steps: list[Step]) -> None:
        bodies = [step.before for step in steps if step.kind == "VirtualService" and step.before]
        refuse = self.params["contested"] == "refuse" and not (self.journal and self.journal.phase == ROLLBACK)
        found = _binding._contested(self.cluster, bodies, refuse)
        self.warnings += [f"{one['virtual_service']} ({one['source']}): {one['reason']}" for one in found]

    def _result(self, view: View) -> dict[str, t.Any]:
        acting = [step for step in self.done if step.acts]
        now = read(self.cluster, self.target, self.params) if acting and not self.check_mode else view
        weights, matches, _marker = Planner(self.params, self.target, now).current()
        if self.check_mode and self.params["state"] in ("routed", "unrouted"):
            weights = {name: self.share.weights.get(name, 0) for name in self.target.subsets} if self.share else None
            matches = list(self.share.matches) if self.share else []
        first, last = {}, {}
        for step in acting:
            first.setdefault(step.object, step.before)
            last[step.object] = step.after
        sources_of = {
            key_of(s.before): [sources.of(s.before)] for s in acting if s.kind == "VirtualService" and s.before
        }
        return {
            "changed": bool(acting),
            "objects": [{"object": name, "state": Step("", first[name], last[name]).state} for name in first]
            + [{"object": s.object, "state": s.state} for s in self.done if s.object not in first],
            "weights": weights,
            "match": [shown(match) for match in matches],
            "ready": now.ready,
            "settled": self.waits,
            "owned_elsewhere": [
                {"virtual_service": key, "source": source.title}
                for key, (found,) in sources_of.items()
                for source in found
            ],
            "diff": {
                "before": {name: (body or {}).get("spec") or {} for name, body in first.items()},
                "after": {name: (body or {}).get("spec") or {} for name, body in last.items()},
            },
            "told": self.warnings,
        }


def shown(match: Match) -> dict[str, t.Any]:
    """As the option has it."""
    return {"subset": match.subset, match.kind: {"name": match.name, match.how: match.value}}
