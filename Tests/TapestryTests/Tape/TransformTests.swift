import Tapestry
import Testing

@Suite struct TransformTests {
    private let x = Tensor([1.0, -2, 0.5], dtype: .float64)

    /// Rosenbrock's function, whose derivatives are known.
    private func rosenbrock(_ v: Tensor) -> Tensor { pow(1 - v[0], 2) + 100 * pow(v[1] - v[0] * v[0], 2) }

    @Test func gradients() {
        let g = grad(of: { ($0 * $0 * $0).sum() })(x)
        #expect(g.isClose(to: 3 * x * x, rtol: 1e-12))
        #expect(!g.requiresGrad)
        let (value, gradient) = valueAndGrad(of: rosenbrock)(Tensor([1.5, 2.0], dtype: .float64))
        #expect(Swift.abs(value.item(Double.self) - 6.5) < 1e-12)
        #expect(gradient.isClose(to: Tensor([151.0, -50.0], dtype: .float64), rtol: 1e-12))
        let both = grad(of: { (xs: [Tensor]) in (xs[0] * xs[1]).sum() })([x, x * 2])
        #expect(both[0].isEqual(to: x * 2) && both[1].isEqual(to: x))
    }

    @Test func secondDerivatives() {
        let h = hessian(of: rosenbrock)(Tensor([1.5, 2.0], dtype: .float64))
        // [1200 a² - 400 b + 2, -400 a; -400 a, 200]
        #expect(h.isClose(to: Tensor([[1902.0, -600], [-600, 200]], dtype: .float64), rtol: 1e-12))
        let v = Tensor([2.0, -1.0], dtype: .float64)
        let hv = hessianVectorProduct(rosenbrock, Tensor([1.5, 2.0], dtype: .float64), v)
        #expect(hv.isClose(to: h • v, rtol: 1e-12))
        #expect(hessian(of: { ($0 * $0 * $0).sum() })(x).isClose(to: Tensor(eye: 3, dtype: .float64) * (6 * x), atol: 1e-12))
    }

    @Test func nesting() {
        let third = grad(of: { a in grad(of: { b in grad(of: { c in (c * c * c * c).sum() })(b).sum() })(a).sum() })(x)
        #expect(third.isClose(to: 24 * x, rtol: 1e-12))
        // d/dy [ y · d/dx (x² y) at x = 3 ] = d/dy (6 y²)
        let outer = grad(of: { y in y * grad(of: { x in x * x * y })(Tensor(3.0, dtype: .float64)) })
        #expect(outer(Tensor(2.0, dtype: .float64)).item(Double.self) == 24)
    }

    @Test func products() {
        func f(_ x: Tensor) -> Tensor { stack([x[0] * x[1], sin(x[2]), x.sum()]) }
        let j = jacobian(of: f)(x)
        let c = cos(x[2]).item(Double.self)
        #expect(j.isClose(to: Tensor([[-2.0, 1, 0], [0, 0, c], [1, 1, 1]], dtype: .float64), rtol: 1e-12))
        let t = Tensor([0.3, 1, -2], dtype: .float64), v = Tensor([1.0, 5, 0.25], dtype: .float64)
        let (value, tangent) = jvp(f, x, tangent: t)
        #expect(value.isEqual(to: f(x)))
        #expect(tangent.isClose(to: j • t, rtol: 1e-12))
        let pullback = vjp(f, x).pullback
        #expect(pullback(v).isClose(to: v • j, rtol: 1e-12))
        #expect(pullback(2 * v).isClose(to: 2 * (v • j), rtol: 1e-12))
    }

    /// A transform of something recorded is itself recorded.
    @Test func insideARecordedComputation() {
        let w = Tensor([1.0, 2, 3], dtype: .float64, requiresGrad: true)
        let penalty = square(grad(of: { a in (w * a * a).sum() })(x)).sum()
        penalty.backward()
        // Σ (2 w x)², whose gradient in w is 8 w x²
        #expect(w.grad!.isClose(to: (8 * w * x * x).detached(), rtol: 1e-12))
    }

    @Test func constantsHaveNoGradient() {
        #expect(grad(of: { _ in Tensor(1.0, dtype: .float64) })(x).isEqual(to: Tensor(zerosLike: x)))
        #expect(jvp({ _ in Tensor(1.0, dtype: .float64) }, x, tangent: x).tangent.item(Double.self) == 0)
    }

    private func vectorField(_ v: Tensor) -> Tensor { stack([v[0] * v[1], sin(v[2]), (v * v).sum(), exp(v[0]) / v[1]]) }

    @Test func forwardAndReverseJacobiansAgree() {
        let forward = jacfwd(of: vectorField)(x), reverse = jacrev(of: vectorField)(x)
        #expect(forward.shape == [4, 3] && forward.isClose(to: reverse, rtol: 1e-12, atol: 1e-12))
        let w = Tensor(uniform: [3, 3], dtype: .float64, generator: RandomGenerator(seed: 1))
        func g(_ v: Tensor) -> Tensor { tanh(w • v) }
        #expect(jacfwd(of: g)(x).isClose(to: jacrev(of: g)(x), rtol: 1e-12, atol: 1e-12))
        // diag(1 - tanh²) W
        #expect(jacrev(of: g)(x).isClose(to: (1 - square(tanh(w • x))).unsqueezed(1) * w, rtol: 1e-12))
    }

