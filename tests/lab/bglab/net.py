"""Hosts and pods are network namespaces; this wires them. Everything is done inside the lab's own user namespace."""

from __future__ import annotations

import os
import subprocess

from . import settings as s


def run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")


def ip(batch: str, netns: str | None = None) -> None:
    """Runs many `ip` commands in one process: a pod starts in tens of milliseconds, not hundreds."""
    argv = ["ip", *(["-n", netns] if netns else []), "-batch", "-"]
    done = subprocess.run(argv, input=batch, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip{' -n ' + netns if netns else ''}: {done.stderr.strip()}\n{batch}")


def sysctl(netns: str | None, key: str, value: str) -> None:
    enter = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
    run(*enter, "sh", "-c", f"echo {value} > /proc/sys/{key.replace('.', '/')}")


def add_host(name: str, *addresses: str) -> None:
    """A host on the wire, with a default route through the control plane's address."""
    run("ip", "netns", "add", name)
    ip(f"link add h-{name} type veth peer name eth0 netns {name}\nlink set h-{name} master hosts up\n")
    lines = ["link set lo up"]
    lines += [f"addr add {address}/24 dev eth0" for address in addresses]
    lines += ["link set eth0 up", f"route add default via {s.API}"]
    ip("\n".join(lines) + "\n", name)


def hosts() -> list[str]:
    return os.listdir("/run/netns")


def delete_host(name: str) -> None:
    ip(f"link del h-{name}\n")  # with its peer at once; the kernel takes its time over a namespace's links
    run("ip", "netns", "del", name)


def build() -> None:
    ip(f"link set lo up\nlink add hosts type bridge\naddr add {s.API}/24 dev hosts\nlink set hosts up\n")
    sysctl(None, "net.ipv4.ip_forward", "1")
    for node, address in s.NODES.items():
        add_host(node, address)
        sysctl(node, "net.ipv4.ip_forward", "1")
        gateway = f"{s.POD_NETS[node]}.1"
        routes = [
            f"route add {s.POD_NETS[other]}.0/24 via {s.NODES[other]}" for other in s.NODES if other != node
        ]
        ip("\n".join([f"link add pods type bridge\naddr add {gateway}/24 dev pods\nlink set pods up", *routes]) + "\n", node)
    ip("\n".join(f"route add {s.POD_NETS[node]}.0/24 via {s.NODES[node]}" for node in s.NODES) + "\n")
    # Webhooks are called by the Services' addresses, which nodes know.
    ip(f"route add {s.SERVICE_NET} via {next(iter(s.NODES.values()))}\n")
    add_host("balancer", s.BALANCER, s.BALANCER_PASSTHROUGH, s.BALANCER_GREEN, s.BALANCER_GREEN_PASSTHROUGH,
             s.BALANCER_INGRESS, s.BALANCER_EDGE)  # fmt: skip
    sysctl("balancer", "net.ipv4.ip_unprivileged_port_start", "0")
    add_host("operator", s.OPERATOR)


def add_pod(netns: str, node: str, address: str) -> None:
    run("ip", "netns", "add", netns)
    link = "p" + address.split(".")[2] + "x" + address.split(".")[3]
    ip(f"link add {link} type veth peer name eth0 netns {netns}\nlink set {link} master pods up\n", node)
    ip(
        f"link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n"
        f"route add default via {s.POD_NETS[node]}.1\n",
        netns,
    )
    sysctl(netns, "net.ipv4.ip_unprivileged_port_start", "0")


def delete_pod(netns: str) -> None:
    run("ip", "netns", "del", netns)
