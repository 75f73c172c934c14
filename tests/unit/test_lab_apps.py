# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's applications cover what they promise: without a cluster, so a gap shows before a lab is started."""

from __future__ import annotations

import datetime as dt
import fnmatch
import importlib
import json
import re
import shlex
import stat
import subprocess
import sys
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography import x509

LAB = Path(__file__).resolve().parents[1] / "lab"
APPS = LAB / "apps"
PUBLIC, PASSTHROUGH = "istio-system/public", "istio-system/passthrough"

Object = t.Mapping[str, t.Any]


def module(name: str) -> t.Any:
    if str(LAB) not in sys.path:
        sys.path.insert(0, str(LAB))
    return importlib.import_module(f"apps.{name}")


def documents(*files: Path) -> list[Object]:
    return [doc for file in files for doc in yaml.safe_load_all(file.read_text(encoding="utf-8")) if doc]


def hosts_files() -> list[Path]:
    folder = APPS / "hosts"
    return [folder / name for name in documents(folder / "kustomization.yaml")[0]["resources"]]


HOSTS = documents(*hosts_files())
OF_KIND = {kind: [o for o in HOSTS if o["kind"] == kind] for kind in {o["kind"] for o in HOSTS}}
SERVICES = {(s["metadata"]["namespace"], s["metadata"]["name"]): s["spec"] for s in OF_KIND["Service"]}
VIRTUAL_SERVICES = OF_KIND["VirtualService"]
TARGETS = yaml.safe_load((APPS / "targets.yml").read_text(encoding="utf-8"))


def routes(vs: Object) -> t.Iterator[Object]:
    for protocol in ("http", "tls", "tcp"):
        yield from vs["spec"].get(protocol, [])


def matches(vs: Object) -> t.Iterator[Object]:
    for route in routes(vs):
        yield from route.get("match", [])


def name(vs: Object) -> str:
    return f"{vs['metadata']['namespace']}/{vs['metadata']['name']}"


def served_hosts() -> list[str]:
    """Hosts that a client outside can ask for, of every VirtualService here."""
    return [h for vs in VIRTUAL_SERVICES for h in vs["spec"].get("hosts", []) if h.endswith(".lab.test")]


def test_every_file_of_the_folder_is_in_its_kustomization():
    assert {f.name for f in (APPS / "hosts").glob("*.yaml")} == {f.name for f in hosts_files()} | {"kustomization.yaml"}


def test_no_object_is_defined_twice_and_each_namespace_exists():
    keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in HOSTS]
    assert len(keys) == len(set(keys))
    made = {o["metadata"]["name"] for o in OF_KIND["Namespace"]} | {"istio-system"}
    assert {o["metadata"]["namespace"] for o in HOSTS if o["kind"] != "Namespace"} == made


def test_size():
    assert len(set(served_hosts())) >= 20
    assert sum(d["spec"]["replicas"] for d in OF_KIND["Deployment"]) <= 10, "each replica is a process of the lab"


def test_a_host_of_two_objects_is_the_one_that_says_so():
    counted = served_hosts()
    assert {h for h in counted if counted.count(h) > 1} == {"tools.lab.test"}


def test_every_backend_exists():
    """Each destination names a Service and one of its ports, which a container declares; a short host is of the
    VirtualService's own namespace."""
    seen = 0
    for vs in VIRTUAL_SERVICES:
        for route in routes(vs):
            for target in route.get("route", []):
                destination = target["destination"]
                host = destination["host"].removesuffix(".svc.cluster.local").split(".")
                service = SERVICES[(host[1] if len(host) > 1 else vs["metadata"]["namespace"], host[0])]
                ports = [p["port"] for p in service["ports"]]
                # Istio needs the number as soon as there is a choice.
                assert destination["port"]["number"] in ports if "port" in destination else len(ports) == 1, name(vs)
                seen += 1
    assert seen > len(VIRTUAL_SERVICES) / 2
    pods = {
        (d["metadata"]["namespace"], d["spec"]["template"]["metadata"]["labels"]["app"]): d
        for d in OF_KIND["Deployment"]
    }
    for (namespace, _name), service in SERVICES.items():
        container = pods[namespace, service["selector"]["app"]]["spec"]["template"]["spec"]["containers"][0]
        declared = {p["containerPort"] for p in container["ports"]}
        assert {p["targetPort"] for p in service["ports"]} <= declared
        listening = {int(a.split("=")[1]) for a in container["args"] if a.startswith(("--port=", "--grpc="))}
        assert listening == declared


