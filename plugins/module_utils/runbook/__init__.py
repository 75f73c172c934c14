# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual way back, for when Ansible is not at hand: kubectl and balancer commands with this cluster's names.

A step of the journal is undone by a module. For each such module there is one file here, called as it is, with one
function, commands(step, params, book), which says the same as shell commands. To add one: a file, and its name in both
lists below. The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from .._journal import PHASES
from . import (
    _clients,
    bigbang_values,
    binding_policy,
    canary_routes,
    dns_records,
    elb_host_rule,
    elb_listener_weights,
    elb_target_group_twin,
    gateway_clone,
    gateway_namespace,
    gateway_preview,
    gateway_selector,
    gateway_twin,
    git_commit,
    haproxy_weights,
    helm,
    ingress_convert,
    mesh_wave,
    object_edits,
    policy_twin,
    replicas_pin,
    resource_archive,
    resource_keep,
    route53_weights,
    service_endpoints,
    service_node_ports,
    tasks,
    virtual_service_gateways,
)
from ._command import Book, Command

RENDERED = {
    "bigbang_values": bigbang_values,
    "binding_policy": binding_policy,
    "canary_routes": canary_routes,
    "dns_records": dns_records,
    "elb_host_rule": elb_host_rule,
    "elb_listener_weights": elb_listener_weights,
    "elb_target_group_twin": elb_target_group_twin,
    "gateway_clone": gateway_clone,
    "gateway_namespace": gateway_namespace,
    "gateway_preview": gateway_preview,
    "gateway_selector": gateway_selector,
    "gateway_twin": gateway_twin,
    "git_commit": git_commit,
    "haproxy_weights": haproxy_weights,
    "helm": helm,
    "ingress_convert": ingress_convert,
    "mesh_wave": mesh_wave,
    "object_edits": object_edits,
    "policy_twin": policy_twin,
    "replicas_pin": replicas_pin,
    "resource_archive": resource_archive,
    "resource_keep": resource_keep,
    "route53_weights": route53_weights,
    "service_endpoints": service_endpoints,
    "service_node_ports": service_node_ports,
    "tasks": tasks,
    "virtual_service_gateways": virtual_service_gateways,
}
# By mesh_balancer.type. Such a file also says how all traffic goes back to blue, all_to_blue(servers), and how to look at
# the shares in force, show(servers).
BALANCERS = {
    "aws_alb": elb_listener_weights, "aws_nlb": elb_listener_weights, "dns": dns_records, "haproxy": haproxy_weights,
    "route53": route53_weights, "service": service_endpoints, "tasks": tasks,
}  # fmt: skip
# What green's open connections need, as roles/rollback/vars/main.yml has it: undone when they have gone.
CARRYING = ("elb_listener_weights", "elb_host_rule", "elb_target_group_twin", "replicas_pin")
TITLES = {
    "cleanup": "Make blue again (undo of cleanup)",
    "unbind": "Let blue serve the routes that were taken from it (undo of unbind)",
    "cutover": "Set the weights as they were before the cutover (undo of cutover)",
    "carrying": "Take away what green's connections needed (undo of cutover)",
    "deploy": "Remove green (undo of deploy)",
    "bind": "Take green out of the routes again (undo of bind)",
    "keep": "Remove the guard and let go of what was kept (undo of keep)",
}
Section = dict[str, t.Any]