    /// The Hessian of ½ xᵀ A x + bᵀ x is A, in every order of the modes.
    @Test func hessiansOfAQuadratic() {
        let m = Tensor(uniform: [3, 3], dtype: .float64, generator: RandomGenerator(seed: 2))
        let a = m + m.T, b = Tensor([1.0, 2, 3], dtype: .float64)
        func f(_ v: Tensor) -> Tensor { 0.5 * (v * (a • v)).sum() + (b * v).sum() }
        for h in [
            hessian(of: f)(x), jacfwd(of: jacrev(of: f))(x), jacrev(of: jacfwd(of: f))(x), jacfwd(of: jacfwd(of: f))(x),
            jacfwd(of: grad(of: f))(x),
        ] {
            #expect(h.isClose(to: a, rtol: 1e-11, atol: 1e-11))
        }
        let v = Tensor([0.5, -1, 2], dtype: .float64)
        #expect(hvp(f, x, v).isClose(to: a • v, rtol: 1e-11))
        let (value, push) = linearize(f, x)
        #expect(value.isClose(to: f(x)) && push(v).isClose(to: ((a • x + b) * v).sum(), rtol: 1e-12))
        #expect(push(v * 2).isClose(to: 2 * push(v), rtol: 1e-12))
    }

    /// Per-example gradients, three ways.
    @Test func vmapOfGradients() {
        let w = Tensor(uniform: [3], dtype: .float64, generator: RandomGenerator(seed: 3))
        let data = Tensor(normal: [5, 3], dtype: .float64, generator: RandomGenerator(seed: 4))
        func loss(_ w: Tensor, _ x: Tensor) -> Tensor { square(tanh((w * x).sum()) - 0.5) }
        let each = vmap({ x in grad(of: { w in loss(w, x) })(w) })(data)
        let loop = stack((0..<5).map { i in grad(of: { w in loss(w, data[i]) })(w) })
        #expect(each.isClose(to: loop, rtol: 1e-12))
        // The gradient of the sum is the sum of the gradients.
        let whole = grad(of: { w in vmap({ x in loss(w, x) })(data).sum() })(w)
        #expect(whole.isClose(to: loop.sum(0), rtol: 1e-12))
        // and of each output by the captured weights: the Jacobian
        let rows = jacrev(of: { w in vmap({ x in loss(w, x) })(data) })(w)
        #expect(rows.isClose(to: loop, rtol: 1e-12))
        let second = vmap({ x in hessian(of: { w in loss(w, x) })(w) })(data)
        #expect(
            second.isClose(to: stack((0..<5).map { i in hessian(of: { w in loss(w, data[i]) })(w) }), rtol: 1e-10, atol: 1e-12))
        let mixed = vmap({ x in jvp({ w in loss(w, x) }, w, tangent: x).tangent })(data)
        #expect(mixed.isClose(to: (loop * data).sum(1), rtol: 1e-12))
    }

    @Test func nestedVmap() {
        let a = Tensor(normal: [4, 3], dtype: .float64, generator: RandomGenerator(seed: 5))
        let b = Tensor(normal: [5, 3], dtype: .float64, generator: RandomGenerator(seed: 6))
        let products = vmap({ x in vmap({ y in dot(x, y) })(b) })(a)
        #expect(products.isClose(to: a • b.T, rtol: 1e-12))
        let turned = vmap({ y in vmap({ x in dot(x, y) }, outAxis: 0)(a) }, outAxis: 1)(b)
        #expect(turned.isClose(to: a • b.T, rtol: 1e-12))
        // The second axis in, the last out; an argument for all.
        let scaled = vmap({ x, s in x * s }, inAxes: (1, nil), outAxis: -1)(a, Tensor(2.0, dtype: .float64))
        #expect(scaled.isClose(to: a * 2))
        // What does not depend on the example is repeated.
        #expect(vmap({ _ in Tensor([1, 2]) })(a).shape == [4, 2])
        let field = vmap({ (v: Tensor) -> Tensor in self.vectorField(v) })(a)
        #expect(field.shape == [4, 4] && field[2].isClose(to: vectorField(a[2]), rtol: 1e-12))
    }

    /// Jacobians of functions that are themselves batched, and batches of Jacobians.
    @Test func jacobiansInsideVmap() {
        let points = Tensor(normal: [4, 3], dtype: .float64, generator: RandomGenerator(seed: 7)) + 2
        let reverse = vmap(jacrev(of: vectorField))(points), forward = vmap(jacfwd(of: vectorField))(points)
        let loop = stack((0..<4).map { jacrev(of: vectorField)(points[$0]) })
        #expect(reverse.isClose(to: loop, rtol: 1e-11) && forward.isClose(to: loop, rtol: 1e-11))
    }

    @Test func fallbacksAreNamed() {
        struct Doubling: DifferentiableFunction {
            func forward(_ x: [Tensor], _ context: FunctionContext) -> [Tensor] { [x[0] * 2] }
            func vjp(_ g: [Tensor?], _ context: FunctionContext) -> [Tensor?] { [g[0]! * 2] }
        }
        var result = Tensor(0)
        let named = batchingFallbacks { result = vmap({ Doubling().apply($0)[0] })(Tensor([[1.0, 2], [3, 4]])) }
        #expect(result.isEqual(to: Tensor([[2.0, 4], [6, 8]])))
        #expect(named == ["Doubling": 1])
        #expect(batchingFallbacks { _ = vmap({ $0.sum() })(Tensor([[1.0, 2]])) }.isEmpty)
    }
}
