# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's servers and their weights, by its runtime API (HAProxy 2.4 and newer; run with 2.6).

The runtime API has no status: a refused command is a line of text, a carried-out one an empty line. So what is written
is read back, always. Rules taken from HAProxy's management guide, chapter 9.3, and from what 2.6 answered when asked:

- a weight lives until HAProxy reloads; then the configuration's weight (`initial weight`) is back;
- `status` in `show stat` is prose (`UP 1/3`, `MAINT (via b/s)`, `no check`), so health and administrative state are
  taken from the numbers of `show servers state`;
- several commands on one line, parted by `;`, are carried out one after the other, each answered up to an empty line.
"""

from __future__ import annotations

import csv
import dataclasses
import re
import socket
import typing as t

from ._module import Refusal

MAX_WEIGHT = 256  # the highest absolute weight that HAProxy takes
TOLERANCE = 0.5  # percentage points: what rounding to whole weights may cost, and what still counts as "as expected"
LINE_LIMIT = 8000  # bytes of one command line; HAProxy's buffer (tune.bufsize) is 16384 by default
NAME = re.compile(r"^[A-Za-z0-9_.:-]+$")  # what HAProxy allows as a name of a backend or server

# srv_admin_state bits of `show servers state`
_MAINT = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
_DRAIN = 0x08 | 0x10
# srv_op_state: 0 stopped, 1 starting (slow start), 2 running, 3 stopping
_TAKES_TRAFFIC = (1, 2)
_CHECK_ENABLED = 0x04  # bit of srv_check_state and srv_agent_state
UPTIME = re.compile(r"^Uptime_sec: (\d+)$", re.MULTILINE)  # in `show info`: seconds since this process began
_COUNTERS = ("scur", "stot", "rate", "econ", "eresp")


@dataclasses.dataclass(frozen=True)
class Server:
    """One server of one backend, as one HAProxy process sees it.

    weight: what is in force (0..256); configured_weight: what a reload brings back. health: UP, DOWN, or UNCHECKED when
    HAProxy has no check that could tell. status: HAProxy's own word. admin: ready, drain or maint, as an operator set
    it. counters: scur open sessions, stot sessions since start, rate new sessions/s, econ and eresp errors; None if not
    told.
    """

    instance: str
    backend: str
    name: str
    colour: str  # blue, green, or "" when neither expression matches
    weight: int
    configured_weight: int
    health: str
    status: str
    admin: str
    backup: bool
    algorithm: str  # of its backend; "" when this user may not see it
    last_chk: str
    counters: dict[str, int | None]

    @property
    def in_rotation(self) -> bool:
        """Not taken out by an operator: its weight counts, whatever its health at this moment."""
        return self.admin == "ready"

    @property
    def title(self) -> str:
        return f"{self.backend}/{self.name}"

    def result(self) -> dict[str, t.Any]:
        plain = dataclasses.asdict(self)
        counters = plain.pop("counters")
        return {
            "instance": plain["instance"],
            "backend": plain["backend"],
            "server": plain["name"],
            **{key: plain[key] for key in ("colour", "weight", "configured_weight", "health", "status", "admin")},
            **counters,
            "last_chk": plain["last_chk"],
        }


# -- one process -----------------------------------------------------------------------------------------------------
def parse_address(text: str) -> tuple[str, t.Any]:
    """'unix:/path' or 'tcp:HOST:PORT' (an IPv6 host in brackets). Raises Refusal(bad_option)."""
    kind, _sep, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return "unix", rest
    host, _sep, port = rest.rpartition(":")
    if kind == "tcp" and host and port.isdigit() and 0 < int(port) < 65536:
        return "tcp", (host.strip("[]"), int(port))
    raise Refusal(
        "bad_option", f"runtime_apis: {text!r} is not an address. Write unix:/run/haproxy/admin.sock or tcp:HOST:PORT."
    )


class RuntimeApi:
    """The runtime API of one HAProxy process; every call is one connection and one line."""

    def __init__(self, address: str, timeout: float) -> None:
        self.address = address
        self._family, self._target = parse_address(address)
        self._timeout = timeout

    def ask(self, commands: t.Sequence[str]) -> list[str]:
        """The answer to each command, without its closing empty line.

        Raises Refusal(unreachable, unexpected_answer).
        """
        if not commands:
            return []
        try:
            text = self._exchange(";".join(commands) + "\n")
        except OSError as exc:
            raise Refusal(
                "unreachable",
                f"HAProxy's runtime API {self.address} (mesh_balancer.runtime_apis) can't be used:"
                f" {self._explain(exc)} Not answered: {commands[0]}.",
                instance=self.address,
            ) from exc
        answers = split_answers(text)
        if len(answers) != len(commands):
            raise Refusal(
                "unexpected_answer",
                f"{self.address} gave {len(answers)} answers to {len(commands)} commands; is it HAProxy's runtime API?"
                f" It said: {text[:200]!r}",
                instance=self.address,
            )
        return answers

    def _explain(self, exc: OSError) -> str:
        """What was tried, what came of it, and what to look at."""
        where = self._target if self._family == "unix" else "port {1} of {0}".format(*self._target)
        if isinstance(exc, FileNotFoundError):
            return f"there is no socket {where}. Is HAProxy running, and is that the path of its `stats socket` line?"
        if isinstance(exc, PermissionError):
            return f"this user may not use {where}. Run as a user whom `mode`, `user` or `group` of its line admit."
        if isinstance(exc, ConnectionRefusedError):
            return f"nothing listens at {where}. Is HAProxy running, with a `stats socket ... level admin` line there?"
        if isinstance(exc, socket.gaierror):
            return f"the name {self._target[0]} can't be resolved. Check it, or write an address."
        if isinstance(exc, TimeoutError):
            return f"{where} did not answer within {self._timeout:g} s. Does a firewall keep this host from it?"
        return f"{where}: {exc.strerror or exc}. Check that this host may reach it."

    def _exchange(self, line: str) -> str:
        if self._family == "unix":
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout)
        else:
            connection = socket.create_connection(self._target, self._timeout)
        with connection:
            if self._family == "unix":
                connection.connect(self._target)
            connection.sendall(line.encode())
            received = []
            while chunk := connection.recv(65536):
                received.append(chunk)
        return b"".join(received).decode("utf-8", "replace")

    def servers(self, backends: t.Sequence[str], blue: re.Pattern[str], green: re.Pattern[str]) -> list[Server]:
        """Every server of these backends. Raises Refusal(no_such_backend)."""
        stat, state = self.ask(["show stat -1 6 -1", "show servers state"])
        return parse_servers(self.address, stat, state, backends, blue, green)

    def level(self) -> str:
        """admin, operator or user: what this socket may do."""
        return self.ask(["show cli level"])[0].strip()

    def uptime(self) -> int | None:
        """Seconds since this process began; None if it does not say."""
        found = UPTIME.search(self.ask(["show info"])[0])
        return int(found[1]) if found else None

    def set_weights(self, wanted: t.Sequence[tuple[str, str, int]]) -> list[str]:
        """Sets (backend, server, weight) in this order; returns HAProxy's complaints, [] when there is none.

        All of it goes in as few lines as fit: a run that is killed has then sent the whole change, or none of it.
        """
        complaints = []
        for batch in batches([f"set server {b}/{s} weight {w}" for b, s, w in wanted], LINE_LIMIT):
            for command, answer in zip(batch, self.ask(batch)):
                if answer.strip():
                    target, weight = command.split()[2], command.split()[4]
                    complaints.append(f"{target} (weight {weight}): {answer.strip()}")
        return complaints


def split_answers(text: str) -> list[str]:
    """The runtime API's answers to a line of commands: each ends with an empty line."""
    answers: list[str] = []
    current: list[str] = []
    for line in text.split("\n")[:-1]:
        if line:
            current.append(line)
        else:
            answers.append("\n".join(current))
            current = []
    return answers + ["\n".join(current)] if current else answers


