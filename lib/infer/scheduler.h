// Where requests become answers. Callers submit requests while there is room and take answers in the order of
// submission; which requests share a forward pass is decided in here alone. Today they run one after the
// other in one session; continuous batching replaces this class's inside and nothing around it.
#pragma once
#include <deque>
#include <functional>
#include <optional>

#include "infer/engine.h"
#include "infer/generate.h"
#include "infer/request.h"

namespace ds::infer {

struct Outcome {
  Request request;
  Generation answer;
  std::optional<Error> error;  // the request could not be used; `answer` is empty then
};

class Scheduler {
 public:
  // `stop_requested` may be empty; when it says yes, the answer under way ends with
  // FinishReason::kInterrupted.
  Scheduler(const Engine& engine, std::function<bool()> stop_requested);

  bool has_room() const { return waiting_.size() < kCapacity; }
  void submit(Request request);
  bool empty() const { return waiting_.empty(); }
  // Computes until the oldest request is answered. There must be one.
  Outcome take();

 private:
  static constexpr size_t kCapacity = 1;

  const Engine& engine_;
  std::function<bool()> stop_requested_;
  Session session_;
  Sampler sampler_;
  std::deque<Request> waiting_;
};

}  // namespace ds::infer
