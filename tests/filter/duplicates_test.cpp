#include <doctest/doctest.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>

#include "filter/duplicates/clusters.h"
#include "filter/duplicates/minhash.h"
#include "filter/passes/segment.h"
#include "filter/stages/evaluation_sets.h"

using namespace ds;
using namespace ds::filter;

namespace {

std::string temp_folder(const char* name) {
  const auto path = std::filesystem::temp_directory_path() /
                    (std::string("ds-filter-test-") + name + std::to_string(::getpid()));
  std::filesystem::create_directories(path);
  return path.string();
}

Signature sign(const std::string& text, uint64_t offset) {
  Document doc;
  doc.text = text;
  prepare(doc);
  MinHasher hasher;
  Signature s;
  hasher.sign(doc, 5, s);
  s.ordinal = {0, offset};
  return s;
}

std::vector<Duplicate> duplicates_among(const std::vector<Signature>& signatures, double min_similarity,
                                        int threads, int64_t memory = 1 << 30) {
  const std::string folder = temp_folder("sig");
  SegmentWriter writer(folder + "/a");
  SegmentBlock block;
  for (const Signature& s : signatures) block.add(s);
  writer.add(block);
  writer.commit({});
  EdgeOptions options;
  options.min_similarity = min_similarity;
  options.memory_bytes = memory;
  ThreadPool pool(threads);
  const SignatureSet set({folder + "/a.sig"});
  auto out = find_duplicates(set, options, pool);
  std::filesystem::remove_all(folder);
  return out;
}

// Two documents whose shingle sets have the given Jaccard similarity: units are random, shingles of one unit.
void pair_with_similarity(double s, int n, std::mt19937_64& rng, Signature& a, Signature& b) {
  // |A and B| = k, |A| = |B| = n: k / (2n - k) = s.
  const int k = static_cast<int>(std::lround(2 * n * s / (1 + s)));
  Document da, db;
  for (int i = 0; i < n; ++i) {
    const uint64_t u = rng();
    da.shingle_units.push_back(u);
    db.shingle_units.push_back(i < k ? u : rng());
  }
  MinHasher hasher;
  hasher.sign(da, 1, a);
  hasher.sign(db, 1, b);
}

}  // namespace

TEST_CASE("the detection curve of 14 bands of 8 is 1-(1-s^8)^14") {
  std::mt19937_64 rng(20240607);
  constexpr int kPairs = 1500;
  for (const double s : {0.5, 0.6, 0.7, 0.75, 0.8, 0.9}) {
    int caught = 0;
    double estimate = 0;
    for (int i = 0; i < kPairs; ++i) {
      Signature a, b;
      pair_with_similarity(s, 300, rng, a, b);
      bool same = false;
      for (int band = 0; band < kBands; ++band) same = same || a.bands[band] == b.bands[band];
      caught += same;
      estimate += similarity(a.minima.data(), b.minima.data());
    }
    const double expected = 1 - std::pow(1 - std::pow(s, 8), 14);
    const double sigma = std::sqrt(expected * (1 - expected) / kPairs);
    INFO("seed 20240607, s = " << s << ": caught " << caught / double(kPairs) << ", expected " << expected);
    // The similarity of a pair is rounded to whole shingles, hence the small addend.
    CHECK(std::fabs(caught / double(kPairs) - expected) < 4 * sigma + 0.01);
    CHECK(std::fabs(estimate / kPairs - s) < 0.01);
  }
}

TEST_CASE("signatures are those of earlier versions: their files are kept and compared with new ones") {
  // "dsfsig3": another hash needs another magic.
  const Signature s =
      sign("The quick brown fox jumps over the lazy dog, and the dog sleeps on. 天空为什么是蓝色的", 1);
  INFO(XXH3_64bits(s.minima.data(), sizeof s.minima), " ", XXH3_64bits(s.bands.data(), sizeof s.bands), " ",
       s.exact[0]);
  CHECK(XXH3_64bits(s.minima.data(), sizeof s.minima) == 16113070284058621451u);
  CHECK(XXH3_64bits(s.bands.data(), sizeof s.bands) == 8914756871078782980u);
  CHECK(s.exact[0] == 3249957200924130252u);
}

