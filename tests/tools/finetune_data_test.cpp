// ds-finetune prep, show, privacy, adapter and plot, from the outside.
#include <doctest/doctest.h>

#include "core/json_value.h"
#include "io/json.h"
#include "run_program.h"

using namespace ds;

namespace {

ProgramResult finetune(const std::vector<std::string>& arguments, const std::string& in = "",
                       const std::vector<std::string>& environment = {}) {
  ProgramOptions options;
  options.in = in;
  options.environment = environment;
  return run_program("ds-finetune", arguments, options);
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string kQuestion = "{\"id\":\"a\",\"question\":\"1+1?\",\"answer\":\"2\"}\n";

}  // namespace

TEST_CASE("prep: records from stdin or files become tokens and labels, which prep and show take again") {
  const ProgramResult r = finetune({"prep", kTinyModel}, kQuestion);
  CHECK(r.rc == 0);
  REQUIRE(lines_of(r.out).size() == 1);
  const Json d = io::parse_json(lines_of(r.out)[0], "stdout");
  CHECK(as_string(*find(d, "id")) == "a");
  CHECK(find(d, "input_ids")->size() == find(d, "labels")->size());
  CHECK(has(r.err, "1 record (qa): 1 document, 0 bad"));
  const TemporaryFolder folder;
  const std::string file = folder.write("qa.jsonl", kQuestion);
  CHECK(finetune({"prep", kTinyModel, file}).out == r.out);
  CHECK(finetune({"prep", kTinyModel, "-"}, kQuestion).out == r.out);
  CHECK(finetune({"prep", kTinyModel}, r.out).out == r.out);
  CHECK(finetune({"prep", kTinyModel, file, "-o", folder.path() + "/out.jsonl", "-q"}).err.empty());
  CHECK(file_bytes(folder.path() + "/out.jsonl") == r.out);
  const ProgramResult shown = finetune({"show", kTinyModel}, r.out);
  CHECK(shown.rc == 0);
  CHECK(has(shown.out, "问题:1+1?\n答案:⟦2<｜end▁of▁sentence｜>⟧"));
  CHECK(!has(shown.out, "\033"));
}

TEST_CASE("prep: exit codes of bad records, empty input, unknown folders, a reader that is gone") {
  const std::string mixed = kQuestion + "no json\n{\"question\":\"q\"}\n";
  const ProgramResult r = finetune({"prep", kTinyModel}, mixed);
  CHECK(r.rc == 0);
  CHECK(lines_of(r.out).size() == 1);
  CHECK(has(r.err, "<stdin>:2: "));
  CHECK(has(r.err, "has no \"answer\", first at <stdin>:3"));
  const TemporaryFolder folder;
  const std::string bad = folder.path() + "/bad.jsonl";
  CHECK(finetune({"prep", kTinyModel, "--bad-lines", bad, "--max-bad", "0.5"}, mixed).rc == 65);
  CHECK(file_bytes(bad) == "no json\n{\"question\":\"q\"}\n");
  const ProgramResult empty = finetune({"prep", kTinyModel}, "");
  CHECK(empty.rc == 65);
  CHECK(has(empty.err, "nothing would be learnt: there is no record"));
  CHECK(finetune({"prep", kTinyModel}, "{\"x\":1}\n").rc == 65);
  CHECK(finetune({"prep", folder.path()}, kQuestion).rc == 66);
  CHECK(finetune({"prep", kTinyModel, folder.path() + "/none"}).rc == 66);
  CHECK(finetune({"prep", kTinyModel, "--train-on", "some"}, kQuestion).rc == 2);
  CHECK(finetune({"prep", kTinyModel, "--target", "{answer}"}, kQuestion).rc == 2);
  ProgramOptions broken;
  broken.in = kQuestion;
  broken.break_stdout = true;
  CHECK(run_program("ds-finetune", {"prep", kTinyModel, "-q"}, broken).err.empty());
  const std::string file = folder.write("qa.jsonl", kQuestion);
  CHECK(finetune({"prep", kTinyModel, file, "-o", file}).rc == 2);  // over its own input
  CHECK(file_bytes(file) == kQuestion);
}

TEST_CASE("prep: templates as a shell hands them over") {
  const ProgramResult r = finetune({"prep", kTinyModel, "--template", "Q: {q}\\nA:", "--target", " {a}"},
                                   "{\"q\":\"x {a}\",\"a\":\"y\"}\n");
  CHECK(r.rc == 0);
  CHECK(has(finetune({"show", kTinyModel}, r.out).out, "Q: x {a}\nA:⟦ y<"));
  const ProgramResult wrong =
      finetune({"prep", kTinyModel, "--template", "{w}", "--target", "{a}"}, "{\"q\":\"x\",\"a\":\"y\"}\n");
  CHECK(wrong.rc == 65);
  CHECK(has(wrong.err, "has no \"w\", which the template names"));
}

TEST_CASE("show: nothing trained is exit 65; a count of 0 shows none and counts all") {
  const ProgramResult r = finetune({"show", kTinyModel}, "{\"input_ids\":[5,6],\"labels\":[-100,-100]}\n");
  CHECK(r.rc == 65);
  CHECK(has(r.err, "nothing would be learnt"));
  const ProgramResult none = finetune({"show", kTinyModel, "-n", "0"}, kQuestion + kQuestion);
  CHECK(none.out.empty());
  CHECK(has(none.err, "2 records"));
  CHECK(finetune({"show", kTinyModel}, "{\"input_ids\":[5,999999],\"labels\":[-100,999999]}\n").rc == 65);
}

TEST_CASE("privacy: epsilon of phases, sigma of an epsilon, and usage errors") {
  const ProgramResult r = finetune({"privacy", "--phase", "0.04,1.5,2250", "--delta", "1e-5", "--json"});
  CHECK(r.rc == 0);
  CHECK(find(io::parse_json(r.out, "stdout"), "epsilon")->get<double>() ==
        doctest::Approx(7.329111171437395).epsilon(1e-9));
  const ProgramResult two = finetune(
      {"privacy", "--phase", "0.01,1.0,500", "--phase", "0.02,1.3,250", "--delta", "1e-5", "--json"});
  CHECK(find(io::parse_json(two.out, "stdout"), "epsilon")->get<double>() ==
        doctest::Approx(2.0311240591003896).epsilon(1e-9));
  const ProgramResult sigma =
      finetune({"privacy", "--phase", "0.04,?,2000", "--delta", "1e-5", "--epsilon", "8"});
  CHECK(sigma.rc == 0);
  CHECK(has(sigma.out, "sigma 1.35613421716"));
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--phase", "0.04,1.5", "--delta", "1e-5"},
                                             {"--phase", "0.04,x,1", "--delta", "1e-5"},
                                             {"--phase", "2,1,1", "--delta", "1e-5"},
                                             {"--phase", "0.1,1,1.5", "--delta", "1e-5"},
                                             {"--phase", "0.1,1,1", "--delta", "0"},
                                             {"--phase", "0.1,?,1", "--delta", "1e-5"},
                                             {"--phase", "0.1,1,1", "--delta", "1e-5", "--epsilon", "3"},
                                             {"--delta", "1e-5"}}) {
    std::vector<std::string> arguments = {"privacy"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    CHECK(finetune(arguments).rc == 2);
  }
}

TEST_CASE("plot and adapter: what is not there, what is none") {
  const std::string events =
      "{\"event\":\"step\",\"step\":1,\"loss\":2.0,\"lr\":0.1}\n{\"event\":\"step\",\"step\":2,\"loss\":1.0,"
      "\"lr\":0.1}\n";
  const ProgramResult r = finetune({"plot", "-"}, events);
  CHECK(r.rc == 0);
  CHECK(has(r.out, "loss\n"));
  CHECK(has(finetune({"plot", "-", "--html", "-"}, events).out, "</html>"));
  CHECK(finetune({"plot", "-"}, "").rc == 65);
  CHECK(finetune({"plot", "/nowhere"}).rc == 66);
  CHECK(finetune({"adapter", "info", "/nowhere"}).rc == 66);
  CHECK(finetune({"adapter", "mend", "/nowhere"}).rc == 2);
  CHECK(finetune({"adapter", "avg", "/nowhere"}).rc == 2);  // without -o
}
