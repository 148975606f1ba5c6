#!/usr/bin/env bash
# Would the tests notice? Plants one-token faults in a room, one at a time, builds the room's tests with each and runs
# them. Prints killed / planted and the survivors with their lines; some survivors are equivalents, which only a reader
# can tell. Slow (a compilation, a link and a run per fault), so no part of CI.
#   scripts/check/mutants.sh ROOM [N=60] [SEED=1]     ROOM: core io text kernels checkpoint model quant filter infer bench tools
# Faults come from the PyPI package universalmutator (MUTATE: its `mutate`, else it is installed under WORK). The same seed
# plants the same faults of a commit; a run that was stopped goes on where it was. WORK=.cache/mutants JOBS=$(nproc)
set -euo pipefail
cd "$(dirname "$0")/../.."
room=${1:?usage: scripts/check/mutants.sh ROOM [N] [SEED]} n_wanted=${2:-60} seed=${3:-1}
mkdir -p "${WORK:=.cache/mutants}"
work=$(realpath "$WORK") jobs=${JOBS:-$(nproc)}
commit=$(git rev-parse HEAD)
tree=$work/tree results=$work/$room-$seed-${commit:0:12}.tsv

if [ -z "${MUTATE:-}" ]; then
  MUTATE=$work/venv/bin/mutate
  [ -x "$MUTATE" ] || { python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q universalmutator; }
fi

# A tree of its own: nobody's working files are touched.
[ -d "$tree" ] || git worktree add -q --detach "$tree" "$commit"
git -C "$tree" checkout -q --force --detach "$commit"
build() { cmake --build "$tree/build" -j "$jobs" --target "test_$room" ${extra_target:-}; }
extra_target=
[ "$room" != tools ] || extra_target=tools
(cd "$tree" && scripts/make/configure.sh build) > "$work/log" 2>&1
build > "$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }
SECONDS=0
timeout 600 "$tree/build/tests/test_$room" > "$work/log" 2>&1 || { echo "mutants: test_$room fails without a fault"; exit 1; }
limit=$((20 + 5 * SECONDS))  # a fault that never ends is noticed by whoever waits

# The sample: "FILE LINE MUTANT", shuffled. A fault changes one line and leaves as many lines as there were; variants for
# machines that this one is not cannot be judged here.
case $room in kernels) folder=kernels ;; tools) folder=tools ;; *) folder=lib/$room ;; esac
faults=$work/faults-$room
if [ ! -e "$faults/$commit" ]; then
  rm -rf "$faults"; mkdir -p "$faults"
  while IFS= read -r file; do
    mutants=$faults/${file//\//-}
    mkdir "$mutants"
    (cd "$tree" && "$MUTATE" "$file" cpp --noCheck --mutantDir "$mutants") > "$work/log" 2>&1
  done < <(git ls-files "$folder" | grep '\.cpp$' | grep -vE 'cpu/.*_(avx512|avx512bf16|avx512vbmi|amx|emulated)\.cpp$')
  touch "$faults/$commit"
fi
python3 - "$tree" "$faults" "$folder" "$seed" > "$work/sample" << 'PY'
import pathlib, random, subprocess, sys
tree, faults, folder, seed = sys.argv[1:]
found = []
for file in subprocess.run(["git", "-C", tree, "ls-files", folder], capture_output=True, text=True).stdout.split():
    mutants = pathlib.Path(faults, file.replace("/", "-"))
    if not mutants.is_dir():
        continue
    old = pathlib.Path(tree, file).read_text().split("\n")
    for mutant in sorted(mutants.iterdir()):
        new = mutant.read_text().split("\n")
        changed = [i for i, (a, b) in enumerate(zip(old, new)) if a != b]
        if len(new) != len(old) or len(changed) != 1:
            continue
        before, after = old[changed[0]].strip(), new[changed[0]].strip()
        if not after or after.startswith(("//", "/*")) or before.startswith(("//", "#", "using ", "namespace ")):
            continue
        found.append((file, changed[0] + 1, mutant))
random.Random(int(seed)).shuffle(found)
for file, line, mutant in found:
    print(file, line, mutant)
PY

touch "$results"
n_planted=$(grep -cE $'\t(killed|survived)\t' "$results" || true)
while [ "$n_planted" -lt "$n_wanted" ] && read -r file line mutant; do
  id=$file:$line:${mutant##*.mutant.}
  ! grep -qF "$id"$'\t' "$results" || continue
  cp "$mutant" "$tree/$file"
  if ! timeout 600 bash -c "$(declare -f build); tree='$tree' jobs=$jobs room=$room extra_target=$extra_target; build" > "$work/log" 2>&1; then
    verdict=invalid  # it does not compile: no fault that could be made
  elif timeout "$limit" "$tree/build/tests/test_$room" -aa=1 > "$work/log" 2>&1; then
    verdict=survived
  else
    verdict=killed
  fi
  printf '%s\t%s\t%s\n' "$id" $verdict "$(sed -n "${line}p" "$mutant" | sed 's/^ *//')" | tee -a "$results"
  git -C "$tree" checkout -q -- "$file"
  [ $verdict = invalid ] || n_planted=$((n_planted + 1))
done < "$work/sample"

n_killed=$(grep -cE $'\tkilled\t' "$results" || true)
printf '\nsurvivors:\n'
grep -E $'\tsurvived\t' "$results" | cut -f 1,3 || true
echo "$room, seed $seed, ${commit:0:12}: $n_killed of $n_planted killed"
