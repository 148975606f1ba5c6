#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>

#include "core/cpu.h"
#include "core/error.h"

namespace ds::cli {
namespace {

// The only process-wide state of a tool: which program this is, and the signal that asked it to stop.
std::string program_name = "dstools";
volatile sig_atomic_t stop_signal = 0;

void on_signal(int signal) {
  if (stop_signal) {  // asked twice: now
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  stop_signal = signal;
}

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 negative verdict; 2 usage; 3 inconclusive; 65 bad input data; 66 input missing; "
    "70 our bug; "
    "71 device or OS; 73 cannot create output; 74 I/O error, full disk included; 75 interrupted, resumable; "
    "78 bad model or config; 128+n killed by signal n.";

std::string environment_name(const std::string& flag) {
  std::string name = "DS_";
  for (const char c : flag)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

void add_environment_names(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    // A variable cannot ask for --help, --version, --man or --completion instead of the work.
    if (option->get_lnames().empty() || option->get_lnames()[0] == "help" || option->get_group() == "About")
      continue;
    if (option->get_envname().empty()) option->envname(environment_name(option->get_lnames()[0]));
  }
  for (CLI::App* sub : app.get_subcommands({})) add_environment_names(*sub);
}

// Says so when an option that an error names has its variable set: few look for a wrong value there.
std::string environment_note(const CLI::App& app, const std::string& error) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->get_envname().empty()) continue;
    const std::string name = "--" + option->get_lnames()[0];
    const size_t at = error.find(name);
    const bool named = at != std::string::npos &&
                       (at + name.size() == error.size() || std::strchr(" :,", error[at + name.size()]));
    if (named && std::getenv(option->get_envname().c_str()))
      return " (" + option->get_envname() + " is set in the environment)";
  }
  for (const CLI::App* sub : app.get_subcommands({})) {
    const std::string note = environment_note(*sub, error);
    if (!note.empty()) return note;
  }
  return "";
}

std::string roff(std::string text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string option_heading(const CLI::Option& option) {
  std::string heading;
  for (const auto& name : option.get_snames()) heading += (heading.empty() ? "-" : ", -") + name;
  for (const auto& name : option.get_lnames()) heading += (heading.empty() ? "--" : ", --") + name;
  if (heading.empty()) heading = option.get_name(true);
  if (option.get_type_size() != 0 && !option.get_lnames().empty()) heading += " " + option.get_type_name();
  return heading;
}

// Paragraphs are filled; indented lines (examples) stay as they are.
std::string roff_text(const std::string& text) {
  std::istringstream lines(text);
  std::string line, out;
  bool literal = false;
  while (std::getline(lines, line)) {
    const bool indented = line.rfind("  ", 0) == 0;
    if (indented != literal) out += indented ? ".nf\n" : ".fi\n";
    literal = indented;
    out += line.empty() ? ".PP\n" : "\\&" + roff(line) + "\n";  // \& : a leading dot is no request
  }
  return out + (literal ? ".fi\n" : "");
}

void print_man_page(const CLI::App& app, const std::string& notes) {
  std::cout << ".TH " << roff(app.get_name()) << " 1 \"\" \"dstools " DS_VERSION "\"\n.SH NAME\n"
            << roff(app.get_name()) << " \\- "
            << roff(app.get_description().substr(0, app.get_description().find('\n')))
            << "\n.SH DESCRIPTION\n"
            << roff_text(app.get_description()) << ".SH OPTIONS\n";
  const auto print_options = [](const CLI::App& a) {
    for (const CLI::Option* option : a.get_options()) {
      std::cout << ".TP\n.B " << roff(option_heading(*option)) << "\n" << roff(option->get_description());
      if (!option->get_envname().empty()) std::cout << " [" << roff(option->get_envname()) << "]";
      std::cout << "\n";
    }
  };
  print_options(app);
  for (const CLI::App* sub : app.get_subcommands({})) {
    std::cout << ".SH COMMAND " << roff(sub->get_name()) << "\n" << roff(sub->get_description()) << "\n";
    print_options(*sub);
  }
  if (!notes.empty()) std::cout << ".SH NOTES\n" << roff_text(notes);
  std::cout << ".SH EXIT STATUS\n" << roff(kExitCodes) << "\n";
}

void print_bash_completion(const CLI::App& app) {
  std::string words;
  const auto collect = [&](const CLI::App& a) {
    for (const CLI::Option* option : a.get_options())
      for (const auto& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
  };
  collect(app);
  for (const CLI::App* sub : app.get_subcommands({})) {
    words += " " + sub->get_name();
    collect(*sub);
  }
  std::string function = "_" + app.get_name();
  std::replace(function.begin(), function.end(), '-', '_');
  std::cout << function << "() {\n  local cur=${COMP_WORDS[COMP_CWORD]}\n  if [[ $cur == -* ]]; then\n"
            << "    COMPREPLY=($(compgen -W '" << words << "' -- \"$cur\"))\n  else\n"
            << "    COMPREPLY=($(compgen -f -- \"$cur\"))\n  fi\n}\ncomplete -o filenames -F " << function
            << " " << app.get_name() << "\n";
}

void print_version(const CLI::App& app) {
  const CpuFeatures& f = cpu_features();
  std::cout << app.get_name() << " (dstools) " DS_VERSION "\nbuild:  " DS_COMPILER ", C++"
            << __cplusplus / 100 % 100 << "\nlevels:";
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    std::cout << " " << isa_name(isa) << (isa_available(isa) ? "" : " (not on this machine)");
  std::cout << "\ncpu:    " << cpu_model_name() << (f.avx512_bf16 ? ", avx512_bf16" : "")
            << (f.avx512_vnni ? ", avx512_vnni" : "") << (f.avx512_vbmi ? ", avx512_vbmi" : "")
            << "\ncuda:   not built in\n";
}

// A file opened later must not take the place of a stream that the caller closed: data would go to the wrong
// file, or a weight file be read as the prompt. Reads then find the end, writes fail.
void occupy_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    [[maybe_unused]] const int taken = ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int report(const Error& e) {
  std::string text = program_name + ": ";
  if (!e.where().empty()) text += e.where() + ": ";
  text += e.what();
  if (!e.hint().empty()) text += "\n  " + e.hint();
  std::cerr << text << std::endl;
  return static_cast<int>(e.kind());
}

int guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const Error& e) {
    return report(e);
  } catch (const BrokenPipe&) {
    // The reader left: end as the default action of SIGPIPE would, after destructors have removed partial
    // files.
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
    return 128 + SIGPIPE;
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorKind::kOs, "out of memory", "", "see --plan, or lower --ctx"));
  } catch (const std::exception& e) {
    return report(Error(ErrorKind::kInternal, e.what(), "", "this is a bug in dstools, please report it"));
  }
}

}  // namespace

