"""The official Python SDKs in front of an upstream of each of the four dialects: openai (chat and Responses), anthropic,
google-genai. The mock refuses with 400 what the real vendor would refuse."""

import json

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

import clients_support
from clients_support import FINAL, Mock
from harness import Gateway

MODEL = "vendor/some-model"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False}
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100"
                    "18dd8db00000000049454e44ae426082")
UPSTREAMS = ["chat", "responses", "anthropic", "gemini"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Side(clients_support.Side):
    """Every SDK in front of an upstream of one dialect."""

    def __init__(self, dialect):
        mock = Mock(dialects=[dialect])
        gate = Gateway({"workers": 1, "upstreams": [mock.upstream(dialect)]}).start()
        super().__init__(dialect, mock, gate, "sk-test-not-a-secret")
        self.google = None

    def openai(self, key=None):
        return openai.OpenAI(base_url=self.url + "/v1", api_key=key or self.secret, max_retries=0, timeout=20)

    def anthropic(self):
        return anthropic.Anthropic(base_url=self.url, api_key=self.secret, max_retries=0, timeout=20)

    def genai(self):
        """One client, kept: the SDK closes its connections with the last reference."""
        if not self.google:
            self.google = genai.Client(api_key=self.secret, http_options=types.HttpOptions(base_url=self.url, timeout=20000))
        return self.google


@pytest.fixture(scope="module", params=UPSTREAMS)
def side_of_module(request):
    side = Side(request.param)
    yield side
    side.stop()


@pytest.fixture
def side(side_of_module):
    return side_of_module.fresh()


@pytest.fixture(params=UPSTREAMS)
def brittle(request):
    """A gateway of its own: its upstream fails, and so rests afterwards."""
    side = Side(request.param)
    yield side
    side.stop()


class TestResponses:
    tools = [{"type": "function", "name": "get_weather", "description": "weather", "parameters": WEATHER, "strict": False}]

    def ask(self, side, **more):
        return side.openai().responses.create(**{"model": MODEL, "input": "say hi", **more})

    def test_text(self, side):
        got = self.ask(side, instructions="Be brief.", max_output_tokens=99)
        assert got.output_text == FINAL and got.status == "completed" and got.id.startswith("resp_")
        assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (21, 7, 28)
        assert "Be brief." in json.dumps(side.mock.generations()[-1]["body"])

    def test_stream(self, side):
        text, kinds = "", []
        for event in self.ask(side, stream=True):
            kinds.append(event.type)
            text += event.delta if event.type == "response.output_text.delta" else ""
        assert text == FINAL and kinds[0] == "response.created" and kinds[-1] == "response.completed"
        assert kinds.count("response.output_text.delta") > 2, "it came at once, not as a stream"

    def test_stream_helper(self, side):
        with side.openai().responses.stream(model=MODEL, input="say hi") as stream:
            for _ in stream:
                pass
            assert stream.get_final_response().output_text == FINAL

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_with_a_second_turn(self, side, streamed):
        side.fresh("tool")
        history = [{"role": "user", "content": "Weather in Paris?"}]
        first = self.turn(side, history, streamed)
        [call] = [i for i in first.output if i.type == "function_call"]
        assert call.name == "get_weather" and json.loads(call.arguments) == {"city": "Paris"}
        history += [i.model_dump(exclude_none=True) for i in first.output]
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
        assert self.turn(side, history, streamed).output_text == FINAL

    def turn(self, side, history, streamed):
        if not streamed:
            return self.ask(side, input=history, tools=self.tools)
        with side.openai().responses.stream(model=MODEL, input=history, tools=self.tools) as stream:
            for _ in stream:
                pass
            return stream.get_final_response()

    def test_structured_output(self, side):
        shape = {"type": "json_schema", "name": "a", "strict": True, "schema": ANSWER}
        assert json.loads(self.ask(side, text={"format": shape}).output_text) == {"answer": FINAL}

    def test_previous_response(self, side):
        """The gateway holds what no upstream of another dialect could; it is this caller's alone."""
        client = side.openai()
        first = client.responses.create(model=MODEL, input="My name is Ada.")
        second = client.responses.create(model=MODEL, input="And yours?", previous_response_id=first.id)
        assert second.output_text == FINAL
        sent = json.dumps(side.mock.generations()[-1]["body"])
        if "previous_response_id" in sent:  # the upstream holds it itself
            assert first.id in sent
        else:
            assert second.previous_response_id == first.id
            assert "My name is Ada." in sent and FINAL in sent and "And yours?" in sent
            with pytest.raises(openai.NotFoundError):
                side.openai("sk-another-caller-0001").responses.create(model=MODEL, input="x", previous_response_id=first.id)
            with pytest.raises(openai.NotFoundError):
                side.openai("sk-another-caller-0001").responses.retrieve(first.id)
            assert client.responses.retrieve(first.id).output_text == FINAL
            client.responses.delete(first.id)
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(first.id)

    def test_an_error(self, brittle):
        brittle.mock.fail("400", message="no such thing")
        with pytest.raises(openai.BadRequestError) as caught:
            self.ask(brittle)
        assert "no such thing" in str(caught.value)

    def test_an_error_in_the_middle(self, brittle):
        brittle.mock.fail("sseerror")
        kinds = [e.type for e in self.ask(brittle, stream=True)]
        assert kinds[-1] == "response.failed" and "response.completed" not in kinds

    def test_count(self, side):
        got = side.openai().responses.input_tokens.count(model=MODEL, input="say hi")
        assert got.object == "response.input_tokens" and got.input_tokens >= 1


class TestChat:
    messages = [{"role": "user", "content": "say hi"}]
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]

    def test_text(self, side):
        got = side.openai().chat.completions.create(model=MODEL, messages=self.messages)
        assert got.choices[0].message.content == FINAL and got.usage.total_tokens == 28

    def test_stream(self, side):
        with side.openai().chat.completions.stream(model=MODEL, messages=self.messages) as stream:
            for _ in stream:
                pass
            assert stream.get_final_completion().choices[0].message.content == FINAL

    def test_tools_with_a_second_turn(self, side):
        side.fresh("tool")
        ask = side.openai().chat.completions.create
        first = ask(model=MODEL, messages=self.messages, tools=self.tools).choices[0].message
        [call] = first.tool_calls
        messages = [*self.messages, first.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        assert ask(model=MODEL, messages=messages, tools=self.tools).choices[0].message.content == FINAL

    def test_an_error_in_the_middle(self, brittle):
        brittle.mock.fail("sseerror")
        with pytest.raises(openai.APIError):
            list(brittle.openai().chat.completions.create(model=MODEL, messages=self.messages, stream=True))


class TestAnthropic:
    messages = [{"role": "user", "content": "say hi"}]
    tools = [{"name": "get_weather", "input_schema": WEATHER}]

    def test_text(self, side):
        got = side.anthropic().messages.create(model=MODEL, max_tokens=99, messages=self.messages)
        assert got.content[0].text == FINAL and got.stop_reason == "end_turn" and got.usage.output_tokens == 7

    def test_stream(self, side):
        with side.anthropic().messages.stream(model=MODEL, max_tokens=99, messages=self.messages) as stream:
            assert "".join(stream.text_stream) == FINAL
            assert stream.get_final_message().usage.output_tokens == 7

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_with_a_second_turn(self, side, streamed):
        side.fresh("tool")
        first = self.turn(side, self.messages, streamed)
        [call] = [b for b in first.content if b.type == "tool_use"]
        assert call.input == {"city": "Paris"} and first.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        blocks = [b.model_dump(exclude_none=True, include={"type", "id", "name", "input", "text"}) for b in first.content]
        messages = [*self.messages, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        assert self.turn(side, messages, streamed).content[0].text == FINAL

    def turn(self, side, messages, streamed):
        how = {"model": MODEL, "max_tokens": 99, "messages": messages, "tools": self.tools}
        if not streamed:
            return side.anthropic().messages.create(**how)
        with side.anthropic().messages.stream(**how) as stream:
            return stream.get_final_message()

    def test_count(self, side):
        assert side.anthropic().messages.count_tokens(model=MODEL, messages=self.messages).input_tokens >= 1

    def test_an_error_in_the_middle(self, brittle):
        brittle.mock.fail("sseerror")
        with pytest.raises(anthropic.APIError):
            with brittle.anthropic().messages.stream(model=MODEL, max_tokens=99, messages=self.messages) as stream:
                list(stream)


class TestGenai:
    tools = [types.Tool(function_declarations=[types.FunctionDeclaration(
        name="get_weather", description="weather", parameters_json_schema=WEATHER)])]

    def config(self, **more):
        return types.GenerateContentConfig(**more)

    def test_text(self, side):
        got = side.genai().models.generate_content(
            model=MODEL, contents="say hi", config=self.config(system_instruction="Be brief.", max_output_tokens=99))
        assert got.text == FINAL and got.candidates[0].finish_reason == types.FinishReason.STOP
        assert (got.usage_metadata.prompt_token_count, got.usage_metadata.total_token_count) == (21, 28)
        assert "Be brief." in json.dumps(side.mock.generations()[-1]["body"])

    def test_stream(self, side):
        pieces = [c.text or "" for c in side.genai().models.generate_content_stream(model=MODEL, contents="say hi")]
        assert "".join(pieces) == FINAL and len([p for p in pieces if p]) > 2

    @pytest.mark.parametrize("streamed", [False, True])
    def test_tools_with_a_second_turn(self, side, streamed):
        side.fresh("tool")
        contents = [types.Content(role="user", parts=[types.Part(text="Weather in Paris?")])]
        parts = self.turn(side, contents, streamed)
        [call] = [p.function_call for p in parts if p.function_call]
        assert call.name == "get_weather" and call.args == {"city": "Paris"}
        answer = types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"})
        contents += [types.Content(role="model", parts=parts), types.Content(role="user", parts=[types.Part(function_response=answer)])]
        assert "".join(p.text or "" for p in self.turn(side, contents, streamed)) == FINAL

    def turn(self, side, contents, streamed):
        how = {"model": MODEL, "contents": contents, "config": self.config(tools=self.tools)}
        if not streamed:
            return side.genai().models.generate_content(**how).candidates[0].content.parts
        chunks = list(side.genai().models.generate_content_stream(**how))
        return [p for c in chunks for p in (c.candidates[0].content.parts if c.candidates and c.candidates[0].content else None) or []
                if p.text or p.function_call]

    def test_functions_called_by_the_sdk(self, side):
        side.fresh("tool")

        def get_weather(city: str) -> str:
            """The weather of a city."""
            return f"sunny in {city}"

        got = side.genai().models.generate_content(model=MODEL, contents="Weather in Paris?", config=self.config(tools=[get_weather]))
        assert got.text == FINAL and len(side.mock.generations()) == 2

    def test_structured_output(self, side):
        config = self.config(response_mime_type="application/json", response_json_schema=ANSWER)
        got = side.genai().models.generate_content(model=MODEL, contents="x", config=config)
        assert json.loads(got.text) == {"answer": FINAL}

    def test_image(self, side):
        image = types.Part.from_bytes(data=PNG, mime_type="image/png")
        assert side.genai().models.generate_content(model=MODEL, contents=[image, "what is it?"]).text == FINAL

    def test_chat(self, side):
        chat = side.genai().chats.create(model=MODEL)
        assert chat.send_message("one").text == FINAL and chat.send_message("two").text == FINAL
        assert "one" in json.dumps(side.mock.generations()[-1]["body"])

    def test_count(self, side):
        assert side.genai().models.count_tokens(model=MODEL, contents="say hi").total_tokens >= 1

    def test_models(self, side):
        assert any(m.name == f"models/{MODEL}" for m in side.genai().models.list())

    def test_an_error(self, brittle):
        brittle.mock.fail("400", message="no such thing")
        with pytest.raises(errors.ClientError) as caught:
            brittle.genai().models.generate_content(model=MODEL, contents="x")
        assert caught.value.code == 400 and "no such thing" in str(caught.value)

    def test_an_error_in_the_middle(self, brittle):
        brittle.mock.fail("sseerror")
        with pytest.raises(errors.APIError):
            list(brittle.genai().models.generate_content_stream(model=MODEL, contents="x"))
