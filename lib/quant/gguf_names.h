// A checkpoint in llama.cpp's words: which GGUF tensors it becomes, from which rows, and the metadata.
// Source: llama.cpp's convert_hf_to_gguf.py and gguf-py's tensor names.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "io/gguf.h"

namespace ds::quant {

// Where a GGUF tensor's rows come from.
struct GgufSource {
  // One matrix, or one an expert, each with rows() / parts.size() rows.
  std::vector<const StoredTensor*> parts;
  std::vector<float>
      made;  // the values themselves, where no tensor of the checkpoint has them; no parts then
  enum class Order {
    kAsIs,
    kRotaryPairs,  // per head: halves interleaved, as llama.cpp's rope wants q and k; a bias likewise
    kKeyB,         // kv_b_proj's keys, transposed a head: [H, Rkv, Dn]
    kValueB,       // kv_b_proj's values: [H, Dv, Rkv]
  } order = Order::kAsIs;
  int64_t n_heads = 0, key_dim = 0, value_dim = 0;
};

struct GgufModel {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::vector<GgufSource> sources;  // beside tensors
  std::vector<std::string> notes;
};

// `wide`: the type of matrices (quant/gguf_mixture.h). Throws Error{kBadModel} for architectures and tensors
// GGUF has no name for here.
GgufModel name_for_gguf(const ModelFolder& model, GgufType wide);

}  // namespace ds::quant
