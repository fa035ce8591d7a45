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
}
