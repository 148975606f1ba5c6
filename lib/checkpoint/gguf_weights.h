// The tensors of a GGUF file under the names and in the order of the model folder that it was made from:
//
//   as they lie        whatever has another name only; experts [E, out, in] as E matrices; attn_qkv as three
//   rows moved         q and k of llama and deepseek, whose halves GGUF interleaves head by head
//   made of two        kv_b_proj of attn_k_b [H, Rkv, Dn] (transposed) and attn_v_b [H, Dv, Rkv]; as F32
//   where
//                      they are in blocks, which cannot be transposed
//
// What has to be moved or made goes into a nameless file in memory, written when it is first wanted.
#pragma once
#include <string>

#include "checkpoint/gguf_file.h"

namespace ds::checkpoint {

WeightFiles gguf_weights(const std::string& path);

}  // namespace ds::checkpoint
