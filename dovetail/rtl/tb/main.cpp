// Clock of the test bench under Verilator. +waves=FILE writes FST, +coverage=FILE coverage points,
// where the model was built for them.

#include <memory>
#include <string>

#include "Vdovetail_testbench.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

static std::string plusarg(VerilatedContext& context, const std::string& name) {
    const std::string match = context.commandArgsPlusMatch((name + "=").c_str());
    return match.empty() ? match : match.substr(name.size() + 2);
}

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
#if VM_TRACE_FST
    context.traceEverOn(true);
#endif
    const auto bench = std::make_unique<Vdovetail_testbench>(&context);
#if VM_TRACE_FST
    VerilatedFstC waves;
    bench->trace(&waves, 99);
    const std::string path = plusarg(context, "waves");
    if (!path.empty()) waves.open(path.c_str());
#endif
    while (!context.gotFinish()) {
        for (const int clock : {0, 1}) {
            bench->clk_i = clock;
            bench->eval();
#if VM_TRACE_FST
            if (waves.isOpen()) waves.dump(context.time());
#endif
            context.timeInc(1);
        }
    }
    bench->final();
#if VM_TRACE_FST
    if (waves.isOpen()) waves.close();
#endif
#if VM_COVERAGE
    const std::string coverage = plusarg(context, "coverage");
    if (!coverage.empty()) context.coveragep()->write(coverage.c_str());
#endif
    return 0;
}
