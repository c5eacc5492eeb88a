"""Statements of PROTOCOLS 11 about what a request becomes on its way to the other dialect."""

import base64
import json
import socket
import threading
import time

import pytest

from harness import Upstream, canon, wire
from harness.http import HttpError
from harness.stand import place

p = pytest.mark.p
OLD, MID, NEW = "claude-sonnet-4-5", "claude-opus-4-8", "claude-opus-5-5"
LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max")


def chat(*messages, model=OLD, **more):
    return {"model": model, "messages": list(messages), **more}


def claude(*messages, model="gpt-4.1", **more):
    return {"model": model, "max_tokens": 4000, "messages": list(messages), **more}


def user(content="hello"):
    return {"role": "user", "content": content}


def said(content="fine"):
    return {"role": "assistant", "content": content}


def system(content, role="system"):
    return {"role": role, "content": content}


def called(*calls, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(id, content="sunny"):
    return {"role": "tool", "tool_call_id": id, "content": content}


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def text(value):
    return {"type": "text", "text": value}


def used(*uses):
    return {"role": "assistant", "content": list(uses)}


def answered(id, content="sunny", **more):
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def warned(answer, code, word=""):
    assert any(w.startswith(code) and word in w for w in answer.warnings), (code, word, answer.warnings)


def blocks(message):
    content = message["content"]
    return [text(content)] if isinstance(content, str) else content


# ---------------------------------------------------------------- roles and turns


@p("P-018")
def test_leading_system_messages_become_system_blocks(to_anthropic):
    sent, _ = to_anthropic.carry(chat(system("one"), system("two", "developer"), system("three"), user()))
    assert [b["text"] for b in sent["system"]] == ["one", "two", "three"]
    assert all(b["type"] == "text" for b in sent["system"])


@p("P-019")
def test_mid_system_for_a_model_that_has_it(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user("a"), said("b"), user("c"), system("now"), model=MID))
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user", "system"]
    assert blocks(sent["messages"][3])[0]["text"] == "now"


@p("P-019")
def test_mid_system_after_an_assistant_waits_for_the_user(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user("a"), said("b"), system("now"), user("c"), model=MID))
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user", "system"]


@p("P-020")
def test_mid_system_for_an_older_model(to_anthropic):
    sent, got = to_anthropic.carry(chat(user("a"), said("b"), system("now"), user("c")))
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    texts = [b["text"] for b in blocks(sent["messages"][2])]
    assert "<system-reminder>\nnow\n</system-reminder>" in texts[0] and "c" in texts[-1]
    warned(got, "approximated")


@p("P-021")
def test_two_user_messages_become_one_turn(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user("a"), user([text("b"), text("c")])))
    assert [m["role"] for m in sent["messages"]] == ["user"]
    assert [b["text"] for b in blocks(sent["messages"][0])] == ["a", "b", "c"]


@p("P-024")
def test_calls_without_content(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call()), result("call_1"), tools=[wire.tool("chat")]))
    assert [b["type"] for b in sent["messages"][1]["content"]] == ["tool_use"]


@p("P-025")
def test_no_empty_text_reaches_anthropic(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user([text(""), text("a")]), said(""), user(""), said([text("")]), user("b")))
    for message in sent["messages"]:
        assert blocks(message), message
        assert all(b["text"] for b in blocks(message) if b["type"] == "text"), message


@p("P-026")
def test_a_history_that_starts_with_the_assistant(to_anthropic):
    sent, got = to_anthropic.carry(chat(said("hi"), user()))
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert blocks(sent["messages"][0])[0]["text"] == "(continue)"
    assert got.warnings


@p("P-027")
def test_prefill_for_a_model_without_it_is_refused(to_anthropic):
    got = to_anthropic.refuse(chat(user(), said("Sure,"), model=NEW))
    assert got.json["error"]["type"] == "invalid_request_error"


@p("P-028")
def test_prefill_loses_trailing_whitespace(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), said("Sure, \n")))
    assert blocks(sent["messages"][-1])[0]["text"] == "Sure,"


def test_no_user_message_is_refused(to_anthropic):
    to_anthropic.refuse(chat(system("only this")))


# ---------------------------------------------------------------- media


@p("P-032")
def test_a_data_url_image(to_anthropic):
    jpeg = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(20)).decode()
    sent, _ = to_anthropic.carry(chat(user([text("see"), image(f"data:image/png;base64,{wire.PNG}"),
                                            image(f"data:image/jpg;base64,{jpeg}")])))
    sources = [b["source"] for b in sent["messages"][0]["content"] if b["type"] == "image"]
    assert sources == [{"type": "base64", "media_type": "image/png", "data": wire.PNG},
                       {"type": "base64", "media_type": "image/jpeg", "data": jpeg}]


@p("P-033")
def test_a_wrong_mime_is_sniffed(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user([image(f"data:image/jpeg;base64,{wire.PNG}")])))
    assert sent["messages"][0]["content"][0]["source"]["media_type"] == "image/png"


@p("P-034")
def test_an_https_image_keeps_its_url(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user([image("https://example.com/a.png")])))
    assert sent["messages"][0]["content"][0]["source"] == {"type": "url", "url": "https://example.com/a.png"}


@pytest.fixture(scope="module")
def media():
    """A server of media, scripted by each test."""
    with Upstream(name="media") as up:
        yield up


@pytest.fixture
def served(media):
    """served(handler): the media server answers so; returns it."""
    def serve(handler):
        media.clear()
        media.handler = handler
        return media
    return serve


@pytest.fixture
def fetching(stand):
    """fetching("anthropic"): a stand that may fetch from loopback."""
    return lambda provider, **options: stand(provider, top='{"fetch_private": true}', **options)


PICTURE, PDF = base64.b64decode(wire.PNG), b"%PDF-1.4 tiny"


def png(request, reply):
    reply.body(PICTURE, type="image/png; charset=binary")


def document(url):
    return {"type": "document", "source": {"type": "url", "url": url}}


@p("P-034")
def test_an_http_image_is_fetched_and_inlined(fetching, served):
    pictures = served(png)
    sent, got = fetching("anthropic").carry(chat(user([text("see"), image(f"{pictures.url}/a%20b.png?x=1&y=\u00e9#f")])))
    inlined = [b["source"] for b in sent["messages"][0]["content"] if b["type"] == "image"]
    assert inlined == [{"type": "base64", "media_type": "image/png", "data": wire.PNG}]
    warned(got, "inlined", "image_url")
    (asked,) = pictures.requests
    assert (asked.method, asked.path, asked.body) == ("GET", "/a%20b.png?x=1&y=%C3%A9", b"")
    assert asked.header("user-agent") == "anyrouter" and asked.key is None


