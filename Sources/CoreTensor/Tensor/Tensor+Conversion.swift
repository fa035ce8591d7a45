extension Tensor {
    /// The elements in row-major order, converted.
    public func scalars<S: TensorScalar>(_ type: S.Type = S.self) -> [S] {
        let x = detached().to(device: .cpu).to(S.memoryDType).raw.contiguous()
        defer { withExtendedLifetime(x.storage) {} }
        return Array(UnsafeBufferPointer(start: x.pointer.assumingMemoryBound(to: S.self), count: x.count))
    }

    /// The only element. Traps if there are more, or none.
    public func item<S: TensorScalar>(_ type: S.Type = S.self) -> S {
        if count != 1 { fail("item", "a tensor of shape \(shape) has \(count) elements, not one") }
        return scalars(S.self)[0]
    }

    /// Nested arrays of a matrix.
    public func matrix<S: TensorScalar>(_ type: S.Type = S.self) -> [[S]] {
        if rank != 2 { fail("matrix", "a tensor of shape \(shape) is not a matrix") }
        let flat = scalars(S.self)
        return (0..<shape[0]).map { Array(flat[($0 * shape[1])..<(($0 + 1) * shape[1])]) }
    }

    /// Whether shapes and types are equal and all elements are (NaN equals nothing).
    public func isEqual(to other: Tensor) -> Bool {
        shape == other.shape && dtype == other.dtype && (self .== other).all().item(Bool.self)
    }

    /// True where elements are equal or satisfy |a - b| <= atol + rtol |b| (NumPy's `isclose`), broadcast.
    public func closeElements(to other: Tensor, rtol: Double = 1e-5, atol: Double = 1e-8, equalNaN: Bool = false) -> Tensor {
        if rtol < 0 || atol < 0 { fail("isClose", "tolerances must not be negative: rtol \(rtol), atol \(atol)") }
        let (a, b) = promoted(detached(), other.detached())
        let wide: DType = a.dtype.isComplex ? .complex128 : .float64
        let x = a.to(wide), y = b.to(wide)
        let error = abs(x - y)
        var close = (a .== b) .| (error.isFinite .& (error .<= abs(y) * rtol + atol))
        if equalNaN { close = close .| (a.isNaN .& b.isNaN) }
        return close
    }

    /// Whether all elements satisfy |a - b| <= atol + rtol |b| (NumPy's `allclose`).
    public func isClose(to other: Tensor, rtol: Double = 1e-5, atol: Double = 1e-8, equalNaN: Bool = false) -> Bool {
        if broadcastShape(shape, other.shape) == nil { return false }
        return closeElements(to: other, rtol: rtol, atol: atol, equalNaN: equalNaN).all().item(Bool.self)
    }
}
