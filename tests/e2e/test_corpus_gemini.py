"""Every recorded exchange of Gemini through the gateway: natively, its requests to other places, its answers to others."""

import json

import pytest

from corpus import load
from corpus.runner import Cases, parametrize
from corpus.sides import Gemini


class TestGemini(Cases):
    side = Gemini()

    def pytest_generate_tests(self, metafunc):
        super().pytest_generate_tests(metafunc)
        if "count" in metafunc.fixturenames:
            parametrize(metafunc, load({"gemini.count_tokens": "gemini"}), "count")

    @pytest.mark.p("P-195")
    def test_counting(self, count, fresh):
        """Natively byte for byte; for a client of Messages the number alone."""
        raw = json.dumps(count.body, ensure_ascii=False).encode()
        one = fresh()
        got = one.ask("/v1beta/models/gemini-asked:countTokens", raw, count.play)
        assert one.up.last.path == "/v1beta/models/gemini-asked:countTokens" and one.up.last.body == raw
        assert got.status == 200, got
        if count.status != 200:  # 10.1: a place that cannot count leaves an estimate
            assert got.json["totalTokens"] >= 1 and "approximated:input_tokens" in got.warnings, got
            return
        assert got.body == count.answer_bytes()
        body = {"model": "gemini-asked", "messages": [{"role": "user", "content": "go"}]}
        got = one.gate.messages(body, None, "/v1/messages/count_tokens")
        assert got.json == {"input_tokens": count.answer["totalTokens"]}, got
