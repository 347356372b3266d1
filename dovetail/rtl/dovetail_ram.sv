/// Memory with one write and one read port.
///
/// read_i samples word read_address_i, which is on read_data_o from the next cycle until the cycle
/// after the next read. A word that is written in the cycle in which it is read is read as
/// anything. Nothing is reset.

module dovetail_ram #(
  parameter int Width = 32,  // bits of a word, >= 1
  parameter int Depth = 256, // words, >= 1
  localparam int AddressBits = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic                   clk_i,

  input  logic                   write_i,
  input  logic [AddressBits-1:0] write_address_i,
  input  logic [Width-1:0]       write_data_i,

  input  logic                   read_i,
  input  logic [AddressBits-1:0] read_address_i,
  output logic [Width-1:0]       read_data_o
);

  logic [Width-1:0] words_q [Depth];

  always_ff @(posedge clk_i) begin
    if (write_i) begin
      words_q[write_address_i] <= write_data_i;
    end
    if (read_i) begin
      read_data_o <= words_q[read_address_i];
    end
  end

endmodule
