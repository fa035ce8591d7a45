import CKernels

extension Backend {
    /// A tree of exact additions (Knuth's two-sum) by elementwise primitives: halves are added, and what each addition rounds off is added up
    /// beside them. Numbers of 16 bits as float32.
    public func compensatedSum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        if out.count == 0 { return }
        let type: DType = x.dtype == .float64 ? .float64 : .float32, device = x.device
        let (outer, inner) = (view.outer, view.inner)
        func new(_ n: Int) -> RawTensor { RawTensor(shape: [outer, n, inner], type, device) }
        func half(_ x: RawTensor, _ n: Int, second: Bool) -> RawTensor {
            x.view(Layout(shape: [outer, n, inner], strides: [2 * n * inner, inner, 1]), offset: second ? n * inner : 0)
        }
        func zeros(_ n: Int) -> RawTensor {
            let out = new(n)
            withElement(0, 0, 0, type) { fill(out, $0) }
            return out
        }
        var wide = x
        if x.dtype != type {
            wide = RawTensor(x.layout, type, device)
            cast(x, to: wide)
        }
        // Filled up with zeros to a power of two.
        var n = 1
        while n < view.n { n *= 2 }
        var sum = zeros(n), error = zeros(n)
        if view.n > 0 {
            let part = Layout(shape: [outer, view.n, inner], strides: [n * inner, inner, 1])
            copy(wide.view(.dense([outer, view.n, inner])), to: sum.view(part, offset: 0))
        }
        while n > 1 {
            n /= 2
            let a = half(sum, n, second: false), b = half(sum, n, second: true)
            let total = new(n), fromB = new(n), fromA = new(n), lostA = new(n), lostB = new(n), lost = new(n), before = new(n)
            binary(.add, a, b, total)
            binary(.sub, total, a, fromB)
            binary(.sub, total, fromB, fromA)
            binary(.sub, a, fromA, lostA)
            binary(.sub, b, fromB, lostB)
            binary(.add, lostA, lostB, lost)
            binary(.add, half(error, n, second: false), half(error, n, second: true), before)
            let errors = new(n)
            binary(.add, before, lost, errors)
            (sum, error) = (total, errors)
        }
        // A sum that is infinite or NaN has no rounding error to speak of.
        let corrected = new(1), isFinite = RawTensor(shape: [outer, 1, inner], .bool, device), result = new(1)
        binary(.add, sum, error, corrected)
        classify(.isFinite, sum, isFinite)
        select(isFinite, corrected, sum, result)
        cast(result.view(out.layout), to: out)
    }
}

extension CPUBackend {
    /// By `tk_sum_compensated`.
    public func compensatedSum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        tk_sum_compensated(x.dtype.code, x.pointer, out.pointer, Int64(view.outer), Int64(view.n), Int64(view.inner))
    }
}
