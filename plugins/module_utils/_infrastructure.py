# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the infrastructure code must say from now on: values of an env.hcl, import blocks, and where weights are kept.

Otherwise its next run takes the migration back: it knows blue's NodePorts, has never heard of green's target groups,
and resets the weights of a listener to what it once wrote. The first part is pure; the second reads and writes files.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from . import _hcl
from ._module import Refusal

Object = dict[str, t.Any]
ENV_FILE = "env.hcl"
DIFF = "env.hcl.diff"
# What the values of an env.hcl call a port of a gateway's Service: its usual names, and its usual number.
PORTS = {
    "http": (("http", "http2"), 80),
    "https": (("https",), 443),
    "status": (("status-port", "status"), 15021),
}
SKIPPED = {".git", ".terraform", ".terragrunt-cache"}
_ADDRESS = re.compile(r'[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*|\["[^"\\$%]*"\]|\[\d+\])+')
_WORD = re.compile(r"[^\s#]+")
HEAD = "Written by a blue-green migration. Nothing here is applied by it."
# What ties targets to a target group, which older versions of the provider can't import (and none the first of these):
# type -> fields of the two parts of its id here.
TIES = {
    "aws_autoscaling_attachment": ("autoscaling_group_name", "lb_target_group_arn"),
    "aws_lb_target_group_attachment": ("target_id", "target_group_arn"),
}
# What modules take of what was made and set outside of the cluster.
_WORDS: Object = {"type": "str", "required": True}
_TARGET: Object = {
    "name": {**_WORDS, "aliases": ["server"]}, "weight": {"type": "int", "required": True},
    "colour": {"type": "str"}, "address": {"type": "str"}, "set_identifier": {"type": "str"},
    "health_check": {"type": "str"}, "alias_zone": {"type": "str"}, "alias_health": {"type": "bool"},
}  # fmt: skip
_WEIGHTED: Object = {
    "kind": {**_WORDS, "choices": ["aws_lb_listener", "aws_lb_listener_rule", "haproxy", "route53", "dns"]},
    "name": _WORDS, "id": {"type": "str"},
    "record_type": {"type": "str"}, "ttl": {"type": "int"}, "zone": {"type": "str"}, "simple": {"type": "bool"},
    "targets": {"type": "list", "elements": "dict", "required": True, "options": _TARGET},
}  # fmt: skip
_MADE: Object = {"type": _WORDS, "name": _WORDS, "id": _WORDS, "module": {"type": "str"}}
ARGS: Object = {
    "resources": {"type": "list", "elements": "dict", "default": [], "options": _MADE},
    "weights": {"type": "list", "elements": "dict", "default": [], "options": _WEIGHTED},
}


# -- values ----------------------------------------------------------------------------------------------------------
def node_port(service: Object | None, port: str) -> int | None:
    """NodePort of a port of a Service: http, https, status, or else the port's own name or number."""
    names, number = PORTS.get(port, ((port,), int(port) if port.isdigit() else None))
    ports = ((service or {}).get("spec") or {}).get("ports") or ()
    for fits in (lambda p: p.get("name") in names, lambda p: p.get("port") == number):
        for found in ports:
            if fits(found) and found.get("nodePort"):
                return found["nodePort"]
    return None


def workloads_of(given: t.Sequence[Object]) -> list[Object]:
    """Each with its name, blue's and green's Service as (namespace, name), and the NodePorts that green is to have."""
    return [
        {
            "name": w["name"], "blue": (w["blue"]["namespace"], w["blue"]["service"]),
            "green": (w["green"]["namespace"], w["green"]["release"]), "planned": w["green"].get("node_ports") or {},
        }
        for w in given
    ]  # fmt: skip


