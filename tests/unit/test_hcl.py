# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _hcl
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from hypothesis import given
from hypothesis import strategies as st

SAMPLE = """\
# public_ingress_gateway_http_port = 1 is what the comment says
include "root" { path = find_in_parent_folders() }
locals {
  region         = "eu-central-1" // cluster_inputs = {
  cluster_inputs = {
    name                           = "prod-${local.region}-{" /* not = { a block */
    public_ingress_gateway_http_port = 30080 # the old one
    "public_ingress_gateway_https_port" = "30443",
    tags = { public_ingress_gateway_http_port = 5, owner = "a \\" }" }
    policy = <<-EOT
      { "public_ingress_gateway_http_port = 7"
    EOT
    subnets = [for s in local.subnets : s.id if s.zone != "}"]
  }
  public_ingress_gateway_http_port = 9
}
inputs = local.cluster_inputs
"""
HTTP, HTTPS = "public_ingress_gateway_http_port", "public_ingress_gateway_https_port"


def refused(text, values=None):
    with pytest.raises(Refusal) as caught:
        _hcl.edit(text, values or {"port": 2}, "live/env.hcl")
    assert "live/env.hcl" in str(caught.value)
    return caught.value


def wrapped(*lines):
    return "locals {\n  cluster_inputs = {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n}\n"


def test_values_change_and_nothing_else():
    new, changes = _hcl.edit(SAMPLE, {HTTP: 30081, HTTPS: 30444}, "env.hcl")
    assert new == SAMPLE.replace("= 30080 #", "= 30081 #").replace('"30443"', '"30444"')
    assert [c._asdict() for c in changes] == [
        {"name": HTTP, "line": 7, "before": "30080", "after": "30081"},
        {"name": HTTPS, "line": 8, "before": '"30443"', "after": '"30444"'},
    ]
    assert _hcl.edit(new, {HTTP: 30081, HTTPS: 30444}, "env.hcl") == (new, [])


def test_a_value_that_is_missing_is_added_at_the_end():
    new, changes = _hcl.edit(SAMPLE, {"x_port": 1, "y": "a${b}"}, "env.hcl")
    closing = '    subnets = [for s in local.subnets : s.id if s.zone != "}"]\n'
    assert new == SAMPLE.replace(closing, closing + '    x_port = 1\n    y = "a$${b}"\n')
    assert [(c.name, c.line, c.before) for c in changes] == [("x_port", 14, None), ("y", 15, None)]
    assert _hcl.edit(new, {"x_port": 1, "y": "a${b}"}, "env.hcl")[0] == new


def test_an_empty_object_is_filled_and_line_ends_stay():
    text = "locals {\r\n  cluster_inputs = {\r\n  }\r\n}\r\n"
    assert _hcl.edit(text, {"a": 1}, "e")[0] == "locals {\r\n  cluster_inputs = {\r\n    a = 1\r\n  }\r\n}\r\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("port = local.port", "local.port"),
        ("port = 1 + 2", "1 + 2"),
        ("port = 3-1", "3-1"),
        ("port = var.x ? 1 : 2", "var.x ? 1 : 2"),
        ('port = "${local.port}"', '"${local.port}"'),
        ('port = "none"', '"none"'),
        ("port = null", "null"),
        ("port = [30080]", "[30080]"),
        ('port = tonumber("1")', 'tonumber("1")'),
        ("port = <<EOT\n1\nEOT", "<<EOT 1 EOT"),
    ],
)
def test_an_expression_is_refused_with_file_and_line(line, found):
    refusal = refused(wrapped("other = 1", line))
    assert refusal.code == "not_literal"
    assert f"live/env.hcl:4: port: found {found}, expected a number, which is to become 2" in str(refusal)


def test_a_number_is_not_replaced_by_a_string():
    assert "expected a string in quotes" in str(refused(wrapped("port = 1"), {"port": "arn:x"}))


@pytest.mark.parametrize("second", ["port = 2", '"port" = 2', "port : 2"])
def test_a_name_that_is_set_twice_is_refused(second):
    refusal = refused(wrapped("port = 1", "a = 1", second), {"port": 3})
    assert refusal.code == "ambiguous" and "live/env.hcl:5: port" in str(refusal) and "lines 3 and 5" in str(refusal)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "not_found", "found 0 locals.cluster_inputs"),
        ("cluster_inputs = {\n}\n", "not_found", "found 0"),
        ("locals {\n  a = {\n    cluster_inputs = {\n    }\n  }\n}\n", "not_found", "found 0"),
        (
            wrapped("a = 1") + wrapped("a = 1"),
            "ambiguous",
            "live/env.hcl:7: found 2 locals.cluster_inputs in lines 2, 7",
        ),
        ("locals {\n  cluster_inputs = merge(local.a, {\n    port = 1\n  })\n}\n", "not_literal", "merge("),
        ("locals {\n  cluster_inputs = { for k, v in x :\n    k => v\n  }\n}\n", "not_literal", "for k, v"),
        ("locals {\n  cluster_inputs = {\n  } == {}\n}\n", "not_literal", "expected an object"),
        ("locals {\n  cluster_inputs = { a = 1 }\n}\n", "not_found", "a line of its own"),
        ("locals {\n  cluster_inputs = {\n  a = 1 }\n}\n", "not_found", "a line of its own"),
        ("locals {\n  cluster_inputs = {\n", "malformed", "env.hcl:2: { is not closed"),
        ("locals {\n  a = [}\n}\n", "malformed", "env.hcl:2: found }"),
        ('locals {\n  a = "b\n}\n', "malformed", "env.hcl:2: string is not closed"),
        ('locals {\n  a = "${b"\n}\n', "malformed", "is not closed"),
        ("locals {\n  a = <<EOT\n}\n", "malformed", "<<EOT is not closed"),
        ("/* locals {\n", "malformed", "comment is not closed"),
    ],
)
def test_what_is_not_understood_is_refused(text, code, said):
    refusal = refused(text)
    assert refusal.code == code and said in str(refusal)