void add_machine_options(CLI::App& app, Machine& o) {
  app.add_option("--threads", o.threads, "Threads [what cgroup, cpuset, affinity mask and SLURM allow]")
      ->check(CLI::Range(0, 4096))
      ->type_name("N")
      ->group("Machine");
  app.add_option("--isa", o.isa, "Kernels: auto, scalar, avx2, avx512 or amx")
      ->capture_default_str()
      ->type_name("LEVEL")
      ->group("Machine");
}

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  program_name = app.get_name();
  occupy_closed_streams();
  ::signal(SIGPIPE, SIG_IGN);  // a closed pipe is then an error of write(), handled in guarded()
  bool version = false, man = false;
  std::string completion;
  app.add_flag("--version", version, "Print the version, kernel levels and CUDA support")->group("About");
  app.add_flag("--man", man, "Print the man page")->group("About");
  app.add_option("--completion", completion, "Print a completion script")
      ->check(CLI::IsMember({"bash"}))
      ->type_name("bash")
      ->group("About");
  const std::string notes = app.get_footer();
  app.footer((notes.empty() ? std::string() : notes + "\n\n") +
             "Every option is also an environment variable: --max-tokens is DS_MAX_TOKENS.\n" + kExitCodes);
  add_environment_names(app);
  // --version and its like must work without the arguments a run needs.
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--") break;
    if (arg == "--version") return print_version(app), std::cout.flush() ? 0 : 74;
    if (arg == "--man") return print_man_page(app, notes), std::cout.flush() ? 0 : 74;
    if (arg == "--completion") return print_bash_completion(app), std::cout.flush() ? 0 : 74;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    app.exit(e);
    return std::cout.flush() ? 0 : 74;
  } catch (const CLI::ParseError& e) {
    std::cerr << program_name << ": " << e.what() << environment_note(app, e.what()) << "\n  see "
              << program_name << " --help" << std::endl;
    return static_cast<int>(ErrorKind::kUsage);
  }
  const int code = guarded([&] {
    const int rc = body();
    standard_output().flush();
    return rc;
  });
  // A write can fail as late as here (NFS, full disk).
  if (::close(STDOUT_FILENO) != 0 && code == 0)
    return report(Error(ErrorKind::kIo, "closing failed: " + os_error(), "<stdout>"));
  return code;
}

OutputStream& standard_output() {
  static OutputStream stream(STDOUT_FILENO, "<stdout>");
  return stream;
}

ReportFile::ReportFile(const std::string& path, const std::string& out) : path_(path) {
  const bool inside = !out.empty() && path.starts_with(out + "/");
  if (!path.empty() && path != "-" && !inside) file_.emplace(path);
}

void ReportFile::write(const std::string& text) {
  if (path_.empty()) return;
  if (path_ == "-") {
    standard_output().write(text);
    standard_output().flush();
    return;
  }
  if (!file_) file_.emplace(path_);
  file_->write(text);
  file_->commit();
}

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO); }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO); }
int stdout_columns(int otherwise) {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}
bool stderr_has_colour() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) && !(no_color && *no_color) && !(term && std::strcmp(term, "dumb") == 0);
}

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // no SA_RESTART: a blocked read returns and sees the request
  for (const int signal : {SIGTERM, SIGUSR1, SIGINT}) ::sigaction(signal, &action, nullptr);
}
bool stop_requested() { return stop_signal != 0; }
bool forget_interrupt() {
  if (stop_signal != SIGINT) return false;
  stop_signal = 0;
  return true;
}
std::optional<std::string_view> ask_line(LineReader& lines) {
  for (bool again = false;; again = true) {
    std::cerr << "> " << std::flush;
    const auto line = lines.next();
    if (line) return line;
    std::cerr << std::endl;
    if (again || !forget_interrupt()) return std::nullopt;
  }
}

int stop_exit_code() {
  return stop_signal == SIGINT ? 128 + SIGINT : static_cast<int>(ErrorKind::kInterrupted);
}

void note(const std::string& text) { std::cerr << program_name << ": " << text << std::endl; }

}  // namespace ds::cli
