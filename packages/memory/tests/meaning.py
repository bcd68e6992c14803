"""An embedder without a model, for tests: texts that share words are near each other."""

from __future__ import annotations

import hashlib
import math


class Words:
    """Counts its calls; each word is a direction, so that the cosine is the share of words."""

    def __init__(self, dimension=256):
        self.dimension = dimension
        self.calls = []
        self.failing = None

    async def __call__(self, texts):
        self.calls.append(list(texts))
        if self.failing is not None:
            raise self.failing
        return [self.vector(text) for text in texts]

    def vector(self, text):
        found = [0.0] * self.dimension
        for word in set(text.lower().split()):
            digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
            found[int.from_bytes(digest, "big") % self.dimension] += 1.0
        length = math.sqrt(sum(x * x for x in found)) or 1.0
        return [x / length for x in found]

    @property
    def texts(self):
        return [text for call in self.calls for text in call]
