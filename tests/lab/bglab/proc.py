"""Starting the lab's programs, each with a log file of its own, and waiting for conditions."""

from __future__ import annotations

import json
import os
import subprocess
import time
import typing as t
import urllib.request
from pathlib import Path

from . import settings as s


def inside(netns: str | None) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{netns}", "--"] if netns else []


def start(
    name: str, argv: t.Sequence[str], netns: str | None = None, env: dict[str, str] | None = None,
    cwd: Path | None = None, log: Path | None = None,
) -> subprocess.Popen[bytes]:  # fmt: skip
    log = log or s.LOGS / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as out:
        return subprocess.Popen(
            [*inside(netns), *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
            env={**os.environ, **(env or {})}, start_new_session=True,
        )  # fmt: skip


def await_(what: str, condition: t.Callable[[], bool], process: subprocess.Popen[bytes] | None = None,
           seconds: float = 60.0, every: float = 0.1) -> None:  # fmt: skip
    """Returns as soon as condition() is true. Raises TimeoutError, or RuntimeError if process ends before."""
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass  # not there yet
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what}: the process ended with {process.returncode}; see {s.LOGS}")
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s; see {s.LOGS}")
        time.sleep(every)


def http_ok(url: str, **kwargs: t.Any) -> bool:
    with urllib.request.urlopen(url, timeout=2, **kwargs) as answer:
        return bool(answer.status == 200)


def progress(text: str) -> None:
    """A line for whoever waits in `lab up`."""
    with open(s.PROGRESS, "a", encoding="utf-8") as file:
        file.write(json.dumps({"t": time.time(), "text": text}) + "\n")
