# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual way back: every inverse has one, and what jq makes of objects is what the module would have."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import by_hand
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _archive
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from ansible_collections.bluegreen.mesh.plugins.module_utils import runbook
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import (
    _clients,
    bigbang_values,
    binding_policy,
    elb_host_rule,
    elb_listener_weights,
    elb_target_group_twin,
    gateway_clone,
    gateway_namespace,
    gateway_selector,
    haproxy_weights,
    helm,
    policy_twin,
    replicas_pin,
    resource_archive,
    resource_keep,
    service_endpoints,
    service_node_ports,
    tasks,
    virtual_service_gateways,
)
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, migration_report
from fake_cluster import FakeCluster, run_module

UNDO = Path(__file__).resolve().parents[2] / "roles" / "rollback" / "tasks"
BOOK = runbook.Book("m", "bluegreen-mesh")
PAIRS = [{"blue": "a/old", "green": "b/new"}]
STEP = {"id": "1-a", "phase": "bind", "op": "op", "key": "Secret n/s", "backup": "m-backup-1-a"}


def test_every_inverse_has_a_rendering():
    """An undo without one: write plugins/module_utils/runbook/MODULE.py, and name it in the __init__.py beside it."""
    assert set(runbook.RENDERED) == {path.stem.removeprefix("undo_") for path in UNDO.glob("undo_*.yml")}


def test_a_release_that_was_there_goes_back_to_its_revision():
    params = {"release_name": "green", "release_namespace": "b"}
    (command,) = helm.commands(STEP, {**params, "revision": 0}, BOOK)
    assert command.run == "h uninstall green -n b --wait --ignore-not-found"
    (command,) = helm.commands(STEP, {**params, "revision": 3}, BOOK)
    assert command.run == "h rollback green 3 -n b --wait"


def test_a_balancer_of_the_users_own_is_named_by_its_file():
    (command,) = tasks.commands(STEP, {"set": "/etc/balancer/set.yml", "green_percent": 0}, BOOK)
    assert command == ("give green 0 % again, as your file /etc/balancer/set.yml does", ":")
    servers = [{"backend": "web", "server": "a", "colour": "blue"}, {"backend": "web", "server": "b", "colour": "green"}]
    found = runbook.sections(BOOK, {}, [], servers, "tasks")
    (back,) = found[1]["commands"]
    assert "green 0 %" in back["what"] and "Blue is web/a. Green is web/b." in back["what"]
    assert "as your file does" in found[0]["commands"][-1]["what"]


def test_every_balancer_has_a_way_back_by_hand():
    types = {path.stem for path in (UNDO.parents[1] / "cutover" / "meta" / "balancers").glob("*.yml")}
    assert types == runbook.BALANCERS.keys()


def test_a_namespace_is_looked_into_and_not_removed_by_running_the_section():
    look, remove = gateway_namespace.commands(STEP, {"state": "absent", "names": ["green"]}, BOOK)
    assert "api-resources --verbs=list --namespaced" in look.run and "-n green get" in look.run
    assert remove.run == ": # k delete namespace green"


def test_copies_of_policies_are_removed_by_their_full_names():
    copies = ["AuthorizationPolicy gw/p-new", "HorizontalPodAutoscaler gw/h-new"]
    found = policy_twin.commands(STEP, {"state": "absent", "copies": copies}, BOOK)
    assert [command.run for command in found] == [
        "k delete authorizationpolicies.security.istio.io p-new -n gw --ignore-not-found",
        "k delete horizontalpodautoscalers.autoscaling h-new -n gw --ignore-not-found",
    ]


