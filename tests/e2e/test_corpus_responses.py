"""Every recorded exchange of Responses through the gateway: natively, and its answers to clients of other dialects."""

from corpus.runner import Cases
from corpus.sides import Responses


class TestResponses(Cases):
    side = Responses()