def batches(commands: t.Sequence[str], limit: int) -> list[list[str]]:
    """commands in order, in groups that fit into one line of `limit` bytes."""
    groups: list[list[str]] = []
    size = 0
    for command in commands:
        if not groups or size + len(command) + 1 > limit:
            groups.append([])
            size = 0
        groups[-1].append(command)
        size += len(command) + 1
    return groups


# -- reading -----------------------------------------------------------------------------------------------------
def parse_servers(
    instance: str, stat: str, state: str, backends: t.Sequence[str], blue: re.Pattern[str], green: re.Pattern[str]
) -> list[Server]:
    """Servers of `backends` from the answers to `show stat` (CSV) and `show servers state` (words).

    The columns are found by their names: versions of HAProxy add columns. Raises Refusal(unexpected_answer,
    no_such_backend, both_colours).
    """
    rows = list(csv.DictReader(stat.removeprefix("# ").splitlines()))
    if not rows or "svname" not in rows[0]:
        raise Refusal(
            "unexpected_answer",
            f"{instance}: `show stat` did not answer with a table: {stat[:200]!r}",
            instance=instance,
        )
    algorithms = {row["pxname"]: row.get("algo") or "" for row in rows if row["svname"] == "BACKEND"}
    missing = [name for name in backends if name not in algorithms]
    if missing:
        raise Refusal(
            "no_such_backend",
            f"{instance} has no backend {', '.join(missing)}. It has: {', '.join(sorted(algorithms)) or 'none'}.",
            instance=instance, missing=missing,
        )  # fmt: skip
    stats = {(row["pxname"], row["svname"]): row for row in rows}
    found = []
    for fields in _state_rows(instance, state):
        key = (fields["be_name"], fields["srv_name"])
        if key[0] not in backends or key not in stats:
            continue
        row = stats[key]
        checked = int(fields["srv_check_state"]) & _CHECK_ENABLED or int(fields["srv_agent_state"]) & _CHECK_ENABLED
        admin = int(fields["srv_admin_state"])
        up = int(fields["srv_op_state"]) in _TAKES_TRAFFIC
        found.append(
            Server(
                instance=instance,
                backend=key[0],
                name=key[1],
                colour=_colour(key[1], blue, green),
                weight=int(fields["srv_uweight"]),
                configured_weight=int(fields["srv_iweight"]),
                health=("UP" if up else "DOWN") if checked or row.get("tracked") or not up else "UNCHECKED",
                status=row.get("status") or "",
                admin="maint" if admin & _MAINT else "drain" if admin & _DRAIN else "ready",
                backup=row.get("bck") == "1",
                algorithm=algorithms[key[0]],
                last_chk=": ".join(word for word in (row.get("check_desc"), row.get("last_chk")) if word),
                counters={name: int(row[name]) if row.get(name) else None for name in _COUNTERS},
            )
        )
    return found


