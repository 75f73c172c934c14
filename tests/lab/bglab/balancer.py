"""HAProxy outside the cluster: layer 4, in front of the nodes' NodePorts, as a cloud's network balancer is.

Both colours are attached from the start, green with weight 0, as target groups would be. Green also has addresses of its
own, for those who tell the sides apart by address.
"""

from __future__ import annotations

import socket

from . import settings as s

#      name               address                   port  blue   green  status: blue, green
LISTENERS = (
    ("public_http", s.BALANCER, 80, 30080, 30081, 30021, 30022),
    ("public_https", s.BALANCER, 443, 30443, 30444, 30021, 30022),
    ("passthrough_http", s.BALANCER_PASSTHROUGH, 80, 32080, 32081, 32021, 32022),
    ("passthrough_https", s.BALANCER_PASSTHROUGH, 443, 32443, 32444, 32021, 32022),
)
#      name                address                      port  green  status
GREEN_LISTENERS = (
    ("green_public_http", s.BALANCER_GREEN, 80, 30081, 30022),
    ("green_public_https", s.BALANCER_GREEN, 443, 30444, 30022),
    ("green_passthrough_http", s.BALANCER_GREEN_PASSTHROUGH, 80, 32081, 32022),
    ("green_passthrough_https", s.BALANCER_GREEN_PASSTHROUGH, 443, 32444, 32022),
)
# Where an Ingress controller (apps/traefik.yaml) is one of the sides. Their health is whether they take connections: they
# have no path in common that says so.
#      name            address             port  first: its servers' name and NodePort, then who takes its place
INGRESS_LISTENERS = (
    ("ingress_http", s.BALANCER_INGRESS, 80, ("ingress", 31080), ("istio", 31081)),
    ("ingress_https", s.BALANCER_INGRESS, 443, ("ingress", 31443), ("istio", 31444)),
    ("edge_http", s.BALANCER_EDGE, 80, ("istio", 30080), ("ingress", 31080)),
    ("edge_https", s.BALANCER_EDGE, 443, ("istio", 30443), ("ingress", 31443)),
)


def config() -> str:
    lines = [
        "global",
        "    maxconn 8000",
        f"    stats socket ipv4@{s.BALANCER}:{s.HAPROXY_PORT} level admin",
        "    stats socket unix@/run/haproxy.sock mode 600 level admin",
        "    stats timeout 1m",
        "defaults",
        "    mode tcp",
        "    balance roundrobin",
        "    timeout connect 2s",
        "    timeout client 60s",
        "    timeout server 60s",
        "    timeout tunnel 1h",
        "    timeout check 5s",  # a busy machine is late, and not down
        "    retries 3",
        "    option redispatch",
        "    option httpchk",  # Envoy refuses the HTTP/1.0 of its short form
        "    http-check send meth GET uri /healthz/ready ver HTTP/1.1 hdr Host health.lab.test",
        "    http-check expect status 200",
        "    default-server inter 1s fall 3 rise 1 weight 100",
    ]
    for name, address, port, blue, green, blue_status, green_status in LISTENERS:
        lines += [f"frontend {name}", f"    bind {address}:{port}", f"    default_backend {name}", f"backend {name}"]
        for colour, node_port, status, weight in (("blue", blue, blue_status, 100), ("green", green, green_status, 0)):
            lines += [
                f"    server {colour}-{node} {node_address}:{node_port} weight {weight} check port {status}"
                for node, node_address in s.NODES.items()
            ]
    for name, address, port, green, status in GREEN_LISTENERS:
        lines += [f"frontend {name}", f"    bind {address}:{port}", f"    default_backend {name}", f"backend {name}"]
        lines += [f"    server {node} {at}:{green} check port {status}" for node, at in s.NODES.items()]
    for name, address, port, first, second in INGRESS_LISTENERS:
        lines += [f"frontend {name}", f"    bind {address}:{port}", f"    default_backend {name}", f"backend {name}"]
        lines.append("    option tcp-check")
        for (side, node_port), weight in ((first, 100), (second, 0)):
            lines += [
                f"    server {side}.{node} {at}:{node_port} weight {weight} check" for node, at in s.NODES.items()
            ]
    return "\n".join(lines) + "\n"


def blue_is_up() -> bool:
    """Whether HAProxy's own health checks have found every blue server up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as api:
        api.settimeout(2)
        api.connect("/run/haproxy.sock")
        api.sendall(b"show stat\n")
        answer = b"".join(iter(lambda: api.recv(65536), b"")).decode()
    rows = [line.split(",") for line in answer.splitlines() if ",blue-" in line]
    return len(rows) == len(LISTENERS) * len(s.NODES) and all(row[17].startswith("UP") for row in rows)


def set_weights(listener: str, blue: int, green: int) -> None:
    """By the runtime API, from any host on the wire. The colour that gains is written first."""
    pairs = (("blue", blue), ("green", green)) if blue else (("green", green), ("blue", blue))
    commands = [f"set server {listener}/{colour}-{node} weight {w}" for colour, w in pairs for node in s.NODES]
    with socket.create_connection((s.BALANCER, s.HAPROXY_PORT), 5) as api:
        api.sendall(";".join(commands).encode() + b"\n")
        answer = b"".join(iter(lambda: api.recv(65536), b"")).decode().strip()
    if answer:
        raise RuntimeError(f"HAProxy, {listener}: {answer}")
