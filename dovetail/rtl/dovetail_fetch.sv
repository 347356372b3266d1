/// Fetches the segments of a program from memory and runs them one after the other.
///
/// start_i takes the address of the first segment. A segment's 64-byte header is read, then all the
/// rest in one piece: the entries of the three queues, each of which has at least one, and the
/// parameter words; *_write_o write them to their memories. run_o, a pulse, then starts the queues;
/// finished_i, looked at from the next cycle on, says that all of them are through. The next
/// segment follows, or the end: done_o rises and stays until the next start_i, which is ignored
/// while busy_o is high.
///
/// Cycles: segment_o marks a segment's first cycle S, that of start_i or of finished_i; the header
/// is requested in cycle S + 1. If the header's last beat comes in cycle H, the rest is requested
/// from cycle H + 2 on, one burst per cycle; if its last beat comes in cycle B, run_o is high in
/// cycle B + 1. done_o rises in the cycle after finished_i.
///
/// fetching_o: the read channels are this module's. Beats are always accepted, and responses other
/// than OKAY ignored.

module dovetail_fetch #(
  parameter int BusBits    = 64,
  parameter int EntryBits  = 393,  // bits of an entry that a queue uses at most, <= 512
  parameter int ParamWidth = 256   // bits of a parameter word, a multiple of BusBits
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,  // asynchronous, active low

  input  logic                  start_i,
  input  logic [31:0]           address_i,
  output logic                  busy_o,
  output logic                  done_o,

  output logic                  segment_o,
  output logic                  run_o,
  input  logic                  finished_i,

  output logic                  load_write_o,
  output logic                  execute_write_o,
  output logic                  store_write_o,
  output logic                  param_write_o,
  output logic [15:0]           write_address_o,
  output logic [EntryBits-1:0]  entry_o,
  output logic [ParamWidth-1:0] param_o,

  output logic                  fetching_o,
  output logic                  arvalid_o,
  input  logic                  arready_i,
  output logic [31:0]           araddr_o,
  output logic [7:0]            arlen_o,

  input  logic                  rvalid_i,
  output logic                  rready_o,
  input  logic [BusBits-1:0]    rdata_i
);

  localparam int FullBits   = dovetail_isa_pkg::EntryBits;
  localparam int WordBits   = (ParamWidth > FullBits) ? ParamWidth : FullBits;
  localparam int EntryBeats = FullBits / BusBits;
  localparam int ParamBeats = ParamWidth / BusBits;
  localparam int BeatBits   = $clog2(WordBits / BusBits + 1);

  localparam bit [2:0] Idle   = 3'd0;
  localparam bit [2:0] Header = 3'd1;  // its beats come
  localparam bit [2:0] Plan   = 3'd2;  // it is known
  localparam bit [2:0] Body   = 3'd3;  // the rest comes
  localparam bit [2:0] Launch = 3'd4;
  localparam bit [2:0] Run    = 3'd5;

  // What the words of the body are.
  localparam bit [1:0] LoadEntries    = 2'd0;
  localparam bit [1:0] ExecuteEntries = 2'd1;
  localparam bit [1:0] StoreEntries   = 2'd2;
  localparam bit [1:0] ParamWords     = 2'd3;

  logic [2:0]  state_q, state_d;
  logic        finish, done_q;
  logic [31:0] segment, segment_q, next_q;
  logic [15:0] load_count_q, execute_count_q, store_count_q, param_count_q;
  logic [31:0] beats;

  assign finish    = (state_q == Run) & finished_i;
  assign segment_o = (start_i & (state_q == Idle)) | (finish & (next_q != '0));
  assign segment   = (state_q == Idle) ? address_i : next_q;
  assign beats     = (32'(load_count_q) + 32'(execute_count_q) + 32'(store_count_q)) * EntryBeats
                     + 32'(param_count_q) * ParamBeats;

  logic burst_last;

  dovetail_burst #(
    .BusBits(BusBits),
    .RunBits(32)
  ) u_burst (
    .clk_i,
    .rst_ni,
    .start_i(segment_o | (state_q == Plan)),
    .address_i((state_q == Plan) ? segment_q + 32'd64 : segment),
    .rows_i(16'd1),
    .row_stride_i(32'd0),
    .columns_i(16'd1),
    .column_stride_i(32'd0),
    .run_beats_i((state_q == Plan) ? beats : 32'(EntryBeats)),
    .valid_o(arvalid_o),
    .ready_i(arready_i),
    .address_o(araddr_o),
    .len_o(arlen_o),
    .last_o(burst_last)
  );

  logic [1:0]          kind_q;
  logic [15:0]         index_q, count;
  logic [WordBits-1:0] word;
  logic                word_valid, body_word, kind_last, body_last;

  dovetail_words #(
    .BusBits(BusBits),
    .Slots(WordBits / BusBits),
    .BeatBits(BeatBits)
  ) u_words (
    .clk_i,
    .rst_ni,
    .valid_i(rvalid_i & fetching_o),
    .data_i(rdata_i),
    .word_beats_i((kind_q == ParamWords) ? BeatBits'(ParamBeats) : BeatBits'(EntryBeats)),
    .word_valid_o(word_valid),
    .word_o(word)
  );

  always_comb begin
    case (kind_q)
      LoadEntries:    count = load_count_q;
      ExecuteEntries: count = execute_count_q;
      StoreEntries:   count = store_count_q;
      default:        count = param_count_q;
    endcase
  end

  assign body_word = word_valid & (state_q == Body);
  assign kind_last = body_word & (index_q == count - 1'b1);
  assign body_last = kind_last & ((kind_q == ParamWords)
                                  | ((kind_q == StoreEntries) & (param_count_q == '0)));

  always_comb begin
    state_d = state_q;
    case (state_q)
      Header:  if (word_valid) state_d = Plan;
      Plan:    state_d = Body;
      Body:    if (body_last) state_d = Launch;
      Launch:  state_d = Run;
      default: if (segment_o) state_d = Header;
               else if (finish) state_d = Idle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      done_q  <= 1'b0;
      kind_q  <= LoadEntries;
      index_q <= '0;
    end else begin
      state_q <= state_d;
      done_q  <= (done_q | finish) & ~segment_o;
      if (segment_o) begin
        kind_q  <= LoadEntries;
        index_q <= '0;
      end else if (kind_last) begin
        kind_q  <= kind_q + 1'b1;
        index_q <= '0;
      end else if (body_word) begin
        index_q <= index_q + 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (segment_o) begin
      segment_q <= segment;
    end
    if (word_valid & (state_q == Header)) begin
      load_count_q    <= word[dovetail_isa_pkg::HeaderLoadEntriesLsb +: 16];
      execute_count_q <= word[dovetail_isa_pkg::HeaderExecuteEntriesLsb +: 16];
      store_count_q   <= word[dovetail_isa_pkg::HeaderStoreEntriesLsb +: 16];
      param_count_q   <= word[dovetail_isa_pkg::HeaderParamWordsLsb +: 16];
      next_q          <= word[dovetail_isa_pkg::HeaderNextLsb +: 32];
    end
  end

  assign load_write_o    = body_word & (kind_q == LoadEntries);
  assign execute_write_o = body_word & (kind_q == ExecuteEntries);
  assign store_write_o   = body_word & (kind_q == StoreEntries);
  assign param_write_o   = body_word & (kind_q == ParamWords);
  assign write_address_o = index_q;
  assign entry_o         = word[EntryBits-1:0];
  assign param_o         = word[ParamWidth-1:0];

  assign busy_o     = state_q != Idle;
  assign done_o     = done_q;
  assign run_o      = state_q == Launch;
  assign fetching_o = (state_q == Header) | (state_q == Body);
  assign rready_o   = 1'b1;

  logic unused_bits;
  assign unused_bits = ^{burst_last, word};

endmodule
