/// Rules of AXI4 that the accelerator's bus must obey, as immediate assertions.
///
/// Valid stays and its payload is stable until ready; bursts are INCR, of full size, aligned, and
/// do not cross 4 KiB; the last beat of a write burst, and only that, has WLAST; all strobes are
/// set; no data come without an address; no bit that counts is unknown.

module axi_checker #(
  parameter int BusBits = 64
) (
  input logic                 clk_i,
  input logic                 rst_ni,

  input logic                 arvalid_i,
  input logic                 arready_i,
  input logic [31:0]          araddr_i,
  input logic [7:0]           arlen_i,
  input logic [2:0]           arsize_i,
  input logic [1:0]           arburst_i,

  input logic                 rvalid_i,
  input logic                 rready_i,
  input logic                 rlast_i,

  input logic                 awvalid_i,
  input logic                 awready_i,
  input logic [31:0]          awaddr_i,
  input logic [7:0]           awlen_i,
  input logic [2:0]           awsize_i,
  input logic [1:0]           awburst_i,

  input logic                 wvalid_i,
  input logic                 wready_i,
  input logic [BusBits-1:0]   wdata_i,
  input logic [BusBits/8-1:0] wstrb_i,
  input logic                 wlast_i,

  input logic                 bvalid_i,
  input logic                 bready_i,

  input logic                 done_i       // the accelerator says that it is done
);

  localparam int WordShift = $clog2(BusBits / 8);
  localparam int AddressBits = 32 + 8 + 3 + 2;
  localparam int DataBits = BusBits + BusBits / 8 + 1;

  logic [AddressBits-1:0] ar, aw, ar_q, aw_q;
  logic [DataBits-1:0]    w, w_q;
  logic                   ar_wait_q, aw_wait_q, w_wait_q;
  logic [31:0]            reads_q, writes_q, responses_q, w_index_q, w_head_q, w_tail_q;
  logic [7:0]             lengths [65536];

  assign ar = {araddr_i, arlen_i, arsize_i, arburst_i};
  assign aw = {awaddr_i, awlen_i, awsize_i, awburst_i};
  assign w  = {wdata_i, wstrb_i, wlast_i};

  function automatic logic legal(input logic [AddressBits-1:0] burst);
    logic [31:0] address, length;
    address = burst[AddressBits-1 -: 32];
    length  = ({24'b0, burst[12:5]} + 32'd1) << WordShift;
    legal   = ({20'b0, address[11:0]} + length <= 32'd4096) && (burst[4:2] == 3'(WordShift)) &&
              (burst[1:0] == 2'b01) && ((address >> WordShift) << WordShift) == address;
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ar_wait_q   <= 1'b0;
      aw_wait_q   <= 1'b0;
      w_wait_q    <= 1'b0;
      reads_q     <= '0;
      writes_q    <= '0;
      responses_q <= '0;
      w_index_q   <= '0;
      w_head_q    <= '0;
      w_tail_q    <= '0;
    end else begin
      ar_wait_q   <= arvalid_i & ~arready_i;
      aw_wait_q   <= awvalid_i & ~awready_i;
      w_wait_q    <= wvalid_i & ~wready_i;
      reads_q     <= reads_q + {31'b0, arvalid_i & arready_i}
                             - {31'b0, rvalid_i & rready_i & rlast_i};
      writes_q    <= writes_q + {31'b0, awvalid_i & awready_i}
                              - {31'b0, wvalid_i & wready_i & wlast_i};
      responses_q <= responses_q + {31'b0, awvalid_i & awready_i} - {31'b0, bvalid_i & bready_i};
      if (awvalid_i & awready_i) begin
        lengths[w_tail_q[15:0]] <= awlen_i;
        w_tail_q                <= w_tail_q + 32'd1;
      end
      if (wvalid_i & wready_i) begin
        w_index_q <= wlast_i ? '0 : w_index_q + 32'd1;
        w_head_q  <= w_head_q + {31'b0, wlast_i};
      end
    end
  end

  always_ff @(posedge clk_i) begin
    ar_q <= ar;
    aw_q <= aw;
    w_q  <= w;
  end

  always @(posedge clk_i) begin
    if (rst_ni) begin
      assert (^{arvalid_i, awvalid_i, wvalid_i, rready_i, bready_i} !== 1'bx)
        else $fatal(1, "RULE a valid or ready of the master is unknown");
      assert (!arvalid_i || ^ar !== 1'bx) else $fatal(1, "RULE AR has unknown bits: %h", ar);
      assert (!awvalid_i || ^aw !== 1'bx) else $fatal(1, "RULE AW has unknown bits: %h", aw);
      assert (!wvalid_i || ^w !== 1'bx) else $fatal(1, "RULE W has unknown bits: %h", w);
      assert (!ar_wait_q || (arvalid_i && ar == ar_q))
        else $fatal(1, "RULE AR changes before it is accepted");
      assert (!aw_wait_q || (awvalid_i && aw == aw_q))
        else $fatal(1, "RULE AW changes before it is accepted");
      assert (!w_wait_q || (wvalid_i && w == w_q))
        else $fatal(1, "RULE W changes before it is accepted");
      assert (!arvalid_i || legal(ar))
        else $fatal(1, "RULE illegal read burst: address %h length %0d", araddr_i, arlen_i);
      assert (!awvalid_i || legal(aw))
        else $fatal(1, "RULE illegal write burst: address %h length %0d", awaddr_i, awlen_i);
      assert (!(wvalid_i && wready_i) || writes_q != 0) else $fatal(1, "RULE W without AW");
      assert (!(wvalid_i && wready_i) ||
              wlast_i == (w_index_q == {24'b0, lengths[w_head_q[15:0]]}))
        else $fatal(1, "RULE WLAST = %b at beat %0d", wlast_i, w_index_q);
      assert (!wvalid_i || &wstrb_i) else $fatal(1, "RULE a strobe is not set");
      assert (!done_i || (reads_q == 0 && responses_q == 0))
        else $fatal(1, "RULE done while bursts are outstanding");
    end
  end

endmodule
