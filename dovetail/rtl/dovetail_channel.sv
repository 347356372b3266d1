/// Gives the memory channel to a load or a store, from its start to its end.
///
/// *_ask_i stays high until *_grant_o answers in the same cycle: the owner's start. The owner's
/// *_done_i marks the last cycle of its use; the next grant may follow in the next cycle. Who asked
/// first is served first; the store if both asked in the same cycle. done of who does not own the
/// channel means nothing.

module dovetail_channel (
  input  logic clk_i,
  input  logic rst_ni,  // asynchronous, active low

  input  logic load_ask_i,
  output logic load_grant_o,
  input  logic load_done_i,

  input  logic store_ask_i,
  output logic store_grant_o,
  input  logic store_done_i
);

  logic load_owns_q, store_owns_q, load_first_q, taken;

  assign taken         = load_owns_q | store_owns_q;
  assign load_grant_o  = load_ask_i & ~taken & (load_first_q | ~store_ask_i);
  assign store_grant_o = store_ask_i & ~taken & ~load_grant_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      load_owns_q  <= 1'b0;
      store_owns_q <= 1'b0;
      load_first_q <= 1'b0;
    end else begin
      load_owns_q  <= (load_owns_q | load_grant_o) & ~load_done_i;
      store_owns_q <= (store_owns_q | store_grant_o) & ~store_done_i;
      // A load that still waits is before every store that did not ask up to now.
      load_first_q <= load_ask_i & ~load_grant_o & (load_first_q | ~store_ask_i | store_grant_o);
    end
  end

endmodule
