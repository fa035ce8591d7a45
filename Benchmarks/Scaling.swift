import Foundation
import Tapestry

/// How cost grows with size and falls with threads, and what recomputation saves.
enum Scaling {
    private struct Point {
        let size: Int
        let flops: Double
        let call: () -> Void
    }

    private struct Series: @unchecked Sendable {
        let name: String
        /// How time grows with size where the work is bound by arithmetic: time ~ size ^ exponent.
        let exponent: Double
        let sizes: [Int]
        let make: (Int) -> Point
    }

    private static let series: [Series] = [
        Series(
            name: "attention forward and backward, B1 H12 D64 causal, by length", exponent: 2,
            sizes: [256, 512, 1024, 2048, 4096, 8192, 16384]
        ) { s in
            var leaves = (0..<3).map { _ in Workloads.normal(1, 12, s, 64, grad: true) }
            let g = Workloads.normal(1, 12, s, 64)
            return Point(size: s, flops: 3.5 * 2 * Double(s * s) * 64 * 12) {
                for i in 0..<3 { leaves[i].grad = nil }
                scaledDotProductAttention(leaves[0], leaves[1], leaves[2], causal: true).backward(gradient: g)
            }
        },
        Series(name: "matrix product, n x n, by n", exponent: 3, sizes: [64, 128, 256, 512, 1024, 2048, 4096]) { n in
            let a = Workloads.normal(n, n), b = Workloads.normal(n, n)
            return Point(size: n, flops: 2 * pow(Double(n), 3)) { Workloads.use(a • b) }
        },
        Series(name: "training step of an MLP 784-512-256-10, by batch", exponent: 1, sizes: [1, 4, 16, 64, 256]) { batch in
            let model = Sequential(Linear(784, 512), ReLU(), Linear(512, 256), ReLU(), Linear(256, 10))
            let optimizer = SGD(model.parameters, learningRate: 0.01)
            let x = Workloads.normal(batch, 784), y = Tensor(integers: 0..<10, shape: [batch])
            let n = Double(784 * 512 + 512 * 256 + 256 * 10)
            return Point(size: batch, flops: (6 * n - 2 * 784 * 512) * Double(batch)) {
                optimizer.zeroGrad()
                crossEntropy(model(x), y).backward()
                optimizer.step()
            }
        },
    ]

    /// Prints a table per series: time on one thread and on two (or as many as there are), the ratio, the rate, and the exponent by
    /// which time grew since the size before.
    static func run(stopwatch: Stopwatch) {
        let most = Configuration.threadCount
        for series in series {
            print("\n\(series.name); time should grow by the power \(series.exponent)\n")
            print("| size | 1 thread | \(most) threads | speed-up | GFLOP/s | power |\n|---|---|---|---|---|---|")
            var before: (size: Int, seconds: Double)?
            for size in series.sizes {
                let point = series.make(size)
                let seconds = [1, most].map { threads -> Double in
                    Configuration.threadCount = threads
                    return stopwatch.median(of: point.call)
                }
                let power = before.map { log(seconds[1] / $0.seconds) / log(Double(size) / Double($0.size)) }
                print(
                    String(
                        format: "| %d | %.3f ms | %.3f ms | %.2f | %.1f | %@ |", size, seconds[0] * 1e3, seconds[1] * 1e3,
                        seconds[0] / seconds[1], point.flops / seconds[1] / 1e9,
                        power.map { String(format: "%.2f", $0) } ?? ""))
                fflush(nil)
                before = (size, seconds[1])
            }
        }
        recomputation(stopwatch)
    }

    /// A training step of a transformer with every block's activations kept, and with each block computed again in the backward pass.
    private static func recomputation(_ stopwatch: Stopwatch) {
        let model = GPT(GPT.Configuration(vocabulary: 65, context: 256, width: 384, layers: 6, heads: 6))
        let ids = Tensor(integers: 0..<65, shape: [12, 256]), targets = Tensor(integers: 0..<65, shape: [12, 256])
        func step(_ recomputes: Bool) {
            var x = model.tokenEmbedding(ids) + model.positionEmbedding(Tensor(arange: 256))
            for block in model.blocks { x = recomputes ? checkpoint { [x] in block(x) } : block(x) }
            let logits = matmul(model.finalNorm(x), model.tokenEmbedding.weight.value.T)
            crossEntropy(logits.reshaped([-1, 65]), targets.flattened()).backward()
            for parameter in model.parameters { parameter.grad = nil }
        }
        print("\nforward and backward of a GPT, 6 layers of 384, batch 12, length 256\n")
        print("| activations | time | peak memory above the parameters |\n|---|---|---|")
        for recomputes in [false, true] {
            step(recomputes)
            let before = MemoryStatistics.current.bytesInUse
            MemoryStatistics.resetPeak()
            let seconds = stopwatch.median(of: { step(recomputes) })
            let peak = MemoryStatistics.current.peakBytesInUse - before
            print(
                String(
                    format: "| %@ | %.0f ms | %.0f MB |", recomputes ? "computed again (checkpoint)" : "kept", seconds * 1e3,
                    Double(peak) / 1e6))
        }
    }
}