def _state_rows(instance: str, state: str) -> list[dict[str, str]]:
    lines = state.splitlines()
    header = next((line for line in lines if line.startswith("# be_id")), None)
    if header is None:
        raise Refusal(
            "unexpected_answer",
            f"{instance}: `show servers state` did not answer with a table: {state[:200]!r}",
            instance=instance,
        )
    names = header[2:].split()
    return [dict(zip(names, line.split())) for line in lines if line and line[0].isdigit() and " " in line]


def _colour(name: str, blue: re.Pattern[str], green: re.Pattern[str]) -> str:
    is_blue, is_green = bool(blue.search(name)), bool(green.search(name))
    if is_blue and is_green:
        raise Refusal(
            "both_colours",
            f"server {name}: both blue_servers ({blue.pattern}) and green_servers ({green.pattern}) match it. Make the"
            " expressions disjoint, e.g. with ^ and $.",
        )
    return "blue" if is_blue else "green" if is_green else ""


def share(servers: t.Iterable[Server], weights: dict[str, int] | None = None, live: bool = False) -> float | None:
    """Green's percentage of new connections at one backend of one instance, 0..100 with two decimals.

    By weight, over the servers in rotation; with live, only over those that take traffic at this moment. weights: by
    server name, instead of the ones in force. None when nothing there has weight.
    """
    sums = {"blue": 0, "green": 0, "": 0}
    for server in servers:
        if server.in_rotation and not server.backup and (not live or server.health != "DOWN"):
            sums[server.colour] += (weights or {}).get(server.name, server.weight)
    total = sum(sums.values())
    return round(100 * sums["green"] / total, 2) if total else None


