import CCUDA
import CUDAEmulator
import ConformanceSuite
import Foundation
import Tapestry
import Testing

@testable import CUDABackend
@testable import CoreTensor

extension CUDATests {
    /// Exchanges between two emulated devices by a library of the emulator that stands in for NCCL.
    @Suite struct Communication {
        private let devices: [Device]
        private let group: CUDA.Communicator

        init() throws {
            _ = Emulated.device
            devices = [.cuda(0), .cuda(1)]
            group = try CUDA.Communicator(devices)
        }

        private func draw(_ shape: Shape, _ type: DType = .float32, seed: UInt64) -> Tensor {
            Tensor(uniform: shape, low: -4, high: 4, generator: RandomGenerator(seed: seed)).to(type)
        }
        private func there(_ tensors: [Tensor]) -> [Tensor] { zip(tensors, devices).map { $0.to($1) } }
        private func same(_ results: [Tensor], _ expected: [Tensor], _ what: String, _ tolerance: Tolerance? = nil) {
            #expect(results.map(\.device) == devices, "\(what)")
            for (a, b) in zip(results, expected) {
                let wrong = mismatch(a.onCPU, b, tolerance ?? .standard(b.dtype))
                #expect(wrong == nil, "\(what): \(wrong ?? "")")
            }
        }

        @Test(arguments: [DType.float32, .float64, .bfloat16, .float16, .int32, .int64, .int8]) func reductions(_ type: DType)
            throws
        {
            let parts = [draw([3, 5], type, seed: 1), draw([3, 5], type, seed: 2)],
                loose = Tolerance(relative: 1e-2, absolute: 1e-2)
            let kinds: [(CUDA.Communicator.Reduction, Tensor)] = [
                (.sum, parts[0] + parts[1]), (.product, parts[0] * parts[1]), (.maximum, maximum(parts[0], parts[1])),
                (.minimum, minimum(parts[0], parts[1])), (.mean, type.isFloatingPoint ? (parts[0] + parts[1]) * 0.5 : parts[0]),
            ]
            for (kind, expected) in kinds where kind != .mean || type.isFloatingPoint {
                same(
                    try group.allReduce(there(parts), kind), [expected, expected], "\(kind) of \(type)", type.isHalf ? loose : nil
                )
            }
        }

        @Test func severalAtOnce() throws {
            let lists = (0..<2).map { rank in (0..<4).map { draw([$0, 3], seed: UInt64(10 * rank + $0)).to(devices[rank]) } }
            let sums = try group.allReduce(lists)
            for k in 0..<4 {
                same(sums.map { $0[k] }, [lists[0][k].onCPU + lists[1][k].onCPU, lists[0][k].onCPU + lists[1][k].onCPU], "\(k)")
            }
        }

        @Test func copiesAndParts() throws {
            let x = draw([4, 3], seed: 3), y = draw([4, 3], seed: 4)
            for root in 0..<2 { same(try group.broadcast(x.to(devices[root])), [x, x], "from \(root)") }
            same(try group.broadcast((x .> 0).to(devices[1])), [x .> 0, x .> 0], "bools")
            let whole = concatenate([x, y], axis: 0)
            same(try group.allGather(there([x, y])), [whole, whole], "gathered")
            let sum = x + y
            same(try group.reduceScatter(there([x, y])), [sum[0..<2], sum[2..<4]], "scattered")
            // Views, and tensors of nothing.
            same(
                try group.allGather(there([x, y]).map { $0.transposed() }),
                Array(repeating: concatenate([x.transposed(), y.transposed()], axis: 0), count: 2), "views")
            same(try group.allReduce(there([x[0..<0], y[0..<0]])), [x[0..<0], x[0..<0]], "nothing")
        }

        /// Work before is waited for, and work after waits, on the devices alone.
        @Test func ordersItselfOnTheStreams() throws {
            let parts = there([draw([2000], seed: 5), draw([2000], seed: 6)]), waits = tk_emulator_get_statistics().waits
            let expected = (exp(parts[0].onCPU) + exp(parts[1].onCPU)) * 2
            let before = tk_emulator_get_statistics().waits
            let results = try Emulated.delayed {
                let results = try group.allReduce(parts.map { exp($0) }).map { $0 * 2 }
                #expect(tk_emulator_get_statistics().waits == before && before > waits, "nobody waits on the host")
                return results.map(\.onCPU)
            }
            for result in results { #expect(mismatch(result, expected) == nil) }
        }

        /// Two replicas of a model on halves of a batch take the step that one takes on all of it.
        @Test func dataParallelTraining() throws {
            func model(_ device: Device) -> Linear { Linear(5, 3, generator: RandomGenerator(seed: 7)).to(device) }
            let x = draw([8, 5], seed: 8), y = draw([8, 3], seed: 9), whole = model(.cpu)
            mseLoss(whole(x), y).backward()
            SGD(whole.parameters, learningRate: 0.1).step()
            let replicas = devices.map(model)
            for (rank, replica) in replicas.enumerated() {
                let rows = 4 * rank..<4 * rank + 4
                mseLoss(replica(x[rows].to(devices[rank])), y[rows].to(devices[rank])).backward()
            }
            let means = try group.allReduce(replicas.map { $0.parameters.map { $0.grad! } }, .mean)
            for (replica, list) in zip(replicas, means) {
                for (parameter, gradient) in zip(replica.parameters, list) { parameter.grad = gradient }
                SGD(replica.parameters, learningRate: 0.1).step()
                for (a, b) in zip(replica.parameters, whole.parameters) { #expect(mismatch(a.value.onCPU, b.value) == nil) }
            }
        }

        @Test func withoutNCCL() throws {
            setenv("TAPESTRY_NCCL", "/nowhere/nccl.so", 1)
            defer { unsetenv("TAPESTRY_NCCL") }
            let driver = try CUDADriver(Emulated.table())
            #expect {
                try driver.findCommunication()
            } throws: { error in
                guard case CUDAError.noCommunication(let text) = error else { return false }
                return text.hasPrefix("NCCL does not open: /nowhere/nccl.so")
            }
        }
    }
}