def test_subsets_select_pods_that_exist():
    for rule in OF_KIND["DestinationRule"]:
        for subset in rule["spec"].get("subsets", []):
            wanted = {"app": rule["spec"]["host"], **subset["labels"]}
            assert any(d["spec"]["template"]["metadata"]["labels"] == wanted for d in OF_KIND["Deployment"])
    named = {d["destination"]["subset"] for vs in VIRTUAL_SERVICES for r in routes(vs) for d in r.get("route", [])
             if "subset" in d["destination"]}  # fmt: skip
    assert named == {s["name"] for rule in OF_KIND["DestinationRule"] for s in rule["spec"].get("subsets", [])}


@pytest.mark.parametrize("level", ["spec", "match"])
@pytest.mark.parametrize(
    "form", [PUBLIC, "public.istio-system", "public.istio-system.svc.cluster.local", "public", "mesh"]
)
def test_reference_forms(form: str, level: str):
    lists = [vs["spec"].get("gateways", []) for vs in VIRTUAL_SERVICES]
    if level == "match":
        lists = [m.get("gateways", []) for vs in VIRTUAL_SERVICES for m in matches(vs)]
    assert any(form in found for found in lists)


def test_short_forms_are_only_used_beside_the_gateway():
    short = {
        name(vs): g for vs in VIRTUAL_SERVICES for g in vs["spec"].get("gateways", []) if g in ("public", "./public")
    }
    assert short == {"istio-system/status": "public", "istio-system/about": "./public"}


def test_what_must_never_be_touched():
    lists = {name(vs): vs["spec"].get("gateways") for vs in VIRTUAL_SERVICES}
    assert lists["shop/mesh-only"] == ["mesh"]
    assert lists["pay/gateways-omitted"] is None
    assert lists["shop/catalog"] == ["mesh", PUBLIC]
    omitted = {key for key, gateways in lists.items() if gateways is None}
    assert omitted == {"pay/gateways-omitted", "team-b/portal-reports", "team-b/portal-accounts"}


def test_both_served_versions_of_the_api_are_used():
    assert {vs["apiVersion"] for vs in VIRTUAL_SERVICES} == {"networking.istio.io/v1", "networking.istio.io/v1beta1"}


def test_delegates():
    by_name = {name(vs): vs for vs in VIRTUAL_SERVICES}
    refs = {
        r["delegate"]["namespace"] + "/" + r["delegate"]["name"]: r
        for r in routes(by_name["team-a/portal"])
        if "delegate" in r
    }
    assert len(refs) == 2 and all(ref.startswith("team-b/") for ref in refs)
    own_lists = 0
    for ref, route in refs.items():
        assert not {"hosts", "gateways"} & by_name[ref]["spec"].keys(), "Istio refuses them in a delegate"
        for match in matches(by_name[ref]):
            if "gateways" in match:
                own_lists += 1
                assert all(set(match["gateways"]) <= set(m["gateways"]) for m in route["match"])
    assert own_lists == 1


