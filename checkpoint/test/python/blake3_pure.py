"""BLAKE3 in plain Python: slow, and enough for the small files that the reader's tests hash."""

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
# Where each word of the message goes for the next round.
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
# The columns, then the diagonals, of the four by four state.
MIXED = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
BLOCK, CHUNK = 64, 1024
MASK = 0xFFFFFFFF


def blake3(data):
    """The 32 bytes of the hash of `data`."""
    chaining, words, counter, length, flags = _subtree(memoryview(data), 0)
    return _bytes(_compress(chaining, words, counter, length, flags | ROOT)[:8])


def _subtree(data, first_chunk):
    """The last compression of a subtree, not yet done: whoever asks knows whether it is the root."""
    chunks = max(1, -(-len(data) // CHUNK))
    if chunks == 1:
        return _chunk(data, first_chunk)
    left = 1 << ((chunks - 1).bit_length() - 1)  # the largest power of two below the number of chunks
    halves = (_subtree(data[: left * CHUNK], first_chunk), _subtree(data[left * CHUNK :], first_chunk + left))
    words = [word for half in halves for word in _compress(*half)[:8]]
    return IV, words, 0, BLOCK, PARENT


def _chunk(data, number):
    chaining, flags = IV, CHUNK_START
    last = max(0, (len(data) - 1) // BLOCK)
    for block in range(last):
        chaining = _compress(chaining, _words(data[block * BLOCK : (block + 1) * BLOCK]), number, BLOCK, flags)[:8]
        flags = 0
    rest = data[last * BLOCK :]
    return chaining, _words(rest), number, len(rest), flags | CHUNK_END


def _compress(chaining, words, counter, length, flags):
    state = [*chaining, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for turn in range(7):
        for index, (a, b, c, d) in enumerate(MIXED):
            _mix(state, a, b, c, d, words[2 * index], words[2 * index + 1])
        words = [words[at] for at in PERMUTATION]
    return [state[at] ^ state[at + 8] for at in range(8)] + [state[at + 8] ^ chaining[at] for at in range(8)]


def _mix(state, a, b, c, d, first, second):
    for word, right_d, right_b in ((first, 16, 12), (second, 8, 7)):
        state[a] = (state[a] + state[b] + word) & MASK
        state[d] = _rotated(state[d] ^ state[a], right_d)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = _rotated(state[b] ^ state[c], right_b)


def _rotated(word, by):
    return (word >> by) | ((word << (32 - by)) & MASK)


def _words(data):
    padded = bytes(data).ljust(BLOCK, b"\0")
    return [int.from_bytes(padded[at : at + 4], "little") for at in range(0, BLOCK, 4)]


def _bytes(words):
    return b"".join(word.to_bytes(4, "little") for word in words)
