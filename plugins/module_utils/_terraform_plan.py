# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan of Terraform's, as JSON, would do to a migration that has been made.

Expected are imports of what was made, NodePorts that go from blue's to green's, and no-ops. Everything else is listed;
what would move traffic or take it away is an error with a name of its own. Pure over the plan's JSON (format 1.x).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t

from ._infrastructure import TIES, address_of, importable, tie_of
from ._module import Refusal

Object = dict[str, t.Any]
EXPECTED, UNEXPECTED, ERROR = "expected", "unexpected", "error"
LISTENERS = {"aws_lb_listener": "default_action", "aws_alb_listener": "default_action",
             "aws_lb_listener_rule": "action", "aws_alb_listener_rule": "action"}  # fmt: skip
TARGET_GROUPS = ("aws_lb_target_group", "aws_alb_target_group")
LOAD_BALANCERS = ("aws_lb", "aws_alb", "aws_elb")
GROUPS = ("aws_security_group", "aws_default_security_group")
RULES = ("aws_security_group_rule", "aws_vpc_security_group_ingress_rule")  # some change a port only by replacing
# Where targets are tied to target groups: type -> field that names them.
ATTACHMENTS = {
    "aws_lb_target_group_attachment": "target_group_arn",
    "aws_alb_target_group_attachment": "target_group_arn",
    "aws_autoscaling_attachment": "lb_target_group_arn",
    "aws_autoscaling_traffic_source_attachment": "traffic_source",
    "aws_autoscaling_group": "target_group_arns",
}


@dataclasses.dataclass(frozen=True)
class Made:
    """What the migration made and what holds now. ports: blue's NodePort -> green's, from `values`, by their names;
    imports: address -> id; weights: as infrastructure_files takes them, with ARNs; ties: what older versions of the
    provider can't import, by type and fields."""

    values: tuple[Object, ...] = ()
    imports: tuple[tuple[str, str], ...] = ()
    weights: tuple[Object, ...] = ()
    ties: tuple[tuple[str, dict[str, str]], ...] = ()

    @property
    def ports(self) -> dict[str, str]:
        return {str(v["blue"]): str(v["green"]) for v in self.values if v.get("blue") is not None}

    @property
    def green_ports(self) -> set[int]:
        return {v["green"] for v in self.values if isinstance(v["green"], int)}

    @property
    def in_use(self) -> set[str]:
        """ARNs of target groups that get traffic, or that were made to."""
        weighted = {target["name"] for entry in self.weights for target in entry["targets"] if target["weight"]}
        return weighted | {id_ for _to, id_ in self.imports if ":targetgroup/" in id_}


@dataclasses.dataclass(frozen=True)
class Change:
    """One resource, output or other part of a plan that is not left as it is."""

    verdict: str
    code: str
    address: str
    actions: tuple[str, ...]
    text: str


# -- reading ---------------------------------------------------------------------------------------------------------
def parse(text: str, where: str) -> Object:
    """A plan. Raises Refusal malformed with what to do."""
    expected = "expected what terraform show -json PLANFILE prints"
    try:
        plan = json.loads(text)
    except ValueError as exc:
        log = text.lstrip().startswith("{") and '"@level"' in text.partition("\n")[0]
        found = "the log of terraform plan -json" if log else f"no JSON ({exc})"
        raise Refusal("malformed", f"{where}: found {found}, {expected}.") from exc
    version = str(plan.get("format_version")) if isinstance(plan, dict) else "none"
    if version.partition(".")[0] != "1" or "planned_values" not in plan and "resource_changes" not in plan:
        what = "a state" if isinstance(plan, dict) and "values" in plan else f"format_version {version}"
        raise Refusal("malformed", f"{where}: found {what}, {expected}, of format 1.x.")
    if plan.get("errored"):
        raise Refusal("malformed", f"{where}: found a plan that ended in an error, expected a whole one. Plan again.")
    return plan


