# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _infrastructure
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import infrastructure_files
from fake_cluster import FakeCluster, run_module

WORKLOADS = [
    {
        "name": name,
        "blue": {"namespace": "istio-system", "service": name},
        "green": {"namespace": "istio-gateway", "release": f"{name}-ingressgateway"},
    }
    for name in ("public", "passthrough")
]
GREEN_ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/public-green/0123456789abcdef"
BLUE_ARN = GREEN_ARN.replace("green", "blue")
RESOURCES = [{"type": "aws_lb_target_group", "name": "public_https", "id": GREEN_ARN}]
LISTENER = {
    "kind": "aws_lb_listener",
    "name": "https",
    "targets": [{"name": BLUE_ARN, "weight": 0}, {"name": "aws_lb_target_group.public_https.arn", "weight": 100}],
}
ENV = """\
locals {
  cluster_inputs = {
    cluster_name = "prod" # stays
    public_ingress_gateway_http_port   = 30080
    public_ingress_gateway_https_port  = 30443 # was the default
    public_ingress_gateway_status_port = 30021
  }
}
"""


def service(ref, *ports):
    """ports: (name, number, NodePort)."""
    namespace, _slash, name = ref.partition("/")
    ports = [{"name": n, "port": number, "nodePort": node} for n, number, node in ports]
    meta = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports}}


@pytest.fixture
def cluster():
    ports = [("status-port", 15021, 30022), ("http2", 80, 30081), ("https", 443, 30444)]
    blue = [("status-port", 15021, 30021), ("http2", 80, 30080), ("https", 443, 30443)]
    return FakeCluster(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-gateway"}},
        service("istio-gateway/public-ingressgateway", *ports),
        service("istio-gateway/passthrough-ingressgateway", ("tls", 443, 32444), ("health", 15021, 32022)),
        service("istio-system/public", *blue),
    )


@pytest.fixture
def repo(tmp_path):
    """A git repository with two environments, of which one has cluster_inputs."""
    folder = tmp_path / "infrastructure"
    (folder / "live/prod").mkdir(parents=True)
    (folder / "live/prod/env.hcl").write_text(ENV)
    (folder / "live/env.hcl").write_text("locals {\n  region = 1\n}\n")
    (folder / ".terragrunt-cache/x").mkdir(parents=True)
    (folder / ".terragrunt-cache/x/env.hcl").write_text(ENV)
    git(folder, "init", "--quiet")
    git(folder, "add", "live")
    git(folder, "commit", "--quiet", "--message", "as it was")
    return folder