TEST_CASE("exact duplicates differ in case, width, accents, spacing and marks of prose at most") {
  const auto a = sign("The quick brown fox jumps over the lazy dog.", 1);
  CHECK(a.exact == sign("the QUICK  brown fox,\njumps over the lazy dog", 2).exact);
  CHECK(a.exact != sign("The quick brown fox jumps over the lazy cat.", 3).exact);
  // Signs that say something are no marks of prose: those of programs and formulas.
  const auto code = sign("if (x < 1) {y = a * b;}", 7);
  for (const char* other : {"if (x > 1) {y = a * b;}", "if (x < 1) {y = a / b;}", "if (!x < 1) {y = a * b;}",
                            "if (x < 1) {y = a b;}", "if (x < 2) {y = a * b;}", "if x < 1 {y = a * b;}"})
    CHECK_MESSAGE(code.exact != sign(other, 8).exact, other);
  CHECK(code.exact == sign("IF (x ＜ １)  {y = a * b}", 8).exact);
  CHECK(sign("当 3 < 5 时，这一段文字成立。", 9).exact != sign("当 3 > 5 时，这一段文字成立。", 10).exact);
  CHECK(sign("当 3 < 5 时，这一段文字成立。", 9).exact == sign("当３<５时这一段文字成立", 10).exact);
  const auto sum = sign("What is 12 plus 7.5?", 4), other = sign("What is 3 plus 9.5?", 5);
  CHECK(sum.exact != other.exact);
  CHECK(sum.exact == sign("what is 12, plus 7.5", 6).exact);
}

TEST_CASE("texts that differ in numbers or operators are the less alike, the more of them these are") {
  const auto alike = [](const std::string& a, const std::string& b) {
    return similarity(sign(a, 1).minima.data(), sign(b, 2).minima.data());
  };
  const auto sum = [](const char* a, const char* b, const char* c) {
    return std::string("What is ") + a + " plus " + b + "? The answer is " + c +
           ". Write the result down and check it by subtracting one of the numbers from the sum.";
  };
  CHECK(alike(sum("12", "35", "47"), sum("61", "28", "89")) < 0.75);
  CHECK(alike(sum("12", "35", "47"), sum("12", "35", "47")) == 1);
  CHECK(alike(sum("12", "35", "47"), sum("35", "12", "47")) < 0.9);
  CHECK(alike("if (x < 1) { y = a * b; }", "if (x > 1) { y = a / b; }") < 0.75);
  // A paragraph with a date and a temperature of its own is the same paragraph.
  const auto weather = [](const char* day, const char* degrees) {
    return std::string("On the morning of ") + day +
           " the weather station at the harbour reported clear skies, light wind from the west and good "
           "visibility over the whole bay, while fishermen returned early with their catch, the ferry to the "
           "islands kept its timetable all through the day and nobody on the pier expected any rain before "
           "the "
           "evening, when the thermometer beside the old lighthouse still showed a mild " +
           degrees + " degrees and families walked home along the beach.";
  };
  CHECK(alike(weather("17", "21.5"), weather("18", "19")) > 0.8);
}

TEST_CASE("texts shorter than a shingle are duplicates of their equals only") {
  const std::vector<Signature> s = {sign("yes", 1),       sign("no", 2), sign("Yes!", 3),
                                    sign("two words", 4), sign("", 5),   sign("...", 6)};
  const auto d = duplicates_among(s, 0.75, 1);
  REQUIRE(d.size() == 1);
  CHECK(d[0].ordinal.offset == 3);
  CHECK(d[0].kept_ordinal.offset == 1);
  CHECK(d[0].exact == 1);
}

TEST_CASE("a chain loses no record that resembles nothing kept; what is dropped has its pair's own value") {
  // Each text is the one before it, moved on by six words of 150: neighbours are alike, the ends share
  // nothing.
  std::mt19937_64 rng(11);
  std::vector<std::string> words;
  for (int i = 0; i < 150 + 6 * 60; ++i) words.push_back("w" + std::to_string(rng() % 100000));
  std::vector<Signature> s;
  for (uint64_t i = 0; i < 60; ++i) {
    std::string text;
    for (size_t w = 0; w < 150; ++w) text += words[6 * i + w] + " ";
    s.push_back(sign(text, i));
  }
  const auto value = [&](const Ordinal& a, const Ordinal& b) {
    return similarity(s[a.offset].minima.data(), s[b.offset].minima.data());
  };
  const auto d = duplicates_among(s, 0.75, 2);
  CHECK(d.size() > 20);
  CHECK(d.size() < 50);
  std::vector<bool> dropped(s.size());
  for (const Duplicate& x : d) {
    dropped[x.ordinal.offset] = true;
    CHECK(x.similarity >= 0.75);
    CHECK(x.similarity == value(x.ordinal, x.kept_ordinal));
  }
  for (const Duplicate& x : d) CHECK(!dropped[x.kept_ordinal.offset]);
}