def values_of(
    workloads: t.Sequence[Object], services: t.Mapping[tuple[str, str], Object | None],
    names: t.Mapping[str, str] | None = None, literals: t.Mapping[str, _hcl.Value] | None = None,
    target_groups: t.Sequence[Object] = (),
) -> tuple[list[Object], list[str]]:  # fmt: skip
    """(each value with its name, blue's and green's; what green's Services do not have, in words).

    workloads: as workloads_of() has them; what is planned counts while a Service is not there; names: NAME ->
    WORKLOAD/PORT, else WORKLOAD_ingress_gateway_PORT_port for http, https and status; WORKLOAD/PORT/target_group is the
    target group that leads to that NodePort, by target_groups, each {blue, green, node_port}; literals: more values as
    they are. Raises Refusal.
    """
    known = {w["name"]: w for w in workloads}
    wanted = names or {
        f"{name.replace('-', '_')}_ingress_gateway_{port}_port": f"{name}/{port}" for name in known for port in PORTS
    }
    values: list[Object] = []
    lacking = []
    for name, source in wanted.items():
        workload, _slash, port = source.partition("/")
        port, _slash, what = port.partition("/")
        if workload not in known or not port or what not in ("", "target_group"):
            raise Refusal(
                "bad_option", f"names: {name}: found {source!r}, expected WORKLOAD/PORT, or WORKLOAD/PORT/target_group,"
                f" with one of the workloads {', '.join(known)}.",
            )  # fmt: skip
        there = {side: services.get(known[workload][side]) for side in ("blue", "green")}
        planned = [{"name": name, "nodePort": int(number)} for name, number in known[workload]["planned"].items()]
        there["green"] = there["green"] or {"spec": {"ports": planned}}
        sides = {side: node_port(service, port) for side, service in there.items()}
        if sides["green"] is None:
            namespace, service = known[workload]["green"]
            there_is = services.get((namespace, service))
            said = "has no NodePort for" if there_is else "is not there, so that nothing is known of"
            lacking.append(f"Service {namespace}/{service} {said} {port} ({name})")
        elif what:
            led = next((group for group in target_groups if int(group["node_port"]) == sides["green"]), None)
            if led:
                values.append({"name": name, "blue": led["blue"], "green": led["green"]})
            else:
                lacking.append(f"No target group leads to NodePort {sides['green']} of {workload}'s {port} ({name})")
        else:
            values.append({"name": name, **sides})
    values += [{"name": name, "blue": None, "green": value} for name, value in (literals or {}).items()]
    for value in values:
        if not _hcl.NAME.fullmatch(value["name"]):
            raise Refusal("bad_option", f"literals, names: {value['name']!r} is no name that HCL knows.")
    return values, lacking


# -- files -----------------------------------------------------------------------------------------------------------
def files_of(values: t.Sequence[Object], resources: t.Sequence[Object], weights: t.Sequence[Object]) -> dict[str, str]:
    """Path in the folder -> text. Raises Refusal bad_option for what can't be written as HCL."""
    files = {"env.hcl": env_hcl(values)} if values else {}
    imported, tied = importable(resources), [resource for resource in resources if resource["type"] in TIES]
    if imported:
        files["imports.tf"] = imports(imported)
    if tied:
        files["snippets/attachments.tf"] = attachments(tied)
    for kind, (path, how, write) in SNIPPETS.items():
        own = [entry for entry in weights if entry["kind"] == kind]
        if own:
            # Files that two kinds share begin with one head.
            files[path] = (files.get(path) or how) + "".join("\n" + write(entry) for entry in own)
    return files


def env_hcl(values: t.Sequence[Object]) -> str:
    lines = "".join(f"    {v['name']} = {_hcl.literal(v['green'])}\n" for v in values)
    return f"# {HEAD}\n# Set these in the env.hcl of this cluster.\nlocals {{\n  cluster_inputs = {{\n{lines}  }}\n}}\n"


def imports(resources: t.Sequence[Object]) -> str:
    blocks = {}
    for resource in resources:
        to = address_of(resource)
        if to in blocks and blocks[to] != resource["id"]:
            raise Refusal(
                "bad_option", f"resources: {to} is to be both {blocks[to]} and {resource['id']}; expected one id for an"
                " address. Give one of them another name.",
            )  # fmt: skip
        blocks[to] = resource["id"]
    return (
        f"# {HEAD}\n"
        "# For Terraform 1.5 or later, or OpenTofu 1.6. Put it beside the configuration, give each address a resource\n"
        "# (terraform plan -generate-config-out=FILE writes drafts), plan, apply, and remove it again. An address\n"
        "# that the state has already, with blue's, must leave it first: terraform state rm ADDRESS deletes nothing.\n"
    ) + "".join(f"\nimport {{\n  to = {to}\n  id = {_hcl.literal(id_)}\n}}\n" for to, id_ in blocks.items())


def importable(resources: t.Sequence[Object]) -> list[Object]:
    return [resource for resource in resources if resource["type"] not in TIES]


def attachments(resources: t.Sequence[Object]) -> str:
    blocks = {}
    for resource in resources:
        lines = [f"  {field:<22} = {_hcl.literal(value)}\n" for field, value in tie_of(resource).items()]
        blocks[address_of(resource)] = f'\nresource "{resource["type"]}" "{resource["name"]}" {{\n{"".join(lines)}}}\n'
    return (
        f"# {HEAD}\n"
        "# Older versions of the provider can't import an aws_lb_target_group_attachment, and none can import an\n"
        "# aws_autoscaling_attachment. Add these, unless your code says the same otherwise (target_group_arns of a\n"
        "# group). That they are there already does no harm: attaching again changes nothing.\n"
    ) + "".join(blocks.values())


