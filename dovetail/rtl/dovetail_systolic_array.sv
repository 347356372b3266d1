/// Systolic array of Rows x Cols processing elements for one fold of a matrix product.
///
/// Vectors are presented unskewed, whole, with a valid bit, in any cycle (gaps are legal); result
/// vectors leave unskewed too. Element i of a vector stands in bits [i*Width +: Width]. All numbers
/// are signed; sums wrap around at AccBits.
///
/// Stationary = 0, output stationary: (Rows x K) * (K x Cols).
///   For k = 0 to K-1, valid_i presents column k of the left matrix on left_i and row k of the
///   right matrix on top_i; last_i marks k = K-1. Results: Rows vectors, rows 0 to Rows-1 of the
///   product, one per cycle.
///   A next fold may follow at once, but last_i must not come twice within Rows cycles.
///   Cycles from the first vector to the last result: K + Rows + Cols - 2.
///   With Skewed = 1 element r of left_i comes r cycles later than its vector's valid_i, last_i.
///
/// Stationary = 1, weight stationary: (M x Rows) * (Rows x Cols).
///   Rows times, load_i presents a row of the right matrix on top_i: row Rows-1 first, row 0 last.
///   Then, M times, valid_i presents a row of the left matrix on left_i; last_i marks the last one.
///   Results: M vectors, the rows of the product, in order.
///   load_i must not come while results are pending.
///   Cycles from the first loaded row to the last result: M + 2 Rows + Cols - 2.
///   With Overlap = 1 load_i marks row 0 of the right matrix, and rows 1 to Rows-1 are on top_i in
///   the cycles right after it. The first vector of the left matrix, marked by first_i, may come
///   Rows cycles after load_i at the earliest. The next matrix' load_i may come from the cycle of
///   that vector on, so that a fold can follow every max(M, Rows) cycles.
///   Input stationary is this mode with the operands' roles exchanged: the transposed product.
///
/// Cycles are counted from the rising edge that accepts the first vector (valid_i or load_i is
/// high) to the rising edge at which a consumer samples the last result (valid_o and last_o are
/// high), when vectors come without gaps: the latency in the usual sense, so that a design with one
/// register has latency 1. A 1 x 1 array with K = 1 has 1.
///
/// valid_o marks a result vector on result_o, last_o the last one of its fold. soon_o and
/// soon_last_o tell one cycle earlier.