# -- planning ----------------------------------------------------------------------------------------------------
def weights_for(percent: float, blue: int, green: int) -> tuple[int, int]:
    """(weight of each blue server, weight of each green server) that give green `percent` of new connections.

    blue, green: how many servers in rotation each colour has. A share is n*w / sum of n*w, and weights are whole
    numbers of 0..256, so the result may be off by rounding; it is exact for any whole percentage when both colours have
    the same number of servers, and the pair with the smallest error is taken, then the one whose sum is nearest 100 (99
    and 1 read well at night). Raises ValueError when a colour that is to have traffic has no server.
    """
    if percent and not green or percent < 100 and not blue:
        raise ValueError("no server")
    if percent in (0, 100):
        return (100, 0) if percent == 0 else (0, 100)
    ratio = percent * blue / ((100 - percent) * green)  # green weight / blue weight
    pairs = [(b, min(MAX_WEIGHT, max(1, round(b * ratio)))) for b in range(1, MAX_WEIGHT + 1)]

    def rank(pair: tuple[int, int]) -> tuple[float, int]:
        b, g = pair
        return round(abs(100 * green * g / (green * g + blue * b) - percent), 6), abs(b + g - 100)

    return min(pairs, key=rank)


def plan_percent(servers: t.Sequence[Server], percent: float) -> dict[str, int]:
    """The weight of every blue and green server of one backend at one instance, by name, for green's share.

    Servers that an operator took out get their colour's weight too, so that they come back in step, but do not count.
    Raises Refusal(no_server, unrepresentable).
    """
    count = {c: sum(s.colour == c and s.in_rotation for s in servers) for c in ("blue", "green")}
    where = f"{servers[0].instance}, backend {servers[0].backend}"
    try:
        blue, green = weights_for(percent, count["blue"], count["green"])
    except ValueError:
        empty = "green" if percent and not count["green"] else "blue"
        raise Refusal(
            "no_server",
            f"{where}: {percent:g} % on green needs a {empty} server in rotation, and all of them are in MAINT or"
            " DRAIN. Set them ready first (set server BACKEND/SERVER state ready).",
            backend=servers[0].backend,
        ) from None
    weights = {s.name: blue if s.colour == "blue" else green for s in servers if s.colour}
    actual = share([s for s in servers if s.colour], weights)
    if actual is None or abs(actual - percent) > TOLERANCE:
        raise Refusal(
            "unrepresentable",
            f"{where}: {percent:g} % on green can't be had with {count['blue']} blue and {count['green']} green servers"
            f" and weights up to {MAX_WEIGHT}; the nearest is {actual} %. Ask for a share nearer to 50, or bring the"
            " numbers of servers in rotation closer together.",
            backend=servers[0].backend, nearest=actual,
        )  # fmt: skip
    return weights


def plan_weights(servers: t.Sequence[Server], wanted: dict[str, t.Any]) -> dict[str, int]:
    """The given weights of one backend, validated against its servers. Raises Refusal(bad_option, no_such_server)."""
    backend = servers[0].backend
    known = {s.name for s in servers if s.colour}
    for name, weight in wanted.items():
        if name not in known:
            raise Refusal(
                "no_such_server",
                f"weights: {servers[0].instance}, backend {backend} has no blue or green server {name}. It has:"
                f" {', '.join(sorted(known))}.",
                backend=backend, server=name,
            )  # fmt: skip
        if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MAX_WEIGHT:
            raise Refusal(
                "bad_option", f"weights: {backend}/{name}: {weight!r} is not a whole number from 0 to {MAX_WEIGHT}."
            )
    return dict(wanted)


def check_shape(servers: t.Sequence[Server]) -> None:
    """Refuses a backend at which weights of the two colours would be no share of its traffic.

    Raises Refusal(unmatched_server, backup_server).
    """
    where = f"{servers[0].instance}, backend {servers[0].backend}"
    stray = [s for s in servers if not s.colour and s.in_rotation and not s.backup and s.weight]
    if stray:
        raise Refusal(
            "unmatched_server",
            f"{where}: {_names(stray)} would take traffic and is neither blue nor green. Widen blue_servers or"
            " green_servers, or take it out of rotation.",
            servers=[s.title for s in stray],
        )
    backups = [s for s in servers if s.colour and s.backup]
    if backups:
        raise Refusal(
            "backup_server",
            f"{where}: {_names(backups)} is a `backup` server: HAProxy uses it only when all others are down, so its"
            " weight is no share of the traffic. Remove `backup` from its line.",
            servers=[s.title for s in backups],
        )


