/// Store engine: requantizes accumulators and writes them to memory.
///
/// start_i takes a store: entry_i, address_a_i and address_b_i are valid in that cycle only. For
/// every pixel m, and within it for every block b, accumulator word b * pixels + m is requantized
/// with parameter word param + address_b_i + (m or b), and its low word_beats beats are written, in
/// the order of the transfer, whose address is relative to address_a_i. A transfer of other than
/// blocks * pixels * word_beats beats is illegal, as is one of none. done_o is high in the cycle in
/// which the last response comes; start_i may come again in the next cycle.
///
/// Every store takes the other half of the accumulators; the first one after clear_i takes half 0.
/// acc_read_data_i and param_read_data_i come one cycle after a read, and stay until the next one.
///
/// The first address is offered when the first beat is, 9 cycles after start_i, so that from then
/// on there is a beat in every cycle: with a memory that takes addresses at once, n beats in the c
/// cycles after the first address, and answers in the cycle after a burst's last beat, a store
/// takes c + 11 cycles from start_i to the cycle after done_o, for all parameters. Data never wait
/// for addresses to be accepted. Responses are always accepted, and those other than OKAY ignored.

module dovetail_store #(
  parameter int Cols      = 4,
  parameter int InputBits = 8,
  parameter int AccBits   = 32,
  parameter int BusBits   = 64  // divides Cols * InputBits and Cols * AccBits
) (
  input  logic                                             clk_i,
  input  logic                                             rst_ni,  // asynchronous, active low

  input  logic                                             clear_i,
  input  logic                                             start_i,
  input  logic [dovetail_isa_pkg::EntryBits-1:0]           entry_i,
  input  logic [31:0]                                      address_a_i,
  input  logic [31:0]                                      address_b_i,
  output logic                                             done_o,

  output logic                                             acc_read_o,
  output logic                                             acc_read_half_o,
  output logic [15:0]                                      acc_read_address_o,
  input  logic [Cols*AccBits-1:0]                          acc_read_data_i,

  output logic                                             param_read_o,
  output logic [15:0]                                      param_read_address_o,
  input  logic [Cols*dovetail_isa_pkg::ParamEntryBits-1:0] param_read_data_i,

  output logic                                             awvalid_o,
  input  logic                                             awready_i,
  output logic [31:0]                                      awaddr_o,
  output logic [7:0]                                       awlen_o,

  output logic                                             wvalid_o,
  input  logic                                             wready_i,
  output logic [BusBits-1:0]                               wdata_o,
  output logic                                             wlast_o,

  input  logic                                             bvalid_i,
  output logic                                             bready_o
);

  localparam int LaneBits = (AccBits > InputBits) ? AccBits : InputBits;
  localparam int WordBits = Cols * LaneBits;

  // What stays for the whole store.
  logic [15:0]        pixels_q, blocks_q;
  logic [9:0]         word_beats_q;
  logic               wide_q, per_pixel_q;
  logic signed [15:0] zero_point_q, low_q, high_q;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      pixels_q     <= entry_i[dovetail_isa_pkg::StorePixelsLsb +: 16];
      blocks_q     <= entry_i[dovetail_isa_pkg::StoreBlocksLsb +: 16];
      word_beats_q <= entry_i[dovetail_isa_pkg::StoreWordBeatsLsb +: 10];
      wide_q       <= entry_i[dovetail_isa_pkg::StoreWideLsb];
      per_pixel_q  <= entry_i[dovetail_isa_pkg::StoreParamPerPixelLsb];
      zero_point_q <= entry_i[dovetail_isa_pkg::StoreZeroPointLsb +: 16];
      low_q        <= entry_i[dovetail_isa_pkg::StoreLowLsb +: 16];
      high_q       <= entry_i[dovetail_isa_pkg::StoreHighLsb +: 16];
    end
  end

  // Accumulators: one word per cycle in which the pipeline moves.
  logic        reading_q, half_q, move, read, block_last, pixel_last;
  logic [15:0] acc_address_q, param_address_q, pixel_q, block_q, param_first_q;

  assign read       = reading_q & move;
  assign block_last = block_q == blocks_q - 1'b1;
  assign pixel_last = pixel_q == pixels_q - 1'b1;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      reading_q <= 1'b0;
      half_q    <= 1'b1;
    end else begin
      reading_q <= start_i | (reading_q & ~(read & block_last & pixel_last));
      // The half of the store before.
      half_q    <= clear_i | (half_q ^ start_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      pixel_q         <= '0;
      block_q         <= '0;
      acc_address_q   <= '0;
      param_first_q   <= entry_i[dovetail_isa_pkg::StoreParamLsb +: 16] + address_b_i[15:0];
      param_address_q <= entry_i[dovetail_isa_pkg::StoreParamLsb +: 16] + address_b_i[15:0];
    end else if (read & block_last) begin
      pixel_q         <= pixel_q + 1'b1;
      block_q         <= '0;
      acc_address_q   <= pixel_q + 1'b1;
      param_address_q <= per_pixel_q ? param_address_q + 1'b1 : param_first_q;
    end else if (read) begin
      block_q         <= block_q + 1'b1;
      acc_address_q   <= acc_address_q + pixels_q;
      param_address_q <= per_pixel_q ? param_address_q : param_address_q + 1'b1;
    end
  end

  assign acc_read_o           = read;
  assign acc_read_half_o      = half_q;
  assign acc_read_address_o   = acc_address_q;
  assign param_read_o         = read;
  assign param_read_address_o = param_address_q;

  // Requantization. read_q: the memories' outputs are a word.
  logic                read_q, result_valid;
  logic [WordBits-1:0] result;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q <= 1'b0;
    end else if (move) begin
      read_q <= read;
    end
  end

  dovetail_requantize #(
    .Cols(Cols),
    .InputBits(InputBits),
    .AccBits(AccBits)
  ) u_requantize (
    .clk_i,
    .rst_ni,
    .wide_i(wide_q),
    .zero_point_i(zero_point_q),
    .low_i(low_q),
    .high_i(high_q),
    .enable_i(move),
    .valid_i(read_q),
    .acc_i(acc_read_data_i),
    .param_i(param_read_data_i),
    .valid_o(result_valid),
    .word_o(result)
  );

  // Beats of one word, lowest first. All moves on in the cycle in which its last beat leaves.
  logic [WordBits-1:0] word_q;
  logic [9:0]          beats_left_q;
  logic                word_valid_q, beat_ready, beat;

  assign beat = word_valid_q & beat_ready;
  assign move = ~word_valid_q | (beat & (beats_left_q == 10'd1));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      word_valid_q <= 1'b0;
    end else if (move) begin
      word_valid_q <= result_valid;
    end
  end

  always_ff @(posedge clk_i) begin
    if (move) begin
      word_q       <= result;
      beats_left_q <= word_beats_q;
    end else if (beat) begin
      word_q       <= word_q >> BusBits;
      beats_left_q <= beats_left_q - 1'b1;
    end
  end

  logic out_valid, out_ready;

  dovetail_fifo #(
    .Width(BusBits),
    .Depth(2)
  ) u_beats (
    .clk_i,
    .rst_ni,
    .valid_i(word_valid_q),
    .ready_o(beat_ready),
    .data_i(word_q[BusBits-1:0]),
    .valid_o(out_valid),
    .ready_i(out_ready),
    .data_o(wdata_o)
  );

  // Bursts: each one goes to the addresses and, as a length, to the data.
  localparam int PendingBits = 8;

  logic                   burst_valid, burst_last, burst, room, address_ready, length_ready;
  logic [31:0]            burst_address;
  logic [7:0]             burst_len;
  logic [PendingBits-1:0] pending_q;  // bursts without a response

  assign room  = (pending_q != '1) & address_ready & length_ready;
  assign burst = burst_valid & room;

  dovetail_burst #(
    .BusBits(BusBits)
  ) u_burst (
    .clk_i,
    .rst_ni,
    .start_i,
    .address_i(entry_i[dovetail_isa_pkg::StoreAddressLsb +: 32] + address_a_i),
    .rows_i(entry_i[dovetail_isa_pkg::StoreRowsLsb +: 16]),
    .row_stride_i(entry_i[dovetail_isa_pkg::StoreRowStrideLsb +: 32]),
    .columns_i(entry_i[dovetail_isa_pkg::StoreColumnsLsb +: 16]),
    .column_stride_i(entry_i[dovetail_isa_pkg::StoreColumnStrideLsb +: 32]),
    .run_beats_i(entry_i[dovetail_isa_pkg::StoreRunBeatsLsb +: 16]),
    .valid_o(burst_valid),
    .ready_i(room),
    .address_o(burst_address),
    .len_o(burst_len),
    .last_o(burst_last)
  );

  logic address_valid, length_valid, last_beat;

  dovetail_fifo #(
    .Width(40),
    .Depth(2)
  ) u_addresses (
    .clk_i,
    .rst_ni,
    .valid_i(burst),
    .ready_o(address_ready),
    .data_i({burst_address, burst_len}),
    .valid_o(address_valid),
    .ready_i(awready_i & awvalid_o),
    .data_o({awaddr_o, awlen_o})
  );

  logic [7:0] length, beat_q;  // beat_q: beats of this burst that have been taken

  // As deep as it takes from a burst's address to its data, so that bursts of one beat flow.
  dovetail_fifo #(
    .Width(8),
    .Depth(4)
  ) u_lengths (
    .clk_i,
    .rst_ni,
    .valid_i(burst),
    .ready_o(length_ready),
    .data_i(burst_len),
    .valid_o(length_valid),
    .ready_i(last_beat),
    .data_o(length)
  );

  // The first address waits for the first beat.
  logic flowing_q, all_bursts_q;

  assign awvalid_o = address_valid & (flowing_q | out_valid);
  assign wvalid_o  = out_valid & length_valid;
  assign wlast_o   = beat_q == length;
  assign out_ready = wready_i & length_valid;
  assign last_beat = wvalid_o & wready_i & wlast_o;
  assign bready_o  = 1'b1;
  assign done_o    = bvalid_i & all_bursts_q & (pending_q == PendingBits'(1));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_q       <= '0;
      pending_q    <= '0;
      flowing_q    <= 1'b0;
      all_bursts_q <= 1'b0;
    end else begin
      if (wvalid_o & wready_i) begin
        beat_q <= wlast_o ? '0 : beat_q + 1'b1;
      end
      pending_q    <= pending_q + PendingBits'(burst) - PendingBits'(bvalid_i);
      flowing_q    <= ~start_i & (flowing_q | out_valid);
      all_bursts_q <= ~start_i & (all_bursts_q | (burst & burst_last));
    end
  end

  logic unused_entry;
  assign unused_entry = ^{entry_i[dovetail_isa_pkg::EntryBits-1:dovetail_isa_pkg::StoreEntryBits],
                          entry_i[dovetail_isa_pkg::OpcodeBits-1:0], address_b_i[31:16]};

endmodule