def sections(
    book: Book,
    phases: dict[str, t.Any],
    undo: list[dict[str, t.Any]],
    servers: list[dict[str, t.Any]],
    balancer: str = "haproxy",
    green: t.Sequence[str] = (),
) -> list[Section]:
    """What to do, in the order in which it is done. undo: steps in force, newest first, each with its inverse. servers:
    what the balancer's module returned as `backends`; balancer: mesh_balancer.type; green: NAMESPACE/SERVICE of each
    workload."""
    traffic = BALANCERS.get(balancer)
    found = [
        _section("where", "Where are we?", where(book) + (traffic.show(servers) if traffic else [])),
        _section("traffic", "All traffic back to blue", traffic.all_to_blue(servers) if traffic else []),
    ]
    by_phase: dict[str, list[dict[str, t.Any]]] = {}
    for step in undo:
        by_phase.setdefault(step["phase"], []).append(step)
    for phase in reversed(PHASES):
        if phase in by_phase:
            do = before_clients if phase == "cutover" else of_step
            commands = [command for step in by_phase[phase] for command in do(step, book)]
            found.append(_section(phase, TITLES.get(phase, f"Undo {phase}"), commands))
        if phase == "cutover" and phase in phases:
            found.append(_section("clients", "Wait until nobody uses green", _clients.wait(green)))
            carrying = [step for step in by_phase.get(phase, []) if step["inverse"]["module"] in CARRYING]
            if carrying:
                commands = [command for step in carrying for command in of_step(step, book)]
                found.append(_section("carrying", TITLES["carrying"], commands))
    # Traffic must not go to a blue that is not there, or does not serve the routes.
    for phase in ("unbind", "cleanup"):
        if phase in by_phase:
            found.insert(1, found.pop([section["name"] for section in found].index(phase)))
    return found


def _section(name: str, title: str, commands: list[Command]) -> Section:
    return {"name": name, "title": title, "commands": [{"what": c.what, "run": c.run} for c in commands]}


def before_clients(step: dict[str, t.Any], book: Book) -> list[Command]:
    """What of the cutover is undone while green's connections are open still."""
    inverse = step["inverse"]
    if inverse["module"] not in CARRYING:
        return of_step(step, book)
    return elb_listener_weights.blue_first(inverse["params"]) if inverse["module"] == "elb_listener_weights" else []


def of_step(step: dict[str, t.Any], book: Book) -> list[Command]:
    inverse = step["inverse"]
    if inverse["params"] is None:
        where_kept = f"Secret {book.namespace}/{step['backup']}"
        return [Command(f"{step['op']} {step['key']}: how to undo it is secret and in {where_kept}", ":")]
    return RENDERED[inverse["module"]].commands(step, inverse["params"], book)


def where(book: Book) -> list[Command]:
    name, namespace = shlex.quote(book.migration), shlex.quote(book.namespace)
    return [
        Command(
            "phases and the run that has the journal",
            f"k -n {namespace} get configmap {name} -o json | jq '.data | (.phases, .run) | fromjson'",
        ),
        Command(
            "steps that are in force, oldest first",
            f"k -n {namespace} get configmap {name} -o json | jq -r '.data.steps | fromjson | .[] |"
            ' select(.state != "undone") | [.phase, .op, .key, .state] | join(" ")\'',
        ),
        Command("which Gateways there are", "k get gateways.networking.istio.io -A"),
    ]


def preamble(kubeconfig: str, context: str) -> str:
    """Two shell functions: kubectl and helm for this one cluster."""
    file, name = shlex.quote(kubeconfig), shlex.quote(context)
    return (
        f'k() {{ kubectl --kubeconfig={file} --context={name} "$@"; }}\n'
        f'h() {{ helm --kubeconfig={file} --kube-context={name} "$@"; }}'
    )


def render(report: dict[str, t.Any]) -> str:
    """The report as text: a runbook that can be read, and run piece by piece in a shell."""
    lines = [
        f"# Runbook of migration {report['migration']}, cluster {report['context']} (kube-system {report['cluster']})",
        f"# made {report['made_at']}. Needs kubectl, jq, socat and a POSIX shell. Run a section as a whole, in this order.",
        "# What a command does stands above it. Nothing here is fenced: make sure that no run of Ansible is active.",
        "",
        "# Phases: " + (", ".join(f"{name} {phase['state']}" for name, phase in report["phases"].items()) or "none"),
        f"# Last run: {json.dumps(report['run'], sort_keys=True)}",
    ]
    if report["point_of_no_return"]:
        lines.append(f"# The point of no return is passed: {report['point_of_no_return']}")
    lines += ["", report["preamble"], ""]
    for number, section in enumerate(report["sections"], 1):
        lines += [f"# {number}. {section['title']}", "#" + "-" * 100]
        if not section["commands"]:
            lines.append("# nothing to do")
        for command in section["commands"]:
            lines += [f"# {line}" for line in command["what"].splitlines()]
            lines += [command["run"], ""]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
