#include "model/kv_pool.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>

#include "core/error.h"

using namespace ds;
using namespace ds::model;

namespace {

// A plain one, one that pools four tokens into a row, two with windows.
const std::vector<CacheStream> kStreams = {
    {"k", 0, 3}, {"pooled", 0, 5, 4}, {"near", 0, 2, 1, 6}, {"near_pooled", 1, 7, 4, 3}};
constexpr int64_t kCtx = 200, kStep = 10;

const Context& context() {
  static ThreadPool pool(2);
  static Arena arena(0);
  static const Context context{&pool, arena, {}};
  return context;
}

// What a sequence should hold, kept apart from the pool: the value of row r of stream s is a function of the
// tokens that it stands for, so rows of sequences that began alike agree and others do not.
float value_of(const std::vector<int32_t>& tokens, int64_t s, int64_t row, int64_t column) {
  const CacheStream& stream = kStreams[s];
  float sum = static_cast<float>(s * 1000 + column);
  for (int64_t t = row * stream.tokens_per_row; t < (row + 1) * stream.tokens_per_row; ++t)
    if (t < static_cast<int64_t>(tokens.size()))
      sum += static_cast<float>(tokens[t]) * static_cast<float>(t + 1);
  return sum;
}

void append(KvSequence& sequence, std::vector<int32_t>& tokens, const std::vector<int32_t>& more) {
  const auto first = static_cast<int64_t>(tokens.size()), n = static_cast<int64_t>(more.size());
  sequence.make_room(context(), n);
  tokens.insert(tokens.end(), more.begin(), more.end());
  for (size_t s = 0; s < kStreams.size(); ++s) {
    const int64_t per_row = kStreams[s].tokens_per_row;
    const KvRows rows = sequence.rows(s);
    for (int64_t row = first / per_row; row <= (first + n - 1) / per_row; ++row)
      for (int64_t c = 0; c < rows.width; ++c)
        static_cast<float*>(rows.row(row))[c] = value_of(tokens, s, row, c);
  }
  sequence.advance(n);
}

// All rows that may be read: all of them, or those of the window before the last.
int64_t count_wrong(const KvSequence& sequence, const std::vector<int32_t>& tokens) {
  int64_t n_wrong = 0;
  for (size_t s = 0; s < kStreams.size(); ++s) {
    const KvRows rows = sequence.rows(s);
    const int64_t n_rows = (sequence.length() + kStreams[s].tokens_per_row - 1) / kStreams[s].tokens_per_row;
    const int64_t window = kStreams[s].window;
    for (int64_t row = window > 0 ? std::max<int64_t>(0, n_rows - window) : 0; row < n_rows; ++row)
      for (int64_t c = 0; c < rows.width; ++c)
        n_wrong += static_cast<const float*>(rows.row(row))[c] != value_of(tokens, s, row, c);
  }
  return n_wrong;
}

}  // namespace

TEST_CASE("sequences that grow, are cut and share pages each hold their own rows") {
  for (const int64_t page_tokens : {4, 16, 64, 200}) {
    KvPool pool(kStreams, {4, kCtx, kStep, page_tokens, DType::kF32});
    struct Held {
      std::unique_ptr<KvSequence> sequence;
      std::vector<int32_t> tokens;
    };
    std::vector<Held> held(4);
    for (Held& h : held) h.sequence = std::make_unique<KvSequence>(pool);
    std::mt19937 random(static_cast<unsigned>(page_tokens));
    int64_t n_shared = 0, n_refused = 0;
    for (int i = 0; i < 4000; ++i) {
      Held& h = held[random() % 4];
      const Held& other = held[random() % 4];
      const auto n = static_cast<int64_t>(random() % kStep + 1);
      switch (random() % 8) {
        case 0: {
          const int64_t wanted = static_cast<int64_t>(random() % (h.tokens.size() + 1));
          const int64_t length = h.sequence->cut_length(wanted);
          n_refused += wanted > 3 && length == 0;
          REQUIRE(length <= wanted);
          h.sequence->truncate(length);
          h.tokens.resize(length);
          break;
        }
        case 1:
          if (&other == &h) break;
          h.tokens = other.tokens;
          h.tokens.resize(
              other.sequence->cut_length(static_cast<int64_t>(random() % (other.tokens.size() + 1))));
          h.sequence->share(*other.sequence, static_cast<int64_t>(h.tokens.size()));
          n_shared += !h.tokens.empty();
          break;
        default:
          if (h.sequence->length() + n > kCtx) {
            h.sequence->truncate(0);
            h.tokens.clear();
          }
          std::vector<int32_t> more;
          for (int64_t t = 0; t < n; ++t) more.push_back(static_cast<int32_t>(random() % 100));
          append(*h.sequence, h.tokens, more);
      }
      int64_t n_wrong = 0;
      for (const Held& each : held) n_wrong += count_wrong(*each.sequence, each.tokens);
      CAPTURE(page_tokens);
      CAPTURE(i);
      REQUIRE(n_wrong == 0);
    }
    CHECK(n_shared > 50);
    if (page_tokens < 64) CHECK(n_refused > 0);  // rings that had lost the rows before the cut
    held.clear();
    CHECK(pool.n_used_pages() == 0);
  }
}

TEST_CASE("pages are shared until they are written, and full ones for good") {
  const std::vector<CacheStream> streams = {{"k", 0, 8}};
  KvPool pool(streams, {2, 64, 64, 16, DType::kF32});
  KvSequence a(pool), b(pool);
  a.make_room(context(), 40);
  a.advance(40);
  CHECK(pool.n_used_pages() == 3);
  b.share(a, 40);
  CHECK(pool.n_used_pages() == 3);
  CHECK(a.rows(0).pages[2] == b.rows(0).pages[2]);
  b.make_room(context(), 1);
  CHECK(pool.n_used_pages() == 4);
  CHECK(a.rows(0).pages[1] == b.rows(0).pages[1]);
  CHECK(a.rows(0).pages[2] != b.rows(0).pages[2]);
  a.truncate(0);
  CHECK(pool.n_used_pages() == 3);
  CHECK(b.length() == 40);
}

TEST_CASE("a pool's bytes are those of its streams, windows and row type") {
  const std::vector<CacheStream> whole = {{"k", 0, 16}, {"v", 0, 16}};
  CHECK(KvPool::bytes(whole, {1, 64, 64, 16, DType::kF32}) == 64 * 2 * 16 * 4);
  CHECK(KvPool::bytes(whole, {3, 64, 64, 16, DType::kBF16}) == 3 * 64 * 2 * 16 * 2);
  CHECK(KvPool::bytes_per_token(whole, DType::kF32) == 128);
  // 32 rows of window and 8 and one of the step lie in three pages of 16, however long the context.
  const std::vector<CacheStream> near = {{"k", 0, 16, 1, 32}};
  CHECK(KvPool::bytes(near, {1, 1 << 20, 8, 16, DType::kF32}) == 48 * 16 * 4);
  CHECK(KvPool::bytes(near, {1, 16, 8, 16, DType::kF32}) == 16 * 16 * 4);
  CHECK(KvPool::bytes_per_token(near, DType::kF32) == 0);
}