def tie_of(resource: Object) -> dict[str, str]:
    """Its fields. Raises Refusal bad_option."""
    what, _comma, arn = resource["id"].rpartition(",")
    if not what or not arn.startswith("arn:"):
        raise Refusal(
            "bad_option", f"resources: {resource['type']} {resource['name']}: found id {resource['id']!r}, expected"
            f" {TIES[resource['type']][0].upper()},TARGET GROUP'S ARN.",
        )  # fmt: skip
    return dict(zip(TIES[resource["type"]], (what, arn)))


def address_of(resource: Object) -> str:
    """Its address in Terraform. Raises Refusal bad_option."""
    to = ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"])))
    if not _ADDRESS.fullmatch(to) or not str(resource["id"]).strip():
        raise Refusal(
            "bad_option", f"resources: found {to!r} with id {resource['id']!r}, expected an address such as"
            " aws_lb_target_group.public_https, and an id.",
        )  # fmt: skip
    return to


def _listener(entry: Object) -> str:
    rule = entry["kind"] == "aws_lb_listener_rule"
    name = _checked(entry["name"], _hcl.NAME, entry, "a name of a resource")
    groups = "".join(
        f"      target_group {{\n        arn    = {_reference(entry, target['name'])}\n"
        f"        weight = {target['weight']}\n      }}\n"
        for target in entry["targets"]
    )
    action = "action" if rule else "default_action"
    return (
        f'resource "{entry["kind"]}" "{name}" {{\n  {action} {{\n    type = "forward"\n    forward {{\n{groups}'
        "    }\n  }\n}\n"
    )


def _reference(entry: Object, target: str) -> str:
    """An ARN in quotes, or an address as it is."""
    return _hcl.literal(target) if target.startswith("arn:") else _checked(target, _ADDRESS, entry, "an ARN or address")


def _haproxy(entry: Object) -> str:
    lines = "".join(
        f"    server {_checked(target['name'], _WORD, entry, 'a server')}"
        f" {target.get('address') or 'ADDRESS'} weight {target['weight']}\n"
        for target in entry["targets"]
    )
    return f"backend {entry['name']}\n{lines}"


def _zone(entry: Object) -> str:
    """Records have no weights: what has none is left out."""
    return "".join(
        f"{entry['name'].rstrip('.')}. {_ttl(entry)} IN {entry.get('record_type') or 'A'} {target['name']}\n"
        for target in entry["targets"]
        if target["weight"]
    )


def _route53(entry: Object) -> str:
    return "".join(_record_set(entry, number, target) for number, target in enumerate(entry["targets"]))


def _record_set(entry: Object, number: int, target: Object) -> str:
    colour = target.get("colour") or str(number)
    name = record_name(entry["name"], "" if entry.get("simple") else colour)
    fields = {
        "name": entry["name"], "type": entry.get("record_type") or "A", "ttl": _ttl(entry),
        "zone_id": entry.get("zone") or "ZONE_ID", "set_identifier": target.get("set_identifier") or colour,
        "health_check_id": target.get("health_check"),
    }  # fmt: skip
    left_out = {"ttl"} if target.get("alias_zone") else set()
    left_out |= {"set_identifier"} if entry.get("simple") else set()
    lines = "".join(
        f"  {key:<15} = {_hcl.literal(value)}\n"
        for key, value in fields.items()
        if value is not None and key not in left_out
    )
    if target.get("alias_zone"):
        health = "true" if target.get("alias_health") else "false"
        lines += (
            f"  alias {{\n    name                   = {_hcl.literal(target['name'])}\n"
            f"    zone_id                = {_hcl.literal(target['alias_zone'])}\n"
            f"    evaluate_target_health = {health}\n  }}\n"
        )
    else:
        records = ", ".join(map(_hcl.literal, target["name"].split()))
        lines += f"  records         = [{records}]\n"
    if not entry.get("simple"):
        lines += f"  weighted_routing_policy {{\n    weight = {target['weight']}\n  }}\n"
    return f'resource "aws_route53_record" "{name}" {{\n{lines}}}\n'


def record_name(host: str, colour: str) -> str:
    """How a record set is called in HCL; one of two by its colour."""
    name = re.sub(r"\W+", "_", "_".join(filter(None, (host.replace("*", "any"), colour)))).strip("_")
    return f"_{name}" if name[0].isdigit() else name


def _ttl(entry: Object) -> int:
    return entry.get("ttl") or 300


def _checked(text: str, pattern: re.Pattern[str], entry: Object, expected: str) -> str:
    if not pattern.fullmatch(text):
        raise Refusal("bad_option", f"weights: {entry['kind']} {entry['name']}: found {text!r}, expected {expected}.")
    return text