# -- judging ---------------------------------------------------------------------------------------------------------
def judge(plan: Object, made: Made) -> list[Change]:
    """Every change of the plan that is not a no-op, in its order; then what it lacks."""
    resources = [rc for rc in plan.get("resource_changes") or () if rc.get("mode", "managed") == "managed"]
    closed = closed_ports(resources, made.green_ports)
    found = []
    for rc in resources:
        errors = [
            Change(ERROR, code, rc["address"], _actions(rc), f"{rc['address']} ({_did(rc)}): {text}")
            for code, text in _errors(rc, made, closed)
        ]
        found += errors or [change for change in [_resource(rc, made)] if change]
    found += _outputs(plan, made)
    for deferred in plan.get("deferred_changes") or ():
        rc = deferred.get("resource_change") or {}
        found.append(_unexpected("deferred", rc.get("address", "?"), _actions(rc), "it is put off to a later plan"))
    if plan.get("complete") is False:
        found.append(_unexpected("incomplete", "plan", (), "it does not cover everything, so that more may follow"))
    for value in made.values:
        used = ((plan.get("variables") or {}).get(value["name"]) or {}).get("value", value["green"])
        if str(used) != str(value["green"]):
            text = f"found {used}, expected {value['green']}: put env.hcl's values in force, and plan again"
            found.append(_unexpected("old_value", f"var.{value['name']}", (), text))
    return found


def not_imported(plans: t.Sequence[Object], made: Made) -> list[Change]:
    """What was made and is in no plan: neither imported, nor known already."""
    known = {
        rc["address"]: {str(given.get(key)) for given in (_before(rc), _importing(rc)) for key in ("id", "arn")}
        for plan in plans for rc in plan.get("resource_changes") or ()
    }  # fmt: skip
    return [
        _unexpected("not_imported", to, (), f"{id_} was made by the migration, and is not imported: imports.tf has it")
        for to, id_ in made.imports
        if id_ not in known.get(to, ())
    ]


def _resource(rc: Object, made: Made) -> Change | None:
    """What is no error: expected or not; None for what is left as it is."""
    address, actions, importing = rc["address"], _actions(rc), _importing(rc)
    imported = (address, importing.get("id")) in made.imports
    tied = (rc["type"], {field: _after(rc).get(field) for field in TIES.get(rc["type"], ())}) in made.ties
    if actions in ((), ("no-op",), ("read",)):
        if importing:
            if imported:
                return Change(EXPECTED, "import", address, actions, f"{address}: {importing.get('id')} is imported")
            if tied:  # by an id in words of its own, or by its identity, which has none
                return Change(EXPECTED, "attachment", address, actions, f"{address}: is imported")
            return _unexpected("import", address, actions, f"the migration did not make {importing.get('id', 'it')}")
        moved = rc.get("previous_address")
        return _unexpected("moved", address, actions, f"it was {moved}") if moved and moved != address else None
    differing = differences(rc)
    ports = [port_moved(before, after, made.ports) for _path, before, after, _shown in differing]
    replaced = set(actions) == {"delete", "create"}
    if actions == ("update",) or replaced and rc["type"] in RULES:
        known = [moved for moved, entry in zip(ports, differing) if not (replaced and entry[2] is UNKNOWN)]
        same = known and all(known) or _alike_but_ports(rc, made.ports)
        if same and (not importing or imported):
            return Change(EXPECTED, "node_port", address, actions, f"{address}: {_shown(differing)}")
    code = "replace" if replaced else actions[0]
    if code == "create" and tied:
        text = f"{address}: is there already, and attaching it again changes nothing"
        return Change(EXPECTED, "attachment", address, actions, text)
    if code == "create" and address in dict(made.imports):
        return _unexpected(code, address, actions, f"{dict(made.imports)[address]} is there already: import it instead")
    shown = _shown(differing) if code in ("update", "replace") else f"it would {code} it"
    return _unexpected(code, address, actions, shown)


def _outputs(plan: Object, made: Made) -> t.Iterator[Change]:
    for name, change in (plan.get("output_changes") or {}).items():
        rc = {"address": f"output.{name}", "type": "output", "change": change}
        if _actions(rc) not in ((), ("no-op",)):
            differing = differences(rc)
            if differing and all(port_moved(before, after, made.ports) for _p, before, after, _s in differing):
                yield Change(EXPECTED, "node_port", rc["address"], _actions(rc), f"output.{name}: {_shown(differing)}")
            else:
                yield _unexpected("output", rc["address"], _actions(rc), _shown(differing))


def _unexpected(code: str, address: str, actions: tuple[str, ...], text: str) -> Change:
    did = f" ({', '.join(actions)})" if actions else ""
    return Change(UNEXPECTED, code, address, actions, f"{address}{did}: {text}")


