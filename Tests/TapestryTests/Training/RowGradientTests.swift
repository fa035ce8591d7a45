import Tapestry
import TestSupport
import Testing

/// Gradients of large tables that stay rows until somebody looks at them: the same bits as the whole gradient gives.
@Suite struct RowGradientTests {
    private static let vocabulary = 4001, width = 300

    private func table(_ seed: UInt64, _ dtype: DType = .float32) -> Tensor {
        Tensor(normal: [Self.vocabulary, Self.width], generator: RandomGenerator(seed: seed)).to(dtype)
    }
    private func ids(_ seed: UInt64, _ shape: Shape = [7, 20]) -> Tensor {
        Tensor(integers: 0..<50, shape: shape, generator: RandomGenerator(seed: seed)) * 80
    }
    private func expectSame(_ a: Tensor, _ b: Tensor, _ what: String) {
        #expect(a.withUnsafeBytes(Array.init) == b.withUnsafeBytes(Array.init), "\(what)")
    }

    /// Losses with one and several uses of a table; `(table, other weights)`.
    private var losses: [(String, @Sendable (Tensor) -> Tensor)] {
        let a = ids(1), b = ids(2, [9]), g = Tensor(normal: [7, 20, Self.width], generator: RandomGenerator(seed: 3))
        let x = Tensor(normal: [5, Self.width], generator: RandomGenerator(seed: 4))
        return [
            ("once", { (embedding(a, $0) * g.to($0.dtype)).sum() }),
            ("padding", { (embedding(a, $0, paddingIndex: 80) * g.to($0.dtype)).sum() }),
            ("twice", { (embedding(a, $0) * g.to($0.dtype)).sum() + square(embedding(b, $0)).sum() }),
            ("tied", { (embedding(a, $0) * g.to($0.dtype)).sum() + square(matmul(x.to($0.dtype), $0.T)).sum() }),
            ("tied before", { square(matmul(x.to($0.dtype), $0.T)).sum() + (embedding(a, $0) * g.to($0.dtype)).sum() }),
            ("of a function", { (embedding(a, tanh($0)) * g.to($0.dtype)).sum() }),
        ]
    }

    /// Three steps, with the gradients left alone and looked at first.
    @Test(arguments: [DType.float32, .float64])
    func stepsAreTheSame(_ dtype: DType) {
        let optimizers: [(String, ([Parameter]) -> Optimizer)] = [
            ("SGD", { SGD($0, learningRate: 0.3) }), ("momentum", { SGD($0, learningRate: 0.3, momentum: 0.9) }),
            ("decay", { SGD($0, learningRate: 0.3, weightDecay: 0.1) }),
            ("ascent", { SGD($0, learningRate: 0.3, maximize: true) }),
            ("Adagrad", { Adagrad($0, learningRate: 0.1, initialAccumulator: 0.1) }), ("AdamW", { AdamW($0, learningRate: 0.1) }),
        ]
        for (name, loss) in losses {
            for (rule, make) in optimizers where dtype == .float32 || rule == "SGD" {
                let rows = Parameter(table(9, dtype)), whole = Parameter(table(9, dtype))
                let first = make([rows]), second = make([whole])
                for _ in 0..<3 {
                    first.zeroGrad()
                    second.zeroGrad()
                    loss(rows.value).backward()
                    loss(whole.value).backward()
                    whole.grad!.withUnsafeBytes { _ in }
                    first.step()
                    second.step()
                }
                expectSame(rows.value, whole.value, "\(name), \(rule)")
            }
        }
    }

    /// Against a table of zeros to which every id's row is added.
    @Test func gradientIsTheSumOfRows() {
        let leaf = table(5).asLeaf(), ids = ids(6), g = Tensor(normal: [7, 20, Self.width], generator: RandomGenerator(seed: 7))
        (embedding(ids, leaf, paddingIndex: 160) * g).sum().backward()
        (embedding(ids, leaf, paddingIndex: 160) * g).sum().backward()  // added to what is there
        #expect(leaf.grad!.onlyRows != nil)
        var expected = [Float](repeating: 0, count: Self.vocabulary * Self.width)
        let values = g.scalars(Float.self)
        for (i, id) in ids.scalars(Int.self).enumerated() where id != 160 {
            for k in 0..<Self.width { expected[id * Self.width + k] += 2 * values[i * Self.width + k] }
        }
        let gradient = leaf.grad!.scalars(Float.self)
        #expect(leaf.grad!.onlyRows == nil)
        #expect(zip(gradient, expected).allSatisfy { Swift.abs($0 - $1) <= 1e-5 * (1 + Swift.abs($1)) })
    }

    /// The table is made of the output's gradient when somebody looks: what became of that gradient meanwhile does not count.
    @Test func outputGradientsThatChange() {
        let ids = ids(6), later = table(5).asLeaf(), now = table(5).asLeaf()
        var g = Tensor(normal: [7, 20, Self.width], generator: RandomGenerator(seed: 7))
        embedding(ids, later, paddingIndex: 160).backward(gradient: g)
        embedding(ids, now, paddingIndex: 160).backward(gradient: g)
        let expected = now.grad!.scalars(Float.self)
        g *= 3
        #expect(later.grad!.scalars(Float.self) == expected)
        #expect(g.scalars(Float.self) != expected)
    }

    /// What changes the gradient between the backward pass and the step counts.
    @Test func changesBeforeTheStepCount() {
        let p = Parameter(table(5)), q = Parameter(table(5)), ids = ids(6)
        let optimizer = SGD([p], learningRate: 0.5)
        for x in [p, q] { square(embedding(ids, x.value)).sum().backward() }
        p.grad = p.grad! * 2
        optimizer.step()
        let other = SGD([q], learningRate: 1)
        other.step()
        expectSame(p.value, q.value, "doubled")
        // In place
        for x in [p, q] {
            x.grad = nil
            square(embedding(ids, x.value)).sum().backward()
        }
        p.grad! *= 2
        optimizer.step()
        other.step()
        expectSame(p.value, q.value, "doubled in place")
    }

    /// Gradients asked for as values, and their gradients.
    @Test func transforms() {
        let x = table(5, .float64), ids = ids(6)
        let f = { @Sendable (x: Tensor) in square(embedding(ids, x)).sum() }
        let gradient = grad(of: f)(x)
        let twice = grad(of: { (grad(of: f)($0) * $0).sum() })(x)
        #expect(abs(twice - gradient * 2).max().item(Double.self) < 1e-12)
    }

    /// Nothing of the rest of the table is read or written: a step costs by the rows.
    @Test func aNaNElsewhereStays() {
        let p = Parameter(table(5).replacing([.at(1)], with: Tensor(Float.nan)))
        embedding(Tensor([2, 2, 3]), p.value).sum().backward()
        SGD([p], learningRate: 1).step()
        #expect(p.value[1].isNaN.all().item(Bool.self))
        expectSame(p.value[2], table(5)[2] - 2, "row")
    }
}
