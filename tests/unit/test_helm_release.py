# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's stored releases: decoding, the edit of one document, and what uninstall would do."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _helm_release as helm
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref
from hypothesis import given, settings
from hypothesis import strategies as st

GATEWAY = Ref("networking.istio.io/v1", "Gateway", "istio-system", "public")
SECRET = Ref("v1", "Secret", "istio-system", "public-cert")

# What `helm install` stored for a chart of the old kind: Gateways, their Secret and the workload in one release.
BLUE = """\
---
# Source: blue/charts/public/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: public-ingressgateway
  namespace: istio-system
---
# Source: blue/templates/secret.yaml
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata:
  name: public-cert
  annotations:
    reloader/enabled: "true"  # quoted on purpose
data:
  tls.crt: Zm9v
---
# Source: blue/charts/public/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: public-ingressgateway
  namespace: istio-system
spec:
  type: NodePort
  ports:
  - {name: https, port: 443, nodePort: 30443, targetPort: 8443}
---
# Source: blue/charts/public/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: public-ingressgateway
  namespace: istio-system
  annotations:
spec:
  template:
    metadata:
      annotations:
        inject.istio.io/templates: gateway
---
# Source: blue/templates/gateway.yaml
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata:
  name: public
  labels: {app: public}
spec:
  selector:
    app: public-ingressgateway
  servers:
  - hosts: ["*.lab.test"]
    port: {name: https, number: 8443, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: public-cert}
"""


def release(manifest: str, **more) -> dict:
    return {
        "name": "istio-ingress", "namespace": "istio-system", "version": 1, "info": {"status": "deployed"},
        "chart": {"metadata": {"name": "blue"}}, "config": {"replicas": 2, "ratio": 1.10, "big": 12345678901234567890},
        "manifest": manifest, **more,
    }  # fmt: skip


def stored(data: dict, gzipped: bool = True) -> str:
    raw = json.dumps(data).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0) if gzipped else raw).decode()


def annotated(manifest: str, ref: Ref, namespace: str = "istio-system") -> str:
    """The manifest with the annotation, checked with a parser of its own: all documents but this one are the same."""
    edited = helm.set_policy(manifest, ref, namespace)
    before, after = ([manifest_ for manifest_ in yaml.safe_load_all(text) if manifest_] for text in (manifest, edited))
    assert len(before) == len(after)
    touched = [(a, b) for a, b in zip(before, after) if a != b]
    assert len(touched) == 1
    old, new = touched[0]
    assert (new["kind"], new["metadata"]["name"]) == (ref.kind, ref.name)
    assert new["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
    if not new["metadata"]["annotations"] and not old["metadata"].get("annotations"):
        new["metadata"].pop("annotations")
        old["metadata"].pop("annotations", None)
    assert old == new
    return edited


# -- payload ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("gzipped", [True, False])
def test_round_trip_keeps_every_other_byte(gzipped):
    text = (
        '{"name":"r","version":10,"config":{"ratio":1.10,"exp":1E5,"id":12345678901234567890},'
        '"manifest":"kind: A\\u003cb\\n", "apply_method":"ssa","namespace":"n","manifestX":"no"}'
    )
    raw = text.encode()
    payload = helm.decode(base64.b64encode(gzip.compress(raw, mtime=0) if gzipped else raw).decode())
    assert payload.gzipped is gzipped
    assert payload.manifest == "kind: A<b\n"
    edited = helm.decode(helm.encode(helm.with_manifest(payload, 'kind: "B"\n# é\n')))
    assert edited.text == text.replace('"kind: A\\u003cb\\n"', '"kind: \\"B\\"\\n# é\\n"')
    assert edited.release["apply_method"] == "ssa"
    assert edited.gzipped is gzipped


def test_a_key_given_twice_is_replaced_where_decoders_read_it():
    payload = helm.decode(base64.b64encode(b'{"name":"r","manifest":"old","manifest":"new"}').decode())
    assert payload.manifest == "new"
    assert helm.with_manifest(payload, "x").text == '{"name":"r","manifest":"old","manifest":"x"}'


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("not base64!", "base64"),
        (base64.b64encode(b"\x1f\x8b\x08broken gzip").decode(), None),
        (base64.b64encode(gzip.compress(b"{}", mtime=0)[:-9]).decode(), None),
        (base64.b64encode(b"{not json").decode(), "JSON"),
        (base64.b64encode(b'{"name": NaN}').decode(), "NaN"),
        (base64.b64encode(b'["name"]').decode(), "not a release"),
        (base64.b64encode(b'{"version": 1}').decode(), "not a release"),
        (base64.b64encode(b'{"name": "r", "version": "1"}').decode(), "version"),
        (base64.b64encode(b'{"name": "r", "manifest": {}}').decode(), "manifest"),
        (base64.b64encode(b'{"name": "\xff"}').decode(), "utf-8"),
        ("", None),
    ],
)
def test_undecodable(value, says):
    with pytest.raises(helm.ReleaseError, match=says) as caught:
        helm.decode(value)
    assert caught.value.code == "undecodable_release"


