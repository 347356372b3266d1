/// Clock of the test bench under Icarus Verilog, which has no C++ main; for simulation only.
///
/// Parameters of the bench are set by -P dovetail_clock.NAME and passed on. +waves=FILE dumps FST
/// (with `vvp -fst`).

module dovetail_clock #(
  parameter bit Stationary   = 1'b1,
  parameter bit Overlap      = 1'b1,
  parameter int Rows         = 4,
  parameter int Cols         = 4,
  parameter int InputBits    = 8,
  parameter int WeightBits   = 8,
  parameter int AccBits      = 32,
  parameter int BusBits      = 32,
  parameter int InputDepth   = 256,
  parameter int WeightDepth  = 256,
  parameter int AccDepth     = 256,
  parameter int ParamDepth   = 64,
  parameter int ProgramDepth = 64,
  parameter int MemoryWords  = 1 << 17
);

  logic  clk;
  string waves;

  initial begin
    clk = 1'b0;
    if ($value$plusargs("waves=%s", waves)) begin
      $dumpfile(waves);
      $dumpvars(0, u_testbench);
    end
    forever #1 clk = ~clk;
  end

  dovetail_testbench #(
    .Stationary(Stationary),
    .Overlap(Overlap),
    .Rows(Rows),
    .Cols(Cols),
    .InputBits(InputBits),
    .WeightBits(WeightBits),
    .AccBits(AccBits),
    .BusBits(BusBits),
    .InputDepth(InputDepth),
    .WeightDepth(WeightDepth),
    .AccDepth(AccDepth),
    .ParamDepth(ParamDepth),
    .ProgramDepth(ProgramDepth),
    .MemoryWords(MemoryWords)
  ) u_testbench (
    .clk_i(clk)
  );

endmodule
