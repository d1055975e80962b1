"""Random number generators as pure functions of a key.

Every random choice for an item has its own generator, ``stream(seed, epoch, track_id, purpose)``,
so it does not depend on the number of workers, on the rank, or on whether training was resumed.
"""

import random
from hashlib import blake2b


def derive_seed(*key: object) -> int:
    """Return a 63-bit seed for a key, the same in all processes and on all machines."""
    joined = "\x1f".join(map(str, key)).encode()
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big") >> 1


def stream(*key: object) -> random.Random:
    """Return a generator that depends only on ``key``."""
    return random.Random(derive_seed(*key))
