import CKernels
import Tapestry
import Testing

/// Recorded functions against the same operations one by one.
@Suite(.serialized) struct FusedTests {
    /// A random chain of operations: every step takes earlier values.
    struct RandomProgram: Sendable {
        let steps: [(op: Int, a: Int, b: Int, number: Double)]

        init(seed: UInt64, inputs: Int, length: Int) {
            var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
            func next(_ limit: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % limit
            }
            steps = (0..<length).map { k in (next(22), next(inputs + k), next(inputs + k), Double(next(19) - 9) / 8) }
        }

        @Sendable func callAsFunction(_ inputs: [Tensor]) -> Tensor {
            var values = inputs
            for step in steps {
                let a = values[step.a], b = values[step.b]
                let y: Tensor =
                    switch step.op {
                    case 0: a + b
                    case 1: a - b
                    case 2: tanh(a) * b
                    case 3: a / (b * b + 1.5)
                    case 4: a * step.number + b
                    case 5: step.number - a
                    case 6: sigmoid(a)
                    case 7: gelu(a)
                    case 8: gelu(a, approximate: .tanh)
                    case 9: silu(a)
                    case 10: tanh(softplus(a))
                    case 11: relu(a)
                    case 12: which(a .> step.number, a, b)
                    case 13: a.clamped(min: -1, max: 2)
                    case 14: maximum(a, b)
                    case 15: exp(minimum(a, 1))
                    case 16: log(a * a + 1)
                    case 17: sqrt(a * a + 0.5)
                    case 18: which((a .< b) .| (b .>= 0.25) .& .!a.isNaN, a * 0.5, -b)
                    case 19: logSigmoid(a)
                    case 20: sin(a) * abs(b)
                    default: pow(a * a + 1, 0.25) + erf(b)
                    }
                values.append(y)
            }
            return values.suffix(3).reduce(values[0]) { $0 + $1 * 0.25 }
        }
    }

    private func inputs(_ shapes: [Shape], _ dtype: DType, seed: UInt64 = 1) -> [Tensor] {
        let generator = RandomGenerator(seed: seed)
        return shapes.map { Tensor(normal: $0, generator: generator).to(dtype) }
    }