def test_line_breaks_in_base64_are_taken_as_go_takes_them():
    value = stored(release("kind: A\n"))
    assert helm.decode(value[:20] + "\r\n" + value[20:]).release["name"] == "istio-ingress"


# -- documents -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("style", ["v3", "v4"])
@pytest.mark.parametrize(
    "manifest",
    [
        "---\na: 1\n---\nb: 2\n",
        "a: 1\n---\nb: 2",
        "\n\n---\n---\na: 1\n---\n\n---\nb: 2\n---\n",
        "---  \r\na: 1\r\n---\t\r\nb: 2\r\n",
        "--- # first\na: 1\n---   # second\nb: 2\n",
        "a: 1\n   \n---\nb: 2",
        "---\n---a: 1\n---\nb: 2\n",
        "# only a comment\n---\na: 1\n---\nb: 2\n",
    ],
)
def test_documents(manifest, style):
    parsed = [yaml.safe_load(manifest[a:b]) for a, b in helm.documents(manifest, style)]
    assert [p for p in parsed if p] == [{"a": 1}, {"b": 2}]


def test_dashes_inside_a_text_are_no_separator():
    manifest = (
        "---\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  pem: |\n    -----BEGIN\n    ---\n    a\n---\nkind: B\n"
    )
    assert len(helm.documents(manifest)) == len(helm.documents(manifest, "v4")) == 2


# -- the edit --------------------------------------------------------------------------------------------------------
def test_no_annotations_yet():
    edited = annotated(BLUE, GATEWAY)
    assert edited == BLUE.replace(
        "metadata:\n  name: public\n", "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  name: public\n"
    )


def test_existing_annotations_keep_their_comments():
    edited = annotated(BLUE, SECRET)
    assert edited == BLUE.replace("    reloader/enabled", "    helm.sh/resource-policy: keep\n    reloader/enabled")


def test_annotations_without_value():
    ref = Ref("apps/v1", "Deployment", "istio-system", "public-ingressgateway")
    edited = annotated(BLUE, ref)
    assert '  annotations: {"helm.sh/resource-policy": "keep"}\nspec:' in edited
    assert helm.unset_policy(edited, ref, "istio-system").count("annotations: {}\n") == 1


