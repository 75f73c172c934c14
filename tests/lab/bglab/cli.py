"""lab build | up | down | add | remove | flux-chart | exec | shell | logs | status"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from . import blue, build, control_plane, extras, flux
from . import settings as s

# Namespaces of its own for users, network, mounts and processes; ending the first process inside ends all of it.
UNSHARE = ["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]
MOUNT_AND_GO = 'mount -t tmpfs tmpfs /run && exec "$0" -m bglab init'


def first_process() -> int | None:
    """The host's id of the running lab's first process, or None."""
    try:
        pid, started = s.PID_FILE.read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _started(int(pid)) == started else None


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks: tells it from a later one that got the same id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def up() -> int:
    if first_process():
        print("lab: is up already")
        return 0
    if missing := build.missing(build.LAB):
        print(f"lab: not built yet: {', '.join(missing)}; run 'make lab'", file=sys.stderr)
        return 1
    control_plane.clean_state()
    s.PROGRESS.touch()
    # Of another lab, in which this one may be; Traefik takes it where it is set.
    env = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with open(s.LOGS / "init.log", "ab") as log:
        outer = subprocess.Popen(
            [*UNSHARE, "sh", "-c", MOUNT_AND_GO, sys.executable], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True, env=env,
        )  # fmt: skip
    try:
        return _follow(outer)
    except BaseException:
        _end(outer.pid)
        raise


def _follow(outer: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    with open(s.PROGRESS, encoding="utf-8") as progress:
        while True:
            if not s.PID_FILE.exists() and children.exists() and (inner := children.read_text().split()):
                s.PID_FILE.write_text(f"{inner[0]} {_started(int(inner[0]))}")
            line = progress.readline()
            if not line.endswith("\n"):
                if outer.poll() is not None:
                    print((s.LOGS / "init.log").read_text()[-3000:], file=sys.stderr)
                    return 1
                time.sleep(0.05)
                continue
            text = json.loads(line)["text"]
            if text == "READY":
                return 0
            print(f"lab: {text}", flush=True)
            if text.startswith("FAILED"):
                _end(outer.pid)
                return 1


def _end(pid: int) -> None:
    s.PID_FILE.unlink(missing_ok=True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def down() -> int:
    pid = first_process()
    if pid is None:
        print("lab: is not up")
    else:
        # As first process of its namespace it ignores SIGTERM from outside; SIGKILL ends the whole tree.
        _end(pid)
        while _started(pid) is not None:
            time.sleep(0.05)
        print("lab: down")
    return 0


def enter(argv: t.Sequence[str], host: str = "operator") -> t.NoReturn:
    network = "--net=/proc/1/ns/net" if host == "control-plane" else f"--net=/run/netns/{host}"
    join = ["nsenter", network, "--"]
    pid = first_process()
    if pid is None and not s.SHORT.is_symlink():  # else this is a command of the lab's operator: inside already
        print("lab: is not up; run 'make lab-up'", file=sys.stderr)
        sys.exit(1)
    if pid:
        into = ["nsenter", "--preserve-credentials", "-t", str(pid), "-U", "-n", "-m", "-p", f"--wd={os.getcwd()}"]
        join = [*into, *join]
    os.environ.update(blue.environment())
    os.environ.pop("PYTHONPATH", None)  # the lab's own modules are none of the operator's business
    # setsid is not used: Ctrl-C must reach the command.
    os.execvp("nsenter", [*join, *argv])


def on_control_plane(args: argparse.Namespace) -> int:
    """The lab's own commands that change it run where everything can be reached."""
    if not (s.SHORT.is_symlink() and os.path.samefile("/proc/self/ns/net", "/proc/1/ns/net")):
        enter(["env", f"PYTHONPATH={s.LAB}", sys.executable, "-m", "bglab", *sys.argv[1:]], "control-plane")
    try:
        if args.command == "flux-chart":
            revision = flux.chart(args.name, Path(args.folder).resolve(), args.namespace)
            print(f"OCIRepository {args.namespace}/{args.name}: {revision}")
            return 0
        for name in args.names:
            print(f"lab: {name}: {extras.add(name) if args.command == 'add' else extras.remove(name)}", flush=True)
    except (OSError, RuntimeError) as exc:  # TimeoutError and HTTPError are OSErrors
        print(f"lab: {args.command}: {exc}", file=sys.stderr)
        return 1
    return 0


