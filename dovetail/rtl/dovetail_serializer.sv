/// Turns words that rows take one after the other into one element per row and cycle.
///
/// With valid_i, row row_i takes word data_i: element 0 of it is on the row's output in the same
/// cycle, element k, k < Rows, k cycles later. A row must not take a word more often than every
/// Rows cycles.

module dovetail_serializer #(
  parameter int Rows  = 4,  // rows, and elements of a word; >= 2
  parameter int Width = 8   // bits of an element
) (
  input  logic                    clk_i,

  input  logic                    valid_i,
  input  logic [$clog2(Rows)-1:0] row_i,
  input  logic [Rows*Width-1:0]   data_i,

  output logic [Rows*Width-1:0]   data_o  // [row]
);

  localparam int RowBits = $clog2(Rows);

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    logic [(Rows-1)*Width-1:0] rest_q, rest_d;
    logic                      take;

    assign take = valid_i & (row_i == RowBits'(r));
    assign data_o[r*Width +: Width] = take ? data_i[0 +: Width] : rest_q[0 +: Width];

    if (Rows > 2) begin : gen_shift
      assign rest_d = take ? data_i[Rows*Width-1:Width]
                           : {{Width{1'b0}}, rest_q[(Rows-1)*Width-1:Width]};
    end else begin : gen_one
      assign rest_d = data_i[Rows*Width-1:Width];
    end

    always_ff @(posedge clk_i) begin
      if (take | (Rows > 2)) begin
        rest_q <= rest_d;
      end
    end
  end

endmodule