def check_change(servers: t.Sequence[Server], wanted: dict[str, int], require_health: bool) -> None:
    """Refuses a change of one backend at one instance that HAProxy would not follow, or that would hurt.

    Raises Refusal(static_algorithm, green_not_up, no_server_up).
    """
    where = f"{servers[0].instance}, backend {servers[0].backend}"
    algorithm = servers[0].algorithm
    partial = [s for s in servers if s.name in wanted and wanted[s.name] not in (0, s.configured_weight)]
    if algorithm == "first" or algorithm == "static-rr" and partial:
        raise Refusal(
            "static_algorithm",
            f"{where}: `balance {algorithm}` does not follow weights set at run time. Use roundrobin, leastconn or"
            " random.",
            backend=servers[0].backend, algorithm=algorithm,
        )  # fmt: skip
    if not require_health:
        return
    before, after = share(servers), share(servers, wanted)
    sick = [s for s in servers if s.colour == "green" and s.in_rotation and s.health != "UP"]
    if sick and (after or 0) > (before or 0):
        raise Refusal(
            "green_not_up",
            f"{where}: green's share would go from {before} to {after} %, but {_states(sick)}. Repair them, take them"
            " out of rotation, add `check` to the server line if HAProxy does not check it, or set require_health to"
            " false.",
            servers=[s.title for s in sick],
        )
    if not any(s.in_rotation and s.health != "DOWN" and wanted.get(s.name, s.weight) for s in servers):
        raise Refusal(
            "no_server_up",
            f"{where}: no server with weight would be UP: {_states([s for s in servers if wanted.get(s.name)])}.",
            backend=servers[0].backend,
        )


def check_expected(servers: t.Sequence[Server], expected: float, wanted: dict[str, int] | None) -> str | None:
    """What is wrong when one backend's share is not the expected one; None when it is.

    A backend that has the wanted weights already is fine too: that is where a run that was killed left it.
    """
    found = share(servers)
    if wanted is not None and all(s.weight == wanted.get(s.name, s.weight) for s in servers):
        return None
    exact = expected in (0, 100)
    if found is not None and (found == expected if exact else abs(found - expected) <= TOLERANCE):
        return None
    weights = ", ".join(f"{s.name}={s.weight}{'' if s.in_rotation else ' (' + s.admin + ')'}" for s in servers)
    where = f"{servers[0].instance}, backend {servers[0].backend}"
    return f"{where}: expected {expected:g} % on green, found {found} % ({weights})"


def as_configured(servers: t.Iterable[Server]) -> bool:
    """Whether every server of either colour has the weight that a start or a reload gives it."""
    return all(s.weight == s.configured_weight for s in servers if s.colour)


def ordered(servers: t.Sequence[Server], wanted: dict[str, int]) -> list[tuple[str, str, int]]:
    """The changes in the order in which green's share never exceeds the higher of before and after, and in which a
    backend that has weight never has none in between: blue up, green down, green up, blue down."""

    def rank(server: Server) -> int:
        raised = wanted[server.name] > server.weight
        return {("blue", True): 0, ("green", False): 1, ("green", True): 2, ("blue", False): 3}[server.colour, raised]

    changes = [s for s in servers if s.name in wanted and wanted[s.name] != s.weight]
    return [(s.backend, s.name, wanted[s.name]) for s in sorted(changes, key=rank)]


def _names(servers: t.Iterable[Server]) -> str:
    return ", ".join(s.title for s in servers)


def _states(servers: t.Iterable[Server]) -> str:
    return ", ".join(
        f"{s.title} is {s.health}{f' ({s.last_chk})' if s.last_chk else ''}"
        f"{'' if s.in_rotation else f', admin state {s.admin}'}"
        for s in servers
    )


# -- all instances together ----------------------------------------------------------------------------------------
Key = tuple[str, str]  # instance, backend
Plan = dict[Key, dict[str, int]]


