# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration will do: collected from what modules say in check mode, put in order, rendered, and compared.

While a plan is made, _module.run() writes what a module would change as one line of JSON into the file that PLAN_FILE
names. So whatever a phase calls is in the plan, and the plan says what the phase itself would do.

A change is {"object", "field", "before", "after"}; field is "" where the object as a whole appears or disappears.
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
import typing as t

from ._module import Refusal

FORMAT = 1  # of the JSON file
# What these write is no change of the cluster's.
UNSEEN = frozenset({"git_commit", "infrastructure_files", "manifest_files", "migration_journal", "override_files"})
# Settings that say how a run is made, not what it does to the cluster.
RUN_ONLY = frozenset(
    {
        "mesh_kubeconfig", "mesh_hosts", "mesh_takeover", "mesh_plan", "mesh_plan_dir", "mesh_rollback_to", "mesh_ticket",
        "mesh_operator", "mesh_journal_backup_dir", "mesh_journal_restore",
        "mesh_journal_restore_older", "mesh_report_dir", "mesh_abort_timeout",
        "mesh_rollback_wait", "mesh_cut_connections",
        "mesh_traffic", "mesh_verify", "mesh_verify_max_age", "mesh_samples", "mesh_access_logs.text",
        "mesh_keep_backup_dir",
        "mesh_overrides_dir", "mesh_cutover_to", "mesh_watchdog", "mesh_balancer.handed_over",
        "mesh_balancer.unattended",
        "mesh_infrastructure", "mesh_gitops",
    }
)  # fmt: skip
MOVING = frozenset({"bluegreen.mesh/source-version"})  # a copy's note of its source's resourceVersion
EXISTS = {"exists": True}  # before or after, where it only matters that an object appears or disappears
# Settings in which people put secrets.
DIGESTED = re.compile(r"(values|token|password|secret|authorization|headers?|key)$", re.IGNORECASE)
# What a phase does beside the changes that it can name beforehand.
BESIDES = {
    "cleanup": "Besides, it takes off what the migration itself has put on: marks and the deletion guard, autoscalers'"
    " raised minimum, a balancer's temporary rules, a lowered TTL."
}
QUIET = {
    "preflight": "changes nothing",
    "verify": "changes nothing: probes every route on every node of both sides and compares the answers",
    "soak": "changes nothing but with mesh_cut_connections: waits until blue is measured idle",
}
# What is found there before these is for others to change meanwhile: sources have to name green before unbind. Only what
# they lead to counts.
BY_THEIR_ENDS = frozenset({"unbind"})
NOT_PLANNED = {"unknown": "it is not in the plan", "refused": "", "changes": []}
Change = dict[str, t.Any]
Plan = dict[str, t.Any]


# -- changes ---------------------------------------------------------------------------------------------------------
def changes_of(module: str, params: dict[str, t.Any], diff: dict[str, t.Any]) -> list[Change]:
    """The changes in a module's diff. Its keys are objects, unless the module's shape is known to be another one."""
    before, after = (named(module, params, settled(diff.get(side) or {})) for side in ("before", "after"))
    found = []
    for name in [*before, *(name for name in after if name not in before)]:
        sides = [None if side.get(name) == {} else side.get(name) for side in (before, after)]
        found += leaves(name, "", *sides)
    return found


