# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of constant rate that writes down every request, and the reading of what it wrote.

The schedule is open loop: request k is due at start + k / rate whatever happened to those before it, and its latency
counts from when it was due. A server that stalls therefore shows as slow requests and not as fewer of them. A request
that can't be sent in time is a failed request, never one less.

One line of JSON for each request, in the order in which they ended:
{"t": <unix time when due>, "route": <target>, "protocol": ..., "via": <what via_pattern caught, or null>,
 "status": <HTTP status, 101 for a WebSocket message, 0 for none>, "ms": <from due to answered>}
and, only where there is something to say, "error": <why it counts as failed>, "lag": <ms that we ourselves sent it
late>, "retried": true (sent again because the connection ended between two WebSocket messages, as a client would).
"""

from __future__ import annotations

import base64
import fcntl
import gc
import hashlib
import json
import os
import re
import resource
import select
import signal
import sys
import time
import typing as t
from array import array
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from . import _dns, _probe
from ._module import Refusal
from ._probe import pycurl
from ._resolver import Resolver

FLUSH = 0.25  # seconds that a record may wait in memory
LAG = 0.02  # seconds; sent later than this after it was due, a record says by how much
IN_FLIGHT = 4096  # requests under way at most; beyond it a request fails unsent
USER_AGENT = "bluegreen.mesh/traffic"
PROTOCOLS = tuple(name for name in _probe.PROTOCOLS if name != "tcp")


# -- what to send ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Target:
    """One route to keep asking.

    url: https://host/path, as a client writes it; connect_to: "ip:port" to go to, or "" to resolve. expect_status: HTTP
    status that counts as success (gRPC: besides, grpc-status 0; WebSocket: an answer to each message). via_pattern:
    regular expression whose group 1, looked for in the body and then in the headers, is kept as `via`. body_base64:
    request body (gRPC: the framed message; WebSocket: the message). connection_lifetime: requests on one connection, 0
    for the plan's; 1 for a WebSocket server that ends the connection after its answer.
    """

    name: str
    url: str
    protocol: str
    connect_to: str = ""
    expect_status: int = 200
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    connection_lifetime: int = 0
    via_pattern: str = ""
    body_base64: str = ""

    def request(self) -> _probe.Request:
        url = self.url
        if self.protocol == "grpc" and urlsplit(url).path in ("", "/"):
            url = url.rstrip("/") + _probe.GRPC_HEALTH
        body = base64.b64decode(self.body_base64) if self.body_base64 else None
        return _probe.Request(self.name, url, self.connect_to, self.protocol, self.method, self.headers, body)


@dataclass(frozen=True)
class Plan:
    """All of what a client does. rate: requests a second over all targets; connection_lifetime: requests on one
    connection before it is closed; timeout: seconds a request may take from being due; max_seconds: when to end; resolver:
    DNS server ("host:port") for targets without connect_to, "" for the machine's."""

    targets: tuple[Target, ...]
    rate: float
    max_seconds: float
    connection_lifetime: int
    timeout: float
    ca_file: str = ""
    resolver: str = ""

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def plan_of(params: dict[str, t.Any]) -> Plan:
    """The plan that the options of traffic_probe ask for. Raises ValueError naming the first option that can't be."""
    for name in ("rate", "max_seconds", "connection_lifetime", "timeout"):
        if not params[name] > 0:
            raise ValueError(f"{name} is {params[name]:g}; it must be above 0.")
    targets = [
        _target_of(f"targets[{index}] ({options['name']})", options) for index, options in enumerate(params["targets"])
    ]
    if not targets:
        raise ValueError("targets is empty; name at least one.")
    name, times = Counter(target.name for target in targets).most_common(1)[0]
    if times > 1:
        raise ValueError(f"targets: the name {name!r} is used {times} times; records are told apart by it.")
    _probe.check_ca_file(params["ca_file"])
    if params["resolver"]:
        try:
            Resolver(*_dns.address("resolver", params["resolver"]))
        except (Refusal, OSError) as exc:
            raise ValueError(f"resolver {params['resolver']}: {exc}") from exc
    return Plan(
        targets=tuple(targets), rate=params["rate"], max_seconds=params["max_seconds"],
        connection_lifetime=params["connection_lifetime"], timeout=params["timeout"],
        ca_file=os.path.abspath(params["ca_file"]) if params["ca_file"] else "", resolver=params["resolver"],
    )  # fmt: skip


