"""What the owner is told, by a real HTTP server, a real mail server and a real command."""

import email
import json
import logging
import sys

import pydantic
import pytest
import receivers as servers

from pipeline.config.notify import NotifyConfig
from pipeline.running.notices import Notice
from pipeline.running.receivers import tell

REFUSED = Notice(
    pipeline="pets",
    run="run-7",
    events=("refused",),
    step="Evaluator",
    reason="mean_iou -0.0300 against the latest blessed model",
    mean_iou=0.71,
    mean_iou_before=0.74,
    report="/runs/pets/report.html",
)
LINES = [
    "pets: the new model was refused",
    "run: run-7",
    "step: Evaluator",
    "reason: mean_iou -0.0300 against the latest blessed model",
    "mean IoU: 0.7100 (-0.0300 against the last blessed model)",
    "report: /runs/pets/report.html",
]


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="segline")
    return caplog


@pytest.fixture
def webhook(monkeypatch):
    with servers.Webhook() as server:
        monkeypatch.setenv("WEBHOOK", server.url)
        yield server


def config(**settings):
    return NotifyConfig.model_validate(settings)


def hook(**more):
    return config(webhook={"url": {"environment": "WEBHOOK"}, **more})


def test_slack_and_mattermost_get_a_text(webhook):
    tell([hook()], REFUSED)
    assert webhook.bodies == [{"text": "\n".join(LINES)}]


def test_teams_gets_a_card(webhook):
    tell([hook(style="card")], REFUSED)
    (body,) = webhook.bodies
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["text"] for block in attachment["content"]["body"]] == LINES


def test_mail(log):
    with servers.MailServer() as server:
        mail = {"host": "127.0.0.1", "port": server.port, "security": "none"}
        mail |= {"sender": "segline@example.org", "to": ["a@example.org", "b@example.org"]}
        tell([config(email=mail)], REFUSED)
    assert "a@example.org, b@example.org by 127.0.0.1 was told" in log.text
    ((sender, to, text),) = server.mails
    message = email.message_from_string(text)
    assert (sender, to) == ("segline@example.org", ["a@example.org", "b@example.org"])
    assert message["Subject"] == LINES[0] and message["To"] == "a@example.org, b@example.org"
    assert message.get_payload().strip() == "\n".join(LINES)


def test_a_command_gets_json(tmp_path):
    code = f"import sys; open({str(tmp_path / 'told')!r}, 'w').write(sys.stdin.read())"
    tell([config(command=[sys.executable, "-c", code])], REFUSED)
    told = json.loads((tmp_path / "told").read_text())
    assert told["events"] == ["refused"] and told["mean_iou_before"] == 0.74


def test_each_hears_of_what_it_asked_for(webhook):
    asked = hook()
    pushed = asked.model_copy(update={"events": ("pushed",)})
    tell([pushed], REFUSED)
    tell([asked], Notice(pipeline="pets", run="run-8", events=()))
    assert webhook.bodies == []
    tell([pushed], Notice(pipeline="pets", run="run-9", events=("pushed", "recovered")))
    assert webhook.bodies[0]["text"].splitlines()[0] == "pets: a new model is served, well again"


def test_a_receiver_that_is_down_is_told_of_without_its_address(webhook, log, monkeypatch):
    webhook.status = 500
    tell([hook()], REFUSED)
    assert "the webhook in WEBHOOK could not be told: HTTP 500" in log.text
    monkeypatch.setenv("WEBHOOK", "http://127.0.0.1:9/secret-path")
    mail = {"host": "127.0.0.1", "port": 9, "sender": "a@b.c", "to": ["d@e.f"]}
    tell([hook(), config(email=mail), config(command=["/nowhere"])], REFUSED)
    monkeypatch.delenv("WEBHOOK")
    tell([hook()], REFUSED)
    told = [record.getMessage() for record in log.records[1:]]
    assert told[0] == "the webhook in WEBHOOK could not be told: nobody answers there"
    assert "Connection refused" in told[1] and "No such file" in told[2]
    assert "the environment variable WEBHOOK is not set" in told[3]
    assert "secret-path" not in log.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "webhook, email, command: name one of them"),
        ({"command": ["x"], "webhook": {"url": {"environment": "X"}}}, "name one of them"),
        ({"webhook": {"url": "https://hooks.example/secret"}}, "url"),
        (
            {"email": {"host": "h", "sender": "a", "to": ["b"], "user": "u"}},
            "user, password: a login needs both",
        ),
    ],
)
def test_wrong_receivers(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        NotifyConfig.model_validate(settings)
