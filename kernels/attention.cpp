#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention_kernels.h"
#include "kernels/kv_gradients.h"
#include "kernels/op.h"
#include "kernels/tape.h"

namespace ds::kernels {

DS_KERNEL_LEVELS(AttentionKernel, kAttention, kAttentionLevels);

const AttentionKernel& attention_kernel(Isa isa) { return pick(kAttentionLevels, isa); }

namespace {

// Fewer tiles than this leave threads idle; then keys are split, into parts of kPartKeys, longer ones where
// that were more than kMaxParts.
constexpr int64_t kFewTiles = 16, kPartKeys = 1024, kMaxParts = 16;

// How one sequence is cut into units of work: (kv head, tile of rows, part of the keys).
struct Cut {
  int64_t span = 0;  // rows that tiles do not cross: all of the sequence's, with a selection a token's
  int64_t tiles_per_span = 0;
  int64_t tiles_per_head = 0;
  int64_t first_key = 0;  // of part 0
  int64_t part_keys = 0;
  int64_t n_parts = 1;
  int64_t n_units = 0;
  int64_t unit_begin = 0;  // in the loop over all sequences
  int64_t part_begin = 0;  // first of its kept parts
};

int64_t align_down(int64_t key) { return key / kAttentionKeyBlock * kAttentionKeyBlock; }

// The first key that a token at `position` sees.
int64_t window_begin(const AttentionJob& job, int64_t position) {
  return job.window > 0 ? std::max<int64_t>(0, position + 1 - job.window) : 0;
}

Cut cut_sequence(const AttentionJob& job, const AttentionSequence& sequence) {
  const int64_t group = job.H / job.KV, n = sequence.n_tokens, length = sequence.position + n;
  Cut cut;
  cut.span = sequence.sparse ? group : n * group;
  cut.tiles_per_span = (cut.span + kAttentionRows - 1) / kAttentionRows;
  cut.tiles_per_head = cut.tiles_per_span * (sequence.sparse ? n : 1);
  cut.first_key = sequence.sparse ? 0 : align_down(window_begin(job, sequence.position));
  const int64_t n_keys = (sequence.sparse ? std::min(length, job.selected.cols) : length) - cut.first_key;
  cut.part_keys = std::max(n_keys, kAttentionKeyBlock);
  if (job.KV * cut.tiles_per_head <= kFewTiles && n_keys > 2 * kPartKeys) {
    const int64_t at_least = (n_keys + kMaxParts - 1) / kMaxParts;
    cut.part_keys = std::max(kPartKeys, align_down(at_least + kAttentionKeyBlock - 1));
    cut.n_parts = (n_keys + cut.part_keys - 1) / cut.part_keys;
  }
  cut.n_units = job.KV * cut.tiles_per_head * cut.n_parts;
  return cut;
}

// What one unit keeps for the merge: sums [kAttentionRows, Dv], then maximum and sum of each row.
int64_t part_floats(const AttentionJob& job) { return kAttentionRows * (job.Dv + 2); }

AttentionTile make_tile(const AttentionJob& job, const AttentionSequence& sequence, const Cut& cut, int64_t g,
                        int64_t tile_idx, int64_t part) {
  const int64_t group = job.H / job.KV;
  AttentionTile tile;
  tile.q = f32(job.q, sequence.first_token) + g * group * job.Dk, tile.ldq = job.q.ld;
  tile.out = f32(job.out, sequence.first_token) + g * group * job.Dv, tile.ldo = job.out.ld;
  if (job.lse) tile.lse = f32(job.lse, sequence.first_token) + g * group, tile.ld_lse = job.lse.ld;
  tile.k = sequence.k, tile.v = sequence.v;
  tile.k_offset = g * job.k_head_stride, tile.v_offset = job.v_offset + g * job.v_head_stride;
  tile.Dk = job.Dk, tile.Dv = job.Dv, tile.group = group;
  tile.position = sequence.position, tile.window = job.window;
  tile.scale = job.scale;
  const int64_t offset = tile_idx % cut.tiles_per_span * kAttentionRows;
  tile.row_begin = tile_idx / cut.tiles_per_span * cut.span + offset;
  tile.n_rows = std::min<int64_t>(kAttentionRows, cut.span - offset);
  const int64_t first = tile.row_begin / group, last = (tile.row_begin + tile.n_rows - 1) / group;
  if (sequence.sparse) {
    tile.selected = i32(job.selected, sequence.first_token + first);
    tile.n_selected = job.selected.cols;
    tile.window = 0;
    tile.key_end = std::min(sequence.position + last + 1, tile.n_selected);
  } else {
    tile.key_begin = align_down(window_begin(job, sequence.position + first));
    tile.key_end = sequence.position + last + 1;
  }
  if (cut.n_parts > 1) {
    tile.key_begin = std::max(tile.key_begin, cut.first_key + part * cut.part_keys);
    tile.key_end = std::min(tile.key_end, cut.first_key + (part + 1) * cut.part_keys);
  }
  return tile;
}

// One row from its parts: out = sum_p e^(max_p - max) sums_p / sum_p e^(max_p - max) sum_p
void merge_row(const AttentionJob& job, const float* parts, int64_t n_parts, int64_t r, float* out,
               float* lse) {
  const int64_t stride = part_floats(job), maxima = kAttentionRows * job.Dv;
  float top = parts[maxima + r];
  for (int64_t p = 1; p < n_parts; ++p) top = std::max(top, parts[p * stride + maxima + r]);
  float total = 0;
  std::fill(out, out + job.Dv, 0.0f);
  for (int64_t p = 0; p < n_parts; ++p) {
    const float* part = parts + p * stride;
    const float factor = std::exp(part[maxima + r] - top);
    total += factor * part[maxima + kAttentionRows + r];
    for (int64_t i = 0; i < job.Dv; ++i) out[i] += factor * part[r * job.Dv + i];
  }
  const float inverse = total > 0 ? 1.0f / total : 0.0f;
  for (int64_t i = 0; i < job.Dv; ++i) out[i] *= inverse;
  if (lse) *lse = top + std::log(total);
}

// Whether the pages hold every row that the tokens see.
bool holds_rows(const AttentionJob& job, const AttentionSequence& sequence, const KvRows& rows) {
  const int64_t first = sequence.sparse ? 0 : window_begin(job, sequence.position);
  return sequence.position + sequence.n_tokens - first <= rows.n_pages * rows.page_rows;
}

void check(const AttentionJob& job, const AttentionSequence& sequence) {
  const int64_t end = sequence.first_token + sequence.n_tokens;
  DS_CHECK(end <= job.q.rows && end <= job.out.rows && (!job.lse || end <= job.lse.rows));
  DS_CHECK(sequence.k.dtype == sequence.v.dtype);
  DS_CHECK(sequence.k.dtype == DType::kF32 || sequence.k.dtype == DType::kBF16);
  DS_CHECK(!sequence.sparse || (job.selected && end <= job.selected.rows));
}

// Rows that lie in scratch are kept as they are now: one page then.
OwnKvRows kept_rows(const Context& context, const KvRows& rows, int64_t end) {
  OwnKvRows own(rows, end, context);
  if (context.tape->is_lasting(rows.pages[0])) return own;
  DS_CHECK(rows.n_pages == 1 && rows.dtype == DType::kF32);
  own.keep_page(context.tape->keep(
      context, {rows.pages[0], DType::kF32, context.device, rows.page_rows, rows.width, rows.width}));
  return own;
}

void record(const Context& context, AttentionJob job, std::span<const AttentionSequence> sequences) {
  Tape* tape = context.tape;
  const TensorView q = job.q, out = job.out;
  job.q = tape->keep(context, q), job.out = tape->keep(context, out);
  std::vector<AttentionBackwardSequence> all;
  std::vector<OwnKvRows> rows;
  for (const AttentionSequence& s : sequences) {
    DS_CHECK(!s.sparse);
    all.push_back({s, {}, {}});
    const int64_t end = s.position + s.n_tokens;
    rows.push_back(kept_rows(context, s.k, end)), rows.push_back(kept_rows(context, s.v, end));
  }
  tape->push([tape, job, all, rows, q, out](const Context& c) mutable {
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].of.k = rows[2 * i].rows(), all[i].dk = rows[2 * i].gradients(*tape, c);
      all[i].of.v = rows[2 * i + 1].rows(), all[i].dv = rows[2 * i + 1].gradients(*tape, c);
    }
    attention_backward(c, job, all, tape->gradient(c, out), tape->gradient(c, q));
  });
}

