# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Job of ours in the cluster: its objects, what its state means, and following it until it has done what it is for.

Its Secret is made after it and belongs to it, so that whatever ends us in between, credentials go when the Job goes: by
our hand, else by its time to live. The pod waits for the Secret.
"""

from __future__ import annotations

import base64
import time
import typing as t
import uuid
from dataclasses import dataclass

from . import _client, _module
from ._client import path_of
from ._objects import OUR_LABELS

OPTIONS: dict[str, t.Any] = {
    "image": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "service_account": {"type": "str", "default": "default"},
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},  # names of Secrets
    "node_selector": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "run_as_user": {"type": "int"},
    "resources": {
        "type": "dict",
        "default": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    },
    "python": {"type": "str", "default": "python3"},
    "start_timeout": {"type": "int", "default": 120},
    "deadline": {"type": "int", "default": 900},
}
CONTAINER = "bluegreen-mesh"
SECRET_LIMIT = 1 << 20  # bytes of data that the API server takes in one Secret
LOG_WAIT = 15.0  # seconds in which the log of a pod that has ended must have become complete
LATE = 30.0  # seconds that the controllers may take to end a Job whose deadline is over
POLL = 0.5
STARTING = ("ContainerCreating", "PodInitializing")
HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
ADVICE = (  # what a refusal speaks of -> what to do; the first that is found
    ("violates PodSecurity", "More than `restricted` is enforced there, or it was changed: take another namespace."),
    ("runAsNonRoot", "The image does not say by a number which user it runs as: give one with run_as_user."),
    ("exceeded quota", "Raise the quota of the namespace, take another one, or ask for less with resources."),
    ("must specify limits", "A quota there wants limits for all: set them with resources."),
    ("serviceaccount", "Check service_account."),
    ("Image", "Check image, image_pull_secrets, and that the nodes reach the registry."),
    ("not scheduled", "Check node_selector, tolerations and resources."),
    ("OOMKilled", "Allow it more memory with resources."),
    ("executable file not found", "The image needs Python 3.10 or newer: name it with python."),
    ("DeadlineExceeded", "Give it more time with deadline."),
)


def advice(why: str) -> str:
    return next((words for sign, words in ADVICE if sign in why), "The events of that namespace may say more.")


# -- its objects -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Work:
    """What a Job is for.

    kind: a word for its name and label; command: what the container runs; place: where it finds the files of its
    Secret; token: whether it talks to the API server; env_secret: name of a Secret with environment variables; tries:
    pods, where one was lost or failed; ttl: seconds for which it stays when done; env: more environment variables.
    """

    kind: str
    command: tuple[str, ...]
    place: str
    token: bool = False
    env_secret: str | None = None
    tries: int = 1
    ttl: int = 600
    env: tuple[tuple[str, str], ...] = ()


def new_name(kind: str) -> str:
    return f"bluegreen-mesh-{kind}-{uuid.uuid4().hex[:10]}"


def job(name: str, options: dict[str, t.Any], work: Work) -> dict[str, t.Any]:
    """The Job, as a namespace that enforces the Pod Security Standard `restricted` admits it."""
    labels = {**OUR_LABELS, "bluegreen.mesh/job": work.kind}
    security: dict[str, t.Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if options["run_as_user"] is not None:
        security["runAsUser"] = options["run_as_user"]
    container: dict[str, t.Any] = {
        "name": CONTAINER,
        "image": options["image"],
        "command": list(work.command),
        "env": [
            {"name": "HOME", "value": "/tmp"},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "PYTHONUNBUFFERED", "value": "1"},
            *({"name": key, "value": value} for key, value in work.env),
        ],
        "resources": options["resources"],
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "input", "mountPath": work.place, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }  # fmt: skip
    if work.env_secret:
        container["envFrom"] = [{"secretRef": {"name": work.env_secret}}]
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": options["service_account"],
        "automountServiceAccountToken": work.token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "imagePullSecrets": [{"name": one} for one in options["image_pull_secrets"]],
        "nodeSelector": options["node_selector"],
        "tolerations": options["tolerations"],
        "securityContext": security,
        "containers": [container],
        "volumes": [
            {"name": "input", "secret": {"secretName": name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
    # A mesh's proxy beside it would never end, and would speak for it.
    apart = {"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}
    notes = {"linkerd.io/inject": "disabled", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": options["namespace"], "labels": labels},
        "spec": {
            "backoffLimit": work.tries - 1,
            "activeDeadlineSeconds": options["start_timeout"] + options["deadline"],
            "ttlSecondsAfterFinished": work.ttl,
            "template": {"metadata": {"labels": {**labels, **apart}, "annotations": notes}, "spec": pod},
        },
    }


def secret(body: dict[str, t.Any], uid: str, files: t.Mapping[str, bytes]) -> dict[str, t.Any]:
    """What the Job's pod finds. uid: the Job's, or "" where there is none yet."""
    meta = body["metadata"]
    owner = {"apiVersion": body["apiVersion"], "kind": body["kind"], "name": meta["name"], "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**meta, **({"ownerReferences": [owner]} if uid else {})},
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
    }


def check(options: dict[str, t.Any], files: t.Mapping[str, bytes]) -> None:
    """Raises Refusal for what can't be."""
    for name in ("start_timeout", "deadline"):
        if options[name] < 1:
            raise _module.Refusal("bad_input", f"job.{name} is {options[name]}; it must be at least 1.")
    size = sum(map(len, files.values()))
    if size > SECRET_LIMIT:
        raise _module.Refusal(
            "too_large",
            f"what the Job has to know has {size} bytes, and a Secret takes {SECRET_LIMIT}. Probe fewer routes at once,"
            " or from a host (mesh_vantage).",
        )