def test_in_one_line_values_change_too():
    assert _hcl.edit("locals { cluster_inputs = { a = 1, port = 2 } }", {"port": 3}, "e")[0].endswith("port = 3 } }")


# -- that everything else stays ----------------------------------------------------------------------------------------
# Files are built of pieces that could be taken for something else, with a hole for each value: the right answer is the
# same pieces with other numbers in the holes.
NAMES = ["public_http", "public_https", "status-port"]
junk = st.text(st.sampled_from('abc ={}[]"$#/\\%public_http=1é\t'), max_size=20)
comments = st.builds(
    lambda style, text: {"#": f"# {text}\n", "//": f"// {text}\n"}.get(style, f"/* {text.replace('*', '')} */\n"),
    st.sampled_from(["#", "//", "/*"]), junk,
)  # fmt: skip
strings = junk.map(lambda text: _hcl.literal(text.replace("\t", " ")))
numbers = st.integers(-9, 99999).map(str)
atoms = st.one_of(
    strings, numbers, st.just("local.public_http"), st.just('"${lookup(local.m, "public_http = {")}"'),
    st.just("<<-EOT\n  public_http = 1 }\n  EOT"), st.just("true"),
)  # fmt: skip
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda some: "[\n" + "".join(f"{one}\n,\n" for one in some) + "]"),
        st.lists(st.tuples(st.sampled_from(NAMES + ["x"]), inner), max_size=3).map(
            lambda some: "{\n" + "".join(f"  {name} = {one}\n" for name, one in some) + "}"
        ),
        inner.map(lambda one: f"merge(\n{one}\n)"),
    ),
    max_leaves=6,
)
others = st.builds(lambda n, value: f"o{n} = {value}\n", st.integers(0, 9), expressions)
spaces = st.sampled_from(["", " ", "  ", "\t", " /* = 1 */ "])


@st.composite
def documents(draw):
    """(pieces of text, with the name of a value where one is; newline)"""
    used = draw(st.lists(st.sampled_from(NAMES), unique=True))
    items = [draw(st.one_of(comments, others, st.just("\n"))) for _item in range(draw(st.integers(0, 4)))]
    for name in used:
        key = draw(st.sampled_from([name, f'"{name}"']))
        equals, quote = draw(st.sampled_from("=:")), draw(st.sampled_from(["", '"']))
        end = draw(st.one_of(st.sampled_from(["\n", ",\n", " \n"]), comments))
        item = [
            f"{draw(spaces)}{key}{draw(spaces)}{equals}{draw(spaces)}{quote}",
            (name,),
            f"{quote}{draw(spaces)}{end}",
        ]
        items.insert(draw(st.integers(0, len(items))), item)
    before = "".join(draw(st.lists(st.one_of(comments, others, st.just('block "public_http" {\n}\n')), max_size=3)))
    inner = "".join(draw(st.lists(st.one_of(comments, others), max_size=2)))
    after = "".join(draw(st.lists(st.one_of(comments, others), max_size=2)))
    pieces = [f"{before}locals {{\n{inner}cluster_inputs = {{\n"]
    for item in items:
        pieces += item if isinstance(item, list) else [item]
    return [*pieces, "}\n", f"{inner}}}\n{after}"], used, draw(st.sampled_from(["\n", "\r\n"]))


def rendered(document, numbers):
    pieces, _used, newline = document
    return "".join(str(numbers[p[0]]) if isinstance(p, tuple) else p.replace("\n", newline) for p in pieces)


@given(documents(), st.lists(st.integers(1, 65535), min_size=6, max_size=6))
def test_everything_else_stays_byte_for_byte(document, ports):
    old, new = dict(zip(NAMES, ports)), dict(zip(NAMES, ports[3:]))
    wanted = {name: new[name] for name in document[1]}
    text, changes = _hcl.edit(rendered(document, old), wanted, "e")
    assert text == rendered(document, new)
    assert {c.name for c in changes} == {name for name in wanted if old[name] != new[name]}


@given(documents(), st.integers(1, 65535))
def test_what_is_missing_is_the_only_thing_that_is_added(document, port):
    old = rendered(document, dict.fromkeys(NAMES, 1))
    missing = [name for name in NAMES if name not in document[1]]
    text, changes = _hcl.edit(old, dict.fromkeys(missing, port), "e")
    added = [f" = {port}".join([name, ""]) for name in missing]
    assert [c.name for c in changes] == missing
    # The added lines stand together, and without them the text is the old one.
    lines, newline = text.split("\n"), document[2]
    at = next((i for i, line in enumerate(lines) if line.strip() == added[0]), 0) if added else 0
    taken = lines[at : at + len(added)]
    assert [line.strip() for line in taken] == added and all(
        line.endswith("\r") == (newline == "\r\n") for line in taken
    )
    assert "\n".join(lines[:at] + lines[at + len(added) :]) == old
    assert _hcl.edit(text, dict.fromkeys(missing, port), "e") == (text, [])


@given(st.text(st.sampled_from('locals{}cluster_inputs=port1\n "$#/*<EOT'), max_size=80))
def test_anything_at_all_is_read_or_refused(text):
    try:
        new, _changes = _hcl.edit(text, {"port": 7}, "e")
    except Refusal:
        return
    assert "port = 7" in new or "port=7" in new or len(new) == len(text)
