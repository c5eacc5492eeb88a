"""anyrouter translate: what a user sees of one translation, without a server."""
import json
import subprocess

import pytest

from harness.gateway import BINARY

REQUEST = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "top_k": 4,
    "system": "be brief",
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [{"name": "x", "input_schema": {"type": "object"}}],
}


@pytest.fixture
def translate():
    def run(*args, text):
        return subprocess.run([str(BINARY), "translate", *args, "-"], input=text, capture_output=True, text=True, timeout=20)

    return run


def test_a_request_and_its_warnings(translate):
    done = translate("--from", "anthropic", "--to", "chat", text=json.dumps(REQUEST))
    sent = json.loads(done.stdout)
    assert done.returncode == 0
    assert sent["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert sent["tools"][0]["function"]["name"] == "x"
    assert "warnings: dropped:top_k" in done.stderr


def test_strict_refuses_and_names_the_field(translate):
    done = translate("--from", "anthropic", "--to", "chat", "--strict", text=json.dumps(REQUEST))
    assert done.returncode == 1 and done.stdout == ""
    assert "top_k" in done.stderr


def test_another_model_and_stream(translate):
    done = translate("--from", "messages", "--to", "chat", "--stream", "--model", "gpt-4o", "--provider", "openai", text=json.dumps(REQUEST))
    sent = json.loads(done.stdout)
    assert sent["model"] == "gpt-4o" and sent["stream"] is True


def test_a_whole_answer(translate):
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hey"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    done = translate("--answer", "--from", "chat", "--to", "anthropic", text=json.dumps(answer))
    said = json.loads(done.stdout)
    assert said["content"][0]["text"] == "hey" and said["stop_reason"] == "max_tokens"
    assert said["usage"]["input_tokens"] == 3


def test_a_stream_and_one_that_is_cut(translate):
    frames = [
        {"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": "hey"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    text = "".join(f"data: {json.dumps(f)}\n\n" for f in frames)
    done = translate("--answer", "--stream", "--from", "chat", "--to", "anthropic", text=text + "data: [DONE]\n\n")
    assert done.returncode == 0 and "event: message_stop" in done.stdout and '"text":"hey"' in done.stdout
    cut = translate("--answer", "--stream", "--from", "chat", "--to", "anthropic", text=f"data: {json.dumps(frames[0])}\n\n")
    assert cut.returncode == 1 and "message_stop" not in cut.stdout and "the stream failed" in cut.stderr


@pytest.mark.parametrize(
    "args, says",
    [
        (["--from", "anthropic", "--to", "latin"], "unknown dialect"),
        (["--from", "anthropic"], "needs --from, --to"),
        (["--from", "anthropic", "--to", "chat", "--provider", "nobody"], "unknown provider"),
        (["--from", "anthropic", "--to", "chat", "--what"], "unknown argument"),
    ],
)
def test_usage_errors(translate, args, says):
    done = translate(*args, text="{}")
    assert done.returncode == 2 and says in done.stderr


def test_bad_input_is_an_error_of_its_own(translate):
    broken = translate("--from", "anthropic", "--to", "chat", text="{")
    assert broken.returncode == 1 and "invalid JSON" in broken.stderr
    typed = translate("--from", "anthropic", "--to", "chat", text='{"model":"m","max_tokens":5,"messages":[{"role":"user","content":7}]}')
    assert typed.returncode == 1 and "messages" in typed.stderr
