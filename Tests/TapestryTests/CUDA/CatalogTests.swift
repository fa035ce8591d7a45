import CUDAEmulator
import ConformanceSuite
import Foundation
import OperationCatalog
import Tapestry
import TestSupport
import Testing

@testable import CUDABackend

extension CUDATests {
    /// The operations of the catalogue on the emulated device against the CPU: values, and gradients in float32.
    ///
    /// Which operations run is found out, not listed: a row is run on the CPU first, and its calls of the backend are held against the
    /// primitives that the CUDA backend declares.
    @Suite struct Catalog {
        /// The backend's calls that have no kernel.
        private func lacking(_ profile: Profile) -> Set<String> {
            var names: Set<String> = []
            for event in profile.events where event.kind == .operation && !event.name.hasPrefix("fused.") {
                if !CUDABackend.primitives.contains(event.name) { names.insert(event.name) }
            }
            return names
        }

        private func typed(_ row: OpRow, _ sample: Int, _ type: DType) -> [Tensor] {
            zip(row.inputs(sample), row.wanted(sample)).map {
                $1 ? (type.isInteger ? round(abs($0) + 1).to(type) : $0.to(type)) : $0
            }
        }

        /// What lacks a kernel, of all that a row calls; empty if it can run.
        private func lacking(_ row: OpRow) -> Set<String> {
            var names: Set<String> = []
            for sample in row.samples.indices {
                let inputs = typed(row, sample, .float32)
                let (y, profile) = Profiler.record { row.call(inputs) }
                names.formUnion(lacking(profile))
                if row.orders == 0 { continue }
                let weights = Tensor(ones: y.shape)
                names.formUnion(
                    lacking(
                        Profiler.record { _ = GradCheck.tape(row.call, inputs, weights: weights, wanted: row.wanted(sample)) }))
            }
            return names
        }

        /// Each row in one of the three orders of threads; in all three if the environment has TAPESTRY_CUDA_ORDERS=all.
        @Test func valuesAndGradients() throws {
            let all = ProcessInfo.processInfo.environment["TAPESTRY_CUDA_ORDERS"] == "all"
            for (number, row) in OpCatalog.rows.enumerated() {
                let lacking = lacking(row)
                #expect(lacking.isEmpty, "\(row.name) has no kernels for \(lacking.sorted())")
                if !lacking.isEmpty { continue }
                for order in all ? Emulated.orders : [Emulated.orders[number % 3]] { Emulated.ordered(order) { check(row) } }
            }
        }

        private func check(_ row: OpRow) {
            let device = Emulated.device
            for sample in row.samples.indices {
                for type in [.float32] + row.types.filter({ $0 != .float32 }) + row.integerTypes {
                    let inputs = typed(row, sample, type), expected = row.call(inputs)
                    let actual = row.call(inputs.map { $0.to(device) })
                    #expect(actual.device == device || actual.count == 0, "\(row.name) left the device")
                    let wrong = mismatch(actual, expected, Tolerance.standard(expected.dtype).loosened(row.slack))
                    #expect(wrong == nil, "\(row.name) of \(type) \(inputs.map(\.shape)): \(wrong ?? "")")
                }
                if row.orders == 0 { continue }
                let inputs = typed(row, sample, .float32), wanted = row.wanted(sample)
                let weights = Tensor(normal: row.call(inputs).shape, generator: RandomGenerator(seed: 6))
                let a = GradCheck.tape(row.call, inputs.map { $0.to(device) }, weights: weights.to(device), wanted: wanted)
                    .gradients
                let b = GradCheck.tape(row.call, inputs, weights: weights, wanted: wanted).gradients
                for (k, (one, other)) in zip(a, b).enumerated() {
                    guard let one, let other else { continue }
                    let wrong = mismatch(one, other, Tolerance.standard(.float32, .gradients).loosened(row.slack))
                    #expect(wrong == nil, "\(row.name), gradient \(k): \(wrong ?? "")")
                }
            }
        }
    }
}

extension Tolerance {
    fileprivate func loosened(_ slack: Double) -> Tolerance { Tolerance(relative: relative * slack, absolute: absolute * slack) }
}
