# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to agree between roles, playbooks, inventories and modules: settings, phases, and the ways to undo."""

from __future__ import annotations

import importlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager

from ansible_collections.bluegreen.mesh.plugins.module_utils import _journal

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
FILES = [*sorted(path for path in (ROOT / "roles").rglob("*") if path.suffix in (".yml", ".j2")), *PLAYBOOKS]
INVENTORIES = sorted((ROOT / "inventories").glob("*/hosts.yml"))
UNDO = sorted((ROOT / "roles" / "rollback" / "tasks").glob("undo_*.yml"))


def load(path: str | Path) -> t.Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


SCHEMA: dict[str, t.Any] = load("roles/mesh/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
MESH: dict[str, t.Any] = load("roles/mesh/vars/main.yml")
PHASES: list[str] = MESH["_mesh_phases"]
ASIDES: list[str] = MESH["_mesh_asides"]
JOURNEYS: dict[str, list[str]] = MESH["_mesh_journeys"]


def without_comments(path: Path) -> str:
    return re.sub(r"(?m)(^|\s)#.*$|\{#.*?#\}", "", path.read_text(encoding="utf-8"))


def used_in(path: Path) -> set[str]:
    """The settings that a file names. Names with a leading underscore are the roles' own; mesh_config is an option."""
    return set(re.findall(r"(?<![\w.])mesh_[a-z_]+", without_comments(path))) - {"mesh_findings_info", "mesh_config"}


def tasks_in(path: Path) -> t.Iterator[dict[str, t.Any]]:
    """Every task of a task file or playbook, those in blocks too."""
    pending = list(load(path) or [])
    while pending:
        task = pending.pop(0)
        yield task
        for block in ("tasks", "block", "rescue", "always"):
            pending[:0] = task.get(block) or []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_specified_and_says_what_it_does(role: str) -> None:
    main = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]
    assert main["short_description"] and main["description"]
    assert main["options"].keys() <= SCHEMA.keys()


# -- settings --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_setting_that_is_used_is_in_the_schema(path: Path) -> None:
    assert used_in(path) <= SCHEMA.keys()


def test_a_setting_in_the_schema_is_used_somewhere() -> None:
    beyond_the_schema = [path for path in FILES if path.name != "argument_specs.yml" and path.parent.name != "defaults"]
    assert SCHEMA.keys() - set().union(*map(used_in, beyond_the_schema)) == set()


def test_what_may_be_left_out_has_one_default() -> None:
    """Argument specs do not apply defaults: the role's own must be the documented ones. Without either, every use says
    what to do, or the phases that need it demand it."""
    documented = {name: option["default"] for name, option in SCHEMA.items() if "default" in option}
    applied = load("roles/mesh/defaults/main.yml")
    assert {name: value for name, value in applied.items() if value is not None} | {
        "mesh_hosts": documented["mesh_hosts"]
    } == documented
    assert "default('clusters')" in (ROOT / "playbooks" / "migrate.yml").read_text(encoding="utf-8")


# Suboptions have no defaults of their own: where one is used without a default, it must be required.
@pytest.mark.parametrize("name", sorted(name for name, o in SCHEMA.items() if o["type"] == "dict" and "options" in o))
def test_parts_of_a_setting_agree_with_their_use(name: str) -> None:
    parts = SCHEMA[name]["options"]
    text = "\n".join(without_comments(path) for path in FILES if path.name != "argument_specs.yml")
    uses = re.findall(rf"(?<!\w){name}\.(\w+)([^}}]*)", text)
    assert {part for part, _rest in uses} == parts.keys()
    for part, rest in uses:
        assert parts[part].get("required") or "default(" in rest, f"{name}.{part} may be missing"


# -- balancers -------------------------------------------------------------------------------------------------------
BALANCERS = {path.stem: load(path) for path in sorted((ROOT / "roles" / "cutover" / "meta" / "balancers").glob("*.yml"))}


def files_of(kind: str) -> list[Path]:
    """A balancer's task files, and those beside its folder that they include."""
    tasks = ROOT / "roles" / "cutover" / "tasks"
    found = sorted((tasks / kind).glob("*.yml"))
    for path in found:  # grows on the way
        named = re.findall(r"role_path \}\}/tasks/([\w/]+\.yml)", path.read_text(encoding="utf-8"))
        found += [tasks / name for name in named if tasks / name not in found]
    return found


