#include <cstdint>

#include "text/tokenizer/pcre_pattern.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/split_pattern.h"

namespace ds::text {
namespace {

using Sink = PreTokenizer::Sink;

struct Span {
  size_t begin, end;
  bool is_match;
};

// Turns matches and the gaps between them into pieces, as the reference library's split does.
class Splitter {
 public:
  Splitter(std::string_view text, SplitBehavior behavior, bool invert, const Sink& sink)
      : text_(text), behavior_(behavior), invert_(invert), sink_(sink) {}

  void match(size_t begin, size_t end) {
    if (begin != previous_) put(previous_, begin, invert_);
    put(begin, end, !invert_);
    previous_ = end;
  }
  void finish() {
    if (previous_ != text_.size()) put(previous_, text_.size(), invert_);
    if (behavior_ == SplitBehavior::kMergedWithNext) merge_with_next();
    if (held_) emit(held_begin_, held_end_);
  }

 private:
  void emit(size_t begin, size_t end) {
    if (begin != end) sink_(text_.substr(begin, end - begin));
  }
  void put(size_t begin, size_t end, bool is_match) {
    switch (behavior_) {
      case SplitBehavior::kIsolated:
        emit(begin, end);
        return;
      case SplitBehavior::kRemoved:
        if (!is_match) emit(begin, end);
        return;
      case SplitBehavior::kContiguous:
        hold(begin, end, is_match == previous_is_match_);
        break;
      case SplitBehavior::kMergedWithPrevious:
        hold(begin, end, is_match && !previous_is_match_);
        break;
      case SplitBehavior::kMergedWithNext:
        spans_.push_back({begin, end, is_match});
        return;
    }
    previous_is_match_ = is_match;
  }
  // Joins the span to the one held back, or lets that one go and holds this.
  void hold(size_t begin, size_t end, bool join) {
    if (held_ && join) {
      held_end_ = end;
      return;
    }
    if (held_) emit(held_begin_, held_end_);
    held_ = true, held_begin_ = begin, held_end_ = end;
  }
  void merge_with_next() {
    std::vector<Span> pieces;
    bool previous = false;
    for (auto it = spans_.rbegin(); it != spans_.rend(); ++it) {
      if (it->is_match && !previous && !pieces.empty())
        pieces.back().begin = it->begin;
      else
        pieces.push_back(*it);
      previous = it->is_match;
    }
    for (auto it = pieces.rbegin(); it != pieces.rend(); ++it) emit(it->begin, it->end);
  }

  std::string_view text_;
  SplitBehavior behavior_;
  bool invert_;
  const Sink& sink_;
  size_t previous_ = 0;
  bool previous_is_match_ = false;
  bool held_ = false;
  size_t held_begin_ = 0, held_end_ = 0;
  std::vector<Span> spans_;
};

class PatternStep : public PreTokenizer::Step {
 public:
  PatternStep(SplitPattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(std::string_view text, const Sink& sink) const override {
    Splitter splitter(text, behavior_, invert_, sink);
    SplitPattern::Finder finder(pattern_, text);
    SplitPattern::Match m;
    while (finder.next(m)) splitter.match(m.begin, m.end);
    splitter.finish();
  }

 private:
  SplitPattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class PcreStep : public PreTokenizer::Step {
 public:
  PcreStep(PcrePattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(std::string_view text, const Sink& sink) const override {
    Splitter splitter(text, behavior_, invert_, sink);
    pattern_.find_all(text, [&](size_t begin, size_t end) { splitter.match(begin, end); });
    splitter.finish();
  }

 private:
  PcrePattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class LiteralStep : public PreTokenizer::Step {
 public:
  LiteralStep(std::string_view literal, SplitBehavior behavior, bool invert)
      : literal_(literal), behavior_(behavior), invert_(invert) {}
  void split(std::string_view text, const Sink& sink) const override {
    Splitter splitter(text, behavior_, invert_, sink);
    for (size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos; at += literal_.size())
      splitter.match(at, at + literal_.size());
    splitter.finish();
  }

 private:
  std::string literal_;
  SplitBehavior behavior_;
  bool invert_;
};

// Each character of a set is a match of its own.
class CharStep : public PreTokenizer::Step {
 public:
  CharStep(const CharSet& set, SplitBehavior behavior) : table_({set}), behavior_(behavior) {}
  void split(std::string_view text, const Sink& sink) const override {
    Splitter splitter(text, behavior_, false, sink);
    for (size_t at = 0; at < text.size();) {
      int length = 0;
      const bool in_set = table_[read_char(text.data() + at, length)] != 0;
      const size_t n = static_cast<size_t>(length);
      if (in_set) splitter.match(at, at + n);
      at += n;
    }
    splitter.finish();
  }

 private:
  CharTable table_;
  SplitBehavior behavior_;
};

class PrefixSpaceStep : public PreTokenizer::Step {
 public:
  void split(std::string_view text, const Sink& sink) const override {
    if (text.front() == ' ')
      sink(text);
    else
      sink(' ' + std::string(text));
  }
};

}  // namespace

std::shared_ptr<const PreTokenizer::Step> make_regex_step(std::string_view regex, SplitBehavior behavior,
                                                          bool invert, const std::string& where) {
  if (auto pattern = SplitPattern::compile(regex))
    return std::make_shared<PatternStep>(std::move(*pattern), behavior, invert);
  return make_pcre_step(regex, behavior, invert, where);
}

std::shared_ptr<const PreTokenizer::Step> make_pcre_step(std::string_view regex, SplitBehavior behavior,
                                                         bool invert, const std::string& where) {
  return std::make_shared<PcreStep>(PcrePattern::compile(regex, where), behavior, invert);
}

std::shared_ptr<const PreTokenizer::Step> make_literal_step(std::string_view literal, SplitBehavior behavior,
                                                            bool invert) {
  return std::make_shared<LiteralStep>(literal, behavior, invert);
}

std::shared_ptr<const PreTokenizer::Step> make_digits_step(bool individual) {
  return std::make_shared<CharStep>(CharSet::numeric(),
                                    individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

std::shared_ptr<const PreTokenizer::Step> make_punctuation_step(SplitBehavior behavior) {
  return std::make_shared<CharStep>(CharSet::punctuation(), behavior);
}

std::shared_ptr<const PreTokenizer::Step> make_prefix_space_step() {
  return std::make_shared<PrefixSpaceStep>();
}

}  // namespace ds::text
