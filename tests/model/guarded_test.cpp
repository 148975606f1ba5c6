// Only ops touch tensors. Scratch, caches, logits, the mapped weights of a model and what is decoded of them
// (norms, biases, scales) lie behind pages that nobody may read or write while no op is at work: any other
// access would end this program. So a device whose memory the CPU cannot reach asks nothing of the code above
// kernels/. Lists that callers pass to ops beside tensors (tokens, positions, RoPE's theta) stay in the CPU's
// memory.
//
// This file replaces operator new[] of the whole test program, so that arrays can be placed.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <new>
#include <numeric>
#include <sstream>

#include "goldens.h"

using namespace ds;
using namespace ds::test;

namespace {

class GuardedMemory : public kernels::MemoryGate {
 public:
  ~GuardedMemory() override {
    open();
    for (const auto& [at, bytes] : owned_) ::munmap(at, bytes);
  }
  // New memory.
  float* take(int64_t n_floats) {
    const size_t bytes = (static_cast<size_t>(n_floats) * 4 / 4096 + 1) * 4096;
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at != MAP_FAILED);
    owned_.push_back({at, bytes});
    guard(at, bytes);
    return static_cast<float*>(at);
  }
  // Whole pages that somebody else keeps.
  void guard(void* at, size_t bytes) {
    REQUIRE(reinterpret_cast<uintptr_t>(at) % 4096 == 0);
    ranges_.push_back({at, bytes, PROT_READ | PROT_WRITE});
  }
  // The mappings of files in `folder`; returns how many there are.
  int guard_files(const std::string& folder) {
    int n = 0;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      std::istringstream fields(line);
      uintptr_t begin = 0, end = 0;
      char dash = 0;
      std::string mode, offset, device, inode, path;
      fields >> std::hex >> begin >> dash >> end >> mode >> offset >> device >> inode >> path;
      if (path.rfind(folder, 0) != 0) continue;
      ranges_.push_back({reinterpret_cast<void*>(begin), end - begin,
                         mode.find('w') == std::string::npos ? PROT_READ : PROT_READ | PROT_WRITE});
      ++n;
    }
    return n;
  }
  void open() override {
    if (depth_++ == 0) protect(true);
  }
  void close() override {
    if (--depth_ == 0) protect(false);
  }

 private:
  struct Range {
    void* at;
    size_t bytes;
    int mode;
  };
  void protect(bool open) const {
    for (const Range& r : ranges_) REQUIRE(::mprotect(r.at, r.bytes, open ? r.mode : PROT_NONE) == 0);
  }
  std::vector<Range> ranges_;
  std::vector<std::pair<void*, size_t>> owned_;
  int depth_ = 1;  // open until the first close()
};

// While one exists, the arrays that this thread makes lie in its memory, one after the other.
class ArrayPlace {
 public:
  static constexpr size_t kBytes = 4 << 20;
  explicit ArrayPlace(GuardedMemory& memory) : at_(reinterpret_cast<char*>(memory.take(kBytes / 4))) {
    current = this;
  }
  ~ArrayPlace() { current = nullptr; }
  ArrayPlace(const ArrayPlace&) = delete;
  ArrayPlace& operator=(const ArrayPlace&) = delete;
  void* take(size_t bytes) {
    if (used_ + bytes > kBytes) std::abort();
    void* place = at_ + used_;
    used_ += (bytes + 15) / 16 * 16;
    return place;
  }
  size_t used() const { return used_; }
  static inline thread_local ArrayPlace* current = nullptr;

 private:
  char* at_;
  size_t used_ = 0;
};

// Before each array: whether it was placed, and is not the heap's.
constexpr size_t kArrayHeader = 16;

void* make_array(size_t n) noexcept {
  const bool placed = ArrayPlace::current != nullptr;
  void* start = placed ? ArrayPlace::current->take(n + kArrayHeader) : std::malloc(n + kArrayHeader);
  if (!start) return nullptr;
  *static_cast<bool*>(start) = placed;
  return static_cast<char*>(start) + kArrayHeader;
}

void drop_array(void* array) noexcept {
  if (!array) return;
  void* start = static_cast<char*>(array) - kArrayHeader;
  if (!*static_cast<const bool*>(start)) std::free(start);
}

}  // namespace

void* operator new[](size_t n) {
  if (void* p = make_array(n)) return p;
  throw std::bad_alloc();
}
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return make_array(n); }
void operator delete[](void* p) noexcept { drop_array(p); }
void operator delete[](void* p, size_t) noexcept { drop_array(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { drop_array(p); }

TEST_CASE("every golden with memory that only ops may touch") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    INFO(folder.filename().string());
    GuardedMemory memory;  // outlives the model's arrays
    std::unique_ptr<const Model> model;
    {
      const auto source = open_model(folder.string());
      ArrayPlace arrays(memory);
      model = load_model(source);
      REQUIRE(arrays.used() > 0);
    }
    const int64_t V = model->config().vocab_size, n_floats = model->workspace_floats(128, 128, 2);
    ThreadPool pool(2);
    const KvPoolSize size{2, 128, 128, 16, DType::kF32};
    KvPool cache_pool(model->cache_streams(), size);
    KvSequence cache(cache_pool), sharer(cache_pool);
    kernels::Arena arena(memory.take(n_floats), n_floats, Device::kGuarded);
    float* logits = memory.take(128 * V);
    const kernels::Context context{&pool, arena, {best_isa(), {}}, Device::kGuarded, &memory};
    cache.make_room(context, 1);  // its first page is the pool's
    memory.guard(cache.rows(0).pages[0], KvPool::bytes(model->cache_streams(), size));
    REQUIRE(memory.guard_files(folder.string()) >= 2);  // the weights and the golden
    for (const char* i : {"1", "2"}) {
      const auto tokens = ids(golden, std::string("input_ids.") + i);
      const auto want = floats(golden, std::string("logits.") + i);
      cache.truncate(0);
      const auto read = [&](KvSequence& sequence, size_t t, size_t n) {
        std::vector<int32_t> rows(n);
        std::iota(rows.begin(), rows.end(), 0);
        const Segment segment{&sequence, static_cast<int64_t>(n)};
        model->forward(context, std::span(tokens).subspan(t, n), {&segment, 1}, rows, logits + t * V);
      };
      memory.close();
      for (size_t t = 0; t < tokens.size();) {  // a prompt of up to 20, then chunks of 3 and single tokens
        const size_t n = t == 0  ? std::min<size_t>(20, tokens.size())
                         : t % 2 ? 1
                                 : std::min<size_t>(3, tokens.size() - t);
        read(cache, t, n);
        t += n;
      }
      // The end once more, behind a page that is shared until it is written.
      size_t n_shared = tokens.size() - 1;
      n_shared -= n_shared % 16 == 0;
      sharer.share(cache, static_cast<int64_t>(n_shared));
      const int64_t n_pages = cache_pool.n_used_pages();
      read(sharer, n_shared, tokens.size() - n_shared);
      CHECK(cache_pool.n_used_pages() > n_pages);
      sharer.truncate(0);
      memory.open();
      CHECK(worst({logits, logits + tokens.size() * V}, want) < kF32Bound);
    }
  }
}

TEST_CASE("guarded memory is out of reach") {
  GuardedMemory memory;
  const float* at = memory.take(16);
  memory.close();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    ::_exit(*static_cast<const volatile float*>(at) == 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
  memory.open();
}
