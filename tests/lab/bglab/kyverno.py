"""Kyverno outside the cluster: its admission controller, and its reports controller.

Told an address, Kyverno makes its webhooks for that address, with a certificate of its own, instead of for a Service.
"""

from __future__ import annotations

import json
import urllib.error

from . import build, proc
from . import settings as s
from .blue import run
from .control_plane import Api

CRDS = s.CACHE / "kyverno"
MODULES = (
    build.Module(
        s.LAB / "build" / "kyverno",
        {
            "kyverno": "github.com/kyverno/kyverno/cmd/kyverno",
            "kyverno-reports": "github.com/kyverno/kyverno/cmd/reports-controller",
        },
        sources={"github.com/kyverno/kyverno": ("config/crds",)},
        copies=CRDS,
    ),
)
ADDRESS = s.KYVERNO
PORT = 9443
REPORTS_METRICS = 8001  # 8000 is the other one's
NAMESPACE = "kyverno"
POLICIES = "/apis/kyverno.io/v1/clusterpolicies"
WEBHOOKS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
FIRST_WEBHOOK = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/kyverno-policy-mutating-webhook-cfg"
)
PROBE = "lab-ready"  # a policy, and the ConfigMap that it changes


def start() -> None:
    crds = ["--recursive", "--filename", str(CRDS / "config")]
    run("kubectl", "apply", "--server-side", "--force-conflicts", *crds)  # too large for a client-side apply
    run("kubectl", "wait", "--for=condition=Established", "--timeout=60s", *crds)
    objects = s.STATE / "kyverno.json"
    objects.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        # Empty: nobody and nothing is excluded.
        *({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}}
          for name in ("kyverno", "kyverno-metrics")),
    ]}))  # fmt: skip
    run("kubectl", "apply", "--filename", str(objects))
    common = [f"--kubeconfig={s.KUBECONFIG}", "--disableLogColor=true"]
    process = proc.start("kyverno", [
        str(s.BIN / "kyverno"), *common, f"--serverIP={ADDRESS}:{PORT}", f"--webhookServerPort={PORT}",
        f"--caSecretName=kyverno-svc.{NAMESPACE}.svc.kyverno-tls-ca",
        f"--tlsSecretName=kyverno-svc.{NAMESPACE}.svc.kyverno-tls-pair", "--controllerRuntimeMetricsAddress=0",
    ], netns="kyverno", env=environment("kyverno"))  # fmt: skip
    proc.await_("kyverno's webhooks", lambda: bool(Api()("GET", FIRST_WEBHOOK)), process)
    reports = proc.start("kyverno-reports", [
        str(s.BIN / "kyverno-reports"), *common, f"--metricsPort={REPORTS_METRICS}",
    ], netns="kyverno", env=environment("kyverno-reports"))  # fmt: skip
    metrics = f"http://{ADDRESS}:{REPORTS_METRICS}/metrics"
    proc.await_("kyverno-reports", lambda: proc.http_ok(metrics), reports)


def environment(deployment: str) -> dict[str, str]:
    return {
        "KYVERNO_NAMESPACE": NAMESPACE, "KYVERNO_DEPLOYMENT": deployment, "KYVERNO_POD_NAME": f"{deployment}-0",
        "KYVERNO_SERVICEACCOUNT_NAME": deployment, "KYVERNO_SVC": "kyverno-svc", "INIT_CONFIG": "kyverno",
        "METRICS_CONFIG": "kyverno-metrics",
    }  # fmt: skip


def ready() -> None:
    """Returns when a policy of the lab's own has changed an object, and is gone without a trace."""
    api = Api()
    rule = {
        "name": PROBE,
        "match": {"any": [{"resources": {"kinds": ["ConfigMap"], "namespaces": ["default"], "names": [PROBE]}}]},
        "mutate": {"patchStrategicMerge": {"metadata": {"labels": {PROBE: "yes"}}}},
    }
    policy = {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": PROBE},
              "spec": {"background": False, "rules": [rule]}}  # fmt: skip

    def made() -> bool:
        try:
            return bool(api("POST", POLICIES, policy))
        except urllib.error.HTTPError as exc:
            if exc.code == 409:  # of an attempt before
                return True
            raise

    def in_effect() -> bool:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PROBE}}
        answer = api("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", body)
        return PROBE in answer["metadata"].get("labels", {})

    proc.await_("kyverno to take a policy", made)
    proc.await_("kyverno's policy to be in effect", in_effect)
    api("DELETE", f"{POLICIES}/{PROBE}")
    proc.await_("the end of kyverno's policy", lambda: not in_effect())


def clean() -> None:
    """Webhooks first: nobody answers them any more."""
    run("kubectl", "delete", WEBHOOKS, "--selector=webhook.kyverno.io/managed-by=kyverno")
    run("kubectl", "delete", "--ignore-not-found", "--recursive", "--filename", str(CRDS / "config"))
    run("kubectl", "delete", "--ignore-not-found", "namespace", NAMESPACE)