HEADS = {
    "flow": "metadata: {name: public, namespace: istio-system}\n",
    "flow-spaces": "metadata: { name: public }\n",
    "flow-annotations": 'metadata:\n  annotations: {a: "1"}\n  name: public\n',
    "flow-annotations-empty": "metadata:\n  annotations: {}\n  name: public\n",
    "flow-annotations-inside": "metadata: {name: public, annotations: {a: b}}\n",
    "flow-null-inside": "metadata: {annotations: , name: public}\n",
    "null": "metadata:\n  annotations: null # none\n  name: public\n",
    "tilde": "metadata:\n  annotations: ~\n  name: public\n",
    "nothing": "metadata:\n  annotations: # none\n  name: public\n",
    "deep-indent": "metadata:\n        name: public\n        annotations:\n            a: b\n",
    "shallow": "metadata:\n name: public\n annotations:\n  a: b\n",
    "comment-first": "metadata:\n  # the gateway\n  name: public\n",
    "quoted": 'metadata:\n  "name": "public"\n  \'annotations\':\n    "a": b\n',
    "multi-line": "metadata:\n  annotations:\n    a: |\n      helm.sh/resource-policy: no\n      b\n  name: public\n",
    "non-ascii": "metadata:\n  annotations:\n    über: '日本 🚪'\n  name: public\n",
    "yaml-1.1": "metadata:\n  name: public\n  annotations: {a: '='}\n  labels: {b: 2001-99-99, c: =, d: 1_0, e: on}\n",
    "flow-over-lines": "metadata: {\n  name: public,\n  annotations: {\n    a: b\n  }\n}\n",
    "anchor": "metadata: &m\n  name: public\n",
    "own-namespace": "metadata:\n  namespace: istio-system\n  name: public\n",
}


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("layout", HEADS)
def test_layouts(layout, eol):
    document = f"# Source: x\napiVersion: networking.istio.io/v1\nkind: Gateway\n{HEADS[layout]}spec:\n  a: [1]\n"
    manifest = f"---\nkind: Other\nmetadata: {{name: public}}\n---\n{document}---\nkind: Last\n".replace("\n", eol)
    edited = helm.set_policy(manifest, GATEWAY, "istio-system")
    assert helm.locate(edited, GATEWAY, "istio-system").head.policy == "keep"
    assert helm.only_differs_by(manifest, edited, GATEWAY, "istio-system", "keep")
    assert ("\n" in edited.replace("\r\n", "")) == (eol == "\n")
    again = helm.set_policy(edited, GATEWAY, "istio-system")
    assert again == edited or helm.locate(again, GATEWAY, "istio-system").head.policy == "keep"
    released = helm.unset_policy(edited, GATEWAY, "istio-system")
    assert helm.locate(released, GATEWAY, "istio-system").head.policy is None
    assert helm.only_differs_by(released, edited, GATEWAY, "istio-system", "keep")


@pytest.mark.parametrize(
    "layout", ["deep-indent", "comment-first", "flow-annotations", "quoted", "non-ascii", "own-namespace"]
)
def test_release_gives_the_same_text_back(layout):
    manifest = f"apiVersion: networking.istio.io/v1\nkind: Gateway\n{HEADS[layout]}"
    edited = helm.set_policy(manifest, GATEWAY, "istio-system")
    assert helm.unset_policy(edited, GATEWAY, "istio-system") == manifest


def test_a_json_document_stays_json():
    manifest = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "public-cert"}}'
    edited = helm.set_policy(manifest, SECRET, "istio-system")
    assert json.loads(edited)["metadata"] == {"annotations": {"helm.sh/resource-policy": "keep"}, "name": "public-cert"}


@pytest.mark.parametrize(
    ("value", "kept"), [("keep", True), ("Keep ", True), ("KEEP", True), ("delete", False), ("", False)]
)
def test_policy_of_another_spelling(value, kept):
    annotation = f"helm.sh/resource-policy: {value!r}"
    manifest = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: public-cert\n  annotations:\n    {annotation}\n"
    found = helm.locate(manifest, SECRET, "istio-system")
    assert found.head.policy == value
    assert helm.keeps(found.head.policy) is kept
    edited = helm.set_policy(manifest, SECRET, "istio-system")
    assert helm.locate(edited, SECRET, "istio-system").head.policy == "keep"
    restored = helm.set_policy(edited, SECRET, "istio-system", value)
    assert yaml.safe_load(restored) == yaml.safe_load(manifest)


def test_same_name_in_another_namespace_kind_or_group():
    def document(kind, version="networking.istio.io/v1", namespace=None):
        line = f"  namespace: {namespace}\n" if namespace else ""
        return f"---\napiVersion: {version}\nkind: {kind}\nmetadata:\n  name: public\n{line}"

    others = (
        document("Gateway", namespace="other")
        + document("VirtualService")
        + document("Gateway", "gateway.networking.k8s.io/v1")
    )
    assert helm.locate(others, GATEWAY, "istio-system") is None
    with_it = others + document("Gateway")
    assert helm.set_policy(with_it, GATEWAY, "istio-system").startswith(others)
    assert helm.locate(with_it, GATEWAY, "elsewhere") is None  # no namespace means the release's


def test_cluster_scoped_objects_match_whatever_the_namespace():
    manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n"
    assert helm.locate(manifest, Ref("v1", "Namespace", "", "istio-system"), "bigbang")


def test_items_of_a_list_are_refused_by_name():
    manifest = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: public-cert}\n"
    assert helm.locate(manifest, SECRET, "istio-system").in_list
    with pytest.raises(helm.ReleaseError, match="Secret public-cert is an item of a List") as caught:
        helm.set_policy(manifest, SECRET, "istio-system")
    assert caught.value.code == "in_list"


