"""Jira: one issue a group, found by its label, updated, closed and reopened as Alertmanager does it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.notify.providers import Told, alert, ended, notification, provider
from tests.notify.wired import message_of

from tocsin.notify.channels import jira
from tocsin.notify.contract import DeliveryError

FIRING = notification()
OVER = notification(resolved=(ended(alert()),), key="end")
NONE = Told(200, {"issues": []})
MOVES = Told(200, {"transitions": [{"id": "31", "name": "Done"}, {"id": "11", "name": "Back"}]})


def found(category: str = "new") -> Told:
    status = {"status": {"statusCategory": {"key": category}}}
    return Told(200, {"issues": [{"key": "OPS-7", "fields": status}]})


def settings(url: str, **more: Any) -> jira.Settings:
    given = {"api_url": f"{url}/rest/api/2/", "project": "OPS", "issue_type": "Bug", "user": "t", "api_token": "x"}
    return jira.Settings(**{**given, **more})


def test_first_alert_opens_an_issue_with_the_groups_label() -> None:
    with provider(NONE, Told(201, {"id": "1", "key": "OPS-7"})) as there:
        receipt = jira.send(settings(there.url, labels=("exports",), priority="High"), message_of(FIRING))
    search, create = there.asked
    label = jira.label_of(message_of(FIRING))
    assert search.path == "/rest/api/2/search"
    assert f'labels="{label}" and statusCategory != Done' in search.json["jql"]
    assert create.path == "/rest/api/2/issue"
    fields = create.json["fields"]
    assert (fields["project"], fields["issuetype"], fields["priority"]) == (
        {"key": "OPS"},
        {"name": "Bug"},
        {"name": "High"},
    )
    assert fields["labels"] == ["exports", label]
    assert len(fields["summary"]) <= 255
    assert (receipt.reference, receipt.reason) == ("OPS-7", "opened")
    assert create.headers["authorization"].startswith("Basic ")


def test_next_alert_updates_it_and_the_end_closes_it() -> None:
    with provider(found(), Told(204, b"")) as there:
        assert jira.send(settings(there.url), message_of(FIRING)).reason == "updated"
        assert (there.asked[1].method, there.asked[1].path) == ("PUT", "/rest/api/2/issue/OPS-7")
    with provider(found(), MOVES, Told(204, b"")) as there:
        receipt = jira.send(settings(there.url, resolve_transition="done"), message_of(OVER))
        assert there.asked[2].json == {"transition": {"id": "31"}}
    assert receipt.reason == "closed"


def test_end_without_a_transition_or_an_issue_changes_nothing() -> None:
    with provider(found()) as there:
        assert jira.send(settings(there.url), message_of(OVER)).reason == "left as it is"
    with provider(NONE) as there:
        assert jira.send(settings(there.url), message_of(OVER)).reason == "there is no issue to close"
        assert len(there.asked) == 1


def test_issue_that_is_done_is_reopened_where_that_is_wanted() -> None:
    with provider(found("done"), MOVES, Told(204, b""), Told(204, b"")) as there:
        receipt = jira.send(settings(there.url, reopen_transition="Back"), message_of(FIRING))
        assert "statusCategory" not in there.asked[0].json["jql"]
        assert there.asked[2].json == {"transition": {"id": "11"}}
    assert receipt.reason == "reopened"


def test_transition_that_is_not_there_names_those_that_are() -> None:
    with provider(found(), MOVES) as there, pytest.raises(DeliveryError, match="only Done, Back") as refused:
        jira.send(settings(there.url, resolve_transition="Close"), message_of(OVER))
    assert not refused.value.retryable


def test_version_3_gets_a_document_and_cloud_its_own_search() -> None:
    with provider(NONE, Told(201, {"key": "OPS-8"})) as there:
        api = f"{there.url}/rest/api/3"
        jira.send(settings(there.url, api_url=api, api_type="cloud"), message_of(FIRING))
    assert there.asked[0].path == "/rest/api/3/search/jql"
    assert there.asked[1].json["fields"]["description"]["type"] == "doc"
