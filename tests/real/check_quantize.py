#!/usr/bin/env python3
"""Independent readers against ds-quantize's folders.

    check_quantize.py fp8 MODEL OUT [--recipe deepseek] [--pow2]   rebuild OUT from MODEL with numpy/ml_dtypes, bit by bit
    check_quantize.py bf16 MODEL OUT                               dequantise MODEL with numpy, compare OUT bit by bit
    check_quantize.py experts MODEL OUT                            FP4 -> FP8: the same values exactly
    check_quantize.py layout OUT                                   what vLLM, SGLang and transformers require of names, dtypes, shapes
    check_quantize.py logits A B                                   transformers loads both on the CPU: same logits
    check_quantize.py gguf MODEL OUT.gguf                          gguf-py reads it: names, shapes, values
    check_quantize.py all BIN MODEL                                BIN/ds-quantize with every recipe, kind of scales and four block shapes, and
                                                                   back to BF16: each as above, --verify, and GGUF; BIN/ds-run scores them
    check_quantize.py same-gguf OUT.gguf OTHER.gguf                as llama.cpp's convert_hf_to_gguf.py made OTHER: same keys, same tensors

Needs numpy and ml_dtypes; logits needs torch, transformers and accelerate; gguf needs gguf.
"""
import glob
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
          "F8_E8M0": ml_dtypes.float8_e8m0fnu, "I8": np.int8, "U8": np.uint8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "BOOL": np.bool_}


class Folder:
    """Every tensor of a folder, read with nothing but json and numpy."""

    def __init__(self, path):
        self.path, self.where, self.meta = path, {}, {}
        self.config = json.load(open(f"{path}/config.json"))
        index = f"{path}/model.safetensors.index.json"
        self.index = json.load(open(index)) if os.path.exists(index) else None
        names = sorted(set(self.index["weight_map"].values())) if self.index else ["model.safetensors"]
        for name in names:
            with open(f"{path}/{name}", "rb") as f:
                n = struct.unpack("<Q", f.read(8))[0]
                header = json.loads(f.read(n))
            self.meta[name] = header.pop("__metadata__", None)
            for tensor, info in header.items():
                assert tensor not in self.where, tensor
                self.where[tensor] = (name, 8 + n, info)

    def info(self, tensor):
        return self.where[tensor][2]

    def get(self, tensor):
        name, base, info = self.where[tensor]
        begin, end = info["data_offsets"]
        data = np.fromfile(f"{self.path}/{name}", np.uint8, end - begin, offset=base + begin)
        return data.view(DTYPES[info["dtype"]]).reshape(info["shape"])

    def scale_of(self, tensor):
        stem = tensor[: -len(".weight")]
        for suffix in (".weight_scale_inv", ".weight_scale", ".scale"):
            if stem + suffix in self.where:
                return stem + suffix


