#include "text/tokenizer/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/json_value.h"
#include "core/utf8.h"
#include "text/tokenizer/char_set.h"
#include "text/tokenizer/char_table.h"
#include "text/tokenizer/pcre_pattern.h"

namespace ds::text {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kBadModel, "normalizer: " + what, where);
}

const icu::Normalizer2* unicode_form(const std::string& name) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = nullptr;
  if (name == "NFC") form = icu::Normalizer2::getNFCInstance(status);
  if (name == "NFD") form = icu::Normalizer2::getNFDInstance(status);
  if (name == "NFKC") form = icu::Normalizer2::getNFKCInstance(status);
  if (name == "NFKD") form = icu::Normalizer2::getNFKDInstance(status);
  if (U_FAILURE(status)) throw Error(ErrorKind::kOs, "ICU normalisation data cannot be loaded", name);
  return form;
}

// The reference library normalises by Unicode 9 tables: characters assigned later neither combine nor
// reorder. Text that is already normalised by today's tables is so by the old ones, so the slow filter is
// only for the rest.
struct UnicodeForm {
  const icu::Normalizer2* form;
  icu::UnicodeSet known;
  icu::FilteredNormalizer2 filtered;

  explicit UnicodeForm(const icu::Normalizer2* f) : form(f), filtered(*f, known) {
    UErrorCode status = U_ZERO_ERROR;
    known.applyPattern(u"[:Age=9.0:]", status);
    if (U_FAILURE(status)) throw Error(ErrorKind::kOs, "ICU property data cannot be loaded", "Age");
    known.freeze();
  }
};

bool apply_form(const UnicodeForm& form, std::string_view text, std::string& out) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  if (ascii) return false;
  if (text.size() > INT32_MAX) throw Error(ErrorKind::kBadData, "text longer than 2 GiB", "");
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  if (form.form->isNormalizedUTF8(piece, status)) return false;
  out.clear();
  icu::StringByteSink<std::string> sink(&out);
  form.filtered.normalizeUTF8(0, piece, sink, nullptr, status);
  if (U_FAILURE(status))
    throw Error(ErrorKind::kOs, std::string("ICU: ") + u_errorName(status), "normalizer");
  return true;
}

bool lowercase(std::string_view text, std::string& out) {
  out.clear();
  for (size_t at = 0; at < text.size();) {
    int length = 0;
    const uint32_t c = read_char(text.data() + at, length);
    at += static_cast<size_t>(length);
    append_utf8(out, c == 0x130 ? 'i' : static_cast<uint32_t>(u_tolower(static_cast<UChar32>(c))));
    if (c == 0x130) append_utf8(out, 0x307);  // the one character whose lower case is two
  }
  return true;
}

bool strip(std::string_view text, std::string& out, bool left, bool right, const CharSet& space) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    int length = 0;
    if (!space.contains(read_char(text.data() + begin, length))) break;
    begin += static_cast<size_t>(length);
  }
  while (right && end > begin) {
    size_t p = end - 1;
    while ((static_cast<uint8_t>(text[p]) & 0xC0) == 0x80) --p;
    int length = 0;
    if (!space.contains(read_char(text.data() + p, length))) break;
    end = p;
  }
  if (begin == 0 && end == text.size()) return false;
  out.assign(text.substr(begin, end - begin));
  return true;
}

bool replace_literal(std::string_view text, std::string& out, std::string_view from, std::string_view to) {
  size_t at = text.find(from);
  if (at == std::string_view::npos) return false;
  out.clear();
  size_t done = 0;
  for (; at != std::string_view::npos; at = text.find(from, done)) {
    out.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
  }
  out.append(text.substr(done));
  return true;
}

const std::string& text_member(const Json& json, const char* key, const std::string& where) {
  const Json* value = find(json, key);
  if (!value || !value->is_string()) refuse(std::string("\"") + key + "\" must be a string", where);
  return as_string(*value);
}

bool flag_member(const Json& json, const char* key, const std::string& where) {
  const Json* value = find(json, key);
  if (!value || !value->is_boolean()) refuse(std::string("\"") + key + "\" must be true or false", where);
  return value->get<bool>();
}

}  // namespace

Normalizer Normalizer::from_json(const Json& json, const std::string& where) {
  Normalizer out;
  if (!json.is_null()) out.add(json, where, 0);
  return out;
}

void Normalizer::add(const Json& json, const std::string& where, int depth) {
  if (!json.is_object()) refuse("a step must be an object", where);
  if (depth > 8 || steps_.size() > 32) refuse("too many steps", where);
  const std::string& type = text_member(json, "type", where);
  if (type == "Sequence") {
    const Json* list = find(json, "normalizers");
    if (!list || !list->is_array()) refuse("Sequence needs a list \"normalizers\"", where);
    for (const Json& step : *list) add(step, where, depth + 1);
  } else if (const icu::Normalizer2* form = unicode_form(type)) {
    const auto shared = std::make_shared<const UnicodeForm>(form);
    steps_.push_back(
        [shared](std::string_view text, std::string& out) { return apply_form(*shared, text, out); });
  } else if (type == "Lowercase") {
    steps_.push_back(lowercase);
  } else if (type == "Prepend") {
    steps_.push_back([prefix = text_member(json, "prepend", where)](std::string_view text, std::string& out) {
      if (text.empty()) return false;
      out.assign(prefix).append(text);
      return true;
    });
  } else if (type == "Strip") {
    const bool left = flag_member(json, "strip_left", where), right = flag_member(json, "strip_right", where);
    steps_.push_back([left, right, space = CharSet::white_space()](std::string_view text, std::string& out) {
      return strip(text, out, left, right, space);
    });
  } else if (type == "Replace") {
    const Json* pattern = find(json, "pattern");
    const std::string& to = text_member(json, "content", where);
    const Json* literal = pattern ? find(*pattern, "String") : nullptr;
    const Json* regex = pattern ? find(*pattern, "Regex") : nullptr;
    if (literal && literal->is_string() && !as_string(*literal).empty()) {
      steps_.push_back([from = as_string(*literal), to](std::string_view text, std::string& out) {
        return replace_literal(text, out, from, to);
      });
    } else if (regex && regex->is_string()) {
      steps_.push_back(
          [re = PcrePattern::compile(as_string(*regex), where), to](std::string_view text, std::string& out) {
            out.clear();
            size_t done = 0;
            re.find_all(text, [&](size_t begin, size_t end) {
              out.append(text.substr(done, begin - done)).append(to);
              done = end;
            });
            out.append(text.substr(done));
            return true;
          });
    } else {
      refuse("Replace needs a pattern {\"String\": ...} or {\"Regex\": ...}", where);
    }
  } else {
    refuse("\"" + type + "\" is not supported", where);
  }
}

std::string_view Normalizer::apply(std::string_view text, std::string& buffer) const {
  std::string_view current = text;
  std::string scratch;
  for (const Step& step : steps_) {
    if (step(current, scratch)) {
      buffer.swap(scratch);
      current = buffer;
    }
  }
  return current;
}

}  // namespace ds::text
