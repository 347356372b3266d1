/// Properties of dovetail_tokens and dovetail_channel, wired as in dovetail_accelerator.
///
/// The queues run any endless, well-formed program: one load for each execute instruction, one
/// store for each group of them from first to last. Reading an instruction takes up to ReadLimit
/// cycles, an engine up to EngineLimit, chosen anew every time.

module formal_queues #(
  parameter int EngineLimit = 5,
  parameter int ReadLimit   = 4
) (
  input logic       clk_i,
  input logic [2:0] read_i,    // load, execute, store: the instruction has been read
  input logic [2:0] finish_i,  // the engine has finished
  // What is read.
  input logic       moves_i,
  input logic       fills_input_i,
  input logic       fills_weight_i,
  input logic       last_i
);

  logic rst_n, cleared_q;
  initial rst_n = 1'b0;
  always_ff @(posedge clk_i) begin
    rst_n     <= 1'b1;
    cleared_q <= rst_n;
  end

  logic clear;
  assign clear = rst_n & ~cleared_q;

  // The accelerator's wiring.
  logic [2:0] ready_q, busy_q, ask, start, done, token_ok;
  logic       load_grant, moves_q, first_q, last_q;

  assign ask      = ready_q & ~busy_q & token_ok;
  assign start[0] = moves_q ? load_grant : ask[0];
  assign start[1] = ask[1];

  dovetail_channel u_channel (
    .clk_i,
    .rst_ni(rst_n),
    .load_ask_i(ask[0] & moves_q),
    .load_grant_o(load_grant),
    .load_done_i(done[0]),
    .store_ask_i(ask[2]),
    .store_grant_o(start[2]),
    .store_done_i(done[2])
  );

  dovetail_tokens u_tokens (
    .clk_i,
    .rst_ni(rst_n),
    .clear_i(clear),
    .load_start_i(start[0]),
    .load_done_i(done[0]),
    .load_ok_o(token_ok[0]),
    .first_i(first_q),
    .last_i(last_q),
    .execute_start_i(start[1]),
    .execute_done_i(done[1]),
    .execute_ok_o(token_ok[1]),
    .store_start_i(start[2]),
    .store_done_i(done[2]),
    .store_ok_o(token_ok[2])
  );

  // Queues and engines. *_age: cycles since the start.
  logic [3:0] quiet_q;  // cycles since any start
  logic [11:0] read_ages, busy_ages;

  for (genvar i = 0; i < 3; i++) begin : gen_queue
    logic [3:0] read_age_q, busy_age_q;
    assign read_ages[4*i +: 4] = read_age_q;
    assign busy_ages[4*i +: 4] = busy_age_q;
    assign done[i] = (busy_q[i] & (finish_i[i] | (busy_age_q >= EngineLimit)))
                     | ((i == 0) & start[i] & ~moves_q);

    always_ff @(posedge clk_i) begin
      if (!cleared_q) begin
        ready_q[i]    <= 1'b0;
        busy_q[i]     <= 1'b0;
        read_age_q <= '0;
        busy_age_q <= '0;
      end else begin
        ready_q[i]    <= start[i] ? 1'b0 : ready_q[i] | read_i[i] | (read_age_q >= ReadLimit);
        busy_q[i]     <= (busy_q[i] | start[i]) & ~done[i];
        read_age_q <= start[i] ? '0 : ready_q[i] ? read_age_q : read_age_q + 1'b1;
        busy_age_q <= start[i] ? 4'd1 : busy_q[i] ? busy_age_q + 1'b1 : busy_age_q;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    quiet_q <= (~cleared_q | (start != '0)) ? '0 : quiet_q + 1'b1;
  end

  // The program. open_q: a group of execute instructions has started and not ended.
  logic running_last_q, running_moves_q, open_q, fills_input_q, fills_weight_q;

  always_ff @(posedge clk_i) begin
    if (!cleared_q) begin
      first_q         <= 1'b1;
      open_q          <= 1'b0;
      running_last_q  <= 1'b0;
      running_moves_q <= 1'b0;
    end else begin
      open_q <= (open_q | start[1]) & ~(done[1] & running_last_q);
      if (start[0]) running_moves_q <= moves_q;
      if (start[1]) begin
        first_q        <= last_q;
        running_last_q <= last_q;
      end
    end
    if (!cleared_q | start[0]) begin
      moves_q        <= moves_i;
      fills_input_q  <= moves_i & fills_input_i;
      fills_weight_q <= moves_i & fills_weight_i;
    end
    if (!cleared_q | start[1]) begin
      last_q <= last_i;
    end
  end

  // Halves, bit 0 of the input, bit 1 of the weight scratchpad. steps: those that loads have
  // started to fill and execute instructions have not yet taken, oldest first.
  logic [1:0] load_half_q, execute_half_q, load_half, fills_q;
  logic [1:0] new_0_q, new_1_q, half_0_q, half_1_q;
  logic [1:0] steps_q, steps;
  logic       acc_half_q, store_half_q;

  assign load_half = load_half_q ^ {fills_weight_q, fills_input_q};
  assign steps     = steps_q - 2'(start[1]);

  always_ff @(posedge clk_i) begin
    if (!cleared_q) begin
      load_half_q    <= '1;
      execute_half_q <= '1;
      acc_half_q     <= 1'b1;
      store_half_q   <= 1'b1;
      steps_q        <= '0;
    end else begin
      steps_q <= steps + 2'(start[0]);
      if (start[1]) begin
        execute_half_q <= execute_half_q ^ new_0_q;
        acc_half_q     <= acc_half_q ^ first_q;
        new_0_q        <= new_1_q;
        half_0_q       <= half_1_q;
      end
      if (start[0]) begin
        load_half_q <= load_half;
        fills_q     <= {fills_weight_q, fills_input_q};
        if (steps == '0) begin
          new_0_q  <= {fills_weight_q, fills_input_q};
          half_0_q <= load_half;
        end else begin
          new_1_q  <= {fills_weight_q, fills_input_q};
          half_1_q <= load_half;
        end
      end
      store_half_q <= store_half_q ^ start[2];
    end
  end

  // Who has waited for the channel for how long.
  logic [5:0] load_wait_q, store_wait_q;

  always_ff @(posedge clk_i) begin
    load_wait_q  <= (cleared_q & ask[0] & moves_q & ~load_grant) ? load_wait_q + 1'b1 : '0;
    store_wait_q <= (cleared_q & ask[2] & ~start[2]) ? store_wait_q + 1'b1 : '0;
  end

  logic moving, load_moves_now, store_first;
  assign load_moves_now = ask[0] & moves_q;
  assign moving         = busy_q[0] & running_moves_q;
  assign store_first    = store_wait_q >= load_wait_q;

  (* hierconn *) logic [1:0] \u_tokens.load_credit_q , \u_tokens.loaded_q ;
  (* hierconn *) logic [1:0] \u_tokens.computed_q , \u_tokens.store_credit_q ;
  (* hierconn *) logic       \u_tokens.last_q ;
  (* hierconn *) logic       \u_channel.load_owns_q , \u_channel.store_owns_q ;
  (* hierconn *) logic       \u_channel.load_first_q ;
  logic [3:0] steps_count, groups_count;
  assign steps_count  = 4'(\u_tokens.load_credit_q ) + 4'(\u_tokens.loaded_q ) + 4'(busy_q[0])
                        + 4'(busy_q[1]);
  assign groups_count = 4'(\u_tokens.store_credit_q ) + 4'(\u_tokens.computed_q ) + 4'(busy_q[2])
                        + 4'(open_q);

  always_comb begin
    if (rst_n & cleared_q) begin
      // Tokens are neither lost nor made up: every step and every group is at one place.
      step_tokens: assert (steps_count == 4'd2);
      group_tokens: assert (groups_count == 4'd2);
      no_more_than_two: assert ((\u_tokens.load_credit_q <= 2'd2) & (\u_tokens.loaded_q <= 2'd2)
                                & (\u_tokens.computed_q <= 2'd2)
                                & (\u_tokens.store_credit_q <= 2'd2));
      taken_if_there: assert (~(start[0] & (\u_tokens.load_credit_q == '0))
                              & ~(start[1] & (\u_tokens.loaded_q == '0))
                              & ~(start[1] & first_q & (\u_tokens.store_credit_q == '0))
                              & ~(start[2] & (\u_tokens.computed_q == '0)));

      // The channel has one owner, and goes to who asked first.
      one_owner: assert (~(moving & busy_q[2]));
      one_grant: assert (~(load_grant & start[2]));
      not_taken: assert (~((load_grant | start[2]) & (moving | busy_q[2])));
      in_turn: assert (~(load_moves_now & ask[2]) | (store_first ? ~load_grant : ~start[2]));
      at_once: assert (moving | busy_q[2] | ~(load_moves_now | ask[2]) | load_grant | start[2]);
      waits: assert ((load_wait_q <= EngineLimit + 1) & (store_wait_q <= EngineLimit + 1));

      // What is read is never written.
      same_halves: assert ((steps_q == '0) | ((execute_half_q ^ new_0_q) == half_0_q));
      scratchpads: assert (~(busy_q[0] & busy_q[1])
                           | ((fills_q & ~(load_half_q ^ execute_half_q)) == '0));
      accumulators: assert (~(busy_q[1] & busy_q[2]) | (acc_half_q != store_half_q));

      // Some queue starts, again and again.
      no_deadlock: assert ((ready_q != '1) | (busy_q != '0) | (start != '0));
      progress: assert (quiet_q <= ((EngineLimit > ReadLimit) ? EngineLimit : ReadLimit) + 1);

      // The state behind it, for induction.
      owner: assert ((\u_channel.load_owns_q == moving) & (\u_channel.store_owns_q == busy_q[2]));
      moves: assert (~busy_q[0] | running_moves_q);
      first: assert (\u_channel.load_first_q == (load_wait_q > store_wait_q));
      waiting: assert (((load_wait_q == '0) | load_moves_now) & ((store_wait_q == '0) | ask[2]));
      one_waits: assert ((load_wait_q == '0) | (store_wait_q == '0));
      waits_for: assert ((~busy_q[2] | (load_wait_q <= 6'(busy_ages[8 +: 4])))
                         & (~moving | (store_wait_q <= 6'(busy_ages[0 +: 4]))));
      group: assert ((first_q == (~open_q | (busy_q[1] & running_last_q)))
                     & (~busy_q[1] | (open_q & (\u_tokens.last_q == running_last_q)))
                     & (~open_q | busy_q[1] | ~running_last_q));
      steps_there: assert (4'(steps_q) == 4'(\u_tokens.loaded_q ) + 4'(busy_q[0]));
      behind: assert (load_half_q == (execute_half_q ^ ((steps_q >= 2'd1) ? new_0_q : 2'b0)
                                      ^ ((steps_q >= 2'd2) ? new_1_q : 2'b0)));
      newest: assert (~busy_q[0] | (((steps_q == 2'd1) ? new_0_q : new_1_q) == fills_q));
      second: assert ((steps_q < 2'd2) | (half_1_q == load_half_q));
      acc_behind: assert ((acc_half_q ^ store_half_q) == (\u_tokens.computed_q [0] ^ open_q));
      ages: assert (({4{busy_q[0]}} & busy_ages[0 +: 4]) <= EngineLimit
                    && ({4{busy_q[1]}} & busy_ages[4 +: 4]) <= EngineLimit
                    && ({4{busy_q[2]}} & busy_ages[8 +: 4]) <= EngineLimit
                    && (ready_q[0] | (read_ages[0 +: 4] <= ReadLimit))
                    && (ready_q[1] | (read_ages[4 +: 4] <= ReadLimit))
                    && (ready_q[2] | (read_ages[8 +: 4] <= ReadLimit)));
      quiet: assert ((ready_q[0] | (read_ages[0 +: 4] >= quiet_q))
                     && (ready_q[1] | (read_ages[4 +: 4] >= quiet_q))
                     && (ready_q[2] | (read_ages[8 +: 4] >= quiet_q))
                     && (~busy_q[0] | (busy_ages[0 +: 4] >= quiet_q))
                     && (~busy_q[1] | (busy_ages[4 +: 4] >= quiet_q))
                     && (~busy_q[2] | (busy_ages[8 +: 4] >= quiet_q)));

      load_overlaps: cover (busy_q[0] & busy_q[1] & (fills_q == '1));
      store_overlaps: cover (busy_q[1] & busy_q[2] & ~start[2]);
      both_ask: cover (load_moves_now & ask[2] & load_grant);
    end
  end

endmodule