@p("P-034")
def test_a_url_is_fetched_once_a_request(fetching, served):
    pictures = served(png)
    stand = fetching("anthropic")
    same, other = f"{pictures.url}/same.png", f"{pictures.url}/other.png"
    for round in (1, 2):
        sent, _ = stand.carry(chat(user([image(same), text("and"), image(other), image(same)]), said(), user([image(same)])))
        inlined = [b for m in sent["messages"] for b in blocks(m) if b["type"] == "image"]
        assert [b["source"]["data"] for b in inlined] == [wire.PNG] * 4
        assert sorted(r.path for r in pictures.requests) == ["/other.png"] * round + ["/same.png"] * round


@p("P-034")
def test_a_stream_waits_for_its_media(fetching, served):
    pictures = served(png)
    sent, got = fetching("anthropic").carry(chat(user([image(f"{pictures.url}/a.png")]), stream=True))
    assert sent["messages"][0]["content"][0]["source"]["data"] == wire.PNG
    warned(got, "inlined", "image_url")


@p("P-034")
def test_the_bytes_tell_the_type(fetching, served):
    pictures = served(lambda _, reply: reply.body(PICTURE, type="application/octet-stream", how="chunked"))
    sent, _ = fetching("anthropic").carry(chat(user([image(f"{pictures.url}/a")])))
    assert sent["messages"][0]["content"][0]["source"]["media_type"] == "image/png"
    served(lambda _, reply: reply.body(b"<html>log in</html>", type="text/html"))
    got = fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/a")])))
    assert got.json["error"]["param"] == "image_url" and "no image" in got.json["error"]["message"]


@p("P-034")
def test_a_pdf_by_url_goes_inline_to_chat(fetching, served):
    files = served(lambda _, reply: reply.body(PDF, type="application/pdf"))
    sent, got = fetching("openai").carry(claude(user([document(f"{files.url}/a.pdf"), text("sum up")])))
    (file,) = [b["file"] for b in sent["messages"][0]["content"] if b["type"] == "file"]
    assert file["file_data"] == f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"
    warned(got, "inlined", "source.url")


@p("P-034")
def test_media_in_a_tool_result_are_fetched(fetching, served):
    files = served(lambda _, reply: reply.body(PDF, type="application/pdf"))
    sent, got = fetching("openai").carry(claude(
        user(), used(wire.use(id="a")), user([answered("a", [document(f"{files.url}/a.pdf")])]),
        tools=[wire.tool("anthropic")]))
    assert base64.b64encode(PDF).decode() in json.dumps(sent["messages"])
    warned(got, "inlined", "source.url")


@p("P-034")
def test_strict_mode_does_not_inline(fetching, served):
    pictures = served(png)
    got = fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/a.png")])), {"X-AnyRouter-Strict": "1"})
    assert got.error == "lossy_translation" and got.json["error"]["param"] == "image_url"
    assert not pictures.requests


@p("P-034")
def test_redirects_are_followed(fetching, served):
    ways = {"/1": "/a/2", "/a/2": "3?x", "/a/3?x": "?y", "/a/3?y": "//127.0.0.1:{port}/5", "/5": "{url}/6"}

    def handler(request, reply):
        to = ways.get(request.path)
        if to is None:
            png(request, reply)
        else:
            reply.body(b"", 302, headers={"location": to.format(port=pictures.port, url=pictures.url)})

    pictures = served(handler)
    sent, _ = fetching("anthropic").carry(chat(user([image(f"{pictures.url}/1")])))
    assert sent["messages"][0]["content"][0]["source"]["data"] == wire.PNG
    assert [r.path for r in pictures.requests] == ["/1", "/a/2", "/a/3?x", "/a/3?y", "/5", "/6"]
    ways["/6"] = "/7"
    fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/1")])), status=502)
    assert pictures.requests[-1].path == "/6", "a sixth redirect was followed"


@p("P-036")
@pytest.mark.parametrize("url", ["ftp://example.com/a.png", "file:///etc/passwd", "http://user:pw@example.com/a.png",
                                 "http://", "http://a b/c"])
def test_other_urls_are_not_fetched(fetching, served, url):
    got = fetching("anthropic").refuse(chat(user([image(url)])))
    assert got.json["error"]["param"] == "image_url"
    pictures = served(lambda _, reply: reply.body(b"", 302, headers={"location": url}))
    fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/a.png")])))
    assert len(pictures.requests) == 1


@p("P-036")
def test_dead_and_failing_servers(fetching, served):
    with Upstream() as dead:
        url = f"{dead.url}/a.png"
    got = fetching("anthropic").refuse(chat(user([image(url)])), status=502)
    assert got.json["error"]["param"] == "image_url"
    pictures = served(lambda _, reply: reply.body(b"none", 404, type="text/plain"))
    got = fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/secret.png")])), status=502)
    assert "404" in got.json["error"]["message"] and "secret" not in got.json["error"]["message"]
    served(lambda _, reply: reply.head(200, {"content-length": "5000"}).send(PICTURE).close())
    fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/a.png")])), status=502)
    served(png)
    fetching("anthropic").carry(chat(user([image(f"{pictures.url}/a.png")])))  # no key rests because of it


@p("P-036")
@pytest.mark.parametrize("way", ["silent", "dripping"])
def test_a_slow_server_is_504(fetching, served, way):
    def handler(_, reply):
        if way == "dripping":
            reply.head(200, {"content-length": "5000", "content-type": "image/png"})
        for _ in range(24):
            if way == "dripping":
                reply.send(b"x")
            time.sleep(0.5)

    pictures, begun = served(handler), time.monotonic()
    got = fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/a.png")])), status=504)
    assert got.error == "upstream_timeout" and 9.5 < time.monotonic() - begun < 11.8


@p("P-036")
def test_a_client_that_leaves_ends_the_fetch(fetching, served):
    gone = threading.Event()

    def handler(_, reply):
        try:
            for _ in range(80):
                reply.sock.settimeout(0.1)
                try:
                    if reply.sock.recv(1) == b"":
                        gone.set()
                        return
                except TimeoutError:
                    continue
        except OSError:
            gone.set()

    pictures, stand = served(handler), fetching("anthropic")
    body = json.dumps(chat(user([image(f"{pictures.url}/a.png")]))).encode()
    with socket.create_connection(("127.0.0.1", stand.gate.port)) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                       b"content-length: %d\r\n\r\n" % len(body) + body)
        while not pictures.requests:
            time.sleep(0.01)
    assert gone.wait(4), "the fetch went on without the client"
    assert not stand.up.requests


