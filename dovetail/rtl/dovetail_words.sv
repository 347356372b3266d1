/// Assembles beats of a bus into words.
///
/// valid_i takes a beat. Beat number word_beats_i since the word before completes a word:
/// word_valid_o is high in that very cycle, and word_o holds the word, its first beat lowest. If
/// word_beats_i is less than Slots, the rest of word_o repeats the last beat. word_beats_i changes
/// between words only.

module dovetail_words #(
  parameter int BusBits  = 64,
  parameter int Slots    = 2,  // beats that word_o holds, >= 1
  parameter int BeatBits = 10  // width of word_beats_i
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,  // asynchronous, active low

  input  logic                     valid_i,
  input  logic [BusBits-1:0]       data_i,
  input  logic [BeatBits-1:0]      word_beats_i,  // >= 1

  output logic                     word_valid_o,
  output logic [Slots*BusBits-1:0] word_o
);

  logic [BeatBits-1:0] beat_q;  // beats of this word so far
  logic                word_last;

  assign word_last    = beat_q == word_beats_i - 1'b1;
  assign word_valid_o = valid_i & word_last;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_q <= '0;
    end else if (valid_i) begin
      beat_q <= word_last ? '0 : beat_q + 1'b1;
    end
  end

  for (genvar s = 0; s < Slots; s++) begin : gen_slot
    if (s == Slots - 1) begin : gen_last
      assign word_o[s*BusBits +: BusBits] = data_i;
    end else begin : gen_kept
      logic [BusBits-1:0] slot_q;
      logic               kept;

      assign kept = beat_q > BeatBits'(s);
      assign word_o[s*BusBits +: BusBits] = kept ? slot_q : data_i;

      always_ff @(posedge clk_i) begin
        if (valid_i & ~kept) begin
          slot_q <= data_i;
        end
      end
    end
  end

endmodule
