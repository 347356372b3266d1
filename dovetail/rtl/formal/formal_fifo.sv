/// Properties of dovetail_fifo: no word is lost, made up, doubled or overtaken.
///
/// Any one word that moves in may be marked; it must be the one that is seen at the output when as
/// many words have left as were inside before it.

module formal_fifo #(
  parameter int Width = 4,
  parameter int Depth = 3
) (
  input logic             clk_i,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i,
  input logic             mark_i
);

  localparam int PointerBits = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int CountBits = $clog2(Depth + 1);

  logic rst_n;
  initial rst_n = 1'b0;
  always_ff @(posedge clk_i) rst_n <= 1'b1;

  logic             ready, valid, push, pop;
  logic [Width-1:0] data;

  dovetail_fifo #(
    .Width(Width),
    .Depth(Depth)
  ) u_dut (
    .clk_i,
    .rst_ni(rst_n),
    .valid_i,
    .ready_o(ready),
    .data_i,
    .valid_o(valid),
    .ready_i,
    .data_o(data)
  );

  assign push = valid_i & ready;
  assign pop  = valid & ready_i;

  // The model: how many words are inside, and how many of them are before the marked one.
  logic [CountBits:0] count_q, before_q;
  logic               inside_q, seen_q;
  logic [Width-1:0]   word_q;

  always_ff @(posedge clk_i) begin
    if (!rst_n) begin
      count_q  <= '0;
      inside_q <= 1'b0;
      seen_q   <= 1'b0;
    end else begin
      count_q <= count_q + (CountBits+1)'(push) - (CountBits+1)'(pop);
      if (push & mark_i & ~seen_q) begin
        seen_q   <= 1'b1;
        inside_q <= 1'b1;
        word_q   <= data_i;
        before_q <= count_q - (CountBits+1)'(pop);
      end else if (inside_q & pop) begin
        inside_q <= before_q != '0;
        before_q <= before_q - 1'b1;
      end
    end
  end

  // The buffer's own state: what makes the properties inductive. Depth is 4 at most.
  (* hierconn *) logic [PointerBits-1:0] \u_dut.write_q , \u_dut.read_q ;
  (* hierconn *) logic [CountBits-1:0]   \u_dut.count_q ;
  (* hierconn *) logic [Width-1:0]       \u_dut.word_q[0] , \u_dut.word_q[1] ;
  (* hierconn *) logic [Width-1:0]       \u_dut.word_q[2] , \u_dut.word_q[3] ;
  logic [4*Width-1:0] words;
  logic [3:0]         read, write_sum, marked_sum, marked;

  assign words      = {\u_dut.word_q[3] , \u_dut.word_q[2] , \u_dut.word_q[1] , \u_dut.word_q[0] };
  assign read       = 4'(\u_dut.read_q );
  assign write_sum  = read + 4'(count_q);
  assign marked_sum = read + 4'(before_q);
  assign marked     = (marked_sum >= Depth) ? marked_sum - Depth : marked_sum;

  // A word that is offered stays.
  logic waited_q;
  logic [Width-1:0] waited_word_q;

  always_ff @(posedge clk_i) begin
    waited_q <= rst_n & valid & ~ready_i;
    waited_word_q  <= data;
  end

  always_comb begin
    if (rst_n) begin
      occupancy: assert (count_q <= Depth);
      not_lost: assert (valid == (count_q != '0));
      not_full: assert (ready == (count_q != Depth));
      if (inside_q) begin
        order: assert (before_q < count_q);
        if (before_q == '0) begin
          same_word: assert (data == word_q);
        end
      end
      if (waited_q) begin
        stable: assert (valid & (data == waited_word_q));
      end
      pointers: assert ((read < Depth) & (4'(\u_dut.write_q ) < Depth));
      counts: assert (\u_dut.count_q == count_q);
      contiguous: assert (((write_sum >= Depth) ? write_sum - Depth : write_sum)
                          == 4'(\u_dut.write_q ));
      if (inside_q) begin
        kept: assert (words[marked[1:0]*Width +: Width] == word_q);
      end
      whole: cover (seen_q & ~inside_q & (count_q == Depth));
    end
  end

endmodule