FEATURES: dict[str, t.Callable[[Object], bool]] = {
    "exact path": lambda r: any("exact" in m.get("uri", {}) for m in r.get("match", [])),
    "prefix path": lambda r: any("prefix" in m.get("uri", {}) for m in r.get("match", [])),
    "regex path": lambda r: any("regex" in m.get("uri", {}) for m in r.get("match", [])),
    "case-blind path": lambda r: any(m.get("ignoreUriCase") for m in r.get("match", [])),
    "header": lambda r: any("headers" in m for m in r.get("match", [])),
    "absent header": lambda r: any("withoutHeaders" in m for m in r.get("match", [])),
    "query": lambda r: any("queryParams" in m for m in r.get("match", [])),
    "POST only": lambda r: bool(r.get("match")) and all(m.get("method") == {"exact": "POST"} for m in r["match"]),
    "301 to another host": lambda r: "authority" in r.get("redirect", {}) and "redirectCode" not in r["redirect"],
    "302 to another path": lambda r: r.get("redirect", {}).get("redirectCode") == 302 and "uri" in r["redirect"],
    "rewrite": lambda r: "uri" in r.get("rewrite", {}),
    "403 by the gateway": lambda r: r.get("directResponse", {}).get("status") == 403,
    "70/30 by weight": lambda r: [d.get("weight") for d in r.get("route", [])] == [70, 30],
    "fault": lambda r: "abort" in r.get("fault", {}),
    "time-out and retries": lambda r: {"timeout", "retries"} <= r.keys(),
    "CORS": lambda r: "corsPolicy" in r,
    "response headers": lambda r: {"set", "remove"} <= r.get("headers", {}).get("response", {}).keys(),
    "delegate": lambda r: "delegate" in r,
    "SNI": lambda r: any("sniHosts" in m for m in r.get("match", [])),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_features(feature: str):
    assert any(FEATURES[feature](route) for vs in VIRTUAL_SERVICES for route in routes(vs))


def test_websocket_target_reaches_the_route_that_makes_the_backend_upgrade():
    """Istio's echo server asks for a header of its own besides Upgrade; clients must not have to know it."""
    path = next(urlsplit(target["url"]).path for target in TARGETS if target["protocol"] == "websocket")
    live = next(vs for vs in VIRTUAL_SERVICES if name(vs) == "media/live")
    route = next(r for r in routes(live) if any(path.startswith(m["uri"]["prefix"]) for m in r.get("match", [])))
    assert route["headers"]["request"]["set"] == {"testwebsocket": "enabled"}


def test_protocols_of_the_backends():
    ports = [p for s in SERVICES.values() for p in s["ports"]]
    assert any(p["name"] == "grpc" for p in ports)
    assert any(p.get("appProtocol") == "http2" for p in ports)
    through = [vs for vs in VIRTUAL_SERVICES if any("passthrough" in g for g in vs["spec"].get("gateways", []))]
    assert len(through) == 2 and all("tls" in vs["spec"] for vs in through)


def blue_values() -> t.Any:
    return yaml.safe_load((APPS / "blue" / "values.yaml").read_text(encoding="utf-8"))


def test_blue_has_the_node_ports_that_the_balancer_uses():
    expected = {"public-ingressgateway": (30021, 30080, 30443), "passthrough-ingressgateway": (32021, 32080, 32443)}
    chart = yaml.safe_load((APPS / "blue" / "Chart.yaml").read_text(encoding="utf-8"))
    assert [d["alias"] for d in chart["dependencies"]] == list(expected)
    for alias, node_ports in expected.items():
        values = blue_values()[alias]
        assert values["name"] == alias and values["autoscaling"] == {"enabled": False}
        assert values["service"]["type"] == "NodePort"
        found = [(p["name"], p["port"], p["targetPort"], p["nodePort"]) for p in values["service"]["ports"]]
        assert found == list(zip(("status-port", "http2", "https"), (15021, 80, 443), (15021, 8080, 8443), node_ports))


def test_gateways_cover_the_hosts_bound_to_them():
    gateways = blue_values()["gateways"]
    for vs in VIRTUAL_SERVICES:
        for reference in vs["spec"].get("gateways", []):
            if reference == "mesh":
                continue
            gateway = gateways[re.split(r"[./]", reference.replace("istio-system/", "").replace("./", ""))[0]]
            for host in vs["spec"]["hosts"]:
                if host.endswith(".lab.test"):
                    assert all(any(fnmatch.fnmatch(host, p) for p in s["hosts"]) for s in gateway["servers"]), host


def test_blue_refers_to_the_certificate_that_it_brings():
    values = blue_values()
    named = {
        s["tls"]["credentialName"]
        for g in values["gateways"].values()
        for s in g["servers"]
        if "credentialName" in s["tls"]
    }
    assert named == values["certificates"].keys() == {"public-cert"}


def test_targets_cover_every_protocol_and_enough_hosts():
    assert {target["protocol"] for target in TARGETS} == {"http1", "h2", "grpc", "websocket", "tls_passthrough"}
    assert len({urlsplit(target["url"]).hostname for target in TARGETS}) >= 12
    assert len({target["name"] for target in TARGETS}) == len(TARGETS)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["name"])