def _target_of(where: str, options: dict[str, t.Any]) -> Target:
    url = urlsplit(options["url"])
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{where}: url is {options['url']!r}; it must be http://HOST/... or https://HOST/...")
    if options["connect_to"] and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}", options["connect_to"]):
        raise ValueError(f"{where}: connect_to is {options['connect_to']!r}; it must be IP:PORT.")
    if options["weight"] < 1 or options["connection_lifetime"] < 0:
        raise ValueError(f"{where}: weight must be 1 or more, and connection_lifetime 0 or more.")
    if options["body_base64"] and options["protocol"] not in ("grpc", "websocket"):
        raise ValueError(f"{where}: body_base64 is for grpc and websocket; protocol {options['protocol']} sends none.")
    try:
        base64.b64decode(options["body_base64"], validate=True)
        groups = re.compile(options["via_pattern"].encode()).groups
    except (ValueError, re.error) as exc:  # binascii.Error is a ValueError
        raise ValueError(f"{where}: body_base64 or via_pattern can't be read: {exc}") from exc
    if options["via_pattern"] and not groups:
        raise ValueError(f"{where}: via_pattern {options['via_pattern']!r} has no group to say what to keep.")
    headers = tuple(sorted((str(name), str(value)) for name, value in options["headers"].items()))
    expected = 101 if options["protocol"] == "websocket" else options["expect_status"]
    return Target(**{**options, "headers": headers, "expect_status": expected})


def interleave(weights: t.Sequence[int]) -> list[int]:
    """One round of a smooth weighted round robin: indices, each as often as its weight, spread evenly.

    >>> interleave([2, 1])
    [0, 1, 0]
    """
    total = sum(weights)
    current = [0] * len(weights)
    order = []
    for _turn in range(total):
        for index, weight in enumerate(weights):
            current[index] += weight
        best = max(range(len(weights)), key=current.__getitem__)
        current[best] -= total
        order.append(best)
    return order


# -- the client --------------------------------------------------------------------------------------------------------
class _Slot:
    """A handle of one target. Everything but the request's own time is set once."""

    __slots__ = ("address", "chunks", "curl", "due", "lag", "lines", "lane", "messages", "open", "pending", "retried")

    def __init__(self, lane: _Lane, client: _Client) -> None:
        self.lane = lane
        self.address = ""
        self.lines: list[bytes] = []
        self.chunks: list[bytes] = []
        self.due = 0.0
        self.lag = 0.0
        self.messages = 0
        self.pending = False
        self.retried = False
        self.open = False
        plan = client.plan
        self.curl = _probe.new_handle(plan.timeout, plan.ca_file or None, USER_AGENT)
        _probe.prepare(self.curl, lane.request)
        if lane.websocket:
            self.curl.setopt(pycurl.TIMEOUT_MS, 0)  # of the connection, which is to live; messages are timed by us
            self.curl.setopt(pycurl.HEADERFUNCTION, lambda line: client.websocket_header(self, line))
            self.curl.setopt(pycurl.WRITEFUNCTION, lambda data: client.websocket_frame(self, data))
        else:
            self.curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
            self.curl.setopt(pycurl.WRITEFUNCTION, self.chunks.append)


