"""What a server of experts is asked for: models, requests, and when they arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.arch.server import Server
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A decoder, as far as its time depends on it; Llama2-7B by default.

    Attributes:
        parameters: weights.
        bytes_per_weight: 2 for BF16.
        kv_bytes_per_token: keys and values of all layers for one token.
    """

    parameters: float = 6.74e9
    bytes_per_weight: float = 2.0
    kv_bytes_per_token: float = 2 * 32 * 4096 * 2

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        return self.parameters * self.bytes_per_weight

    def prompt_seconds(self, server: Server, batch: int, tokens: float) -> float:
        """All tokens of a batch of prompts at once: weights once, two operations per weight."""
        if not tokens:
            return 0.0
        weights = self.weight_bytes / server.bytes_per_second
        operations = 2 * self.parameters * batch * tokens
        return max(weights, operations / server.flops_per_second)

    def decode_seconds(self, server: Server, batch: int, prompt: float, tokens: float) -> float:
        """Token by token: each reads the weights and the keys and values so far.

        Args:
            server: that runs it.
            batch: requests.
            prompt: tokens before the first.
            tokens: to produce for each request.
        """
        context = prompt + (tokens - 1) / 2
        moved = self.weight_bytes + batch * context * self.kv_bytes_per_token
        operations = 2 * self.parameters * batch
        return tokens * max(moved / server.bytes_per_second, operations / server.flops_per_second)


@dataclass(frozen=True, slots=True)
class Workload:
    """A composition of experts and who asks it.

    Attributes:
        model: of every expert and of the router.
        experts: how many there are.
        requests: how many are served.
        prompt_tokens: of each request.
        output_tokens: fewest and most of a request; drawn evenly.
        rate: requests per second at random (Poisson); None if clients wait for their answers.
        clients: that each ask again once they are answered, without a rate.
        skew: 0 for experts alike; s for the s-th power of the rank (Zipf); "cyclic" visits one
            after the other.
        router_tokens: that the router produces for each request; 0 leaves it out.
        seed: of all that is random.
    """

    model: LanguageModel = LanguageModel()
    experts: int = 150
    requests: int = 10_000
    prompt_tokens: int = 0
    output_tokens: tuple[int, int] = (20, 20)
    rate: float | None = None
    clients: int = 1
    skew: float | str = 0.0
    router_tokens: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.output_tokens
        for good, what in (
            (self.experts >= 1, f"{self.experts} experts: must be at least 1"),
            (self.requests >= 1, f"{self.requests} requests: must be at least 1"),
            (self.prompt_tokens >= 0, f"{self.prompt_tokens} prompt tokens: must be at least 0"),
            (1 <= low <= high, f"{low} to {high} output tokens: must be at least 1 and rise"),
            (self.rate is None or self.rate > 0, f"rate of {self.rate} requests/s: must be > 0"),
            (self.clients >= 1, f"{self.clients} clients: must be at least 1"),
            (self.router_tokens >= 0, f"{self.router_tokens} router tokens: must be at least 0"),
            (self.skew == "cyclic" or (isinstance(self.skew, int | float) and self.skew >= 0),
             f"skew {self.skew}: must be a number of at least 0, or 'cyclic'"),
        ):  # fmt: skip
            if not good:
                raise ProblemError(what)

    def draw(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Expert, output tokens and, with a rate, arrival second of every request."""
        rng = np.random.default_rng(self.seed)
        numbers = np.arange(self.experts)
        if self.skew == "cyclic":
            chosen = np.arange(self.requests) % self.experts
        else:
            weights = (numbers + 1.0) ** -float(self.skew)
            chosen = rng.choice(self.experts, self.requests, p=weights / weights.sum())
        low, high = self.output_tokens
        tokens = rng.integers(low, high, self.requests, endpoint=True)
        gaps = rng.exponential(1.0, self.requests) / (self.rate or 1.0)
        return chosen, tokens, np.cumsum(gaps)
