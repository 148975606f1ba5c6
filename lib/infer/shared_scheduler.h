// A scheduler that several threads ask at once: their requests share the steps. No thread of its own: one of
// those that wait for an answer makes the steps for all, until its own is there.
#pragma once
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>

#include "infer/scheduler.h"

namespace ds::infer {

class SharedScheduler {
 public:
  explicit SharedScheduler(const Engine& engine) : scheduler_(engine) {}

  // As Scheduler::run(). Its sink is called by any of the threads, `stop_requested` by its own and must not
  // throw. What breaks a step is thrown to all that wait, and to all that come later.
  Generation run(GenerateRequest request, GenerateSink sink, const std::function<bool()>& stop_requested);

 private:
  struct Call {
    GenerateRequest request;
    GenerateSink sink;
    RequestId id = 0;  // once the scheduler has it
    bool is_taken = false, must_stop = false;
    std::optional<Generation> answer;
    std::exception_ptr error;
    bool is_over() const { return answer || error; }
  };
  using Lock = std::unique_lock<std::mutex>;
  void step_until_over(Lock& lock, Call& own, const std::function<bool()>& stop_requested);
  void take_over_calls();
  void step(Lock& lock);
  void hand_over_answers();

  std::mutex mutex_;                                 // of what follows
  std::condition_variable over_;                     // a call is, or nobody makes steps
  bool is_stepping_ = false;                         // somebody makes them: what follows `calls_` is theirs
  std::exception_ptr broken_;                        // what ended the scheduler
  std::list<Call*> calls_;                           // whose threads wait
  std::list<std::pair<Call*, Generation>> answers_;  // that are not yet handed over
  Scheduler scheduler_;
};

}  // namespace ds::infer
