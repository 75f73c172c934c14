"""Addresses, names and folders of the lab: the one place where they are decided."""

from __future__ import annotations

import os
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
ROOT = LAB.parent.parent
CACHE = Path(os.environ.get("LAB_CACHE", ROOT / ".cache" / "lab"))
BIN = CACHE / "bin"
# Without Istio, its gateways and routes: what finds a cluster that has only the applications.
BARE = bool(os.environ.get("LAB_BARE"))
STATE = Path(os.environ.get("LAB_STATE", CACHE / "run"))  # of one running lab: kubeconfig, logs, etcd's data
VENV = Path(os.environ.get("LAB_VENV", ROOT / ".cache" / "venv"))
KUBECONFIG = STATE / "kubeconfig"
PID_FILE = STATE / "pid"
SHORT = Path("/run/lab")  # inside, the cache by a name without spaces: kubernetes.core runs helm's path unquoted
PROGRESS = STATE / "progress"
LOGS = STATE / "logs"
AUDIT_LOG = LOGS / "audit.log"

# The wire between hosts, as a data centre's network would be: control plane, nodes, balancer, operator.
HOST_NET = "172.30.0"
API = f"{HOST_NET}.1"
NODES = {"node-1": f"{HOST_NET}.11", "node-2": f"{HOST_NET}.12"}
BALANCER = f"{HOST_NET}.20"  # in front of the gateway `public`
BALANCER_PASSTHROUGH = f"{HOST_NET}.21"
BALANCER_GREEN = f"{HOST_NET}.22"  # whatever the weights are: for a cutover by DNS, which wants an address for each side
BALANCER_GREEN_PASSTHROUGH = f"{HOST_NET}.23"
BALANCER_INGRESS = f"{HOST_NET}.24"  # in front of an Ingress controller, and of the gateway that takes its place
BALANCER_EDGE = f"{HOST_NET}.25"  # in front of the gateway `public`, and of an Ingress controller that takes its place
OPERATOR = f"{HOST_NET}.30"
KYVERNO = f"{HOST_NET}.41"  # controllers that only some scenarios need
FLUX = f"{HOST_NET}.42"
DNS = f"{HOST_NET}.43"
MOTO = f"{HOST_NET}.44"
POD_NET = "10.244.0.0/16"
POD_NETS = {"node-1": "10.244.1", "node-2": "10.244.2"}  # a /24 inside each node
SERVICE_NET = "10.96.0.0/16"
KUBERNETES = "v1.36.3"  # as in build/go.mod
USERS = {  # token users of the API server: name -> groups
    "admin": "system:masters",
    "operator": "",  # what roles run as when least privilege is tested
    "nobody": "",  # may do nothing
}
KUBELET_PORT = 10250
HAPROXY_PORT = 9999  # runtime API, on the balancer's address
