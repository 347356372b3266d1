/// First-in first-out buffer of Depth words.
///
/// A word moves in when valid_i and ready_o are high, out when valid_o and ready_i are high. A word
/// that moves in is at the output in the next cycle at the earliest. ready_o does not depend on
/// ready_i, nor valid_o and data_o on valid_i and data_i: a full buffer takes nothing, even if a
/// word leaves. data_o is meaningless while valid_o is low.

module dovetail_fifo #(
  parameter int Width = 8,  // bits, >= 1
  parameter int Depth = 2   // words, >= 1; 2 or more keep one word per cycle flowing
) (
  input  logic             clk_i,
  input  logic             rst_ni,  // asynchronous, active low

  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,

  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o
);

  localparam int PointerBits = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int CountBits = $clog2(Depth + 1);
  localparam bit [PointerBits-1:0] Top = PointerBits'(Depth - 1);

  logic [Width-1:0]       word_q [Depth];
  logic [PointerBits-1:0] write_q, read_q;
  logic [CountBits-1:0]   count_q;
  logic                   push, pop;

  assign ready_o = count_q != CountBits'(Depth);
  assign valid_o = count_q != '0;
  assign data_o  = word_q[read_q];
  assign push    = valid_i & ready_o;
  assign pop     = valid_o & ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
      count_q <= '0;
    end else begin
      if (push) begin
        write_q <= (write_q == Top) ? '0 : write_q + 1'b1;
      end
      if (pop) begin
        read_q <= (read_q == Top) ? '0 : read_q + 1'b1;
      end
      if (push & ~pop) begin
        count_q <= count_q + 1'b1;
      end else if (pop & ~push) begin
        count_q <= count_q - 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) begin
      word_q[write_q] <= data_i;
    end
  end

endmodule