def test_target_is_a_host_of_the_lab_behind_its_balancer(target: Object):
    url = urlsplit(target["url"])
    samples = ["bookinfo.lab.test", "httpbin.lab.test"]
    assert any(fnmatch.fnmatch(url.hostname, pattern) for pattern in served_hosts() + samples)
    address = "172.30.0.21" if target["protocol"] == "tls_passthrough" else "172.30.0.20"
    assert target["connect_to"] == f"{address}:{443 if url.scheme == 'https' else 80}"
    assert target["weight"] > 0
    if target["protocol"] == "websocket":
        assert (target["expect_status"], target["connection_lifetime"]) == (101, 1)
    if "via_pattern" in target:
        body = "Proto=HTTP/1.1\nIP=10.244.1.17\nRequestHeader=X-Forwarded-For:172.30.0.30\nHostname=web\n"
        assert re.search(target["via_pattern"], body).group(1) == "10.244.1.17"


def test_generated_mix():
    generated = module("generated")
    made = [json.loads(doc) for doc in generated.stream(100).split("---\n") if doc]
    assert [o["metadata"]["name"] for o in made] == [f"gen-{n:04}" for n in range(1, 101)]
    assert [o["spec"]["hosts"] for o in made[:2]] == [["g0001.lab.test"], ["g0002.lab.test"]]
    assert {tuple(o["spec"]["gateways"]) for o in made} == {(PUBLIC,)}
    assert [n for n, o in enumerate(made, 1) if any("gateways" in m for m in matches(o))] == list(range(10, 101, 10))
    assert [n for n, o in enumerate(made, 1) if len(o["spec"]["http"]) == 2] == [25, 50, 75, 100]
    host = made[0]["spec"]["http"][0]["route"][0]["destination"]["host"]
    assert (made[0]["metadata"]["namespace"], host) in SERVICES


def test_generated_on_the_command_line():
    done = subprocess.run(
        [sys.executable, str(APPS / "generated.py"), "--count", "3"], capture_output=True, text=True, check=True
    )
    assert [o["metadata"]["name"] for o in yaml.safe_load_all(done.stdout) if o] == ["gen-0001", "gen-0002", "gen-0003"]
    refused = subprocess.run(
        [sys.executable, str(APPS / "generated.py"), "--count", "-1"], capture_output=True, check=False
    )
    assert refused.returncode == 2 and not refused.stdout


def content(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def test_certificates_are_made_once(tmp_path: Path):
    certs = module("certs")
    files = certs.ensure(tmp_path / "certs")
    first = content(files.folder)
    assert set(first) == {"ca.crt", *(f"{name}.{kind}" for name in certs.LEAVES for kind in ("crt", "key"))}
    assert certs.ensure(files.folder) == files and content(files.folder) == first
    assert all(stat.S_IMODE(files.key(n).stat().st_mode) == 0o600 for n in certs.LEAVES)
    leaf, ca = x509.load_pem_x509_certificates(files.crt("public").read_bytes())
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = [h for h in served_hosts() if not h.endswith(".pass.lab.test")]
    assert all(any(_covers(pattern, host) for pattern in names.get_values_for_type(x509.DNSName)) for host in wanted)


def _covers(pattern: str, host: str) -> bool:
    """RFC 6125, 6.4.3: a wildcard stands for one label."""
    return pattern == host or pattern.partition(".")[2] == host.partition(".")[2]


@pytest.mark.parametrize("damage", ["missing", "garbage", "foreign key", "expiring"])
def test_certificates_are_made_anew_when_unusable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str):
    certs = module("certs")
    files = certs.ensure(tmp_path)
    first = content(tmp_path)
    if damage == "missing":
        files.crt("passthrough").unlink()
    elif damage == "garbage":
        files.ca.write_text("not PEM")
    elif damage == "foreign key":
        files.key("public").write_bytes(first["passthrough.key"])
    else:
        monkeypatch.setattr(certs, "RENEW_BEFORE", certs.LIFETIME + dt.timedelta(days=1))
    certs.ensure(tmp_path)
    second = content(tmp_path)
    assert second.keys() == first.keys() and all(second[key] != first[key] for key in first)