# -- its state -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Seen:
    """phase: waiting, running, succeeded or failed; why: what keeps it from running, or ended it; hopeless: it will not
    get better by waiting; pod: name of its newest pod, or ""."""

    phase: str
    why: str = ""
    hopeless: bool = False
    pod: str = ""


def seen(
    body: dict[str, t.Any], pods: t.Sequence[dict[str, t.Any]], events: t.Sequence[dict[str, t.Any]]
) -> Seen:
    """What a Job, its pods and the warnings about them mean."""
    pod = max(pods, key=lambda one: one["metadata"].get("creationTimestamp") or "", default=None)
    name = pod["metadata"]["name"] if pod else ""
    over = {
        one["type"]: one for one in (body.get("status") or {}).get("conditions") or [] if one.get("status") == "True"
    }
    if "Complete" in over or "SuccessCriteriaMet" in over:
        return Seen("succeeded", pod=name)
    ended = _ended(pod) if pod else ""
    for condition in ("Failed", "FailureTarget"):
        if condition in over:
            words = f"{over[condition].get('reason')}: {over[condition].get('message')}"
            return Seen("failed", f"{words}; {ended}" if ended else words, pod=name)
    if pod is None:
        why = _warning(events, "Job")
        return Seen("waiting", why or "it has no pod yet", "violates PodSecurity" in why)
    phase = (pod.get("status") or {}).get("phase")
    if phase == "Succeeded":
        return Seen("succeeded", pod=name)
    if phase == "Failed":  # the Job says when no other pod will be made
        return Seen("running", ended, pod=name)
    container: dict[str, t.Any] = next(iter((pod.get("status") or {}).get("containerStatuses") or []), {})
    waiting = (container.get("state") or {}).get("waiting") or {}
    if "running" in (container.get("state") or {}):
        return Seen("running", pod=name)
    reason = waiting.get("reason") or ""
    if reason and reason not in STARTING:
        why = f"{reason}: {waiting.get('message') or 'image ' + str(container.get('image'))}"
        return Seen("waiting", why, reason in HOPELESS, name)
    unscheduled = next(
        (
            one.get("message") or one.get("reason")
            for one in (pod.get("status") or {}).get("conditions") or []
            if one.get("type") == "PodScheduled" and one.get("status") == "False"
        ),
        "",
    )
    if unscheduled:
        return Seen("waiting", f"not scheduled: {unscheduled}", pod=name)
    return Seen("waiting", _warning(events, "Pod") or reason or "its pod was not started yet", pod=name)


def _ended(pod: dict[str, t.Any]) -> str:
    status = pod.get("status") or {}
    container: dict[str, t.Any] = next(iter(status.get("containerStatuses") or []), {})
    ended = (container.get("state") or {}).get("terminated")
    if ended:
        words = f"its container ended with {ended.get('exitCode')}, {ended.get('reason')}"
        return f"{words}: {ended['message']}" if ended.get("message") else words
    return ": ".join(filter(None, (status.get("reason"), status.get("message"))))


def _warning(events: t.Sequence[dict[str, t.Any]], kind: str) -> str:
    """The newest warning about an object of this kind."""
    found = [
        one for one in events if one.get("type") == "Warning" and (one.get("involvedObject") or {}).get("kind") == kind
    ]
    last = max(found, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default=None)
    return f"{last.get('reason')}: {last.get('message')}" if last else ""


# -- in the cluster --------------------------------------------------------------------------------------------------
Result = t.TypeVar("Result")


