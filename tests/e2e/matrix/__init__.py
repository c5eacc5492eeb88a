"""The matrix of pairs: what every client dialect asks, what every upstream dialect answers, what arrives at both ends."""

from . import anthropic, chat, gemini, responses

DIALECTS = {"chat": chat, "responses": responses, "anthropic": anthropic, "gemini": gemini}
