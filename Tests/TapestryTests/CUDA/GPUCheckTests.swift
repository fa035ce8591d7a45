import CUDAEmulator
import Foundation
import GPUCheckSuite
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// The program GPUCheck's parts, on the emulator: what it says of sound kernels and of faulty ones.
    @Suite struct Check {
        private let device = Emulated.device

        private var backendPoisons: Bool { CUDA.backend(of: device, "test").context.poisonsMemory }

        private func results(_ names: Set<String>) -> [OperationResult] {
            var all: [OperationResult] = []
            OperationCheck(device).run(where: { names.contains($0) }) { all.append($0) }
            return all
        }

        @Test func operations() {
            let names: Set<String> = ["exp", "softmax", "sum", "which"]
            #expect(names.isSubset(of: OperationCheck.names), "\(names.subtracting(OperationCheck.names))")
            let all = results(names)
            #expect(Set(all.map(\.operation)) == names && all.count >= 12)
            #expect(all.allSatisfy { $0.verdict == .right }, "\(all.filter { $0.verdict != .right })")
        }

        /// The kernels of large tiles, with thresholds that small shapes reach; planted faults are seen.
        @Test func tiles() {
            let before = (
                CUDABackend.fewHopperTiles, CUDABackend.fewHopperQueries, ProductShape.fewTiles, ProductShape.shortestPart
            )
            (CUDABackend.fewHopperTiles, CUDABackend.fewHopperQueries) = (1, 1)
            (ProductShape.fewTiles, ProductShape.shortestPart) = (1, 32)
            defer {
                (CUDABackend.fewHopperTiles, CUDABackend.fewHopperQueries, ProductShape.fewTiles, ProductShape.shortestPart) =
                    before
            }
            func results(_ picks: (String) -> Bool) -> [OperationResult] {
                var all: [OperationResult] = []
                TileCheck(device, .tiny).run(where: picks) { all.append($0) }
                return all
            }
            let all = results { _ in true }
            #expect(Set(all.map(\.operation)) == Set(TileCheck.names) && all.count > 60)
            #expect(all.allSatisfy { $0.verdict == .right }, "\(all.filter { $0.verdict != .right })")
            for fault in ["missing wait", "missing product wait"] {
                let seen = Emulated.faulty(fault) { results { $0 == "tiles_attention_d64" } }
                #expect(seen.contains { $0.verdict != .right }, "\(fault)")
            }
        }

        /// A kernel that leaves out an element is seen, as fresh memory is poisoned; one whose launch fails is told.
        @Test func faults() {
            let wrong = Emulated.faulty("off by one") { results(["exp"]) }
            #expect(wrong.contains { $0.verdict == .wrong && $0.detail.contains("nan") }, "\(wrong)")
            #expect(!backendPoisons, "only while the operations are checked")
        }

        @Test func timings() throws {
            let timer = DeviceTimer(device, sampleMilliseconds: 1e-3)
            let ceilings = Ceilings(device, timer, copyBytes: 1 << 12, rounds: 1)
            #expect(ceilings.copyGigabytesPerSecond > 0 && ceilings.float32Teraflops > 0 && ceilings.tensorTeraflops! > 0)
            var report = CheckReport(device)
            for workload in DeviceWorkloads.all(.tiny) { report.timings.append(timer.measure(workload, ceilings)) }
            for timing in report.timings {
                #expect(timing.error == nil && timing.milliseconds > 0, "\(timing.name): \(timing.error ?? "")")
                #expect(CheckReport.row(timing).contains(timing.shape))
            }
            #expect(Set(report.timings.map { "\($0.name) \($0.dtype)" }).count == report.timings.count, "names are told apart")
            #expect(report.timings.contains { $0.unit == "tokens" && $0.itemsPerSecond! > 0 })
            #expect(
                report.description.contains("emulated sm_90, sm_90, 2 multiprocessors")
                    && report.description.contains("tensor_sm80"))
            let path = NSTemporaryDirectory() + "tapestry-gpu-\(UUID().uuidString).json"
            defer { try? FileManager.default.removeItem(atPath: path) }
            try report.write(to: path)
            #expect(try JSONDecoder().decode(CheckReport.self, from: Data(contentsOf: URL(fileURLWithPath: path))) == report)
        }
    }
}
