// The settings of the stages, beside their rules. Each stage names its own once, to a visitor that reads a
// profile or writes one.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "filter/text/document.h"

namespace ds::filter {

class SettingVisitor {
 public:
  virtual ~SettingVisitor() = default;
  virtual void flag(const char* key, bool& value) = 0;
  virtual void integer(const char* key, int& value, int least, int most) = 0;
  virtual void number(const char* key, double& value, double least, double most) = 0;
  virtual void text(const char* key, std::string& value) = 0;
  virtual void texts(const char* key, std::vector<std::string>& value) = 0;
  virtual void choice(const char* key, int& value, std::span<const char* const> names) = 0;
  // Switches under names of their own, known to the stage's resources.
  virtual void flags(const char* key, std::map<std::string, bool>& value) = 0;
  // `members` visits what stands inside the object `key`.
  virtual void section(const char* key, const std::function<void()>& members) = 0;

  // A value that was taken is none that there is: ends the reading of a profile.
  virtual void refuse(const std::string& what) = 0;

  void per_script(const char* key, int (&value)[kScripts], int least, int most) {
    section(key, [&] {
      for (int k = 0; k < kScripts; ++k) integer(script_name(static_cast<Script>(k)), value[k], least, most);
    });
  }
  void per_script(const char* key, double (&value)[kScripts], double least, double most) {
    section(key, [&] {
      for (int k = 0; k < kScripts; ++k) number(script_name(static_cast<Script>(k)), value[k], least, most);
    });
  }
};

struct IntegritySettings {
  std::vector<std::string> languages = {"en", "zh"};
  void visit(SettingVisitor& v);
};

enum RepetitionFormula { kDatatrove, kCovered };
struct QualitySettings {
  int repetition_formula = kDatatrove;  // kCovered: share of characters under any repeated n-gram
  bool count_guard = true;  // an n-gram that occurs once is no repetition (datatrove has no such guard)
  bool c4_terminal_punctuation = false;  // lines must end in . ? ! " ' (FineWeb runs C4 without)
  int c4_min_words_per_line = 3;
  int c4_max_word_length = 1000;
  void visit(SettingVisitor& v);
};

// What may be done about one kind of personal data.
enum PersonalDataAction { kOff, kMask, kDrop };
constexpr int kPersonalKinds = 6;
struct EntitySettings {
  int personal_data[kPersonalKinds] = {kMask, kMask, kMask,
                                       kMask, kMask, kMask};  // PersonalDataAction by kind
  std::map<std::string, bool> categories = {{"pornography", true}, {"violence", true}, {"gambling", true},
                                            {"drugs", true},       {"fraud", true},    {"weapons", true}};
  void visit(SettingVisitor& v);
};

struct DuplicateSettings {
  int shingle[kScripts] = {5, 10};  // units of one MinHash shingle
  double min_similarity = 0.75;     // estimate two records need to be near-duplicates; 0: any shared band
  int contamination_ngram[kScripts] = {13, 20};
  void visit(SettingVisitor& v);
};

struct SemanticSettings {
  int max_units = 4096;           // at most so many units of a text are embedded, in chunks of 512
  int min_units = 8;              // shorter: not scored, kept
  double cut[kScripts] = {0, 0};  // cosine that 0.7 stands for; 0: the embedder's own calibration
  std::string embedder_digest;    // of the embedder the cuts were made for; "": no cuts given
  void visit(SettingVisitor& v);
};

}  // namespace ds::filter
