// A run from outside: it goes on after a stop with the same bits, and an adapter begins where one ended.
#include "train/loop.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"

using namespace ds;
using namespace ds::train;
namespace fs = std::filesystem;

namespace {

const fs::path kModel = fs::path(DS_SOURCE_DIR) / "tests/golden/arch/llama";

class Documents : public DocumentSource {
 public:
  bool next(TrainingDocument& document) override {
    if (n_ == 7) return false;
    CounterRng rng(11, n_);
    document = {};
    document.id = "document " + std::to_string(n_);
    for (int64_t t = 0; t < 4 + n_ * 3; ++t) {
      document.input_ids.push_back(static_cast<int32_t>(rng.next_double() * 200));
      document.labels.push_back(t > 1 ? document.input_ids.back() : kNotTrained);
    }
    ++n_;
    return true;
  }

 private:
  int64_t n_ = 0;
};

struct RunPlace {
  fs::path path;
  explicit RunPlace(const char* name) : path(fs::temp_directory_path() / (std::string("ds_loop_") + name)) {
    fs::remove_all(path);
  }
  ~RunPlace() { fs::remove_all(path); }
  std::string file(const char* name) const { return io::read_file((path / "last" / name).string()); }
};

TrainOptions options(const RunPlace& place, bool lora, int64_t steps) {
  TrainOptions o;
  o.model = kModel.string(), o.out = place.path.string();
  o.parameters.lora = lora, o.parameters.adapter.rank = 4;
  o.batch = 2, o.accumulation = 2, o.steps = steps, o.seed = 5;
  o.rate = [](int64_t step, int64_t n_steps) { return 1e-3 * static_cast<double>(n_steps - step); };
  o.isa = best_isa(), o.n_threads = 2;
  return o;
}

TrainReport train_on(const TrainOptions& o) {
  Documents documents;
  return train_model(o, documents);
}

}  // namespace

TEST_CASE("stopped and gone on with: the same bits as without the stop") {
  for (const bool lora : {false, true}) {
    const char* weights = lora ? "adapter_model.safetensors" : "model.safetensors";
    RunPlace whole("whole"), parts("parts");
    const TrainReport report = train_on(options(whole, lora, 5));
    CHECK(report.n_steps == 5);
    CHECK(report.last_loss < report.first_loss);
    TrainOptions o = options(parts, lora, 5);
    int64_t n_asked = 0;
    o.stop = [&] { return ++n_asked > 3; };
    CHECK(train_on(o).stopped);
    CHECK_THROWS_AS(train_on(o), Error);  // an earlier run's folder, and no word of going on
    o.stop = {}, o.resume = true;
    o.n_threads = 1;
    CHECK(!train_on(o).stopped);
    for (const char* name : {weights, "state.safetensors", "state.json"}) {
      INFO(name);
      CHECK(parts.file(name) == whole.file(name));
    }
    o.seed = 6;  // another order of the data
    CHECK_THROWS_AS(train_on(o), Error);
  }
}

TEST_CASE("batches and accumulation are the same update; checkpoints are kept as told") {
  RunPlace a("a"), b("b");
  TrainOptions one = options(a, true, 3), four = options(b, true, 3);
  one.batch = 4, one.accumulation = 1, four.batch = 1, four.accumulation = 4;
  one.save_every = 1, one.keep = 2;
  const double first = train_on(one).last_loss;
  CHECK(train_on(four).last_loss == doctest::Approx(first).epsilon(1e-6));
  CHECK(!fs::exists(a.path / "step-000001"));
  CHECK(fs::exists(a.path / "step-000002/state.json"));
  CHECK(fs::read_symlink(a.path / "last") == "step-000003");
}

TEST_CASE("an adapter goes on where it ended, and not in another model") {
  RunPlace a("begin"), b("go_on");
  const double last = train_on(options(a, true, 20)).last_loss;
  TrainOptions o = options(b, true, 1);
  o.parameters.adapter.init_adapter = (a.path / "last").string();
  o.parameters.adapter.rank = 99;  // the adapter's own counts
  CHECK(train_on(o).first_loss < last * 1.5);
  RunPlace c("other");
  o.out = c.path.string();
  o.model = (kModel.parent_path() / "deepseek_v3").string();
  CHECK_THROWS_AS(train_on(o), Error);
}

TEST_CASE("losses that are no numbers are left out, and end the run when they stay") {
  RunPlace place("nan");
  TrainOptions o = options(place, false, 50);
  o.clip = 0, o.max_bad_losses = 3;
  o.rate = [](int64_t step, int64_t) { return step == 2 ? 1e30 : 1e-4; };
  int64_t n_skips = 0;
  o.on_event = [&](const Json& event) { n_skips += event["event"] == "skip"; };
  CHECK_THROWS_AS(train_on(o), Error);
  CHECK(n_skips == 3);
}