def test_a_drain_ends_the_fetch(gateway, upstream, served):
    free = threading.Event()
    pictures = served(lambda *_: free.wait(8))
    gate = gateway({"fetch_private": True, "drain_timeout": "300ms", "upstreams": [place("anthropic", upstream)]})

    def ask():
        with pytest.raises(HttpError):
            gate.post("chat", chat(user([image(f"{pictures.url}/a.png")])))

    asked = threading.Thread(target=ask)
    asked.start()
    while not pictures.requests:
        time.sleep(0.01)
    begun = time.monotonic()
    gate.stop()
    free.set()
    asked.join()
    assert time.monotonic() - begun < 4 and not upstream.requests


@p("P-037")
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_more_than_20_mb_is_refused(fetching, served, how):
    pictures = served(lambda _, reply: reply.body(PICTURE + bytes(21 << 20), type="image/png", how=how))
    got = fetching("anthropic").refuse(chat(user([image(f"{pictures.url}/a.png")])))
    assert got.json["error"]["param"] == "image_url" and "20 MB" in got.json["error"]["message"]


@p("P-037")
def test_20_mb_are_taken(fetching, served):
    big = PICTURE + bytes((20 << 20) - len(PICTURE))
    pictures = served(lambda _, reply: reply.body(big, type="image/png"))
    sent, _ = fetching("anthropic").carry(chat(user([image(f"{pictures.url}/a.png")])))
    assert base64.b64decode(sent["messages"][0]["content"][0]["source"]["data"]) == big


@p("P-036")
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "localhost", "0.0.0.0",
                                  "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"])
def test_private_addresses_are_not_fetched(to_anthropic, host):
    with Upstream(wire.whole(b"x", type="image/png")) as pictures:
        got = to_anthropic.refuse(chat(user([image(f"http://{host}:{pictures.port}/a.png")])))
        assert "not public" in got.json["error"]["message"] and got.json["error"]["param"] == "image_url"
        assert not pictures.requests, "a private address was fetched"


@p("P-038")
def test_a_pdf_becomes_a_document_and_back(to_anthropic, to_chat):
    pdf = base64.b64encode(b"%PDF-1.4 tiny").decode()
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}}
    sent, _ = to_anthropic.carry(chat(user([text("read"), part])))
    (block,) = [b for b in sent["messages"][0]["content"] if b["type"] == "document"]
    assert block["source"] == {"type": "base64", "media_type": "application/pdf", "data": pdf}
    sent, _ = to_chat.carry(claude(user([{"type": "document", "source": block["source"]}])))
    (file,) = [b["file"] for b in sent["messages"][0]["content"] if b["type"] == "file"]
    assert file["file_data"] == f"data:application/pdf;base64,{pdf}" and file["filename"]


@p("P-039")
def test_a_text_document_becomes_a_titled_text(to_chat):
    source = {"type": "text", "media_type": "text/plain", "data": "the words"}
    sent, _ = to_chat.carry(claude(user([{"type": "document", "source": source, "title": "T"}, text("sum up")])))
    parts = blocks(sent["messages"][0])
    assert '<document title="T">\nthe words\n</document>' in parts[0]["text"]


@p("P-040")
@pytest.mark.parametrize("way", ["chat", "anthropic"])
def test_file_ids_do_not_cross(way, to_anthropic, to_chat):
    if way == "chat":
        got = to_anthropic.refuse(chat(user([{"type": "file", "file": {"file_id": "file-1"}}])))
    else:
        got = to_chat.refuse(claude(user([{"type": "document", "source": {"type": "file", "file_id": "f1"}}])))
    assert "file" in got.json["error"]["message"] + str(got.json["error"].get("param"))


@p("P-041")
def test_audio_to_anthropic_is_refused(to_anthropic):
    part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    got = to_anthropic.refuse(chat(user([part])))
    assert "audio" in got.json["error"]["message"] + str(got.json["error"].get("param"))


@p("P-042")
def test_images_in_results_follow_the_whole_group(to_chat):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": wire.PNG}}
    sent, got = to_chat.carry(claude(
        user(), used(wire.use(id="a"), wire.use(id="b")),
        user([answered("a", [text("see"), picture]), answered("b", "plain"), text("and?")]),
        tools=[wire.tool("anthropic")]))
    roles = [m["role"] for m in sent["messages"]]
    assert roles[:4] == ["user", "assistant", "tool", "tool"] and set(roles[4:]) == {"user"}
    assert "see" in sent["messages"][2]["content"] and "[image #1 attached below]" in sent["messages"][2]["content"]
    urls = [b["image_url"]["url"] for m in sent["messages"][4:] for b in blocks(m) if b["type"] == "image_url"]
    assert urls == [f"data:image/png;base64,{wire.PNG}"]
    assert blocks(sent["messages"][-1])[-1]["text"] == "and?"
    assert got.warnings


# ---------------------------------------------------------------- tools and choice


@p("P-045")
def test_a_tool_is_carried(to_anthropic):
    bare = wire.tool("chat", "bare", "does nothing", schema=...)
    sent, _ = to_anthropic.carry(chat(user(), tools=[wire.tool("chat"), bare]))
    assert sent["tools"][0] == {"name": "get_weather", "description": "Says the weather",
                                "input_schema": wire.WEATHER}
    assert sent["tools"][1]["input_schema"] == {"type": "object", "properties": {}}


@p("P-046")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_dotted_name_is_renamed_and_comes_back(to_anthropic, streamed):
    def run(request, reply):
        name = request.json["tools"][0]["name"]
        assert name != "ns.get" and len(name) <= 64
        if streamed:
            reply.sse(wire.claude_stream(wire.use(name)))
        else:
            reply.body(wire.claude_answer(wire.use(name)))

    sent, got = to_anthropic.carry(
        chat(user(), called(wire.call("ns.get")), result("call_1"), user(), tools=[wire.tool("chat", "ns.get")],
             tool_choice={"type": "function", "function": {"name": "ns.get"}}, stream=streamed), handler=run)
    assert sent["messages"][1]["content"][0]["name"] == sent["tools"][0]["name"] == sent["tool_choice"]["name"]
    read = canon.chat_stream(got.events) if streamed else canon.chat_answer(got.json)
    assert read.calls[0][0] == "ns.get"


@p("P-046")
def test_a_dotted_name_to_chat(to_chat):
    def run(request, reply):
        reply.body(wire.chat_answer(None, [wire.call(request.json["tools"][0]["function"]["name"])]))

    sent, got = to_chat.carry(claude(user(), tools=[wire.tool("anthropic", "ns.get")]), handler=run)
    assert "." not in sent["tools"][0]["function"]["name"]
    assert got.json["content"][0]["name"] == "ns.get"