def git(folder, *arguments):
    name = ["-c", "user.name=t", "-c", "user.email=t@t.example", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *name, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def run(cluster, tmp_path, check=False, **more):
    return run_module(
        infrastructure_files, {"dest": str(tmp_path / "out"), "workloads": WORKLOADS, **more}, cluster, check=check
    )


def tree(folder):
    return {
        str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts
    }


# -- values ------------------------------------------------------------------------------------------------------------
def test_values_are_greens_node_ports(cluster, tmp_path):
    result = run(cluster, tmp_path)
    assert {v["name"]: (v["blue"], v["green"]) for v in result["inputs"]} == {
        "public_ingress_gateway_http_port": (30080, 30081),
        "public_ingress_gateway_https_port": (30443, 30444),
        "public_ingress_gateway_status_port": (30021, 30022),
        "passthrough_ingress_gateway_https_port": (None, 32444),
        "passthrough_ingress_gateway_status_port": (None, 32022),
    }
    assert result["lacking"] == [
        "Service istio-gateway/passthrough-ingressgateway has no NodePort for http"
        " (passthrough_ingress_gateway_http_port)"
    ]
    assert (tmp_path / "out/env.hcl").read_text().endswith("""locals {
  cluster_inputs = {
    public_ingress_gateway_http_port = 30081
    public_ingress_gateway_https_port = 30444
    public_ingress_gateway_status_port = 30022
    passthrough_ingress_gateway_https_port = 32444
    passthrough_ingress_gateway_status_port = 32022
  }
}
""")
    assert cluster.writes == 0


def test_other_names_and_more_values(cluster, tmp_path):
    result = run(cluster, tmp_path, names={"edge_tls": "passthrough/tls"}, literals={"group": "public-green"})
    assert [(v["name"], v["green"]) for v in result["inputs"]] == [("edge_tls", 32444), ("group", "public-green")]
    assert '    group = "public-green"\n' in (tmp_path / "out/env.hcl").read_text()


def test_a_service_that_is_not_there_is_said(cluster, tmp_path):
    cluster.delete("/api/v1/namespaces/istio-gateway/services/public-ingressgateway")
    assert "Service istio-gateway/public-ingressgateway is not there" in run(cluster, tmp_path)["lacking"][0]


def test_before_green_is_there_its_node_ports_are_those_that_are_planned(cluster, tmp_path):
    cluster.delete("/api/v1/namespaces/istio-gateway/services/public-ingressgateway")
    planned = {**WORKLOADS[0]["green"], "node_ports": {"http2": 31080, "https": 31443}}
    result = run(cluster, tmp_path, workloads=[{**WORKLOADS[0], "green": planned}])
    assert [v["green"] for v in result["inputs"]] == [31080, 31443] and len(result["lacking"]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": {"a": "publik/http"}}, "names: a: found 'publik/http'"),
        ({"names": {"a": "public"}}, "expected WORKLOAD/PORT"),
        ({"literals": {"a b": 1}}, "no name"),
        ({"literals": {"a": [1]}}, "expected numbers and strings"),
        ({"resources": [{**RESOURCES[0], "name": "a b"}]}, "expected an address"),
        ({"resources": [RESOURCES[0], {**RESOURCES[0], "id": "other"}]}, "expected one id"),
        ({"resources": [{**RESOURCES[0], "type": "aws_autoscaling_attachment"}]}, "expected AUTOSCALING_GROUP_NAME,"),
        ({"weights": [{**LISTENER, "name": "a-}"}]}, "expected a name of a resource"),
        ({"weights": [{**LISTENER, "targets": [{"name": "x y", "weight": 1}]}]}, "expected an ARN or address"),
        ({"apply": True}, "repo"),
    ],
)
def test_what_can_not_be_written_is_refused_and_nothing_is(cluster, tmp_path, options, said):
    result = run(cluster, tmp_path, **options)
    assert result["failed"] and said in result["msg"] and not (tmp_path / "out").exists()


# -- files -------------------------------------------------------------------------------------------------------------
def test_what_was_made_is_imported(cluster, tmp_path):
    run(cluster, tmp_path, resources=[*RESOURCES, {**RESOURCES[0], "module": 'module.alb["a"]', "id": 'with "${x}"'}])
    assert (tmp_path / "out/imports.tf").read_text().split("\n\n", 1)[1] == (
        f'import {{\n  to = aws_lb_target_group.public_https\n  id = "{GREEN_ARN}"\n}}\n\n'
        'import {\n  to = module.alb["a"].aws_lb_target_group.public_https\n  id = "with \\"$${x}\\""\n}\n'
    )


