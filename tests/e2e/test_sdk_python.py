"""The official Python SDKs through a gateway that has environment variables and no file, in all four combinations:
the SDK of either vendor, an upstream of either dialect. The mock refuses with 400 what the real vendor would refuse."""

import asyncio
import base64
import json

import anthropic
import openai
import pytest
from clients_support import FINAL, SIGNATURE, start_side
from harness import key

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100"
        "18dd8db00000000049454e44ae426082")).decode()
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # the SDK's, about a model's age
CITIES = ["Paris", "Rome", "Oslo"]
THOUGHT = "First I look at the weather, then I answer."


@pytest.fixture(scope="module", params=["anthropic", "chat"])
def side_of_module(request, tmp_path_factory):
    side = start_side(request.param, tmp_path_factory.mktemp("side"))
    yield side
    side.stop()


@pytest.fixture
def side(side_of_module):
    return side_of_module.fresh()


@pytest.fixture(params=["anthropic", "chat"])
def brittle(request, tmp_path):
    """A gateway of its own: its upstream fails, and so rests afterwards."""
    side = start_side(request.param, tmp_path)
    yield side
    side.stop()


@pytest.fixture(scope="module", params=["anthropic", "chat"])
def listing(request, tmp_path_factory):
    """With a key of the gateway's own, without which it cannot ask for a list."""
    side = start_side(request.param, tmp_path_factory.mktemp("listing"), {"ANYROUTER_API_KEY": key("operator")})
    yield side
    side.stop()


def openai_client(side, **more):
    return openai.OpenAI(base_url=side.url + "/v1", api_key=side.secret, max_retries=0, timeout=20, **more)


def anthropic_client(side, **more):
    return anthropic.Anthropic(base_url=side.url, api_key=side.secret, max_retries=0, timeout=20, **more)


def calls(*cities):
    return [{"kind": "tool", "name": "get_weather", "args": {"city": c}} for c in cities]


def text(value=FINAL):
    return {"kind": "text", "text": value}


def thinking(value=THOUGHT):
    return {"kind": "thinking", "text": value}