@p("P-047")
def test_a_long_name_is_cut_the_same_way_each_time(to_chat):
    name = "a" * 100
    one, _ = to_chat.carry(claude(user(), tools=[wire.tool("anthropic", name)]))
    two, _ = to_chat.carry(claude(user("other"), tools=[wire.tool("anthropic", "x"), wire.tool("anthropic", name)]))
    cut = one["tools"][0]["function"]["name"]
    assert len(cut) == 64 and cut == two["tools"][1]["function"]["name"]
    assert cut.startswith("a" * 55 + "_")


@p("P-051")
def test_a_custom_tool_becomes_a_function(to_anthropic):
    tool = {"type": "custom", "custom": {"name": "run", "description": "Runs", "format": {
        "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}}}}
    raw = 'print("é\\n")'
    sent, got = to_anthropic.carry(chat(user(), tools=[tool]),
                                   handler=wire.whole(wire.claude_answer(wire.use("run", {"input": raw}))))
    schema = sent["tools"][0]["input_schema"]
    assert list(schema["properties"]) == ["input"] and schema["properties"]["input"]["type"] == "string"
    call = got.json["choices"][0]["message"]["tool_calls"][0]
    assert call["type"] == "custom" and call["custom"] == {"name": "run", "input": raw}


@p("P-052")
def test_the_grammar_is_in_the_description(to_anthropic):
    tool = {"type": "custom", "custom": {"name": "run", "description": "Runs", "format": {
        "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}}}}
    sent, _ = to_anthropic.carry(chat(user(), tools=[tool]))
    assert sent["tools"][0]["description"] == "Runs\n\nThe input must match this lark grammar:\nstart: WORD"


@p("P-060")
@pytest.mark.parametrize(("there", "here"), [("required", {"type": "any"}), ("auto", {"type": "auto"}),
                                             ("none", {"type": "none"})])
def test_choices_both_ways(to_anthropic, to_chat, there, here):
    sent, _ = to_anthropic.carry(chat(user(), tools=[wire.tool("chat")], tool_choice=there))
    assert sent["tool_choice"] == here
    sent, _ = to_chat.carry(claude(user(), tools=[wire.tool("anthropic")], tool_choice=here))
    assert sent["tool_choice"] == there


@p("P-060")
def test_a_named_choice_both_ways(to_anthropic, to_chat):
    named = {"type": "function", "function": {"name": "get_weather"}}
    sent, _ = to_anthropic.carry(chat(user(), tools=[wire.tool("chat")], tool_choice=named))
    assert sent["tool_choice"] == {"type": "tool", "name": "get_weather"}
    sent, _ = to_chat.carry(claude(user(), tools=[wire.tool("anthropic")],
                                   tool_choice={"type": "tool", "name": "get_weather"}))
    assert sent["tool_choice"] == named


@p("P-062")
def test_allowed_tools_filter_the_list(to_anthropic):
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
        {"type": "function", "function": {"name": "b"}}]}}
    sent, got = to_anthropic.carry(chat(user(), tools=[wire.tool("chat", "a"), wire.tool("chat", "b")],
                                        tool_choice=choice))
    assert [t["name"] for t in sent["tools"]] == ["b"] and sent["tool_choice"]["type"] == "auto"
    assert got.warnings


@p("P-063")
def test_a_choice_that_is_not_listed(to_anthropic, to_chat):
    to_anthropic.refuse(chat(user(), tools=[wire.tool("chat")],
                             tool_choice={"type": "function", "function": {"name": "other"}}))
    to_chat.refuse(claude(user(), tools=[wire.tool("anthropic")], tool_choice={"type": "tool", "name": "other"}))


@p("P-064")
def test_parallel_false_to_anthropic(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), tools=[wire.tool("chat")], parallel_tool_calls=False))
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    sent, _ = to_anthropic.carry(chat(user(), tools=[wire.tool("chat")], parallel_tool_calls=False,
                                      tool_choice="required"))
    assert sent["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


@p("P-065")
def test_parallel_false_to_chat(to_chat):
    sent, _ = to_chat.carry(claude(user(), tools=[wire.tool("anthropic")],
                                   tool_choice={"type": "auto", "disable_parallel_tool_use": True}))
    assert sent["parallel_tool_calls"] is False


@p("P-066")
def test_forced_choice_for_a_model_that_refuses_it(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), tools=[wire.tool("chat")], tool_choice="required", model=NEW))
    assert sent.get("tool_choice", {"type": "auto"})["type"] == "auto"
    warned(got, "emulated")


@p("P-067")
def test_forced_choice_beside_budget_thinking(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), tools=[wire.tool("chat")], tool_choice="required",
                                      reasoning_effort="high"))
    forced = sent["tool_choice"]["type"] in ("any", "tool")
    thinks = sent.get("thinking", {}).get("type") == "enabled"
    assert not (forced and thinks), sent


@p("P-068")
def test_history_with_tools_but_no_list(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call(), wire.call("other", id="call_2")),
                                      result("call_1"), result("call_2"), user()))
    assert [t["name"] for t in sent["tools"]] == ["get_weather", "other"]
    assert sent["tool_choice"] == {"type": "none"}


# ---------------------------------------------------------------- calls and results


@p("P-069")
@pytest.mark.parametrize("arguments", ["", "  "])
def test_empty_arguments(to_anthropic, arguments):
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call(arguments=arguments)), result("call_1"),
                                      tools=[wire.tool("chat")]))
    assert sent["messages"][1]["content"][0]["input"] == {}


@p("P-070")
def test_arguments_that_are_no_json(to_anthropic):
    raw = '{"city": "Par'
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call(arguments=raw)), result("call_1"),
                                      tools=[wire.tool("chat")]))
    assert sent["messages"][1]["content"][0]["input"] == {"_raw_arguments": raw}


