/// Walks a grid of points line by line, by additions only.
///
/// start_i takes the first point: row y_i, column x_i, word address_i. step_i goes to the next one:
/// step_x_i columns and x_words_i words further, or, behind the last of inner_i points of a line,
/// to the first point of a line that lies step_y_i rows and y_words_i words behind the line before.
/// rewind_i with step_i goes back to the first point instead, or to the last mark: mark_i with
/// step_i marks the next point. x_i, y_i, address_i, inner_i and outer_i must stay as they are
/// until the walk is over; steps may come one cycle after start_i.
///
/// top_o: the point is on the first line after start_i. last_o: it is the last of outer_i lines.

module dovetail_walk #(
  parameter bit Marks        = 1'b0,  // mark_i is in use
  parameter int PositionBits = 18     // of rows and columns, signed
) (
  input  logic                    clk_i,

  input  logic                    start_i,
  input  logic                    step_i,
  input  logic                    rewind_i,
  input  logic                    mark_i,

  input  logic [15:0]             inner_i,
  input  logic [15:0]             outer_i,
  input  logic [PositionBits-1:0] y_i,
  input  logic [PositionBits-1:0] x_i,
  input  logic [15:0]             address_i,
  input  logic [PositionBits-1:0] step_y_i,
  input  logic [PositionBits-1:0] step_x_i,
  input  logic [15:0]             y_words_i,
  input  logic [15:0]             x_words_i,

  output logic [PositionBits-1:0] y_o,
  output logic [PositionBits-1:0] x_o,
  output logic [15:0]             address_o,
  output logic                    top_o,
  output logic                    last_o
);

  // {points left in the line, lines left, row, column, word of the line's first point, word}
  localparam int PointBits = 2 * PositionBits + 4 * 16;

  logic [15:0]             inner_q, outer_q, line_q, address_q, line_d;
  logic [PositionBits-1:0] y_q, x_q;
  logic [PointBits-1:0]    point_q, origin, mark, line, column, next;
  logic                    line_end;

  assign {inner_q, outer_q, y_q, x_q, line_q, address_q} = point_q;

  assign line_d   = line_q + y_words_i;
  assign line_end = inner_q == 16'd1;
  assign origin   = {inner_i, outer_i, y_i, x_i, address_i, address_i};
  assign line     = {inner_i, outer_q - 16'd1, y_q + step_y_i, x_i, line_d, line_d};
  assign column   = {inner_q - 16'd1, outer_q, y_q, x_q + step_x_i, line_q, address_q + x_words_i};
  assign next     = line_end ? line : column;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      point_q <= origin;
    end else if (step_i) begin
      point_q <= rewind_i ? mark : next;
    end
  end

  if (Marks) begin : gen_mark
    logic [PointBits-1:0] mark_q;

    always_ff @(posedge clk_i) begin
      if (start_i) begin
        mark_q <= origin;
      end else if (step_i & mark_i) begin
        mark_q <= next;
      end
    end
    assign mark = mark_q;
  end else begin : gen_origin
    logic unused_mark;
    assign unused_mark = mark_i;
    assign mark        = origin;
  end

  assign y_o       = y_q;
  assign x_o       = x_q;
  assign address_o = address_q;
  assign top_o     = outer_q == outer_i;
  assign last_o    = line_end & (outer_q == 16'd1);

endmodule
