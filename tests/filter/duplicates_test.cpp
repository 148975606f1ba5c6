#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
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

TEST_CASE("exact duplicates differ in case, width, accents, spacing and punctuation at most") {
  const auto a = sign("The quick brown fox jumps over the lazy dog.", 1);
  CHECK(a.exact == sign("the QUICK  brown fox,\njumps over the lazy dog", 2).exact);
  CHECK(a.exact != sign("The quick brown fox jumps over the lazy cat.", 3).exact);
  // Numbers are one shingle unit to the near search; to equality they are not.
  const auto sum = sign("What is 12 plus 7.5?", 4), other = sign("What is 3 plus 9.5?", 5);
  CHECK(sum.exact != other.exact);
  CHECK(sum.exact == sign("what is 12, plus 7.5", 6).exact);
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

TEST_CASE("optimal band counts of the area criterion are reproduced") {
  // Facts of the datasketch criterion: minimise the mean of false positive and false negative area.
  const auto best = [](double threshold, int n) {
    double least = 1e9;
    std::pair<int, int> out;
    for (int b = 1; b <= n; ++b)
      for (int r = 1; b * r <= n; ++r) {
        double area = 0;
        for (double s = 0.0005; s < 1; s += 0.001) {
          const double p = 1 - std::pow(1 - std::pow(s, r), b);
          area += 0.001 * 0.5 * (s < threshold ? p : 1 - p);
        }
        if (area < least) least = area, out = {b, r};
      }
    return out;
  };
  CHECK(best(0.7, 256) == std::pair(25, 10));
  CHECK(best(0.8, 128) == std::pair(9, 13));
  CHECK(best(0.7, 128) == std::pair(14, 9));
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
  std::filesystem::remove_all(folder);
}