@p("P-070")
def test_raw_arguments_convert_back(to_chat):
    sent, _ = to_chat.carry(claude(user(), used(wire.use(input={"_raw_arguments": "{oops"})),
                                   user([answered("toolu_1")]), tools=[wire.tool("anthropic")]))
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{oops"


@p("P-071")
def test_key_order_and_number_spelling_survive(to_anthropic):
    raw = '{"z":1.0,"a":12345678901234567890,"m":{"y":1e3,"b":"\\u003c"}}'
    before = len(to_anthropic.up.requests)
    reply = wire.dump(wire.claude_answer(wire.use(input={"X": 0}))).replace('{"X":0}', raw)
    got = to_anthropic.send(chat(user(), called(wire.call(arguments=raw)), result("call_1"),
                                 tools=[wire.tool("chat")]), handler=wire.whole(reply.encode()))
    assert got.status == 200, got
    assert raw.encode() in to_anthropic.up.requests[before].body
    assert got.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == raw


@p("P-072")
def test_illegal_ids_are_rewritten_in_pairs(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call(id="functions.x:0")), result("functions.x:0"),
                                      tools=[wire.tool("chat")]))
    use, reply = sent["messages"][1]["content"][0], sent["messages"][2]["content"][0]
    assert use["id"] == reply["tool_use_id"] and use["id"].startswith("call_")
    assert all(c.isalnum() or c in "_-" for c in use["id"]) and len(use["id"]) == 29


@p("P-073")
@p("P-075")
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_parallel_results_become_one_turn_in_call_order(to_anthropic, order):
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call(id="a"), wire.call(id="b")),
                                      *[result(i, f"of {i}") for i in order], tools=[wire.tool("chat")]))
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    results = sent["messages"][2]["content"]
    assert [(b["type"], b["tool_use_id"]) for b in results] == [("tool_result", "a"), ("tool_result", "b")]


@p("P-078")
def test_an_error_result_to_chat(to_chat):
    sent, _ = to_chat.carry(claude(user(), used(wire.use(id="a"), wire.use(id="b")), user([
        answered("a", "no such city", is_error=True), answered("b", "Error: twice", is_error=True)]),
        tools=[wire.tool("anthropic")]))
    assert [m["content"] for m in sent["messages"][2:]] == ["Error: no such city", "Error: twice"]


@p("P-079")
def test_user_text_beside_results_stays_after(to_chat, to_anthropic):
    sent, _ = to_chat.carry(claude(user(), used(wire.use()), user([answered("toolu_1"), text("and now?")]),
                                   tools=[wire.tool("anthropic")]))
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool", "user"]
    sent, _ = to_anthropic.carry(chat(user(), called(wire.call()), result("call_1"), user("and now?"),
                                      tools=[wire.tool("chat")]))
    assert [b["type"] for b in sent["messages"][2]["content"]] == ["tool_result", "text"]


@p("P-080")
def test_an_orphan_result(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), result("gone", "42"), user("so?"), tools=[wire.tool("chat")]))
    joined = json.dumps(sent["messages"])
    assert "tool_result" not in joined and "[tool result for gone]\\n42" in joined
    assert got.warnings


@p("P-081")
def test_a_call_without_result(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), called(wire.call()), user("never mind"), tools=[wire.tool("chat")]))
    block = sent["messages"][2]["content"][0]
    assert block["type"] == "tool_result" and block["is_error"] is True and block["tool_use_id"] == "call_1"
    assert got.warnings


def test_a_duplicate_result_is_kept_as_text(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), called(wire.call()), result("call_1", "one"),
                                        result("call_1", "two"), tools=[wire.tool("chat")]))
    kinds = [b["type"] for b in sent["messages"][2]["content"]]
    assert kinds == ["tool_result", "text"] and "two" in sent["messages"][2]["content"][1]["text"]
    assert got.warnings


# ---------------------------------------------------------------- reasoning


@p("P-084")
def test_effort_for_an_adaptive_model(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), model=NEW, reasoning_effort="high"))
    assert sent["output_config"]["effort"] == "high" and "budget_tokens" not in json.dumps(sent)


@p("P-085")
def test_effort_for_a_budget_model(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), reasoning_effort="high"))
    assert sent["thinking"]["type"] == "enabled"
    assert 1024 <= sent["thinking"]["budget_tokens"] < sent["max_tokens"]
    sent, _ = to_anthropic.carry(chat(user(), reasoning_effort="high", max_tokens=5000))
    assert 1024 <= sent["thinking"]["budget_tokens"] < 5000


@p("P-086")
@pytest.mark.parametrize(("model", "kind"), [("claude-opus-5-5", None), ("claude-sonnet-5-5", "between_tools"),
                                             ("claude-haiku-5-5", "disabled")])
def test_effort_none(to_anthropic, model, kind):
    sent, got = to_anthropic.carry(chat(user(), model=model, reasoning_effort="none"))
    if kind:
        assert sent["thinking"]["type"] == kind
    else:
        assert sent["output_config"]["effort"] == "low" and got.warnings


@p("P-087")
def test_a_budget_to_chat(to_chat):
    sent, _ = to_chat.carry(claude(user(), model="gpt-5", max_tokens=20000,
                                   thinking={"type": "enabled", "budget_tokens": 8192}))
    assert sent["reasoning_effort"] == "medium"


@p("P-088")
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_survives_the_budget(to_anthropic, to_chat, level):
    sent, _ = to_anthropic.carry(chat(user(), reasoning_effort=level, max_tokens=64000))
    budget = sent["thinking"]["budget_tokens"]
    assert canon.budget_level(budget) == level
    back, _ = to_chat.carry(claude(user(), model="gpt-5.6", max_tokens=64000,
                                   thinking={"type": "enabled", "budget_tokens": budget}))
    assert back["reasoning_effort"] in {level, {"minimal": "low", "max": "xhigh"}.get(level, level)}


@p("P-089")
def test_text_between_tools_is_asked_for(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user(), model=NEW, tools=[wire.tool("chat")]))
    assert sent["thinking"].get("display") in ("summarized", "updates")


@p("P-090")
@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-opus-5-5"])
def test_no_budget_for_adaptive_models(to_anthropic, model):
    sent, _ = to_anthropic.carry(chat(user(), model=model, reasoning_effort="medium"))
    assert sent.get("thinking", {}).get("type") in (None, "adaptive")
    assert sent["output_config"]["effort"] == "medium"


@p("P-093")
def test_no_sampling_beside_budget_thinking(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), reasoning_effort="low", temperature=0.5))
    assert sent["thinking"]["type"] == "enabled"
    assert sent.get("temperature", 1) == 1 and "top_k" not in sent
    assert got.warnings


@p("P-094")
def test_no_thinking_within_1024_tokens(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), reasoning_effort="high", max_tokens=1024))
    assert sent.get("thinking", {"type": "disabled"})["type"] == "disabled" and sent["max_tokens"] == 1024
    assert got.warnings


