"""Writes a model of random weights for llama.cpp: `python tiny_model.py OUT.gguf`.

It is shaped like a llama of two layers, knows every byte and a few words, and talks nonsense in ASCII without ever
ending by itself; what matters is that a real inference server loads it in a moment and puts real answers on the wire.
Needs the packages gguf and numpy.
"""

import sys

import gguf
import numpy

WIDTH, HIDDEN, LAYERS, HEADS, CONTEXT = 64, 128, 2, 4, 4096
SPREAD = 0.05
# The first number of every embedding, so that it is large in every state, and its weight for what is not to be said.
CONSTANT, NEVER = 0.2, -5.0
SPECIAL = ["<unk>", "<s>", "</s>"]
WORDS = "a and as at be by for from had have he his in is it not of on one or she that the they this to was with you"
TEMPLATE = "{% for turn in messages %}{{ turn.role }}: {{ turn.content }}\n{% endfor %}assistant:"


def vocabulary():
    """Tokens with their kinds: the special ones, one for each byte so that any text can be said, and some words."""
    kinds = gguf.TokenType
    yield SPECIAL[0], kinds.UNKNOWN
    for token in SPECIAL[1:]:
        yield token, kinds.CONTROL
    for byte in range(256):
        yield f"<0x{byte:02X}>", kinds.BYTE
    for word in WORDS.split():
        yield f"\u2581{word}", kinds.NORMAL


def describe(writer, tokens):
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    # A word is always preferred to its bytes, and an earlier word to a later one.
    writer.add_token_scores([-float(max(0, place - 258)) for place in range(len(tokens))])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)


def unspoken(place):
    """Special tokens, and bytes that are not printable ASCII: half a character would hold up all that follow."""
    byte = place - len(SPECIAL)
    return byte < 0x20 or 0x7F <= byte < 256


def fill(writer, words):
    source = numpy.random.default_rng(20)

    def random(*shape):
        return (source.standard_normal(shape) * SPREAD).astype(numpy.float32)

    def weights(name, *shape):
        writer.add_tensor(f"{name}.weight", random(*shape))

    def norm(name):
        writer.add_tensor(f"{name}.weight", numpy.ones(WIDTH, dtype=numpy.float32))

    embedding, output = random(words, WIDTH), random(words, WIDTH)
    embedding[:, 0] = CONSTANT
    output[[place for place in range(words) if unspoken(place)], 0] = NEVER
    writer.add_tensor("token_embd.weight", embedding)
    for layer in (f"blk.{number}" for number in range(LAYERS)):
        norm(f"{layer}.attn_norm")
        for part in ("q", "k", "v", "output"):
            weights(f"{layer}.attn_{part}", WIDTH, WIDTH)
        norm(f"{layer}.ffn_norm")
        weights(f"{layer}.ffn_gate", HIDDEN, WIDTH)
        weights(f"{layer}.ffn_up", HIDDEN, WIDTH)
        weights(f"{layer}.ffn_down", WIDTH, HIDDEN)
    norm("output_norm")
    writer.add_tensor("output.weight", output)


def main():
    tokens = list(vocabulary())
    writer = gguf.GGUFWriter(sys.argv[1], "llama")
    describe(writer, tokens)
    fill(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