class _Lane:
    """A target while running."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self.target = target
        self.request = target.request()
        self.websocket = target.protocol == "websocket"
        self.grpc = target.protocol == "grpc"
        self.via = re.compile(target.via_pattern.encode()) if target.via_pattern else None
        self.message = self.request.body or _probe.GREETING
        self.head = f'"route":{json.dumps(target.name)},"protocol":"{target.protocol}"'
        self.lifetime = target.connection_lifetime or plan.connection_lifetime
        url = urlsplit(target.url)
        self.host, self.port = url.hostname or "", url.port or {"http": 80, "https": 443}[url.scheme]
        self.free: list[_Slot] = []
        self.sent = 0


class _Client:
    def __init__(self, plan: Plan, write: t.Callable[[bytes], None]) -> None:
        self.plan = plan
        self.write = write
        self.lanes = [_Lane(target, plan) for target in plan.targets]
        self.order = [self.lanes[index] for index in interleave([target.weight for target in plan.targets])]
        self.loop = _probe.Loop(max(64, min(IN_FLIGHT, int(plan.rate))))
        self.resolver = Resolver(*_dns.address("resolver", plan.resolver)) if plan.resolver else None
        self.busy: dict[t.Any, _Slot] = {}
        self.in_flight = 0
        self.upgraded: deque[_Slot] = deque()
        self.lines: list[str] = []
        self.stopping = False
        self.epoch = (
            time.time() - time.monotonic()
        )  # records carry wall time; a step of the clock must not bend latencies

    def stop(self, *_signal: t.Any) -> None:
        self.stopping = True

    def run(self) -> str:
        """Until stopped or max_seconds; returns which. Requests under way are waited for, at most their timeout."""
        plan = self.plan
        start = time.monotonic()
        end = start + plan.max_seconds
        step = 1.0 / plan.rate
        count = 0
        due = start
        flush_at = start + FLUSH
        while True:
            now = time.monotonic()
            sending = not self.stopping and due < end  # what was due before the end is sent, if late
            if sending:
                burst = 0
                while due <= now and due < end and burst < 32:
                    self.launch(self.order[count % len(self.order)], due, now)
                    count += 1
                    burst += 1
                    due = start + count * step
            elif self.in_flight == 0:
                break
            if now >= flush_at:
                flush_at = now + FLUSH
                self.expire(now)
                self.flush()
            wake = min(due, flush_at) if sending else flush_at
            for curl, code, words in self.loop.step(wake - time.monotonic()):
                self.ended(self.busy.pop(curl), code, words)
            while self.upgraded:
                self.send(self.upgraded.popleft())
        for slot in list(self.busy.values()):
            self.hang_up(slot)
        self.flush()
        return "stopped" if self.stopping else "max_seconds"

    def launch(self, lane: _Lane, due: float, now: float) -> None:
        if now - due > self.plan.timeout:
            self.record(lane, due, 0, None, f"late: not sent within {self.plan.timeout:g} s of being due", now - due)
            return
        if self.in_flight >= IN_FLIGHT:
            self.record(lane, due, 0, None, f"overload: {self.in_flight} requests were already under way", now - due)
            return
        self.begin(lane.free.pop() if lane.free else _Slot(lane, self), due, now - due)

    def begin(self, slot: _Slot, due: float, lag: float, retried: bool = False) -> None:
        lane = slot.lane
        slot.retried = retried
        slot.due = due
        slot.lag = lag
        slot.pending = True
        self.in_flight += 1
        if slot.open:
            self.send(slot)
            return
        if self.resolver and not lane.target.connect_to:
            try:
                self.point(slot, self.resolver.address(lane.host))
            except LookupError as exc:
                self.in_flight -= 1
                self.finish(slot, 0, f"unresolved: {exc}", time.monotonic())
                slot.pending = False
                lane.free.append(slot)
                return
        slot.lines.clear()
        slot.chunks.clear()
        if not lane.websocket:
            lane.sent += 1
            last = lane.sent % lane.lifetime == 0
            slot.curl.setopt(pycurl.FORBID_REUSE, 1 if last else 0)
        self.busy[slot.curl] = slot
        self.loop.add(slot.curl)

    @staticmethod
    def point(slot: _Slot, address: str) -> None:
        """Where a new connection goes. One that is open is used on, as clients do, until its number of requests."""
        if slot.address != address:
            slot.address = address
            slot.curl.setopt(pycurl.RESOLVE, [f"{slot.lane.host}:{slot.lane.port}:{address}"])

    def ended(self, slot: _Slot, code: int, words: str) -> None:
        lane = slot.lane
        now = time.monotonic()
        if lane.websocket:
            self.websocket_ended(slot, code, words, now)
            return
        status = slot.curl.getinfo(pycurl.RESPONSE_CODE)
        error = ""
        if code:
            error = f"{_probe.classify(code, 0)}: {words}"
        elif status != lane.target.expect_status:
            error = f"status {status}"
        elif lane.grpc:
            error = self.grpc_error(slot)
        self.in_flight -= 1
        self.finish(slot, status, error, now)
        lane.free.append(slot)

    def finish(self, slot: _Slot, status: int, error: str, now: float) -> None:
        via = None
        if slot.lane.via is not None:
            found = slot.lane.via.search(b"".join(slot.chunks)) or slot.lane.via.search(b"".join(slot.lines))
            if found is not None:
                via = (found.group(1) or b"").decode("utf-8", "replace")
        self.record(slot.lane, slot.due, status, via, error, slot.lag, now, slot.retried)

    @staticmethod
    def grpc_error(slot: _Slot) -> str:
        for line in reversed(slot.lines):
            name, _colon, value = line.partition(b":")
            if name.lower() == b"grpc-status":
                return "" if value.strip() == b"0" else f"grpc-status {value.strip().decode('latin-1')}"
        return "no grpc-status"

    def record(
        self, lane: _Lane, due: float, status: int, via: str | None, error: str, lag: float,
        now: float | None = None, retried: bool = False,
    ) -> None:  # fmt: skip
        now = time.monotonic() if now is None else now
        line = (
            f'{{"t":{self.epoch + due:.3f},{lane.head},"via":{json.dumps(via)},"status":{status},'
            f'"ms":{(now - due) * 1000:.1f}'
        )
        if error:
            line += f',"error":{json.dumps(error)}'
        if lag > LAG:
            line += f',"lag":{lag * 1000:.0f}'
        if retried:
            line += ',"retried":true'
        self.lines.append(line + "}\n")

    def flush(self) -> None:
        if self.lines:
            self.write("".join(self.lines).encode())
            self.lines.clear()

    # -- WebSocket: a connection stays in the multi handle; each message and its answer is one request -----------------
    def websocket_header(self, slot: _Slot, line: bytes) -> None:
        slot.lines.append(line)
        if line == b"\r\n" and slot.lines[0].split(b" ", 2)[1:2] == [b"101"]:
            self.upgraded.append(slot)

    def websocket_frame(self, slot: _Slot, data: bytes) -> None:
        meta = slot.curl.ws_meta()
        if meta is not None and meta.flags & (pycurl.WS_PING | pycurl.WS_PONG | pycurl.WS_CLOSE):
            return
        slot.chunks.append(data)
        if slot.pending and (meta is None or meta.bytesleft == 0):
            slot.pending = False
            self.in_flight -= 1
            self.finish(slot, 101, "", time.monotonic())
            if slot.messages < slot.lane.lifetime:
                slot.lane.free.append(slot)
            else:
                slot.open = False  # retired by expire(): a handle can't be taken away from inside its own callback

    def send(self, slot: _Slot) -> None:
        slot.open = True
        slot.messages += 1
        slot.chunks.clear()
        try:
            slot.curl.ws_send(slot.lane.message, pycurl.WS_TEXT)
        except pycurl.error:  # already closed by the other side: the end of the transfer comes next and deals with it
            pass

    def websocket_ended(self, slot: _Slot, code: int, words: str, now: float) -> None:
        lane = slot.lane
        if slot in lane.free:
            lane.free.remove(slot)
        pending, slot.pending = slot.pending, False
        status = slot.curl.getinfo(pycurl.RESPONSE_CODE)
        slot.curl.close()
        if not pending:
            return
        self.in_flight -= 1
        if slot.messages > 1 and not slot.retried:
            # on a new connection: others that are open may have met the same end
            self.begin(_Slot(lane, self), slot.due, slot.lag, retried=True)
            return
        if status not in (0, 101):
            error = f"status {status}"
        elif code:
            error = f"{_probe.classify(code, 0)}: {words}"
        else:
            error = "closed: the connection ended before the message was answered"
        self.finish(slot, status, error, now)

    def expire(self, now: float) -> None:
        """Ends WebSockets that had their number of messages, and those whose answer does not come."""
        for slot in [slot for slot in self.busy.values() if slot.lane.websocket]:
            if slot.pending and now - slot.due > self.plan.timeout:
                slot.pending = False
                self.in_flight -= 1
                self.finish(slot, 0, f"unreachable: no answer to the message within {self.plan.timeout:g} s", now)
                self.hang_up(slot)
            elif not slot.pending and not slot.open:
                self.hang_up(slot)

    def hang_up(self, slot: _Slot) -> None:
        del self.busy[slot.curl]
        if slot in slot.lane.free:
            slot.lane.free.remove(slot)
        if slot.messages:
            try:
                slot.curl.ws_send(b"\x03\xe8", pycurl.WS_CLOSE)
            except pycurl.error:  # it is gone anyway
                pass
        self.loop.remove(slot.curl)
        slot.curl.close()


# -- the process -------------------------------------------------------------------------------------------------------
def _state_path(folder: str) -> str:
    return os.path.join(folder, "state.json")


def records_path(folder: str) -> str:
    return os.path.join(folder, "records.jsonl")


def read_state(folder: str) -> dict[str, t.Any] | None:
    """{pid, start_ticks, started, digest, rate, targets: [names], ended?, reason?} or None when nothing ran here."""
    try:
        with open(_state_path(folder), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def _write_state(folder: str, state: dict[str, t.Any]) -> None:
    temporary = _state_path(folder) + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(temporary, _state_path(folder))


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (field 22 of /proc/PID/stat), or None when it is gone.

    A pid alone is not an identity: it is given to another process after the first one ended.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == b"Z" else int(fields[19])


def running(state: dict[str, t.Any] | None) -> bool:
    return bool(state) and "ended" not in state and start_ticks(state["pid"]) == state["start_ticks"]


def describe(state: dict[str, t.Any] | None) -> dict[str, t.Any]:
    """What the module returns of a state: running, and pid, started, ended as far as there is one."""
    if state is None:
        return {"running": False, "ended": "never started"}
    found = {"running": running(state), "pid": state["pid"], "started": state["started"]}
    if not found["running"]:
        found["ended"] = state.get("reason", "died")
    return found


def start(folder: str, plan: Plan) -> dict[str, t.Any]:
    """Starts the client as a process of its own, which outlives the caller, and returns its state once it is sending.

    Raises RuntimeError with the reason when it could not start or another one is running in this folder.
    """
    folder = os.path.abspath(folder)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    receive, send = os.pipe()
    middle = os.fork()
    if middle == 0:
        # Two forks and a session of its own: neither the end of the task nor a Ctrl-C at the terminal reaches it.
        try:
            os.setsid()
            if os.fork() == 0:
                _client_process(folder, plan, send)
        finally:
            os._exit(0)
    os.close(send)
    os.waitpid(middle, 0)
    with os.fdopen(receive, "rb") as pipe:
        words = pipe.read().decode("utf-8", "replace")
    if words != "ok":
        raise RuntimeError(words or f"it ended at once; see {os.path.join(folder, 'client.log')}")
    state = read_state(folder)
    if state is None:
        raise RuntimeError(f"{_state_path(folder)} is gone")
    return state


def _client_process(folder: str, plan: Plan, report: int) -> t.NoReturn:
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(os.path.join(folder, "client.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for fd, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, fd)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # The task's own sockets and pipes; Ansible waits until the last copy of its output pipe is closed.
        os.closerange(3, report)
        os.closerange(report + 1, min(limit, 65536) if limit != resource.RLIM_INFINITY else 65536)
        os.chdir("/")
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(report, b"another client is running in this folder")
            os._exit(1)
        records = os.open(records_path(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(records, view) :]

        client = _Client(plan, write)
        signal.signal(signal.SIGTERM, client.stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        state = {
            "pid": os.getpid(),
            "start_ticks": start_ticks(os.getpid()),
            "started": time.time(),
            "digest": plan.digest(),
            "rate": plan.rate,
            "timeout": plan.timeout,
            "targets": [target.name for target in plan.targets],
        }
        _write_state(folder, state)
        os.write(report, b"ok")
        os.close(report)
        gc.collect()
        gc.freeze()  # what is there now stays; collections then look at little and pause for little
        reason = client.run()
        _write_state(folder, {**state, "ended": time.time(), "reason": reason})
        status = 0
    except BaseException as exc:  # whatever it is, nobody else is there to see it
        import traceback

        traceback.print_exc()
        try:
            os.write(report, f"{type(exc).__name__}: {exc}".encode())
        except OSError:  # the starter is long gone
            pass
    finally:
        sys.stderr.flush()
        os._exit(status)


def stop(state: dict[str, t.Any], seconds: float) -> bool:
    """Asks the client to end and waits until it has written everything. False when it is still there after `seconds`.

    Signals only the very process that was recorded, by a descriptor of it, so that no other can be hit.
    """
    if not running(state):
        return True
    try:
        handle = os.pidfd_open(state["pid"])
    except ProcessLookupError:
        return True
    try:
        if not running(state):  # between our look and the opening
            return True
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


# -- reading -----------------------------------------------------------------------------------------------------------
def _time_of(line: bytes) -> float | None:
    try:
        return float(json.loads(line)["t"])
    except (ValueError, KeyError, TypeError):
        return None


def offset_of(file: t.BinaryIO, since: float, timeout: float) -> int:
    """Where in a file of records those with t >= since begin, found by halving; a few lines too early, never too late.

    Records are ordered by when they ended, at most `timeout` seconds after their t. So before a record with
    t < since - timeout there is none that we want.
    """
    size = file.seek(0, os.SEEK_END)
    low, high = 0, size
    while high - low > 65536:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()
        when = _time_of(file.readline())
        if when is not None and when < since - timeout:
            low = middle
        else:
            high = middle
    if low == 0:
        return 0
    file.seek(low)
    file.readline()
    return file.tell()


def read_records(path: str, since: float = 0.0, timeout: float = 60.0) -> t.Iterator[dict[str, t.Any]]:
    """Records with t >= since. A last line that is still being written is left for the next time."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return
    with file:
        if since > 0:
            file.seek(offset_of(file, since, timeout + 5.0))
        else:
            file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError:  # cut in two by a full disk or a kill; its neighbours are whole
                continue
            if record["t"] >= since:
                yield record


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    failed: int = 0
    late: int = 0
    retried: int = 0
    first: float = 0.0
    last: float = 0.0
    milliseconds: array = field(default_factory=lambda: array("f"))
    sent: array = field(default_factory=lambda: array("f"))

    def add(self, record: dict[str, t.Any]) -> None:
        when = record["t"]
        self.first = when if not self.requests else min(self.first, when)
        self.last = max(self.last, when)
        self.requests += 1
        self.failed += "error" in record
        self.late += "lag" in record
        self.retried += "retried" in record
        self.milliseconds.append(record["ms"])
        self.sent.append(record["ms"] - record.get("lag", 0))

    def result(self) -> dict[str, t.Any]:
        ordered = sorted(self.milliseconds)
        return {
            "requests": self.requests,
            "failed": self.failed,
            "error_rate": self.failed / self.requests if self.requests else None,
            "p50_ms": percentile(ordered, 50),
            "p99_ms": percentile(ordered, 99),
            "p99_sent_ms": percentile(sorted(self.sent), 99),
            "late": self.late,
            "retried": self.retried,
            "first": self.first,
            "last": self.last,
        }