def test_weights_are_snippets_for_each_kind():
    dns = {"name": "app.example.com", "ttl": 60, "targets": [
        {"name": "192.0.2.1", "weight": 0, "colour": "blue"}, {"name": "192.0.2.2", "weight": 255, "colour": "green"},
    ]}  # fmt: skip
    files = _infrastructure.files_of([], [], [
        LISTENER, {**LISTENER, "kind": "aws_lb_listener_rule", "name": "shop"},
        {"kind": "haproxy", "name": "https", "targets": [
            {"name": "green-1", "weight": 100, "address": "10.0.0.1:30444"}, {"name": "blue-1", "weight": 0},
        ]},
        {"kind": "route53", **dns}, {"kind": "dns", **dns},
    ])  # fmt: skip
    assert set(files) == {"snippets/listeners.tf", "snippets/haproxy.cfg", "snippets/route53.tf", "snippets/zone"}
    listeners = files["snippets/listeners.tf"]
    assert listeners.count("Written by") == 1
    assert f'arn    = "{BLUE_ARN}"\n        weight = 0\n' in listeners
    assert "arn    = aws_lb_target_group.public_https.arn\n        weight = 100\n" in listeners
    assert 'resource "aws_lb_listener" "https" {\n  default_action {\n' in listeners
    assert 'resource "aws_lb_listener_rule" "shop" {\n  action {\n' in listeners
    assert files["snippets/haproxy.cfg"].endswith(
        "backend https\n    server green-1 10.0.0.1:30444 weight 100\n    server blue-1 ADDRESS weight 0\n"
    )
    assert (
        files["snippets/zone"].endswith("\napp.example.com. 60 IN A 192.0.2.2\n")
        and "192.0.2.1" not in files["snippets/zone"]
    )
    assert (
        'set_identifier  = "green"' in files["snippets/route53.tf"] and "weight = 255" in files["snippets/route53.tf"]
    )


def test_a_second_run_changes_nothing_and_check_mode_writes_nothing(cluster, tmp_path, repo):
    more = {"resources": RESOURCES, "weights": [LISTENER], "repo": str(repo)}
    planned = run(cluster, tmp_path, check=True, **more)
    assert planned["changed"] and not (tmp_path / "out").exists()
    assert run(cluster, tmp_path, **more) == planned
    assert set(tree(tmp_path / "out")) == {"env.hcl", "env.hcl.diff", "imports.tf", "snippets/listeners.tf"}
    again = run(cluster, tmp_path, **more)
    assert not again["changed"] and again["pending"] and again["files"] == planned["files"]