@p("P-098")
@p("P-099")
def test_foreign_thinking_never_reaches_anthropic(to_anthropic):
    """A chat client hands back what it was shown as reasoning: it is not Anthropic's own."""
    message = {**called(wire.call()), "reasoning_content": "hm",
               "reasoning_details": [{"type": "reasoning.encrypted", "data": "foreign"}]}
    sent, _ = to_anthropic.carry(chat(user(), message, result("call_1"), tools=[wire.tool("chat")]))
    assert [b["type"] for b in sent["messages"][1]["content"]] == ["tool_use"]
    assert "foreign" not in json.dumps(sent)


@p("P-096")
@p("P-102")
def test_thinking_and_redacted_thinking_round_trip_through_chat(to_anthropic):
    """What the chat client gets in reasoning_details and sends back is the original block again."""
    thought = {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "c2VjcmV0"}
    first = chat(user(), tools=[wire.tool("chat")], reasoning_effort="low")
    _, got = to_anthropic.carry(first, handler=wire.whole(wire.claude_answer(thought, hidden, wire.use())))
    message = got.json["choices"][0]["message"]
    assert message["reasoning_content"] == "let me see" and message["reasoning_details"]
    id = message["tool_calls"][0]["id"]
    sent, _ = to_anthropic.carry({**first, "messages": [user(), message, result(id)]},
                                 handler=wire.both("anthropic"))
    back = [b for b in sent["messages"][1]["content"] if b["type"] != "tool_use"]
    assert back == [thought, hidden]


@p("P-099")
def test_after_one_dropped_block_all_later_ones_go(to_anthropic):
    """Two turns with thinking: the first one's envelope is broken, so the second goes too."""
    thought = {"type": "thinking", "thinking": "one", "signature": "c2ln"}
    first = chat(user(), tools=[wire.tool("chat")], reasoning_effort="low")
    _, got = to_anthropic.carry(first, handler=wire.whole(wire.claude_answer(thought, wire.use(id="toolu_a"))))
    good = got.json["choices"][0]["message"]
    broken = json.loads(json.dumps(good))
    for detail in broken["reasoning_details"]:
        for name in ("data", "signature"):
            if name in detail:
                detail[name] = "ar1.openai.encrypted.gpt.00000000.eA"
    broken["tool_calls"][0]["id"] = "toolu_b"
    sent, _ = to_anthropic.carry({**first, "messages": [user(), broken, result("toolu_b"), good,
                                                        result(good["tool_calls"][0]["id"])]},
                                 handler=wire.both("anthropic"))
    kinds = [b["type"] for m in sent["messages"] if m["role"] == "assistant" for b in m["content"]]
    assert kinds == ["tool_use", "tool_use"]


@p("P-100")
def test_dropped_thinking_of_a_preserving_model_says_drop_block(to_anthropic):
    foreign = {**called(wire.call()), "reasoning_details": [
        {"type": "reasoning.encrypted", "data": "ar1.openai.encrypted.gpt.00000000.eA"}]}
    sent, _ = to_anthropic.carry(chat(user(), foreign, result("call_1"), model=NEW, tools=[wire.tool("chat")]))
    assert sent["thinking"]["block_binding"] == {"prefix_mismatch_behavior": "drop_block"}
    assert "thinking-binding-controls-2026-08-01" in to_anthropic.up.last.header("anthropic-beta")


@p("P-101")
def test_thinking_stays_with_its_account(gateway, upstreams):
    one, two = upstreams(2)
    thought = {"type": "thinking", "thinking": "x", "signature": "c2ln"}
    one.handler = two.handler = wire.whole(wire.claude_answer(thought, wire.use()))
    gate = gateway({"upstreams": [place("anthropic", one, "first"), place("anthropic", two, "second")]})
    first = chat(user(), model="claude-sonnet-5-5", tools=[wire.tool("chat")])
    message = gate.chat(first, {"x-anyrouter-provider": "first"}).json["choices"][0]["message"]
    body = {**first, "messages": [user(), message, result(message["tool_calls"][0]["id"])]}
    assert gate.chat(body, {"x-anyrouter-provider": "first"}).status == 200
    assert '"c2ln"' in json.dumps(one.last.json["messages"])
    assert gate.chat(body, {"x-anyrouter-provider": "second"}).status == 200
    assert "c2ln" not in json.dumps(two.last.json["messages"])


@p("P-095")
def test_native_thinking_survives_byte_for_byte(to_anthropic):
    raw = ('{"model": "claude-sonnet-4-5","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000},'
           '"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking",'
           '"thinking":"x\\u003cy 0.10","signature":"EqQBc2ln+/="},{"type":"text","text":"b"}]},'
           '{"role":"user","content":"c"}]}').encode()
    got = to_anthropic.send(raw, dialect="anthropic")
    assert got.status == 200 and to_anthropic.up.last.body == raw


# ---------------------------------------------------------------- output format


SCHEMA = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "integer"}},
                                                 "required": ["b"]}}, "required": ["a"]}


@p("P-108")
def test_a_schema_to_anthropic(to_anthropic):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    sent, _ = to_anthropic.carry(chat(user(), model=NEW, response_format=form))
    schema = sent["output_config"]["format"]["schema"]
    assert sent["output_config"]["format"]["type"] == "json_schema"
    assert schema["additionalProperties"] is False
    assert schema["properties"]["a"]["additionalProperties"] is False


@p("P-109")
@p("P-113")
@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_a_schema_to_chat(to_chat, where):
    inner = {**SCHEMA["properties"]["a"], "additionalProperties": False}
    closed = {**SCHEMA, "properties": {"a": inner}, "additionalProperties": False}  # as Anthropic wants it
    form = {"type": "json_schema", "schema": closed}
    more = {"output_config": {"format": form}} if where == "output_config" else {"output_format": form}
    sent, _ = to_chat.carry(claude(user(), **more))
    assert sent["response_format"] == {"type": "json_schema", "json_schema": {
        "name": "response", "schema": closed, "strict": True}}


@p("P-111")
def test_the_tool_trick_comes_back_as_text(to_anthropic):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}

    def run(request, reply):
        names = [t["name"] for t in request.json.get("tools", [])]
        if "json_response" in names:
            reply.body(wire.claude_answer(wire.use("json_response", {"a": {"b": 1}})))
        else:
            reply.body(wire.claude_answer('{"a":{"b":1}}'))

    sent, got = to_anthropic.carry(chat(user(), model="claude-3-haiku-20240307", response_format=form), handler=run)
    assert [t["name"] for t in sent["tools"]] == ["json_response"]
    assert sent["tool_choice"] == {"type": "tool", "name": "json_response"}
    choice = got.json["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"a": {"b": 1}}
    assert choice["finish_reason"] == "stop" and "tool_calls" not in choice["message"]


@p("P-112")
def test_json_object_to_anthropic(to_anthropic):
    sent, got = to_anthropic.carry(chat(system("s"), user(), response_format={"type": "json_object"}))
    assert sent["system"][0]["text"] == "s"
    assert sent["system"][-1]["text"] == "Respond with one JSON object and nothing else."
    warned(got, "emulated", "response_format")


# ---------------------------------------------------------------- sampling and limits


@p("P-114")
def test_temperature_is_clamped(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), temperature=1.5))
    assert sent["temperature"] == 1
    warned(got, "clamped", "temperature")


