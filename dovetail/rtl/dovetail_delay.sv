/// Delays a word by Depth cycles.
///
/// q_o in cycle t + Depth is d_i of cycle t; Depth = 0 is a wire. Words before the first one are 0.

module dovetail_delay #(
  parameter int Width = 8,  // bits, >= 1
  parameter int Depth = 1   // cycles
) (
  input  logic             clk_i,
  input  logic             rst_ni,  // asynchronous, active low
  input  logic [Width-1:0] d_i,
  output logic [Width-1:0] q_o
);

  if (Depth == 0) begin : gen_wire
    logic unused_clock;
    assign unused_clock = ^{clk_i, rst_ni};
    assign q_o = d_i;
  end else begin : gen_line
    // The oldest word is the most significant one.
    logic [Depth*Width-1:0] line_q;
    logic [(Depth+1)*Width-1:0] line_d;
    assign line_d = {line_q, d_i};
    assign q_o = line_q[(Depth-1)*Width +: Width];

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        line_q <= '0;
      end else begin
        line_q <= line_d[Depth*Width-1:0];
      end
    end

    logic unused_line;
    assign unused_line = ^line_d[Depth*Width +: Width];
  end

endmodule