# -- a repository ------------------------------------------------------------------------------------------------------
def test_the_difference_is_one_that_git_applies(cluster, tmp_path, repo):
    result = run(cluster, tmp_path, repo=str(repo))
    assert git(repo, "status", "--porcelain", "live") == ""
    assert result["pending"] and result["env_file"] == str(repo / "live/prod/env.hcl")
    git(repo, "apply", str(tmp_path / "out/env.hcl.diff"))
    assert git(repo, "diff", "--numstat").split() == ["5", "3", "live/prod/env.hcl"]
    assert (repo / "live/prod/env.hcl").read_text() == """\
locals {
  cluster_inputs = {
    cluster_name = "prod" # stays
    public_ingress_gateway_http_port   = 30081
    public_ingress_gateway_https_port  = 30444 # was the default
    public_ingress_gateway_status_port = 30022
    passthrough_ingress_gateway_https_port = 32444
    passthrough_ingress_gateway_status_port = 32022
  }
}
"""
    done = run(cluster, tmp_path, repo=str(repo))
    assert not done["pending"] and not (tmp_path / "out/env.hcl.diff").exists()
    assert not run(cluster, tmp_path, repo=str(repo))["changed"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_difference_of_any_line_ends_applies(cluster, tmp_path, repo, end):
    path = repo / "live/prod/env.hcl"
    path.write_bytes(ENV.rstrip("\n").replace("\n", end or "\n").encode() + end.encode())
    before = path.read_bytes()
    run(cluster, tmp_path, repo=str(repo))
    git(repo, "apply", str(tmp_path / "out/env.hcl.diff"))
    after = path.read_bytes()
    assert b"30444 # was" in after and after.count(b"\r\n") == after.count(b"\n") * (end == "\r\n")
    path.write_bytes(before)
    run(cluster, tmp_path, repo=str(repo), apply=True)
    assert path.read_bytes() == after


def test_apply_edits_the_file_and_commits_nothing(cluster, tmp_path, repo):
    path = repo / "live/prod/env.hcl"
    path.chmod(0o600)
    head = git(repo, "rev-parse", "HEAD")
    assert run(cluster, tmp_path, repo=str(repo), apply=True, check=True)["changed"]
    assert path.read_text() == ENV
    result = run(cluster, tmp_path, repo=str(repo), apply=True)
    assert result["changed"] and not result["pending"] and path.stat().st_mode & 0o777 == 0o600
    assert git(repo, "status", "--porcelain", "live").split() == ["M", "live/prod/env.hcl"]
    assert git(repo, "rev-parse", "HEAD") == head and git(repo, "diff", "--cached") == ""
    assert not run(cluster, tmp_path, repo=str(repo), apply=True)["changed"]


def test_a_file_that_is_not_understood_changes_nothing(cluster, tmp_path, repo):
    text = ENV.replace("30443", "local.https_port")
    (repo / "live/prod/env.hcl").write_text(text)
    result = run(cluster, tmp_path, repo=str(repo), apply=True)
    assert result["failure"]["code"] == "not_literal" and f"{repo}/live/prod/env.hcl:5" in result["msg"]
    assert not (tmp_path / "out").exists() and (repo / "live/prod/env.hcl").read_text() == text


def test_of_several_one_has_to_be_named(cluster, tmp_path, repo):
    shutil.copytree(repo / "live/prod", repo / "live/staging")
    result = run(cluster, tmp_path, repo=str(repo))
    assert result["failure"]["code"] == "ambiguous" and "live/prod/env.hcl, live/staging/env.hcl" in result["msg"]
    chosen = run(cluster, tmp_path, repo=str(repo), env_file="live/staging/env.hcl")
    assert chosen["env_file"] == str(repo / "live/staging/env.hcl")


@pytest.mark.parametrize(
    ("given", "code"), [("../x", "bad_option"), ("none.hcl", "not_found"), ("/etc/hostname", "bad_option")]
)
def test_a_file_elsewhere_is_refused(cluster, tmp_path, repo, given, code):
    assert run(cluster, tmp_path, repo=str(repo), env_file=given)["failure"]["code"] == code


def test_a_link_that_leads_out_is_refused(repo, tmp_path):
    (tmp_path / "env.hcl").write_text(ENV)
    (repo / "linked.hcl").symlink_to(tmp_path / "env.hcl")
    with pytest.raises(Refusal, match="leads out"):
        _infrastructure.find_env(str(repo), "linked.hcl")


def test_a_repository_without_such_a_file_is_refused(cluster, tmp_path, repo):
    (repo / "live/prod/env.hcl").unlink()
    assert run(cluster, tmp_path, repo=str(repo))["failure"]["code"] == "not_found"
    assert run(cluster, tmp_path, repo=str(repo / "none"))["failure"]["code"] == "not_found"


GROUPS = [
    {"blue": "public-http", "green": "public-http-green", "node_port": 30081, "status_port": 30022},
    {"blue": BLUE_ARN, "green": GREEN_ARN, "node_port": 30444},
]


def test_a_value_can_be_the_target_group_that_leads_to_a_port(cluster, tmp_path):
    names = {
        "http_port": "public/http", "http_group": "public/http/target_group", "https_group": "public/https/target_group",
        "status_group": "public/status/target_group",
    }  # fmt: skip
    options = {"dest": str(tmp_path / "out"), "workloads": WORKLOADS, "names": names, "target_groups": GROUPS}
    result = run_module(infrastructure_files, options, cluster)
    assert {value["name"]: (value["blue"], value["green"]) for value in result["inputs"]} == {
        "http_port": (30080, 30081), "http_group": ("public-http", "public-http-green"), "https_group": (BLUE_ARN, GREEN_ARN),
    }  # fmt: skip
    assert result["lacking"] == ["No target group leads to NodePort 30022 of public's status (status_group)"]
    assert 'http_group = "public-http-green"' in (tmp_path / "out" / "env.hcl").read_text()
    wrong = run_module(infrastructure_files, {**options, "names": {"x": "public/http/arn"}}, cluster)
    assert wrong["failure"]["code"] == "bad_option" and "WORKLOAD/PORT/target_group" in wrong["msg"]