def test_two_documents_of_one_object():
    manifest = "kind: Secret\napiVersion: v1\nmetadata: {name: public-cert}\n---\n" * 2
    with pytest.raises(helm.ReleaseError, match="in 2 documents") as caught:
        helm.locate(manifest, SECRET, "istio-system")
    assert caught.value.code == "ambiguous_manifest"


@pytest.mark.parametrize(
    "metadata",
    [
        # the alias would change too
        "metadata:\n  name: public-cert\n  annotations: &a\n    x: y\nspec: {annotations: *a}\n",
        "spec: &m\n  name: public-cert\nmetadata: *m\n",
        "metadata:\n  name: public-cert\n  annotations: none\n",
        "metadata:\n  name: public-cert\n  annotations: [a]\n",
        "metadata:\n  ? name\n  : public-cert\n",
    ],
)
def test_what_can_not_be_edited_alone_is_refused(metadata):
    with pytest.raises(helm.ReleaseError) as caught:
        helm.set_policy(f"apiVersion: v1\nkind: Secret\n{metadata}", SECRET, "istio-system")
    assert caught.value.code == "uneditable_manifest"
    assert "public-cert" in str(caught.value) or "layout" in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        "kind: Secret\nmetadata:\n  name: public-cert\n\tb: c\n",
        "kind: Secret\nmetadata:\n  name: public-cert\n  name: other\n",
        "kind: Secret\nmetadata: {name: public-cert}\n...\nkind: Other\n",
        "kind: Secret\nmetadata: &a {name: public-cert, labels: *a}\n",
    ],
)
def test_broken_documents(document):
    with pytest.raises(helm.ReleaseError) as caught:
        helm.locate(document, SECRET, "istio-system")
    assert caught.value.code == "undecodable_manifest"


def test_the_assertion_sees_any_other_difference():
    edited = helm.set_policy(BLUE, GATEWAY, "istio-system")

    def differs(after: str) -> bool:
        return helm.only_differs_by(BLUE, after, GATEWAY, "istio-system", "keep")

    assert differs(edited)
    assert not differs(BLUE)
    assert not differs(edited.replace("30443", "30444"))
    assert not differs(edited.replace("number: 8443", "number: '8443'"))
    assert not differs(edited.replace("resource-policy: keep", "resource-policy: Keep"))
    assert not differs(edited + "---\nkind: More\nmetadata: {name: x}\n")
    assert not differs(edited.replace("credentialName: public-cert", "credentialName: other"))
    assert not differs(helm.set_policy(edited, SECRET, "istio-system"))
    later = helm.set_policy(BLUE, SECRET, "istio-system")
    assert helm.only_differs_by(BLUE, later, SECRET, "istio-system", "keep")
    assert not helm.only_differs_by(BLUE, later.replace("30443", "30444"), SECRET, "istio-system", "keep")


# -- what Helm would do ----------------------------------------------------------------------------------------------
def plan_of(manifest: str, **more) -> dict[str, list[str]]:
    plan = helm.uninstall_plan(release(manifest, **more))
    return {key: [f"{item['kind']} {item['name']}" for item in items] for key, items in plan.items()}


def test_uninstall_deletes_everything_in_helms_order():
    assert plan_of(BLUE) == {
        "keep": [], "neither": [], "hooks": [],
        "delete": [
            "Service public-ingressgateway", "Deployment public-ingressgateway", "Secret public-cert",
            "ServiceAccount public-ingressgateway", "Gateway public",
        ],
    }  # fmt: skip


def test_uninstall_keeps_what_was_edited():
    plan = plan_of(helm.set_policy(helm.set_policy(BLUE, GATEWAY, "istio-system"), SECRET, "istio-system"))
    assert plan["keep"] == ["Secret public-cert", "Gateway public"]
    assert len(plan["delete"]) == 3