FILES_OF = {kind: files_of(kind) for kind in BALANCERS}


@pytest.mark.parametrize("kind", BALANCERS)
def test_a_balancer_declares_what_it_moves_and_what_it_takes(kind: str) -> None:
    can = BALANCERS[kind]
    assert can.keys() == {"granularity", "options"}
    assert can["granularity"] in {"weights", "hosts", "all"}
    assert {"read.yml", "set.yml"} <= {path.name for path in FILES_OF[kind] if path.parent.name == kind}
    used = set()
    for path in FILES_OF[kind]:
        # What types share may name what only one of them takes, as long as the others can do without.
        sharing = [{"type": {"required": True}, **BALANCERS[other]["options"]}
                   for other in BALANCERS if path in FILES_OF[other]]  # fmt: skip
        for name, rest in re.findall(r"(?<!\w)mesh_balancer\.(\w+)([^}]*)", without_comments(path)):
            used.add(name)
            assert any(name in options for options in sharing), f"{path}: {name} is no option"
            needed = all(options.get(name, {}).get("required") for options in sharing)
            assert needed or "default(" in rest, f"{path}: {name} may be missing"
    assert can["options"].keys() <= used, "an option that nobody uses"


@pytest.mark.parametrize("kind", BALANCERS)
def test_a_balancer_has_a_page_with_its_settings(kind: str) -> None:
    page = (ROOT / "docs" / "balancers" / f"{kind}.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in BALANCERS[kind]["options"])
    assert f"| `{kind}` |" in (ROOT / "docs" / "balancers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / "inventories").rglob("*.yml")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_balancers_of_the_inventories_are_as_specified(path: Path) -> None:
    given = (load(path) or {}).get("mesh_balancer")
    if given:
        spec = {"type": {"type": "str", "required": True}, **BALANCERS[given["type"]]["options"]}
        assert not ArgumentSpecValidator(spec).validate(given).error_messages


# -- phases ----------------------------------------------------------------------------------------------------------
def test_phases_are_roles_and_tags_in_the_order_of_the_playbook() -> None:
    imports = [
        (task["ansible.builtin.import_role"], task.get("tags"))
        for task in tasks_in(ROOT / "playbooks" / "migrate.yml")
        if "ansible.builtin.import_role" in task
    ]
    assert [
        (role["name"].removeprefix("bluegreen.mesh."), tags) for role, tags in imports if "always" not in tags
    ] == [(phase, [phase]) for phase in PHASES] + [(aside, ["never", aside]) for aside in ASIDES]
    # With its validation on, an imported role's check would be tagged `always` and run whatever was asked for.
    assert all(role["rolespec_validate"] is False for role, _tags in imports)
    beside = {path.stem for path in PLAYBOOKS} & set(ROLES)  # with a playbook of their own
    assert set(ROLES) == {*PHASES, *ASIDES, *beside, "mesh"}


def test_the_journal_knows_the_phases_in_this_order() -> None:
    assert [phase for phase in _journal.PHASES if phase in PHASES] == PHASES


def test_every_journey_has_a_task_file_wherever_one_has() -> None:
    assert list(JOURNEYS) == SCHEMA["mesh_journey"]["choices"]
    assert {name for names in JOURNEYS.values() for name in names} <= SCHEMA.keys()
    folders = {path.parent for path in (ROOT / "roles").glob("*/tasks/**/gateway.yml")}
    assert {folder.parent.name for folder in folders if folder.name == "tasks"} == {*PHASES} - {"cutover"}
    for folder in folders:
        there = {path.stem for path in folder.glob("*.yml")}
        assert JOURNEYS.keys() <= there, folder


def test_each_phase_stands_on_the_one_before_it() -> None:
    assert list(MESH["_mesh_needs"]) == PHASES
    assert MESH["_mesh_needs"] == {phase: PHASES[max(i - 1, 0) : i] for i, phase in enumerate(PHASES)}


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_enters_and_leaves_under_its_own_name(phase: str) -> None:
    files = {}
    for task in tasks_in(ROOT / "roles" / phase / "tasks" / "main.yml"):
        role = task.get("ansible.builtin.include_role", {})
        if role.get("name") == "bluegreen.mesh.mesh" and role["tasks_from"] in ("enter.yml", "leave.yml"):
            files[role["tasks_from"]] = task["vars"]["_mesh_phase_name"]
    assert files == {"enter.yml": phase, "leave.yml": phase}


@pytest.mark.parametrize("path", [p for p in FILES if "tasks" in p.parts], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_that_writes_is_given_the_journal_of_its_phase(path: Path) -> None:
    """A call without it would not be fenced, and could not be rolled back."""
    for task in tasks_in(path):
        for name, options in task.items():
            module = name.removeprefix("bluegreen.mesh.")
            if module == name or module not in RECORDING or task.get("check_mode") or not writes(module, options):
                continue
            said = re.search(r"'phase': (?:'(\w+)'|_mesh_commit\.phase)|rollback_ref", str(options.get("journal")))
            assert said, f"{task['name']}: {module} without journal"
            assert not said[1] or said[1] in [*PHASES, _journal.ROLLBACK]  # fenced, and never undone


def writes(module: str, options: dict[str, t.Any]) -> bool:
    reading = {
        "elb_listener_weights": {"green_percent", "weights"},
        "haproxy_weights": {"green_percent", "weights"},
        "dns_records": {"green_percent", "max_ttl", "records"},
        "route53_weights": {"green_percent", "max_ttl", "records"},
        "service_endpoints": {"green_percent", "state"},
    }
    if module == "canary_routes":
        return options["state"] != "read"
    return module not in reading or bool(reading[module] & options.keys())


def test_findings_are_looked_for_with_the_same_settings_wherever_that_is() -> None:
    """One that is left out where it is looked again lets a trap through that preflight would have named."""
    given = {
        str(path.relative_to(ROOT)): task["bluegreen.mesh.mesh_findings_info"].keys()
        for path in FILES if "tasks" in path.parts
        for task in tasks_in(path) if "bluegreen.mesh.mesh_findings_info" in task
    }  # fmt: skip
    first = given["roles/preflight/tasks/gateway.yml"] - {"binding"}  # what binding would harm is asked before it alone
    assert len(given) > 1 and {path: names - {"binding"} for path, names in given.items()} == dict.fromkeys(given, first)


def test_a_role_asks_for_check_mode_by_our_own_word() -> None:
    """While a plan is made, every module runs in check mode, and ansible_check_mode does not say so: _mesh_check does."""
    asking = [path for path in FILES if re.search(r"\bansible_check_mode\b", without_comments(path))]
    assert {path.relative_to(ROOT).parts[1] for path in asking} == {"mesh"}, "say _mesh_check"


def test_every_way_to_deploy_is_a_folder_a_choice_and_says_what_it_needs() -> None:
    folders = {path.parent.name for path in (ROOT / "roles" / "deploy" / "tasks").glob("*/deploy.yml")}
    workload = SCHEMA["mesh_workloads"]["options"]["method"]["choices"]
    assert folders == set(SCHEMA["mesh_deploy_method"]["choices"]) == set(workload) == MESH["_mesh_methods"].keys()
    assert set().union(*MESH["_mesh_methods"].values()) <= SCHEMA.keys()


@pytest.mark.parametrize("journey", ["gateway", "ingress_to_istio"])
def test_deploy_looks_for_node_ports_that_others_have_before_anything_else(journey: str) -> None:
    first = next(task for task in tasks_in(ROOT / f"roles/deploy/tasks/{journey}.yml") if "block" not in task)
    assert first["ansible.builtin.include_tasks"] == "free_ports.yml" and "when" not in first
    (asked,) = tasks_in(ROOT / "roles/deploy/tasks/free_ports.yml")
    assert asked["bluegreen.mesh.service_node_ports"]["state"] == "free"


# -- the way back ----------------------------------------------------------------------------------------------------
def documentation(module: str) -> dict[str, t.Any]:
    source = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    documented = re.search(r'^DOCUMENTATION = r?"""\n(.*?)"""', source, re.S | re.M)
    assert documented
    return yaml.safe_load(documented[1])


def options_of(module: str) -> dict[str, t.Any]:
    """A module's own options, and those that it shares with another about the same things."""
    documented = documentation(module)
    options: dict[str, t.Any] = {}
    for shared in documented["extends_documentation_fragment"]:
        name, _dot, part = shared.removeprefix("bluegreen.mesh.").partition(".")
        if name != "cluster":
            fragment = importlib.import_module(f"ansible_collections.bluegreen.mesh.plugins.doc_fragments.{name}")
            text = getattr(fragment.ModuleDocFragment, part.upper() or "DOCUMENTATION")
            options |= yaml.safe_load(text)["options"]
    return {**options, **documented.get("options", {})}


# It changes no desired state, so that there is nothing to undo, but an older run must not go on with it.
FENCED = {"gateway_drain"}
# What these write are objects and fields of any kind, and object_edits takes all of it back.
BY_EDITS = {
    "gateway_admission", "interim_ingress", "linkerd_certificates", "linkerd_policies", "mesh_mtls",
    "virtual_service_ingress",
}  # fmt: skip
# What it writes are copies of Secrets, and gateway_twin takes these back.
BY_TWIN = {"tls_secret_copy"}
# Modules that take a journal, and so record what undoes them.
RECORDING = {
    path.stem
    for path in (ROOT / "plugins" / "modules").glob("*.py")
    if "bluegreen.mesh.cluster.journal" in documentation(path.stem)["extends_documentation_fragment"]
}


# Options that no inverse holds: the connection comes from the play, the others only concern the way forward.
NEVER_RECORDED = {
    "binding_policy": {"timeout", "written_by"},
    "dns_records": {"kubeconfig", "context", "green_percent", "expect_green_percent", "max_ttl", "hosts", "order"},
    "canary_routes": {"require_ready", "allow_mixed"},
    "elb_host_rule": {"kubeconfig", "context"},
    "elb_listener_weights": {"kubeconfig", "context", "green_percent", "expect_green_percent", "hosts", "except_hosts", "health_timeout"},
    "elb_target_group_twin": {
        "kubeconfig", "context", "balancer", "listeners", "target_groups", "missing", "security_groups",
        "ignore_changes",
    },
    "haproxy_weights": {"kubeconfig", "context", "green_percent", "expect_green_percent", "reloaded_since"},
    "mesh_wave": {"pause", "limit", "max_unavailable", "pod_networks", "waive"},
    "bigbang_values": {"gateways", "backup"},
    "gateway_clone": {"service", "namespace", "name", "labels", "node_ports", "annotations"},
    "gateway_preview": {"green", "ports", "header", "verify", "domain"},
    "gateway_selector": {"gateways", "service", "labels"},
    "gateway_twin": {"expect_namespaces", "timeout"},
    "git_commit": {"paths", "subject", "first"},
    "ingress_convert": {
        "classes", "namespaces", "name", "apply", "dest", "prune", "waive", "cluster_domain",
        "wildcard_label", "expect_namespaces",
    },
    "policy_twin": {"pairs", "workloads", "kinds", "root_namespace", "waive", "expect_namespaces"},
    "replicas_pin": {"service", "minimum", "timeout"},
    "route53_weights": {"before", "kubeconfig", "context", "green_percent", "expect_green_percent", "max_ttl", "hosts", "finish"},
    "resource_archive": {"resources", "releases", "archive", "wait", "finalizers"},
    "resource_keep": {"owner_deletes", "guard_timeout", "owner_timeout", "backup_dir", "needs", "thaw"},
    "service_endpoints": {
        "state", "expect_green_percent", "steps", "require_ready", "timeout", "for_seconds", "interval"
    },
    "service_node_ports": {"state"},
    "virtual_service_gateways": {"bound_first", "concurrency", "method"},
}  # fmt: skip


def test_every_module_that_records_an_inverse_can_be_undone() -> None:
    assert RECORDING
    assert FENCED | BY_EDITS < RECORDING
    undone = {path.stem.removeprefix("undo_") for path in UNDO}
    assert undone == RECORDING - FENCED - BY_EDITS - BY_TWIN | {"helm", "tasks"}
    for module in BY_EDITS:
        source = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
        assert "_edits.carry_out" in source, module


@pytest.mark.parametrize("path", UNDO, ids=lambda path: path.stem)
def test_an_undo_passes_on_every_option_that_an_inverse_may_hold(path: Path) -> None:
    module = path.stem.removeprefix("undo_")
    if module == "helm":  # of another collection: fenced by the journal's own module, and done by one of two ways
        fence, *ways = tasks_in(path)
        assert fence["bluegreen.mesh.migration_journal"]["state"] == "recorded" and "_mesh_epoch" in str(fence)
        assert ways[0]["kubernetes.core.helm"]["release_state"] == "absent"
        assert [task for task in ways if "rollback" in task.get("ansible.builtin.command", {}).get("argv", [])]
        return
    (task,) = tasks_in(path)
    if module == "tasks":  # the user's own, by the seam's own way to set a share
        assert task["ansible.builtin.include_role"]["tasks_from"] == "tasks/set.yml"
        assert "rollback_params.green_percent" in task["vars"]["cutover_wanted"] and task["vars"]["cutover_undo"]
        return
    given = task[f"bluegreen.mesh.{module}"]
    known = options_of(module)
    assert given.keys() - known.keys() == {"journal"}
    assert known.keys() - given.keys() == NEVER_RECORDED.get(module, set())
    for option, value in given.items():
        assert option == "journal" or option in str(value) or value in (True, False, "report")


# -- inventories -----------------------------------------------------------------------------------------------------
def settings_of(inventory: Path) -> dict[str, dict[str, t.Any]]:
    """host -> its settings. Templates stay as they are: here they stand for strings, and are strings."""
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[str(inventory)])
    variables = VariableManager(loader=loader, inventory=manager)
    found = {}
    for host in manager.get_hosts("clusters"):
        every = variables.get_vars(host=host)
        found[host.name] = {name: value for name, value in every.items() if name.startswith("mesh_")}
    return found


HOSTS = {(path.parent.name, host): mesh for path in INVENTORIES for host, mesh in settings_of(path).items()}


@pytest.mark.parametrize("host", sorted(HOSTS), ids="-".join)
def test_an_inventory_passes_the_schema(host: tuple[str, str]) -> None:
    settings = HOSTS[host]
    assert settings.keys() <= SCHEMA.keys()
    assert ArgumentSpecValidator(SCHEMA).validate(settings).error_messages == []
    for role in ROLES:
        if role not in ("canary", "rollback", "restore"):  # what they need is given with the command
            spec = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
            if role != "mesh" and spec.pop("mesh_gateways", None):
                moved = JOURNEYS[settings.get("mesh_journey", "gateway")]
                spec.update({name: {**SCHEMA[name], "required": True} for name in moved})
            assert spec.keys() <= SCHEMA.keys()
            asked = {name: value for name, value in settings.items() if name in spec}
            assert ArgumentSpecValidator(spec).validate(asked).error_messages == [], role


@pytest.mark.parametrize("host", sorted(HOSTS), ids="-".join)
def test_an_inventory_agrees_with_itself(host: tuple[str, str]) -> None:
    settings = HOSTS[host]
    workloads = {workload["name"] for workload in settings["mesh_workloads"]}
    if "mesh_ingress" in settings:
        blue = {"/".join(workload["blue"].values()) for workload in settings["mesh_workloads"]}
        assert blue == {settings["mesh_ingress"]["gateway_service"]}
        ports = {port for workload in settings["mesh_workloads"] for port in workload["green"]["node_ports"].values()}
        assert set(settings["mesh_ingress"]["node_ports"].values()) <= ports
    else:
        moved = settings["mesh_conversion"]["classes"] if "mesh_conversion" in settings else settings["mesh_gateways"]
        assert {one["workload"] for one in moved} == workloads
    ports = [port for workload in settings["mesh_workloads"] for port in workload["green"]["node_ports"].values()]
    assert len(ports) == len(set(ports))


def test_a_wrong_setting_does_not_pass() -> None:
    """The tests above must be able to fail."""
    settings = next(iter(HOSTS.values()))
    wrongs = ({"mesh_gate": {"min_sampels": 1}}, {"mesh_keep_guard": "maybe"}, {"mesh_gateways": [{"blue": "a/b"}]})
    for wrong in wrongs:
        assert ArgumentSpecValidator(SCHEMA).validate({**settings, **wrong}).error_messages


def test_there_is_something_to_test() -> None:
    """The parametrised tests must not pass for want of anything to test."""
    assert len(UNDO) > 3 and PLAYBOOKS and {path.parent.name for path in INVENTORIES} == {"example", "lab"}
