// bench_model FOLDER [--threads N] [--isa LEVEL] [--rounds R] [--prefill T] [--decode N] [--streams N]
// [--mapped]
//
// Decode (also of N sequences in the same steps) and prefill of a model folder beside what the machine can do
// at best, measured in the same process
// and interleaved: read bandwidth before and after each decode run, peak multiply-add rate beside each
// prefill. Prints medians and ratios; the ratios are the result, the absolute figures only say on what they
// were measured.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "kernels/probe.h"
#include "model/model.h"

using namespace ds;
using namespace ds::model;

namespace {

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

struct Options {
  std::string folder, isa = "auto";
  int n_threads = default_threads().n_threads, rounds = 5;
  int64_t n_prefill = 512, n_decode = 16, n_streams = 16;
  bool mapped = false;  // leave the weights mapped, as for models that fill the memory
};

// Multiply-adds of a prefill of T tokens: every matrix for each token, the head for the last one alone.
// Attention's own are left out, so the shares are a little low.
double matmul_flops(const Model& model, bool is_fp8, int64_t T) {
  const ModelConfig& c = model.config();
  const double head = static_cast<double>(c.vocab_size) * static_cast<double>(c.hidden_size);
  const double element_bytes = is_fp8 ? 1 : 2;  // the head is bfloat16 either way
  const double layers = (static_cast<double>(model.weight_bytes_per_token()) - 2 * head) / element_bytes;
  return 2 * (layers * static_cast<double>(T) + head);
}

// Seconds of each of n_decode steps of n_streams sequences that have their prompts' last token in common
// only.
std::vector<double> decode_seconds(const Model& model, const Context& context, const Options& o,
                                   int64_t n_streams) {
  const auto n = static_cast<size_t>(n_streams);
  KvPool pool(model.cache_streams(), {n_streams, o.n_decode + 1, 1, 64, DType::kF32});
  std::vector<std::unique_ptr<KvSequence>> caches;
  std::vector<Segment> segments;
  std::vector<int32_t> tokens(n), rows(n);
  for (size_t s = 0; s < n; ++s) {
    caches.push_back(std::make_unique<KvSequence>(pool));
    segments.push_back({caches.back().get(), 1});
    rows[s] = static_cast<int32_t>(s);
  }
  std::vector<float> logits(n * static_cast<size_t>(model.config().vocab_size));
  std::vector<double> seconds;
  for (int64_t i = 0; i < o.n_decode; ++i) {
    for (size_t s = 0; s < n; ++s)
      tokens[s] = static_cast<int32_t>((static_cast<int64_t>(s) * 7919 + i * 13) % model.config().vocab_size);
    const int64_t begin = now_ns();
    model.forward(context, tokens, segments, rows, logits.data());
    seconds.push_back(seconds_since(begin));
  }
  return seconds;
}

void measure(const Options& o) {
  ThreadPool pool(o.n_threads);
  const Isa isa = parse_isa(o.isa);
  const auto folder = open_model(o.folder);
  const auto model = load_model(folder);
  if (!o.mapped) model->copy_into_large_pages(pool);
  const int64_t V = model->config().vocab_size, ctx = o.n_prefill + o.n_decode + 1;
  Arena arena(std::max(model->workspace_floats(o.n_prefill, ctx, o.n_threads),
                       model->workspace_floats(o.n_streams, ctx, o.n_threads, o.n_streams)));
  std::vector<float> logits(V);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < o.n_prefill; ++i) prompt.push_back(static_cast<int32_t>((i * 7919 + 13) % V));
  const int32_t last = static_cast<int32_t>(o.n_prefill) - 1, zero = 0;