module dovetail_systolic_array #(
  parameter bit Stationary = 1'b0,
  parameter bit Overlap    = 1'b0,  // Stationary only
  parameter bit Skewed     = 1'b0,
  parameter int Rows       = 4,   // >= 1
  parameter int Cols       = 4,   // >= 1
  parameter int LeftBits   = 8,   // width of an element of left_i, >= 1
  parameter int TopBits    = 8,   // width of an element of top_i, >= 1
  parameter int AccBits    = 32   // width of an element of result_o, >= 1
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,  // asynchronous, active low

  input  logic                     valid_i,
  input  logic                     first_i, // Overlap only, with valid_i only
  input  logic                     last_i,  // with valid_i only
  input  logic [Rows*LeftBits-1:0] left_i,

  input  logic                     load_i,  // Stationary only
  input  logic [Cols*TopBits-1:0]  top_i,

  output logic                     soon_o,
  output logic                     soon_last_o,
  output logic                     valid_o,
  output logic                     last_o,
  output logic [Cols*AccBits-1:0]  result_o
);

  // Left operands and their control bits, between columns: [r*(Cols+1) + c] enters PE (r, c).
  logic [LeftBits-1:0]      left [Rows*(Cols+1)];
  logic [Rows*(Cols+1)-1:0] valid, first, last, load;
  // Top operands and partial sums, between rows: [r*Cols + c] enters PE (r, c).
  logic [TopBits-1:0]       top [(Rows+1)*Cols];
  logic [AccBits-1:0]       psum [(Rows+1)*Cols];
  logic [Rows*Cols-1:0]     done;

  for (genvar r = 0; r < Rows; r++) begin : gen_left
    localparam int Start = r * (Cols + 1);

    dovetail_delay #(
      .Width(3),
      .Depth(r)
    ) u_skew (
      .clk_i,
      .rst_ni,
      .d_i({valid_i, valid_i & first_i, valid_i & last_i}),
      .q_o({valid[Start], first[Start], last[Start]})
    );

    dovetail_delay #(
      .Width(LeftBits),
      .Depth(Skewed ? 0 : r)
    ) u_left_skew (
      .clk_i,
      .rst_ni,
      .d_i(left_i[r*LeftBits +: LeftBits]),
      .q_o(left[Start])
    );

    // Row r of the right matrix is r cycles behind row 0, and r rows further down.
    dovetail_delay #(
      .Width(1),
      .Depth((Stationary && Overlap) ? 2 * r : 0)
    ) u_load_skew (
      .clk_i,
      .rst_ni,
      .d_i(load_i),
      .q_o(load[Start])
    );
  end

  for (genvar c = 0; c < Cols; c++) begin : gen_top
    dovetail_delay #(
      .Width(TopBits),
      .Depth((Stationary && !Overlap) ? 0 : c)
    ) u_skew (
      .clk_i,
      .rst_ni,
      .d_i(top_i[c*TopBits +: TopBits]),
      .q_o(top[c])
    );
    assign psum[c] = '0;
  end

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    for (genvar c = 0; c < Cols; c++) begin : gen_col
      localparam int Here = r * (Cols + 1) + c;
      logic load_right;
      assign load[Here+1] = Overlap ? load_right : load[Here];

      dovetail_pe #(
        .Stationary(Stationary),
        .Overlap(Overlap),
        .LeftBits(LeftBits),
        .TopBits(TopBits),
        .AccBits(AccBits)
      ) u_pe (
        .clk_i,
        .rst_ni,
        .valid_i(valid[Here]),
        .first_i(first[Here]),
        .last_i(last[Here]),
        .left_i(left[Here]),
        .valid_o(valid[Here+1]),
        .first_o(first[Here+1]),
        .last_o(last[Here+1]),
        .left_o(left[Here+1]),
        .load_i(load[Here]),
        .load_o(load_right),
        .top_i(top[r*Cols + c]),
        .top_o(top[(r+1)*Cols + c]),
        .psum_i(psum[r*Cols + c]),
        .psum_o(psum[(r+1)*Cols + c]),
        .done_o(done[r*Cols + c])
      );
    end
  end

  // Results of one vector appear column after column; the first columns wait for the last one.
  for (genvar c = 0; c < Cols; c++) begin : gen_result
    logic [AccBits-1:0] column;

    if (Stationary) begin : gen_bottom
      assign column = psum[Rows*Cols + c];
    end else begin : gen_merge
      // At most one row of a column finishes in a cycle, and the others give 0.
      always_comb begin
        column = '0;
        for (int r = 1; r <= Rows; r++) begin
          column = column | psum[r*Cols + c];
        end
      end
    end

    dovetail_delay #(
      .Width(AccBits),
      .Depth(Cols - 1 - c)
    ) u_deskew (
      .clk_i,
      .rst_ni,
      .d_i(column),
      .q_o(result_o[c*AccBits +: AccBits])
    );
  end

  // The last column's PEs tell when a vector is whole.
  logic [Rows-1:0] done_last_column, soon_last_column;
  for (genvar r = 0; r < Rows; r++) begin : gen_done
    localparam int Entering = r * (Cols + 1) + Cols - 1;
    assign done_last_column[r] = done[r*Cols + Cols - 1];
    assign soon_last_column[r] = valid[Entering] & (Stationary | last[Entering]);
  end
  assign valid_o     = Stationary ? done_last_column[Rows-1] : |done_last_column;
  assign last_o      = last[Rows*(Cols+1) - 1] & done_last_column[Rows-1];
  assign soon_o      = Stationary ? soon_last_column[Rows-1] : |soon_last_column;
  assign soon_last_o = last[Rows*(Cols+1) - 2] & soon_last_column[Rows-1];

endmodule
