/// Load engine: reads the operands of one step from memory into the scratchpads.
///
/// start_i takes a load: entry_i, address_a_i and address_b_i are valid in that cycle only. Its
/// parts a and b, or the only one that moves anything, are read one after the other without a gap:
/// the first burst is requested in the next cycle, and one per cycle from then on. Beats fill
/// consecutive words as they arrive; a word is written in the cycle of its last beat. done_o is
/// high in the cycle of the last beat; if nothing moves, in the cycle of start_i.
///
/// Every load that fills a scratchpad takes the other half of it than the one before; the first one
/// after clear_i takes half 0. Beats are always accepted, and responses other than OKAY ignored.
/// No more than 2^26 - 1 bursts are pending.

module dovetail_load #(
  parameter int BusBits     = 64,
  parameter int InputWidth  = 64,  // bits of an input word, a multiple of BusBits
  parameter int WeightWidth = 64  // bits of a weight word, a multiple of BusBits
) (
  input  logic                                   clk_i,
  input  logic                                   rst_ni,  // asynchronous, active low

  input  logic                                   clear_i,
  input  logic                                   start_i,
  input  logic [dovetail_isa_pkg::EntryBits-1:0] entry_i,
  input  logic [31:0]                            address_a_i,
  input  logic [31:0]                            address_b_i,
  output logic                                   done_o,

  output logic                                   input_write_o,
  output logic                                   input_write_half_o,
  output logic [15:0]                            input_write_address_o,
  output logic [InputWidth-1:0]                  input_write_data_o,

  output logic                                   weight_write_o,
  output logic                                   weight_write_half_o,
  output logic [15:0]                            weight_write_address_o,
  output logic [WeightWidth-1:0]                 weight_write_data_o,

  output logic                                   arvalid_o,
  input  logic                                   arready_i,
  output logic [31:0]                            araddr_o,
  output logic [7:0]                             arlen_o,

  input  logic                                   rvalid_i,
  output logic                                   rready_o,
  input  logic [BusBits-1:0]                     rdata_i,
  input  logic                                   rlast_i
);

  // Both parts have the same fields; positions within a part.
  localparam int Base         = dovetail_isa_pkg::LoadAAddressLsb;
  localparam int PartBits     = dovetail_isa_pkg::LoadBAddressLsb - Base;
  localparam int Rows         = dovetail_isa_pkg::LoadARowsLsb - Base;
  localparam int RowStride    = dovetail_isa_pkg::LoadARowStrideLsb - Base;
  localparam int Columns      = dovetail_isa_pkg::LoadAColumnsLsb - Base;
  localparam int ColumnStride = dovetail_isa_pkg::LoadAColumnStrideLsb - Base;
  localparam int RunBeats     = dovetail_isa_pkg::LoadARunBeatsLsb - Base;
  localparam int Target       = dovetail_isa_pkg::LoadATargetLsb - Base;
  localparam int Word         = dovetail_isa_pkg::LoadAWordLsb - Base;
  localparam int WordBeats    = dovetail_isa_pkg::LoadAWordBeatsLsb - Base;

  localparam int Widest      = (InputWidth > WeightWidth) ? InputWidth : WeightWidth;
  localparam int PendingBits = 26;

  logic [PartBits-1:0] part_a, part_b, later_q, part;
  logic                a_moves, b_moves;

  assign part_a = {entry_i[Base+32 +: PartBits-32], entry_i[Base +: 32] + address_a_i};
  assign part_b = {entry_i[Base+PartBits+32 +: PartBits-32],
                   entry_i[Base+PartBits +: 32] + address_b_i};
  assign a_moves = part_a[Rows +: 16] != '0;
  assign b_moves = part_b[Rows +: 16] != '0;

  // The part that moves first, and in later_q the one after it.
  assign part = ~start_i ? later_q : a_moves ? part_a : part_b;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      later_q <= part_b;
    end
  end

  // Requests. request_later_q: the later part has still to be requested.
  logic request_later_q, request_second_q, burst_last, request, request_next;

  assign request      = arvalid_o & arready_i;
  assign request_next = request & burst_last & request_later_q;

  dovetail_burst #(
    .BusBits(BusBits)
  ) u_burst (
    .clk_i,
    .rst_ni,
    .start_i(start_i | request_next),
    .address_i(part[31:0]),
    .rows_i(part[Rows +: 16]),
    .row_stride_i(part[RowStride +: 32]),
    .columns_i(part[Columns +: 16]),
    .column_stride_i(part[ColumnStride +: 32]),
    .run_beats_i(part[RunBeats +: 16]),
    .valid_o(arvalid_o),
    .ready_i(arready_i),
    .address_o(araddr_o),
    .len_o(arlen_o),
    .last_o(burst_last)
  );

  // Answers. Of both parts: how many bursts are pending, and whether all have been requested.
  logic [PendingBits-1:0] first_pending_q, second_pending_q, pending;
  logic                   first_requested_q, second_requested_q, requested;
  logic                   answer_later_q, answer_second_q, answer, part_last, answer_next;
  logic                   first_request, first_answer;

  assign first_request = request & ~request_second_q;
  assign first_answer  = rvalid_i & rlast_i & ~answer_second_q;
  assign answer      = rvalid_i & rlast_i;
  assign pending     = answer_second_q ? second_pending_q : first_pending_q;
  assign requested   = answer_second_q ? second_requested_q : first_requested_q;
  assign part_last   = answer & requested & (pending == PendingBits'(1));
  assign answer_next = part_last & answer_later_q;
  assign done_o      = start_i ? ~(a_moves | b_moves) : part_last & ~answer_later_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      request_later_q    <= 1'b0;
      request_second_q   <= 1'b0;
      answer_later_q     <= 1'b0;
      answer_second_q    <= 1'b0;
      first_requested_q  <= 1'b0;
      second_requested_q <= 1'b0;
      first_pending_q    <= '0;
      second_pending_q   <= '0;
    end else if (start_i) begin
      request_later_q    <= a_moves & b_moves;
      request_second_q   <= 1'b0;
      answer_later_q     <= a_moves & b_moves;
      answer_second_q    <= 1'b0;
      first_requested_q  <= 1'b0;
      second_requested_q <= 1'b0;
    end else begin
      if (request_next) begin
        request_later_q  <= 1'b0;
        request_second_q <= 1'b1;
      end
      if (answer_next) begin
        answer_later_q  <= 1'b0;
        answer_second_q <= 1'b1;
      end
      first_requested_q  <= first_requested_q | (request & burst_last);
      second_requested_q <= second_requested_q | (request & burst_last & request_second_q);
      first_pending_q    <= first_pending_q + PendingBits'(first_request)
                            - PendingBits'(first_answer);
      second_pending_q   <= second_pending_q + PendingBits'(request & request_second_q)
                            - PendingBits'(answer & answer_second_q);
    end
  end

  // Words. The half registers hold the half that was filled last.
  logic [Widest-1:0] word;
  logic [15:0]       address_q;
  logic [9:0]        word_beats_q;
  logic              target_q, input_half_q, weight_half_q, word_valid;

  dovetail_words #(
    .BusBits(BusBits),
    .Slots(Widest / BusBits)
  ) u_words (
    .clk_i,
    .rst_ni,
    .valid_i(rvalid_i),
    .data_i(rdata_i),
    .word_beats_i(word_beats_q),
    .word_valid_o(word_valid),
    .word_o(word)
  );

  always_ff @(posedge clk_i) begin
    if (start_i | answer_next) begin
      target_q     <= part[Target];
      address_q    <= part[Word +: 16];
      word_beats_q <= part[WordBeats +: 10];
    end else if (word_valid) begin
      address_q <= address_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      input_half_q  <= 1'b1;
      weight_half_q <= 1'b1;
    end else if (clear_i) begin
      input_half_q  <= 1'b1;
      weight_half_q <= 1'b1;
    end else if (start_i) begin
      input_half_q  <= input_half_q ^ entry_i[dovetail_isa_pkg::LoadFillsInputLsb];
      weight_half_q <= weight_half_q ^ entry_i[dovetail_isa_pkg::LoadFillsWeightLsb];
    end
  end

  assign input_write_o          = word_valid & ~target_q;
  assign input_write_half_o     = input_half_q;
  assign input_write_address_o  = address_q;
  assign input_write_data_o     = word[InputWidth-1:0];
  assign weight_write_o         = word_valid & target_q;
  assign weight_write_half_o    = weight_half_q;
  assign weight_write_address_o = address_q;
  assign weight_write_data_o    = word[WeightWidth-1:0];
  assign rready_o               = 1'b1;

  logic unused_entry;
  assign unused_entry = ^{entry_i[dovetail_isa_pkg::EntryBits-1:dovetail_isa_pkg::LoadEntryBits],
                          entry_i[dovetail_isa_pkg::OpcodeBits-1:0]};

endmodule
