# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import copy
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bluegreen.mesh.plugins.module_utils import _job, _module, _vantage, _verify, _watchdog
from ansible_collections.bluegreen.mesh.plugins.modules import route_verify, watchdog_job
from fake_cluster import FakeCluster, run_module
from loopback import Server, certificate_files, make_certificate
from test_verify import route

NAMESPACE = "mesh"
SECRET = "s3cr3t-t0ken.of-anna"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


def options(**changes):
    given = {"job": {"image": "registry.example.com/ee:1", "namespace": NAMESPACE, **changes}}
    checked = ArgumentSpecValidator({"job": {"type": "dict", "options": _job.OPTIONS}}).validate(given)
    assert not checked.error_messages
    return checked.validated_parameters["job"]


WORK = _job.Work("probe", ("python3", "x"), "/run/x")


# -- the objects -----------------------------------------------------------------------------------------------------
def test_a_namespace_that_enforces_restricted_admits_it():
    spec = _job.job("a", options(), WORK)["spec"]
    pod = spec["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(volume.keys() & {"secret", "emptyDir"} for volume in pod["volumes"])
    assert container["resources"]["requests"] and container["resources"]["limits"]
    assert pod["automountServiceAccountToken"] is False and pod["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 120 + 900 and spec["backoffLimit"] == 0
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_what_is_asked_for_is_in_it():
    given = options(
        service_account="s", image_pull_secrets=["p"], node_selector={"a": "b"}, tolerations=[{"operator": "Exists"}],
        run_as_user=1000, resources={"limits": {"memory": "1Gi"}}, start_timeout=5, deadline=7,
    )  # fmt: skip
    work = _job.Work("watchdog", ("x",), "/run/x", token=True, env_secret="aws", tries=3, ttl=9)
    body = _job.job("a", given, work)
    spec = body["spec"]
    pod = spec["template"]["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (12, 2, 9)
    assert pod["serviceAccountName"] == "s" and pod["imagePullSecrets"] == [{"name": "p"}]
    assert pod["nodeSelector"] == {"a": "b"} and pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["securityContext"]["runAsUser"] == 1000 and pod["automountServiceAccountToken"] is True
    assert pod["containers"][0]["resources"] == {"limits": {"memory": "1Gi"}}
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert body["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "bluegreen.mesh", "bluegreen.mesh/job": "watchdog",
    }  # fmt: skip


def test_the_secret_goes_with_the_job():
    body = _job.secret(_job.job("a", options(), WORK), "some-uid", {"x": b"\0y"})
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": "some-uid"}
    ]
    assert body["data"] == {"x": base64.b64encode(b"\0y").decode()} and body["immutable"] is True


@pytest.mark.parametrize(
    ("changes", "files", "code"),
    [
        ({"deadline": 0}, {}, "bad_input"),
        ({"start_timeout": 0}, {}, "bad_input"),
        ({}, {"x": b"x" * 2**21}, "too_large"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_made(changes, files, code):
    cluster = FakeCluster().add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with pytest.raises(_module.Refusal) as caught:
        _job.Run(cluster, options(**changes), WORK).start(files)
    assert caught.value.code == code and cluster.total == 0


# -- what its state means --------------------------------------------------------------------------------------------
def pod(phase="Pending", state=None, conditions=(), **status):
    containers = [{"image": "ee:1", "state": state}] if state else []
    return {
        "metadata": {"name": "a-1"},
        "status": {"phase": phase, "containerStatuses": containers, "conditions": list(conditions), **status},
    }


def job(*conditions):
    return {"status": {"conditions": [{"status": "True", **one} for one in conditions]}}


def warning(kind, message, reason="FailedCreate", at="2026-01-01T00:00:00Z"):
    return {
        "type": "Warning", "reason": reason, "message": message, "lastTimestamp": at, "involvedObject": {"kind": kind},
    }  # fmt: skip


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


RUNNING = pod("Running", {"running": {}})
FORBIDDEN = 'pods "a-1" is forbidden: '
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}


@pytest.mark.parametrize(
    ("body", "pods", "events", "phase", "hopeless", "why", "advice"),
    [
        (job(), [], [], "waiting", False, "no pod yet", "events"),
        (job(), [], [warning("Job", FORBIDDEN + 'violates PodSecurity "x"')], "waiting", True, "violates", "restricted"),
        (job(), [], [warning("Job", FORBIDDEN + "exceeded quota: q")], "waiting", False, "exceeded", "quota"),
        (job(), [], [warning("Job", 'error looking up service account m/s: serviceaccount "s" not found')],
         "waiting", False, "looking up", "service_account"),
        (job(), [pod(conditions=[UNSCHEDULED])], [], "waiting", False, "0/2 nodes", "node_selector"),
        (job(), [pod(state=waiting("ErrImagePull", "denied"))], [], "waiting", False, "denied", "image_pull_secrets"),
        (job(), [pod(state=waiting("ImagePullBackOff"))], [], "waiting", False, "ee:1", "image_pull_secrets"),
        (job(), [pod(state=waiting("InvalidImageName"))], [], "waiting", True, "ee:1", "image"),
        (job(), [pod(state=waiting("CreateContainerConfigError", "runAsNonRoot, and the image runs as root"))],
         [], "waiting", True, "as root", "run_as_user"),
        (job(), [pod(state=waiting("ContainerCreating"))], [warning("Pod", 'secret "a" not found', "FailedMount")],
         "waiting", False, "FailedMount", "events"),
        (job(), [pod(state=waiting("ContainerCreating"))], [warning("Job", "older")], "waiting", False,
         "ContainerCreating", "events"),
        (job(), [pod("Running", {"running": {}})], [], "running", False, "", "events"),
        (job(), [pod("Succeeded")], [], "succeeded", False, "", "events"),
        (job({"type": "Complete"}), [], [], "succeeded", False, "", "events"),
        (job(), [pod("Failed")], [], "running", False, "", "events"),
        (job({"type": "Failed", "reason": "BackoffLimitExceeded", "message": "m"}),
         [pod("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}})], [],
         "failed", False, "137", "memory"),
        (job({"type": "Failed", "reason": "BackoffLimitExceeded", "message": "m"}),
         [pod("Failed", {"terminated": {"exitCode": 128, "reason": "StartError",
                                        "message": 'exec: "python3": executable file not found in $PATH'}})],
         [], "failed", False, "StartError", "python"),
        (job({"type": "Failed", "reason": "BackoffLimitExceeded", "message": "m"}),
         [pod("Failed", reason="Evicted", message="low on memory")], [], "failed", False, "low on memory", "events"),
        (job({"type": "Failed", "reason": "DeadlineExceeded", "message": "too long"}), [], [], "failed", False,
         "too long", "deadline"),
    ],
)  # fmt: skip
def test_what_a_state_means(body, pods, events, phase, hopeless, why, advice):
    now = _job.seen(body, pods, events)
    assert (now.phase, now.hopeless) == (phase, hopeless)
    assert why in now.why and advice in _job.advice(now.why)


def test_the_newest_pod_and_the_newest_warning_count():
    old = {**pod("Failed"), "metadata": {"name": "old", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    new = {**RUNNING, "metadata": {"name": "new", "creationTimestamp": "2026-01-02T00:00:00Z"}}
    pods = [old, new]
    assert _job.seen(job(), pods, []) == _job.Seen("running", pod="new")
    events = [warning("Job", "second", at="2026-01-02T00:00:00Z"), warning("Job", "first")]
    assert "second" in _job.seen(job(), [], events).why


# -- what goes to the pod and comes back -----------------------------------------------------------------------------
def params(*routes, **changes):
    blue, green = {"ports": {"443": "127.0.0.1:1"}}, {"ports": {"443": "127.0.0.1:2"}}
    given = {"routes": list(routes), "blue": blue, "green": green, **changes}
    checked = ArgumentSpecValidator(route_verify.SPEC).validate(given)
    assert not checked.error_messages
    return checked.validated_parameters


def unpacked(files):
    return json.loads(gzip.decompress(files[_vantage.INPUT]))


def test_secrets_are_files_and_nothing_else_names_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    for name in ("crt", "key"):
        (tmp_path / name).write_text(f"the {name}")
    authority, _key = make_certificate(["r.test"])
    (tmp_path / "ca").write_bytes(authority)
    anna = {"name": "anna", "hosts": ["r.test"], "token_env": "TOKEN"}
    certificate = {"client_cert": str(tmp_path / "crt"), "client_key": str(tmp_path / "key")}
    ben = {"name": "ben", "hosts": ["r.test"], **certificate}
    files = _vantage.files_of(params(route(), identities=[anna, ben], ca_file=str(tmp_path / "ca")))
    there = unpacked(files)
    assert there["ca_file"] == "/run/bluegreen-mesh/ca.crt" and files["ca.crt"] == authority
    assert there["identities"] == [
        {"name": "anna", "hosts": ["r.test"], "token_file": "/run/bluegreen-mesh/identity-0.token"},
        {"name": "ben", "hosts": ["r.test"], "client_cert": "/run/bluegreen-mesh/identity-1.client_cert",
         "client_key": "/run/bluegreen-mesh/identity-1.client_key"},
    ]  # fmt: skip
    assert files["identity-0.token"].decode() == SECRET and files["identity-1.client_key"] == b"the key"
    assert SECRET not in json.dumps(there)


def test_a_ca_file_without_authorities_is_refused_before_a_job_is_made(tmp_path):
    (tmp_path / "ca").write_text("no PEM")
    for path in (str(tmp_path / "ca"), "/nonexistent/ca.crt"):
        with pytest.raises(ValueError, match=f"ca_file {path} can't be read"):
            _vantage.files_of(params(route(), ca_file=path))


def test_ten_thousand_routes_fit_into_one_secret():
    many = [
        route(f"team-{i}/app-{i} http[0].match[{i % 7}] h2", host=f"app-{i}.team-{i}.example.com", path=f"/v{i % 9}/")
        for i in range(10_000)
    ]
    files = _vantage.files_of(params(*many))
    assert len(unpacked(files)["routes"]) == 10_000
    _job.check(options(), files)


def answered(number):
    many = [{"id": f"team-{i}/app-{i * 7919}", "verdict": "equal", "differences": []} for i in range(number)]
    return {"result": {"verified": True, "routes": many}}


def test_a_long_result_is_read_from_a_log_with_other_lines_in_it():
    lines = _vantage.lines_of(answered(20_000))
    assert len(lines) > 5 and max(map(len, lines)) < 16_000
    log = "before\n" + "\nsomething else\n".join(lines) + "\nafter"
    assert _vantage.read(log) == answered(20_000)["result"]


@pytest.mark.parametrize("lost", [0, 3, -1])
def test_a_log_that_lost_a_line_is_no_result(lost):
    lines = _vantage.lines_of(answered(20_000))
    del lines[lost]
    with pytest.raises(_vantage.Incomplete, match=f"{len(lines)} of {len(lines) + 1} parts"):
        _vantage.read("\n".join(lines))


def test_an_empty_log_a_line_that_was_cut_and_a_changed_one_are_no_result():
    with pytest.raises(_vantage.Incomplete, match="0 of an unknown number"):
        _vantage.read("Traceback")
    lines = _vantage.lines_of(answered(20_000))
    for changed in (lines[1][:-5], lines[1][:-1] + ("A" if lines[1][-1] != "A" else "B")):
        with pytest.raises(_vantage.Incomplete, match="not what was written"):
            _vantage.read("\n".join([lines[0], changed, *lines[2:]]))


RUN = """
import sys
sys.path.insert(0, sys.argv[1] + "/probe.pyz")
from bluegreen_mesh import _vantage
_vantage.main(sys.argv[1])
print("with", sorted(name for name in sys.modules if name.startswith("ansible")))
"""


def play(files, folder, *flags):
    """What a pod writes to its log: the shipped program, in a folder that is told to it."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = [sys.executable, "-I", *flags, "-c", RUN, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)
    return done.stdout + done.stderr


@pytest.fixture
def there(tmp_path, monkeypatch):
    """The pod's folder."""
    folder = tmp_path / "there"
    folder.mkdir()
    monkeypatch.setattr(_vantage, "PLACE", str(folder))
    return folder


@pytest.fixture
def sides(tmp_path):
    with Server(tls=certificate_files(tmp_path)) as server:
        yield {"blue": {"ports": {"443": server.address}}, "green": {"ports": {"443": server.address}}}


def without_time(result):
    return {name: value for name, value in result.items() if name not in ("seconds", "rate")}


def test_the_program_gives_the_same_result_as_it_does_here(there, sides):
    given = params(route(path="/a"), route("b", path="/status/404"), route("c", port=8443), **sides)
    log = play(_vantage.files_of(given), there)
    assert "with []" in log, "it needs Ansible"
    assert without_time(_vantage.read(log)) == without_time(_verify.perform(given))
    assert _vantage.read(log)["counts"] == {"equal": 2, "different": 0, "unreachable": 0, "not_probed": 1}


def test_without_pycurl_the_program_says_so(there, sides):
    log = play(_vantage.files_of(params(route(), **sides)), there, "-S")
    with pytest.raises(ValueError, match="the image has no pycurl"):
        _vantage.read(log)


# -- the whole module ------------------------------------------------------------------------------------------------
class World(FakeCluster):
    """A cluster that runs our Job at once. state: its container's, instead; log: what becomes of what was written."""

    def __init__(self, folder, state=None, log=lambda text: text):
        super().__init__()
        self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.made = []
        self.deleted = []
        self.folder, self.state, self.change = folder, state, log
        self.on("POST", "/api/v1/namespaces/*/secrets", self._secret)
        self.on("GET", "/api/v1/namespaces/*/pods", self._pods)
        self.on("GET", "/api/v1/namespaces/*/log", self._log)
        self.on("GET", "/api/v1/namespaces/*/events", lambda _request: (200, {"kind": "EventList", "items": []}))
        self.on("DELETE", "*", self.deleted.append)

    def _secret(self, request):
        if not request.query.get("dryRun"):
            self.made.append(request.body)

    def _pods(self, request):
        name = request.query["labelSelector"].partition("=")[2]
        phase = "Pending" if self.state else "Succeeded"
        body = copy.deepcopy(pod(phase, self.state))
        body["metadata"]["name"] = f"{name}-x"
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [body]}

    def _log(self, _request):
        if self.state:
            return 400, b"container is waiting to start"
        files = {name: base64.b64decode(value) for name, value in self.made[-1]["data"].items()}
        return 200, self.change(play(files, self.folder)).encode()


def verify(cluster, sides, *routes, check=False, job=None, **more):
    given = {"image": "ee:1", "namespace": NAMESPACE, **(job or {})}
    return run_module(
        route_verify, {"routes": list(routes or [route()]), "job": given, **sides, **more}, cluster, check=check
    )


def test_from_a_pod_as_from_here_and_nothing_stays(there, sides):
    cluster = World(there)
    result = verify(cluster, sides)
    assert result["verified"] and result["counts"]["equal"] == 1 and not result["changed"]
    (secret,) = cluster.made
    assert secret["metadata"]["ownerReferences"][0]["name"] == secret["metadata"]["name"]
    assert cluster.names("jobs") == []
    assert cluster.deleted[0].body["propagationPolicy"] == "Foreground"


def test_a_difference_is_found_from_a_pod_too(there, sides, tmp_path):
    with Server(tls=certificate_files(tmp_path / "there")) as other:
        broken = {**sides, "green": {"ports": {"443": other.address}}}
        result = verify(World(there), broken)
    assert result["failed"] and result["failure"]["code"] == "not_equal" and result["counts"]["different"] == 1


def test_a_job_that_can_not_start_is_an_error_and_is_removed(there, sides):
    cluster = World(there, waiting("InvalidImageName", "couldn't parse it"))
    result = verify(cluster, sides)
    assert result["failed"] and result["failure"]["code"] == "job_not_started"
    assert "couldn't parse it" in result["msg"] and "Check image" in result["msg"]
    assert "container is waiting" not in result["msg"]
    assert cluster.names("jobs") == []


def test_a_log_that_was_cut_is_an_error(there, sides, monkeypatch):
    monkeypatch.setattr(_job, "LOG_WAIT", -1.0)
    result = verify(World(there, log=lambda text: text.replace(f"{_vantage.MARK} 1/", "")), sides)
    assert result["failed"] and result["failure"]["code"] == "incomplete" and "1 of 2 parts" in result["msg"]


def test_what_the_pod_refuses_is_an_error(there, sides):
    gone = {"name": "anna", "hosts": ["x"], "client_cert": "/gone", "client_key": "/gone"}
    result = verify(cluster := World(there), sides, identities=[gone])
    assert result["failed"] and "/gone does not exist here" in result["msg"] and cluster.total == 0


def test_a_quota_that_refuses_the_job_is_no_missing_permission(there, sides):
    cluster = World(there)
    cluster.fail("POST", JOBS, 403, "Forbidden", "exceeded quota: jobs, requested: count/jobs.batch=1")
    result = verify(cluster, sides)
    assert result["failure"]["code"] == "job_refused" and "Raise the quota" in result["msg"]


def test_without_permission_for_the_secret_no_job_stays(there, sides):
    cluster = World(there)
    cluster.fail("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", 403, "Forbidden", "no")
    result = verify(cluster, sides)
    assert result["failure"]["status"] == 403 and cluster.names("jobs") == []


def test_check_mode_makes_nothing_and_verifies_nothing(there, sides):
    cluster = World(there)
    result = verify(cluster, sides, check=True)
    assert not result.get("failed") and not result["verified"] and result["counts"]["not_probed"] == 1
    assert cluster.writes == 0 and {request.query.get("dryRun") for request in cluster.log} == {"All"}


@pytest.mark.parametrize("bad", [{"passes": 0}, {"masks": ["("]}, {"routes": [{"id": "x"}]}, {"job": {"deadline": 0}}])
def test_bad_input_reaches_no_cluster(there, sides, bad):
    routes = bad.pop("routes", [route()])
    cluster = World(there)
    result = verify(cluster, sides, *routes, **bad)
    assert result["failed"] and cluster.total == 0


def test_a_job_needs_a_cluster_that_is_named(there, sides, monkeypatch):
    for name in ("K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    job = {"image": "ee:1", "namespace": NAMESPACE}
    result = run_module(route_verify, {"routes": [route()], "job": job, **sides})
    assert result["failed"] and "kubeconfig and context must both be given" in result["msg"]


# -- following it ----------------------------------------------------------------------------------------------------
class Clock:
    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds


def following(cluster, **changes):
    clock = Clock()
    return _job.Run(cluster, options(**changes), WORK, clock=lambda: clock.now, sleep=clock.sleep), clock


def test_what_may_get_better_is_waited_for_until_the_start_timeout(there):
    run, clock = following(World(there, waiting("ImagePullBackOff", "not found")), start_timeout=60)
    run.start({})
    with pytest.raises(_module.Refusal, match="ImagePullBackOff: not found") as caught:
        run.follow(lambda _now: None)
    assert caught.value.code == "job_not_started" and 60 < clock.now < 70


def test_one_that_nobody_ends_is_given_up(there):
    run, clock = following(World(there, {"running": {}}), start_timeout=1, deadline=10)
    run.start({})
    with pytest.raises(_module.Refusal, match="still running"):
        run.follow(lambda _now: None)
    assert 11 + _job.LATE < clock.now < 11 + _job.LATE + 5


def test_one_that_was_deleted_by_others_has_failed(there):
    cluster = World(there, {"running": {}})
    run, _clock = following(cluster)
    run.start({})
    cluster.delete(f"{JOBS}/{run.name}")
    with pytest.raises(_module.Refusal, match="deleted by somebody else"):
        run.follow(lambda _now: None)


def test_a_start_whose_answer_was_lost_is_not_made_twice(there):
    cluster = World(there, {"running": {}})
    run, _clock = following(cluster)
    cluster.add({**run.body, "metadata": {**run.body["metadata"], "uid": "first-try"}})
    run.start({})
    assert cluster.made[0]["metadata"]["ownerReferences"][0]["uid"] == "first-try"


# -- a watchdog ------------------------------------------------------------------------------------------------------
STEP = "7-50"
KEY = "the TSIG key, 50 of them"
VARIABLES = {"watchdog_step": STEP, "mesh_kubeconfig": "/home/me/kubeconfig", "mesh_balancer": {"key_secret": KEY}}


class Watched(FakeCluster):
    """A cluster whose pods are in these states, one after the other (the last one stays), and write this log."""

    def __init__(self, *states, log=f"ok: watches step {STEP}\n"):
        super().__init__()
        self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.states = list(states)
        self.made = []
        self.on("GET", "/api/v1/namespaces/*/pods", self._pods)
        self.on("GET", "/api/v1/namespaces/*/log", lambda _request: (200, log.encode()))
        self.on("GET", "/api/v1/namespaces/*/events", lambda _request: (200, {"kind": "EventList", "items": []}))
        self.on("POST", "/api/v1/namespaces/*/secrets", lambda request: self.made.append(request.body))

    def _pods(self, _request):
        items = [self.states.pop(0) if len(self.states) > 1 else self.states[0]]
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


DIED = pod("Failed", {"terminated": {"exitCode": 2, "reason": "Error"}})


def watchdog(cluster, check=False, job=None, **more):
    given = {"image": "ee:1", "namespace": NAMESPACE, "service_account": "watchdog", **(job or {})}
    params = {"migration": "m", "step": STEP, "variables": json.dumps(VARIABLES), "job": given, **more}
    return run_module(watchdog_job, params, cluster, check=check)


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(_job, "POLL", 0.0)


@pytest.mark.usefixtures("no_pause")
def test_a_watchdog_is_started_once_and_awaited_until_it_watches():
    cluster = Watched(pod(state=waiting("ContainerCreating")), RUNNING)
    result = watchdog(cluster)
    assert result["changed"] and result["diff"] == {"before": {"exists": False}, "after": {"exists": True}}
    assert cluster.names("jobs") == [result["name"]] and len(result["name"]) <= 63
    again = watchdog(cluster)
    assert not again.get("failed") and not again["changed"] and again["name"] == result["name"]
    assert cluster.names("jobs") == [result["name"]]


def test_the_pod_speaks_for_its_service_account_and_knows_what_it_was_told():
    cluster = Watched(RUNNING)
    name = watchdog(cluster, env_secret="aws")["name"]
    data = {key: base64.b64decode(value) for key, value in cluster.made[0]["data"].items()}
    told = json.loads(data["variables.json"])
    assert told == {
        **VARIABLES, "mesh_kubeconfig": "/run/bluegreen-mesh/kubeconfig", "mesh_context": "watchdog",
    }  # fmt: skip
    config = json.loads(data["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://kubernetes.default.svc"
    assert config["users"][0]["user"] == {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}
    spec = cluster.peek("jobs", NAMESPACE, name)["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is True and spec["serviceAccountName"] == "watchdog"
    assert spec["containers"][0]["command"][:4] == ["python3", "-m", "ansible", "playbook"]
    assert spec["containers"][0]["envFrom"] == [{"secretRef": {"name": "aws"}}]
    places = {one["value"] for one in spec["containers"][0]["env"] if one["name"] in ("HOME", "ANSIBLE_REMOTE_TMP")}
    assert len(places) == 2 and all(place.startswith("/tmp") for place in places), "it can write nowhere else"


def test_nothing_that_it_was_told_is_shown_and_nothing_else_is_hidden():
    result = watchdog(Watched(RUNNING))
    assert KEY not in json.dumps(result) and result["name"].startswith("bluegreen-mesh-watchdog-")
    failed = watchdog(Watched(DIED, log="fatal: no journal m of 50\n"))
    assert KEY not in json.dumps(failed) and "fatal: no journal m of 50" in failed["msg"]


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (Watched(DIED, log="no module named ansible"), ("ended with 2", "no module named ansible")),
        (Watched(pod("Succeeded"), log="PLAY RECAP"), ("ended without saying that it watches step 7-50", "PLAY RECAP")),
        (Watched(pod(state=waiting("InvalidImageName", "bad"))), ("InvalidImageName: bad", "Check image")),
        (Watched(RUNNING, log="watches step 6-50"), ("is not at work after",)),
    ],
)
@pytest.mark.usefixtures("no_pause")
def test_a_watchdog_that_does_not_watch_is_an_error_and_is_removed(cluster, words):
    result = watchdog(cluster, job={"start_timeout": 1})
    assert result["failed"] and all(word in result["msg"] for word in words), result["msg"]
    assert cluster.names("jobs") == []


def test_a_watchdog_is_removed_once():
    cluster = Watched(RUNNING)
    name = watchdog(cluster)["name"]
    assert watchdog(cluster, state="absent", check=True)["changed"] and cluster.names("jobs") == [name]
    assert watchdog(cluster, state="absent")["changed"] and cluster.names("jobs") == []
    assert not watchdog(cluster, state="absent")["changed"]


def test_in_check_mode_no_watchdog_is_made():
    cluster = Watched(RUNNING)
    assert watchdog(cluster, check=True)["changed"] and cluster.writes == 0


@pytest.mark.parametrize("variables", ["[]", "no JSON"])
def test_variables_that_are_none_reach_no_job(variables):
    cluster = Watched(RUNNING)
    result = watchdog(cluster, variables=variables)
    assert result["failed"] and "variables is not JSON of a dictionary" in result["msg"] and cluster.writes == 0


def test_the_playbook_says_the_words_that_are_waited_for():
    text = (Path(__file__).parents[2] / "playbooks" / "watchdog.yml").read_text(encoding="utf-8")
    assert _watchdog.says("{{ watchdog_step }}") in text


def test_each_step_of_each_migration_has_a_watchdog_of_its_own():
    names = {_watchdog.name_of(*one) for one in (("a", "1-50"), ("a", "1-75"), ("b", "1-50"))}
    assert len(names) == 3 and _watchdog.name_of("a", "1-50") in names