@p("P-115")
def test_temperature_for_a_model_without_it(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), model=MID, temperature=0.3))
    assert "temperature" not in sent
    warned(got, "dropped", "temperature")


@p("P-116")
@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
@pytest.mark.parametrize("way", ["native", "translated"])
def test_the_new_version_has_no_sampling(to_chat, to_anthropic, field, way):
    body = claude(user(), **{field: 1})
    if way == "translated":
        got = to_chat.refuse(body, {"anthropic-version": "2026-10-21"})
    else:
        got = to_anthropic.refuse({**body, "model": OLD}, {"anthropic-version": "2026-10-21"}, "anthropic")
    assert field in got.json["error"]["message"] and got.json["error"]["type"] == "invalid_request_error"


@p("P-117")
def test_the_outbound_version(to_anthropic):
    to_anthropic.carry(chat(user(), temperature=0.5))
    assert to_anthropic.up.last.header("anthropic-version") == "2023-06-01"


@p("P-118")
def test_temperature_beside_top_p(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), temperature=0.5, top_p=0.9))
    assert sent["temperature"] == 0.5 and "top_p" not in sent
    warned(got, "dropped", "top_p")


@p("P-119")
def test_a_default_for_max_tokens(to_anthropic):
    sent, _ = to_anthropic.carry(chat(user()))
    assert sent["max_tokens"] == 32000
    sent, _ = to_anthropic.carry(chat(user(), model="claude-3-haiku-20240307"))
    assert 0 < sent["max_tokens"] <= 4096


@p("P-120")
def test_both_names_of_max_tokens(to_anthropic):
    for given, want in (({"max_tokens": 11}, 11), ({"max_completion_tokens": 12}, 12),
                        ({"max_tokens": 11, "max_completion_tokens": 12}, 12)):
        sent, _ = to_anthropic.carry(chat(user(), **given))
        assert sent["max_tokens"] == want


@p("P-121")
def test_max_tokens_zero_to_chat(to_chat):
    to_chat.refuse(claude(user(), max_tokens=0))


@p("P-123")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_fifth_stop_string_is_emulated(to_chat, streamed):
    body = claude(user(), stop_sequences=["A1", "B2", "C3", "D4", "STOP"], stream=streamed)
    if streamed:
        frames = wire.chat_stream("one ST", "OP two", " three")
        sent, got = to_chat.carry(body, handler=wire.streamed(frames))
        read = canon.claude_stream(got.events)
        canon.check_claude_grammar(got.events)
    else:
        sent, got = to_chat.carry(body, handler=wire.whole(wire.chat_answer("one STOP two")))
        read = canon.claude_answer(got.json)
    assert len(sent["stop"]) == 4
    assert (read.text, read.stop, read.sequence) == ("one ", "stop_sequence", "STOP")


@p("P-124")
def test_n_2_to_anthropic(to_anthropic):
    got = to_anthropic.refuse(chat(user(), n=2))
    assert got.json["error"]["param"] == "n" and got.json["error"]["code"] == "unsupported_parameter"


@p("P-125")
@pytest.mark.parametrize("field", ["seed", "frequency_penalty", "presence_penalty"])
def test_seed_and_penalties_are_dropped(to_anthropic, field):
    sent, got = to_anthropic.carry(chat(user(), **{field: 1}))
    assert field not in sent
    warned(got, "dropped", field)


# ---------------------------------------------------------------- cache, service, identity


@p("P-126")
def test_cache_control_survives_natively(to_anthropic):
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = claude(user([{**text("a"), "cache_control": mark}]), model=OLD, cache_control=mark,
                  system=[{**text("s"), "cache_control": mark}])
    to_anthropic.send(body, dialect="anthropic")
    assert to_anthropic.up.last.json == body


@p("P-127")
def test_cache_control_to_chat(to_chat):
    mark = {"type": "ephemeral", "ttl": "5m"}
    body = claude(user([{**text("a"), "cache_control": mark}]))
    sent, _ = to_chat.carry(body)
    assert "cache" not in json.dumps(sent)
    sent, _ = to_chat.carry({**body, "model": "gpt-5.6"})
    assert sent["messages"][0]["content"][0]["prompt_cache_breakpoint"]["mode"] == "explicit"


@p("P-128")
def test_the_last_four_breakpoints(to_anthropic):
    parts = [{**text(f"t{i}"), "prompt_cache_breakpoint": {"mode": "explicit"}} for i in range(6)]
    sent, _ = to_anthropic.carry(chat(user(parts)))
    marked = [b["text"] for b in sent["messages"][0]["content"] if b.get("cache_control")]
    assert marked == ["t2", "t3", "t4", "t5"]


@p("P-129")
def test_a_long_user_id_is_hashed(to_chat):
    sent, _ = to_chat.carry(claude(user(), metadata={"user_id": "u" * 100}))
    id = sent.get("safety_identifier") or sent["user"]
    assert len(id) == 64 and set(id) <= set("0123456789abcdef")
    sent, _ = to_chat.carry(claude(user(), metadata={"user_id": "short"}))
    assert (sent.get("safety_identifier") or sent["user"]) == "short"


@p("P-130")
def test_service_tiers(to_anthropic):
    sent, got = to_anthropic.carry(chat(user(), service_tier="flex"))
    assert "service_tier" not in sent
    warned(got, "dropped", "service_tier")
    sent, _ = to_anthropic.carry(chat(user(), service_tier="default"))
    assert sent["service_tier"] == "standard_only"


@p("P-131")
def test_betas_go_to_anthropic_only(to_anthropic, to_chat):
    head = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    to_anthropic.send(claude(user(), model=OLD), head, "anthropic")
    assert to_anthropic.up.last.header("anthropic-beta") == "interleaved-thinking-2025-05-14"
    to_chat.carry(claude(user()), head)
    assert to_chat.up.last.header("anthropic-beta") is None
    assert not [k for k, _ in to_chat.up.last.headers if k.startswith("anthropic")]


# ---------------------------------------------------------------- Claude Code's habits


