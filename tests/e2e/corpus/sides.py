"""The dialects whose recorded exchanges runner.py plays: what is particular to each."""

import json

from harness import canon, key

from . import gemini, responses


class Side:
    dialect = ""
    provider = ""  # of the upstream that speaks it
    options = {}  # of that upstream
    folders = {}  # of the corpus
    refused_key = b""  # in an answer: the key was refused, whatever the status
    keeps_opaque = True  # every opaque piece reaches a client of another dialect
    may_fail = False  # an answer with status 200 may be a failure
    refuses = (400,)  # statuses of a request that another dialect cannot take
    bound = ()  # what nobody else has: a request with it is refused by name (6.2, 6.3, 6.9, 6.10)

    def path(self, form):
        """Of a generation; form: None (whole), "sse", or what form() gives."""
        raise NotImplementedError

    def own_key(self):
        """The headers of a caller with a key of its own."""
        return {"authorization": f"Bearer {key('mine')}"}

    def form(self, exchange):
        return "sse" if exchange.sse is not None else None

    def play(self, exchange):
        return exchange.play

    def asked(self, exchange):
        """The recorded request, or a plain one."""
        raise NotImplementedError

    def needs_account(self, body):
        """It speaks of state that only the vendor's account has."""
        return False

    def request_for(self, exchange, upstream):
        """The recorded request, as another upstream gets it."""
        return exchange.body

    def read(self, exchange):
        """The recorded answer, canonical."""
        raise NotImplementedError

    def texts(self, body):
        """What the request says and must arrive."""
        raise NotImplementedError

    def check_whole(self, exchange, got):
        assert got.body == exchange.answer_bytes(), "the answer was changed on its way"

    def check_error(self, exchange, got):
        """A failure as a client of this dialect gets it."""
        raise NotImplementedError

    def check_asked(self, seen):
        """A request of another dialect, as this upstream got it."""
        raise NotImplementedError

    def check_stop(self, want, have, client):
        table = canon.TO_STOP_REASON if client == "anthropic" else canon.TO_FINISH
        assert table[have.stop] == table[want.stop], (have.stop, want.stop)

    def urls(self, want):
        """The addresses that must be cited."""
        raise NotImplementedError


class Responses(Side):
    dialect, provider, options = "responses", "openai", {"dialects": ["responses"]}
    folders = {"openai.responses": "responses"}
    refused_key = b"insufficient_quota"
    may_fail = True
    refuses = (400, 404)
    bound = ("previous_response_id", "conversation", "prompt", "tools", "tool_choice", "input", "background", "file_id", "n")

    def path(self, form):
        return "/v1/responses"

    def asked(self, exchange):
        if exchange.body is None:
            return {"model": "asked-model", "input": "go on", "stream": exchange.sse is not None}
        return exchange.request()

    def needs_account(self, body):
        return "item_reference" in json.dumps(body) or bool(body.get("previous_response_id"))

    def request_for(self, exchange, upstream):
        body = exchange.request("gpt-5" if upstream == "chat" else "claude-sonnet-4-5")
        body.pop("background", None)  # the gateway would run it by itself, and answer at once
        return body

    def read(self, exchange):
        return responses.read(exchange)

    def texts(self, body):
        return responses.texts(body.get("input")) + responses.texts(body.get("instructions") or "")

    def check_error(self, exchange, got):
        assert got.status == exchange.status, got
        self.check_whole(exchange, got)

    def check_asked(self, seen):
        assert seen["store"] is False and seen["include"] == ["reasoning.encrypted_content"], seen

    def check_stop(self, want, have, client):
        if client == "chat" and want.stop == "refusal":
            assert have.refusal == want.refusal, have
            return
        super().check_stop(want, have, client)

    def urls(self, want):
        return {c["url"] for c in want.citations if c["type"] == "url_citation"}


class Gemini(Side):
    dialect, provider = "gemini", "gemini-compatible"
    folders = {"gemini.generate": "gemini"}
    keeps_opaque = False  # signatures of what was not a call are only asked for, not required
    refused_key = b"API_KEY_INVALID"
    bound = ("cachedContent", "responseModalities", "tools", "file", "video", "audio", "image", "input_audio", "candidateCount",
             "safetySettings", "toolConfig", "tool_choice", "messages", "generationConfig")

    def path(self, form):
        verb = {None: "generateContent", "sse": "streamGenerateContent?alt=sse", "array": "streamGenerateContent"}[form]
        return f"/v1beta/models/gemini-asked:{verb}"

    def own_key(self):
        return {"x-goog-api-key": key("mine")}

    def form(self, exchange):
        return "array" if isinstance(exchange.answer, list) else super().form(exchange)

    def play(self, exchange):
        """The upstream is always asked for events: arrays are played as such."""
        if self.form(exchange) != "array":
            return exchange.play
        body = "".join(f"data: {json.dumps(c)}\r\n\r\n" for c in exchange.answer).encode()
        return lambda request, reply: reply.sse(body, exchange.status)

    def asked(self, exchange):
        return exchange.body or {"contents": [{"role": "user", "parts": [{"text": "go on"}]}]}

    def read(self, exchange):
        return gemini.read(exchange)

    def texts(self, body):
        return list(gemini.texts(body))

    def check_whole(self, exchange, got):
        if self.form(exchange) == "array":
            assert got.json == exchange.answer
        else:
            super().check_whole(exchange, got)

    def check_error(self, exchange, got):
        assert got.status == exchange.status, got
        if exchange.status == 429:
            assert int(got.header("retry-after")) >= 1, got
            assert got.json["error"]["status"] == "RESOURCE_EXHAUSTED", got
        else:
            assert got.json["error"]["message"] == exchange.answer["error"]["message"], got

    def check_asked(self, seen):
        assert seen["contents"], seen

    def check_stop(self, want, have, client):
        if client == "chat" and want.stop == "refusal":
            assert have.stop in ("end", "refusal", "content_filter"), have
        elif want.stop == "other" and want.calls:  # 7.2: a call nobody declared, then malformed_tool
            assert have.stop in ("end", "tool_use"), have.stop
        else:
            super().check_stop(want, have, client)

    def urls(self, want):
        if not want.text:
            return set()
        sources, supports = want.grounding.get("groundingChunks", []), want.grounding.get("groundingSupports", [])
        used = {i for s in supports for i in s.get("groundingChunkIndices", [])} if supports else range(len(sources))
        return {sources[i]["web"]["uri"] for i in used if "web" in sources[i]}
