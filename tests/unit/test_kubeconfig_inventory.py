# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin kubeconfig: a host for each context, by its own name or another, and no secret in a variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.doc_fragments import constructed
from ansible.template import Templar
from ansible_collections.bluegreen.mesh.plugins.inventory import kubeconfig

ROOT = Path(__file__).resolve().parents[2]
OPTIONS: dict[str, t.Any] = {
    **yaml.safe_load(constructed.ModuleDocFragment.DOCUMENTATION)["options"],
    **yaml.safe_load(kubeconfig.DOCUMENTATION)["options"],
}
EKS = "arn:aws:eks:eu-central-1:111122223333:cluster/prod-eu"


def content(*contexts: str) -> dict[str, t.Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": contexts[0] if contexts else "",
        "clusters": [{"name": "here", "cluster": {"server": "https://secret.test", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "me", "user": {"token": "s3cret", "client-key-data": "s3cret"}}],
        "contexts": [{"name": name, "context": {"cluster": "here", "user": "me"}} for name in contexts] or None,
    }  # fmt: skip


def write(path: Path, what: t.Any) -> Path:
    path.write_text(what if isinstance(what, str) else yaml.safe_dump(what), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Beside the inventory, a kubeconfig of three clusters."""
    # Ansible does so when it loads the plugin by its name, for which it imports collections in a way of its own.
    constants.config.initialize_plugin_configuration_definitions("inventory", kubeconfig.InventoryModule.NAME, OPTIONS)
    monkeypatch.delenv("K8S_AUTH_KUBECONFIG", raising=False)
    write(tmp_path / "config", content("prod-eu", "prod-us", "staging"))
    return tmp_path


def parse(folder: Path, text: str = "kubeconfig: config") -> InventoryData:
    path = write(folder / "clusters.kubeconfig.yml", f"plugin: bluegreen.mesh.kubeconfig\n{text}\n")
    plugin = kubeconfig.InventoryModule()
    plugin._load_name = plugin.NAME
    assert plugin.verify_file(str(path))
    inventory = InventoryData()
    plugin.parse(inventory, DataLoader(), str(path))
    inventory.reconcile_inventory()
    return inventory


def refused(folder: Path, text: str = "kubeconfig: config") -> str:
    with pytest.raises(AnsibleError) as caught:
        parse(folder, text)
    return str(caught.value)


def members(inventory: InventoryData) -> dict[str, list[str]]:
    return {name: hosts for name, hosts in inventory.get_groups_dict().items() if name not in ("all", "ungrouped")}


# -- hosts -------------------------------------------------------------------------------------------------------------
def test_a_host_for_each_context_with_what_the_playbooks_need(folder: Path) -> None:
    inventory = parse(folder)
    assert members(inventory) == {"clusters": ["prod-eu", "prod-us", "staging"]}
    own = {k: v for k, v in inventory.hosts["prod-us"].get_vars().items() if not k.startswith(("inventory_", "group_"))}
    assert own == {
        "mesh_kubeconfig": str(folder / "config"), "mesh_context": "prod-us", "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }  # fmt: skip
    python = Templar(DataLoader(), {"ansible_playbook_python": "/usr/bin/python3"})
    assert python.template(own["ansible_python_interpreter"]) == "/usr/bin/python3", "it has to stay a template"


def test_nothing_else_of_the_file_gets_into_the_inventory(folder: Path) -> None:
    inventory = parse(folder)
    items = [*inventory.hosts.values(), *inventory.groups.values()]
    seen = json.dumps([item.get_vars() for item in items], default=str)
    assert "prod-eu" in seen and "s3cret" not in seen and "secret.test" not in seen


def test_a_file_without_users_will_do(folder: Path) -> None:
    """Names are all that is asked for; who acts may be said elsewhere."""
    write(folder / "config", {**content("prod-eu"), "users": None})
    assert list(parse(folder).hosts) == ["prod-eu"]


def test_a_context_that_looks_like_a_template_is_none(folder: Path) -> None:
    write(folder / "config", content("{{ lookup('pipe', 'false') }}"))
    inventory = parse(folder, "kubeconfig: config\nnames: {\"{{ lookup('pipe', 'false') }}\": odd}")
    given = inventory.hosts["odd"].get_vars()["mesh_context"]
    assert Templar(DataLoader(), {}).template(given) == "{{ lookup('pipe', 'false') }}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("contexts: ^prod-", ["prod-eu", "prod-us"]),
        ("contexts: eu$", ["prod-eu"]),
        ("contexts: prod-eu|staging", ["prod-eu", "staging"]),
        ("names: {prod-us: america}", ["america", "prod-eu", "staging"]),
        ("contexts: staging\nnames: {prod-us: america}", ["staging"]),
    ],
)
def test_which_contexts_and_by_what_names(folder: Path, text: str, found: list[str]) -> None:
    assert sorted(members(parse(folder, f"kubeconfig: config\n{text}"))["clusters"]) == found


def test_several_files_and_another_group(folder: Path) -> None:
    write(folder / "more", content("edge"))
    inventory = parse(folder, f"kubeconfig: [config, {folder}/more]\ngroup: meshes")
    assert members(inventory) == {"meshes": ["prod-eu", "prod-us", "staging", "edge"]}
    assert inventory.hosts["edge"].get_vars()["mesh_kubeconfig"] == str(folder / "more")
    joined = os.pathsep.join(("config", "more"))
    assert members(parse(folder, f"kubeconfig: '{joined}'"))["clusters"][-1] == "edge"


def test_the_file_may_come_from_the_environment_or_the_home_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "kubeconfig" in refused(folder, "contexts: prod")
    monkeypatch.setenv("HOME", str(folder))
    assert len(parse(folder, "kubeconfig: ~/config").hosts) == 3
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(folder / "config"))
    assert len(parse(folder, "contexts: prod").hosts) == 2


def test_groups_and_variables_are_made_of_the_hosts(folder: Path) -> None:
    inventory = parse(
        folder,
        "kubeconfig: config\n"
        "compose: {region: inventory_hostname.split('-') | last, mesh_ticket: \"'CHG-' ~ mesh_context\"}\n"
        "groups: {production: mesh_context.startswith('prod')}\n"
        "keyed_groups: [{key: region, prefix: in}]\n",
    )
    assert members(inventory) == {
        "clusters": ["prod-eu", "prod-us", "staging"], "production": ["prod-eu", "prod-us"],
        "in_eu": ["prod-eu"], "in_us": ["prod-us"], "in_staging": ["staging"],
    }  # fmt: skip
    assert inventory.hosts["staging"].get_vars()["mesh_ticket"] == "CHG-staging"
    assert "wrong" in refused(folder, "kubeconfig: config\nstrict: true\ncompose: {wrong: nothing.at.all}")


def test_ansible_finds_it_by_the_name_in_the_file(folder: Path) -> None:
    path = write(folder / "kubeconfig.yml", "plugin: bluegreen.mesh.kubeconfig\nkubeconfig: config\ncontexts: eu")
    env = {
        **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"), "ANSIBLE_HOME": str(folder),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    }  # fmt: skip
    command = [sys.executable, "-m", "ansible", "inventory", f"--inventory={path}", "--graph"]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "@clusters:\n  |  |--prod-eu\n" in done.stdout, done.stdout + done.stderr


# -- what is refused ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("contexts: [\n  token: s3cret", "line 2 is not YAML"),
        ("a: b: s3cret", "line 1 is not YAML"),
        ("s3cret", "expected a mapping"),
        ("[]", "expected a mapping"),
        ("contexts: s3cret", "expected a mapping with a list of contexts"),
        ("contexts: [s3cret]", "contexts[0]: expected name and context"),
        ("contexts: [{name: a}]", "contexts[0]: expected name and context"),
        ("contexts: [{context: {cluster: a}}]", "contexts[0]: expected name and context"),
        ("contexts: [{name: a, context: {cluster: gone}}]", "contexts[0] (a): cluster 'gone' is not in this file"),
        ("at: 2026-13-40", "it is not YAML"),
    ],
)
def test_a_malformed_file_is_told_without_showing_it(folder: Path, what: str, says: str) -> None:
    write(folder / "config", what)
    told = refused(folder)
    assert says in told and f"kubeconfig {folder}/config" in told and "s3cret" not in told


def test_a_file_that_is_missing_or_no_text(folder: Path) -> None:
    assert f"kubeconfig {folder}/gone does not exist" in refused(folder, "kubeconfig: gone")
    assert "can't be read: Is a directory" in refused(folder, "kubeconfig: .")
    (folder / "config").write_bytes(b"\xff\xfe\x00")
    assert "can't be read: it is not text" in refused(folder)


@pytest.mark.parametrize(
    "given", ["{token: s3cret}", "'a: b\n\n  token: s3cret'", "[]", "[{token: s3cret}]", "''", "['']"]
)
def test_what_is_no_path_is_not_shown(folder: Path, given: str) -> None:
    told = refused(folder, f"kubeconfig: {given}")
    assert "kubeconfig: expected the path of a file" in told and "s3cret" not in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("contexts: nothing", "'nothing' matches none; {0}/config has prod-eu, prod-us, staging"),
        ("contexts: '('", "'(' is not a regular expression"),
        (
            "names: {prod-eu: same, prod-us: same}",
            "prod-eu ({0}/config) and prod-us ({0}/config) would both be host same",
        ),
        ("names: {prod-eu: staging}", "would both be host staging"),
        ("names: {prod-ue: europe}", "prod-ue: no context is called so"),
        ("names: {prod-eu: 'a/b'}", "'a/b' can't be the name of a host"),
    ],
)
def test_options_that_can_not_be_meant(folder: Path, text: str, says: str) -> None:
    assert says.format(folder) in refused(folder, f"kubeconfig: config\n{text}")


def test_contexts_of_one_name_in_two_files(folder: Path) -> None:
    write(folder / "more", content("staging"))
    told = refused(folder, "kubeconfig: [config, more]")
    assert f"staging ({folder}/config) and staging ({folder}/more) would both be host staging" in told


def test_a_file_without_contexts(folder: Path) -> None:
    write(folder / "config", content())
    assert "config has no context" in refused(folder)


def test_a_context_whose_name_no_host_can_have(folder: Path) -> None:
    write(folder / "config", content(EKS, "kubernetes-admin@kubernetes"))
    assert "such as arn-aws-eks-eu-central-1-111122223333-cluster-prod-eu" in refused(folder)
    assert list(parse(folder, "kubeconfig: config\ncontexts: '@'").hosts) == ["kubernetes-admin@kubernetes"]
    inventory = parse(folder, f"kubeconfig: config\nnames: {{'{EKS}': prod-eu}}")
    assert inventory.hosts["prod-eu"].get_vars()["mesh_context"] == EKS


def test_only_files_of_its_own_name_are_looked_at(folder: Path) -> None:
    for name, mine in (("kubeconfig.yaml", True), ("eu.kubeconfig.yml", True), ("hosts.yml", False), ("config", False)):
        assert kubeconfig.InventoryModule().verify_file(str(write(folder / name, ""))) is mine


def test_the_examples_are_good_options_and_make_what_they_say(folder: Path) -> None:
    (folder / "files").mkdir()
    write(folder / "files/eu.kubeconfig", content(EKS))
    write(folder / "files/us.kubeconfig", content("arn:aws:eks:us-east-1:111122223333:cluster/prod-us", "mine"))
    first, second = kubeconfig.EXAMPLES.split("---\n")
    assert yaml.safe_load(first).keys() | yaml.safe_load(second).keys() <= OPTIONS.keys()
    groups = members(parse(folder, second.replace("plugin: bluegreen.mesh.kubeconfig\n", "")))
    assert groups.pop("clusters") == groups.pop("production") == ["prod-eu", "prod-us"]
    assert groups == {"region_eu": ["prod-eu"], "region_us": ["prod-us"]}


def test_the_group_is_the_one_that_playbooks_run_for() -> None:
    spec = yaml.safe_load((ROOT / "roles/mesh/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = spec["argument_specs"]["main"]["options"]
    assert OPTIONS["group"]["default"] == options["mesh_hosts"]["default"]
    assert {"mesh_kubeconfig", "mesh_context"} <= options.keys()