class TestOpenAI:
    tools = [{"type": "function", "function": {"name": "get_weather", "description": "weather", "parameters": WEATHER}}]

    def ask(self, side, messages="say hi", **more):
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        more.setdefault("model", side.model)
        return openai_client(side).chat.completions.create(messages=messages, **more)

    def test_text(self, side):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "say hi"}]
        got = self.ask(side, messages, temperature=0.5, max_completion_tokens=99, stop=["###"])
        assert got.object == "chat.completion" and got.model == side.model
        assert got.choices[0].message.content == FINAL
        assert got.choices[0].message.role == "assistant"
        assert got.choices[0].finish_reason == "stop"
        assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (21, 7, 28)
        body = side.last()
        assert body["temperature"] == 0.5
        if side.dialect == "anthropic":
            assert got.id.startswith("chatcmpl-")
            assert body["max_tokens"] == 99 and body["stop_sequences"] == ["###"]
            assert "Be brief." in json.dumps(body["system"])
            assert [m["role"] for m in body["messages"]] == ["user"]
        else:
            assert body["messages"] == messages, "native: untouched"

    def test_max_tokens_is_filled_in_where_it_must_be(self, side):
        self.ask(side)
        assert ("max_tokens" in side.last()) == (side.dialect == "anthropic")

    def test_stream(self, side):
        pieces, finish, usage, ids = [], [], None, set()
        for chunk in self.ask(side, stream=True, stream_options={"include_usage": True}):
            ids.add(chunk.id)
            usage = chunk.usage or usage
            for choice in chunk.choices:
                pieces.append(choice.delta.content or "")
                finish += [choice.finish_reason] if choice.finish_reason else []
        assert "".join(pieces) == FINAL
        assert len([p for p in pieces if p]) > 2, "it came at once, not as a stream"
        assert finish == ["stop"] and len(ids) == 1
        assert (usage.prompt_tokens, usage.completion_tokens) == (21, 7)

    def test_stream_without_usage_has_none(self, side):
        chunks = list(self.ask(side, stream=True))
        assert all(c.choices for c in chunks), "a chunk without choices, though no usage was asked for"
        assert all(c.usage is None for c in chunks)

    def test_stream_helper(self, side):
        with openai_client(side).chat.completions.stream(
            model=side.model, messages=[{"role": "user", "content": "say hi"}]
        ) as stream:
            for _ in stream:
                pass
            assert stream.get_final_completion().choices[0].message.content == FINAL

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_with_a_second_turn(self, side, streamed):
        side.fresh("tool")
        messages = [{"role": "user", "content": "What is the weather in Paris?"}]
        first = self.turn(side, messages, streamed)
        assert first.choices[0].finish_reason == "tool_calls"
        [call] = first.choices[0].message.tool_calls
        assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}
        messages += [first.choices[0].message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        second = self.turn(side, messages, streamed)
        assert second.choices[0].message.content == FINAL
        assert second.choices[0].finish_reason == "stop"
        sent = side.last()["messages"]
        if side.dialect == "anthropic":
            [use] = [b for b in sent[1]["content"] if b["type"] == "tool_use"]
            assert use["id"] == call.id and use["input"] == {"city": "Paris"}
            assert sent[2]["content"][0]["tool_use_id"] == call.id
        else:
            assert sent[2] == messages[2]

    def turn(self, side, messages, streamed):
        if not streamed:
            return self.ask(side, messages, tools=self.tools)
        with openai_client(side).chat.completions.stream(model=side.model, messages=messages, tools=self.tools) as stream:
            return stream.get_final_completion()

    @pytest.mark.parametrize("streamed", [False, True])
    def test_parallel_tools(self, side, streamed):
        side.mock.answer(calls(*CITIES))
        messages = [{"role": "user", "content": "The weather everywhere?"}]
        first = self.turn(side, messages, streamed).choices[0].message
        assert [json.loads(c.function.arguments)["city"] for c in first.tool_calls] == CITIES
        ids = [c.id for c in first.tool_calls]
        assert len(set(ids)) == 3
        results = [{"role": "tool", "tool_call_id": i, "content": "sunny in " + c} for i, c in zip(ids, CITIES)]
        more = {"role": "user", "content": "Be quick."}
        assert self.turn(side, [*messages, first.to_dict(), *results, more], streamed).choices[0].message.content == FINAL
        if side.dialect == "anthropic":
            blocks = side.last()["messages"][2]["content"]
            assert [b.get("tool_use_id") for b in blocks[:3]] == ids, "all results in one turn, in order"
            assert blocks[3] == {"type": "text", "text": "Be quick."}

    def test_parallel_tools_switched_off(self, side):
        self.ask(side, tools=self.tools, tool_choice="auto", parallel_tool_calls=False)
        if side.dialect == "anthropic":
            assert side.last()["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
        else:
            assert side.last()["parallel_tool_calls"] is False

    @pytest.mark.parametrize("choice, wanted", [
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "get_weather"}}, {"type": "tool", "name": "get_weather"}),
    ])
    def test_forced_tool(self, side, choice, wanted):
        got = self.ask(side, tools=self.tools, tool_choice=choice)
        assert got.choices[0].message.tool_calls[0].function.name == "get_weather"
        assert side.last()["tool_choice"] == (wanted if side.dialect == "anthropic" else choice)

    def test_image(self, side):
        url = "https://example.org/cat.png"
        parts = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        assert self.ask(side, [{"role": "user", "content": parts}]).choices[0].message.content == FINAL
        sent = side.last()["messages"][0]["content"]
        if side.dialect == "anthropic":
            assert sent[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}
            assert sent[2]["source"] == {"type": "url", "url": url}
        else:
            assert sent == parts

    @pytest.mark.parametrize("streamed", [False, True])
    def test_thinking_over_two_turns(self, side, streamed):
        side.mock.answer([thinking(), *calls("Paris")])
        messages = [{"role": "user", "content": "What is the weather in Paris?"}]
        first = self.thinking_turn(side, messages, streamed)
        assert first["reasoning_content"] == THOUGHT
        assert first["tool_calls"][0]["function"]["name"] == "get_weather"
        body = side.last()
        if side.dialect == "anthropic":
            assert body["thinking"]["type"] == "enabled" and body["thinking"]["budget_tokens"] == 16384
            assert body["max_tokens"] > 16384
            assert first["reasoning_details"], "nothing that could carry the signature back"
        else:
            assert body["reasoning_effort"] == "high"
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "sunny"}
        second = self.thinking_turn(side, [*messages, first, result], streamed)
        assert second["content"] == FINAL
        if side.dialect == "anthropic":
            block = side.last()["messages"][1]["content"][0]
            assert block == {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}

    def thinking_turn(self, side, messages, streamed):
        """The assistant's message as a dictionary, with the fields that the SDK has no types for."""
        got = self.ask(side, messages, model=side.thinker, tools=self.tools, reasoning_effort="high", stream=streamed)
        if not streamed:
            return got.choices[0].message.to_dict()
        whole = {"role": "assistant", "content": "", "reasoning_content": "", "reasoning_details": [], "tool_calls": []}
        for chunk in got:
            for choice in chunk.choices:
                delta = choice.delta.to_dict()
                for name in ("content", "reasoning_content"):
                    whole[name] += delta.get(name) or ""
                whole["reasoning_details"] += delta.get("reasoning_details") or []
                for part in delta.get("tool_calls") or []:
                    if part.get("id"):
                        whole["tool_calls"].append({k: v for k, v in part.items() if k != "index"})
                    else:
                        whole["tool_calls"][part["index"]]["function"]["arguments"] += part["function"]["arguments"]
        return {k: v for k, v in whole.items() if v != []}

    def test_many_streams_at_once(self, side):
        async def one(client, i):
            stream = await client.chat.completions.create(
                model=side.model, messages=[{"role": "user", "content": f"say hi {i}"}], stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        async def all_of_them():
            async with openai.AsyncOpenAI(base_url=side.url + "/v1", api_key=side.secret, max_retries=0) as client:
                return await asyncio.gather(*(one(client, i) for i in range(24)))

        assert asyncio.run(all_of_them()) == [FINAL] * 24

    def test_structured_output(self, side):
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"],
                  "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
        got = self.ask(side, response_format=form)
        assert json.loads(got.choices[0].message.content) == {"answer": FINAL}

    @pytest.mark.parametrize("stop, finish", [("max_tokens", "length"), ("refusal", None), ("stop_sequence", "stop")])
    def test_stop_reasons_of_anthropic(self, side, stop, finish):
        if side.dialect == "chat":
            stop, finish = {"max_tokens": ("length", "length"), "refusal": ("content_filter", "content_filter"),
                            "stop_sequence": ("stop", "stop")}[stop]
        side.mock.answer({"blocks": [text("half")], "stop": stop}, {"blocks": [text("half")], "stop": stop})
        whole = self.ask(side).choices[0]
        assert whole.message.content == "half"
        assert whole.finish_reason == (finish or "content_filter")
        streamed = [c.choices[0].finish_reason for c in self.ask(side, stream=True) if c.choices]
        assert streamed[-1] == whole.finish_reason

    def test_models(self, listing):
        client = openai_client(listing)
        ids = [m.id for m in client.models.list()]
        assert listing.model in ids
        assert client.models.retrieve(listing.model).id == listing.model
        with pytest.raises(openai.NotFoundError) as e:
            client.models.retrieve("no-such-model")
        assert e.value.code == "model_not_found"

    # What the upstream answers, what the client must see: status and class of the SDK.
    @pytest.mark.parametrize("kind, status, cls", [
        (400, 400, openai.BadRequestError),
        (404, 404, openai.NotFoundError),
        (413, 413, openai.APIStatusError),
        (422, 422, openai.UnprocessableEntityError),
        (429, 429, openai.RateLimitError),
        (500, None, openai.InternalServerError),
        (503, 503, openai.InternalServerError),
        (529, 503, openai.InternalServerError),
    ])
    @pytest.mark.parametrize("streamed", [False, True])
    def test_errors(self, brittle, kind, status, cls, streamed):
        brittle.mock.fail(kind, times=0, message="The upstream's own words 4711.")
        with pytest.raises(cls) as e:
            self.ask(brittle, stream=streamed)
        if status is None:
            assert e.value.status_code in (500, 502)
        elif kind == 529 and brittle.dialect == "anthropic":  # the caller's own key: the upstream's own status
            assert e.value.status_code in (503, 529)
        else:
            assert e.value.status_code == status
        assert "4711" in e.value.message
        assert e.value.body["type"] and "code" in e.value.body and "param" in e.value.body

    def test_retry_after_of_a_429(self, brittle):
        brittle.mock.fail(429, times=0, retry_after=7)
        with pytest.raises(openai.RateLimitError) as e:
            self.ask(brittle)
        assert 1 <= int(e.value.response.headers["retry-after"]) <= 7

    def test_refused_key(self, brittle):
        """The caller's own key: the upstream's 401. The operator's: a fault of the gateway, not of the caller."""
        brittle.mock.fail(401, times=0)
        own = brittle.dialect == "anthropic"  # ANYROUTER_BASE_URL passes the caller's key through
        with pytest.raises(openai.AuthenticationError if own else openai.InternalServerError) as e:
            self.ask(brittle)
        assert e.value.status_code == (401 if own else 502)
        if not own:
            assert e.value.response.headers["x-anyrouter-error"] == "upstream_credentials_rejected"

    @pytest.mark.parametrize("kind", ["midstream", "sseerror", "eof"])
    def test_a_broken_stream_never_ends_cleanly(self, brittle, kind):
        brittle.mock.fail(kind, times=0)
        with pytest.raises(Exception) as e:
            for _ in self.ask(brittle, stream=True):
                pass
        assert type(e.value).__module__.split(".")[0] in ("openai", "httpx", "httpcore", "httpx2", "httpcore2"), repr(e.value)


class TestAnthropic:
    tools = [{"name": "get_weather", "description": "weather", "input_schema": WEATHER}]

    def ask(self, side, messages="say hi", **more):
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        more = {"model": side.model, "max_tokens": 64, **more}
        return anthropic_client(side).messages.create(messages=messages, **more)

    def test_text(self, side):
        got = self.ask(side, system="Be brief.", stop_sequences=["###"], max_tokens=99)
        assert got.type == "message" and got.role == "assistant" and got.model == side.model
        assert [b.text for b in got.content] == [FINAL]
        assert got.stop_reason == "end_turn" and got.stop_sequence is None
        assert (got.usage.input_tokens, got.usage.output_tokens) == (21, 7)
        body = side.last()
        if side.dialect == "chat":
            assert got.id.startswith("msg_")
            assert body["messages"][0]["role"] in ("system", "developer") and body["messages"][0]["content"] == "Be brief."
            assert body["messages"][1:] == [{"role": "user", "content": "say hi"}]
            assert body.get("max_completion_tokens", body.get("max_tokens")) == 99
            assert body["stop"] in ("###", ["###"])
        else:
            assert body["system"] == "Be brief.", "native: untouched"

    def test_stream(self, side):
        kinds, pieces, delta = [], [], None
        for event in self.ask(side, stream=True):
            kinds.append(event.type)
            if event.type == "content_block_delta":
                pieces.append(event.delta.text)
            if event.type == "message_delta":
                delta = event
        assert "".join(pieces) == FINAL
        assert len(pieces) > 2, "it came at once, not as a stream"
        assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
        assert delta.delta.stop_reason == "end_turn" and delta.usage.output_tokens == 7

    def test_stream_helper(self, side):
        with anthropic_client(side).messages.stream(
            model=side.model, max_tokens=64, messages=[{"role": "user", "content": "say hi"}]
        ) as stream:
            got = stream.get_final_message()
        assert got.content[0].text == FINAL
        assert (got.usage.input_tokens, got.usage.output_tokens) == (21, 7)

    def turn(self, side, messages, streamed, **more):
        more = {"model": side.model, "max_tokens": 64, **more}
        if not streamed:
            return self.ask(side, messages, tools=self.tools, **more)
        with anthropic_client(side).messages.stream(messages=messages, tools=self.tools, **more) as stream:
            return stream.get_final_message()

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_with_a_second_turn(self, side, streamed):
        side.fresh("tool")
        messages = [{"role": "user", "content": "What is the weather in Paris?"}]
        first = self.turn(side, messages, streamed)
        assert first.stop_reason == "tool_use"
        [use] = [b for b in first.content if b.type == "tool_use"]
        assert use.name == "get_weather" and use.input == {"city": "Paris"}
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = self.turn(side, messages, streamed)
        assert [b.text for b in second.content] == [FINAL] and second.stop_reason == "end_turn"
        if side.dialect == "chat":
            sent = side.last()["messages"]
            [call] = sent[1]["tool_calls"]
            assert call["id"] == use.id and json.loads(call["function"]["arguments"]) == {"city": "Paris"}
            assert sent[2] == {"role": "tool", "tool_call_id": use.id, "content": "sunny"}

    @pytest.mark.parametrize("streamed", [False, True])
    def test_parallel_tools(self, side, streamed):
        side.mock.answer([text("I look."), *calls(*CITIES)])
        messages = [{"role": "user", "content": "The weather everywhere?"}]
        first = self.turn(side, messages, streamed)
        assert first.content[0].text == "I look."
        uses = [b for b in first.content if b.type == "tool_use"]
        assert [u.input["city"] for u in uses] == CITIES
        results = [{"type": "tool_result", "tool_use_id": u.id, "content": [{"type": "text", "text": "sunny"}]} for u in uses]
        results[1]["is_error"] = True
        tail = [*results, {"type": "text", "text": "Be quick."}]
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": tail}]
        assert self.turn(side, messages, streamed).content[0].text == FINAL
        if side.dialect == "chat":
            sent = side.last()["messages"]
            assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool", "tool", "user"]
            assert [m["tool_call_id"] for m in sent[2:5]] == [u.id for u in uses]
            assert "Error" in json.dumps(sent[3]["content"]) and "Error" not in json.dumps(sent[2]["content"])

    @pytest.mark.parametrize("choice, wanted", [
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "get_weather"}, {"type": "function", "function": {"name": "get_weather"}}),
    ])
    def test_forced_tool(self, side, choice, wanted):
        got = self.ask(side, tools=self.tools, tool_choice=choice)
        assert got.content[0].name == "get_weather"
        assert side.last()["tool_choice"] == (wanted if side.dialect == "chat" else choice)

    def test_parallel_tools_switched_off(self, side):
        choice = {"type": "auto", "disable_parallel_tool_use": True}
        self.ask(side, tools=self.tools, tool_choice=choice)
        if side.dialect == "chat":
            assert side.last()["parallel_tool_calls"] is False
        else:
            assert side.last()["tool_choice"] == choice

    def test_image(self, side):
        blocks = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/cat.png"}},
            {"type": "text", "text": "What is this?"},
        ]
        assert self.ask(side, [{"role": "user", "content": blocks}]).content[0].text == FINAL
        sent = side.last()["messages"][0]["content"]
        if side.dialect == "chat":
            assert sent[0]["image_url"]["url"] == "data:image/png;base64," + PNG
            assert sent[1]["image_url"]["url"] == "https://example.org/cat.png"
            assert sent[2] == {"type": "text", "text": "What is this?"}
        else:
            assert sent == blocks

    @pytest.mark.parametrize("streamed", [False, True])
    def test_thinking_over_two_turns(self, side, streamed):
        side.mock.answer([thinking(), *calls("Paris")])
        messages = [{"role": "user", "content": "What is the weather in Paris?"}]
        how = {"model": side.thinker, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}}
        first = self.turn(side, messages, streamed, **how)
        assert [b.type for b in first.content] == ["thinking", "tool_use"]
        assert first.content[0].thinking == THOUGHT
        assert first.content[0].signature, "clients take a thinking block without signature for broken"
        if side.dialect == "anthropic":
            assert first.content[0].signature == SIGNATURE
        else:
            assert side.last()["reasoning_effort"] == "low"
        result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "sunny"}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = self.turn(side, messages, streamed, **how)
        assert second.content[-1].text == FINAL
        if side.dialect == "anthropic":
            block = side.last()["messages"][1]["content"][0]
            assert (block["thinking"], block["signature"]) == (THOUGHT, SIGNATURE)
        else:
            assert "ar1." not in json.dumps(side.last()), "the envelope must not reach the upstream"

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tool_runner(self, side, streamed):
        """It asks for a thread first; the refusal must be the one after which it sends the whole conversation."""
        asked = []

        @anthropic.beta_tool
        def get_weather(city: str) -> str:
            """The weather of a city."""
            asked.append(city)
            return "sunny in " + city

        side.fresh("tool")
        runner = anthropic_client(side).beta.messages.tool_runner(
            model=side.model, max_tokens=64, tools=[get_weather], stream=streamed,
            messages=[{"role": "user", "content": "The weather in Paris?"}])
        if streamed:
            last = [turn.get_final_message() for turn in runner][-1]
        else:
            last = runner.until_done()
        assert asked == ["Paris"]
        assert last.content[-1].text == FINAL
        assert "sunny in Paris" in json.dumps(side.last()["messages"])

    def test_many_streams_at_once(self, side):
        async def one(client, i):
            pieces = []
            async with client.messages.stream(
                model=side.model, max_tokens=64, messages=[{"role": "user", "content": f"say hi {i}"}]
            ) as stream:
                async for piece in stream.text_stream:
                    pieces.append(piece)
            return "".join(pieces)

        async def all_of_them():
            async with anthropic.AsyncAnthropic(base_url=side.url, api_key=side.secret, max_retries=0) as client:
                return await asyncio.gather(*(one(client, i) for i in range(24)))

        assert asyncio.run(all_of_them()) == [FINAL] * 24

    @pytest.mark.parametrize("stop, reason", [("length", "max_tokens"), ("content_filter", "refusal"), ("stop", "end_turn")])
    def test_stop_reasons_of_chat(self, side, stop, reason):
        given = stop if side.dialect == "chat" else reason
        side.mock.answer({"blocks": [text("half")], "stop": given}, {"blocks": [text("half")], "stop": given})
        got = self.ask(side)
        assert got.content[0].text == "half" and got.stop_reason == reason
        events = list(self.ask(side, stream=True))
        assert [e.delta.stop_reason for e in events if e.type == "message_delta"] == [reason]

    def test_cached_tokens(self, side):
        if side.dialect == "chat":
            usage = {"prompt_tokens": 100, "total_tokens": 107, "prompt_tokens_details": {"cached_tokens": 80}}
        else:
            usage = {"input_tokens": 20, "cache_read_input_tokens": 80}
        side.mock.answer({"blocks": [text()], "usage": usage})
        got = self.ask(side).usage
        assert (got.input_tokens, got.cache_read_input_tokens, got.output_tokens) == (20, 80, 7)

    def test_count_tokens(self, side):
        client = anthropic_client(side)

        def count(words):
            raw = client.messages.with_raw_response.count_tokens(
                model=side.model, system="Be brief.", messages=[{"role": "user", "content": "word " * words}])
            return raw.parse().input_tokens, raw.headers.get("x-anyrouter-warnings", "")

        if side.dialect == "anthropic":
            assert count(3) == (42, ""), "asked natively"
            return
        few, warning = count(3)
        many, _ = count(300)
        assert 1 <= few < many
        assert "approximated:input_tokens" in warning
        assert not side.mock.generations(), "counting must not generate"

    def test_models(self, listing):
        client = anthropic_client(listing)
        found = {m.id: m for m in client.models.list(limit=1000)}
        assert listing.model in found
        assert found[listing.model].type == "model" and found[listing.model].display_name
        assert client.models.retrieve(listing.model).id == listing.model
        with pytest.raises(anthropic.NotFoundError):
            client.models.retrieve("no-such-model")

    @pytest.mark.parametrize("kind, status, name", [
        (400, 400, "invalid_request_error"),
        (404, 404, "not_found_error"),
        (413, 413, "request_too_large"),
        (422, 422, None),
        (429, 429, "rate_limit_error"),
        (500, None, "api_error"),
        (503, None, None),
        (529, 529, "overloaded_error"),
    ])
    @pytest.mark.parametrize("streamed", [False, True])
    def test_errors(self, brittle, kind, status, name, streamed):
        brittle.mock.fail(kind, times=0, message="The upstream's own words 4711.")
        with pytest.raises(anthropic.APIStatusError) as e:
            self.ask(brittle, stream=streamed)
        got = e.value
        classes = {400: anthropic.BadRequestError, 404: anthropic.NotFoundError, 422: anthropic.UnprocessableEntityError,
                   429: anthropic.RateLimitError}
        assert isinstance(got, classes.get(kind, anthropic.APIStatusError if kind == 413 else anthropic.InternalServerError))
        if status is None:
            assert got.status_code in {500: (500, 502), 503: (503, 529)}[kind]
        else:
            assert got.status_code == status
        assert got.body["type"] == "error"
        assert name is None or got.body["error"]["type"] == name
        assert "4711" in got.body["error"]["message"]

    def test_refused_key(self, brittle):
        brittle.mock.fail(401, times=0)
        own = brittle.dialect == "anthropic"
        with pytest.raises(anthropic.AuthenticationError if own else anthropic.InternalServerError) as e:
            self.ask(brittle)
        assert e.value.status_code == (401 if own else 502)

    @pytest.mark.parametrize("kind", ["midstream", "sseerror", "eof"])
    def test_a_broken_stream_never_ends_cleanly(self, brittle, kind):
        brittle.mock.fail(kind, times=0)
        seen = []
        with pytest.raises(Exception) as e:
            for event in self.ask(brittle, stream=True):
                seen.append(event.type)
        assert "message_stop" not in seen
        module = type(e.value).__module__.split(".")[0]
        assert module in ("anthropic", "httpx", "httpcore", "httpx2", "httpcore2"), repr(e.value)


def test_the_openai_upstream_was_reached_through_the_proxy(tmp_path):
    """No file and no base URL: the built-in provider's own address, by CONNECT, with TLS checked and SNI."""
    side = start_side("chat", tmp_path)
    try:
        assert anthropic_client(side).messages.create(
            model=side.model, max_tokens=9, messages=[{"role": "user", "content": "hi"}]).content[0].text == FINAL
        connects = [r["path"] for r in side.mock.requests() if r["method"] == "CONNECT"]
        assert connects and set(connects) == {"api.openai.com:443"}
    finally:
        side.stop()
