#include "cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cli/signals.h"
#include "core/utf8.h"

namespace ds::cli {
namespace {

constexpr int kLinesKept = 1000;
// A terminal puts these around what is pasted once it was asked to (xterm's "bracketed paste").
constexpr const char *kPasteOn = "\x1b[?2004h", *kPasteOff = "\x1b[?2004l";
constexpr const wchar_t *kPasteBegin = L"\x1b[200~", *kPasteEnd = L"\x1b[201~";

// Signals that change the terminal under an edited line. They are looked at between keys.
volatile sig_atomic_t resized = 0, suspended = 0, resumed = 0;
void on_terminal_signal(int signal) {
  (signal == SIGWINCH ? resized : signal == SIGTSTP ? suspended : resumed) = 1;
}

// While a line is edited, and no longer.
class TerminalSignals {
 public:
  TerminalSignals() { set(); }
  ~TerminalSignals() {
    for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  void set() {
    struct sigaction action {};
    action.sa_handler = on_terminal_signal;
    for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
  }
  // Stops the process as if nobody had asked about the signal.
  void suspend() {
    ::signal(SIGTSTP, SIG_DFL);
    ::raise(SIGTSTP);
    struct sigaction action {};
    action.sa_handler = on_terminal_signal;
    ::sigaction(SIGTSTP, &action, nullptr);
  }

 private:
  static constexpr int kSignals[] = {SIGWINCH, SIGTSTP, SIGCONT};
  struct sigaction before_[std::size(kSignals)];
};

std::wstring wide(const std::string& text) {
  std::wstring out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(std::string_view(text).substr(i));
    out += c.length > 0 ? static_cast<wchar_t>(c.code_point) : L'\uFFFD';
    i += c.length > 0 ? c.length : c.invalid_length;
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) append_utf8(out, static_cast<uint32_t>(c));
  return out;
}

// libedit asks the C library which characters are wide: under a locale that knows none, none are.
void use_utf8() {
  ::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) ::setlocale(LC_CTYPE, "C.UTF-8");
}

// Empty where there is no home.
std::string history_path(const std::string& tool) {
  const char *state = std::getenv("XDG_STATE_HOME"), *home = std::getenv("HOME");
  const std::string name = "/dstools/" + tool + "_history";
  if (state && *state == '/') return state + name;
  return home && *home == '/' ? std::string(home) + "/.local/state" + name : "";
}

}  // namespace

struct LineEditor::State {
  EditLine* edit = nullptr;
  HistoryW* lines = nullptr;
  FILE* out = nullptr;
  std::string history;
  std::wstring prompt, begin;  // begin: what the next "paste" puts into the line
  TerminalSignals* signals = nullptr;
  bool interrupted = false;  // by a signal that asks to stop
  bool was_empty = false;    // the line, then