@pytest.fixture
def istio(tmp_path: Path) -> Path:
    """The few files of Istio's that the loader wants, read-only as in Go's module cache."""
    load = module("load")
    root = tmp_path / "istio"
    wanted = [f"samples/{file}" for files in load.SAMPLES.values() for file in files]
    for file in (*wanted, "manifests/charts/gateway/Chart.yaml", "manifests/charts/gateway/templates/service.yaml"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(f"# {file}\n", encoding="utf-8")
        (root / file).chmod(0o444)
    (root / "manifests/charts/gateway").chmod(0o555)
    return root


PROGRAM = """\
import json, os, sys
stdin = "" if sys.stdin.isatty() else sys.stdin.read()
with open(os.environ["RECORD"], "a") as record:
    record.write(json.dumps([os.path.basename(sys.argv[0]).removesuffix(".py"), *sys.argv[1:], stdin]) + "\\n")
if sys.argv[1] == os.environ.get("FAIL"):
    sys.exit("no such cluster")
if sys.argv[1] == "list":
    print(os.environ.get("RELEASES", "[]"))
if sys.argv[1] == "kustomize":
    print("# from " + os.path.basename(sys.argv[2]))
"""


class Programs:
    """Stand-ins for kubectl and helm that record how they were called."""

    def __init__(self, folder: Path, istio: Path) -> None:
        self.istio, self.workdir, self.record = istio, folder / "work", folder / "record"
        self.paths = {}
        for program in ("kubectl", "helm"):
            self.paths[program] = folder / program
            script = folder / f"{program}.py"
            script.write_text(PROGRAM, encoding="utf-8")
            # By way of a shell: the kernel takes no interpreter whose path has a space.
            launch = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} \"$@\"\n"
            self.paths[program].write_text(launch, encoding="utf-8")
            self.paths[program].chmod(0o755)

    def load(self, vs: int = 0, component: Path | None = None, **env: str) -> list[list[str]]:
        self.record.unlink(missing_ok=True)
        module("load").load(
            str(self.paths["kubectl"]),
            str(self.paths["helm"]),
            self.istio,
            self.workdir,
            {"RECORD": str(self.record), **env},
            vs,
            component,
        )
        return [json.loads(line) for line in self.record.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def programs(tmp_path: Path, istio: Path) -> Programs:
    return Programs(tmp_path, istio)


def test_load(programs: Programs):
    calls = programs.load(vs=2)
    install = next(c for c in calls if c[:2] == ["helm", "upgrade"])
    assert install[2:4] == ["--install", "istio-ingress"] and "--namespace=istio-system" in install
    assert (Path(install[4]) / "charts" / "gateway" / "templates" / "service.yaml").is_file()
    applied = [c[-1] for c in calls if c[:2] == ["kubectl", "apply"]]
    assert [text.splitlines()[0] for text in applied] == ["# from bookinfo", "# from httpbin", "# from hosts", "---"]
    secret = json.loads(applied[2].split("---\n")[1])
    assert (secret["kind"], secret["metadata"]) == ("Secret", {"name": "vault-tls", "namespace": "secure"})
    assert applied[3] == module("generated").stream(2)
    assert calls[-1][:3] == ["kubectl", "wait", "deployment"], "waiting comes last"
    assert programs.load()[-2][-1] == applied[2], "a second load has the same certificate, and works on its own copies"


def test_load_with_a_component(programs: Programs, tmp_path: Path):
    component = tmp_path / "overrides" / "kustomize"
    calls = programs.load(vs=1, component=component)
    assert not [call for call in calls if call[0] == "helm"], "blue may be gone for good"
    built = [Path(call[2]) for call in calls if call[:2] == ["kubectl", "kustomize"]]
    assert [folder.name for folder in built] == ["bookinfo", "httpbin", "hosts", "generated"]
    for folder in built:
        content = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        assert [(folder / path).resolve() for path in content["components"]] == [component.resolve()]
        (resource,) = content["resources"]
        assert not Path(resource).is_absolute() and (folder / resource).resolve().name == folder.name


@pytest.mark.parametrize(
    ("releases", "installs"), [("[]", 1), ('[{"name": "other"}]', 1), ('[{"name": "istio-ingress"}]', 0)]
)
def test_a_deployed_release_is_left_as_it_is(programs: Programs, releases: str, installs: int):
    assert sum(c[:2] == ["helm", "upgrade"] for c in programs.load(RELEASES=releases)) == installs


def test_a_failing_command_is_named_with_its_output(programs: Programs):
    with pytest.raises(module("load").LoadError, match=r"kubectl apply .*exit status 1\nno such cluster"):
        programs.load(FAIL="apply")


def test_a_missing_file_of_istio_is_named(programs: Programs):
    (programs.istio / "samples/httpbin/httpbin.yaml").unlink()
    with pytest.raises(module("load").LoadError, match=r"httpbin/httpbin\.yaml is missing"):
        programs.load()
    assert not programs.record.exists(), "nothing is run with half of the files"