def settled(value: t.Any) -> t.Any:
    """value without what any write of an earlier phase moves, and so can't be known yet."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if key not in MOVING}
    return [settled(item) for item in value] if isinstance(value, list) else value


def named(module: str, params: dict[str, t.Any], side: dict[str, t.Any]) -> dict[str, t.Any]:
    """One side of a diff as {object: content}."""
    if module == "virtual_service_gateways":
        return {name if " " in name else f"VirtualService {name}": content for name, content in side.items()}
    if module == "binding_policy":  # the rule says it all; how it is put is only for machines
        return {name: {"rule": content["rule"]} for name, content in side.items()}
    if module == "service_node_ports":
        return {f"Service {params['namespace']}/{params['name']}": side}
    if module == "resource_keep":
        found: dict[str, t.Any] = {}
        for name, content in side.items():
            if not isinstance(content, dict):  # OBJECT: FIELD
                at, _colon, field = name.partition(": ")
                found.setdefault(at, {})[field] = content
            elif "(Helm release" in name or name.startswith("ValidatingAdmissionPolicy "):
                found[name] = content
            else:  # annotations and labels
                found.setdefault(name, {})["metadata"] = content
        return found
    if module == "haproxy_weights":
        return {f"HAProxy {instance}": content for instance, content in side.items()}
    return side


def leaves(name: str, field: str, before: t.Any, after: t.Any) -> list[Change]:
    """Every field that differs. What is only on one side is shown whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            change
            for key in keys
            for change in leaves(name, f"{field}.{key}" if field else str(key), before.get(key), after.get(key))
        ]
    if before == after:
        return []
    return [{"object": name, "field": field, "before": before, "after": after}]


def digest_unless(value: t.Any, shown: t.Any) -> t.Any:
    """value, with every leaf that `shown` does not have at the same place replaced by a digest."""
    if isinstance(value, dict):
        within = shown if isinstance(shown, dict) else {}
        return {key: digest_unless(item, within.get(key)) for key, item in value.items()}
    return value if shown is not None else digest(value)


def digest(value: t.Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:16]


# -- a plan ----------------------------------------------------------------------------------------------------------
def build(
    header: dict[str, t.Any], phases: list[dict[str, t.Any]], findings: list[Change], waived: list[Change],
    settings: dict[str, t.Any],
) -> Plan:  # fmt: skip
    """phases: [{"phase", "changes", "unknown", "refused"}] in their order.

    Each phase was asked what it would do now. What an earlier one will have done by then is not done again, and what it
    leaves behind is what the later one finds.
    """
    left: dict[tuple[str, str], t.Any] = {}
    ordered = []
    for phase in phases:
        changes = []
        for change in phase.get("changes") or []:
            at = (change["object"], change["field"])
            if at in left:
                if left[at] == change["after"]:
                    continue
                change = {**change, "before": left[at]}
            left[at] = change["after"]
            changes.append(change)
        ordered.append(
            {
                "phase": phase["phase"],
                "changes": changes,
                "unknown": phase.get("unknown") or "",
                "refused": phase.get("refused") or "",
            }
        )
    plan: Plan = {
        "format": FORMAT,
        **header,
        "settings": shown_settings(settings),
        "findings": [pick(finding) for finding in findings],
        "waived": [pick(finding) for finding in waived],
        "phases": ordered,
    }
    plan["digest"] = seal(plan)
    return plan


def pick(finding: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: finding.get(key, "") for key in ("code", "severity", "object", "field", "found", "fix")}


def seal(plan: Plan) -> str:
    """Digest of what a plan says, without when and by whom it was made."""
    said = {key: value for key, value in plan.items() if key not in ("digest", "made_at", "made_by", "ticket")}
    return "sha256:" + hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def shown_settings(settings: dict[str, t.Any]) -> dict[str, t.Any]:
    """The settings that decide what a migration does, flat, without secrets."""
    flat: dict[str, t.Any] = {}

    def walk(field: str, value: t.Any) -> None:
        if field in RUN_ONLY:
            return
        if DIGESTED.search(field):
            flat[field] = digest(value)
        elif isinstance(value, dict) and value:
            for key, item in value.items():
                walk(f"{field}.{key}", item)
        elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
            for number, item in enumerate(value):
                walk(f"{field}[{number}]", item)
        else:
            flat[field] = value

    for name in sorted(settings):
        walk(name, settings[name])
    return flat


