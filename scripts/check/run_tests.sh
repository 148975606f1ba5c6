#!/usr/bin/env bash
# Runs every test of a build folder and ends with the line "N passed, N failed".
#   scripts/check/run_tests.sh BUILD [ctest arguments, for example -L unit]
# A doctest program counts with its test cases, any other test as one. Tests that were skipped are named and are not
# among those that passed (tests/skip.h). Exits 1 when anything failed or nothing ran.
set -euo pipefail
build=${1:?usage: scripts/check/run_tests.sh BUILD [ctest arguments]}
shift
jobs=${JOBS:-$(nproc)}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
rc=0
ctest --test-dir "$build" --output-on-failure -j "$jobs" "$@" < /dev/null 2>&1 | tee "$log" || rc=$?

# ctest's own list says what ran and how it ended; LastTest.log holds every program's output, with doctest's
# summary line in it.
details=$build/Testing/Temporary/LastTest.log
counts=$(awk '
  function settle() {
    if (name == "") return
    if (status == "skip") { n_skipped++; print "skipped: " name > "/dev/stderr" }
    else if (cases_passed + cases_failed > 0) {
      n_passed += cases_passed - cases_skipped
      n_skipped += cases_skipped
      n_failed += cases_failed
      if (status == "fail" && cases_failed == 0) n_failed++  # crashed or timed out after its summary
    }
    else if (status == "pass") n_passed++
    else n_failed++
    seen[name] = 1
    name = ""
  }
  FNR == 1 { file++ }
  # First file: "3/7 Test #3: name ....   Passed    0.03 sec"; anything else than Passed or Skipped is a failure.
  file == 1 && /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    test = $0
    sub(/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /, "", test)
    rest = test
    sub(/ .*/, "", test)
    result[test] = rest ~ / Passed +[0-9.]+ sec/ ? "pass" : rest ~ /\*\*\*Skipped/ ? "skip" : "fail"
  }
  # Second file: one section per test.
  file == 2 && /^[0-9]+\/[0-9]+ Testing: / {
    settle()
    name = $0
    sub(/^[0-9]+\/[0-9]+ Testing: /, "", name)
    status = name in result ? result[name] : "fail"
    cases_passed = cases_failed = cases_skipped = 0
  }
  file == 2 && /^skipped: / {
    cases_skipped++
    print $0 > "/dev/stderr"
  }
  file == 2 && /^\[doctest\] test cases: / {
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) cases_passed += $(i - 1)
      if ($i ~ /^failed/) cases_failed += $(i - 1)
    }
  }
  END {
    settle()
    for (test in result)
      if (!(test in seen)) { if (result[test] == "pass") n_passed++; else if (result[test] == "skip") n_skipped++; else n_failed++ }
    print n_passed + 0, n_failed + 0, n_skipped + 0
  }' "$log" "$details")
read -r n_passed n_failed n_skipped <<< "$counts"
if [ "$rc" != 0 ] && [ "$n_failed" = 0 ]; then n_failed=1; fi
if [ "$n_passed" = 0 ] && [ "$n_failed" = 0 ]; then
  echo "run_tests: no test ran" >&2
  n_failed=1
fi
[ "$n_skipped" = 0 ] || echo "$n_skipped skipped"
echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ]