class Balancer:
    """The same backends at every instance of a load balancer; they move together or not at all."""

    def __init__(
        self, addresses: t.Sequence[str], backends: t.Sequence[str], blue: str, green: str, timeout: float
    ) -> None:
        for field, values in (("runtime_apis", addresses), ("backends", backends)):
            if not values or len(set(values)) != len(values):
                raise Refusal("bad_option", f"{field}: expected a list of different values, found {list(values)}.")
        for name in backends:
            if not NAME.match(name):
                raise Refusal("bad_option", f"backends: {name!r} can't be the name of an HAProxy backend.")
        self._apis = {address: RuntimeApi(address, timeout) for address in addresses}
        self._backends = list(backends)
        self._blue, self._green = expression("blue_servers", blue), expression("green_servers", green)

    def read(self) -> dict[Key, list[Server]]:
        """The servers of every backend at every instance. Raises Refusal(no_such_server), or as RuntimeApi.servers."""
        groups: dict[Key, list[Server]] = {}
        for address, api in self._apis.items():
            servers = api.servers(self._backends, self._blue, self._green)
            for backend in self._backends:
                group = groups[address, backend] = [s for s in servers if s.backend == backend]
                for colour, pattern in (("blue", self._blue), ("green", self._green)):
                    if not any(s.colour == colour for s in group):
                        raise Refusal(
                            "no_such_server",
                            f"{address}, backend {backend}: {colour}_servers ({pattern.pattern}) matches none of its"
                            f" servers: {', '.join(s.name for s in group) or 'none'}.",
                            instance=address, backend=backend,
                        )  # fmt: skip
        return groups

    def reloaded(self, groups: dict[Key, list[Server]], since: float, now: float) -> list[str]:
        """The instances that have lost what was set by `since` (seconds since 1970, as `now`): the process is younger,
        and all weights are its configuration's. Whoever has set one of them since is not overruled."""
        found = []
        for address, api in self._apis.items():
            if as_configured(s for key, servers in groups.items() if key[0] == address for s in servers):
                uptime = api.uptime()
                if uptime is not None and now - uptime - 1 > since:  # it tells whole seconds
                    found.append(address)
        return found

    def plan(self, groups: dict[Key, list[Server]], percent: float | None, weights: dict[str, t.Any] | None) -> Plan:
        """What every server's weight is to be. Raises Refusal(bad_option), or as check_shape() and the plans do."""
        unknown = sorted(set(weights or {}) - set(self._backends))
        if unknown:
            raise Refusal("bad_option", f"weights: {', '.join(unknown)} is not among backends ({self._backends}).")
        if weights is not None and not all(isinstance(value, dict) for value in weights.values()):
            raise Refusal("bad_option", "weights: expected {BACKEND: {SERVER: WEIGHT}}.")
        wanted: Plan = {}
        for key, servers in groups.items():
            if weights is not None or percent is not None:
                check_shape(servers)
            if weights is not None:
                wanted[key] = plan_weights(servers, weights.get(key[1], {}))
            elif percent is not None:
                wanted[key] = plan_percent(servers, percent)
        return wanted

    def check(self, groups: dict[Key, list[Server]], wanted: Plan, require_health: bool) -> None:
        """Before anything is written: raises Refusal(not_admin) when an instance would not take a weight from us, or as
        check_change() does."""
        for key, plan in wanted.items():
            if ordered(groups[key], plan):
                check_change(groups[key], plan, require_health)
        for address, api in self._apis.items():
            level = api.level()
            if level != "admin":
                raise Refusal(
                    "not_admin",
                    f"{address}: this socket has level {level}, and setting weights needs `level admin` on its"
                    " `stats socket` line.",
                    instance=address, level=level,
                )  # fmt: skip

    def apply(self, groups: dict[Key, list[Server]], wanted: Plan) -> dict[Key, list[Server]]:
        """Sets the weights everywhere and reads them back; on any failure the old weights are put back everywhere.

        Returns what was read back. Raises Refusal(set_failed) with details complaints, put_back, not_put_back.
        """
        touched: list[str] = []
        try:
            for address, api in self._apis.items():
                changes = [c for (a, b), p in wanted.items() if a == address for c in ordered(groups[a, b], p)]
                if not changes:
                    continue
                touched.append(address)
                complaints = api.set_weights(changes)
                if complaints:
                    raise Refusal("set_failed", f"{address} refused {'; '.join(complaints)}")
            after = self.read()
            differing = [
                f"{s.instance} {s.title}: set {wanted[key][s.name]}, read back {s.weight}"
                for key, servers in after.items()
                for s in servers
                if wanted[key].get(s.name, s.weight) != s.weight
            ]
            if differing:
                raise Refusal("set_failed", f"the weights did not stay: {'; '.join(differing)}")
            return after
        except Refusal as exc:
            put_back, failed = self._put_back(groups, wanted, touched)
            outcome = (
                f"The weights of before are in force again at {', '.join(put_back)}." if put_back and not failed else
                f"The weights of before could NOT be put back: {'; '.join(failed)}. Set them by hand." if failed else
                "Nothing had been changed."
            )  # fmt: skip
            raise Refusal(
                "set_failed", f"{exc}. {outcome}".replace("..", "."), cause=exc.code, put_back=put_back,
                not_put_back=failed,
            ) from exc  # fmt: skip

    def _put_back(
        self, groups: dict[Key, list[Server]], wanted: Plan, touched: t.Sequence[str]
    ) -> tuple[list[str], list[str]]:
        done, failed = [], []
        for address in touched:
            try:
                changes = self._differing(address, groups, wanted)
                problems = self._apis[address].set_weights(changes)
                problems = problems or [
                    f"{backend}/{name} is not at its weight of before, {weight}"
                    for backend, name, weight in self._differing(address, groups, wanted)
                ]
            except Refusal as exc:
                problems = [str(exc)]
            if problems:
                failed.append(f"{address}: {'; '.join(problems)}")
            elif changes:
                done.append(address)
        return done, failed

    def _differing(self, address: str, groups: dict[Key, list[Server]], wanted: Plan) -> list[tuple[str, str, int]]:
        """What of our plan is in force at one instance, with the weights that it had before."""
        now = {(s.backend, s.name): s for s in self._apis[address].servers(self._backends, self._blue, self._green)}
        changes = []
        for (instance, backend), plan in wanted.items():
            if instance == address:
                current = [now[backend, s.name] for s in groups[instance, backend] if (backend, s.name) in now]
                before = {s.name: s.weight for s in groups[instance, backend] if s.name in plan}
                changes += ordered(current, before)
        return changes


