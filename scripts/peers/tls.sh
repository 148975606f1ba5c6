#!/usr/bin/env bash
# ds-bench against a real TLS server: socat ends the TLS (OpenSSL) before ds-bench's own scripted server. A certificate that
# the machine does not know is refused with the remedy, one named by SSL_CERT_FILE is accepted, and the wrong scheme is said.
#   scripts/peers/tls.sh BUILD          (packages socat and openssl)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
work=$(mktemp -d)
plain=${PORT:-18474} tls=$((${PORT:-18474} + 1))
fail() { echo "bench_tls: FAILED: $1" >&2; cat "$work/err" >&2; exit 1; }
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2> /dev/null
"$build/ds-bench" doctor --serve "$plain" --script ttft=20ms,tpot=5ms,tokens=8 --quiet & pids=($!)
socat "OPENSSL-LISTEN:$tls,fork,reuseaddr,nodelay,cert=$work/cert.pem,key=$work/key.pem,verify=0" "TCP:127.0.0.1:$plain,nodelay" 2> /dev/null & pids+=($!)
trap 'kill "${pids[@]}" 2> /dev/null || true; rm -rf "$work"' EXIT
sleep 1
run() { "$build/ds-bench" run --url "$1" --requests 40 --output-tokens 8 --warmup 0 --no-overhead --quiet --out "$work/$2.jsonl" 2> "$work/err"; }

SSL_CERT_FILE=$work/cert.pem run "https://localhost:$tls" trusted || fail "the trusted server ended with $?"
"$build/ds-bench" stats "$work/trusted.jsonl" | sed -n '1,12p'
[ "$(grep -c '"type":"request"' "$work/trusted.jsonl")" = 40 ] || fail "not 40 requests"
run "https://localhost:$tls" unknown && fail "an unknown certificate was accepted"
grep -q SSL_CERT_FILE "$work/err" || fail "the remedy for an unknown certificate is missing"
SSL_CERT_FILE=$work/cert.pem run "https://127.0.0.1:$tls" name && fail "a certificate for another name was accepted"
run "https://localhost:$plain" notls && fail "a server without TLS passed as one with"
grep -q http:// "$work/err" || fail "the remedy for a server without TLS is missing"
run "http://localhost:$tls" nohttp && fail "TLS passed for HTTP"
echo "bench_tls: trusted accepted; unknown certificate, other name and both wrong schemes refused"
