// ds-quantize from the outside: exit codes, what goes to stdout, what is there afterwards.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/run_program.h"

namespace {

using Args = std::vector<std::string>;
ProgramResult quantize(Args args, const ProgramOptions& options = {}) {
  return run_program("ds-quantize", args, options);
}
bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

TEST_CASE("ds-quantize: there, judged, and back; ds-run answers from it") {
  const TemporaryFolder work;
  const std::string fp8 = work.path() + "/fp8", bf16 = work.path() + "/bf16",
                    report = work.path() + "/r.json";
  ProgramResult r = quantize({kTinyModel, "--dry-run"});
  CHECK(r.rc == 0);
  CHECK(r.out == "");
  CHECK(r.err.find("71.4 % smaller") != std::string::npos);  // against F32, and it says so
  r = quantize({kTinyModel, "-o", fp8, "--report", report, "--html", work.path() + "/r.html"});
  CHECK(r.rc == 0);
  CHECK(r.out == "");
  CHECK(file_bytes(report).find("\"sqnr_db\":31.5") != std::string::npos);
  CHECK(r.err.find("SQNR is the ratio of signal to quantisation noise") != std::string::npos);
  const std::string page = file_bytes(work.path() + "/r.html");
  CHECK(page.find("<svg") != std::string::npos);
  // Names of tensors are typed, what stands first in other tables is text.
  CHECK(page.find("<table class=names><tr><th>tensor") != std::string::npos);
  CHECK(page.find("th:first-child{text-align:left}") != std::string::npos);
  CHECK(quantize({kTinyModel, "--verify", fp8}).rc == 0);
  CHECK(quantize({kTinyModel, "--verify", kTinyModel}).err.find("no value changed") != std::string::npos);
  r = quantize({kTinyModel, "--verify", fp8, "--min-sqnr", "40"});
  CHECK(r.rc == 1);
  CHECK(r.err.find("NOT passed") != std::string::npos);
  work.write("text", "Why is the sky blue? Sunlight contains all colours.");
  r = quantize({kTinyModel, "--verify", fp8, "--eval", work.path() + "/text"});
  CHECK(r.rc == 0);
  CHECK(r.err.find("top-1 agreement") != std::string::npos);
  CHECK(quantize({fp8, "-o", bf16, "--to", "bf16", "--quiet"}).err == "");
  CHECK(file_bytes(bf16 + "/config.json").find("quantization_config") == std::string::npos);
  const ProgramResult a = run_program("ds-run", {fp8, "Why is the sky blue?", "--quiet"});
  CHECK(a.rc == 0);
  CHECK(a.out.size() > 20);
  r = quantize({kTinyModel, "-o", fp8, "--quiet"});
  CHECK(r.rc == 73);
  CHECK(quantize({kTinyModel, "-o", fp8, "--force", "--scales", "pow2", "--quiet"}).rc == 0);
  CHECK(file_bytes(fp8 + "/config.json").find("ue8m0") != std::string::npos);
}

TEST_CASE("ds-quantize: GGUF to a file and to a pipe are the same bytes; a closed pipe is quiet") {
  const TemporaryFolder work;
  const std::string file = work.path() + "/m.gguf";
  CHECK(quantize({kTinyModel, "-o", file, "--to", "gguf:q8_0", "--quiet"}).rc == 0);
  const ProgramResult r = quantize({kTinyModel, "-o", "-", "--to", "gguf:q8_0"});
  CHECK(r.rc == 0);
  CHECK((r.out == file_bytes(file)));
  CHECK(r.out.substr(0, 4) == "GGUF");
  ProgramOptions broken;
  broken.break_stdout = true;
  const ProgramResult b = quantize({kTinyModel, "-o", "-", "--to", "gguf:bf16", "--quiet"}, broken);
  CHECK(b.rc == 128 + 13);
  CHECK(b.err == "");
  CHECK(quantize({kTinyModel, "-o", file, "--to", "gguf:bf16", "--quiet"}).rc == 73);
}

TEST_CASE("ds-quantize: GGUF in four and six bits answers, and becomes a BF16 folder again") {
  const TemporaryFolder work;
  const std::string questions = file_bytes(DS_SOURCE_DIR "/data/dsv3-tiny-data/eval_math.jsonl");
  ProgramOptions in;
  in.in = questions.substr(0, questions.find("math-add-012"));
  in.in.resize(in.in.rfind('\n') + 1);
  const ProgramResult wanted = run_program("ds-run", {kTinyModel, "--jsonl", "--quiet"}, in);
  for (const char* type : {"q4_0", "q4_k", "q6_k"}) {
    CAPTURE(type);
    const std::string file = work.path() + "/" + type + ".gguf", folder = work.path() + "/" + type;
    const ProgramResult made = quantize({kTinyModel, "-o", file, "--to", std::string("gguf:") + type});
    CHECK(made.rc == 0);
    CHECK(made.err.find(" Q6_K") != std::string::npos);
    // Rows of 128 and 64 values are no block of 256, but some of 32.
    CHECK((made.err.find("in place of") == std::string::npos) == (type == std::string("q4_0")));
    CHECK(quantize({file, "-o", folder, "--to", "bf16", "--quiet"}).rc == 0);
    for (const std::string& model : {file, folder}) {
      const std::vector<std::string> ours = lines_of(
                                         run_program("ds-run", {model, "--jsonl", "--quiet"}, in).out),
                                     theirs = lines_of(wanted.out);
      REQUIRE(ours.size() == theirs.size());
      const auto answer = [](const std::string& line) { return line.substr(line.find("\"text\""), 16); };
      size_t n_same = 0;
      for (size_t i = 0; i < ours.size(); ++i) n_same += answer(ours[i]) == answer(theirs[i]);
      CHECK(n_same + 1 >= ours.size());
    }
  }
}

TEST_CASE("ds-quantize: reports go where they are wanted, and what cannot be written is known at once") {
  const TemporaryFolder work;
  const std::string out = work.path() + "/out", gguf = work.path() + "/m.gguf";
  ProgramResult r = quantize({kTinyModel, "-o", out, "--quiet", "--report", "-"});
  CHECK(r.rc == 0);
  CHECK(r.out.substr(0, 1) == "{");
  CHECK(!exists("-"));
  CHECK(quantize({kTinyModel, "-o", out, "--force", "--quiet", "--report", out + "/r.json"}).rc == 0);
  CHECK(exists(out + "/r.json"));
  CHECK(quantize({kTinyModel, "-o", gguf, "--to", "gguf:q8_0", "--report", work.path() + "/absent/r.json"})
            .rc == 73);
  r = quantize({kTinyModel, "--to", "gguf:q8_0", "--dry-run", "--report", "-"});
  CHECK(r.rc == 0);
  CHECK(r.out.find("\"bytes_written\":0") != std::string::npos);
  CHECK(!exists(gguf));
  CHECK(quantize({kTinyModel, "-o", gguf, "--to", "gguf:q8_0", "--html", work.path() + "/x"}).rc == 2);
  CHECK(quantize({kTinyModel, "--verify", out, "--min-sqnr", "nan"}).rc == 2);
  CHECK(quantize({kTinyModel, "--verify", out, "--eval", work.path() + "/absent"}).rc == 66);
}

TEST_CASE("ds-quantize: a pattern that finds no tensor is named") {
  ProgramResult r = quantize({kTinyModel, "--dry-run", "--include", "experst"});
  CHECK(r.rc == 2);
  CHECK(r.err.find("'experst' finds no tensor") != std::string::npos);
  r = quantize({kTinyModel, "--dry-run", "--exclude", "experst"});
  CHECK(r.rc == 0);
  CHECK(r.err.find("--exclude 'experst' finds no tensor") != std::string::npos);
  CHECK(quantize({kTinyModel, "--dry-run", "--include", "experts", "--exclude", "layers.1"})
            .err.find("finds no tensor") == std::string::npos);
}

TEST_CASE("ds-quantize: exit codes of bad input") {
  const TemporaryFolder work;
  const std::string out = work.path() + "/out";
  CHECK(quantize({}).rc == 2);
  CHECK(quantize({kTinyModel}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", "-"}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", out + ".gguf"}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", kTinyModel}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", kTinyModel + "/inside"}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", out, "--block", "0x128"}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", out, "--include", "("}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", out, "--max-shard-size", "lots"}).rc == 2);
  CHECK(quantize({kTinyModel, "-o", out, "--experts", "fp8"}).rc == 78);
  CHECK(quantize({work.path() + "/absent", "-o", out}).rc == 66);
  CHECK(quantize({work.path(), "-o", out}).rc == 66);
  work.write("config.json", "{");
  CHECK(quantize({work.path(), "-o", "/tmp/ds-quantize-never"}).rc == 78);
  work.write("config.json", "{}");
  for (const std::string& bytes :
       {std::string(), std::string("short"), std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10),
        std::string("\x02\0\0\0\0\0\0\0{}extra", 15)}) {
    work.write("model.safetensors", bytes);
    CHECK(quantize({work.path(), "-o", "/tmp/ds-quantize-never"}).rc == 78);
  }
  // A pipe in the place of a file is refused, not waited for.
  ::unlink((work.path() + "/model.safetensors").c_str());
  CHECK(::mkfifo((work.path() + "/model.safetensors").c_str(), 0600) == 0);
  CHECK(quantize({work.path(), "-o", "/tmp/ds-quantize-never"}).rc == 66);
  CHECK(!exists(out));
  CHECK(!exists("/tmp/ds-quantize-never"));
  CHECK(quantize({kTinyModel, "-o", "/proc/nothing/here"}).rc == 73);
}

TEST_CASE("ds-quantize: a full disk is 74 and leaves what was there") {
  // /dev/full stands in for the disk of a GGUF; a folder's case needs a small file system:
  // scripts/check/disk_full_quantize.sh.
  ProgramOptions full;
  full.stdout_path = "/dev/full";
  CHECK(quantize({kTinyModel, "-o", "-", "--to", "gguf:bf16", "--quiet"}, full).rc == 74);
}
