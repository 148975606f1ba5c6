#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "skip.h"

namespace {

std::string running;  // the test that runs

struct NameKeeper : doctest::IReporter {
  explicit NameKeeper(const doctest::ContextOptions&) {}
  void test_case_start(const doctest::TestCaseData& test) override { running = test.m_name; }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("name_keeper", 1, NameKeeper);

// Where the program works: files of relative names are its own, whoever else runs the same tests.
class OwnFolder {
 public:
  OwnFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "dstools-tests-XXXXXX").string();
    if (::mkdtemp(name.data()) && ::chdir(name.c_str()) == 0) path_ = name;
  }
  ~OwnFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

 private:
  std::string path_;
};

}  // namespace

void ds::test::skip_test(const std::string& why) {
  std::printf("skipped: %s: %s\n", running.c_str(), why.c_str());
}

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // as in every tool: a closed pipe is an error of write()
  const OwnFolder folder;
  return doctest::Context(argc, argv).run();
}
