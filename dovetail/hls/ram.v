// Memory of a kernel: a read port and a write port, as channels.
//
// The word at the address that rd_req takes is on rd from the next cycle on, until it is taken. wr
// is (address, word, mask), the address in its highest bits, and is always ready: it writes the
// parts of the word whose bits of the mask are set, part 0 in the lowest bits. A word that is
// written in the cycle in which it is read is read as anything.

module dovetail_kernel_ram #(
  parameter Words = 2,
  parameter AddressBits = 1,
  parameter Bits = 8,        // of a word, a multiple of Parts
  parameter Parts = 1        // of a word, each written by itself
) (
  input wire clk,
  input wire rst_ni,

  input wire [AddressBits-1:0] rd_req_data,
  input wire                   rd_req_valid,
  output wire                  rd_req_ready,

  output reg [Bits-1:0] rd_data,
  output reg            rd_valid,
  input wire            rd_ready,

  input wire [AddressBits+Bits+Parts-1:0] wr_data,
  input wire                              wr_valid,
  output wire                             wr_ready
);
  localparam PartBits = Bits / Parts;

  wire [AddressBits-1:0] address = wr_data[Bits+Parts +: AddressBits];
  wire [Bits-1:0] word = wr_data[Parts +: Bits];
  wire reads = rd_req_valid && rd_req_ready;

  assign rd_req_ready = !rd_valid || rd_ready;
  assign wr_ready = 1'b1;

  reg [Bits-1:0] words [0:Words-1];
  integer part;

  always @ (posedge clk) begin
    for (part = 0; part < Parts; part = part + 1) begin
      if (wr_valid && wr_data[part]) begin
        words[address][PartBits*part +: PartBits] <= word[PartBits*part +: PartBits];
      end
    end
    if (reads) begin
      rd_data <= (wr_valid && address == rd_req_data) ? {Bits{1'bx}} : words[rd_req_data];
    end
  end

  always @ (posedge clk) begin
    if (!rst_ni) begin
      rd_valid <= 1'b0;
    end else begin
      rd_valid <= reads || (rd_valid && !rd_ready);
    end
  end
endmodule