def test_an_archive_is_unpacked_by_hand_as_the_module_would():
    if not shutil.which("jq"):
        pytest.skip("no jq")
    given = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "t", "generation": 3, "managedFields": []}
    owners = [{"uid": "gone"}]
    bodies = [
        {"kind": "Gateway", "metadata": {"name": "g", **given, "ownerReferences": owners}, "spec": {"a": 1}, "status": {}},
        {"kind": "Secret", "type": _archive.TOKEN, "metadata": {"name": "t", **given}, "data": {"token": "x"}},
        {"kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "c", **given}, "data": {"tls.key": "x"}},
    ]
    (command,) = resource_archive.commands({**STEP, "backup": "m-backup-1"}, {"key": "blue"}, BOOK)
    assert "-n bluegreen-mesh get secret m-backup-1" in command.run
    secret = {"data": {"objects.json.gz": base64.b64encode(_archive.pack(bodies)).decode()}}
    script = re.sub(r"\bk -n .*? -o json", "cat", command.run).replace("k create -f -", "cat")
    done = subprocess.run(["sh", "-c", script], input=json.dumps(secret), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["items"] == [_archive.again(body, {"gone"}) for body in bodies]


GREEN = ["istio-gateway/public"]


@pytest.mark.parametrize(
    ("pages", "status", "said"),
    [
        (['envoy_listener_downstream_cx_active{listener_address="0.0.0.0_8443"} 0'] * 2, 0, ""),
        ([], 0, ""),
        (['envoy_listener_downstream_cx_active{listener_address="0.0.0.0_15021"} 3\n'
          'envoy_listener_downstream_cx_active{listener_address="0.0.0.0_8443"} 0'], 0, ""),
        (['envoy_listener_downstream_cx_active{listener_address="0.0.0.0_8443"} 2\n'
          'envoy_listener_downstream_cx_active{listener_address="0.0.0.0_8080"} 3\n'
          'envoy_listener_downstream_pre_cx_active{listener_address="0.0.0.0_8080"} 1'], 1, "still open: 6"),
        (['envoy_listener_downstream_cx_active{listener_address="0.0.0.0_15021"} 1'], 0, ""),
        (["envoy_server_uptime{} 5"], 1, "still open: unknown"),
    ],
)  # fmt: skip
def test_the_runbook_waits_for_greens_clients(tmp_path, pages, status, said):
    """Run by a shell, against a kubectl that answers as the API server would. It gives up at once here."""
    if not shutil.which("jq"):
        pytest.skip("no jq")
    for number, page in enumerate(pages):
        (tmp_path / f"pod-{number}").write_text(page + "\n")
    (command,) = _clients.wait(GREEN)
    assert "istio-gateway/public" in command.what
    fake = f"""k() {{
      case "$*" in
        "-n istio-gateway get service public -o json") echo '{{"spec": {{"selector": {{"app": "x", "istio": "y"}}}}}}' ;;
        "-n istio-gateway get pods -l app=x,istio=y --field-selector status.phase=Running -o name")
          for file in {tmp_path}/pod-*; do [ ! -e "$file" ] || echo "pod/${{file##*/}}"; done ;;
        "get --raw /api/v1/namespaces/istio-gateway/pods/pod-"*) name=${{3##*/pods/}}; cat "{tmp_path}/${{name%%:*}}" ;;
        *) echo "unexpected: $*" >&2; exit 9 ;;
      esac
    }}
    """
    run = command.run.replace(f"-ge {_clients.TRIES}", "-ge 0")
    done = subprocess.run(["sh", "-c", fake + run], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (status, said, "")


def test_the_wait_stands_between_the_weights_and_green():
    steps = [{**STEP, "phase": phase, "inverse": {"module": "m", "params": None}} for phase in ("cutover", "deploy")]
    found = runbook.sections(BOOK, {"cutover": {}, "deploy": {}}, steps, [], "haproxy", GREEN)
    assert [section["name"] for section in found] == ["where", "traffic", "cutover", "clients", "deploy"]
    assert "clients" not in [s["name"] for s in runbook.sections(BOOK, {"deploy": {}}, steps[1:], [], "haproxy", GREEN)]


def test_what_greens_connections_need_goes_when_they_have_gone():
    group = {"region": "eu-west-1", "undo": [{"do": "delete", "name": "g"}]}
    pairs = [{"blue": "arn:b", "green": "arn:g"}, {"blue": "arn:c", "green": ""}]
    weights = {"target_groups": pairs, "weights": {LISTENER: {"arn:b": 1}, RULE: {"arn:c": 1}}}
    steps = [
        {**STEP, "phase": "cutover", "inverse": {"module": module, "params": params}}
        for module, params in (("elb_listener_weights", weights), ("elb_target_group_twin", group))
    ]
    found = {s["name"]: s["commands"] for s in runbook.sections(BOOK, {"cutover": {}}, steps, [], "aws_nlb", GREEN)}
    assert list(found) == ["where", "traffic", "cutover", "clients", "carrying"]
    assert "delete-target-group" not in str(found["cutover"]) and "delete-target-group" in str(found["carrying"])
    first, other = (command["run"] for command in found["cutover"])
    assert '{"TargetGroupArn": "arn:g", "Weight": 0}, {"TargetGroupArn": "arn:b", "Weight": 1}' in first
    assert "arn:g" not in other and "arn:g" not in found["carrying"][0]["run"]
    variables = yaml.safe_load((UNDO.parent / "vars" / "main.yml").read_text(encoding="utf-8"))
    assert list(runbook.CARRYING) == variables["rollback_carrying"]


def jq(command: str, body: dict) -> dict:
    """What a command makes of an object."""
    (made,) = by_hand.run(command, body)
    return made


def virtual_service(**spec):
    return {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": "1"}, "spec": spec}


@pytest.mark.parametrize(
    "spec",
    [
        {"gateways": ["a/old"]},
        {"gateways": ["mesh", "a/old", "x/y"], "http": [{"match": [{"gateways": ["a/old"]}, {"uri": {}}]}, {}]},
        {"gateways": ["a/old"], "tls": [{"match": [{"sniHosts": ["h"], "gateways": ["a/old", "mesh"]}]}]},
    ],
)
def test_what_binding_did_is_undone_by_hand(spec):
    body = virtual_service(**spec)
    rule = vs.Bound((vs.Pair("a/old", "b/new"),))
    plan = vs.plan_one(copy.deepcopy(body), rule)
    bound = copy.deepcopy(body)
    for pointer, value in plan.after.items():
        at = bound
        *parents, last = [part for part in pointer.split("/") if part]
        for part in parents:
            at = at[int(part) if isinstance(at, list) else part]
        at[last] = list(value)
    assert bound != body
    (undo,) = vs.inverses([plan], rule)
    (command,) = virtual_service_gateways.commands(STEP, undo, BOOK)
    assert jq(command.run, bound)["spec"] == body["spec"]


def test_what_unbinding_did_is_undone_by_hand():
    green = virtual_service(gateways=["b/new", "mesh"], http=[{"match": [{"gateways": ["b/new"]}, {"uri": {}}]}])
    params = {"state": "bound", "pairs": PAIRS, "names": ["shop/web"]}
    (command,) = virtual_service_gateways.commands(STEP, params, BOOK)
    both = jq(command.run, green)
    assert both["spec"] == {
        "gateways": ["a/old", "b/new", "mesh"], "http": [{"match": [{"gateways": ["a/old", "b/new"]}, {"uri": {}}]}],
    }  # fmt: skip
    again = jq(command.run, both)
    assert again == both


def test_the_binding_policy_goes_first_and_is_not_written_by_hand():
    (command,) = binding_policy.commands({}, {"state": "absent", "migration": "m"}, BOOK)
    assert command.run.count("bluegreen-mesh-bind-m") == 2 and "clusterpolicies.kyverno.io" in command.run
    (command,) = binding_policy.commands({}, {"state": "present", "migration": "m"}, BOOK)
    assert command.run == ":"


def test_lists_that_no_rule_leads_back_to_are_patched():
    lists = {"/spec/gateways": {"from": ["b/new"], "to": ["a/old"]}}
    params = {"state": "restored", "restore": [{"name": "shop/web", "lists": lists}]}
    (command,) = virtual_service_gateways.commands(STEP, params, BOOK)
    assert '"op": "test", "path": "/spec/gateways", "value": ["b/new"]' in command.run and "-n shop" in command.run


@pytest.mark.parametrize(
    ("annotations", "left"),
    [
        ({"helm.sh/resource-policy": "keep", "bluegreen.mesh/kept-by": "m",
          "bluegreen.mesh/kept-undo": '{"live": null}', "mine": "1"}, {"mine": "1"}),
        ({"helm.sh/resource-policy": "keep", "bluegreen.mesh/kept-undo": '{"live": "other"}'},
         {"helm.sh/resource-policy": "other"}),
        ({"helm.sh/resource-policy": "keep"}, {"helm.sh/resource-policy": "keep"}),
    ],
)  # fmt: skip
def test_what_is_kept_is_let_go_by_hand(annotations, left):
    params = {"state": "released", "migration": "m", "resources": [
        {"api_version": "networking.istio.io/v1", "kind": "Gateway", "namespace": "n", "name": "g"}]}  # fmt: skip
    guard, release = resource_keep.commands({**STEP, "op": "resource_keep"}, params, BOOK)
    assert "delete validatingadmissionpolicybinding,validatingadmissionpolicy bluegreen-mesh-keep-m" in guard.run
    assert "get gateway.networking.istio.io g -n n" in release.run
    assert jq(release.run, {"metadata": {"annotations": annotations}})["metadata"]["annotations"] == left
    with pytest.raises(by_hand.Moved):
        by_hand.run(release.run, {"metadata": {"annotations": annotations}}, moved=True)


def test_helms_record_comes_from_the_journals_backup():
    (command,) = resource_keep.commands({**STEP, "op": "helm_record"}, {"state": "released"}, BOOK)
    script = command.run.replace("k get secret m-backup-1-a -n bluegreen-mesh -o json", "cat").partition(">")[0]
    record = '{"data": {"release": "YWJj"}}'
    done = subprocess.run(["sh", "-c", script], input=record, capture_output=True, text=True, check=True)
    # Helm's text is base64 of the record, and the API adds its own.
    assert json.loads(done.stdout) == {"data": {"release": "WVdKag=="}}


def test_node_ports_by_hand():
    params = {"namespace": "n", "name": "s", "node_ports": {"http2": 30080}}
    (command,) = service_node_ports.commands(STEP, params, BOOK)
    ports = [{"name": "http2", "port": 80, "nodePort": 31080}, {"name": "https", "port": 443, "nodePort": 31443}]
    found = jq(command.run, {"spec": {"ports": ports}})["spec"]["ports"]
    assert [port["nodePort"] for port in found] == [30080, 31443]


def test_a_copy_of_blue_by_hand():
    target = {"api_version": "apps/v1", "kind": "Deployment", "namespace": "gw", "name": "new"}
    (command,) = gateway_clone.commands(STEP, {"state": "absent", "objects": [target]}, BOOK)
    assert "k delete deployment.apps new -n gw" in command.run
    restored = {"state": "restored", "objects": [{**target, "body": {"spec": {"replicas": 2}}}]}
    (command,) = gateway_clone.commands(STEP, restored, BOOK)
    assert '"path": "/spec", "value": {"replicas": 2}' in command.run


def test_numbers_and_selectors_by_hand():
    hpa = {"api_version": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "namespace": "n", "name": "h"}
    entry = {**hpa, "spec": {"minReplicas": 1}, "mark": None}
    (command,) = replicas_pin.commands(STEP, {"state": "restored", "restore": [entry]}, BOOK)
    assert '{"spec": {"minReplicas": 1}, "metadata": {"annotations": {"bluegreen.mesh/pinned": null}}}' in command.run
    entry = {"gateway": "n/g", "selector": {"app": "old"}}
    (command,) = gateway_selector.commands(STEP, {"state": "restored", "restore": [entry]}, BOOK)
    assert '"path": "/spec/selector", "value": {"app": "old"}' in command.run and "-n n" in command.run


def test_a_values_file_is_for_a_person_to_edit():
    changes = [{"path": ["a", "b"], "before": None, "after": 1}, {"path": ["c"], "before": 2, "after": 3}]
    (command,) = bigbang_values.commands(STEP, {"state": "restored", "path": "/v.yaml", "changes": changes}, BOOK)
    assert command.run == ":" and "/v.yaml" in command.what
    assert "a.b: remove" in command.what and "c: set 2" in command.what


def server(colour: str, weight: int, configured: int = 100) -> dict:
    return {"instance": "tcp:192.0.2.1:9999", "backend": "https", "server": f"{colour}-1", "colour": colour,
            "weight": weight, "configured_weight": configured}  # fmt: skip


def test_blue_gets_its_weight_before_green_loses_it():
    give, take, show = haproxy_weights.all_to_blue([server("blue", 0), server("green", 100, 0), server("", 7)])
    assert "set server https/blue-1 weight 100" in give.run and "TCP:192.0.2.1:9999" in give.run
    assert "set server https/green-1 weight 0" in take.run and "show servers state" in show.run
    assert "UNIX-CONNECT:/run/h.sock" in haproxy_weights.ask("unix:/run/h.sock", ["show info"])


def test_blue_has_endpoints_before_green_loses_them():
    pods = [{"backend": "n/gw", "server": name, "colour": "green"} for name in ("a", "b")]
    select, wait, take, helper, show = service_endpoints.all_to_blue(pods)
    assert jq(select.run, {"spec": {"selector": {"app": "x", "bluegreen.mesh/carries": "green"}}})["spec"] == {
        "selector": {"app": "x"}
    }
    assert "until k get" in wait.run and "managed-by=endpointslice-controller.k8s.io" in wait.run
    assert "delete endpointslices" in take.run and "managed-by=bluegreen.mesh" in take.run
    assert "gw-bluegreen -n n --ignore-not-found" in helper.run and "get endpointslices" in show.run
    workload = {"blue": {"namespace": "n", "service": "gw"}, "green": {"namespace": "m", "release": "gw"}}
    assert service_endpoints.commands(STEP, {"workloads": [workload], "green_percent": 0}, BOOK)[0] == select
    (told,) = service_endpoints.commands(STEP, {"workloads": [workload], "green_percent": 25}, BOOK)
    assert told.run == ":" and "25 %" in told.what


LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:1:listener/net/public/1/2"
RULE = "arn:aws:elasticloadbalancing:eu-west-1:1:listener-rule/app/front/1/2/3"


def aws(run: str, told: dict, tmp_path: Path) -> list[str]:
    """What the command line of AWS is called with in the end, where it tells this when asked."""
    stub = tmp_path / "aws"
    stub.write_text(
        "#!/bin/sh\ncase \"$*\" in *describe-*) cat told;; *) for a; do printf '%s\\n' \"$a\"; done > called;; esac\n"
    )
    stub.chmod(0o755)
    (tmp_path / "told").write_text(json.dumps(told))
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", run], cwd=tmp_path, env=env, check=True)
    return (tmp_path / "called").read_text().splitlines()


def test_weights_of_target_groups_by_hand(tmp_path):
    login = {"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"ClientId": "me"}}
    forward = {"Type": "forward", "TargetGroupArn": "arn:b", "ForwardConfig": {"TargetGroups": []}}
    (command,) = elb_listener_weights.commands(STEP, {"weights": {LISTENER: {"arn:b": 1}}}, BOOK)
    *start, actions = aws(command.run, {"Listeners": [{"DefaultActions": [login, forward]}]}, tmp_path)
    assert start == ["--region", "eu-west-1", "elbv2", "modify-listener", "--listener-arn", LISTENER, "--default-actions"]
    assert json.loads(actions) == [
        {"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"ClientId": "me", "UseExistingClientSecret": True}},
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "arn:b", "Weight": 1}]}},
    ]
    servers = [
        {"arn": RULE, "target_group": f"arn:{colour[0]}", "colour": colour, "backend": "front:80 rule 3"}
        for colour in ("blue", "green")
    ]
    give, show = elb_listener_weights.all_to_blue(servers)
    *start, actions = aws(give.run, {"Rules": [{"Actions": [forward]}]}, tmp_path)
    assert start[3:] == ["modify-rule", "--rule-arn", RULE, "--actions"]
    assert [g["Weight"] for g in json.loads(actions)[0]["ForwardConfig"]["TargetGroups"]] == [100, 0]
    assert "describe-rules" in show.run


def test_what_greens_target_groups_were_given_by_hand(tmp_path):
    permission = {"IpProtocol": "tcp", "FromPort": 30081, "ToPort": 30081, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    undo = [
        {"do": "close", "name": "sg-1", "permission": permission}, {"do": "deregister", "name": "g", "targets": ["i-1"]},
        {"do": "detach", "name": "g", "group": "nodes"}, {"do": "delete", "name": "g"},
    ]  # fmt: skip
    found = elb_target_group_twin.commands(STEP, {"region": "eu-west-1", "undo": undo}, BOOK)
    calls = [aws(command.run, {}, tmp_path)[2:] for command in found]
    assert [call[1] for call in calls] == [
        "revoke-security-group-ingress", "deregister-targets", "detach-load-balancer-target-groups", "delete-target-group",
    ]  # fmt: skip
    assert json.loads(calls[0][-1]) == [permission] and "Id=i-1" in calls[1] and "nodes" in calls[2]
    undo = [{"do": "rejoin", "name": "b", "group": "nodes"}]
    (again,) = elb_target_group_twin.commands(STEP, {"region": "eu-west-1", "undo": undo}, BOOK)
    stub = tmp_path / "aws"
    stub.write_text("#!/bin/sh\necho \"$@\" >> all; case \"$*\" in *describe-a*) printf 'i-1\\ti-2\\n';; *) echo arn;; esac\n")
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", again.run], cwd=tmp_path, env=env, check=True, capture_output=True)
    calls = [line.split()[2:] for line in (tmp_path / "all").read_text().splitlines() if " describe-" not in line]
    assert [call[1] for call in calls] == ["register-targets", "wait", "attach-load-balancer-target-groups"]
    assert calls[0][-3:] == ["--targets", "Id=i-1", "Id=i-2"] and calls[1][2] == "target-in-service"


def test_temporary_rules_by_hand(tmp_path):
    params = {"region": "eu-west-1", "state": "absent", "listeners": [LISTENER], "hosts": ["a.test", "b.test"]}
    (command,) = elb_host_rule.commands(STEP, params, BOOK)

    def rule(arn, *hosts, more=()):
        return {"RuleArn": arn, "Conditions": [{"HostHeaderConfig": {"Values": list(hosts)}}, *more]}

    rules = [rule("1", "c.test"), rule("2", "a.test", more=[{}]), rule("3", "b.test", "c.test"), rule("4", "b.test")]
    assert aws(command.run, {"Rules": rules}, tmp_path)[-1] == "4"
    assert elb_host_rule.commands(STEP, {**params, "state": "present"}, BOOK)[0].run == ":"


@pytest.fixture
def cluster():
    return FakeCluster()


def recorded(cluster, *steps):
    where = {"namespace": "bluegreen-mesh", "name": "m"}
    run_module(migration_journal, {**where, "state": "open", "operator": "ada"}, cluster)
    for phase, inverse, secret in steps:
        run = Journal.load(cluster, {**where, "epoch": 1, "phase": phase})
        run.record("op", f"key of {phase}", inverse, secret=secret)


BOUND = {"module": "virtual_service_gateways", "params": {"state": "bound", "pairs": PAIRS, "names": ["shop/web"]}}
HELM = {"module": "helm", "params": {"release_name": "green", "release_namespace": "b"}}


def test_the_report_has_the_way_back_in_order_and_no_secret(cluster, tmp_path):
    hidden = {"module": "m", "params": {"key": "hunter2"}}
    recorded(cluster, ("keep", hidden, True), ("deploy", HELM, False), ("unbind", BOUND, False))
    params = {"migration": "m", "dir": str(tmp_path), "name": "m-lab", "servers": [server("blue", 0)]}
    writes = cluster.writes
    result = run_module(migration_report, params, cluster)
    assert cluster.writes == writes
    # Routes first: traffic must not go to a blue that does not serve them.
    assert [s["name"] for s in result["report"]["sections"]] == ["where", "unbind", "traffic", "deploy", "keep"]
    texts = [(tmp_path / f"m-lab.{kind}").read_text() for kind in ("txt", "json", "html")]
    for text in texts:
        assert "h() { helm " in text or "h() { helm " in json.dumps(text) and "uninstall green -n b" in text and "hunter2" not in text
        assert "m-backup-" in text  # where the secret inverse is
    done = subprocess.run(["sh", "-n"], input=texts[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_journal_there_is_still_the_traffic(cluster, tmp_path):
    params = {"migration": "m", "dir": str(tmp_path), "name": "m-lab", "servers": [server("blue", 0)]}
    sections = run_module(migration_report, params, cluster)["report"]["sections"]
    assert [(s["name"], bool(s["commands"])) for s in sections] == [("where", True), ("traffic", True)]
