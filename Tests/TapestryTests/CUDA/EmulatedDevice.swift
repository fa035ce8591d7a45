import CCUDA
import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend

/// Everything on CUDA runs on the emulated driver, one test after the other: the emulator is one for the process.
@Suite(.serialized) struct CUDATests {}

enum Emulated {
    /// The first device of the emulated driver, which takes the place of the machine's.
    static let device: Device = {
        CUDA.replaceDriver(
            .success(
                try! CUDADriver(
                    table(),
                    communication: {
                        var nccl = tk_nccl()
                        tk_emulator_load_nccl(&nccl)
                        return nccl
                    })))
        return .cuda(0)
    }()

    /// The functions of an emulated driver with options of its own, which hold for all of it.
    static func table(_ change: (inout tk_emulator_options) -> Void = { _ in }) -> tk_cuda_driver {
        var options = tk_emulator_defaults(), table = tk_cuda_driver()
        change(&options)
        tk_emulator_load(&table, options)
        return table
    }

    /// The emulator with other options while `body` runs.
    static func with<R>(_ change: (inout tk_emulator_options) -> Void, _ body: (tk_cuda_driver) throws -> R) rethrows -> R {
        defer { _ = table() }
        return try body(table(change))
    }

    static func ordered<R>(_ order: Int, _ body: () throws -> R) rethrows -> R {
        tk_emulator_set_order(Int32(order), 7)
        defer { tk_emulator_set_order(0, 1) }
        return try body()
    }

    /// Requires that a function gives on the emulated device what it gives on the CPU.
    static func same(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], _ tolerance: Tolerance? = nil, _ what: String) {
        let expected = f(inputs), actual = f(inputs.map(\.emulated))
        #expect(actual.device == device || actual.count == 0, "\(what) left the device")
        let wrong = mismatch(actual.onCPU, expected, tolerance ?? .standard(expected.dtype))
        #expect(wrong == nil, "\(what): \(wrong ?? "")")
    }

    /// Forward, backward and shuffled.
    static let orders = [0, 1, 2]

    /// Work is done as late as it may be, and streams go on side by side.
    static func delayed<R>(_ body: () throws -> R) rethrows -> R {
        tk_emulator_set_delayed(1)
        defer { tk_emulator_set_delayed(0) }
        return try body()
    }

    static func faulty<R>(_ fault: String, _ body: () throws -> R) rethrows -> R {
        tk_emulator_set_fault(fault)
        defer { tk_emulator_set_fault(nil) }
        return try body()
    }
}

extension Tensor {
    var onCPU: Tensor { to(device: .cpu) }
    var emulated: Tensor { to(Emulated.device) }
}