# -- errors ----------------------------------------------------------------------------------------------------------
def _errors(rc: Object, made: Made, closed: t.Mapping[str, list[str]]) -> t.Iterator[tuple[str, str]]:
    kind, deleted = rc["type"], "delete" in _actions(rc)
    if kind in LOAD_BALANCERS and deleted:
        yield "replaces_load_balancer", (
            "the balancer and its address would go. Find what forces that (replace_paths"
            f" {json.dumps(_change(rc).get('replace_paths') or [])}) and give it the value that is live"
        )
    if kind in TARGET_GROUPS and deleted and _is_used(_before(rc), made):
        yield "destroys_target_group", (
            f"{_before(rc).get('arn') or _before(rc).get('name')} gets traffic. Where the address is blue's in the"
            " state, take it out (terraform state rm) and import green's there"
        )
    if kind in ATTACHMENTS:
        lost = sorted((_groups_of(rc, _before(rc)) - _groups_of(rc, {} if deleted else _after(rc))) & made.in_use)
        if lost:
            yield "detaches_target_group", (
                f"{ATTACHMENTS[kind]}: found without {', '.join(lost)}, which gets traffic; expected with. Add it there"
            )
    if rc["address"] in closed:
        yield "closes_node_ports", (
            f"{'; '.join(closed[rc['address']])} would be closed, which is green's. Open it in the code, too"
        )
    reverted = _reverted(rc, made)
    if reverted:
        yield "reverts_weights", f"{reverted}. Take over snippets/ into the code, or ignore_changes until it is"


def _is_used(group: Object, made: Made) -> bool:
    """What is not known to be unused is used."""
    arn, port = str(group.get("arn")), group.get("port")
    if arn in made.in_use or port in made.green_ports:
        return True
    return not made.weights and str(port) not in made.ports


def _groups_of(rc: Object, side: Object) -> set[str]:
    value = side.get(ATTACHMENTS[rc["type"]])
    if isinstance(value, str):
        return {value}
    return {str(v.get("identifier")) if isinstance(v, dict) else str(v) for v in value or ()}


def _reverted(rc: Object, made: Made) -> str:
    """How a change moves traffic, or ''."""
    actions, field = _actions(rc), LISTENERS.get(rc["type"])
    if rc["type"] == "aws_route53_record" and actions == ("create",):
        return _shares_again(_after(rc), made)
    if not set(actions) & {"update", "delete"} or not field and rc["type"] != "aws_route53_record":
        return ""
    before, after = _before(rc), {} if actions == ("delete",) else _after(rc)
    unknown = _change(rc).get("after_unknown")
    if not field:
        if not (before.get("weighted_routing_policy") or _live(rc, before, made)):
            return ""
        old, new = _record(before), _record(after)
        return "" if old == new else f"weight and records: found {new}, expected {old}, which are live"
    live = _live(rc, before, made)
    expected = live if live is not None else shares(before.get(field))
    if _any_true((unknown or {}).get(field) if isinstance(unknown, dict) else unknown):
        return f"{field}: found what is not known before it is applied, expected {_percent(expected)}"
    found = shares(after.get(field))
    if found == expected:
        return ""
    return f"{field}: found {_percent(found)}, expected {_percent(expected)}, which is live"


def _shares_again(record: Object, made: Made) -> str:
    """How a weighted record that the code has still, blue's that cleanup removed, takes answers from those that are
    live, or ''."""
    weight = (record.get("weighted_routing_policy") or [{}])[0].get("weight")
    for entry in made.weights:
        own = entry["kind"] == "route53" and entry["name"] == str(record.get("name")).removesuffix(".")
        if weight and own and entry.get("record_type", "A") == record.get("type"):
            live = {target.get("set_identifier") for target in entry["targets"]}
            if record.get("set_identifier") not in live:
                expected = ", ".join(target["name"] for target in entry["targets"])
                return f"records: found {_record(record)[1]} with weight {weight} besides, expected {expected} alone"
    return ""


def _record(side: Object) -> list[t.Any]:
    """What of a record says where traffic goes."""
    weight = (side.get("weighted_routing_policy") or [{}])[0].get("weight")
    return [weight, sorted(side.get("records") or ()) + [alias.get("name") for alias in side.get("alias") or ()]]


