"""Ratios, side by side in one run on one machine; absolute times are printed and mean little elsewhere.

Binding: our module in one task, with its journal, beside a kubernetes.core.k8s loop (30 measured, extrapolated) and beside
bare pooled PATCHes of the same objects. Verifying: our module beside `curl --parallel` on the same list of requests.
The way back, for each balancer: a step whose gate does not hold, from the breach to the last new connection that green
gets. No bound: it is what the balancer, its clients and their resolvers need.
Writes .cache/bench/report.json; ends with status 1 if a bound of the README does not hold.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks" / "collections"))

from ansible_collections.bluegreen.mesh.plugins.module_utils import _envoy_stats  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of  # noqa: E402

FOLDER = ROOT / ".cache" / "bench"
AUDIT = Path(os.environ["LAB_STATE"]) / "logs" / "audit.log"
PATH = path_of("networking.istio.io/v1", "virtualservices", "bulk")
BLUE, GREEN = "istio-system/public", "istio-gateway/public-ingressgateway"
LOOPED = 30
ROUNDS = 3
PROBES = 5000
BACKENDS = ("haproxy", "tasks", "dns", "route53", "service", "aws_nlb", "aws_alb")
QUIET = 15.0  # seconds without a new connection on green, after which the last one was the last


class Task(NamedTuple):
    """What a task took, in seconds; its result; and when it began and ended, as seconds since the epoch."""

    seconds: float
    result: dict
    began: float
    ended: float


def play(name: str, **extra: object) -> dict[str, Task]:
    """Runs a playbook of this folder. Returns its tasks by name."""
    env = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    command = ["ansible-playbook", "-i", "inventories/lab/hosts.yml", f"tests/bench/{name}.yml", "-e", json.dumps(extra)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {name} failed\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    tasks = json.loads(done.stdout)["plays"][0]["tasks"]
    found = {}
    for task in tasks:
        began, ended = (time_of(task["task"]["duration"][key]) for key in ("start", "end"))
        found[task["task"]["name"]] = Task(ended - began, task["hosts"]["lab"], began, ended)
    return found


def time_of(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def prepare() -> None:
    """Everything up to green, by the collection itself."""
    command = ["ansible-playbook", "-i", "inventories/lab/hosts.yml", "playbooks/migrate.yml", "-t", "preflight,keep,bind,deploy"]
    command += ["-e", "mesh_bind_strategy=direct"]  # no policy may bind again what is unbound here
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: the migration up to deploy failed\n{done.stdout[-3000:]}")


def bare(cluster: Cluster, gateways: dict[str, list[str]]) -> float:
    """PATCHes and nothing else: the bodies are ready, the connections pooled, as many threads as our module uses."""
    work = [(f"{PATH}/{name}", {"spec": {"gateways": value}}) for name, value in gateways.items()]
    begin = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda item: cluster.patch(*item), work))
    return time.monotonic() - begin


def audited(offset: int, task: Task) -> dict[str, int]:
    """Requests of our module during that task, by verb and resource, as the audit log has them from offset on; awaited
    until the log has caught up with a marker of ours. The journal is opened by a task of its own, and not among them."""
    marker = f"/api/v1/namespaces/bench-{time.time_ns()}"
    subprocess.run(["kubectl", "get", "--raw", marker], capture_output=True, check=False)
    while True:
        text = AUDIT.read_bytes()[offset:].decode().rpartition("\n")[0]  # the last line may be half of one
        if marker in text:
            break
        time.sleep(0.1)
    events = [json.loads(line) for line in text.splitlines()]
    return Counter(
        f"{event['verb']} {(event.get('objectRef') or {}).get('resource', '')}"
        for event in events
        if event["userAgent"] == "bluegreen.mesh" and event["stage"] == "ResponseComplete"
        and task.began <= time_of(event["requestReceivedTimestamp"]) <= task.ended
    )  # fmt: skip


def most(counts: list[dict[str, int]]) -> dict[str, int]:
    """The largest number of all requests, and of patches of VirtualServices, in a round."""
    return {
        "all": max(sum(c.values()) for c in counts), "patch": max(c.get("patch virtualservices", 0) for c in counts)
    }  # fmt: skip


def binding(cluster: Cluster, count: int) -> dict:
    ours, pooled, requests, admitted = [], [], [], []
    in_log: dict[str, list[dict[str, int]]] = {"patch": [], "admission": []}
    one = {item["metadata"]["name"]: [BLUE] for item in cluster.list(PATH)}
    both = {name: [BLUE, GREEN] for name in one}
    play("bind", bench_state="unbound")
    loop = play("loop", bench_objects=[{"name": name, "gateways": both[name]} for name in sorted(one)[:LOOPED]])
    looped = loop["Bind each"].seconds / LOOPED
    for _round in range(ROUNDS):
        bare(cluster, one)
        pooled.append(bare(cluster, both))
        play("bind", bench_state="unbound")
        offset = AUDIT.stat().st_size
        task = play("bind", bench_state="bound", bench_policy="present")["Bind all"]
        if len(task.result["virtual_services"]["changed"]) != count:
            raise SystemExit(f"bench: by admission {task.result['counts']}, expected {count} changed")
        admitted.append(task.seconds)
        in_log["admission"].append(audited(offset, task))
        play("bind", bench_state="unbound", bench_policy="absent")
        offset = AUDIT.stat().st_size
        task = play("bind", bench_state="bound")["Bind all"]
        changed = len(task.result["virtual_services"]["changed"])
        if changed != count:
            raise SystemExit(f"bench: {changed} VirtualServices were bound, expected {count}")
        ours.append(task.seconds)
        requests.append(task.result["api_requests"])
        in_log["patch"].append(audited(offset, task))
    mine, plain = statistics.median(ours), statistics.median(pooled)
    return {
        "virtual_services": count, "k8s_loop_seconds_each": round(looped, 3),
        "k8s_loop_seconds_extrapolated": round(looped * count, 1), "bare_pooled_seconds": round(plain, 2),
        "module_task_seconds": round(mine, 2), "module_task_by_admission_seconds": round(statistics.median(admitted), 2),
        "times_faster_than_loop": round(looped * count / mine, 1),
        "times_bare": round(mine / plain, 2),
        "times_by_admission": round(statistics.median(admitted) / mine, 2), "api_requests_reported": max(requests),
        "api_requests_audited": most(in_log["patch"]),
        "api_requests_audited_by_admission": most(in_log["admission"]),
    }  # fmt: skip


def curl(requests: list[dict]) -> float:
    """curl's requests a second on the same list, with as many transfers at once."""
    config = FOLDER / "curl.cfg"
    lines = []
    for item in requests:
        host, port, address = item["host"], item["node_port"], item["address"]
        lines += [
            "next" if lines else "", "silent", f'url = "https://{host}:{port}{item["path"]}"', "insecure",
            'output = "/dev/null"', f'connect-to = "{host}:{port}:{address}:{port}"',
            "http1.1" if item["protocol"] == "http1" else "http2",
        ]  # fmt: skip
        lines += [f'header = "{key}: {value}"' for key, value in item["headers"].items()]
    config.write_text("\n".join(lines) + "\n")
    begin = time.monotonic()
    subprocess.run(["curl", "--parallel", "--parallel-max", "64", "--config", str(config)], check=True, capture_output=True)
    return len(requests) / (time.monotonic() - begin)


