import Tapestry
import Testing

/// Recomputation and users' own differentiable functions.
@Suite(.serialized) struct FunctionTests {
    @Test func checkpointsGiveTheSameGradients() {
        let w = Parameter(Tensor(normal: [8, 8], dtype: .float64, generator: RandomGenerator(seed: 1)))
        let x = Tensor(normal: [4, 8], dtype: .float64, generator: RandomGenerator(seed: 2)).asLeaf()
        func block(_ x: Tensor) -> Tensor { dropout(tanh(x • w.value), probability: 0.3) }
        manualSeed(3)
        (block(block(x)) * 2).sum().backward()
        let plain = (x.grad!, w.grad!)
        x.grad = nil
        w.grad = nil
        manualSeed(3)
        var y = checkpoint { block(x) }
        y = checkpoint { [y] in block(y) }
        (y * 2).sum().backward()
        #expect(x.grad!.isEqual(to: plain.0))
        #expect(w.grad!.isEqual(to: plain.1))
    }

    /// What is recomputed in the backward pass, outside the region, is in the region's type again, and a converted weight that was there
    /// before gets its share of the gradient.
    @Test(arguments: [DType.bfloat16, .float16]) func checkpointsReplayAutocast(_ dtype: DType) {
        let w = Parameter(Tensor(normal: [8, 8], generator: RandomGenerator(seed: 1)))
        let x = Tensor(normal: [4, 8], generator: RandomGenerator(seed: 2)).asLeaf()
        func gradients(_ run: (@escaping () -> Tensor) -> Tensor) -> (Tensor, Tensor) {
            x.grad = nil
            w.grad = nil
            let loss = autocast(to: dtype) {
                let before = x • w.value
                let inner = run { tanh(before • w.value) • w.value }
                return ((inner + before) • w.value).sum()
            }
            loss.backward()
            return (x.grad!, w.grad!)
        }
        let plain = gradients { $0() }, lean = gradients { checkpoint($0) }
        #expect(lean.0.isEqual(to: plain.0))
        // The shares of a gradient are added in another order.
        let error = square(lean.1 - plain.1).sum() / square(plain.1).sum()
        #expect(error.item(Double.self) < 1e-4)
    }

    @Test func checkpointsSaveMemory() {
        let x = Tensor(ones: [1 << 16], requiresGrad: true)
        func deep(_ x: Tensor) -> Tensor { (0..<20).reduce(x) { y, _ in tanh(y) * y } }
        func held(_ build: () -> Tensor) -> Int {
            let before = MemoryStatistics.current.bytesInUse
            let y = build()
            defer { withExtendedLifetime(y) {} }
            return MemoryStatistics.current.bytesInUse - before
        }
        let plain = held { deep(x) }
        let lean = held { checkpoint { deep(x) } }
        #expect(lean * 5 < plain, "\(lean) bytes held with recomputation, \(plain) without")
    }

    @Test func checkpointsHaveHigherOrders() {
        let x = Tensor([0.7], dtype: .float64, requiresGrad: true)
        let y = checkpoint { sin(x) }
        let first = gradients(of: [y], withRespectTo: [x], createGraph: true)[0]!
        let second = gradients(of: [first], withRespectTo: [x])[0]!
        #expect(Swift.abs(second.item(Double.self) + sin(x).item(Double.self)) < 1e-12)
    }

    struct Cube: DifferentiableFunction {
        func forward(_ x: [Tensor], _ context: FunctionContext) -> [Tensor] {
            context.save(x[0])
            return [x[0] * x[0] * x[0]]
        }
        func vjp(_ g: [Tensor?], _ context: FunctionContext) -> [Tensor?] {
            let x = context.saved[0]
            return [g[0]! * x * x * 3]
        }
    }

    /// The gradient is what the rule says, not what differentiating the forward call would give.
    struct StraightThrough: DifferentiableFunction {
        func forward(_ x: [Tensor], _ context: FunctionContext) -> [Tensor] { [round(x[0])] }
        func vjp(_ g: [Tensor?], _ context: FunctionContext) -> [Tensor?] { [g[0]] }
    }

    struct SineAndCosine: DifferentiableFunction {
        func forward(_ x: [Tensor], _ context: FunctionContext) -> [Tensor] {
            let both = [sin(x[0]), cos(x[0])]
            context.save(both[0], both[1])
            return both
        }
        func vjp(_ g: [Tensor?], _ context: FunctionContext) -> [Tensor?] {
            var total: Tensor?
            if let a = g[0] { total = a * context.saved[1] }
            if let b = g[1] { total = total.map { $0 - b * context.saved[0] } ?? -b * context.saved[0] }
            return [total]
        }
    }

    @Test func customFunctions() {
        let x = Tensor([2.0, -1], dtype: .float64, requiresGrad: true)
        let y = Cube().apply(x)[0]
        #expect(y.gradFn!.name == "CubeBackward")
        y.sum().backward()
        #expect(x.grad!.scalars(Double.self) == [12, 3])
        #expect(hessian(of: { Cube().apply($0)[0].sum() })(x.detached()).matrix(Double.self) == [[12, 0], [0, -6]])
        x.grad = nil
        StraightThrough().apply(x * 0.4)[0].sum().backward()
        #expect(x.grad!.scalars(Double.self) == [0.4, 0.4])
    }

    @Test func customFunctionsWithSeveralOutputs() {
        let x = Tensor([0.3], dtype: .float64, requiresGrad: true)
        let parts = SineAndCosine().apply(x)
        let (s, c) = (parts[0].item(Double.self), parts[1].item(Double.self))
        (parts[0] * 2 + parts[1] * 5).sum().backward()
        #expect(Swift.abs(x.grad!.item(Double.self) - (2 * c - 5 * s)) < 1e-12)
        x.grad = nil
        let alone = SineAndCosine().apply(x)
        alone[1].sum().backward()
        #expect(Swift.abs(x.grad!.item(Double.self) + s) < 1e-12)
    }
}
