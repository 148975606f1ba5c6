// Only ops touch tensors. Scratch, caches, logits and the mapped weights of a model lie behind pages that
// nobody may read or write while no op is at work: any other access would end this program. So a device whose
// memory the CPU cannot reach asks nothing of the code above kernels/.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
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
    ranges_.push_back({at, bytes, PROT_READ | PROT_WRITE});
    return static_cast<float*>(at);
  }
  // The mapping that holds `address`, or those of files in `folder`.
  void guard_mapping(const void* address, const std::string& folder) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      std::istringstream fields(line);
      uintptr_t begin = 0, end = 0;
      char dash = 0;
      std::string mode, offset, device, inode, path;
      fields >> std::hex >> begin >> dash >> end >> mode >> offset >> device >> inode >> path;
      const auto at = reinterpret_cast<uintptr_t>(address);
      const bool is_file = !folder.empty() && path.rfind(folder, 0) == 0;
      if (!is_file && !(begin <= at && at < end)) continue;
      ranges_.push_back({reinterpret_cast<void*>(begin), end - begin,
                         mode.find('w') == std::string::npos ? PROT_READ : PROT_READ | PROT_WRITE});
      ++n_mappings_;
    }
  }
  int n_mappings() const { return n_mappings_; }
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
  int depth_ = 1, n_mappings_ = 0;  // open until the first close()
};

}  // namespace

TEST_CASE("every golden with memory that only ops may touch") {
  for (const fs::path& folder : cases()) {
    const SafetensorsFile golden((folder / "golden.safetensors").string());
    INFO(folder.filename().string());
    const auto model = load_model(open_model(folder.string()));
    const int64_t V = model->config().vocab_size, n_floats = model->workspace_floats(128, 128, 2);
    ThreadPool pool(2);
    GuardedMemory memory;
    KvPool cache_pool(model->cache_streams(), {1, 128, 128, 16, DType::kF32});
    KvSequence cache(cache_pool);
    kernels::Arena arena(memory.take(n_floats), n_floats, Device::kGuarded);
    float* logits = memory.take(128 * V);
    memory.guard_mapping(cache.rows(0).pages[0], folder.string());
    REQUIRE(memory.n_mappings() >= 2);  // the cache and the weights
    const kernels::Context context{&pool, arena, {best_isa(), {}}, Device::kGuarded, &memory};
    for (const char* i : {"1", "2"}) {
      const auto tokens = ids(golden, std::string("input_ids.") + i);
      const auto want = floats(golden, std::string("logits.") + i);
      cache.truncate(0);
      memory.close();
      for (size_t t = 0; t < tokens.size();) {  // a prompt of up to 20, then chunks of 3 and single tokens
        const size_t n = t == 0  ? std::min<size_t>(20, tokens.size())
                         : t % 2 ? 1
                                 : std::min<size_t>(3, tokens.size() - t);
        std::vector<int32_t> rows;
        for (size_t r = 0; r < n; ++r) rows.push_back(static_cast<int32_t>(r));
        const Segment segment{&cache, static_cast<int64_t>(n)};
        model->forward(context, std::span(tokens).subspan(t, n), {&segment, 1}, rows, logits + t * V);
        t += n;
      }
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
