"""Random streams as pure functions of a key.

Every random decision about an item (its excerpt, its caption, its negation) is drawn from
``stream(seed, epoch, track_id, purpose)``. Neither the number of workers, nor the rank, nor a
resume changes it, because no generator is shared between items.
"""

import random
from hashlib import blake2b


def derive_seed(*key: object) -> int:
    """A 63-bit seed from the parts of a key, the same on every machine and in every process."""
    joined = "\x1f".join(map(str, key)).encode()
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big") >> 1


def stream(*key: object) -> random.Random:
    """A generator that depends on nothing but ``key``."""
    return random.Random(derive_seed(*key))
