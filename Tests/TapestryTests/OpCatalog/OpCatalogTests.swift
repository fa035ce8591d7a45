import ConformanceSuite
import OperationCatalog
import Tapestry
import TestSupport
import Testing

/// Every check that a catalogue row allows.
@Suite struct OpCatalogTests {
    /// Values in float64 and in every other type, against the row's reference.
    @Test(arguments: OpCatalog.rows) func values(_ row: OpRow) throws {
        if case .golden(let name) = row.reference {
            #expect(OpTable.contains(name), "\(row.name): no golden cases named \(name)")
            return
        }
        for sample in row.samples.indices {
            let inputs = row.inputs(sample)
            check(row, inputs, .float64)
            for type in row.types { check(row, zip(inputs, row.wanted(sample)).map { $1 ? $0.to(type) : $0 }, type) }
            for type in row.integerTypes {
                let whole = zip(inputs, row.wanted(sample)).map { $1 ? round(abs($0) + 1).to(type) : $0 }
                check(row, whole, type)
            }
        }
    }

    private func check(_ row: OpRow, _ inputs: [Tensor], _ type: DType) {
        let before = inputs.map { $0.scalars(Double.self) }
        let y = row.call(inputs)
        let arrays = inputs.map { ReferenceArray($0.shape, $0.scalars(Double.self)) }
        let expected: ReferenceArray
        switch row.reference {
        case .elements(let f): expected = .map(arrays, f)
        case .arrays(let f): expected = f(arrays)
        case .golden: return
        }
        var tolerance = Tolerance.standard(y.dtype)
        tolerance.relative *= row.slack
        tolerance.absolute *= row.slack
        let wrong = mismatch(y, Tensor(expected.values, shape: expected.shape, dtype: .float64), tolerance, anyType: true)
        #expect(wrong == nil, "\(row.name) of \(type) \(inputs.map(\.shape)): \(wrong ?? "")")
        for (x, old) in zip(inputs, before) {
            #expect(zip(x.scalars(Double.self), old).allSatisfy { $0 == $1 }, "\(row.name) changed an argument")
        }
    }

    /// First and second derivatives against central differences.
    @Test(arguments: OpCatalog.rows.filter { $0.orders > 0 }) func gradients(_ row: OpRow) {
        for sample in row.samples.indices {
            let inputs = row.inputs(sample)
            // Second order by differences costs count² calls; the small samples tell as much.
            let second = row.orders > 1 && inputs.allSatisfy { $0.count <= 30 }
            let wrong = GradCheck.problem(
                row.call, inputs, wanted: row.wanted(sample), second: second, generator: RandomGenerator(seed: 11))
            #expect(wrong == nil, "\(row.name) \(inputs.map(\.shape)): \(wrong ?? "")")
        }
    }

    /// ⟨v, J t⟩ = ⟨Jᵀ v, t⟩: forward and reverse mode are adjoint.
    @Test(arguments: OpCatalog.rows.filter { $0.orders > 0 }) func adjoint(_ row: OpRow) {
        let generator = RandomGenerator(seed: 12)
        for sample in row.samples.indices {
            let inputs = row.inputs(sample)
            for (k, wanted) in row.wanted(sample).enumerated() where wanted && inputs[k].count > 0 {
                func f(_ x: Tensor) -> Tensor {
                    var all = inputs
                    all[k] = x
                    return row.call(all)
                }
                let t = Tensor(normal: inputs[k].shape, dtype: .float64, generator: generator)
                let (y, jt) = jvp(f, inputs[k], tangent: t)
                let v = Tensor(normal: y.shape, dtype: .float64, generator: generator)
                let jv = vjp(f, inputs[k]).pullback(v)
                let left = (v * jt).sum().item(Double.self), right = (jv * t).sum().item(Double.self)
                #expect(Swift.abs(left - right) <= 1e-9 * (1 + Swift.abs(left)), "\(row.name), input \(k): \(left) ≠ \(right)")
            }
        }
    }

