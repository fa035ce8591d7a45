import Tapestry

/// Tolerances: |a - b| ≤ atol + rtol |b|; NaN equals NaN.
public struct Tolerance: Sendable {
    public var relative: Double
    public var absolute: Double
    public init(relative: Double, absolute: Double) {
        self.relative = relative
        self.absolute = absolute
    }

    public static let exact = Tolerance(relative: 0, absolute: 0)

    public enum Order { case values, gradients, second }

    public static func standard(_ dtype: DType, _ order: Order = .values) -> Tolerance {
        switch (dtype.real, order) {
        case (.float64, .values): Tolerance(relative: 1e-9, absolute: 1e-10)
        case (.float64, .gradients): Tolerance(relative: 1e-7, absolute: 1e-7)
        case (.float64, .second): Tolerance(relative: 1e-6, absolute: 1e-6)
        case (.float32, .values): Tolerance(relative: 2e-5, absolute: 1e-5)
        case (.float32, _): Tolerance(relative: 1e-4, absolute: 1e-4)
        case (.float16, _): Tolerance(relative: 2e-3, absolute: 1e-3)
        case (.bfloat16, _): Tolerance(relative: 1.6e-2, absolute: 1e-2)
        default: .exact
        }
    }
}

/// What is wrong with `actual`, or nil if it agrees with `expected` in shape, type and values.
public func mismatch(_ actual: Tensor, _ expected: Tensor, _ tolerance: Tolerance? = nil, anyType: Bool = false) -> String? {
    if actual.shape != expected.shape { return "shape \(actual.shape), expected \(expected.shape)" }
    if !anyType && actual.dtype != expected.dtype { return "type \(actual.dtype), expected \(expected.dtype)" }
    let tolerance = tolerance ?? .standard(expected.dtype)
    if expected.dtype.isComplex && actual.dtype.isComplex {
        return complexMismatch(actual.detached(), expected, tolerance)
    }
    if !expected.dtype.isDifferentiable && tolerance.absolute == 0 {
        let a = actual.detached().scalars(Int.self), b = expected.detached().scalars(Int.self)
        guard let i = a.indices.first(where: { a[$0] != b[$0] }) else { return nil }
        return "element \(i) is \(a[i]), expected \(b[i])"
    }
    let a = actual.detached().scalars(Double.self), b = expected.detached().scalars(Double.self)
    var worst = 0.0
    var place = -1
    for i in a.indices {
        if a[i] == b[i] || (a[i].isNaN && b[i].isNaN) { continue }
        let allowed = tolerance.absolute + tolerance.relative * Swift.abs(b[i])
        let error = Swift.abs(a[i] - b[i])
        let excess = error.isNaN || error.isInfinite ? .infinity : error / Swift.max(allowed, .leastNonzeroMagnitude)
        if excess > 1 && excess > worst {
            worst = excess
            place = i
        }
    }
    if place < 0 { return nil }
    return "element \(place) is \(a[place]), expected \(b[place]) (\(worst) times the tolerance)"
}

/// The same for complex numbers, whose sizes count: |a - b| ≤ atol + rtol |b|.
private func complexMismatch(_ actual: Tensor, _ expected: Tensor, _ tolerance: Tolerance) -> String? {
    let a = actual.viewAsReal.scalars(Double.self), b = expected.viewAsReal.scalars(Double.self)
    for i in stride(from: 0, to: a.count, by: 2) {
        // A part that is equal, infinite or NaN alike, makes no error.
        let parts = (i...i + 1).map { a[$0] == b[$0] || (a[$0].isNaN && b[$0].isNaN) ? 0 : a[$0] - b[$0] }
        let error = (parts[0] * parts[0] + parts[1] * parts[1]).squareRoot()
        let size = (b[i] * b[i] + b[i + 1] * b[i + 1]).squareRoot()
        if error == 0 || error <= tolerance.absolute + tolerance.relative * size { continue }
        return "element \(i / 2) is \(a[i]) + \(a[i + 1])i, expected \(b[i]) + \(b[i + 1])i"
    }
    return nil
}