    /// Value and gradients of a function, with a given gradient of its result.
    private func run(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], needs: [Bool]? = nil, rounded: DType? = nil) -> [Tensor] {
        let leaves = zip(inputs, needs ?? inputs.map(\.dtype.isFloatingPoint)).map { $1 ? $0.asLeaf() : $0 }
        let y = f(leaves)
        let wanted = leaves.filter(\.requiresGrad)
        if !y.requiresGrad { return [y] + wanted.map { _ in Tensor(0.0) } }
        let g = cos(Tensor(arange: y.count, dtype: .float64)).reshaped(y.shape).to(rounded ?? y.dtype).to(y.dtype)
        return [y.detached()]
            + gradients(of: [y], withRespectTo: wanted, gradients: [g]).map { $0 ?? Tensor(0.0) }
    }

    private func expectEqual(
        _ ours: [Tensor], _ plain: [Tensor], _ tolerance: Double, _ comment: String, _ source: SourceLocation = #_sourceLocation
    ) {
        #expect(ours.count == plain.count, sourceLocation: source)
        for (i, (a, b)) in zip(ours, plain).enumerated() {
            #expect(a.shape == b.shape && a.dtype == b.dtype, "\(comment): \(i)", sourceLocation: source)
            let scale = b.count == 0 ? 1 : Swift.max(1, abs(b.to(.float64)).max().item(Double.self))
            let agrees = a.to(.float64).isClose(to: b.to(.float64), rtol: tolerance, atol: tolerance * scale)
            #expect(agrees, "\(comment): \(i)", sourceLocation: source)
        }
    }

    static let shapes: [[Shape]] = [
        [[], [], []], [[1], [7], [7]], [[5, 3], [3], [5, 1]], [[33, 1000], [1000], [33, 1]], [[2, 3, 40, 17], [3, 1, 1], [17]],
        [[700, 5], [5], []], [[3, 1], [1, 4], [2, 1, 1]], [[0, 4], [4], [0, 1]], [[3, 0], [3, 1], [1]],
        [[40, 50, 60], [40, 1, 60], [1, 50, 1]],
        [[100_003], [100_003], [1]], [[513, 515], [1, 515], [513, 515]],
    ]

    @Test(arguments: 0..<36)
    func randomProgramsAreAsTheirOperations(_ seed: Int) {
        let shapes = Self.shapes[seed % Self.shapes.count]
        let program = RandomProgram(seed: UInt64(seed + 1), inputs: 3, length: 4 + seed % 9)
        let f = fused(list: { program($0) })
        func plain(_ x: [Tensor]) -> Tensor {
            let shape = x.reduce([]) { broadcastShape($0, $1.shape)! }
            return program(x.map { $0.expanded(to: shape) })
        }
        for (dtype, tolerance) in [(DType.float64, 1e-12), (.float32, 3e-5)] {
            let x = inputs(shapes, dtype, seed: UInt64(seed))
            expectEqual(run(f, x), run(plain, x), tolerance, "\(dtype) \(shapes)")
            expectEqual(run(f, x), run(plain, x), tolerance, "again")
            expectEqual(
                run(f, x, needs: [false, true, false]), run(plain, x, needs: [false, true, false]), tolerance, "one gradient")
        }
        // 16-bit floats are as exact as float32 rounded at the end.
        for dtype in [DType.bfloat16, .float16] {
            let x = inputs(shapes, dtype, seed: UInt64(seed)), wide = x.map { $0.to(.float32) }
            let rounding = dtype == .bfloat16 ? 0.01 : 0.002
            expectEqual(
                run(f, x).map { $0.to(.float32) }, run(plain, wide, rounded: dtype).map { $0.to(dtype).to(.float32) }, rounding,
                "\(dtype)")
        }
    }

    /// Views with strides of their own, among them broadcast and reversed ones, and mixed types.
    @Test func stridesAndTypes() {
        let f = fused { x, w, m in which(m, gelu(x * w), x) * 2 }
        func plain(_ x: [Tensor]) -> Tensor { which(x[2], gelu(x[0] * x[1]), x[0]) * 2 }
        let base = inputs([[60, 70], [140]], .float32), mask = base[0].transposed(0, 1) .> 0
        let x = base[0].transposed(0, 1), w = base[1].reshaped([70, 2])[0..., 0].unsqueezed(-1)
        for views in [[x, w, mask], [x.flipped(0), w, mask], [x.to(.float64), w, mask], [x.to(.bfloat16), w, mask[0]]] {
            expectEqual(run({ f($0[0], $0[1], $0[2]) }, views), run(plain, views), 1e-5, "")
        }
    }

    @Test func threadsAndStreamsDoNotChangeBits() {
        let f = fused(list: { RandomProgram(seed: 5, inputs: 3, length: 8)($0) })
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        for shapes in [[[700, 1001], [1001], [700, 1]], [[40, 50, 60], [40, 1, 60], [50, 1]], [[300_000], [], [1]]] as [[Shape]] {
            let x = inputs(shapes, .float32)
            Configuration.threadCount = 1
            let one = run(f, x)
            for threads in [2, 3] {
                Configuration.threadCount = threads
                #expect(zip(one, run(f, x)).allSatisfy { $0.isEqual(to: $1) })
            }
            let limit = tk_set_stream_bytes(0)
            #expect(zip(one, run(f, x)).allSatisfy { $0.isEqual(to: $1) })
            tk_set_stream_bytes(limit)
        }
    }

    @Test func everyInstructionSet() {
        let program = RandomProgram(seed: 11, inputs: 3, length: 10)
        let f = fused(list: { program($0) })
        let x = inputs([[37, 500], [500], [37, 1]], .float32), best = run(f, x)
        defer { tk_set_isa_level(-1) }
        for level in [0, 1] {
            tk_set_isa_level(Int32(level))
            expectEqual(run(f, x), best, 3e-5, "level \(level)")
        }
    }

    /// The derivative of a random program's gradient.
    @Test(arguments: 0..<6)
    func secondDerivatives(_ seed: Int) {
        let program = RandomProgram(seed: UInt64(seed + 100), inputs: 2, length: 5)
        let f = fused(list: { program($0) })
        func second(_ f: @escaping ([Tensor]) -> Tensor) -> [Tensor] {
            let x = inputs([[4, 6], [6]], .float64, seed: 3).map { $0.asLeaf() }
            let first = gradients(of: [f(x).sum()], withRespectTo: x, createGraph: true).compactMap { $0 }
            let sum = first.reduce(Tensor(0.0, dtype: .float64)) { $0 + ($1 * $1).sum() }
            return sum.requiresGrad ? gradients(of: [sum], withRespectTo: x).map { $0 ?? Tensor(0.0) } : []
        }
        expectEqual(second(f), second { program($0.map { $0.expanded(to: [4, 6]) }) }, 1e-10, "")
    }

    @Test func transforms() {
        let f = fused { x, w in tanh(x * w) + exp(-x * x) }
        func plain(_ x: Tensor, _ w: Tensor) -> Tensor { tanh(x * w) + exp(-x * x) }
        let x = inputs([[5, 4], [4]], .float64), w = x[1]
        #expect(vmap { f($0, w) }(x[0]).isClose(to: plain(x[0], w)))
        #expect(vmap(grad { f($0, w).sum() })(x[0]).isClose(to: vmap(grad { plain($0, w).sum() })(x[0])))
        let ours = jvp({ f($0, w) }, x[0], tangent: x[0]), theirs = jvp({ plain($0, w) }, x[0], tangent: x[0])
        #expect(ours.value.isClose(to: theirs.value) && ours.tangent.isClose(to: theirs.tangent))
        #expect(hessian { f($0, w).sum() }(x[0]).isClose(to: hessian { plain($0, w).sum() }(x[0])))
    }

    /// Integers and functions in functions run operation by operation; the result may be bool.
    @Test func otherTypes() {
        let double = fused { x in x + x }
        #expect(double(Tensor([1, 2, 3])).scalars(Int.self) == [2, 4, 6])
        let nested = fused { x in double(x) * 3 }
        let x = Tensor([1.0, -2.0], requiresGrad: true)
        let y = nested(x)
        #expect(y.scalars(Float.self) == [6, -12] && y.gradFn!.name == "FusedBackward")
        #expect(fused { x in x .> 0 }(x).scalars(Bool.self) == [true, false])
        let three = Tensor(3.0)
        #expect(fused { x in x * three }(x).scalars(Float.self) == [3, -6])
        #expect(fused { x in Tensor(onesLike: x) }(x).scalars(Float.self) == [1, 1])
    }

    @Test func autocastKeepsTypes() {
        let f = fused { x, w in x * w + 1 }
        let x = inputs([[3, 4]], .bfloat16)[0], w = inputs([[4]], .float32)[0]
        autocast {
            #expect(f(x, w).dtype == .float32)
            #expect(f(x, x).dtype == .bfloat16)
        }
    }
}
