"""Stands for scheduler and kubelet: turns pods into local processes and reports what became of them.

Each pod gets a network namespace behind its node's bridge, an address of the node's range, a host name, and the
program that stands for its image. Status, readiness, restarts, the end of what runs once, and graceful termination are
as a kubelet does them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import traceback
import typing as t
import urllib.error
from datetime import datetime, timezone
from pathlib import Path

from . import images, net
from . import settings as s
from .control_plane import Api
from .proc import http_ok, start

PROBE_SECONDS = 0.2  # between readiness probes until a pod is ready; then PROBE_READY_SECONDS
PROBE_READY_SECONDS = 2.0
UNREADY_AFTER = 3  # failed probes in a row, a kubelet's default: one late answer must not take a pod's endpoint away
RESTART_SECONDS = 1.0
MOUNT_SECONDS = 0.3  # between tries to find the Secret or ConfigMap of a volume


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def exit_code(returned: int) -> int:
    """As a shell and a kubelet count it: 128 and the signal's number."""
    return returned if returned >= 0 else 128 - returned


def phase_after(pod: t.Mapping[str, t.Any], returned: int, ending: bool) -> str:
    """A pod's phase once its container has ended: Running means that it is started again, or was to go anyway."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if policy == "Always":
        return "Running"
    if returned == 0:
        return "Succeeded"
    return "Failed" if policy == "Never" or ending else "Running"


def pause_before_stop(pod: t.Mapping[str, t.Any]) -> float:
    """Seconds for which a container goes on before it is told to stop (lifecycle.preStop.sleep)."""
    hook = (pod["spec"]["containers"][0].get("lifecycle") or {}).get("preStop") or {}
    return float((hook.get("sleep") or {}).get("seconds") or 0)


class Addresses:
    """Free addresses of each node. One that was given back is reused last, as connections to it may still linger."""

    def __init__(self) -> None:
        self._free = {node: [f"{prefix}.{i}" for i in range(10, 250)] for node, prefix in s.POD_NETS.items()}
        self._lock = threading.Lock()

    def take(self, node: str) -> str:
        with self._lock:
            return self._free[node].pop(0)

    def give_back(self, node: str, address: str) -> None:
        with self._lock:
            self._free[node].append(address)


class PodProcess(threading.Thread):
    """The life of one pod, from its binding to a node until it is gone."""

    def __init__(self, api: Api, addresses: Addresses, pod: dict[str, t.Any]) -> None:
        super().__init__(daemon=True, name=pod["metadata"]["name"])
        self.api = api
        self.addresses = addresses
        self.pod = pod
        self.uid = pod["metadata"]["uid"]
        self.path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        self.netns = f"pod-{self.uid[:13]}"
        # In the lab's own file system: short enough for UNIX sockets (107 bytes), and its secrets are gone with the lab.
        self.folder = Path("/run/pods") / self.uid[:13]
        self.log = s.LOGS / "pods" / f"{pod['metadata']['namespace']}_{pod['metadata']['name']}.log"
        self.address = ""
        self.ready = False
        self.restarts = 0
        self.started_at = ""
        self.phase = "Pending"
        self.state: dict[str, t.Any] = {}  # of the container
        self._wake = threading.Event()
        self._grace: float | None = None  # seconds; set when the pod is to end

    def end(self, grace: float) -> None:
        if self._grace is None:
            self._grace = grace
            self._wake.set()

    def run(self) -> None:
        try:
            self._run()
        except Exception:  # a pod that can't start must not take the runner with it; its log says why
            traceback.print_exc()

    def _run(self) -> None:
        node = self.pod["spec"]["nodeName"]
        self.address = self.addresses.take(node)
        self.folder.mkdir(parents=True, exist_ok=True)
        net.add_pod(self.netns, node, self.address)
        try:
            while self._grace is None and self.phase not in ("Succeeded", "Failed"):
                self._live_once()
            while self._grace is None:  # it has run, and its log may be asked for until it is deleted
                self._wake.wait()
        finally:
            net.delete_pod(self.netns)
            self.addresses.give_back(node, self.address)
            shutil.rmtree(self.folder, ignore_errors=True)
            self._forget()

    def _live_once(self) -> None:
        """Runs the program until it ends or is to end."""
        program = self._prepared()
        if program is None:
            return
        hostname = ["unshare", "--uts", "sh", "-c", 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"']
        process = start(
            self.netns, [*hostname, self.pod["metadata"]["name"], *program.argv], netns=self.netns, env=program.env,
            cwd=self.folder, log=self.log,
        )  # fmt: skip
        self.started_at = now()
        self.phase, self.state = "Running", {"running": {"startedAt": self.started_at}}
        self._report()
        failed = 0
        while process.poll() is None and self._grace is None:
            failed = 0 if self._probe(program) else failed + 1
            ready = failed == 0 or (self.ready and failed < UNREADY_AFTER)
            if ready != self.ready:
                self.ready = ready
                print(f"{now()} {self.path}: {'ready' if ready else 'not ready'}", flush=True)
                self._report()
            self._wake.wait(PROBE_READY_SECONDS if self.ready and not program.ends else PROBE_SECONDS)
        if self._grace is not None:
            self._terminate(process)
        self.ready = False
        self.phase = phase_after(self.pod, process.returncode, self._grace is not None)
        if self.phase != "Running":
            code = exit_code(process.returncode)
            self.state = {"terminated": {
                "exitCode": code, "reason": "Error" if code else "Completed",
                "startedAt": self.started_at, "finishedAt": now(),
            }}  # fmt: skip
            self._report()
        elif self._grace is None:
            self.restarts += 1
            print(f"{self.path}: ended with {process.returncode}, restart {self.restarts}", flush=True)
            self._report()
            self._wake.wait(RESTART_SECONDS * min(self.restarts, 10))

    def _prepared(self) -> images.Program | None:
        """Pulls the image and fills the volumes, which may take until somebody makes what is missing."""
        while self._grace is None:
            try:
                return images.program(self.pod, self.address, self.folder, self.api)
            except images.Waiting as exc:
                if self.state != exc.state:
                    self.state = exc.state
                    self._report()
                self._wake.wait(MOUNT_SECONDS)
        return None

    def _terminate(self, process: subprocess.Popen[bytes]) -> None:
        grace = self._grace or 0.0
        before = min(pause_before_stop(self.pod), grace)
        try:
            process.wait(before)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace - before)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _probe(self, program: images.Program) -> bool:
        if program.ends:
            return True
        try:
            if program.ready_url:
                return http_ok(program.ready_url)
            with socket.create_connection((self.address, program.ready_port), timeout=1):
                return True
        except OSError:
            return False

    def _report(self) -> None:
        container = self.pod["spec"]["containers"][0]
        began = self.started_at or now()
        condition = {"lastTransitionTime": now(), "status": "True" if self.ready else "False"}
        status = {
            "phase": self.phase, "podIP": self.address, "podIPs": [{"ip": self.address}], "startTime": began,
            "hostIP": s.NODES[self.pod["spec"]["nodeName"]],
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": began},
                {"type": "Initialized", "status": "True", "lastTransitionTime": began},
                {"type": "ContainersReady", **condition},
                {"type": "Ready", **condition},
            ],
            "containerStatuses": [{
                "name": container["name"], "image": container["image"], "imageID": "lab", "ready": self.ready,
                "started": self.phase == "Running", "restartCount": self.restarts, "state": self.state,
            }],
        }  # fmt: skip
        try:
            self.api("PATCH", self.path + "/status", {"metadata": {"uid": self.uid}, "status": status},
                     "application/merge-patch+json")  # fmt: skip
        except urllib.error.HTTPError as exc:
            if exc.code not in (404, 409):
                raise

    def _forget(self) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        try:
            self.api("DELETE", self.path, body)
        except urllib.error.HTTPError as exc:
            if exc.code not in (404, 409):
                raise


class Runner:
    def __init__(self) -> None:
        self.api = Api()
        self.addresses = Addresses()
        self.pods: dict[str, PodProcess] = {}

    def bind(self, pod: dict[str, t.Any]) -> None:
        """Schedules: the node with the fewest pods of the same owner, then the fewest pods."""
        owner = (pod["metadata"].get("ownerReferences") or [{}])[0].get("uid")

        def load(node: str) -> tuple[int, int]:
            there = [p.pod for p in self.pods.values() if p.is_alive() and p.pod["spec"].get("nodeName") == node]
            same = [p for p in there if (p["metadata"].get("ownerReferences") or [{}])[0].get("uid") == owner]
            return len(same), len(there)

        node = (pod["spec"].get("nodeSelector") or {}).get("kubernetes.io/hostname") or min(s.NODES, key=load)
        meta = pod["metadata"]
        self.api("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding", {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"], "uid": meta["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        })  # fmt: skip
        pod["spec"]["nodeName"] = node

    def handle(self, pod: dict[str, t.Any]) -> None:
        uid = pod["metadata"]["uid"]
        running = self.pods.get(uid)
        if pod["metadata"].get("deletionTimestamp"):
            if running and running.is_alive():
                running.end(float(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
            return
        if running is None and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            if not pod["spec"].get("nodeName"):
                self.bind(pod)
            self.pods[uid] = PodProcess(self.api, self.addresses, pod)
            self.pods[uid].start()

    def gone(self, pod: dict[str, t.Any]) -> None:
        running = self.pods.pop(pod["metadata"]["uid"], None)
        if running:
            running.end(0)

    def watch(self) -> None:
        """Lists, then follows changes; a watch that ends is begun anew, with a fresh list."""
        listed = self.api("GET", "/api/v1/pods")
        alive = {pod["metadata"]["uid"] for pod in listed["items"]}
        for uid, running in list(self.pods.items()):
            if uid not in alive:
                self.gone(running.pod)
        for pod in listed["items"]:
            self.handle(pod)
        version = listed["metadata"]["resourceVersion"]
        query = f"/api/v1/pods?watch=1&resourceVersion={version}&timeoutSeconds=300"
        with self.api.open("GET", query, timeout=330) as events:
            for line in events:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] == "DELETED":
                    self.gone(event["object"])
                else:
                    try:
                        self.handle(event["object"])
                    except urllib.error.HTTPError as exc:
                        print(f"{event['object']['metadata']['name']}: {exc}", flush=True)

    def run(self) -> None:
        while True:
            try:
                self.watch()
            except OSError as exc:  # the API server went away for a moment
                print(f"watch: {exc}", flush=True)
                time.sleep(0.5)