def expression(field: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise Refusal("bad_option", f"{field}: {text!r} is not a regular expression: {exc}.") from exc


def shares(groups: dict[Key, list[Server]]) -> list[dict[str, t.Any]]:
    """Green's share at each backend of each instance: by weight, and over the servers that take traffic now."""
    return [
        {"instance": key[0], "backend": key[1], "green_percent": share(servers),
         "live_green_percent": share(servers, live=True)}
        for key, servers in groups.items()
    ]  # fmt: skip


def common_share(groups: dict[Key, list[Server]]) -> float | None:
    """Green's share where it is one: None when backends or instances differ by more than rounding."""
    values = [share(servers) for servers in groups.values()]
    known = [value for value in values if value is not None]
    if len(known) != len(values) or max(known) - min(known) > TOLERANCE:
        return None
    if {0.0, 100.0} & set(known) and len(set(known)) > 1:  # "none" and "nearly none" are not one share
        return None
    return round(sum(known) / len(known), 2)


def with_weights(groups: dict[Key, list[Server]], wanted: Plan) -> dict[Key, list[Server]]:
    """groups as they would be with these weights: check mode's answer."""
    return {
        key: [dataclasses.replace(s, weight=wanted.get(key, {}).get(s.name, s.weight)) for s in servers]
        for key, servers in groups.items()
    }


def weights_of(groups: dict[Key, list[Server]], wanted: Plan | None = None) -> dict[str, t.Any]:
    """{instance: {backend: {server: weight}}} for a diff, now or as planned."""
    result: dict[str, t.Any] = {}
    for (instance, backend), servers in groups.items():
        planned = (wanted or {}).get((instance, backend), {})
        result.setdefault(instance, {})[backend] = {s.name: planned.get(s.name, s.weight) for s in servers if s.colour}
    return result
