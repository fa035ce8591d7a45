import CKernels
import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// Products of bfloat16 against float64 of the same numbers: the error of a float32 sum and one rounding.
@Suite(.serialized) struct BFloat16Tests {
    private static let sizes: [[Int]] = [
        [1, 40, 30], [1, 100, 65], [1, 5000, 70], [2, 33, 31], [3, 31, 70], [4, 64, 129], [5, 1, 40], [13, 31, 70], [14, 32, 64],
        [15, 33, 65], [40, 1, 513], [29, 100, 801], [64, 63, 3301], [169, 200, 40], [700, 40, 33], [700, 90, 1700],
        [40, 700, 33], [1, 1, 1], [30, 300, 130], [57, 70, 1800], [100, 1100, 34],
    ]

    private func half(_ shape: [Int], _ generator: RandomGenerator) -> Tensor {
        Tensor(normal: shape, generator: generator).to(.bfloat16)
    }

    /// Whether each element of `product` is that of a float32 sum, rounded to bfloat16 if `rounded`.
    private func check(_ product: Tensor, _ a: Tensor, _ b: Tensor, rounded: Bool, _ label: String, bias: Tensor? = nil) {
        let a = a.to(.float64), b = b.to(.float64)
        var exact = matmul(a, b), size = matmul(abs(a), abs(b))
        if let bias {
            exact = exact + bias.to(.float64)
            size = size + abs(bias.to(.float64))
        }
        let k = Double(a.shape.last!)
        // √k of the k roundings of 2⁻²⁴ as a rule; 8 for luck. bfloat16 rounds by 2⁻⁸.
        let allowed = size * (8 * k.squareRoot() / 16_777_216) + (rounded ? abs(exact) / 256 : abs(exact) * 0) + 1e-30
        let wrong = (abs(product.to(.float64) - exact) .> allowed).any().item(Bool.self)
        #expect(!wrong, "\(label)")
    }

    private func products(_ size: [Int]) {
        let (m, n, k) = (size[0], size[1], size[2])
        let generator = RandomGenerator(seed: UInt64(m * n + k))
        let a = half([m, k], generator), b = half([k, n], generator)
        let at = a.T.contiguous().T, bt = b.T.contiguous().T
        for (x, y) in [(a, b), (at, b), (a, bt), (at, bt)] {
            check(matmul(x, y), a, b, rounded: true, "\(size), strides \(x.strides) \(y.strides)")
        }
        let bias = half([n], generator)
        check(linear(a, bt.T, bias), a, b, rounded: true, "\(size) with bias", bias: bias)
        // A part of larger matrices: rows further apart than they are long.
        let wide = concatenate([a, a], axis: 1)[0..., ..<k], tall = concatenate([b, b], axis: 1)[0..., ..<n]
        #expect(matmul(wide, tall).isEqual(to: matmul(a, b)), "\(size), strided")
    }

    @Test(arguments: sizes) func againstDouble(_ size: [Int]) { products(size) }

    /// By way of float32, where the CPU has no instruction for it.
    @Test func withoutInstruction() {
        let best = tk_set_isa_level(99)
        defer { tk_set_isa_level(best) }
        tk_set_isa_level(1)
        for size in Self.sizes { products(size) }
    }