def test_the_billing_header_block_is_stripped(to_chat, to_anthropic):
    line = text("x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli;")
    body = claude(user(), system=[line, text("be brief")])
    sent, _ = to_chat.carry(body)
    assert sent["messages"][0] == {"role": "system", "content": "be brief"}
    to_anthropic.send({**body, "model": OLD}, dialect="anthropic")
    assert to_anthropic.up.last.json["system"][0] == line


def test_the_deferred_placeholder_is_dropped(to_chat):
    hold = wire.tool("anthropic", "DeferredToolPlaceholder", "x", {"type": "object", "properties": {}},
                     defer_loading=True)
    sent, _ = to_chat.carry(claude(user(), tools=[wire.tool("anthropic"), hold]))
    assert [t["function"]["name"] for t in sent["tools"]] == ["get_weather"]


def test_a_mid_conversation_system_message_stays_in_place(to_chat):
    sent, _ = to_chat.carry(claude(user("a"), {"role": "system", "content": [text("now")]}, said("b"), user("c")))
    roles = [m["role"] for m in sent["messages"]]
    assert roles in (["user", "system", "assistant", "user"], ["user", "developer", "assistant", "user"])


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}])
def test_threads_are_refused_so_that_the_sdk_resends(to_chat, thread):
    got = to_chat.refuse(claude(user(), thread=thread), {"anthropic-beta": "message-threads-2026-08-12"})
    error = got.json["error"]
    assert error["type"] == "invalid_request_error"
    assert error["details"]["error_code"] == "thread_unsupported_request"


# ---------------------------------------------------------------- policy


@p("P-011")
@pytest.mark.parametrize(("field", "value"), [("temperature", 1.5), ("seed", 3), ("service_tier", "flex")])
def test_strict_turns_a_warning_into_a_refusal(to_anthropic, field, value):
    got = to_anthropic.refuse(chat(user(), **{field: value}), {"x-anyrouter-strict": "1"})
    assert got.error == "lossy_translation"
    assert got.json["error"]["code"] == "unsupported_parameter" and got.json["error"]["param"] == field


@p("P-012")
@pytest.mark.parametrize("streamed", [False, True])
def test_warnings_are_in_the_header(to_anthropic, streamed):
    _, got = to_anthropic.carry(chat(user(), seed=3, temperature=1.5, stream=streamed))
    warned(got, "dropped", "seed")
    warned(got, "clamped", "temperature")


HISTORY = [system("s"), user([text("a"), image(f"data:image/png;base64,{wire.PNG}")]),
           called(wire.call(id="functions.x:0"), wire.call(arguments="", id="b")), result("b"),
           result("functions.x:0"), said("so"), user("d")]


@p("P-013")
def test_the_same_history_gives_the_same_bytes(to_anthropic):
    body = chat(*HISTORY, tools=[wire.tool("chat", "a.b"), wire.tool("chat")])
    for _ in range(3):
        to_anthropic.carry(body)
    assert len({r.body for r in to_anthropic.up.requests}) == 1


@p("P-014")
def test_a_longer_history_keeps_its_prefix(to_anthropic, to_chat):
    def prefix(raw, before):
        at = raw.index(b'"messages":')
        return raw[at:at + before]

    tools = [wire.tool("chat")]
    to_anthropic.carry(chat(*HISTORY, tools=tools))
    to_anthropic.carry(chat(*HISTORY, said("e"), user("f"), tools=tools))
    short, long = [r.json["messages"] for r in to_anthropic.up.requests]
    assert long[:len(short)] == short
    raws = [r.body for r in to_anthropic.up.requests]
    size = len(wire.dump(short)) - 2
    assert prefix(raws[0], size) == prefix(raws[1], size)
    turns = [user("a"), used(wire.use()), user([answered("toolu_1")])]
    to_chat.carry(claude(*turns, tools=[wire.tool("anthropic")]))
    to_chat.carry(claude(*turns, said("e"), user("f"), tools=[wire.tool("anthropic")]))
    short, long = [r.json["messages"] for r in to_chat.up.requests]
    assert long[:len(short)] == short


@p("P-015")
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_unknown_fields_survive_natively(to_chat, to_anthropic, dialect):
    one = to_chat if dialect == "chat" else to_anthropic
    body = wire.ask(dialect, [text("a"), {"type": "hologram", "x": [1, None]}], brand_new={"y": 1})
    got = one.send(body, dialect=dialect)
    assert got.status == 200 and one.up.last.json == body


@p("P-016")
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_native_bytes_are_untouched(to_chat, to_anthropic, dialect):
    one = to_chat if dialect == "chat" else to_anthropic
    raw = ('{ "messages" :[ {"role":"user","content":"\\u003cb\\u003e \\ud83d\\ude00 \\/ 😀"} ] ,\n "model":'
           '"claude-sonnet-4-5", "max_tokens": 100, "temperature":0.10, "x":[1E2, 1.0, -0] }').encode()
    got = one.send(raw, dialect=dialect)
    assert got.status == 200 and one.up.last.body == raw


@p("P-106")
def test_a_signature_complaint_is_retried_without_thinking(gateway, upstream):
    """An envelope that Anthropic will not take: one retry, all thinking gone, the client sees nothing."""
    bad = wire.fail("anthropic", 400, message="Invalid `signature` in `thinking` block")
    gate = gateway({"upstreams": [place("anthropic", upstream)]})
    thought = {"type": "thinking", "thinking": "x", "signature": "c2ln"}
    first = chat(user(), tools=[wire.tool("chat")], reasoning_effort="low")
    upstream.handler = wire.whole(wire.claude_answer(thought, wire.use()))
    message = gate.chat(first).json["choices"][0]["message"]
    upstream.script(bad, wire.both("anthropic"))
    got = gate.chat({**first, "messages": [user(), message, result(message["tool_calls"][0]["id"])]})
    assert got.status == 200, got
    one, two = upstream.requests
    assert "c2ln" in one.body.decode() and '"signature"' not in two.body.decode()


def test_a_renamed_model_is_a_span_edit(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, models=[{"from": "mine", "to": "theirs-2"}])]})
    raw = '{"x":1.0,"model" : "mine" ,"messages":[{"role":"user","content":"\\u0041"}]}'.encode()
    got = gate.chat(raw)
    assert got.status == 200, got
    assert json.loads(upstream.last.body)["model"] == "theirs-2"
    assert upstream.last.body.startswith(b'{"x":1.0,"model" : ') and b'"\\u0041"' in upstream.last.body
    assert got.header("x-anyrouter-model") and got.json["model"] == "up-model"
