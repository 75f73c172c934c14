"""Runs the migration phase by phase under live traffic, on the operator's host of the lab, and accounts for every request.

Writes .cache/demo/report.json. Ends with status 1 if a phase fails or a single request did.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks" / "collections"))

from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic  # noqa: E402

FOLDER = ROOT / ".cache" / "demo"
LOG = FOLDER / "ansible.log"
TRAFFIC = Path(os.environ["LAB_STATE"]) / "traffic"
STRATEGY = os.environ.get("STRATEGY", "auto")
JOURNEY = os.environ.get("JOURNEY", "gateway")
# A journey other than the lab's own: its settings, and beside them what the demo has to know of it: `targets`, what
# clients ask for, `lifetime`, how many requests they send on one connection, and the playbooks `prepare`, which makes
# blue, and `delivery`.
JOURNEYS = Path("tests/demo/journeys")
OF_JOURNEY = JOURNEYS / f"{JOURNEY}.yml"
KNOWN = {"targets": "tests/lab/apps/targets.yml", "delivery": "tests/demo/delivery.yml"}
if (ROOT / OF_JOURNEY).exists():
    KNOWN = yaml.safe_load((ROOT / JOURNEYS / f"{JOURNEY}_demo.yml").read_text(encoding="utf-8"))
TARGETS = ROOT / KNOWN["targets"]
BACKEND = os.environ.get("BACKEND", "haproxy")
SETTINGS = Path("tests/demo/backends") / f"{BACKEND}.yml"  # where the balancer is not the lab's own
# What is played once green has everything, where somebody else has the balancer in front.
HAND_OVER = Path("tests/demo/backends") / f"{BACKEND}_hand_over.yml"
# As far as the steps of the backend's settings go, to the half.
BY_HALVES = {"service": [50], "dns": [25, 50], "route53": [25, 50]}
HALF = json.dumps({"mesh_cutover_steps": BY_HALVES.get(BACKEND, [1, 10, 50])})
STEPS: tuple[tuple[str, list[str]], ...] = (
    ("preflight", ["-t", "preflight"]),
    ("keep", ["-t", "keep"]),
    ("bind", ["-t", "bind"]),
    ("deploy", ["-t", "deploy"]),
    ("verify", ["-t", "verify"]),
    ("cutover to 50 %", ["-t", "cutover", "-e", HALF]),
    ("rollback", ["-t", "rollback", "-e", "mesh_rollback_to=cutover"]),
    ("cutover", ["-t", "cutover"]),
    *([("hand over", [str(HAND_OVER)])] if (ROOT / HAND_OVER).exists() else []),
    ("soak", ["-t", "soak"]),
    *([("delivery", [KNOWN["delivery"]])] if "delivery" in KNOWN else []),
    ("unbind", ["-t", "unbind"]),
    ("cleanup", ["-t", "cleanup"]),
    ("everything again", []),
)
RATE = 400  # requests a second
LIFETIME = KNOWN.get("lifetime", 50)  # of them on one connection
MINIMUM_RATE = 300.0  # requests a second that the run must have carried to count


class Screen:
    """What a person wants to see of a run: what was changed, where, and what the roles have to say."""

    def __init__(self) -> None:
        self.task = ""

    def line(self, text: str) -> None:
        if text.startswith("TASK ["):
            self.task = text[6:].split("]")[0].replace("bluegreen.mesh.", "")
        elif text.startswith("changed:"):
            item = text.partition("=> (item=")[2].strip().rstrip(")")
            print(f"  changed  {self.task}{': ' + item if item else ''}", flush=True)
        elif said := re.match(r'\s+"msg": "(.*)"', text):
            print(f"           {said[1]}", flush=True)


def play(name: str, *argv: str) -> tuple[float, int]:
    """One ansible-playbook run, shown as it goes. Returns (seconds, changed). Raises SystemExit if it fails."""
    begin = time.time()
    command = ["ansible-playbook", "-i", "inventories/lab/hosts.yml", *argv]
    command += [part for file in (OF_JOURNEY, SETTINGS) if (ROOT / file).exists() for part in ("-e", f"@{file}")]
    env = {**os.environ, "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    output: list[str] = []
    screen = Screen()
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            for line in run.stdout:
                log.write(line)
                log.flush()
                output.append(line)
                screen.line(line)
    if run.returncode:
        print("".join(output[-60:]))
        raise SystemExit(f"demo: {name} failed; the whole output is in {LOG.relative_to(ROOT)}")
    changed = sum(int(n) for n in re.findall(r"changed=(\d+)", "".join(output)))
    return time.time() - begin, changed


def account(begin: float, end: float) -> tuple[int, int]:
    """Requests that were due in [begin, end) and how many of them failed."""
    requests = failed = 0
    for record in _traffic.read_records(_traffic.records_path(str(TRAFFIC)), since=begin):
        if begin <= record["t"] < end:
            requests += 1
            failed += "error" in record
    return requests, failed


def table(rows: list[dict], total: dict, seconds: float) -> str:
    lines = [f"{'phase':<18}{'seconds':>8}{'changed':>9}{'requests':>10}{'failed':>8}"]
    lines += [
        f"{r['name']:<18}{r['seconds']:>8.1f}{r['changed']:>9}{r['requests']:>10}{r['failed']:>8}" for r in rows
    ]
    changed = sum(r["changed"] for r in rows)
    lines.append(f"{'in all':<18}{seconds:>8.1f}{changed:>9}{total['requests']:>10}{total['failed']:>8}")
    return "\n".join(lines)


def shortcomings(report: dict, running: bool, protocols: set[str]) -> list[str]:
    """Why a run does not count, in words. running: whether the clients still asked when all was done; protocols: those
    that they speak."""
    wrong = []
    phases = report["phases"]
    if phases[-1]["changed"]:
        wrong.append(f"the second full run changed {phases[-1]['changed']}")
    if report["failed"]:
        wrong.append(f"{report['failed']} of {report['requests']} requests failed")
    if not running:
        wrong.append("the clients had ended before they were told to; client.log beside their records may say why")
    for row in ({"name": "in all", **report}, *phases):  # nothing is proven of a phase in which nobody asked
        if row["rate"] < MINIMUM_RATE:
            wrong.append(f"{row['name']}: clients asked {row['rate']:.1f} times a second (at least {MINIMUM_RATE:.0f} wanted)")
    if missing := protocols - {name for name, seen in report["protocols"].items() if seen["requests"]}:
        wrong.append(f"no request by {', '.join(sorted(missing))}")
    return wrong


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    LOG.write_text("")
    if "prepare" in KNOWN:
        print(f"demo: blue of {JOURNEY}", flush=True)
        play("prepare", KNOWN["prepare"])
    print("demo: live traffic on every protocol", flush=True)
    asked = {"traffic_rate": RATE, "traffic_lifetime": LIFETIME, "traffic_file": str(TARGETS)}
    play("traffic", "tests/demo/traffic.yml", "-e", json.dumps(asked))
    begin = time.time()
    phases = []
    for name, argv in STEPS:
        argv = argv if argv and argv[0].endswith(".yml") else ["playbooks/migrate.yml", *argv]
        print(f"\ndemo: {name}  (ansible-playbook -i inventories/lab/hosts.yml {' '.join(argv)})", flush=True)
        start = time.time()
        seconds, changed = play(name, *argv, "-e", f"mesh_bind_strategy={STRATEGY}")
        phases.append({"name": name, "seconds": round(seconds, 1), "changed": changed, "begin": start, "end": start + seconds})
    end = time.time()
    _seconds, stopped = play("traffic", "tests/demo/traffic.yml", "-e", "traffic_state=stopped")
    summary = _traffic.summarise(_traffic.read_records(_traffic.records_path(str(TRAFFIC))))
    for phase in phases:
        first, last = phase.pop("begin"), phase.pop("end")
        phase["requests"], phase["failed"] = account(first, last)
        phase["rate"] = round(phase["requests"] / (last - first), 1)  # the exact time: a phase may be short
    total = summary["total"]
    rate = total["requests"] / (end - begin)
    report = {
        "requests": total["requests"], "failed": total["failed"], "seconds": round(end - begin, 1),
        "rate": round(rate, 1), "p50_ms": total["p50_ms"], "p99_ms": total["p99_ms"], "phases": phases,
        "protocols": {k: {"requests": v["requests"], "failed": v["failed"]} for k, v in summary["protocols"].items()},
        "errors": summary["errors"],
    }  # fmt: skip
    (FOLDER / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print("\n" + table(phases, total, end - begin))
    print("protocols: " + ", ".join(f"{k} {v['requests']} ({v['failed']} failed)" for k, v in report["protocols"].items()))
    print(f"{rate:.0f} requests/s, p50 {total['p50_ms']:.1f} ms, p99 {total['p99_ms']:.1f} ms")
    for error in summary["errors"][:10]:
        print(f"failed: {error}")
    spoken = {one["protocol"] for one in yaml.safe_load(TARGETS.read_text(encoding="utf-8"))}
    wrong = shortcomings(report, stopped > 0, spoken)
    for one in wrong:
        print(f"demo: FAILED: {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("demo: stopped")