TEST_CASE("many texts like one are dropped for it, however they are ordered among themselves") {
  std::mt19937_64 rng(5);
  std::vector<std::string> words;
  for (int i = 0; i < 200; ++i) words.push_back("w" + std::to_string(rng() % 100000));
  std::vector<Signature> s;
  for (uint64_t i = 0; i < 500; ++i) {
    auto edited = words;
    if (i > 0) edited[rng() % edited.size()] = "e" + std::to_string(rng());
    std::string text;
    for (const auto& w : edited) text += w + " ";
    s.push_back(sign(text, i));
  }
  const auto d = duplicates_among(s, 0.75, 1);
  REQUIRE(d.size() == 499);
  for (const Duplicate& x : d) {
    CHECK(x.kept_ordinal.offset == 0);
    CHECK(x.cluster_size == 500);
  }
}

TEST_CASE("of a hundred texts that share a key, those like one of the first 64 by content are found for it") {
  // A hub, and others that each equal it in 87 of 112 minima but hardly each other.
  std::mt19937_64 rng(1);
  std::vector<Signature> s(100);
  const auto content = [](const Signature& x) { return XXH3_64bits(x.minima.data(), sizeof x.minima); };
  const auto hub_rank = [&] {
    return std::count_if(s.begin(), s.end(), [&](const Signature& x) { return content(x) < content(s[0]); });
  };
  do {
    for (auto& m : s[0].minima) m = static_cast<uint16_t>(rng());
    for (size_t i = 0; i < s.size(); ++i) {
      s[i].minima = s[0].minima;
      for (size_t k = 0; i > 0 && k < 25; ++k)
        s[i].minima[(k * 41 + i * 17 + k * i) % kHashes] = static_cast<uint16_t>(rng());
      for (auto& b : s[i].bands) b = rng();
      s[i].bands[3] = 7;
      s[i].exact = {rng(), rng()};
      s[i].ordinal = {0, i};
    }
  } while (hub_rank() < 33 || hub_rank() >= 64);
  int n_like = 0;
  for (size_t i = 1; i < s.size(); ++i) n_like += similarity(s[0].minima.data(), s[i].minima.data()) >= 0.75;
  const auto d = duplicates_among(s, 0.75, 1);
  CHECK(n_like > 90);
  CHECK(std::count_if(d.begin(), d.end(), [](const Duplicate& x) { return x.kept_ordinal.offset == 0; }) ==
        n_like);
}

TEST_CASE("equal records of files whose numbers differ by a power of two stay apart: one of them is kept") {
  std::vector<Signature> s = {sign("the same text in two files", 0), sign("the same text in two files", 0)};
  s[1].ordinal.file = 1 << 20;
  const auto d = duplicates_among(s, 0.75, 1);
  REQUIRE(d.size() == 1);
  CHECK(d[0].kept_ordinal.file == 0);
  CHECK(d[0].ordinal.file == 1 << 20);
}

TEST_CASE("composed and decomposed letters are the same to the duplicate search") {
  CHECK(sign("R\u00e9sum\u00e9 du d\u00e9bat fran\u00e7ais, na\u00efve \u1ebf", 0).exact ==
        sign("Re\u0301sume\u0301 du de\u0301bat franc\u0327ais, nai\u0308ve e\u0302\u0301", 1).exact);
  CHECK(sign("\ud55c\uad6d\uc5b4 \uae00", 0).exact ==
        sign("\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165 \u1100\u1173\u11af", 1).exact);
  CHECK(sign("\u304c\u304e", 0).exact == sign("\u304b\u3099\u304d\u3099", 1).exact);
}

TEST_CASE("clusters do not depend on order, threads or memory; the first record of each stays") {
  std::mt19937_64 rng(7);
  std::vector<std::vector<std::string>> groups;
  std::vector<std::string> texts;
  for (int g = 0; g < 60; ++g) {
    std::vector<std::string> words;
    for (int i = 0; i < 120; ++i) words.push_back("w" + std::to_string(rng() % 100000));
    const int copies = 1 + static_cast<int>(rng() % 6);
    for (int c = 0; c < copies; ++c) {
      auto edited = words;
      for (int e = 0; e < static_cast<int>(rng() % 4); ++e)
        edited[rng() % edited.size()] = "e" + std::to_string(rng());
      std::string text;
      for (const auto& w : edited) text += w + " ";
      texts.push_back(text);
    }
  }
  std::vector<Signature> base;
  for (size_t i = 0; i < texts.size(); ++i) base.push_back(sign(texts[i], i));
  const auto first = duplicates_among(base, 0.75, 1);
  CHECK(first.size() > 40);
  const auto same = [&](const std::vector<Duplicate>& other) {
    REQUIRE(other.size() == first.size());
    for (size_t i = 0; i < first.size(); ++i) {
      CHECK(other[i].ordinal == first[i].ordinal);
      CHECK(other[i].kept_ordinal == first[i].kept_ordinal);
      CHECK(other[i].cluster_size == first[i].cluster_size);
      CHECK(other[i].kept_ordinal < other[i].ordinal);
    }
  };
  same(duplicates_among(base, 0.75, 4));
  same(duplicates_among(base, 0.75, 1, 1));  // many key ranges
  auto shuffled = base;
  std::shuffle(shuffled.begin(), shuffled.end(), rng);
  same(duplicates_among(shuffled, 0.75, 2));
}