def parse(text: str, path: str) -> Plan:
    """Raises Refusal: plan_unreadable, plan_edited."""
    try:
        plan = json.loads(text)
        known = plan["format"] == FORMAT and isinstance(plan["phases"], list) and isinstance(plan["settings"], dict)
    except (ValueError, KeyError, TypeError) as exc:
        raise Refusal(
            "plan_unreadable", f"mesh_plan: {path} is not a plan in JSON ({type(exc).__name__}). Give the .json that"
            " -t plan wrote."
        ) from exc  # fmt: skip
    if not known:
        raise Refusal("plan_unreadable", f"mesh_plan: {path} is of another format. Make the plan again with -t plan.")
    if plan.get("digest") != seal(plan):
        raise Refusal(
            "plan_edited",
            f"mesh_plan: {path} says digest {plan.get('digest')}, and its content has {seal(plan)}: it was edited after"
            " it was made. Make the plan again, and have that one approved.",
        )
    return plan


# -- approved and now ------------------------------------------------------------------------------------------------
def compare(approved: Plan, now: Plan, begun: t.Collection[str]) -> list[dict[str, t.Any]]:
    """Where the cluster has moved away from what was approved, for the phases that `now` has.

    Each is {"phase", "object", "field", "approved", "now"}. begun: phases that the journal has as begun or done; what is
    missing there was done by them. What a phase would do that was refused, or not known, when the plan was made has been
    seen by nobody, and so is not approved.
    """
    drift: list[dict[str, t.Any]] = []

    def moved(phase: str, name: str, field: str, was: t.Any, found: t.Any) -> None:
        drift.append({"phase": phase, "object": name, "field": field, "approved": was, "now": found})

    for key in sorted({*approved["settings"], *now["settings"]}):
        was, found = approved["settings"].get(key), now["settings"].get(key)
        if was != found:
            moved("settings", "setting", key, was, found)
    known = {(f["code"], f["object"], f["field"]) for f in [*approved["findings"], *approved["waived"]]}
    for finding in now["findings"]:
        if finding["severity"] == "error" and (finding["code"], finding["object"], finding["field"]) not in known:
            moved(
                "preflight", finding["object"], finding["field"], "no finding", f"{finding['code']}: {finding['found']}"
            )
    planned = {phase["phase"]: phase for phase in approved["phases"]}
    for phase in now["phases"]:
        then = planned.get(phase["phase"], NOT_PLANNED)
        whole = (phase["phase"], "the phase itself", "")
        if then["refused"]:
            moved(*whole, f"it would have refused: {then['refused']}", phase["refused"] or "it could run")
        elif phase["refused"]:
            moved(*whole, "it could run", phase["refused"])
        elif phase["unknown"]:
            continue
        elif then["unknown"] and phase["changes"]:
            moved(*whole, then["unknown"], f"it is known, and makes {len(phase['changes'])} changes")
        elif not then["unknown"]:
            _compare_phase(then, phase, phase["phase"] in begun, moved)
    return drift


def uncovered(approved: Plan, now: Plan) -> list[str]:
    """Phases of `now` of which the approved plan does not say what they do, and can't be compared yet either."""
    planned = {phase["phase"]: phase for phase in approved["phases"]}
    return [
        phase["phase"] for phase in now["phases"]
        if planned.get(phase["phase"], NOT_PLANNED)["unknown"] and phase["unknown"]
    ]  # fmt: skip


def _compare_phase(then: dict[str, t.Any], phase: dict[str, t.Any], begun: bool, moved: t.Callable[..., None]) -> None:
    name = phase["phase"]
    ends = name in BY_THEIR_ENDS
    wanted: dict[tuple[str, str], list[Change]] = {}
    for change in then["changes"]:
        wanted.setdefault((change["object"], change["field"]), []).append(change)
    met: set[tuple[str, str]] = set()
    for change in phase["changes"]:
        at = (change["object"], change["field"])
        same_end = [c for c in wanted.get(at, []) if c["after"] == change["after"]]
        met.add(at)
        if at not in wanted:
            moved(name, *at, "no change", {"from": change["before"], "to": change["after"]})
        elif not same_end:
            moved(name, *at, {"to": wanted[at][-1]["after"]}, {"to": change["after"]})
        elif change["before"] not in [c["before"] for c in same_end] and not ends:
            moved(name, *at, {"from": same_end[0]["before"]}, {"from": change["before"]})
    if not begun and not ends:
        for at in wanted.keys() - met:
            moved(name, *at, {"to": wanted[at][-1]["after"]}, "nothing to do: it is gone, or so already")