_TERRAFORM = f"# {HEAD}\n# What to take over into the resources that are there already: not files to add.\n"
SNIPPETS: dict[str, tuple[str, str, t.Callable[[Object], str]]] = {
    "aws_lb_listener": ("snippets/listeners.tf", _TERRAFORM, _listener),
    "aws_lb_listener_rule": ("snippets/listeners.tf", _TERRAFORM, _listener),
    "haproxy": (
        "snippets/haproxy.cfg",
        f"# {HEAD}\n# The weights of these servers. A reload sets what is in the file; other words stay.\n",
        _haproxy,
    ),
    "route53": ("snippets/route53.tf", _TERRAFORM, _route53),
    "dns": ("snippets/zone", f"; {HEAD}\n; The records of the zone, in the words of a zone file.\n", _zone),
}


# -- a repository ----------------------------------------------------------------------------------------------------
def find_env(repo: str, given: str | None = None) -> Path:
    """The env.hcl to edit. Raises Refusal: not_found, ambiguous, bad_option."""
    root = Path(repo).resolve()
    if not root.is_dir():
        raise Refusal("not_found", f"repo: {repo}: found no folder, expected a copy of the infrastructure code.")
    if given:
        path = (root / given).resolve()
        if not path.is_relative_to(root):
            raise Refusal("bad_option", f"env_file: {given} leads out of {root}; expected a path in it.")
        if not path.is_file():
            raise Refusal("not_found", f"env_file: {path}: found no file. Say which one it is.")
        return path
    found = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(set(names) - SKIPPED)
        path = Path(folder, ENV_FILE)
        if ENV_FILE in files and not path.is_symlink():
            found.append(path)
    holding = [path for path in found if re.search(rf"\b{_hcl.INPUTS}\b", _read(path))]
    if len(holding) != 1:
        which = ", ".join(str(path.relative_to(root)) for path in holding)
        raise Refusal(
            "ambiguous" if holding else "not_found",
            f"repo: {root}: found {len(holding)} {ENV_FILE} with {_hcl.INPUTS}{f' ({which})' if which else ''},"
            " expected one. Say which in env_file.",
        )
    return holding[0]


def hand_over(
    files: t.Mapping[str, str], dest: str, repo: str | None, env_file: str | None, values: t.Mapping[str, _hcl.Value],
    apply: bool, check_mode: bool,
) -> Object:  # fmt: skip
    """What the module returns. Everything is read and refused before anything is written."""
    after = dict(files)
    edited: Object = {"env_file": None, "edits": []}
    write: dict[Path, str] = {}
    shown = []
    if repo:
        path = find_env(repo, env_file)
        old = _read(path)
        new, changes = _hcl.edit(old, values, str(path))
        name = path.relative_to(Path(repo).resolve()).as_posix()
        edited = {"env_file": str(path), "edits": [change._asdict() for change in changes]}
        if new != old and apply:
            write[path] = new
            shown.append({"before_header": str(path), "after_header": str(path), "before": old, "after": new})
        elif new != old:
            after[DIFF] = unified(name, old, new)
    for name, text in after.items():
        path = Path(dest, name)
        old = _read(path) if path.exists() else None
        if old != text:
            write[path] = text
            shown.append({"before_header": name, "after_header": name, "before": old or "", "after": text})
    stale = Path(dest, DIFF)  # of an earlier run, and done by now: applying it again would fail
    if DIFF in after or not stale.exists():
        stale = None
    else:
        shown.append({"before_header": DIFF, "after_header": DIFF, "before": _read(stale), "after": ""})
    if not check_mode:
        for path, text in write.items():
            _replace(path, text)
        if stale:
            stale.unlink()
    return {
        "changed": bool(write or stale), "files": sorted(after), "diff": shown, **edited,
        "pending": bool(edited["edits"]) and not apply,
    }  # fmt: skip


def unified(name: str, old: str, new: str) -> str:
    """As git apply takes it."""
    lines = difflib.unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Cut at line feeds only, as git does."""
    return re.findall(r"[^\n]*\n|[^\n]+$", text)


def _read(path: Path) -> str:
    """With its line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeError) as exc:
        raise Refusal("unreadable", f"{path} can't be read: {exc}. Mend it or move it away.") from exc


def _replace(path: Path, text: str) -> None:
    """As a whole or not at all, with the mode that the file has."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("utf-8"))
            if path.exists():
                shutil.copymode(path, temporary)
            else:
                os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        raise Refusal("unwritable", f"{path} can't be written: {exc}. Choose another folder.") from exc
