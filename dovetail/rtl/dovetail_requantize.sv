/// Requantizes words of Cols accumulators, each lane with parameters of its own; one per cycle.
///
/// sum = acc + bias, wrapping around at AccBits. wide_i = 0: lane c of word_o is, InputBits wide,
///   clip(floor(sum * multiplier / 2^shift + 1/2) + zero_point_i, low_i, high_i);
/// the product is exact. wide_i = 1: lane c is sum, AccBits wide. Lane 0 is lowest, and the lanes
/// are packed; bits of word_o above them mean nothing.
///
/// A word that valid_i takes is at word_o 5 cycles later, cycles with enable_i low not counted:
/// then nothing moves. zero_point_i, low_i, high_i and wide_i stay while words are inside; low_i
/// and high_i fit into InputBits.

module dovetail_requantize #(
  parameter int Cols      = 4,
  parameter int InputBits = 8,   // of a narrow result, <= 16
  parameter int AccBits   = 32,  // of a sum, <= 32
  parameter int LaneBits  = (AccBits > InputBits) ? AccBits : InputBits
) (
  input  logic                                              clk_i,
  input  logic                                              rst_ni,  // asynchronous, active low

  input  logic                                              wide_i,
  input  logic signed [15:0]                                zero_point_i,
  input  logic signed [15:0]                                low_i,
  input  logic signed [15:0]                                high_i,

  input  logic                                              enable_i,
  input  logic                                              valid_i,
  input  logic [Cols*AccBits-1:0]                           acc_i,
  input  logic [Cols*dovetail_isa_pkg::ParamEntryBits-1:0]  param_i,
  output logic                                              valid_o,
  output logic [Cols*LaneBits-1:0]                          word_o
);

  localparam int Stages         = 5;
  localparam int ParamBits      = dovetail_isa_pkg::ParamEntryBits;
  localparam int BiasBits       = dovetail_isa_pkg::ParamBiasBits;
  localparam int MultiplierBits = dovetail_isa_pkg::ParamMultiplierBits;
  localparam int ShiftBits      = dovetail_isa_pkg::ParamShiftBits;
  localparam int LowBits        = MultiplierBits / 2;  // the product is taken in two parts
  localparam int HighBits       = MultiplierBits - LowBits;
  localparam int ProductBits    = AccBits + MultiplierBits;
  localparam int ResultBits     = ((ProductBits > 16) ? ProductBits : 16) + 1;

  logic [Stages-1:0] valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
    end else if (enable_i) begin
      valid_q <= {valid_q[Stages-2:0], valid_i};
    end
  end

  assign valid_o = valid_q[Stages-1];

  logic [Cols*InputBits-1:0] narrow;
  logic [Cols*AccBits-1:0]   sums;
  assign word_o = wide_i ? (Cols*LaneBits)'(sums) : (Cols*LaneBits)'(narrow);

  for (genvar c = 0; c < Cols; c++) begin : gen_lane
    logic signed [AccBits-1:0]          acc, sum_q;
    logic signed [BiasBits-1:0]         bias;
    logic [MultiplierBits-1:0]          multiplier, multiplier_q;
    logic [ShiftBits-1:0]               shift, shift_1_q, shift_2_q, shift_3_q;
    logic signed [ProductBits-1:0]      wide_sum, low_part_q, high_part_q, product_q;
    logic signed [ProductBits:0]        shifted_q;  // the lowest bit is the one to be rounded away
    logic signed [ResultBits-1:0]       result_q;
    logic signed [15:0]                 zero_point;
    logic                               below, above;

    // A sum that stays as it is is one that is multiplied by 1.
    assign acc        = acc_i[c*AccBits +: AccBits];
    assign bias       = param_i[c*ParamBits + dovetail_isa_pkg::ParamBiasLsb +: BiasBits];
    assign multiplier = wide_i ? MultiplierBits'(1) :
      param_i[c*ParamBits + dovetail_isa_pkg::ParamMultiplierLsb +: MultiplierBits];
    assign shift      = wide_i ? '0 :
      param_i[c*ParamBits + dovetail_isa_pkg::ParamShiftLsb +: ShiftBits];
    assign zero_point = wide_i ? '0 : zero_point_i;
    assign wide_sum   = ProductBits'(sum_q);

    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        sum_q        <= acc + AccBits'(bias);
        multiplier_q <= multiplier;
        shift_1_q    <= shift;

        low_part_q   <= wide_sum * $signed({1'b0, multiplier_q[LowBits-1:0]});
        high_part_q  <= wide_sum * $signed({1'b0, multiplier_q[LowBits +: HighBits]});
        shift_2_q    <= shift_1_q;

        product_q    <= low_part_q + (high_part_q <<< LowBits);
        shift_3_q    <= shift_2_q;

        shifted_q    <= $signed({product_q, 1'b0}) >>> shift_3_q;

        // One adder: its carry input rounds.
        result_q     <= ResultBits'($signed(shifted_q[ProductBits:1])) + ResultBits'(zero_point)
                        + $signed(ResultBits'(shifted_q[0]));
      end
    end

    assign below = result_q < ResultBits'(low_i);
    assign above = result_q > ResultBits'(high_i);
    assign narrow[c*InputBits +: InputBits] =
      below ? low_i[InputBits-1:0] : above ? high_i[InputBits-1:0] : result_q[InputBits-1:0];
    assign sums[c*AccBits +: AccBits] = result_q[AccBits-1:0];

    logic unused_bias;
    assign unused_bias = ^bias;
  end

endmodule
