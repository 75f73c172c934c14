# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/rbac allows, held against what modules ask of the API server in any unit test.

run_module() asks check() after each run: every phase whose role uses the module must have, in the files that
docs/permissions.md names for it, the verb for each request that was made. So a module that learns to read or write
something more fails its own tests until the permissions that are shipped have it.
"""

from __future__ import annotations

import functools
import re
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
JOURNEYS = list(yaml.safe_load((ROOT / "roles/mesh/vars/main.yml").read_text(encoding="utf-8"))["_mesh_journeys"])
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Kinds that tests invent, and owners of a VirtualService, which are of any kind.
FOREIGN = re.compile(r"(^|\.)(test|example\.com)$")
# What may be refused: (module, verb, resource). Modules go on without it, and their tests of that say so.
SPARED = {
    # A dry run; without it the guard is not asked of these.
    ("resource_keep", "delete", "namespaces"),
    ("resource_keep", "delete", "istiooperators"),
}
# What a phase's settings have no way to ask a module for, or what it says that it goes on without: (phase, module, verb,
# resource).
NEVER = {
    *(("preflight", "traffic_idle_info", "get", resource) for resource in ("services", "pods/proxy")),  # idleness.yml
    ("canary", "traffic_gate_info", "get", "pods/proxy"),  # its sources are the probe and Prometheus
    ("cutover", "gateway_ready_info", "create", "localsubjectaccessreviews"),  # it asks for pods, and not for Gateways
    # Preflight and keep convert with apply: false.
    *(
        (phase, "ingress_convert", verb, resource)
        for phase in ("preflight", "keep")
        for verb in ("get", "create", "update", "delete")
        for resource in (
            "gateways", "virtualservices", "destinationrules", "authorizationpolicies", "certificates", "configmaps",
        )
    ),
}
ANY = "*"
# They change what only whoever gave the options may change: any kind of object.
ANY_KIND = {"resource_archive"}


class Use(t.NamedTuple):
    """How a phase uses a module. state: that option, ANY where it is a variable; sets: whether it gives green_percent,
    without which balancers are only read; check: only in check mode; journey: in which alone, if not the one between
    gateways, which has no permissions of its own."""

    phase: str
    state: str
    sets: bool
    check: bool
    journey: str = ""


def rules(name: str) -> list[dict[str, t.Any]]:
    return yaml.safe_load((ROOT / f"docs/rbac/{name}.yml").read_text(encoding="utf-8"))["rules"]


@functools.lru_cache(maxsize=None)
def files() -> dict[str, dict[str, list[str]]]:
    """Phase -> journey -> the files that docs/permissions.md names for it; every one where it says 'those of'. Those for
    all journeys are by an empty name."""
    every = sorted(path.stem for path in (ROOT / "docs/rbac").glob("*.yml"))
    found: dict[str, dict[str, list[str]]] = {}
    for row in (ROOT / "docs/permissions.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        if row.startswith("| `") and len(cells) == 5:
            named: dict[str, list[str]] = {"": every if cells[2].startswith("those of") else ["journal"]}
            for clause in cells[2].split(";"):
                journey = re.search(r"`mesh_journey: (\w+)`", clause)
                named.setdefault(journey[1] if journey else "", []).extend(re.findall(r"(\w+)\.yml", clause))
            for phase in re.findall(r"`(\w+)(?:\.yml)?`", cells[1]):  # a tag, or a playbook of its own
                found[phase] = named
    return found


@functools.lru_cache(maxsize=None)
def given(name: str, verb: str, group: str, resource: str) -> bool:
    return any(
        group in rule["apiGroups"] and verb in rule["verbs"] and {"*", resource} & set(rule["resources"])
        for rule in rules(name)
    )


def allowed(phase: str, verb: str, group: str, resource: str, journey: str = "") -> bool:
    # With Jobs, which the row of a phase leaves to the text below the table.
    names = {*files()[phase][""], *files()[phase].get(journey, ()), "job"}
    return any(given(name, verb, group, resource) for name in names)


# -- who uses what -----------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=None)
def uses() -> dict[str, set[Use]]:
    """Module -> how the phases use it, by the tasks of their roles and all that these include."""
    found: dict[str, set[Use]] = {}
    for phase in files():
        main = ROOT / "roles" / phase / "tasks/main.yml"
        if main.exists():  # a playbook may have no role
            _follow(main, phase, "", False, set(), found)
    return found


def _follow(
    path: Path, phase: str, journey: str, check: bool, seen: set[tuple[Path, str, bool]], found: dict[str, set[Use]]
) -> None:  # fmt: skip
    if path.stem in JOURNEYS:
        mine = path.stem if path.stem != JOURNEYS[0] else ""
        if journey and mine != journey:
            return  # one journey does not come to the tasks of another
        journey = mine
    if (path, journey, check) in seen:
        return
    seen.add((path, journey, check))
    # A balancer is called tasks, too.
    role = [parent.parent for parent in path.parents if parent.name == "tasks"][-1]
    for task in _tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        reads = check or task.get("check_mode") is True
        for key, value in task.items():
            word = key.rpartition(".")[2]
            if word in ("include_role", "import_role") and "{{" in value["name"]:
                included = []  # plan, which asks every phase and has the files of all
            elif word in ("include_role", "import_role"):
                other = ROOT / "roles" / value["name"].rpartition(".")[2]
                included = _matching(other, other / "tasks", value.get("tasks_from", "main.yml"))
            elif word in ("include_tasks", "import_tasks"):
                included = _matching(role, path.parent, value if isinstance(value, str) else value["file"])
            else:
                included = []
            for one in included:
                _follow(one, phase, journey, reads, seen, found)
            if key.startswith("bluegreen.mesh."):
                options = value or {}
                state = str(options.get("state") or default_state(word))
                use = Use(phase, ANY if "{{" in state else state, "green_percent" in options, reads, journey)
                found.setdefault(word, set()).add(use)


@functools.lru_cache(maxsize=None)
def default_state(module: str) -> str:
    """What a module that has states does without one."""
    text = (ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8")
    options = yaml.safe_load(text.split('DOCUMENTATION = r"""')[1].split('"""')[0]).get("options") or {}
    return str((options.get("state") or {}).get("default") or "")


def _matching(role: Path, here: Path, name: str) -> list[Path]:
    """Files of tasks that a name may mean; what is a variable in it stands for anything."""
    name = name.replace("{{ role_path }}/tasks/", "")
    if re.fullmatch(r"{{.*}}", name):
        return []  # the user's own tasks
    journeys = JOURNEYS if "{{ mesh_journey }}" in name else [""]
    patterns = {re.sub(r"{{.*?}}", "*", name.replace("{{ mesh_journey }}", journey)) for journey in journeys}
    found = sorted({path for one in patterns for path in (*here.glob(one), *(role / "tasks").glob(one))})
    assert found, f"{here}: {name} leads nowhere"
    return found


def _tasks(items: t.Any) -> t.Iterator[dict[str, t.Any]]:
    for item in items or ():
        yield item
        for part in ("block", "rescue", "always"):
            yield from _tasks(item.get(part))


# -- the check ---------------------------------------------------------------------------------------------------------
def lacking(
    module: str, params: dict[str, t.Any], check: bool, asked: t.Iterable[tuple[str, str, str]]
) -> list[str]:  # fmt: skip
    """What phases may not ask for, in words. asked: (verb, group, resource) of the requests of one run. A run counts for
    the phases whose tasks may come to it."""
    wanted = {
        item for item in asked if not FOREIGN.search(item[1]) and (module, item[0], item[2]) not in SPARED
    }  # fmt: skip
    if module in ANY_KIND:
        return []
    state = str(params.get("state") or (default_state(module) if wanted else ""))
    found = set()
    for use in uses().get(module, ()):
        if use.state not in (ANY, state) or (use.check and not check):
            continue
        if params.get("green_percent") is not None and not use.sets:
            continue
        for verb, group, resource in wanted:
            if (use.phase, module, verb, resource) not in NEVER and not allowed(use.phase, verb, group, resource, use.journey):
                found.add(f"phase {use.phase} may not {verb} {resource}.{group}".rstrip("."))
    return sorted(found)
