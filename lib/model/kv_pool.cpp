#include "model/kv_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "kernels/kv_append.h"

namespace ds::model {
namespace {

constexpr int64_t kAlignment = 64;  // rows of a stream start at cache lines

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

std::vector<KvPool::Group> KvPool::lay_out(const std::vector<CacheStream>& streams, const KvPoolSize& size,
                                           std::vector<Place>& places) {
  std::vector<Group> groups;
  for (const CacheStream& s : streams) {
    DS_CHECK(s.tokens_per_row > 0 && size.page_tokens > 0 && size.page_tokens % s.tokens_per_row == 0);
    const auto alike = [&](const Group& g) {
      return g.window == s.window && g.tokens_per_row == s.tokens_per_row;
    };
    auto group = std::find_if(groups.begin(), groups.end(), alike);
    if (group == groups.end()) {
      Group g;
      g.tokens_per_row = s.tokens_per_row, g.window = s.window;
      g.page_rows = size.page_tokens / s.tokens_per_row;
      g.sequence_pages = divide_up(size.ctx, size.page_tokens);
      // A step appends its rows before it reads: the ring holds both them and the window.
      const int64_t step_rows = divide_up(size.step_tokens, s.tokens_per_row) + 1;
      if (s.window > 0)
        g.sequence_pages = std::min(g.sequence_pages, divide_up(s.window + step_rows, g.page_rows));
      g.n_pages = size.n_sequences * g.sequence_pages;
      if (s.window == 0 && size.total_tokens > 0)
        g.n_pages = std::min(g.n_pages, divide_up(size.total_tokens, size.page_tokens));
      DS_CHECK(g.n_pages >= g.sequence_pages);
      group = groups.insert(groups.end(), std::move(g));
    }
    places.push_back({group - groups.begin(), group->page_bytes, s.width});
    const int64_t bytes = group->page_rows * s.width * dtype_bytes(size.dtype);
    group->page_bytes += divide_up(bytes, kAlignment) * kAlignment;
  }
  return groups;
}

int64_t KvPool::bytes(const std::vector<CacheStream>& streams, const KvPoolSize& size) {
  std::vector<Place> places;
  int64_t bytes = 0;
  for (const Group& g : lay_out(streams, size, places)) bytes += g.n_pages * g.page_bytes;
  return bytes;
}

int64_t KvPool::bytes_per_token(const std::vector<CacheStream>& streams, DType dtype) {
  int64_t bytes = 0;
  for (const CacheStream& s : streams)
    if (s.window == 0) bytes += s.width * dtype_bytes(dtype) / s.tokens_per_row;
  return bytes;
}

KvPool::KvPool(const std::vector<CacheStream>& streams, const KvPoolSize& size)
    : size_(size), groups_(lay_out(streams, size, places_)) {
  memory_bytes_ = std::max<int64_t>(bytes(streams, size), kAlignment);
  memory_ = ::mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;
    throw Error(ErrorKind::kOs,
                "cannot reserve " + std::to_string(memory_bytes_) + " bytes for a context of " +
                    std::to_string(size.ctx) + " tokens",
                "cache", "lower --ctx");
  }
  auto* at = static_cast<char*>(memory_);
  for (Group& g : groups_) {
    g.base = at;
    at += g.n_pages * g.page_bytes;
    g.n_owners.assign(g.n_pages, 0);
    for (int64_t page = g.n_pages; page-- > 0;) g.free.push_back(static_cast<int32_t>(page));
  }
}

KvPool::~KvPool() {
  if (memory_) ::munmap(memory_, memory_bytes_);
}

int64_t KvPool::n_used_pages() const {
  int64_t n = 0;
  for (const Group& g : groups_) n += static_cast<int64_t>(g.n_owners.size() - g.free.size());
  return n;
}

KvSequence::KvSequence(KvPool& pool)
    : pool_(pool), tables_(pool.groups_.size()), pointers_(pool.places_.size()) {
  for (size_t g = 0; g < tables_.size(); ++g) tables_[g].reserve(pool.groups_[g].sequence_pages);
  for (size_t s = 0; s < pointers_.size(); ++s)
    pointers_[s].reserve(pool.groups_[pool.places_[s].group].sequence_pages);
}

int64_t KvSequence::cut_length(int64_t n_tokens) const {
  int64_t n = std::min(n_tokens, length_);
  if (n == length_) return n;
  int64_t grain = 1;  // tokens whose rows are whole in every stream
  for (const KvPool::Group& g : pool_.groups_) grain = std::lcm(grain, g.tokens_per_row);
  n -= n % grain;
  for (const KvPool::Group& g : pool_.groups_) {
    if (g.window == 0) continue;
    const int64_t n_rows = n / g.tokens_per_row, n_written = divide_up(written_, g.tokens_per_row);
    const int64_t oldest = n_written - g.sequence_pages * g.page_rows;  // row that the ring still holds
    if (oldest > 0 && n_rows - g.window < oldest) return 0;
  }
  return n;
}

void KvSequence::truncate(int64_t length) {
  DS_CHECK(length >= 0 && cut_length(length) == length);
  length_ = length;
  if (length == 0) written_ = 0;
  for (size_t g = 0; g < tables_.size(); ++g) {
    // A ring keeps all of its pages while it holds anything.
    if (pool_.groups_[g].window == 0 || length == 0)
      drop_pages(g, divide_up(length, pool_.size_.page_tokens));
  }
}

void KvSequence::share(const KvSequence& other, int64_t n_tokens) {
  DS_CHECK(&other.pool_ == &pool_ && &other != this && other.cut_length(n_tokens) == n_tokens);
  truncate(0);
  if (n_tokens == 0) return;
  length_ = n_tokens, written_ = other.written_;
  for (size_t g = 0; g < tables_.size(); ++g) {
    KvPool::Group& group = pool_.groups_[g];
    const size_t n = group.window > 0 ? other.tables_[g].size()
                                      : static_cast<size_t>(divide_up(n_tokens, pool_.size_.page_tokens));
    for (size_t i = 0; i < n; ++i) {
      tables_[g].push_back(other.tables_[g][i]);
      ++group.n_owners[tables_[g][i]];
      point(g, i);
    }
  }
}

void KvSequence::make_room(const Context& context, int64_t n_tokens) {
  DS_CHECK(n_tokens >= 0 && n_tokens <= pool_.size_.step_tokens && length_ + n_tokens <= capacity());
  if (n_tokens == 0) return;
  for (size_t g = 0; g < tables_.size(); ++g) {
    const KvPool::Group& group = pool_.groups_[g];
    const int64_t first = length_ / group.tokens_per_row / group.page_rows;
    const int64_t last = (length_ + n_tokens - 1) / group.tokens_per_row / group.page_rows;
    DS_CHECK(last - first <= group.sequence_pages);  // rows differ, their pages may be one
    for (int64_t page = first; page <= last; ++page) make_own(context, g, page % group.sequence_pages);
  }
}

// The page at this place of the table, made or copied where it is not the sequence's alone.
void KvSequence::make_own(const Context& context, size_t group_idx, size_t page_idx) {
  KvPool::Group& group = pool_.groups_[group_idx];
  std::vector<int32_t>& table = tables_[group_idx];
  const bool is_new = page_idx == table.size();
  DS_CHECK(page_idx <= table.size());
  if (!is_new && group.n_owners[table[page_idx]] == 1) return;
  DS_CHECK(!group.free.empty());
  const int32_t page = group.free.back();
  group.free.pop_back();
  group.n_owners[page] = 1;
  if (is_new) {
    table.push_back(page);
  } else {
    kv_copy_page(context, group.base + table[page_idx] * group.page_bytes,
                 group.base + page * group.page_bytes, group.page_bytes);
    --group.n_owners[table[page_idx]];
    table[page_idx] = page;
  }
  point(group_idx, page_idx);
}

void KvSequence::drop_pages(size_t group_idx, size_t n_kept) {
  KvPool::Group& group = pool_.groups_[group_idx];
  std::vector<int32_t>& table = tables_[group_idx];
  for (; table.size() > n_kept; table.pop_back())
    if (--group.n_owners[table.back()] == 0) group.free.push_back(table.back());
  for (size_t s = 0; s < pointers_.size(); ++s)
    if (pool_.places_[s].group == static_cast<int64_t>(group_idx)) pointers_[s].resize(table.size());
}

// Lets the group's streams point into the page at this place of the table.
void KvSequence::point(size_t group_idx, size_t page_idx) {
  const KvPool::Group& group = pool_.groups_[group_idx];
  char* page = group.base + tables_[group_idx][page_idx] * group.page_bytes;
  for (size_t s = 0; s < pointers_.size(); ++s) {
    if (pool_.places_[s].group != static_cast<int64_t>(group_idx)) continue;
    pointers_[s].resize(tables_[group_idx].size());
    pointers_[s][page_idx] = page + pool_.places_[s].offset_bytes;
  }
}

void KvSequence::advance(int64_t n_tokens) {
  DS_CHECK(n_tokens >= 0 && length_ + n_tokens <= capacity());
  length_ += n_tokens;
  written_ = std::max(written_, length_);
}

KvRows KvSequence::rows(int64_t stream_idx) const {
  const KvPool::Place& place = pool_.places_[stream_idx];
  const KvPool::Group& group = pool_.groups_[place.group];
  KvRows rows;
  rows.pages = pointers_[stream_idx].data();
  // Of a ring that is not yet full the rows lie where they will lie.
  rows.n_pages = group.sequence_pages;
  rows.page_rows = group.page_rows;
  rows.width = place.width;
  rows.dtype = pool_.size_.dtype;
  rows.ring = group.window > 0;
  return rows;
}

}  // namespace ds::model
