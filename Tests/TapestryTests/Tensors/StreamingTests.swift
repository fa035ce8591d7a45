import CKernels
import Tapestry
import TestSupport
import Testing

/// Stores past the caches, and the layouts that copies take apart: the same bits as by the plain way.
@Suite(.serialized) struct StreamingTests {
    /// Operations with outputs of one kernel each; sizes that split over tasks, with whole and broken cache lines.
    private func everything() -> [(String, Tensor)] {
        let generator = RandomGenerator(seed: 31)
        let x = Tensor(normal: [70_003], generator: generator), y = Tensor(normal: [70_003], generator: generator)
        let wide = Tensor(normal: [67, 1031], generator: generator), even = Tensor(normal: [96, 1024], generator: generator)
        let row = Tensor(normal: [1031], generator: generator)
        let four = Tensor(normal: [3, 5, 40, 64], generator: generator)
        let table = Tensor(normal: [500, 70], generator: generator).asLeaf()
        let ids = Tensor(integers: 3..<400, shape: [300], generator: generator)
        (embedding(ids, table) * Tensor(normal: [300, 70], generator: generator)).sum().backward()
        let leaf = x.asLeaf()
        (tanh(leaf) * y).sum().backward()
        // Planes: rows that do and do not end on cache lines
        let windows = [four, Tensor(normal: [2, 3, 37, 71], generator: generator)].flatMap { images in
            let operations: [(Tensor) -> Tensor] = [
                { maxPool2d($0, kernelSize: 2) }, { maxPool2d($0, kernelSize: 3, stride: 2, padding: 1) },
                { avgPool2d($0, kernelSize: 2) }, { interpolate($0, scaleFactor: [2], mode: .bilinear) },
                { conv2d($0, Tensor(ones: [$0.shape[1], 1, 3, 3]), padding: 1, groups: $0.shape[1]) },
            ]
            return operations.flatMap { operation in
                let leaf = images.asLeaf(), y = operation(leaf)
                (y * y).sum().backward()
                return [("windows", y), ("windows' gradient", leaf.grad!)]
            }
        }
        return windows + [
            ("add", x + y), ("exp", exp(x)), ("double", exp(x.to(.float64))), ("bfloat16", x.to(.bfloat16) * y.to(.bfloat16)),
            ("gradient", leaf.grad!), ("broadcast", wide * row + row), ("column", wide * wide[0..., 0].unsqueezed(1)),
            ("where", which(x .> 0, x, y)), ("clamp", x.clamped(min: -0.5, max: 0.5)),
            ("fill", Tensor(repeating: 2.5, shape: [70_003])),
            ("fill of bytes", Tensor(repeating: 7, shape: [70_003], dtype: .int8)), ("zeros", Tensor(zeros: [300, 257])),
            ("cat", concatenate([wide, even[0..<67, 0..<900]], axis: 1)), ("permute", four.permuted(0, 2, 1, 3).contiguous()),
            ("transpose", wide.T.contiguous()), ("even transpose", even.T.contiguous()),
            ("batched transpose", four.permuted(0, 1, 3, 2).contiguous()), ("embedding", table.grad!),
            ("running sum of rows", wide.cumsum(axis: 1)), ("running sum of columns", wide.cumsum(axis: 0)),
        ]
    }

    @Test func sameBits() {
        let before = tk_set_stream_bytes(.max)
        defer { tk_set_stream_bytes(before) }
        let plain = everything()
        tk_set_stream_bytes(0)
        for ((name, a), (_, b)) in zip(plain, everything()) {
            #expect(a.detached().withUnsafeBytes(Array.init) == b.detached().withUnsafeBytes(Array.init), "\(name)")
        }
    }

    /// Element sizes 1 to 16, tiles whole and broken.
    @Test(arguments: [DType.int8, .bfloat16, .float32, .float64, .complex128]) func transposes(_ dtype: DType) {
        for shape in [[1, 7], [5, 4], [16, 16], [33, 48], [67, 129]] {
            let x = remainder(Tensor(arange: shape[0] * shape[1]), Tensor(101)).reshaped(shape).to(dtype)
            let moved = x.T.contiguous()
            for i in stride(from: 0, to: shape[0], by: 3) {
                for j in stride(from: 0, to: shape[1], by: 5) {
                    #expect((moved[j, i] .== x[i, j]).item(Bool.self), "\(shape) at \(i), \(j)")
                }
            }
        }
    }

    /// Rows that several, one or no ids name, in the order of the ids; against a sum by hand in Swift.
    @Test func scatteredRows() {
        let ids = [4, 0, 4, 4, 6, 0], width = 1030
        let rows = Tensor(normal: [6, width], generator: RandomGenerator(seed: 32))
        let table = Tensor(zeros: [7, width]).asLeaf()
        (embedding(Tensor(ids), table) * rows).sum().backward()
        let values = rows.scalars(Float.self)
        var expected = [Float](repeating: 0, count: 7 * width)
        for (i, id) in ids.enumerated() { for k in 0..<width { expected[id * width + k] += values[i * width + k] } }
        #expect(table.grad!.scalars(Float.self) == expected)
    }
}
