#!/bin/sh
# compress_audio.sh INPUT OUTPUT.{ecdc,snac,lpcnet,nesc,dac,nac,lyra}
#
# In place of the script of that name in the HERMES audio toolkit: the same arguments, variables and files, done by
# wavcodes. The variables are in docs/compress.md; input_file and output_file go before the arguments.
set -u

input=${input_file:-${1-}} output=${output_file:-${2-}}
if [ -z "$input" ] || [ -z "$output" ]; then
  echo "usage: $0 INPUT OUTPUT.{ecdc,snac,lpcnet,nesc,dac,nac,lyra}" >&2
  exit 1
fi

# The layout that other stations of HERMES read is not the one of Meta's own program.
case $output in
  *.[eE][cC][dD][cC]) set -- --format ecdc-hermes ;;
  *) set -- ;;
esac
TORCH_THREADS=${TORCH_THREADS:-1}
export TORCH_THREADS

if [ -n "${PYTHON_BIN:-}" ]; then
  "$PYTHON_BIN" -m wavcodes compress -f "$@" -- "$input" "$output"
elif command -v wavcodes >/dev/null; then
  wavcodes compress -f "$@" -- "$input" "$output"
else
  python3 -m wavcodes compress -f "$@" -- "$input" "$output"
fi
code=$?
[ $code -ne 2 ] || code=1 # that the command line is wrong has always been 1 here
exit $code