  std::vector<double> decode_share, decode_gbs, bandwidth, f32_share, f32_rate, bf16_share, bf16_rate,
      peak_share, streams_gain;
  const auto bytes = static_cast<double>(model->weight_bytes_per_token());
  const double flops = matmul_flops(*model, folder->quantization().block_rows > 0, o.n_prefill);
  for (int round = 0; round < o.rounds + 1; ++round) {
    const bool counted = round > 0;  // the first maps pages
    for (const Activations activations : {Activations::kF32, Activations::kBF16}) {
      const Context context{&pool, arena, {isa, activations}};
      const PeakFlops peak = probe_peak_flops(pool, isa, 2);
      KvPool cache_pool(model->cache_streams(), {1, ctx, ctx, 64, DType::kF32});
      KvSequence cache(cache_pool);
      const Segment all{&cache, o.n_prefill};
      const int64_t start = now_ns();
      model->forward(context, prompt, {&all, 1}, {&last, 1}, logits.data());
      const double rate = flops / seconds_since(start);
      if (!counted) continue;
      (activations == Activations::kF32 ? f32_rate : bf16_rate).push_back(rate);
      (activations == Activations::kF32 ? f32_share : bf16_share)
          .push_back(rate / std::max(peak.f32, peak.bf16));
      peak_share.push_back(std::max(peak.f32, peak.bf16));
      if (activations == Activations::kBF16) continue;

      double best_read = probe_read_bandwidth(pool, isa, int64_t{1} << 30, 2);
      const Segment one{&cache, 1};
      std::vector<double> seconds;
      for (int64_t i = 0; i < o.n_decode; ++i) {
        const int32_t token = prompt[i % o.n_prefill];
        const int64_t begin = now_ns();
        model->forward(context, {&token, 1}, {&one, 1}, {&zero, 1}, logits.data());
        seconds.push_back(seconds_since(begin));
      }
      best_read = std::max(best_read, probe_read_bandwidth(pool, isa, int64_t{1} << 30, 2));
      bandwidth.push_back(best_read);
      decode_gbs.push_back(bytes / median(seconds));
      decode_share.push_back(decode_gbs.back() / best_read);
      const double one_stream = median(decode_seconds(*model, context, o, 1));
      streams_gain.push_back(static_cast<double>(o.n_streams) * one_stream /
                             median(decode_seconds(*model, context, o, o.n_streams)));
    }
  }
  std::printf("model %s, %s, %d threads, isa %s, %d rounds\n", o.folder.c_str(), cpu_model_name().c_str(),
              o.n_threads, isa_name(isa), o.rounds);
  std::printf(
      "  decode            %6.2f GB/s of weights, probe %6.2f GB/s: %5.1f %% of read bandwidth (%.2f "
      "tokens/s)\n",
      median(decode_gbs) / 1e9, median(bandwidth) / 1e9, median(decode_share) * 100,
      median(decode_gbs) / bytes);
  std::printf("  decode of %lld streams in the same steps: %.2f times one stream's tokens/s\n",
              static_cast<long long>(o.n_streams), median(streams_gain));
  const auto prefill = [&](const char* name, const std::vector<double>& rate,
                           const std::vector<double>& share) {
    std::printf(
        "  prefill %-4lld %s %6.1f GFLOP/s, peak %6.1f: %5.1f %% of the best multiply-add rate (%.1f "
        "tokens/s)\n",
        static_cast<long long>(o.n_prefill), name, median(rate) / 1e9, median(peak_share) / 1e9,
        median(share) * 100, median(rate) / flops * static_cast<double>(o.n_prefill));
  };
  prefill("f32 ", f32_rate, f32_share);
  prefill("bf16", bf16_rate, bf16_share);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    if (arg == "--threads")
      o.n_threads = std::stoi(value());
    else if (arg == "--isa")
      o.isa = value();
    else if (arg == "--rounds")
      o.rounds = std::stoi(value());
    else if (arg == "--prefill")
      o.n_prefill = std::stoll(value());
    else if (arg == "--decode")
      o.n_decode = std::stoll(value());
    else if (arg == "--streams")
      o.n_streams = std::stoll(value());
    else if (arg == "--mapped")
      o.mapped = true;
    else
      o.folder = arg;
  }
  try {
    measure(o);
  } catch (const Error& e) {
    std::fprintf(stderr, "bench_model: %s\n", e.message().c_str());
    return static_cast<int>(e.kind());
  }
}
