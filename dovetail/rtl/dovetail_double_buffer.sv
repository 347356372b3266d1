/// Two halves of a scratchpad: what one engine fills while another one reads.
///
/// The writer and each of one or two readers name the half that they mean; two readers are never at
/// the same half in one cycle. Reader i has bits [i], [i*16 +: 16] and [i*Width +: Width]. Its word
/// comes one cycle after read_i and stays until the cycle after its next read, or until the other
/// reader reads the same half. A half is a `dovetail_ram`.

module dovetail_double_buffer #(
  parameter int Width   = 32,   // bits of a word, >= 1
  parameter int Depth   = 256,  // words of a half, 1 to 65,536
  parameter int Readers = 1     // 1 or 2
) (
  input  logic                     clk_i,

  input  logic                     write_i,
  input  logic                     write_half_i,
  input  logic [15:0]              write_address_i,
  input  logic [Width-1:0]         write_data_i,

  input  logic [Readers-1:0]       read_i,
  input  logic [Readers-1:0]       read_half_i,
  input  logic [Readers*16-1:0]    read_address_i,
  output logic [Readers*Width-1:0] read_data_o
);

  localparam int AddressBits = (Depth > 1) ? $clog2(Depth) : 1;

  logic [Readers-1:0] read_0, read_1, half_q;
  logic [15:0]        address_0, address_1;
  logic [Width-1:0]   data_0, data_1;

  assign read_0 = read_i & ~read_half_i;
  assign read_1 = read_i & read_half_i;

  // Reader 0 has the half unless the last reader takes it.
  assign address_0 = read_0[Readers-1] ? read_address_i[(Readers-1)*16 +: 16]
                                       : read_address_i[15:0];
  assign address_1 = read_1[Readers-1] ? read_address_i[(Readers-1)*16 +: 16]
                                       : read_address_i[15:0];

  dovetail_ram #(
    .Width(Width),
    .Depth(Depth)
  ) u_half_0 (
    .clk_i,
    .write_i(write_i & ~write_half_i),
    .write_address_i(write_address_i[AddressBits-1:0]),
    .write_data_i,
    .read_i(|read_0),
    .read_address_i(address_0[AddressBits-1:0]),
    .read_data_o(data_0)
  );

  dovetail_ram #(
    .Width(Width),
    .Depth(Depth)
  ) u_half_1 (
    .clk_i,
    .write_i(write_i & write_half_i),
    .write_address_i(write_address_i[AddressBits-1:0]),
    .write_data_i,
    .read_i(|read_1),
    .read_address_i(address_1[AddressBits-1:0]),
    .read_data_o(data_1)
  );

  for (genvar i = 0; i < Readers; i++) begin : gen_reader
    always_ff @(posedge clk_i) begin
      if (read_i[i]) begin
        half_q[i] <= read_half_i[i];
      end
    end
    assign read_data_o[i*Width +: Width] = half_q[i] ? data_1 : data_0;
  end

  logic unused_address;
  assign unused_address = ^{address_0, address_1, write_address_i};

endmodule