# -- as text ---------------------------------------------------------------------------------------------------------
def render(plan: Plan) -> str:
    """What a reviewer attaches to a change request."""
    lines = [
        f"Plan of migration {plan['migration']}",
        "",
        f"cluster        {plan['context']} (kube-system {plan['cluster']})",
        f"made           {plan['made_at']} by {plan['made_by']}"
        + (f", ticket {plan['ticket']}" if plan["ticket"] else ""),
        f"digest         {plan['digest']}",
        f"strategies     {plan['strategies']}",
        "",
        "Nothing was changed to make it. A later run with -e mesh_plan=FILE.json refuses to begin when the cluster or the",
        "settings have moved away from what is written here.",
        "",
        *_findings("FINDINGS", plan["findings"], "none"),
        *_findings("WAIVED FINDINGS", plan["waived"], "none"),
    ]
    for number, phase in enumerate(plan["phases"], 1):
        if phase["phase"] == "cleanup":
            lines += ["", "=" * 46 + " the way back " + "=" * 46]
            lines += [*wrap(plan["point_of_no_return"], ""), ""]
        lines += _phase(number, phase)
    return "\n".join(lines).rstrip() + "\n"


def _findings(title: str, found: list[dict[str, t.Any]], none: str) -> list[str]:
    lines = [title]
    for f in found:
        where = f" {f['field']}" if f["field"] else ""
        lines += wrap(f"{f['severity']} {f['code']}: {f['object']}{where}: {f['found']}. {f['fix']}", "  ")
    return [*lines, *([] if found else [f"  {none}"]), ""]


def _phase(number: int, phase: dict[str, t.Any]) -> list[str]:
    name, changes = phase["phase"], phase["changes"]
    lines = [f"{number}. {name}"]
    if phase["refused"]:
        lines += wrap(f"would refuse now: {phase['refused']}", "   ")
    if phase["unknown"]:
        lines += wrap(phase["unknown"], "   ")
    elif not changes and not phase["refused"]:
        lines.append(f"   {QUIET.get(name, 'nothing to do')}")
    seen = None
    for change in changes:
        if change["object"] != seen:
            seen = change["object"]
            lines.append(f"   {seen}")
        lines += _change(change)
    if changes and name in BESIDES:
        lines += wrap(BESIDES[name], "   ")
    return [*lines, ""]


def _change(change: Change) -> list[str]:
    field = change["field"] or "(the object)"
    if EXISTS in (change["before"], change["after"]):
        return ["     is made" if change["before"] is None else "     is deleted"]
    if change["before"] is None:
        return wrap(f"+ {field}: {plain(change['after'])}", "     ")
    if change["after"] is None:
        return wrap(f"- {field}: {plain(change['before'])}", "     ")
    return [
        *wrap(f"- {field}: {plain(change['before'])}", "     "),
        *wrap(f"+ {field}: {plain(change['after'])}", "     "),
    ]


def plain(value: t.Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, 118, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False
    )  # fmt: skip


def explain(drift: list[dict[str, t.Any]], limit: int = 20) -> str:
    """Drift in words."""
    told = [
        f"{d['phase']}: {d['object']}{' ' + d['field'] if d['field'] else ''}: approved {plain(d['approved'])}, now"
        f" {plain(d['now'])}"
        for d in drift[:limit]
    ]
    more = f"; and {len(drift) - limit} more (failure.drift has all)" if len(drift) > limit else ""
    return "; ".join(told) + more
