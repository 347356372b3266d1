/// Behavioural AXI4 memory with exact latency and bandwidth; for simulation only.
///
/// One ID, INCR bursts of whole bus words, any number of bursts outstanding. Cycles are counted in
/// rising edges. B bytes are a bus word, `bandwidth_i` is in 1/256 byte per cycle.
///
/// Reads: let a be the cycle that accepts the first burst after no read was outstanding. Beat j,
///   counted from 1 since then, is handed over in cycle
///   a + latency_i + ceil(256 j B / bandwidth_i).
/// Writes: let a be the cycle that accepts the first burst after no write was outstanding. Beat j
///   is handed over in cycle a + ceil(256 j B / bandwidth_i), or when the master has it. The
///   response is valid in the cycle after a burst's last beat; a write is outstanding until it is
///   taken.
///
/// seed_i other than 0: ready and valid stall at random on top of that; times mean nothing then.
///
/// Plusargs: +image=FILE (hex, one bus word per line), +words=N bus words that exist.
/// dump_i writes all words to +dump=FILE, one hex word per line.

module axi_memory #(
  parameter int BusBits = 64,
  parameter int Words   = 1 << 17  // most bus words that the memory can hold
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic [31:0]          latency_i,
  input  logic [31:0]          bandwidth_i,
  input  logic [31:0]          seed_i,
  input  logic                 dump_i,

  input  logic                 arvalid_i,
  output logic                 arready_o,
  input  logic [31:0]          araddr_i,
  input  logic [7:0]           arlen_i,

  output logic                 rvalid_o,
  input  logic                 rready_i,
  output logic [BusBits-1:0]   rdata_o,
  output logic                 rlast_o,

  input  logic                 awvalid_i,
  output logic                 awready_o,
  input  logic [31:0]          awaddr_i,
  input  logic [7:0]           awlen_i,

  input  logic                 wvalid_i,
  output logic                 wready_o,
  input  logic [BusBits-1:0]   wdata_i,
  input  logic [BusBits/8-1:0] wstrb_i,

  output logic                 bvalid_o,
  input  logic                 bready_i,

  output logic                 idle_o      // nothing is outstanding
);

  localparam int WordShift = $clog2(BusBits / 8);
  localparam int WordBits = $clog2(Words);
  localparam int QueueBits = 16;  // bursts outstanding, at most 2 to the power of this
  localparam int BeatBytes = BusBits / 8;
  localparam logic [63:0] BeatCost = {32'b0, BeatBytes} << 8;

  logic [BusBits-1:0] memory [Words];
  logic [39:0]        reads  [1 << QueueBits];  // address, length
  logic [39:0]        writes [1 << QueueBits];

  string file;
  logic [31:0] words;

  initial begin
    if ($value$plusargs("words=%d", words) == 0) words = 0;
    if (words > Words) $fatal(1, "the memory model holds %0d words, not %0d", Words, words);
    if ($value$plusargs("image=%s", file)) $readmemh(file, memory, 0, words - 1);
  end

  // Random stalls: xorshift, one step per cycle.
  logic [31:0] random_q, random_a, random_b, random_c;
  assign random_a = random_q ^ (random_q << 13);
  assign random_b = random_a ^ (random_a >> 17);
  assign random_c = random_b ^ (random_b << 5);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      random_q <= 32'h9E3779B9;
    end else begin
      random_q <= random_c ^ seed_i;
    end
  end

  logic calm;
  assign calm = seed_i == '0;

  // Reads.
  logic [QueueBits-1:0] r_head_q, r_tail_q;
  logic [31:0]          r_beats_q;   // accepted beats that are not handed over yet
  logic [8:0]           r_index_q;   // beats of the head burst that were handed over
  logic [31:0]          r_age_q;     // cycles since the first acceptance
  logic [63:0]          r_credit_q, r_credit;
  logic                 r_hold_q, r_fire, ar_fire, r_due;
  logic [WordBits-1:0]  r_word;

  /* verilator lint_off UNUSEDSIGNAL */  // the address may be wider than the memory
  logic [39:0] r_burst, w_burst;
  /* verilator lint_on UNUSEDSIGNAL */

  assign arready_o = calm | random_q[3];
  assign ar_fire   = arvalid_i & arready_o;
  assign r_burst   = reads[r_head_q];
  assign r_credit  = (r_age_q > latency_i) ? r_credit_q + {32'b0, bandwidth_i} : r_credit_q;
  assign r_due     = (r_beats_q != 0) & (r_credit >= BeatCost);
  assign rvalid_o  = r_due & (calm | r_hold_q | (random_q[7:6] != 2'b00));
  assign r_fire    = rvalid_o & rready_i;
  assign r_word    = r_burst[8+WordShift +: WordBits] + WordBits'(r_index_q);
  assign rlast_o   = rvalid_o & (r_index_q == {1'b0, r_burst[7:0]});
  assign rdata_o   = rvalid_o ? memory[r_word] : '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      r_head_q   <= '0;
      r_tail_q   <= '0;
      r_beats_q  <= '0;
      r_index_q  <= '0;
      r_age_q    <= '0;
      r_credit_q <= '0;
      r_hold_q   <= 1'b0;
    end else begin
      r_hold_q  <= rvalid_o & ~rready_i;
      r_beats_q <= r_beats_q + (ar_fire ? {24'b0, arlen_i} + 32'd1 : 32'd0) - {31'b0, r_fire};
      if (r_beats_q == 0) begin
        r_age_q    <= 32'd1;
        r_credit_q <= '0;
      end else begin
        r_age_q    <= r_age_q + 32'd1;
        r_credit_q <= r_fire ? r_credit - BeatCost : r_credit;
      end
      if (ar_fire) begin
        reads[r_tail_q] <= {araddr_i, arlen_i};
        r_tail_q        <= r_tail_q + 1'b1;
      end
      if (r_fire) begin
        r_index_q <= rlast_o ? '0 : r_index_q + 9'd1;
        r_head_q  <= r_head_q + QueueBits'(rlast_o);
      end
    end
  end

  // Writes.
  logic [QueueBits-1:0] w_head_q, w_tail_q;
  logic [31:0]          w_beats_q, w_bursts_q, b_count_q;
  logic [8:0]           w_index_q;
  logic [63:0]          w_credit_q, w_credit;
  logic                 w_hold_q, b_hold_q, aw_fire, w_fire, w_last, b_fire;
  logic [WordBits-1:0]  w_word;

  assign awready_o = calm | random_q[10];
  assign aw_fire   = awvalid_i & awready_o;
  assign w_burst   = writes[w_head_q];
  assign w_credit  = w_credit_q + {32'b0, bandwidth_i};
  assign wready_o  = (w_beats_q != 0) & (w_credit >= BeatCost) &
                     (calm | w_hold_q | (random_q[14:13] != 2'b00));
  assign w_fire    = wvalid_i & wready_o;
  assign w_word    = w_burst[8+WordShift +: WordBits] + WordBits'(w_index_q);
  assign w_last    = w_index_q == {1'b0, w_burst[7:0]};
  assign bvalid_o  = (b_count_q != 0) & (calm | b_hold_q | random_q[17]);
  assign b_fire    = bvalid_o & bready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      w_head_q   <= '0;
      w_tail_q   <= '0;
      w_beats_q  <= '0;
      w_bursts_q <= '0;
      w_index_q  <= '0;
      w_credit_q <= '0;
      b_count_q  <= '0;
      w_hold_q   <= 1'b0;
      b_hold_q   <= 1'b0;
    end else begin
      w_hold_q   <= wready_o & ~wvalid_i;
      b_hold_q   <= bvalid_o & ~bready_i;
      w_beats_q  <= w_beats_q + (aw_fire ? {24'b0, awlen_i} + 32'd1 : 32'd0) - {31'b0, w_fire};
      w_bursts_q <= w_bursts_q + {31'b0, aw_fire} - {31'b0, b_fire};
      b_count_q  <= b_count_q + {31'b0, w_fire & w_last} - {31'b0, b_fire};
      w_credit_q <= (w_bursts_q == 0) ? '0 : (w_fire ? w_credit - BeatCost : w_credit);
      if (aw_fire) begin
        writes[w_tail_q] <= {awaddr_i, awlen_i};
        w_tail_q         <= w_tail_q + 1'b1;
      end
      if (w_fire) begin
        w_index_q <= w_last ? '0 : w_index_q + 9'd1;
        w_head_q  <= w_head_q + QueueBits'(w_last);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (w_fire) begin
      for (int i = 0; i < BusBits / 8; i++) begin
        if (wstrb_i[i]) memory[w_word][8*i +: 8] <= wdata_i[8*i +: 8];
      end
    end
  end

  // Nothing may be read or written outside of the image.
  always @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!ar_fire || (araddr_i >> WordShift) + {24'b0, arlen_i} < words)
        else $fatal(1, "RULE read of %0d beats at %h is outside of the memory", arlen_i + 1, araddr_i);
      assert (!aw_fire || (awaddr_i >> WordShift) + {24'b0, awlen_i} < words)
        else $fatal(1, "RULE write of %0d beats at %h is outside of the memory", awlen_i + 1, awaddr_i);
    end
  end

  assign idle_o = (r_beats_q == 0) & (w_bursts_q == 0);

  /* verilator lint_off BLKSEQ */  // a file handle is no register
  integer out;
  always @(posedge clk_i) begin
    if (dump_i && $value$plusargs("dump=%s", file)) begin
      out = $fopen(file, "w");
      for (int i = 0; i < int'(words); i++) $fwrite(out, "%h\n", memory[i]);
      $fclose(out);
    end
  end
  /* verilator lint_on BLKSEQ */

endmodule
