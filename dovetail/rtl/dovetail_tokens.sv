/// Counts the tokens by which the three queues keep in step.
///
/// A load takes a load credit and makes a loaded token; an execute instruction takes a loaded
/// token, and with first_i a store credit, and makes a load credit, and with last_i a computed
/// token; a store takes a computed token and makes a store credit. Tokens are taken at the start
/// and made at the end: one made by done in cycle e - 1 is there in cycle e. *_ok_o say whether an
/// instruction's tokens are there.
///
/// clear_i sets two credits of either kind and no other token. There are never more than two of a
/// kind, since one is only made for one that was taken.

module dovetail_tokens (
  input  logic clk_i,
  input  logic rst_ni,  // asynchronous, active low

  input  logic clear_i,

  input  logic load_start_i,
  input  logic load_done_i,
  output logic load_ok_o,

  input  logic first_i,  // of the execute instruction that waits
  input  logic last_i,
  input  logic execute_start_i,
  input  logic execute_done_i,
  output logic execute_ok_o,

  input  logic store_start_i,
  input  logic store_done_i,
  output logic store_ok_o
);

  localparam bit [1:0] Credits = 2'd2;

  logic [1:0] load_credit_q, loaded_q, computed_q, store_credit_q;
  logic       last_q, last;

  assign load_ok_o    = load_credit_q != '0;
  assign execute_ok_o = (loaded_q != '0) & (~first_i | (store_credit_q != '0));
  assign store_ok_o   = computed_q != '0;
  assign last         = execute_start_i ? last_i : last_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      load_credit_q  <= '0;
      loaded_q       <= '0;
      computed_q     <= '0;
      store_credit_q <= '0;
    end else if (clear_i) begin
      load_credit_q  <= Credits;
      loaded_q       <= '0;
      computed_q     <= '0;
      store_credit_q <= Credits;
    end else begin
      load_credit_q  <= load_credit_q + 2'(execute_done_i) - 2'(load_start_i);
      loaded_q       <= loaded_q + 2'(load_done_i) - 2'(execute_start_i);
      computed_q     <= computed_q + 2'(execute_done_i & last) - 2'(store_start_i);
      store_credit_q <= store_credit_q + 2'(store_done_i) - 2'(execute_start_i & first_i);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      last_q <= 1'b0;
    end else begin
      last_q <= last;
    end
  end

endmodule