def verifying() -> dict:
    ours, theirs = [], []
    # The bindings have only just changed: wait until both sides have taken them, outside what is measured.
    play("verify", bench_count=PROBES // 6 + 1, bench_deadline=120)
    for _round in range(ROUNDS):
        tasks = play("verify", bench_count=PROBES // 6 + 1)  # two nodes, blue twice and green once on each
        probed = tasks["Probe"].result
        if not probed["verified"]:
            raise SystemExit(f"bench: not all equal: {probed['counts']}")
        took = tasks["Probe"].seconds
        sides = [tasks["Look at both sides"].result["gateways"][i] for i in (0, 0, 1)]
        routes = [r for r in tasks["Work out the routes"].result["routes"] if (r["virtual_service"] or "").startswith("bulk/")]
        requests = [
            {**route, "node_port": side["node_ports"][str(route["port"])], "address": address}
            for route in routes[: PROBES // 6 + 1] for side in sides for address in side["addresses"]
        ]  # fmt: skip
        if probed["requests"] != len(requests):
            raise SystemExit(f"bench: curl would send {len(requests)}, the module sent {probed['requests']}")
        ours.append((probed["requests"] / probed["seconds"], probed["requests"] / took))
        theirs.append(curl(requests))
    rate, task_rate = (statistics.median(column) for column in zip(*ours))
    return {
        "requests": len(requests), "module_requests_per_second": round(rate),
        "module_task_requests_per_second": round(task_rate), "curl_requests_per_second": round(statistics.median(theirs)),
        # With all that Ansible takes to run a module, as curl has to be started and to read its list.
        "times_curl": round(task_rate / statistics.median(theirs), 2),
    }  # fmt: skip


class Watch(threading.Thread):
    """When green's pods were last seen to have taken a connection, by their own counters, ten times a second. whole:
    whether it has looked until it was told to end."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        pods = cluster.list(path_of("v1", "pods", "istio-gateway"))
        self.pages = [f"http://{pod['status']['podIP']}:15090/stats/prometheus" for pod in pods]
        self.last = time.time()
        self.taken = -1
        self.whole = False
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.1):
            counted = 0
            for page in self.pages:
                with urllib.request.urlopen(page, timeout=5) as answer:
                    counted += _envoy_stats.sums(answer.read().decode()).get("envoy_listener_downstream_cx_total", 0)
            if counted > self.taken:
                self.taken, self.last = counted, time.time()
        self.whole = True


def migrate(*argv: str, expect: int = 0) -> list[dict]:
    """Plays migrate.yml; returns its tasks. expect: its exit status."""
    env = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    command = ["ansible-playbook", "-i", "inventories/lab/hosts.yml", "playbooks/migrate.yml", *argv]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode != expect:
        raise SystemExit(f"bench: {' '.join(argv)} ended with {done.returncode}\n{done.stdout[-3000:]}")
    plays = json.loads(done.stdout)["plays"]
    return [task for play in plays for task in play["tasks"]]


def way_back(cluster: Cluster) -> dict:
    """Half of the traffic moves to green, under a gate that no gateway can pass, and comes back."""
    report = {}
    migrate("-t", "verify")
    for backend in BACKENDS:
        settings = ROOT / "tests" / "demo" / "backends" / f"{backend}.yml"
        options = ["-e", f"@{settings}"] if settings.exists() else []
        traffic = ["ansible-playbook", "-i", "inventories/lab/hosts.yml", "tests/demo/traffic.yml", *options]
        subprocess.run(traffic, cwd=ROOT, check=True, capture_output=True)
        watch = Watch(cluster)
        watch.start()
        gate = {"min_samples": 100, "min_green_samples": 10, "p99_floor_ms": 0, "p99_ratio": 0.0001}
        tasks = migrate(
            "-t", "cutover", *options, "-e", json.dumps({"mesh_cutover_steps": [50], "mesh_gate": gate}), expect=2
        )
        took = {task["task"]["name"].partition(" : ")[2]: task["task"]["duration"] for task in tasks}
        breach = time_of(took["Judge the live traffic since the step"]["end"])
        # What follows is the first to know: a task that includes others ends before they begin.
        back = time_of(took["Note that the last good share is there again"]["start"])
        while time.time() - watch.last < QUIET:
            time.sleep(0.2)
        watch.ended.set()
        watch.join()
        if not watch.whole:
            raise SystemExit(f"bench: {backend}: green's counters could not be read all the time, see above")
        report[backend] = {
            "breach_to_weights_set_seconds": round(back - breach, 1),
            "breach_to_last_new_connection_seconds": round(watch.last - breach, 1),
        }
        print(json.dumps({backend: report[backend]}), flush=True)
        migrate("-t", "rollback", "-e", "mesh_rollback_to=cutover", *options)
        migrate("-t", "verify", *options)
        subprocess.run([*traffic, "-e", "traffic_state=stopped"], cwd=ROOT, check=True, capture_output=True)
    return report


def main(parts: list[str]) -> int:
    """parts: binding, verifying, way_back. What the report has of other parts stays in it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    prepare()
    cluster = Cluster(os.environ["KUBECONFIG"], "lab")
    count = len(cluster.list(PATH, {"labelSelector": ""}))
    path = FOLDER / "report.json"
    report: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}
    bounds: dict[str, bool] = report.pop("bounds", {})
    if "binding" in parts:
        bind = report["binding"] = binding(cluster, count)
        bounds["at least 100 times faster than a kubernetes.core.k8s loop"] = bind["times_faster_than_loop"] >= 100
        bounds["within 1.5 times of bare pooled PATCHes"] = bind["times_bare"] <= 1.5
        # The API server works the policy out for each of them.
        bounds["by admission, within 1.5 times of by patch"] = bind["times_by_admission"] <= 1.5
        # By the API server's own count. No request in the log would be no bound at all.
        for way, key in (("by patch", "api_requests_audited"), ("by admission", "api_requests_audited_by_admission")):
            told = f"{way}, at most one PATCH for each object and 10 requests more"
            bounds[told] = bind[key]["patch"] == count and bind[key]["all"] <= count + 10
        bounds.pop("at most one API request for each object and 10 more", None)  # of an older report
        print(json.dumps(report, indent=1), flush=True)
    if "verifying" in parts:
        verify = report["verifying"] = verifying()
        bounds["at least curl's rate"] = verify["times_curl"] >= 1
    if "way_back" in parts:
        report["way_back"] = way_back(cluster)
    report["bounds"] = bounds
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0 if all(bounds.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
