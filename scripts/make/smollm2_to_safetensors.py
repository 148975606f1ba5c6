#!/usr/bin/env python3
"""Turns a Llama-architecture GGUF (SmolLM2-135M-Instruct here) into a folder in the published Hugging Face layout.

    smollm2_to_safetensors.py MODEL.gguf FOLDER

Weights are dequantised and rounded to bfloat16 (nearest even). GGUF stores the rows of q and k in another order,
so that rotary pairs are adjacent; the published layout has the two halves of a head apart: the order is undone.
Written: config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
Needs numpy and gguf.
"""
import json
import pathlib
import sys

import numpy as np
from gguf import GGUFReader, dequantize

SMOLLM2_ARCHITECTURE = "llama"

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
CONTROL, USER_DEFINED = 3, 4  # token types of GGUF that are matched whole


def published_name(name):
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    block, layer, part, weight = name.split(".")
    if block != "blk" or weight != "weight" or part not in LAYER_NAMES:
        sys.exit(f"no published name is known for tensor {name}")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"


def halves_apart(rows, n_heads):
    """[heads * (pairs, 2), columns] -> [heads * (2, pairs), columns]"""
    n_rows, n_columns = rows.shape
    pairs = rows.reshape(n_heads, n_rows // n_heads // 2, 2, n_columns)
    return pairs.transpose(0, 2, 1, 3).reshape(n_rows, n_columns)


def to_bf16_bits(values):
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    if not np.isfinite(values).all():
        sys.exit("the GGUF holds values that are not finite")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, bits in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [at, at + bits.nbytes]}
        at += bits.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for bits in tensors.values():
            file.write(bits.tobytes())


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    reader = GGUFReader(source)
    field = {key: value.contents() for key, value in reader.fields.items()}
    if field["general.architecture"] != SMOLLM2_ARCHITECTURE:
        sys.exit(f"{source} is of architecture {field['general.architecture']}, this script reads llama")
    folder.mkdir(parents=True, exist_ok=True)

    heads = {"attn_q": field["llama.attention.head_count"], "attn_k": field["llama.attention.head_count_kv"]}
    tensors = {}
    for tensor in reader.tensors:
        shape = [int(n) for n in reversed(tensor.shape)]
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = halves_apart(values, heads[part])
        tensors[published_name(tensor.name)] = to_bf16_bits(values)
    write_safetensors(folder / "model.safetensors", tensors)

    tokens, types = field["tokenizer.ggml.tokens"], field["tokenizer.ggml.token_type"]
    ids = {name: int(field[f"tokenizer.ggml.{key}_token_id"])
           for name, key in (("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"))}
    id_fields = {f"{name}_id": i for name, i in ids.items()}
    write_json(folder / "config.json", {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "hidden_size": field["llama.embedding_length"],
        "intermediate_size": field["llama.feed_forward_length"],
        "num_hidden_layers": field["llama.block_count"],
        "num_attention_heads": heads["attn_q"],
        "num_key_value_heads": heads["attn_k"],
        "head_dim": field["llama.rope.dimension_count"],
        "vocab_size": len(tokens),
        "max_position_embeddings": field["llama.context_length"],
        # GGUF keeps it in float32: 1e-05 comes back as 9.99999974e-06.
        "rms_norm_eps": float(f"{field['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": field["llama.rope.freq_base"],
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        **id_fields,
    })
    write_json(folder / "generation_config.json", id_fields)

    whole = [i for i, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    write_json(folder / "tokenizer.json", {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": tokens[i], **flags} for i in whole],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in field["tokenizer.ggml.merges"]],
        },
    })
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        **{name: tokens[i] for name, i in ids.items()},
        "unk_token": tokens[0],
        "model_max_length": field["llama.context_length"],
        "chat_template": field["tokenizer.chat_template"],
        "added_tokens_decoder": {str(i): {"content": tokens[i], **flags} for i in whole},
    })
    n_parameters = sum(bits.size for bits in tensors.values())
    print(f"{len(tensors)} tensors, {n_parameters / 1e6:.1f} M parameters in bfloat16 -> {folder}")


if __name__ == "__main__":
    main()
