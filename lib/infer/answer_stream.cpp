#include "infer/answer_stream.h"

#include <algorithm>

#include "core/utf8.h"

namespace ds::infer {
namespace {

// Usual answers never allocate while they are made.
constexpr size_t kReservedBytes = 32768, kReservedPieceBytes = 256;

}  // namespace

TokenTexts token_texts(const Tokenizer& tokenizer) {
  TokenTexts texts;
  texts.bytes = [&tokenizer](int32_t id) { return tokenizer.token_bytes(id); };
  texts.is_special = [&tokenizer](int32_t id) { return tokenizer.is_special(id); };
  const auto open = tokenizer.token_id("<think>"), close = tokenizer.token_id("</think>");
  if (open && close) {
    texts.think_open = *open;
    texts.think_close = *close;
  }
  return texts;
}

bool ends_in_reasoning(const TokenTexts& texts, std::span<const int32_t> prompt) {
  if (texts.think_open < 0) return false;
  for (size_t i = prompt.size(); i-- > 0;) {
    if (prompt[i] == texts.think_open) return true;
    if (texts.is_special(prompt[i])) return false;
    // Templates may print a line feed after the marker.
    if (texts.bytes(prompt[i]).find_first_not_of(" \r\n\t") != std::string_view::npos) return false;
  }
  return false;
}

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& s) { return s.empty(); });
}

void StopMatcher::feed(std::string_view text, std::string& out) {
  if (found_) return;
  if (stops_.empty()) {
    out += text;
    return;
  }
  held_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    found_ = true;
    out.append(held_, 0, first);
    held_.clear();
    return;
  }
  size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) {
        keep = n;
        break;
      }
    }
  }
  out.append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
}

void StopMatcher::finish(std::string& out) {
  out += held_;
  held_.clear();
}

AnswerStream::AnswerStream(TokenTexts texts, std::vector<std::string> stops, bool starts_in_reasoning,
                           PieceSink sink)
    : texts_(std::move(texts)),
      stop_(std::move(stops)),
      sink_(std::move(sink)),
      channel_(starts_in_reasoning ? Channel::kReasoning : Channel::kAnswer),
      splits_(texts_.think_open >= 0 && texts_.think_close >= 0),
      drop_newlines_(starts_in_reasoning) {
  for (std::string* text : {&answer_, &reasoning_}) text->reserve(kReservedBytes);
  for (std::string* text : {&bytes_, &newlines_, &scratch_}) text->reserve(kReservedPieceBytes);
}

bool AnswerStream::accept(int32_t token) {
  if (splits_ && token == texts_.think_open) {
    flush_bytes();
    enter(Channel::kReasoning);
  } else if (splits_ && token == texts_.think_close) {
    flush_bytes();
    enter(Channel::kAnswer);
  } else if (!texts_.is_special(token)) {
    bytes_ += texts_.bytes(token);
    const size_t n = complete_utf8_prefix(bytes_);
    if (n > 0) {
      const std::string_view whole = std::string_view(bytes_).substr(0, n);
      if (find_invalid_utf8(whole) == std::string_view::npos) {
        print(whole);
      } else {
        print(replace_invalid_utf8(whole));
      }
      bytes_.erase(0, n);
    }
  }
  return stop_.found();
}

void AnswerStream::enter(Channel channel) {
  channel_ = channel;
  drop_newlines_ = true;
  newlines_.clear();
}

void AnswerStream::flush_bytes() {
  if (bytes_.empty()) return;
  print(replace_invalid_utf8(bytes_));
  bytes_.clear();
}

void AnswerStream::print(std::string_view text) {
  if (drop_newlines_) {
    const size_t start = text.find_first_not_of("\r\n");
    if (start == std::string_view::npos) return;
    text.remove_prefix(start);
    drop_newlines_ = false;
  }
  if (channel_ == Channel::kReasoning) {
    const size_t end = text.find_last_not_of("\r\n") + 1;
    scratch_.clear();
    if (end > 0) {
      scratch_ += newlines_;
      scratch_ += text.substr(0, end);
      newlines_.clear();
    }
    newlines_ += text.substr(end);
    reasoning_ += scratch_;
    if (sink_ && !scratch_.empty()) sink_(channel_, scratch_);
    return;
  }
  scratch_.clear();
  stop_.feed(text, scratch_);
  answer_ += scratch_;
  if (sink_ && !scratch_.empty()) sink_(channel_, scratch_);
}

void AnswerStream::finish() {
  flush_bytes();
  scratch_.clear();
  stop_.finish(scratch_);
  answer_ += scratch_;
  if (sink_ && !scratch_.empty()) sink_(Channel::kAnswer, scratch_);
}

}  // namespace ds::infer