TEST_CASE("the estimate is the Jaccard similarity of the shingles, wherever the texts differ") {
  std::mt19937_64 rng(3);
  constexpr int kUnits = 60, kPairs = 80;
  const auto random_document = [&] {
    Document doc;
    for (int i = 0; i < kUnits; ++i) doc.shingle_units.push_back(rng());
    return doc;
  };
  const auto shingles_of = [](const Document& doc, int n) {
    std::set<std::vector<uint64_t>> all;
    const auto& units = doc.shingle_units;
    for (auto at = units.begin(); at + n <= units.end(); ++at) all.emplace(at, at + n);
    return all;
  };
  MinHasher hasher;
  Signature a, b;
  for (const int shingle : {1, 2, 5, 9})
    for (const std::vector<int>& edits :
         std::vector<std::vector<int>>{{0}, {31}, {kUnits - 1}, {0, 17, 44}}) {
      INFO("shingles of ", shingle, ", ", edits.size(), " edits from ", edits[0]);
      double expected = 0, seen = 0;
      for (int i = 0; i < kPairs; ++i) {
        const Document one = random_document();
        Document two = one;
        for (const int at : edits) two.shingle_units[at] = rng();
        const auto x = shingles_of(one, shingle), y = shingles_of(two, shingle);
        const auto n_common = static_cast<double>(
            std::count_if(x.begin(), x.end(), [&](const auto& v) { return y.contains(v); }));
        expected += n_common / (static_cast<double>(x.size() + y.size()) - n_common) / kPairs;
        hasher.sign(one, shingle, a);
        hasher.sign(two, shingle, b);
        seen += similarity(a.minima.data(), b.minima.data()) / kPairs;
      }
      CHECK(std::fabs(seen - expected) < 5 * std::sqrt(0.25 / (kHashes * kPairs)));
    }
  // The same shingles in another order are the same set, down to the last one.
  Document one = random_document(), two = one;
  std::shuffle(two.shingle_units.begin(), two.shingle_units.end(), rng);
  hasher.sign(one, 1, a);
  hasher.sign(two, 1, b);
  CHECK(a.minima == b.minima);
  CHECK(a.bands == b.bands);
  CHECK(a.exact != b.exact);
}

TEST_CASE("a text that holds 13 words of an evaluation item is found, 12 are not") {
  const std::string folder = temp_folder("eval");
  std::ofstream(folder + "/eval.jsonl")
      << R"({"question":"If a train leaves the station at noon and travels sixty miles per hour how far is it by three","answer":"180"})"
      << "\n"
      << R"({"question":"小明有三个苹果，他又买了五个苹果，然后吃掉了两个，请问他现在还有几个苹果？"})"
      << "\n";
  EvaluationSets sets;
  const DuplicateSettings settings;
  sets.add(folder + "/eval.jsonl", settings.contamination_ngram);
  const auto matches = [&](const std::string& text) {
    Document doc;
    doc.text = text;
    prepare(doc);
    return sets.find(doc, settings.contamination_ngram).n_grams;
  };
  CHECK(matches("Blah blah. A train LEAVES the station, at noon, and travels sixty miles per hour! Then more "
                "words follow here.") == 1);
  CHECK(matches("a train leaves the station at noon and travels sixty miles per minute and so on and on") ==
        0);
  CHECK(matches(
            "题目：小明有三个苹果，他又买了五个苹果，然后吃掉了两个，请问他现在还有几个苹果？答案是六个。") >
        0);
  CHECK(matches("小明有三个苹果，小红有两个苹果，他们一共有五个苹果。") == 0);
  CHECK(sets.n_too_short() == 1);
  // Short items match as a whole from six words on, and the place is that of the first match.
  std::ofstream(folder + "/short.txt") << "alpha beta gamma delta epsilon zeta\none two three four five\n";
  EvaluationSets few;
  few.add(folder + "/short.txt", settings.contamination_ngram);
  CHECK(few.n_too_short() == 1);
  Document doc;
  doc.text = "what is alpha beta gamma delta epsilon zeta, and one two three four five";
  prepare(doc);
  const auto found = few.find(doc, settings.contamination_ngram);
  CHECK(found.n_grams == 1);
  CHECK(found.begin == 2);
  CHECK(found.end == 8);
  std::filesystem::remove_all(folder);
}