    @Test func batches() {
        let generator = RandomGenerator(seed: 51)
        let a = half([3, 1, 40, 50], generator), b = half([4, 50, 60], generator)
        let product = matmul(a, b)
        #expect(product.shape == [3, 4, 40, 60] && product.dtype == .bfloat16)
        for i in 0..<3 { for j in 0..<4 { #expect(product[i, j].isEqual(to: matmul(a[i, 0], b[j]))) } }
        let many = half([70, 3, 9], generator), columns = half([70, 9, 5], generator)
        let small = matmul(many, columns)
        for i in [0, 33, 69] { check(small[i], many[i], columns[i], rounded: true, "matrix \(i)") }
        #expect(matmul(half([0, 4], generator), half([4, 3], generator)).shape == [0, 3])
        #expect(matmul(half([2, 0], generator), half([0, 3], generator)).scalars(Float.self) == [0, 0, 0, 0, 0, 0])
    }

    @Test func vectors() {
        let generator = RandomGenerator(seed: 52)
        let a = half([70, 90], generator), x = half([90], generator), y = half([70], generator)
        check(matmul(a, x), a, x, rounded: true, "matrix times vector")
        check(matmul(y, a), y, a, rounded: true, "vector times matrix")
        check(matmul(a.T, y), a.T, y, rounded: true, "transposed matrix times vector")
        check(matmul(x, x), x, x, rounded: true, "dot product")
    }

    @Test func productGradients() {
        let generator = RandomGenerator(seed: 53)
        let a = half([33, 65], generator), b = half([65, 31], generator), g = half([33, 31], generator)
        let x = a.asLeaf(), w = b.asLeaf()
        matmul(x, w).backward(gradient: g)
        check(x.grad!, g, b.T, rounded: true, "dA")
        check(w.grad!, a.T, g, rounded: true, "dB")
    }

    @Test func specialValues() {
        var a = Tensor(ones: [40, 50], dtype: .bfloat16)
        a[7, 3] = Tensor(Double.nan).to(.bfloat16)
        a[9, 4] = Tensor(Double.infinity).to(.bfloat16)
        for columns in [1, 40] {
            let product = matmul(a, Tensor(ones: [50, columns], dtype: .bfloat16))
            #expect(product.isNaN.any(1).to(.int64).sum().item(Int.self) == 1)
            #expect(product[7].isNaN.all().item(Bool.self))
            #expect(product[9].isInfinite.all().item(Bool.self))
        }
    }

    @Test func threads() {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        func results() -> [Tensor] {
            let generator = RandomGenerator(seed: 54)
            let a = half([700, 1700], generator), b = half([1700, 90], generator)
            return [
                matmul(a, b), matmul(a[..<300], b), matmul(a[0], b), matmul(a, b[0..., 0]), matmul(a[..<3], b.T.contiguous().T),
                softmax(a), layerNorm(a), a.sum(), a.sum(0), a.sum(1),
            ]
        }
        Configuration.threadCount = 1
        let one = results()
        for count in [2, 3, 4] {
            Configuration.threadCount = count
            for (i, (x, y)) in zip(one, results()).enumerated() { #expect(x.isEqual(to: y), "result \(i) with \(count) threads") }
        }
    }

    /// Rows and reductions, widened as they are read, are float32's results rounded once.
    @Test(arguments: [DType.bfloat16, .float16]) func rows(_ dtype: DType) {
        let generator = RandomGenerator(seed: 55)
        for (rows, width) in [(1, 1), (7, 33), (300, 257), (3, 70_001)] {
            let x = Tensor(normal: [rows, width], generator: generator).to(dtype),
                g = Tensor(normal: [rows, width], generator: generator).to(dtype)
            let w = Tensor(normal: [width], generator: generator).to(dtype),
                b = Tensor(normal: [width], generator: generator).to(dtype)
            func both(_ label: String, _ f: (Tensor, Tensor, Tensor) -> Tensor) {
                let narrow = [x, w, b].map { $0.asLeaf() }, wide = [x, w, b].map { $0.to(.float32).asLeaf() }
                let y = f(narrow[0], narrow[1], narrow[2]), z = f(wide[0], wide[1], wide[2])
                #expect(y.isEqual(to: z.to(dtype)), "\(label) \(rows) x \(width)")
                let dy = g.reshaped([-1])[..<y.count].reshaped(y.shape)
                y.backward(gradient: dy)
                z.backward(gradient: dy.to(.float32))
                for (i, (p, q)) in zip(narrow, wide).enumerated() {
                    guard let p = p.grad, let q = q.grad else { continue }
                    // Softmax's rule starts from the rounded result.
                    let wrong = mismatch(p.to(.float32), q, Tolerance(relative: 0.02, absolute: 0.02))
                    #expect(wrong == nil, "\(label) \(rows) x \(width), gradient \(i): \(wrong ?? "")")
                }
            }
            both("softmax") { x, _, _ in softmax(x) }
            both("logSoftmax") { x, _, _ in logSoftmax(x) }
            both("layerNorm") { layerNorm($0, weight: $1, bias: $2) }
            both("rmsNorm") { x, w, _ in rmsNorm(x, weight: w) }
            both("sum") { x, _, _ in x.sum() }
            both("sum(0)") { x, _, _ in x.sum(0) }
            both("sum(1)") { x, _, _ in x.sum(1) }
            both("max(1)") { x, _, _ in x.max(1) }
            let labels = Tensor(integers: 0..<width, shape: [rows], generator: generator)
            both("crossEntropy") { x, _, _ in crossEntropyRows(x, labels, labelSmoothing: 0.1) }
        }
    }
}