class Run:
    """One Job in the cluster."""

    def __init__(
        self, cluster: _client.Cluster, options: dict[str, t.Any], work: Work, name: str = "",
        clock: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.options = options
        self.body = job(name or new_name(work.kind), options, work)
        self.name: str = self.body["metadata"]["name"]
        self.namespace: str = options["namespace"]
        self.where = f"Job {self.namespace}/{self.name}"
        self._clock, self._sleep = clock, sleep
        self._uid = ""

    def rehearse(self, files: t.Mapping[str, bytes]) -> None:
        """Has the API server check what would be made, which makes nothing."""
        check(self.options, files)
        self.cluster.create(path_of("batch/v1", "jobs", self.namespace), self.body, dry_run=True)
        self.cluster.create(path_of("v1", "secrets", self.namespace), secret(self.body, "", files), dry_run=True)

    def start(self, files: t.Mapping[str, bytes]) -> None:
        check(self.options, files)
        self._uid = self._create(path_of("batch/v1", "jobs", self.namespace), self.body)
        try:
            self._create(path_of("v1", "secrets", self.namespace), secret(self.body, self._uid, files))
        except (_client.ClusterError, _module.Refusal):
            self.remove()
            raise

    def exists(self) -> bool:
        return self.cluster.find(path_of("batch/v1", "jobs", self.namespace, self.name)) is not None

    def _create(self, path: str, body: dict[str, t.Any]) -> str:
        try:
            made = self.cluster.create(path, body)
        except _client.ApiError as exc:
            if exc.status in (400, 403) and ("quota" in exc.text or "denied the request" in exc.text):
                raise _module.Refusal(
                    "job_refused", f"{body['kind']} {self.namespace}/{self.name}: {exc.text}. {advice(exc.text)}"
                ) from exc
            if exc.reason != "AlreadyExists":
                raise
            made = self.cluster.get(f"{path}/{self.name}")  # nobody else takes this name: an earlier try had arrived
        return t.cast(str, made["metadata"]["uid"])

    def follow(self, done: t.Callable[[Seen], Result | None], within: float | None = None) -> Result:
        """Waits until done(state) returns something. Raises Refusal once it can't any more, or `within` is over."""
        began = self._clock()
        pause = POLL
        while True:
            now = self.look()
            if now.phase == "failed":
                raise self.refusal("job_failed", f"failed: {now.why}", now)
            result = done(now)
            if result is not None:
                return result
            passed = self._clock() - began
            if now.phase == "waiting" and (now.hopeless or passed > self.options["start_timeout"]):
                raise self.refusal("job_not_started", f"does not run after {passed:.0f} s: {now.why}", now)
            if within is not None and passed > within:
                raise self.refusal("job_not_started", f"is not at work after {passed:.0f} s", now)
            if passed > self.options["start_timeout"] + self.options["deadline"] + LATE:
                raise self.refusal("job_failed", f"is still {now.phase} after {passed:.0f} s: DeadlineExceeded", now)
            self._sleep(pause)
            pause = min(2.0, pause * 1.2)

    def result(self, read: t.Callable[[str], Result], cut: type[Exception]) -> Result:
        """What read(log) makes of its log once it has ended well; read raises `cut` for a log that lacks something."""
        ended: list[float] = []

        def done(now: Seen) -> Result | None:
            if now.phase != "succeeded":
                return None
            ended.append(self._clock())
            try:
                return read(self.log(now.pod))
            except cut as exc:
                if self._clock() - ended[0] > LOG_WAIT:
                    raise self.refusal("incomplete", f"ended well, and yet {exc}", now) from exc
            return None

        return self.follow(done)

    def look(self) -> Seen:
        body = self.cluster.find(path_of("batch/v1", "jobs", self.namespace, self.name))
        if body is None:
            return Seen("failed", "it was deleted by somebody else")
        selector = {"labelSelector": f"batch.kubernetes.io/job-name={self.name}"}
        pods = self.cluster.list(path_of("v1", "pods", self.namespace), selector)
        now = seen(body, pods, [])
        if now.phase != "waiting":
            return now
        about = {self.name: "Job", now.pod: "Pod"}
        events = self.cluster.list(path_of("v1", "events", self.namespace), {"fieldSelector": "type=Warning"})
        mine = [
            one for one in events
            if about.get((one.get("involvedObject") or {}).get("name")) == (one.get("involvedObject") or {}).get("kind")
        ]  # fmt: skip
        return seen(body, pods, mine)

    def log(self, pod: str) -> str:
        path = path_of("v1", "pods", self.namespace, pod, "log")
        status, _headers, data = self.cluster.raw("GET", path, query={"container": CONTAINER})
        if status >= 400:
            raise _client.ApiError(status, "GET", path, text=data[:300].decode("utf-8", "replace"))
        return data.decode("utf-8", "replace")

    def remove(self, uid: str = "") -> bool:
        """Deletes it, with its pods and its Secret. Returns whether it was there."""
        path = path_of("batch/v1", "jobs", self.namespace, self.name)
        try:
            self.cluster.delete(path, uid=uid or self._uid, foreground=True)
        except _client.ApiError as exc:
            if exc.status not in (404, 409):  # gone, or another one's
                raise
            return False
        return True

    def refusal(self, code: str, what: str, now: Seen) -> _module.Refusal:
        tail = ""
        if now.pod:
            try:
                lines = [line for line in self.log(now.pod).splitlines() if 0 < len(line) < 2000]  # no part of a result
                tail = "\n".join(lines[-20:])[-3000:]
            except _client.ClusterError:  # a pod that never ran has none, and one that was deleted neither
                pass
        words = f"{self.where} {what}. {advice(what + tail)}"
        return _module.Refusal(
            code, f"{words} The end of its log:\n{tail}" if tail else words, job=self.name, namespace=self.namespace
        )
