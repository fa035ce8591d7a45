import ConformanceSuite
import OperationCatalog
import Tapestry
import TestSupport

/// How one row of the catalogue fared on a device, in one type.
public struct OperationResult: Codable, Sendable, Equatable {
    /// What a check can say.
    public enum Verdict: String, Codable, Sendable {
        case right, wrong
        /// The row needs a primitive that the backend has no kernel for.
        case missing
        /// The device reported an error.
        case failed
    }
    /// The row's name.
    public let operation: String
    /// The type that was computed in.
    public let dtype: String
    public let verdict: Verdict
    /// What is wrong, missing or failed; empty if nothing is.
    public let detail: String
}

/// The catalogue's operations on a GPU against the CPU in float64: values in every type, and gradients in float32.
///
/// Fresh memory of the device is filled with NaNs meanwhile, so that an element that a kernel leaves out is seen.
public struct OperationCheck {
    let device: Device

    public init(_ device: Device) { self.device = device }

    /// The names of the catalogue's rows.
    public static var names: [String] { OpCatalog.rows.map(\.name) }

    /// Checks the rows that `picks` chooses, and hands each result to `report`.
    public func run(where picks: (String) -> Bool = { _ in true }, report: (OperationResult) -> Void) {
        CUDA.poisonMemory(true, device)
        defer { CUDA.poisonMemory(false, device) }
        for row in OpCatalog.rows where picks(row.name) {
            let lacking = lacking(row)
            if !lacking.isEmpty {
                report(.init(operation: row.name, dtype: "", verdict: .missing, detail: lacking.sorted().joined(separator: ", ")))
                continue
            }
            for type in [.float32, .float64] + row.types.filter({ $0 != .float32 && $0 != .float64 }) + row.integerTypes {
                report(result(row, type, "\(type)") { values(row, type) })
            }
            if row.orders > 0 { report(result(row, .float32, "gradients of float32") { gradients(row) }) }
        }
    }

    private func result(_ row: OpRow, _ type: DType, _ title: String, _ body: () -> String?) -> OperationResult {
        do {
            let wrong = try CUDA.catchingErrors(body)
            return .init(operation: row.name, dtype: title, verdict: wrong == nil ? .right : .wrong, detail: wrong ?? "")
        } catch { return .init(operation: row.name, dtype: title, verdict: .failed, detail: "\(error)") }
    }

    /// A sample's arguments rounded to a type, and the same numbers in float64.
    private func arguments(_ row: OpRow, _ sample: Int, _ type: DType) -> (rounded: [Tensor], wide: [Tensor]) {
        let wanted = row.wanted(sample)
        let rounded = zip(row.inputs(sample), wanted).map {
            $1 ? (type.isInteger ? round(abs($0) + 1).to(type) : $0.to(type)) : $0
        }
        return (rounded, zip(rounded, wanted).map { $1 && !type.isInteger ? $0.to(.float64) : $0 })
    }

    private func values(_ row: OpRow, _ type: DType) -> String? {
        for sample in row.samples.indices {
            let (rounded, wide) = arguments(row, sample, type), expected = row.call(wide)
            let actual = row.call(rounded.map { $0.to(device) })
            if actual.device != device && actual.count > 0 { return "\(rounded.map(\.shape)): the result is on \(actual.device)" }
            let tolerance = Tolerance.standard(actual.dtype).loosened(row.slack)
            if let wrong = mismatch(actual, expected, tolerance, anyType: true) { return "\(rounded.map(\.shape)): \(wrong)" }
        }
        return nil
    }

    private func gradients(_ row: OpRow) -> String? {
        let tolerance = Tolerance.standard(.float32, .gradients).loosened(row.slack)
        for sample in row.samples.indices {
            let (rounded, wide) = arguments(row, sample, .float32), wanted = row.wanted(sample)
            let weights = Tensor(normal: row.call(wide).shape, dtype: .float32, generator: RandomGenerator(seed: 6))
            let expected = GradCheck.tape(row.call, wide, weights: weights.to(.float64), wanted: wanted).gradients
            let actual = GradCheck.tape(row.call, rounded.map { $0.to(device) }, weights: weights.to(device), wanted: wanted)
                .gradients
            for (k, (one, other)) in zip(actual, expected).enumerated() {
                guard let one, let other else { continue }
                if let wrong = mismatch(one, other, tolerance, anyType: true) {
                    return "gradient \(k) of \(rounded.map(\.shape)): \(wrong)"
                }
            }
        }
        return nil
    }

    // MARK: What can run

    /// What lacks a kernel, of all that a row calls: it is run on the CPU, and its calls of the backend are held against the primitives that
    /// the CUDA backend declares.
    private func lacking(_ row: OpRow) -> Set<String> {
        var names: Set<String> = []
        func note(_ profile: Profile) {
            for event in profile.events where event.kind == .operation && !event.name.hasPrefix("fused.") {
                if !CUDABackend.primitives.contains(event.name) { names.insert(event.name) }
            }
        }
        for sample in row.samples.indices {
            let inputs = arguments(row, sample, .float32).rounded
            let (y, profile) = Profiler.record { row.call(inputs) }
            note(profile)
            if row.orders == 0 { continue }
            let weights = Tensor(ones: y.shape)
            note(Profiler.record { _ = GradCheck.tape(row.call, inputs, weights: weights, wanted: row.wanted(sample)) })
        }
        return names
    }
}

extension Tolerance {
    fileprivate func loosened(_ slack: Double) -> Tolerance { Tolerance(relative: relative * slack, absolute: absolute * slack) }
}
