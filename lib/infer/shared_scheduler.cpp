#include "infer/shared_scheduler.h"

#include <chrono>

namespace ds::infer {
namespace {

// How often those that wait ask whether they shall stop.
constexpr std::chrono::milliseconds kAskEvery{20};

}  // namespace

Generation SharedScheduler::run(GenerateRequest request, GenerateSink sink,
                                const std::function<bool()>& stop_requested) {
  Call call;
  call.request = std::move(request);
  call.sink = std::move(sink);
  Lock lock(mutex_);
  if (broken_) std::rethrow_exception(broken_);
  calls_.push_back(&call);
  while (!call.is_over()) {
    if (!is_stepping_) {
      step_until_over(lock, call, stop_requested);
      continue;
    }
    over_.wait_for(lock, kAskEvery);
    call.must_stop = call.must_stop || (stop_requested && stop_requested());
  }
  calls_.remove(&call);
  lock.unlock();
  if (call.error) std::rethrow_exception(call.error);
  if (call.answer->error) throw *call.answer->error;
  return std::move(*call.answer);
}

void SharedScheduler::step_until_over(Lock& lock, Call& own, const std::function<bool()>& stop_requested) {
  is_stepping_ = true;
  while (!own.is_over()) {
    own.must_stop = own.must_stop || (stop_requested && stop_requested());
    take_over_calls();
    if (!own.is_over()) step(lock);
  }
  is_stepping_ = false;
  over_.notify_all();
}

// What others asked for since the last step.
void SharedScheduler::take_over_calls() {
  for (Call* call : calls_) {
    try {
      if (!call->is_taken) {
        call->is_taken = true;
        call->sink.done = [this, call](Generation g) { answers_.emplace_back(call, std::move(g)); };
        call->id = scheduler_.submit(std::move(call->request), std::move(call->sink));
      }
      if (call->must_stop && call->id) scheduler_.cancel(call->id);
    } catch (...) {
      call->error = std::current_exception();
      over_.notify_all();
    }
  }
  hand_over_answers();
}

// The lock is free meanwhile, so that others may come and ask to stop.
void SharedScheduler::step(Lock& lock) {
  lock.unlock();
  std::exception_ptr error;
  try {
    scheduler_.step();
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  hand_over_answers();
  if (!error) return;
  broken_ = error;
  for (Call* call : calls_)
    if (!call->is_over()) call->error = error;
}

void SharedScheduler::hand_over_answers() {
  if (answers_.empty()) return;
  for (auto& [call, answer] : answers_) call->answer = std::move(answer);
  answers_.clear();
  over_.notify_all();
}

}  // namespace ds::infer