def percentile(ordered: t.Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of sorted values; None when there are none, so that no data is never a good value."""
    if not ordered:
        return None
    rank = max(1, -(-len(ordered) * percent // 100))
    return round(ordered[int(rank) - 1], 1)


def summarise(
    records: t.Iterable[dict[str, t.Any]], colours: dict[str, t.Sequence[str]] | None = None, sample: int = 20
) -> dict[str, t.Any]:
    """Counts records: over all, and by colour, route and protocol.

    colours: colour -> the `via` values that mean it; a record whose via is none of them is counted as `unknown`.
    Returns {total, colours, routes, protocols (each: requests, failed, error_rate 0..1, p50_ms, p99_ms, p99_sent_ms,
    late, retried, first, last), errors: [{t, route, protocol, colour, via, error}] (the first `sample`), error_counts:
    {text: number}}. Nothing recorded gives requests 0 and error_rate None.
    """
    colour_of = {via: colour for colour, vias in (colours or {}).items() for via in vias}
    total = _Tally()
    by: dict[str, dict[str, _Tally]] = {"colours": {}, "routes": {}, "protocols": {}}
    for colour in [*(colours or {})]:
        by["colours"][colour] = _Tally()
    errors: list[dict[str, t.Any]] = []
    counts: Counter[str] = Counter()
    for record in records:
        colour = colour_of.get(record["via"], "unknown")
        total.add(record)
        for group, key in (("colours", colour), ("routes", record["route"]), ("protocols", record["protocol"])):
            by[group].setdefault(key, _Tally()).add(record)
        if "error" in record:
            counts[record["error"]] += 1
            if len(errors) < sample:
                kept = {name: record[name] for name in ("t", "route", "protocol", "via", "error")}
                errors.append({**kept, "colour": colour})
    return {
        "total": total.result(),
        **{group: {key: tally.result() for key, tally in sorted(tallies.items())} for group, tallies in by.items()},
        "errors": errors,
        "error_counts": dict(counts.most_common(sample)),
    }