void run(const Context& context, const AttentionJob& job, std::span<const AttentionSequence> sequences) {
  const Op op(context, job.q, job.out, job.selected, job.lse);
  DS_CHECK(job.KV > 0 && job.H % job.KV == 0);
  DS_CHECK(is_f32(job.q, job.q.rows, job.H * job.Dk) && is_f32(job.out, job.out.rows, job.H * job.Dv));
  const auto cuts = op.list<Cut>(static_cast<int64_t>(sequences.size()));
  int64_t n_units = 0, n_parts = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    check(job, sequences[i]);
    cuts[i] = cut_sequence(job, sequences[i]);
    cuts[i].unit_begin = n_units, cuts[i].part_begin = n_parts;
    n_units += cuts[i].n_units;
    if (cuts[i].n_parts > 1) n_parts += cuts[i].n_units;
    // A shorter step of the sequence may be split where this one is not.
    const int64_t length = sequences[i].position + sequences[i].n_tokens;
    if (op.dry()) n_parts += kFewTiles * std::min(kMaxParts, 1 + length / kPartKeys);
  }
  float* thread_sums = op.scratch(op.context().n_threads() * kAttentionRows * job.Dv);
  float* parts = op.scratch(n_parts * part_floats(job));
  if (op.dry()) return;
  for (const AttentionSequence& s : sequences) DS_CHECK(holds_rows(job, s, s.k) && holds_rows(job, s, s.v));

  const AttentionKernel& kernel = attention_kernel(op.isa());
  op.parallel_for(n_units, 1, [&](int64_t begin, int64_t end, int thread_idx) {
    for (int64_t u = begin; u < end; ++u) {
      const auto after = std::upper_bound(cuts.begin(), cuts.end(), u,
                                          [](int64_t v, const Cut& cut) { return v < cut.unit_begin; });
      const Cut& cut = *(after - 1);
      const AttentionSequence& sequence = sequences[&cut - cuts.data()];
      const int64_t unit = u - cut.unit_begin, tile_of_all = unit / cut.n_parts;
      // Late rows see the most keys: hand them out first, so that threads end together.
      const int64_t tile_idx = cut.tiles_per_head - 1 - tile_of_all % cut.tiles_per_head;
      AttentionTile tile =
          make_tile(job, sequence, cut, tile_of_all / cut.tiles_per_head, tile_idx, unit % cut.n_parts);
      tile.sums = thread_sums + thread_idx * kAttentionRows * job.Dv;
      if (cut.n_parts > 1) {
        tile.sums = parts + (cut.part_begin + unit) * part_floats(job);
        tile.part_max = tile.sums + kAttentionRows * job.Dv;
        tile.part_sum = tile.part_max + kAttentionRows;
      }
      kernel.rows(tile);
    }
  });
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Cut& cut = cuts[i];
    if (cut.n_parts == 1) continue;
    op.parallel_for(job.KV * cut.tiles_per_head, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t tile_idx = cut.tiles_per_head - 1 - u % cut.tiles_per_head;
        const AttentionTile tile = make_tile(job, sequences[i], cut, u / cut.tiles_per_head, tile_idx, 0);
        for (int64_t r = 0; r < tile.n_rows; ++r) {
          const int64_t t = (tile.row_begin + r) / tile.group, h = (tile.row_begin + r) % tile.group;
          merge_row(job, parts + (cut.part_begin + u * cut.n_parts) * part_floats(job), cut.n_parts, r,
                    tile.out + t * tile.ldo + h * job.Dv,
                    tile.lse ? tile.lse + t * tile.ld_lse + h : nullptr);
        }
      }
    });
  }
}

}  // namespace

void attention(const Context& context, const AttentionJob& job,
               std::span<const AttentionSequence> sequences) {
  if (!context.tape) return run(context, job, sequences);
  // The rows of these sequences alone: there may be others in the step.
  int64_t begin = job.q.rows, end = 0;
  for (const AttentionSequence& s : sequences)
    begin = std::min(begin, s.first_token), end = std::max(end, s.first_token + s.n_tokens);
  const int64_t n = std::max<int64_t>(end - begin, 0);
  AttentionJob part = job;
  part.q = job.q.rows_from(begin, n), part.out = job.out.rows_from(begin, n);
  part.lse = job.lse ? job.lse.rows_from(begin, n) : context.tape->room(context, n, job.H);
  std::vector<AttentionSequence> moved(sequences.begin(), sequences.end());
  for (AttentionSequence& s : moved) s.first_token -= begin;
  run(context, part, moved);
  record(context, part, moved);
}

}  // namespace ds::kernels