def logs(name: str | None, lines: int) -> int:
    files = sorted(p for p in s.LOGS.rglob("*.log") if name is None or name in str(p.relative_to(s.LOGS)))
    if not files:
        print(f"lab: no log{' like ' + name if name else ''} in {s.LOGS}", file=sys.stderr)
        return 1
    if name is None:
        for file in files:
            print(f"{file.stat().st_size:>10}  {file.relative_to(s.LOGS)}")
        print("One of them: lab logs NAME")
        return 0
    os.execvp("tail", ["tail", "-n", str(lines), *map(str, files)])


def status() -> int:
    pid = first_process()
    print(f"lab: {'up, first process ' + str(pid) if pid else 'down'}; state in {s.STATE}")
    return 0 if pid else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    builds = commands.add_parser("build", help="build the lab's programs that are missing, or those of the extras named")
    builds.add_argument("names", nargs="*", metavar="NAME", help=f"extras: {', '.join(extras.EXTRAS)}")
    commands.add_parser("up", help="start the lab with blue and its applications; LAB_VS=N adds N VirtualServices")
    commands.add_parser("down", help="end it, all of it")
    for verb, text in (("add", "start extras in the running lab"), ("remove", "take them away again")):
        names = commands.add_parser(verb, help=text)
        names.add_argument("names", nargs="+", choices=list(extras.EXTRAS), metavar="NAME")
    chart = commands.add_parser("flux-chart", help="an OCIRepository of a chart folder, for a HelmRelease's chartRef")
    chart.add_argument("name")
    chart.add_argument("folder")
    chart.add_argument("--namespace", default=flux.NAMESPACE)
    commands.add_parser("status")
    run = commands.add_parser("exec", help="run a command on the operator's host (or another)")
    run.add_argument("--host", default="operator", help="operator, balancer, node-1, node-2 or control-plane")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    commands.add_parser("shell", help="a shell on the operator's host, KUBECONFIG set")
    log = commands.add_parser("logs", help="list the logs, or show one")
    log.add_argument("name", nargs="?")
    log.add_argument("--lines", type=int, default=50)
    for inner in ("init", "podrunner", "kubelet"):
        commands.add_parser(inner)
    args = parser.parse_args()
    if args.command == "build":
        if unknown := [name for name in args.names if name not in extras.EXTRAS]:
            parser.error(f"build: no extra {', '.join(unknown)}; there are: {', '.join(extras.EXTRAS)}")
        chosen = [module for name in args.names for module in extras.modules(name)] if args.names else [build.LAB]
        if chosen:  # what is Debian's is not built
            build.build(*chosen)
    elif args.command in ("add", "remove", "flux-chart"):
        return on_control_plane(args)
    elif args.command == "exec":
        enter([a for i, a in enumerate(args.argv) if i or a != "--"], args.host)
    elif args.command == "shell":
        # So that `ansible-playbook playbooks/migrate.yml -t cutover` is all that needs typing.
        os.environ["ANSIBLE_INVENTORY"] = str(s.ROOT / "inventories" / "lab" / "hosts.yml")
        os.environ["PS1"] = r"operator@lab:\w\$ "
        print("On the operator's host of the lab: kubectl, helm, istioctl and ansible-playbook reach it.")
        enter([shutil.which("bash") or "/bin/sh", "--norc", "-i"])
    elif args.command == "logs":
        return logs(args.name, args.lines)
    elif args.command == "init":
        from . import init

        init.main()
    elif args.command == "podrunner":
        from . import podrunner

        podrunner.Runner().run()
    elif args.command == "kubelet":
        from . import kubelet

        kubelet.serve()
    else:
        return {"up": up, "down": down, "status": status}[args.command]()
    return 0
