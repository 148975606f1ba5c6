# shellcheck shell=bash
# What the demo's scripts print with; they source it.
export LC_ALL=C.UTF-8

# Lines of 76 columns; a Chinese character takes two, and no space parts them.
fold_text() {
  local line
  while IFS= read -r line; do
    if [[ $line = *[一-鿿]* ]]; then
      for (( ; ${#line} > 38; )); do
        printf '%s\n' "${line:0:38}"
        line=${line:38}
      done
    elif [[ $line != *[![:ascii:]]* ]]; then # else a plot, of the right width
      line=$(fold -s -w 76 <<< "$line")
    fi
    printf '%s\n' "$line"
  done
}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
  bold='' dim='' plain=''
fi
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
command_line() {
  local wrapped
  wrapped=$1
  [[ $1 = *[![:ascii:]]* ]] || wrapped=$(fold -s -w 74 <<< "$1")
  wrapped=$(sed '1s/^/  $ /; 2,$s/^/      /' <<< "$wrapped")
  printf '%s%s%s\n' "$dim" "$wrapped" "$plain"
}
