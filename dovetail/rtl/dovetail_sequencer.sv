/// Runs one queue: steps through its program and presents one instruction after the other.
///
/// write_i writes entry write_address_i while nothing runs. run_i, a pulse, starts at entry 0 with
/// both address registers 0. Reading an entry takes 2 cycles. LOOP pushes its count onto a stack of
/// 8; END pops if the count is exhausted, else adds its steps to the address registers A and B and
/// goes on behind its LOOP. Counts are at least 1.
///
/// ready_o says that an instruction has been read: entry_o, address_a_o, address_b_o belong to it
/// until start_i (only together with ready_o) takes it. ready_o rises 2 (1 + m) cycles after run_i
/// for the first instruction, and 2 (1 + m) cycles after the start of the one before for all
/// others, where m is the number of LOOP and END entries read in between. halted_o rises in the
/// same way when HALT has been read, and falls after the next run_i; it is high after reset.

module dovetail_sequencer #(
  parameter int EntryBits = 256,  // bits of an entry that this queue uses, >= 68
  parameter int Depth     = 64    // entries
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,  // asynchronous, active low

  input  logic                 write_i,
  input  logic [15:0]          write_address_i,
  input  logic [EntryBits-1:0] write_data_i,

  input  logic                 run_i,
  output logic                 ready_o,
  input  logic                 start_i,
  output logic [EntryBits-1:0] entry_o,
  output logic [31:0]          address_a_o,
  output logic [31:0]          address_b_o,
  output logic                 halted_o
);

  localparam int OpBits = dovetail_isa_pkg::OpcodeBits;
  localparam int Levels = 8;
  localparam int AddressBits = (Depth > 1) ? $clog2(Depth) : 1;

  logic [15:0]               pc_q, address;  // pc_q: the entry to be read next
  logic [31:0]               a_q, b_q;
  logic [EntryBits-1:0]      entry;
  logic [OpBits-1:0]         opcode;
  logic                      read, read_q, mark_q, ready_q, halted_q;
  logic                      is_loop, is_end, is_halt, again;
  // Loops around pc_q; the innermost one is at level top.
  logic [31:0]               left_q [Levels];
  logic [15:0]               begin_q [Levels];
  logic [$clog2(Levels)-1:0] depth_q, top;

  assign read    = run_i | start_i | mark_q;
  assign address = run_i ? '0 : pc_q;

  dovetail_ram #(
    .Width(EntryBits),
    .Depth(Depth)
  ) u_entries (
    .clk_i,
    .write_i,
    .write_address_i(write_address_i[AddressBits-1:0]),
    .write_data_i,
    .read_i(read),
    .read_address_i(address[AddressBits-1:0]),
    .read_data_o(entry)
  );

  // An entry is decoded in the cycle after it was read, which read_q marks.
  assign opcode  = entry[OpBits-1:0];
  assign is_loop = read_q & (opcode == dovetail_isa_pkg::OpLoop);
  assign is_end  = read_q & (opcode == dovetail_isa_pkg::OpEnd);
  assign is_halt = read_q & (opcode == dovetail_isa_pkg::OpHalt);
  assign top     = depth_q - 1'b1;
  assign again   = is_end & (left_q[top] != 32'd1);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q   <= 1'b0;
      mark_q   <= 1'b0;
      ready_q  <= 1'b0;
      halted_q <= 1'b1;
      depth_q  <= '0;
    end else begin
      read_q   <= read;
      mark_q   <= is_loop | is_end;
      ready_q  <= (ready_q & ~start_i) | (read_q & ~is_loop & ~is_end & ~is_halt);
      halted_q <= (halted_q & ~run_i) | is_halt;
      if (run_i) begin
        depth_q <= '0;
      end else if (is_loop) begin
        depth_q <= depth_q + 1'b1;
      end else if (is_end & ~again) begin
        depth_q <= top;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (run_i) begin
      a_q <= '0;
      b_q <= '0;
    end else if (again) begin
      a_q <= a_q + entry[dovetail_isa_pkg::EndStepALsb +: 32];
      b_q <= b_q + entry[dovetail_isa_pkg::EndStepBLsb +: 32];
    end
    if (read) begin
      pc_q <= address + 1'b1;
    end else if (again) begin
      pc_q <= begin_q[top];
    end
    if (is_loop) begin
      left_q[depth_q]  <= entry[dovetail_isa_pkg::LoopCountLsb +: 32];
      begin_q[depth_q] <= pc_q;
    end else if (again) begin
      left_q[top] <= left_q[top] - 1'b1;
    end
  end

  assign ready_o     = ready_q;
  assign entry_o     = entry;
  assign address_a_o = a_q;
  assign address_b_o = b_q;
  assign halted_o    = halted_q;

  logic unused_addresses;
  assign unused_addresses = ^{write_address_i, address};

endmodule
