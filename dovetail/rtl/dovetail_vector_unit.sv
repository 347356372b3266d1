/// Reduces words lane by lane: the maximum, or a sum of weighted elements.
///
/// valid_i presents a word of signed elements, at most one per cycle; last_i marks the last one of
/// a pixel, final_i the last one of all. sum_i = 0: maximum; 1: sum of element * weight_i. Sums
/// wrap around at AccBits. The result of the pixel whose last word came in cycle t is on result_o
/// in cycle t + 2; soon_o and soon_final_o announce it in t + 1.

module dovetail_vector_unit #(
  parameter int Lanes     = 4,
  parameter int InputBits = 8,
  parameter int AccBits   = 32
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,  // asynchronous, active low

  input  logic                       valid_i,
  input  logic                       last_i,
  input  logic                       final_i,
  input  logic                       sum_i,
  input  logic signed [15:0]         weight_i,
  input  logic [Lanes*InputBits-1:0] data_i,

  output logic                       soon_o,
  output logic                       soon_final_o,
  output logic [Lanes*AccBits-1:0]   result_o
);

  localparam int ProductBits = InputBits + 16;
  localparam int TermBits = (AccBits > ProductBits) ? AccBits : ProductBits;

  logic valid_q, last_q, final_q, sum_q;
  logic fresh_q;  // the next term is its pixel's first

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      last_q  <= 1'b0;
      final_q <= 1'b0;
      fresh_q <= 1'b1;
    end else begin
      valid_q <= valid_i;
      last_q  <= valid_i & last_i;
      final_q <= valid_i & final_i;
      if (valid_q) begin
        fresh_q <= last_q;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      sum_q <= sum_i;
    end
  end

  assign soon_o       = last_q;
  assign soon_final_o = final_q;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    logic signed [InputBits-1:0] element;
    logic signed [TermBits-1:0]  product;
    logic signed [AccBits-1:0]   term_q, acc_q;
    logic                        keep;

    assign element = data_i[l*InputBits +: InputBits];
    assign product = TermBits'(element) * TermBits'(weight_i);
    assign keep    = ~sum_q & ~fresh_q & (acc_q > term_q);

    always_ff @(posedge clk_i) begin
      if (valid_i) begin
        term_q <= sum_i ? product[AccBits-1:0] : AccBits'(element);
      end
      if (valid_q & ~keep) begin
        acc_q <= (sum_q & ~fresh_q) ? acc_q + term_q : term_q;
      end
    end
    assign result_o[l*AccBits +: AccBits] = acc_q;

    if (TermBits > AccBits) begin : gen_narrow
      logic unused_product;
      assign unused_product = ^product[TermBits-1:AccBits];
    end
  end

endmodule