def blocks(folder, rows, cols, scale):
    """Block shape: the config's where it fits, else one scale a row, else groups of a row."""
    block = (folder.config.get("quantization_config") or {}).get("weight_block_size")
    if block and list(scale.shape) == [-(-rows // block[0]), -(-cols // block[1])]:
        return block
    assert scale.shape[0] == rows, scale.shape
    return [1, cols if scale.shape[1] == 1 else 32]


def values(folder, tensor):
    """float32 values; one multiplication a value."""
    x = folder.get(tensor)
    name = folder.scale_of(tensor)
    if name is None or folder.info(tensor)["dtype"] not in ("F8_E4M3", "I8"):
        return x.astype(np.float32)
    if folder.info(tensor)["dtype"] == "I8":
        bits = x.view(np.uint8)
        codes = np.stack([bits & 15, bits >> 4], -1).reshape(x.shape[0], -1)
        x = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)[codes]
    scale = folder.get(name).astype(np.float32)
    b0, b1 = blocks(folder, *x.shape, scale)
    return x.astype(np.float32) * np.repeat(np.repeat(scale, b0, 0)[: x.shape[0]], b1, 1)[:, : x.shape[1]]


def check_fp8(model, out, pow2, recipe):
    src, dst = Folder(model), Folder(out)
    b0, b1 = dst.config["quantization_config"]["weight_block_size"]
    n = 0
    for tensor in src.where:
        if dst.info(tensor)["dtype"] != "F8_E4M3" or src.info(tensor)["dtype"] == "F8_E4M3":
            assert src.get(tensor).tobytes() == dst.get(tensor).tobytes(), tensor
            continue
        x = src.get(tensor).astype(np.float32)
        rows, cols = x.shape
        padded = np.zeros((-(-rows // b0) * b0, -(-cols // b1) * b1), np.float32)
        padded[:rows, :cols] = x
        tiles = padded.reshape(padded.shape[0] // b0, b0, padded.shape[1] // b1, b1)
        amax = np.abs(tiles).max((1, 3))
        with np.errstate(divide="ignore"):
            if recipe == "deepgemm":
                amax = np.maximum(amax, np.float32(1e-4))
            inverse = np.float32(448) / amax
            scale = np.float32(1) / inverse if recipe == "hf" else np.maximum(amax / np.float32(448), np.float32(2.0 ** -126))
            scale = np.where(amax == 0, np.float32(1), scale).astype(np.float32)
        if pow2:
            mantissa, exponent = np.frexp(scale)
            scale = np.ldexp(np.float32(1), np.where(mantissa == 0.5, exponent - 1, exponent)).astype(np.float32)
        full = np.repeat(np.repeat(scale, b0, 0), b1, 1)[:rows, :cols]
        if recipe == "deepseek":
            scaled = x / full
        elif recipe == "hf" and not pow2:
            scaled = x * np.repeat(np.repeat(np.where(amax == 0, 1, inverse), b0, 0), b1, 1)[:rows, :cols].astype(np.float32)
        else:
            scaled = x * (np.float32(1) / full)
        codes = np.clip(scaled, -448, 448).astype(ml_dtypes.float8_e4m3fn)
        got_scale = dst.get(tensor[: -len(".weight")] + ".weight_scale_inv")
        assert got_scale.dtype == np.float32 and np.array_equal(got_scale, scale), f"{tensor}: scales differ"
        assert codes.tobytes() == dst.get(tensor).tobytes(), f"{tensor}: codes differ"
        n += 1
    assert n > 0
    print(f"{out}: {n} FP8 tensors rebuilt bit by bit, {len(src.where) - n} others identical")


def check_bf16(model, out):
    src, dst = Folder(model), Folder(out)
    assert "quantization_config" not in dst.config and "expert_dtype" not in dst.config
    n = 0
    for tensor in dst.where:
        if src.info(tensor)["dtype"] in ("F8_E4M3", "I8") and src.scale_of(tensor):
            assert dst.info(tensor)["dtype"] == "BF16", tensor
            want = values(src, tensor).astype(ml_dtypes.bfloat16)
            assert want.tobytes() == dst.get(tensor).tobytes(), f"{tensor} differs"
            n += 1
        else:
            assert src.get(tensor).tobytes() == dst.get(tensor).tobytes(), tensor
    companions = {src.scale_of(t) for t in src.where if src.info(t)["dtype"] in ("F8_E4M3", "I8")}
    assert set(dst.where) == set(src.where) - companions
    assert n > 0
    print(f"{out}: {n} tensors dequantised bit by bit as numpy does, {len(dst.where) - n} others identical")


def check_experts(model, out):
    src, dst = Folder(model), Folder(out)
    assert set(src.where) == set(dst.where)
    n = 0
    for tensor in src.where:
        if src.info(tensor)["dtype"] == "I8" and tensor.endswith(".weight"):
            assert dst.info(tensor)["dtype"] == "F8_E4M3" and dst.info(dst.scale_of(tensor))["dtype"] == "F8_E8M0"
            assert np.array_equal(values(src, tensor), values(dst, tensor)), tensor
            n += 1
    assert n > 0 and "expert_dtype" not in dst.config
    print(f"{out}: {n} FP4 tensors became FP8 with exactly the same values")


def check_layout(out):
    """Spec of the loaders, read in their code: vLLM Fp8Config/Fp8LinearMethod, SGLang's fork of it, transformers FineGrainedFP8."""
    folder = Folder(out)
    q = folder.config["quantization_config"]
    assert q["quant_method"] == "fp8" and q["activation_scheme"] == "dynamic" and q.get("fmt", "e4m3") == "e4m3"
    b0, b1 = q["weight_block_size"]
    kept = set(q["modules_to_not_convert"])
    assert kept == set(q["ignored_layers"]), "both skip-list keys must say the same"
    for name, meta in folder.meta.items():
        assert meta and meta.get("format") == "pt", f"{name}: transformers refuses files without format=pt"
    total, warned = 0, []
    for tensor, (shard, base, info) in folder.where.items():
        begin, end = info["data_offsets"]
        total += end - begin
        assert base % 8 == 0 and begin % np.dtype(DTYPES[info["dtype"]]).itemsize == 0, f"{tensor}: torch cannot view it in place"
        module = tensor[: -len(".weight")] if tensor.endswith(".weight") else None
        if info["dtype"] == "F8_E4M3":
            assert module, tensor
            scale = folder.where[module + ".weight_scale_inv"]
            assert scale[0] == shard, "a scale must lie in the shard of its weight"
            assert scale[2]["dtype"] == "F32" and scale[2]["shape"] == [-(-info["shape"][0] // b0), -(-info["shape"][1] // b1)], tensor
            assert module not in kept
            s = folder.get(module + ".weight_scale_inv")
            assert np.isfinite(s).all() and (s > 0).all(), f"{tensor}: scales must be finite and positive"
            if q.get("scale_fmt") == "ue8m0":
                assert (np.frexp(s)[0] == 0.5).all(), f"{tensor}: scale_fmt ue8m0 means powers of two"
            assert not np.isnan(folder.get(tensor).astype(np.float32)).any(), f"{tensor}: NaN codes"
            if re.search(r"\.(q_proj|k_proj|v_proj|gate_proj|up_proj)$", module) and info["shape"][0] % b0:
                warned.append(tensor)
        elif module and len(info["shape"]) == 2 and info["dtype"] in ("F32", "F16", "BF16"):
            assert module in kept, f"{tensor} is not FP8 and in no skip list"
        if tensor.endswith(".weight_scale_inv"):
            assert folder.info(tensor[: -len("_scale_inv")])["dtype"] == "F8_E4M3", f"{tensor} has no FP8 weight"
    if folder.index:
        assert folder.index["metadata"]["total_size"] == total
        assert {t: w[0] for t, w in folder.where.items()} == folder.index["weight_map"]
        on_disk = {os.path.basename(p) for p in glob.glob(f"{out}/model*.safetensors")}
        assert on_disk == set(folder.index["weight_map"].values()), "shards and index disagree"
    print(f"{out}: layout is what the loaders ask for" + (f"; {len(warned)} fused parts end inside a block (vLLM would refuse them)" if warned else ""))


def check_logits(a, b):
    import torch
    import transformers

    torch.manual_seed(0)
    logits = []
    for path in (a, b):
        model, info = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, output_loading_info=True)
        assert not info["missing_keys"] and not info["mismatched_keys"] and not info["unexpected_keys"], info
        model = model.float().eval()
        ids = torch.randint(3, min(model.config.vocab_size, 250), (1, 24), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            logits.append(model(ids).logits.double())
    difference = (logits[0] - logits[1]).abs().max().item()
    scale = logits[0].abs().max().item()
    agree = (logits[0].argmax(-1) == logits[1].argmax(-1)).float().mean().item()
    print(f"transformers {transformers.__version__}: max |logit difference| {difference:.3g} of {scale:.3g}, top-1 agreement {agree:.3f}")
    return difference


def check_gguf(model, path):
    """gguf-py reads the file; every tensor is what its own quantiser makes of the renamed, permuted weights."""
    import gguf

    src, reader = Folder(model), gguf.GGUFReader(path)
    c, arch = src.config, bytes(reader.fields["general.architecture"].parts[-1]).decode()
    model_arch = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[arch]
    heads = c["num_attention_heads"]
    names, n = gguf.get_tensor_name_map(model_arch, c["num_hidden_layers"]), 0
    got = {t.name: t for t in reader.tensors}
    want = {}
    for tensor in src.where:
        if re.search(r"\.(weight_scale_inv|weight_scale|scale)$", tensor):
            continue
        layer = re.match(r"model\.layers\.(\d+)\.", tensor)
        if layer and int(layer[1]) >= c["num_hidden_layers"] or tensor == "lm_head.weight" and c.get("tie_word_embeddings"):
            continue
        x = values(src, tensor)
        if arch in ("llama", "deepseek") and re.search(r"\.[qk]_proj\.(weight|bias)$", tensor):
            h = heads if ".q_proj" in tensor else c.get("num_key_value_heads", heads)
            x = x.reshape(h, 2, x.shape[0] // h // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)
        expert = re.match(r"(model\.layers\.\d+\.mlp\.experts)\.(\d+)\.(\w+)\.weight$", tensor)
        if expert:
            want.setdefault(names.get_name(f"{expert[1]}.{expert[3]}") + ".weight", {})[int(expert[2])] = x
        elif ".kv_b_proj." in tensor:
            dn, dv = c["qk_nope_head_dim"], c["v_head_dim"]
            kv = x.reshape(heads, dn + dv, -1)
            base = tensor.replace("kv_b_proj.weight", "")
            want[names.get_name(base + "k_b_proj") + ".weight"] = kv[:, :dn].transpose(0, 2, 1)
            want[names.get_name(base + "v_b_proj") + ".weight"] = kv[:, dn:]
        elif tensor.endswith("e_score_correction_bias"):
            want[names.get_name(tensor.replace("e_score_correction_bias", "e_score_correction")) + ".bias"] = x
        else:
            stem, kind = tensor.rsplit(".", 1)
            want[names.get_name(stem) + "." + kind] = x
    for name, x in want.items():
        if isinstance(x, dict):
            x = np.stack([x[i] for i in range(len(x))])
        t = got.pop(name)
        assert [int(d) for d in t.shape] == list(x.shape)[::-1], (name, t.shape, x.shape)
        expected = x.astype(np.float32) if t.tensor_type == gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(np.ascontiguousarray(x, np.float32), t.tensor_type)
        assert np.ascontiguousarray(expected).tobytes() == np.ascontiguousarray(t.data).tobytes(), f"{name} differs ({t.tensor_type.name})"
        n += 1
    rope = c.get("rope_scaling") or c.get("rope_parameters") or {}
    if rope.get("rope_type", rope.get("type")) == "llama3":
        assert got.pop("rope_freqs.weight").data.min() >= 1
    assert not got, list(got)
    print(f"{path}: gguf-py reads {n} tensors of {arch}, each as its own quantiser makes them")


def check_same_gguf(path, other):
    import gguf

    a, b = gguf.GGUFReader(path), gguf.GGUFReader(other)
    labels = re.compile(r"GGUF\.|general\.(name|type|size_label|languages|license|basename|finetune|organization)")
    keys = lambda r: {k: f.contents() for k, f in r.fields.items() if not labels.match(k)}
    ka, kb = keys(a), keys(b)
    differ = [k for k in ka if k in kb and ka[k] != kb[k]]
    print(f"keys: {len(set(ka) & set(kb)) - len(differ)} equal, {differ} differ, only here {sorted(set(ka) - set(kb))}, only there {sorted(set(kb) - set(ka))}")
    ta, tb = ({t.name: t for t in r.tensors} for r in (a, b))
    assert set(ta) == set(tb), set(ta) ^ set(tb)
    for name, x in ta.items():
        y = tb[name]
        assert list(x.shape) == list(y.shape) and x.tensor_type == y.tensor_type, name
        if name == "rope_freqs.weight":
            np.testing.assert_allclose(x.data, y.data, rtol=1e-6)
        else:
            assert np.array_equal(np.asarray(x.data).view(np.uint8), np.asarray(y.data).view(np.uint8)), f"{name} differs"
    print(f"{path}: {len(ta)} tensors, all those of {other}")
    assert not differ or differ == ["tokenizer.ggml.pre"], differ


def score(binary, folder, vocabulary):
    """ds-run's logits of two sequences of random ids: [T, V] each."""
    with tempfile.TemporaryDirectory() as work:
        ids = [np.random.default_rng(n).integers(3, vocabulary, n).tolist() for n in (7, 33)]
        records = "".join(json.dumps({"id": str(i), "input_ids": x}) + "\n" for i, x in enumerate(ids))
        subprocess.run([f"{binary}/ds-run", folder, "--score", "--logits", f"{work}/o.safetensors", "--isa", "scalar"], input=records.encode(),
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        os.rename(f"{work}/o.safetensors", f"{work}/model.safetensors")
        open(f"{work}/config.json", "w").write("{}")
        folder = Folder(work)
        return [folder.get(str(i)) for i in range(len(ids))]


def kl(a, b):
    """Median over positions, in nats."""
    def log_softmax(x):
        x = x.astype(np.float64) - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))
    return float(np.median(np.concatenate([(np.exp(log_softmax(x)) * (log_softmax(x) - log_softmax(y))).sum(-1) for x, y in zip(a, b)])))


def check_all(binary, model):
    def convert(source, to, *options):
        subprocess.run([f"{binary}/ds-quantize", source, "-o", to, "--quiet", "--no-sync", "--force", *options], check=True)

    config = Folder(model).config
    native = any(i["dtype"] in ("F8_E4M3", "I8") for _, _, i in Folder(model).where.values())
    runs = config["model_type"] != "deepseek_v4"
    with tempfile.TemporaryDirectory() as work:
        if native:
            convert(model, f"{work}/bf16", "--to", "bf16")
            check_bf16(model, f"{work}/bf16")
            if runs:
                print(f"ds-run: median KL to BF16 {kl(score(binary, model, config['vocab_size']), score(binary, f'{work}/bf16', config['vocab_size'])):.2g}")
            model = f"{work}/bf16"
        before = score(binary, model, config["vocab_size"]) if runs else None
        for recipe in ("deepseek", "deepgemm", "hf"):
            for scales in ("f32", "pow2"):
                for block in ("128x128", "32x32", "64x96", "1x128"):
                    convert(model, f"{work}/fp8", "--recipe", recipe, "--scales", scales, "--block", block)
                    check_fp8(model, f"{work}/fp8", scales == "pow2", recipe)
                    check_layout(f"{work}/fp8")
                    convert(f"{work}/fp8", f"{work}/back", "--to", "bf16")
                    check_bf16(f"{work}/fp8", f"{work}/back")
                    subprocess.run([f"{binary}/ds-quantize", model, "--verify", f"{work}/fp8", "--quiet"], check=True)
                    if runs:
                        fp8, back = (score(binary, f"{work}/{name}", config["vocab_size"]) for name in ("fp8", "back"))
                        print(f"{recipe} {scales} {block}: ds-run's median KL: FP8 {kl(before, fp8):.2g}, FP8 to its BF16 {kl(fp8, back):.2g}")
        if runs and config["model_type"] != "deepseek_v32":
            for kind in ("q8_0", "bf16"):
                convert(model, f"{work}/m.gguf", "--to", f"gguf:{kind}")
                check_gguf(model, f"{work}/m.gguf")


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    recipe = next((a.split("=")[1] for a in sys.argv if a.startswith("--recipe=")), "deepseek")
    if args[0] == "fp8":
        check_fp8(args[1], args[2], "--pow2" in sys.argv, recipe)
    elif args[0] == "bf16":
        check_bf16(args[1], args[2])
    elif args[0] == "experts":
        check_experts(args[1], args[2])
    elif args[0] == "layout":
        check_layout(args[1])
    elif args[0] == "logits":
        d = check_logits(args[1], args[2])
        if "--exact" in sys.argv:
            assert d == 0, d
    elif args[0] == "gguf":
        check_gguf(args[1], args[2])
    elif args[0] == "all":
        check_all(args[1], args[2])
    elif args[0] == "same-gguf":
        check_same_gguf(args[1], args[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