def _live(rc: Object, before: Object, made: Made) -> dict[str, float] | None:
    """The weights that the migration set at this listener, rule or record, by its id, else by its name in the code."""
    kind = rc["type"].replace("aws_alb_", "aws_lb_").replace("aws_route53_record", "route53")
    for entry in made.weights:
        named = entry.get("id") in (before.get("arn"), before.get("id")) if entry.get("id") else entry["name"] in (
            rc.get("name"), before.get("name"))  # fmt: skip
        if entry["kind"] == kind and named:
            return _shared({target["name"]: target["weight"] for target in entry["targets"]})
    return None


def shares(actions: t.Any) -> dict[str, float]:
    """Target group -> share of the traffic, of a listener's or rule's actions; those that get none are left out."""
    weights: dict[str, float] = {}
    for action in actions or ():
        groups = [group for forward in action.get("forward") or () for group in forward.get("target_group") or ()]
        for group in groups:
            weight = group.get("weight")
            weights[str(group.get("arn"))] = 1 if weight is None else weight
        if not groups and action.get("target_group_arn"):
            weights[action["target_group_arn"]] = 1
        if not groups and not action.get("target_group_arn"):
            weights[str(action.get("type"))] = 1  # a redirect, a fixed response: an answer of its own
    return _shared(weights)


def _shared(weights: dict[str, t.Any]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: round(weight / total, 6) for name, weight in weights.items() if weight} if total else {}


def _percent(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:g} %" for name, share in sorted(found.items())) or "nothing"


# -- security groups ---------------------------------------------------------------------------------------------------
Opening = tuple[str, int, str]  # security group, port, source


def closed_ports(resources: t.Sequence[Object], ports: set[int]) -> dict[str, list[str]]:
    """Address -> what it lets in to these ports now, and nothing will afterwards."""
    before = {rc["address"]: _openings(rc, _before(rc), ports) for rc in resources}
    after: set[Opening] = set()
    for rc in resources:
        if _actions(rc) != ("delete",) and "forget" not in _actions(rc):
            after |= _openings(rc, _after(rc), ports)
        elif "forget" in _actions(rc):
            after |= before[rc["address"]]
    lost = {to: sorted(o for o in opened if not any(_covers(a, o) for a in after)) for to, opened in before.items()}
    return {
        to: [f"{port} from {source} in {group}" for group, port, source in some] for to, some in lost.items() if some
    }


def _openings(rc: Object, side: Object, ports: set[int]) -> set[Opening]:
    if rc["type"] in GROUPS:
        return {o for rule in side.get("ingress") or () for o in _opened(str(side.get("id")), rule, ports)}
    if rc["type"] in RULES and side.get("type", "ingress") == "ingress":
        return _opened(str(side.get("security_group_id")), side, ports)
    return set()


