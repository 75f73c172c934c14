# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""remove_controller: when cleanup uninstalls an Ingress controller, and what goes with it."""

from __future__ import annotations

import pytest
import role_tasks
import yaml
from ansible.template import trust_as_template
from fake_blue import blue, encoded, info, obj, record

CONTROLLER, RELEASE = "cleanup/tasks/controller.yml", "cleanup/tasks/release.yml"
HOOKS = "admissionregistration.k8s.io/v1"
SERVED = [
    {"kind": "MutatingWebhookConfiguration", "name": "mutatingwebhookconfigurations", "namespaced": False},
    {"kind": "ValidatingWebhookConfiguration", "name": "validatingwebhookconfigurations", "namespaced": False},
]
DOCUMENT = "---\napiVersion: {apiVersion}\nkind: {kind}\nmetadata: {{name: {metadata[name]}}}\n"


def webhook(*services, kind="ValidatingWebhookConfiguration", name="admission"):
    hooks = [{"name": f"w{number}", "clientConfig": {"service": where} if where else {"url": "https://else.test"}}
             for number, where in enumerate(services)]  # fmt: skip
    return obj(HOOKS, kind, name, namespace=None, webhooks=hooks)


def said(*hooks, **given):
    """What the first refusal of release.yml says of a release with a controller's Service and these."""
    objects = [obj("v1", "Service", "admission"), obj("v1", "ServiceAccount", "controller"), *hooks]
    manifest = "".join(DOCUMENT.format(**one) for one in objects)
    cluster = blue(objects=objects, records=[record(encoded(manifest))], kinds={f"/apis/{HOOKS}": SERVED})
    would = info(cluster, release={"name": "blue", "namespace": "istio-system"})
    given |= {"cleanup_would": would, "cleanup_kept": {"owners": []}, "cleanup_release": {"release": "blue"}}
    return role_tasks.refusal(role_tasks.task(RELEASE, "Refuse to delete what others"), **given)


OWN = {"namespace": "istio-system", "name": "admission"}
OTHER = {"namespace": "else", "name": "admission"}


@pytest.mark.parametrize(
    ("hook", "goes"),
    [
        (webhook(OWN), True),
        (webhook(OWN, OWN, kind="MutatingWebhookConfiguration"), True),
        (webhook(OTHER), False),
        (webhook(OWN, OTHER), False),
        (webhook(OWN, None), False),  # by a URL
    ],
)
def test_a_webhook_that_the_controller_alone_answers_goes_with_it(hook, goes):
    words = f"would also delete {hook['kind']} admission, which more than blue needs"
    assert (words in said(hook, cleanup_with_webhooks=True)) is not goes
    assert words in said(hook), "of a gateway's release none goes"


def test_of_several_each_is_looked_at():
    refused = said(webhook(OWN), webhook(OTHER, name="else"), cleanup_with_webhooks=True)
    assert "would also delete ValidatingWebhookConfiguration else, which" in refused


def asked(owners=({"claims": []},), releases=("one",), classes=(), ingresses=(), begun=()):
    """What the refusals of controller.yml say."""
    given = {
        "cleanup_found": {"owners": list(owners), "releases": list(releases)},
        "cleanup_mine": list(releases),
        "cleanup_refer": {"results": [{"resources": list(classes)}, {"resources": list(ingresses)}]},
        "mesh_conversion": {"classes": [{"name": "nginx"}]},
        "_mesh_converted": {"ingresses": ["shop/gone"]},
        "_mesh_begun": list(begun),
    }
    users = role_tasks.task(CONTROLLER, "Refuse while something refers")["vars"]
    text = trust_as_template((role_tasks.ROLES / "cleanup/templates/users.yml.j2").read_text(encoding="utf-8"))
    given["cleanup_users"] = yaml.safe_load(role_tasks.evaluate(text, **users, **given) or "") or []
    tasks = [task for task in role_tasks.load(CONTROLLER) if task["name"].startswith("Refuse")]
    return " ".join(filter(None, (role_tasks.refusal(task, **given) for task in tasks)))


def ingress(name, **spec):
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


CLASS = {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
ALSO = {"metadata": {"name": "also"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
OTHERS = {"metadata": {"name": "alb"}, "spec": {"controller": "ingress.k8s.aws/alb"}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"ingresses": [ingress("gone", ingressClassName="nginx"), ingress("theirs", ingressClassName="alb")]}, ""),
        ({"ingresses": [ingress("late", ingressClassName="also")]}, "of its classes still: shop/late. Convert"),
        ({"ingresses": [ingress("none")]}, "of its classes still: shop/none."),
        ({"releases": []}, "The controller is of no Helm release that is known."),
        ({"releases": [], "owners": []}, "The controller is of no Helm release that is known."),
        ({"releases": [], "begun": ["cleanup"]}, "The controller is of no Helm release that is known."),
        ({"releases": [], "owners": [], "begun": ["cleanup"]}, ""),  # by a run that was killed
        (
            {"owners": [{"claims": [{"name": "HelmRelease web/nginx", "source": True}, {"name": "x", "source": False}]}]},
            "HelmRelease web/nginx would install the controller again. Remove it there first",
        ),
    ],
)
def test_a_controller_that_is_needed_or_would_come_back_stays(given, words):
    refused = asked(classes=[CLASS, ALSO, OTHERS], **given)
    assert words in refused and bool(refused) == bool(words), refused


def test_what_a_killed_run_has_left_of_a_release_is_found_by_the_journal():
    """Its Service is gone, which told whose it was."""
    keys = {"ingresses": "done", "traefik/traefik": "recorded", "old/undone": "undone"}
    steps = [{"phase": "cleanup", "op": "archive", "key": key, "state": state} for key, state in keys.items()]
    steps += [{"phase": "keep", "op": "archive", "key": "else/where", "state": "done"}]
    look = role_tasks.task(CONTROLLER, "Look for those that were")
    begun = look["vars"]["cleanup_begun"]
    for owners, names in (([], ["traefik/traefik"]), ([{"claims": []}], [])):
        given = {"_mesh_journal": {"steps": steps}, "cleanup_found": {"owners": owners}, "cleanup_begun": begun}
        assert role_tasks.evaluate(look["loop"], **given) == names
    left = {"release": {"release": "traefik", "namespace": "traefik"}, "delete": []}
    for code, fails in (("not_found", False), ("two_owners", True)):
        result = {"failed": True, "failure": {"code": code}}
        assert role_tasks.holds(look["failed_when"], cleanup_half=result) is fails
        given = {"cleanup_found": {"releases": []}, "cleanup_half": {"results": [result, left]}}
        named = role_tasks.task(CONTROLLER, "Name these releases")["ansible.builtin.set_fact"]["cleanup_mine"]
        assert role_tasks.evaluate(named, **given) == [left["release"]]
