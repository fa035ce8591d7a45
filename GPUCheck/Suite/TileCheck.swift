import ConformanceSuite
import Tapestry

/// The kernels that small shapes do not reach, against the CPU in float64: large tiles of products and convolutions, parts of k, few vectors,
/// attention by tensor cores, long rows. Values and gradients, with fresh memory full of NaNs as in ``OperationCheck``.
public struct TileCheck {
    /// How large the shapes are.
    public enum Size: Sendable {
        /// So that a GPU with 132 multiprocessors takes its largest tiles.
        case full
        /// For the emulator, whose thresholds are lowered.
        case tiny
    }

    private struct Case {
        let name: String
        let type: DType
        /// Shapes of the inputs, which are drawn from (-1, 1).
        let shapes: [[Int]]
        /// How large elements of the results and gradients typically are, which their errors are held against.
        let magnitude: Double
        let call: ([Tensor]) -> Tensor
    }

    let device: Device, size: Size

    public init(_ device: Device, _ size: Size = .full) {
        self.device = device
        self.size = size
    }

    /// The names of the checks.
    public static var names: [String] {
        var seen: Set<String> = []
        return cases(.tiny).map(\.name).filter { seen.insert($0).inserted }
    }

    /// Runs the checks that `picks` chooses, and hands each result to `report`.
    public func run(where picks: (String) -> Bool = { _ in true }, report: (OperationResult) -> Void) {
        CUDA.poisonMemory(true, device)
        defer { CUDA.poisonMemory(false, device) }
        for check in Self.cases(size) where picks(check.name) {
            let shapes = check.shapes.map { "\($0)" }.joined(separator: " ")
            do {
                let wrong = try CUDA.catchingErrors { self.wrong(check) }
                report(
                    .init(
                        operation: check.name, dtype: "\(check.type)", verdict: wrong == nil ? .right : .wrong,
                        detail: wrong.map { "\(shapes): \($0)" } ?? ""))
            } catch {
                report(.init(operation: check.name, dtype: "\(check.type)", verdict: .failed, detail: "\(shapes): \(error)"))
            }
        }
    }

    private func wrong(_ check: Case) -> String? {
        let generator = RandomGenerator(seed: 12)
        let inputs = check.shapes.map { Tensor(uniform: $0, low: -1, high: 1, generator: generator).to(check.type) }
        func run(_ inputs: [Tensor], _ weights: Tensor?) -> [Tensor] {
            let leaves = inputs.map { $0.asLeaf() }, y = check.call(leaves)
            // Weights that are not all alike, without a second random tensor of the result's shape.
            let w = weights ?? Tensor(uniform: y.shape, low: -1, high: 1, generator: generator).to(check.type)
            (y * w.to(y.dtype).to(device: y.device)).sum().backward()
            return [y.detached(), w] + leaves.map { $0.grad! }
        }
        let expected = run(inputs.map { $0.to(.float64) }, nil)
        let actual = run(inputs.map { $0.to(device) }, expected[1].to(check.type))
        for (k, (one, other)) in zip(actual, expected).enumerated() where k != 1 {
            let unit = check.type.byteCount == 2 ? 1.0 / 64 : 1e-5
            let tolerance = Tolerance(relative: unit, absolute: unit * check.magnitude)
            let title = k == 0 ? "the result" : "gradient \(k - 2)"
            if one.device != device { return "\(title) is on \(one.device)" }
            if let wrong = mismatch(one.to(device: .cpu), other, tolerance, anyType: true) { return "\(title): \(wrong)" }
        }
        return nil
    }

    private static func cases(_ size: Size) -> [Case] {
        let isFull = size == .full
        func pick(_ full: Int, _ tiny: Int) -> Int { isFull ? full : tiny }
        /// Of a sum of so many products of numbers from (-1, 1).
        func ofSum(_ terms: Int) -> Double { Double(terms).squareRoot() / 3 }
        var cases: [Case] = []
        for type in [DType.bfloat16, .float16, .float32] {
            // Large tiles, rows of any length, parts of k, few vectors.
            for (m, n, k) in [
                (pick(2048, 136), pick(1024, 264), pick(520, 72)), (pick(1001, 70), pick(515, 33), pick(333, 67)),
                (33, 40, pick(8192, 200)), (3, pick(2048, 40), pick(1024, 64)),
            ] {
                for (name, left, right) in [
                    ("nn", [m, k], [k, n]), ("nt", [m, k], [n, k]), ("tn", [k, m], [k, n]), ("tt", [k, m], [n, k]),
                ] {
                    cases.append(
                        Case(name: "tiles_matmul_\(name)", type: type, shapes: [left, right], magnitude: ofSum(max(k, m, n))) {
                            (name.first == "t" ? $0[0].transposed() : $0[0]).matmul(name.last == "t" ? $0[1].transposed() : $0[1])
                        })
                }
            }
            let batch = pick(16, 2), rows = pick(384, 20), width = pick(256, 24)
            cases.append(
                Case(
                    name: "tiles_bmm", type: type, shapes: [[batch, rows, width], [batch, width, rows]],
                    magnitude: ofSum(max(rows, width))
                ) { $0[0].matmul($0[1]) })
            cases.append(
                Case(
                    name: "tiles_linear_gelu", type: type,
                    shapes: [[pick(2048, 24), width], [pick(1024, 40), width], [pick(1024, 40)]],
                    magnitude: ofSum(pick(2048, 40))
                ) { linear($0[0], $0[1], $0[2], activation: .gelu) })
            for (channels, kernel, stride) in [(pick(64, 8), 3, 1), (pick(128, 8), 1, 2)] {
                let side = pick(28, 7)
                cases.append(
                    Case(
                        name: "tiles_convolution", type: type,
                        shapes: [[pick(8, 2), channels, side, side], [pick(128, 6), channels, kernel, kernel], [pick(128, 6)]],
                        magnitude: ofSum(max(channels * kernel * kernel, pick(8, 2) * side * side))
                    ) { conv2d($0[0], $0[1], $0[2], stride: [stride, stride], padding: [kernel / 2, kernel / 2]) })
            }
            let long = pick(4096, 200)
            cases.append(
                Case(name: "tiles_softmax", type: type, shapes: [[pick(64, 3), long]], magnitude: 0.5) {
                    softmax($0[0]) * Double(long)
                })
            cases.append(
                Case(
                    name: "tiles_layer_norm", type: type, shapes: [[pick(256, 5), long], [long], [long]],
                    magnitude: ofSum(pick(256, 5))
                ) {
                    layerNorm($0[0], weight: $0[1], bias: $0[2])
                })
        }
        for type in [DType.bfloat16, .float16] {
            for (dim, causal, window, kvHeads) in [
                (64, true, nil, 2), (128, true, nil, 4), (128, false, 100, 2), (80, false, nil, 1),
            ] as [(Int, Bool, Int?, Int)] {
                // Cut off at the ends of tiles, more keys than queries and fewer.
                for (queries, keys) in [(pick(1100, 150), pick(1290, 180)), (pick(700, 140), pick(333, 70)), (40, 50)] {
                    let batch = pick(2, 1),
                        scores = [[batch, 4, queries, dim], [batch, kvHeads, keys, dim], [batch, kvHeads, keys, dim]]
                    cases.append(
                        // Scores of some units, so that few keys have most of the weight.
                        Case(name: "tiles_attention_d\(dim)", type: type, shapes: scores, magnitude: 1) {
                            scaledDotProductAttention(
                                $0[0], $0[1], $0[2], causal: causal, window: window, scale: 6 / Double(dim).squareRoot())
                        })
                }
            }
        }
        return cases
    }
}
