#!/bin/sh
# decompress_audio.sh INPUT.{ecdc,snac,lpcnet,nesc,dac,nac,lyra} OUTPUT.{wav,flac,mp3,ogg,opus,aac,m4a}
#
# In place of the script of that name in the HERMES audio toolkit: the same arguments, variables and files, done by
# wavcodes. The variables are in docs/compress.md.
set -u

if [ $# -ne 2 ]; then
  echo "usage: $0 INPUT.{ecdc,snac,lpcnet,nesc,dac,nac,lyra} OUTPUT.{wav,flac,mp3,ogg,opus,aac,m4a}" >&2
  exit 1
fi
TORCH_THREADS=${TORCH_THREADS:-1}
export TORCH_THREADS

if [ -n "${PYTHON_BIN:-}" ]; then
  "$PYTHON_BIN" -m wavcodes decompress -f -- "$1" "$2"
elif command -v wavcodes >/dev/null; then
  wavcodes decompress -f -- "$1" "$2"
else
  python3 -m wavcodes decompress -f -- "$1" "$2"
fi
code=$?
[ $code -ne 2 ] || code=1 # that the command line is wrong has always been 1 here
exit $code
