/// Processing element of a systolic array: one multiply-accumulate per cycle.
///
/// Signed operands come from the left neighbour (with their control bits) and from above, and leave
/// to the right and below one cycle later. The accumulator wraps around at AccBits.
///
/// Stationary = 0 (output stationary): valid_i accepts left_i and top_i. Their product starts a
///   new sum after reset and after last_i, and is added to the sum otherwise. In the cycle after
///   last_i was accepted psum_o is the finished sum; in all other cycles it is 0.
/// Stationary = 1 (the operand from above stays): load_i accepts top_i and keeps it. valid_i
///   accepts left_i; in the cycle after that, psum_o is psum_i + left_i * the operand kept. load_i
///   and valid_i together use the old operand.
///   With Overlap = 1 load_i accepts the operand for later: it is used from the next valid_i with
///   first_i on. load_i may come with that first_i, which then still takes the operand loaded
///   before. top_i leaves below in every cycle, load_i to the right.
///
/// done_o says that psum_o holds a new result. Only control bits are reset.

module dovetail_pe #(
  parameter bit Stationary = 1'b0,
  parameter bit Overlap    = 1'b0,  // Stationary only: load the next operand beside the present one
  parameter int LeftBits   = 8,   // width of left operands, >= 1
  parameter int TopBits    = 8,   // width of top operands, >= 1
  parameter int AccBits    = 32   // width of sums, >= 1
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,  // asynchronous, active low

  input  logic                       valid_i,  // left_i is an operand
  input  logic                       first_i,  // it is the first one of its fold; Overlap only
  input  logic                       last_i,   // it is the last one of its fold
  input  logic signed [LeftBits-1:0] left_i,
  output logic                       valid_o,
  output logic                       first_o,
  output logic                       last_o,
  output logic signed [LeftBits-1:0] left_o,

  input  logic                       load_i,   // Stationary only: keep top_i
  input  logic signed [TopBits-1:0]  top_i,
  output logic                       load_o,   // Overlap only
  output logic signed [TopBits-1:0]  top_o,

  input  logic signed [AccBits-1:0]  psum_i,   // Stationary only: sum from above
  output logic signed [AccBits-1:0]  psum_o,
  output logic                       done_o
);

  localparam int ProductBits = LeftBits + TopBits;
  // The product is taken at the wider of both widths, so that it is exact before it is truncated.
  localparam int SumBits = (AccBits > ProductBits) ? AccBits : ProductBits;

  logic signed [LeftBits-1:0] left_q;
  logic signed [TopBits-1:0]  top_q, factor;
  logic signed [SumBits-1:0]  product;
  logic signed [AccBits-1:0]  acc_q, acc_d, base;
  logic                       valid_q, last_q, top_enable;

  assign product = SumBits'(left_i) * SumBits'(factor);
  assign acc_d   = base + product[AccBits-1:0];

  if (Stationary && Overlap) begin : gen_overlap
    logic signed [TopBits-1:0] next_q, kept_q;
    logic                      first_q, load_q;

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        first_q <= 1'b0;
        load_q  <= 1'b0;
      end else begin
        first_q <= valid_i & first_i;
        load_q  <= load_i;
      end
    end

    always_ff @(posedge clk_i) begin
      if (load_i) begin
        next_q <= top_i;
      end
      if (valid_i & first_i) begin
        kept_q <= next_q;
      end
    end

    assign factor     = first_i ? next_q : kept_q;
    assign top_enable = 1'b1;
    assign base       = psum_i;
    assign psum_o     = acc_q;
    assign done_o     = valid_q;
    assign first_o    = first_q;
    assign load_o     = load_q;
  end else if (Stationary) begin : gen_stationary
    assign factor     = top_q;
    assign top_enable = load_i;
    assign base       = psum_i;
    assign psum_o     = acc_q;
    assign done_o     = valid_q;
    assign first_o    = 1'b0;
    assign load_o     = 1'b0;

    logic unused_first;
    assign unused_first = first_i;
  end else begin : gen_flowing
    logic fresh_q;  // the next operand starts a new sum

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        fresh_q <= 1'b1;
      end else if (valid_i) begin
        fresh_q <= last_i;
      end
    end

    assign factor     = top_i;
    assign top_enable = valid_i;
    assign base       = fresh_q ? '0 : acc_q;
    assign done_o     = valid_q & last_q;
    assign psum_o     = done_o ? acc_q : '0;
    assign first_o    = 1'b0;
    assign load_o     = 1'b0;

    logic unused_stationary;
    assign unused_stationary = ^{load_i, psum_i, first_i};
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      last_q  <= 1'b0;
    end else begin
      valid_q <= valid_i;
      last_q  <= last_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      left_q <= left_i;
      acc_q  <= acc_d;
    end
    if (top_enable) begin
      top_q <= top_i;
    end
  end

  assign valid_o = valid_q;
  assign last_o  = last_q;
  assign left_o  = left_q;
  assign top_o   = top_q;

  if (SumBits > AccBits) begin : gen_narrow
    logic unused_product;
    assign unused_product = ^product[SumBits-1:AccBits];
  end

endmodule