    /// Strided, transposed and offset inputs give what dense ones give, gradients included.
    @Test(arguments: OpCatalog.rows) func layouts(_ row: OpRow) {
        for sample in row.samples.indices {
            let dense = row.inputs(sample)
            let y = row.call(dense)
            for scatter in [transposedCopy, spreadCopy] {
                let views = dense.map(scatter)
                let wrong = mismatch(row.call(views), y, Tolerance(relative: 1e-12, absolute: 1e-13))
                #expect(wrong == nil, "\(row.name) \(dense.map(\.shape)): \(wrong ?? "")")
                if row.orders == 0 { continue }
                let wanted = row.wanted(sample)
                let weights = transposedCopy(Tensor(normal: y.shape, dtype: .float64, generator: RandomGenerator(seed: 5)))
                let a = GradCheck.tape(row.call, dense, weights: weights.contiguous(), wanted: wanted).gradients
                let b = GradCheck.tape(row.call, views, weights: weights, wanted: wanted).gradients
                for (k, (one, other)) in zip(a, b).enumerated() {
                    guard let one, let other else {
                        #expect((one == nil) == (other == nil), "\(row.name): a gradient got lost")
                        continue
                    }
                    let wrong = mismatch(other, one, Tolerance(relative: 1e-11, absolute: 1e-12))
                    #expect(wrong == nil, "\(row.name), gradient \(k) \(dense.map(\.shape)): \(wrong ?? "")")
                }
            }
        }
    }

    /// The same numbers, last axis first in memory.
    private func transposedCopy(_ x: Tensor) -> Tensor {
        if x.rank < 2 { return spreadCopy(x) }
        return x.transposed().contiguous().transposed()
    }

    /// The same numbers, every second place of a larger tensor.
    private func spreadCopy(_ x: Tensor) -> Tensor {
        if x.rank == 0 { return stack([x, x])[1] }
        return stack([Tensor(zerosLike: x), x], axis: -1).flattened(from: -2)[TensorIndex.ellipsis, TensorIndex.every(2, from: 1)]
    }

    /// Float32 gradients agree with float64's.
    @Test(arguments: OpCatalog.rows.filter { $0.orders > 0 && $0.types.contains(.float32) }) func singleGradients(_ row: OpRow) {
        for sample in row.samples.indices {
            let wanted = row.wanted(sample)
            let single = zip(row.inputs(sample), wanted).map { $1 ? $0.to(.float32) : $0 }
            let double = zip(single, wanted).map { $1 ? $0.to(.float64) : $0 }
            let weights = Tensor(normal: row.call(double).shape, generator: RandomGenerator(seed: 6))
            let a = GradCheck.tape(row.call, single, weights: weights, wanted: wanted).gradients
            let b = GradCheck.tape(row.call, double, weights: weights.to(.float64), wanted: wanted).gradients
            for (one, other) in zip(a, b) {
                guard let one, let other else { continue }
                let wrong = mismatch(one, other, .standard(.float32, .gradients), anyType: true)
                #expect(wrong == nil, "\(row.name): \(wrong ?? "")")
                #expect(one.dtype == .float32)
            }
        }
    }

    /// `vmap` gives what a loop over the examples gives: with every argument mapped, and with the first alone; and `vmap` of the
    /// gradient the gradient of each example.
    @Test(arguments: OpCatalog.rows.filter(\.isBatchable)) func vmapEqualsALoop(_ row: OpRow) {
        for sample in row.samples.indices where row.samples[sample].allSatisfy({ !$0.shape.contains(0) }) {
            let draws = (0..<3).map { row.inputs(sample, draw: $0) }
            let many = row.samples[sample].indices.map { k in stack(draws.map { $0[k] }) }
            let loop = stack(draws.map(row.call))
            let all = vmap({ [row.call($0)] })(many)[0]
            let close = Tolerance(relative: 1e-9, absolute: 1e-11)
            var wrong = mismatch(all, loop, close)
            #expect(wrong == nil, "\(row.name) \(many.map(\.shape)): \(wrong ?? "")")
            if row.samples[sample].count > 1 {
                let others = Array(draws[0].dropFirst())
                let first = vmap({ row.call([$0] + others) })(many[0])
                wrong = mismatch(first, stack(draws.map { row.call([$0[0]] + others) }), close)
                #expect(wrong == nil, "\(row.name), the first argument alone: \(wrong ?? "")")
            }
            guard row.orders > 0, let k = row.wanted(sample).firstIndex(of: true) else { continue }
            let weights = Tensor(normal: loop[0].shape, dtype: .float64, generator: RandomGenerator(seed: 8))
            func slope(_ inputs: [Tensor]) -> Tensor {
                grad(of: { (x: Tensor) -> Tensor in
                    var inputs = inputs
                    inputs[k] = x
                    return (row.call(inputs) * weights).sum()
                })(inputs[k])
            }
            wrong = mismatch(vmap({ [slope($0)] })(many)[0], stack(draws.map(slope)), Tolerance(relative: 1e-8, absolute: 1e-10))
            #expect(wrong == nil, "\(row.name), gradients: \(wrong ?? "")")
        }
    }
}