def test_uninstall_lists():
    manifest = """
kind: Secret
apiVersion: v1
metadata: {name: odd, annotations: {helm.sh/resource-policy: ' Keep '}}
---
kind: Secret
apiVersion: v1
metadata: {name: other, annotations: {helm.sh/resource-policy: retain}}
---
kind: Job
apiVersion: batch/v1
metadata: {name: hook, annotations: {helm.sh/hook: pre-delete, helm.sh/resource-policy: keep}}
---
# nothing
---
kind: List
apiVersion: v1
items:
- {kind: ConfigMap, apiVersion: v1, metadata: {name: item, annotations: {helm.sh/resource-policy: keep}}}
---
kind: Zebra
apiVersion: example.com/v1
metadata: {name: z, namespace: elsewhere}
---
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: reader}
"""
    hooks = [{"manifest": "kind: Job\napiVersion: batch/v1\nmetadata: {name: post}\n"}]
    assert plan_of(manifest, hooks=hooks) == {
        "keep": ["Secret odd"], "neither": ["Secret other"], "hooks": ["Job hook", "Job post"],
        "delete": ["ClusterRole reader", "ConfigMap item", "Zebra z"],
    }  # fmt: skip
    plan = helm.uninstall_plan(release(manifest), lambda _version, kind: kind != "ClusterRole")
    assert plan["neither"][0]["policy"] == "retain"
    assert [(i["namespace"], i.get("in_list")) for i in plan["delete"]] == [
        ("", None),
        ("istio-system", True),
        ("elsewhere", None),
    ]


def test_more_than_ten_documents_are_ordered_as_text():
    manifest = "".join(f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s{n}}}\n" for n in range(12))
    assert plan_of(manifest)["delete"] == [f"Secret s{n}" for n in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)]


def test_an_empty_release():
    assert plan_of("") == {"keep": [], "delete": [], "neither": [], "hooks": []}
    with pytest.raises(helm.ReleaseError, match="manifest"):
        helm.with_manifest(helm.decode(stored({"name": "r"})), "x")


# -- properties ------------------------------------------------------------------------------------------------------
scalars = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20), st.booleans(), st.integers(), st.none(),
    st.sampled_from(["keep", "yes", "---", "--- a", "# no", "a: b", "2001-01-01", "=", "~", "*a", "a\nb\n", "\t"]),
)  # fmt: skip
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
mappings = st.dictionaries(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), scalars, max_size=4
)


@st.composite
def yaml_documents(draw):
    name = draw(names)
    metadata = {"name": name}
    if draw(st.booleans()):
        metadata["annotations"] = draw(st.one_of(st.none(), mappings))
    if draw(st.booleans()):
        metadata["labels"] = draw(mappings)
    keys = draw(st.permutations(list(metadata)))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {k: metadata[k] for k in keys}, "data": draw(mappings)}
    return name, yaml.dump(
        body, sort_keys=False, default_flow_style=draw(st.sampled_from([True, False, None])),
        allow_unicode=draw(st.booleans()), width=draw(st.sampled_from([10, 80, 10000])),
        indent=draw(st.sampled_from([2, 4, 8])),
    )  # fmt: skip


@settings(max_examples=300)
@given(yaml_documents(), yaml_documents(), st.sampled_from(["\n", "\r\n"]))
def test_any_document_is_edited_or_refused(one, other, eol):
    name, text = one
    manifest = f"---\n{other[1].replace('kind: ConfigMap', 'kind: Secret')}---\n{text}".replace("\n", eol)
    ref = Ref("v1", "ConfigMap", "n", name)
    try:
        edited = helm.set_policy(manifest, ref, "n")
    except helm.ReleaseError:
        # only where a parser also finds nothing to edit: the other document may be of the same kind, in flow style
        assert (
            sum(d["kind"] == "ConfigMap" and d["metadata"]["name"] == name for d in yaml.safe_load_all(manifest)) != 1
        )
        return
    expected, found = list(yaml.safe_load_all(manifest)), list(yaml.safe_load_all(edited))
    for document in expected:
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == name:
            document["metadata"]["annotations"] = {
                **(document["metadata"].get("annotations") or {}),
                helm.POLICY: "keep",
            }
    assert found == expected
    assert len(edited) < len(manifest) + 80
    released = helm.unset_policy(edited, ref, "n")
    assert helm.only_differs_by(released, edited, ref, "n", "keep")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.dictionaries(st.text(max_size=5), scalars), st.booleans())
def test_any_manifest_survives_the_round_trip(manifest, config, gzipped):
    payload = helm.decode(stored(release("", config=config, apply_method="csa"), gzipped))
    again = helm.decode(helm.encode(helm.with_manifest(payload, manifest)))
    assert again.manifest == manifest
    assert {**again.release, "manifest": ""} == payload.release