def _opened(group: str, rule: Object, ports: set[int]) -> set[Opening]:
    protocol = str(rule.get("protocol", rule.get("ip_protocol"))).lower()
    if protocol not in ("tcp", "6", "-1", "all"):
        return set()
    low, high = rule.get("from_port"), rule.get("to_port")
    sources = [*(rule.get("cidr_blocks") or ()), *(rule.get("ipv6_cidr_blocks") or ())]
    sources += [*(rule.get("prefix_list_ids") or ()), *(rule.get("security_groups") or ())]
    single = ("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "source_security_group_id", "referenced_security_group_id")
    sources += [rule[key] for key in single if rule.get(key)]
    sources += [group] if rule.get("self") else []
    every = protocol in ("-1", "all")
    return {
        (group, port, source) for port in ports for source in sources
        if every or (low is not None and high is not None and low <= port <= high)
    }  # fmt: skip


def _covers(wide: Opening, narrow: Opening) -> bool:
    if wide[:2] != narrow[:2]:
        return False
    if wide[2] == narrow[2]:
        return True
    try:
        return ipaddress.ip_network(narrow[2]).subnet_of(ipaddress.ip_network(wide[2]))
    except (ValueError, TypeError):  # names of groups and lists; or one of each family
        return False


# -- what differs ------------------------------------------------------------------------------------------------------
UNKNOWN = object()  # what is known only when it is applied
Difference = tuple[str, t.Any, t.Any, str]  # path, before, after, and both in words


def differences(rc: Object) -> list[Difference]:
    """The leaves that change. Values that the plan calls sensitive are not shown."""
    change = _change(rc)
    before, after = _leaves(change.get("before")), _leaves(change.get("after"))
    secret = {*_leaves(change.get("before_sensitive"), marks=True), *_leaves(change.get("after_sensitive"), marks=True)}
    for path in _leaves(change.get("after_unknown"), marks=True):
        # The mark may be on a whole, such as a list, of which the old value has parts.
        before.setdefault(path, None)
        after[path] = UNKNOWN
    found = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new or (old, new) in (("", None), (None, "")):
            continue
        if new is None and any(after[up] is UNKNOWN for up in after if path.startswith((f"{up}.", f"{up}["))):
            continue
        hidden = any(path == mark or mark == "" or path.startswith((f"{mark}.", f"{mark}[")) for mark in secret)
        words = "(sensitive)" if hidden else f"{_word(old)} -> {_word(new)}"
        found.append((path, old, new, f"{path or 'value'} {words}"))
    return found


def _leaves(value: t.Any, path: str = "", marks: bool = False) -> dict[str, t.Any]:
    """Path -> scalar; empty lists and objects are nothing. marks: of what is marked with true only."""
    if isinstance(value, dict):
        some = [(f"{path}.{key}" if path else key, inner) for key, inner in value.items()]
    elif isinstance(value, list):
        some = [(f"{path}[{i}]", inner) for i, inner in enumerate(value)]
    else:
        return {path: value} if (value is True if marks else value is not None) else {}
    return {inner: leaf for at, one in some for inner, leaf in _leaves(one, at, marks).items()}


def _alike_but_ports(rc: Object, ports: t.Mapping[str, str]) -> bool:
    """Whether nothing but NodePorts changes, in whatever order a plan has the members of sets."""

    def plain(value: t.Any, moving: bool) -> t.Any:
        if isinstance(value, dict):
            return {key: plain(inner, moving) for key, inner in value.items()}
        if isinstance(value, list):
            plains = [plain(inner, moving) for inner in value]
            return sorted(plains, key=lambda inner: json.dumps(inner, sort_keys=True))
        if isinstance(value, bool) or value is None or isinstance(value, float):
            return value
        return ports.get(str(value), str(value)) if moving else str(value)

    unknown = _any_true(_change(rc).get("after_unknown"))
    return not unknown and plain(_before(rc), True) == plain(_after(rc), False)


def port_moved(before: t.Any, after: t.Any, ports: t.Mapping[str, str]) -> bool:
    """Whether one of blue's NodePorts becomes green's for the same thing."""
    plain = all(isinstance(side, (int, str)) and not isinstance(side, bool) for side in (before, after))
    return plain and str(before) in ports and ports[str(before)] == str(after)


def _word(value: t.Any) -> str:
    return "(known after apply)" if value is UNKNOWN else json.dumps(value, ensure_ascii=False)[:200]


def _shown(differing: list[Difference]) -> str:
    return "; ".join(words for _path, _old, _new, words in differing) or "no difference is shown"


def _any_true(marks: t.Any) -> bool:
    return bool(_leaves(marks, marks=True))


# -- small words -------------------------------------------------------------------------------------------------------
def _change(rc: Object) -> Object:
    return rc.get("change") or {}


def _actions(rc: Object) -> tuple[str, ...]:
    return tuple(_change(rc).get("actions") or ())


def _did(rc: Object) -> str:
    return ", ".join(_actions(rc))


def _before(rc: Object) -> Object:
    return _change(rc).get("before") or {}


def _after(rc: Object) -> Object:
    return _change(rc).get("after") or {}


def _importing(rc: Object) -> Object:
    return _change(rc).get("importing") or {}


def made_of(values: t.Sequence[Object], resources: t.Sequence[Object], weights: t.Sequence[Object]) -> Made:
    """From the module's options. Raises Refusal."""
    for entry in weights:
        wrong = [target["name"] for target in entry["targets"] if not target["name"].startswith("arn:")]
        if entry["kind"].startswith("aws_") and wrong:
            raise Refusal(
                "bad_option", f"weights: {entry['kind']} {entry['name']}: found {wrong[0]!r}, expected the ARN of a"
                " target group, as plans have it.",
            )  # fmt: skip
    imports = tuple((address_of(resource), str(resource["id"])) for resource in importable(resources))
    ties = tuple((resource["type"], tie_of(resource)) for resource in resources if resource["type"] in TIES)
    return Made(tuple(values), imports, tuple(weights), ties)
