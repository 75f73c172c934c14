"""Knot DNS on a host of its own: a primary that takes signed updates, and a secondary that follows it.

Zone lab.test has the hosts that the lab's clients ask for, with a TTL that is soon over.
"""

from __future__ import annotations

import base64
import secrets
import shutil
from urllib.parse import urlsplit

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import yaml

from . import build, proc
from . import settings as s

MODULES: tuple[build.Module, ...] = ()  # Debian's, which tests/setup.sh installs
ADDRESS = s.DNS
PORTS = {"primary": 53, "secondary": 5353}
ZONE, KEY = "lab.test", "mover"
TTL = 10
FOLDER = s.STATE / "dns"


def records() -> dict[str, str]:
    """Owner name -> blue's address, of what the clients ask for. Names under *.wild are a wildcard's."""
    targets = yaml.safe_load((s.LAB / "apps" / "targets.yml").read_text())
    found = {urlsplit(target["url"]).hostname: target["connect_to"].partition(":")[0] for target in targets}
    return {f"*.wild.{ZONE}" if name.endswith(f".wild.{ZONE}") else name: at for name, at in sorted(found.items())}


def zone() -> str:
    lines = [f"$ORIGIN {ZONE}.", f"@ 60 SOA ns hostmaster 1 5 5 3600 {TTL}", "@ 60 NS ns", f"ns 60 A {ADDRESS}"]
    return "\n".join([*lines, *(f"{name}. {TTL} A {at}" for name, at in records().items())]) + "\n"


def config(role: str, secret: str) -> str:
    other = "secondary" if role == "primary" else "primary"
    folder = FOLDER / role
    lines = [
        "server:", f"    listen: {ADDRESS}@{PORTS[role]}", f"    rundir: {folder}",
        "    udp-workers: 1", "    tcp-workers: 1", "    background-workers: 1",
        "database:", f"    storage: {folder}",
        "key:", f"  - id: {KEY}", "    algorithm: hmac-sha256", f"    secret: {secret}",
        "remote:", f"  - id: {other}", f"    address: {ADDRESS}@{PORTS[other]}",
        "acl:", "  - id: mover", f"    key: {KEY}", "    action: update",
        "  - id: other", f"    address: {ADDRESS}", "    action: [transfer, notify]",
        "zone:", f"  - domain: {ZONE}", f"    storage: {folder}", "    acl: [mover, other]",
    ]  # fmt: skip
    follows = ["    notify: secondary", "    file: lab.test.zone", "    zonefile-sync: -1"]
    lines += follows if role == "primary" else ["    master: primary"]
    return "\n".join([*lines, "log:", "  - target: stderr", "    any: info", ""])


def start() -> None:
    program = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin:/sbin")
    if not program:
        raise RuntimeError("knotd is missing; tests/setup.sh installs it")
    shutil.rmtree(FOLDER, ignore_errors=True)
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    for role in PORTS:
        folder = FOLDER / role
        folder.mkdir(parents=True)
        (folder / "lab.test.zone").write_text(zone())
        (folder / "knot.conf").touch(mode=0o600)
        (folder / "knot.conf").write_text(config(role, secret))
    key = FOLDER / "mover.key"
    key.touch(mode=0o600)
    key.write_text(f'key "{KEY}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
    for role in PORTS:
        proc.start(f"dns-{role}", [program, "-c", str(FOLDER / role / "knot.conf")], netns="dns")


def answers(address: str, port: int) -> bool:
    """Whether a server there has the zone's records."""
    try:
        answer = dns.query.udp(dns.message.make_query(next(iter(records())), "A"), address, timeout=0.2, port=port)
    except dns.exception.Timeout:
        return False
    return any(rrset.rdtype == dns.rdatatype.A for rrset in answer.answer)


def ready() -> None:
    for role, port in PORTS.items():
        proc.await_(f"dns-{role}", lambda port=port: answers(ADDRESS, port))


def clean() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