  static State& of(EditLine* edit) {
    void* state = nullptr;
    ::el_wget(edit, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }
  static wchar_t* prompt_of(EditLine* edit) { return of(edit).prompt.data(); }

  // What signals changed since the last key; false: stop.
  bool look_at_signals() {
    if (stop_requested()) {
      const LineInfoW* line = ::el_wline(edit);
      interrupted = true;
      was_empty = line->lastchar == line->buffer;
      return false;
    }
    if (suspended) {
      suspended = 0;
      ::el_wset(edit, EL_PREP_TERM, 0);
      signals->suspend();
      resumed = 1;
    }
    if (resumed) {  // the shell has used the terminal meanwhile
      resumed = 0;
      ::el_wset(edit, EL_PREP_TERM, 1);
      ::el_resize(edit);
      ::el_wset(edit, EL_REFRESH);
    }
    if (resized) {
      resized = 0;
      ::el_resize(edit);
      ::el_wset(edit, EL_REFRESH);
    }
    return true;
  }

  // The next byte, or what read(2) returns for none. Signals come to any thread: waiting is cut short to see
  // them.
  int read_byte(char* byte) {
    constexpr int kLookMs = 100;
    for (;;) {
      if (!look_at_signals()) return -1;
      pollfd waited{STDIN_FILENO, POLLIN, 0};
      const int n = ::poll(&waited, 1, kLookMs);
      if (n == 0 || (n < 0 && errno == EINTR)) continue;
      const ssize_t got = ::read(STDIN_FILENO, byte, 1);
      if (got >= 0 || errno != EINTR) return static_cast<int>(got);
    }
  }

  // libedit's own reading of keys stops at the first byte that is not valid.
  static int read_key(EditLine* edit, wchar_t* key) {
    State& state = of(edit);
    std::string bytes(1, 0);
    for (;;) {
      const int n = state.read_byte(&bytes.back());
      if (n <= 0) return n;
      const Utf8Char c = decode_utf8(bytes);
      const bool more = c.length == 0 && bytes.size() < 4 && complete_utf8_prefix(bytes) == 0;
      if (!more) {
        *key = c.length > 0 ? static_cast<wchar_t>(c.code_point) : L'\uFFFD';
        return 1;
      }
      bytes.push_back(0);
    }
  }

  static unsigned char paste(EditLine* edit, wint_t) {
    State& state = of(edit);
    std::wstring text = std::exchange(state.begin, L"");
    const std::wstring_view end = kPasteEnd;
    wchar_t c = 0;
    if (text.empty()) {
      while (text.size() < end.size() || text.compare(text.size() - end.size(), end.size(), end) != 0) {
        if (::el_wgetc(edit, &c) != 1) return CC_EOF;
        text += c;
      }
      text.resize(text.size() - end.size());
    }
    std::wstring shown;  // terminals send CR for a line feed
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == L'\r') {
        if (i + 1 < text.size() && text[i + 1] == L'\n') continue;
        shown += L'\n';
      } else if (text[i] >= L' ' || text[i] == L'\n' || text[i] == L'\t') {
        shown += text[i];
      }
    }
    if (!shown.empty()) ::el_winsertstr(edit, shown.c_str());
    return CC_REFRESH;
  }

  void remember(const std::wstring& line) {
    HistEventW event;
    ::history_w(lines, &event, H_ENTER, line.c_str());
    if (history.empty()) return;
    const mode_t before = ::umask(077);
    ::history_w(lines, &event, H_SAVE, history.c_str());
    ::umask(before);
  }
};

LineEditor::LineEditor(int out_fd, const std::string& tool) : state_(std::make_unique<State>()) {
  State& s = *state_;
  use_utf8();
  s.out = ::fdopen(::dup(out_fd), "w");
  s.edit = ::el_init(tool.c_str(), stdin, s.out, s.out);
  HistEventW event;
  s.lines = ::history_winit();
  ::history_w(s.lines, &event, H_SETSIZE, kLinesKept);
  ::history_w(s.lines, &event, H_SETUNIQUE, 1);
  s.history = history_path(tool);
  if (!s.history.empty()) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(s.history).parent_path(), error);
    ::history_w(s.lines, &event, H_LOAD, s.history.c_str());
  }
  ::el_wset(s.edit, EL_CLIENTDATA, &s);
  ::el_wset(s.edit, EL_PROMPT, State::prompt_of);
  ::el_wset(s.edit, EL_HIST, ::history_w, s.lines);
  ::el_wset(s.edit, EL_GETCFN, State::read_key);
  ::el_wset(s.edit, EL_EDITOR, L"emacs");
  ::el_wset(s.edit, EL_ADDFN, L"ds-paste", L"insert what is pasted", State::paste);
  ::el_source(s.edit, nullptr);
  ::el_wset(s.edit, EL_BIND, kPasteBegin, L"ds-paste", nullptr);
}

LineEditor::~LineEditor() {
  ::history_wend(state_->lines);
  ::el_end(state_->edit);
  std::fclose(state_->out);
}

std::optional<std::string> LineEditor::read(const std::string& prompt, const std::string& begin) {
  State& s = *state_;
  s.prompt = wide(prompt);
  forget_interrupt();
  for (bool again = false;; again = s.was_empty) {
    TerminalSignals signals;
    s.signals = &signals;
    s.interrupted = false;
    s.begin = wide(begin);
    if (!s.begin.empty()) ::el_wpush(s.edit, kPasteBegin);
    ::el_wset(s.edit, EL_PREP_TERM, 1);  // before the prompt is seen: keys typed at once are not echoed twice
    std::fputs(kPasteOn, s.out);
    int n = 0;
    const wchar_t* typed = ::el_wgets(s.edit, &n);
    std::fputs(kPasteOff, s.out);
    if (typed && n > 0) {
      std::wstring line(typed, static_cast<size_t>(n));
      if (line.back() == L'\n') line.pop_back();
      std::fflush(s.out);
      if (line.find_first_not_of(L" \t\n") != std::wstring::npos) s.remember(line);
      return narrow(line);
    }
    std::fputs("\r\n", s.out);
    std::fflush(s.out);
    if (!s.interrupted || (again && s.was_empty) || !forget_interrupt()) return std::nullopt;
  }
}

}  // namespace ds::cli
