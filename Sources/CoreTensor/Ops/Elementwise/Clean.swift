// Signs, fractions and repairs.

extension Tensor {
    /// True where the sign bit is set: below 0, or -0.
    public var signBit: Tensor {
        if dtype.isFloatingPoint { return copySign(Tensor(ones: [], dtype: dtype, device: device), detached()) .< 0 }
        return dtype == .bool ? Tensor(zeros: shape, dtype: .bool, device: device) : detached() .< 0
    }

    /// True where the imaginary part is 0; everywhere for real numbers.
    public var isReal: Tensor { dtype.isComplex ? imaginary.detached() .== 0 : Tensor(ones: shape, dtype: .bool, device: device) }

    /// True where an element is ∞.
    public var isPositiveInfinity: Tensor { isInfinite .& (detached() .> 0) }
    /// True where an element is -∞.
    public var isNegativeInfinity: Tensor { isInfinite .& (detached() .< 0) }

    /// NaN, ∞ and -∞ replaced; by 0 and the type's largest numbers if not said otherwise.
    public func replacingNonFinite(nan: Double = 0, positiveInfinity: Double? = nil, negativeInfinity: Double? = nil) -> Tensor {
        if dtype.isComplex {
            return viewAsReal.replacingNonFinite(
                nan: nan, positiveInfinity: positiveInfinity, negativeInfinity: negativeInfinity
            ).viewAsComplex
        }
        if !dtype.isFloatingPoint { return self }
        let largest = dtype.largestFinite
        var result = maskedFill(isNaN, nan)
        result = result.maskedFill(isPositiveInfinity, positiveInfinity ?? largest)
        return result.maskedFill(isNegativeInfinity, negativeInfinity ?? -largest)
    }
}

extension DType {
    /// The largest finite number of a float type; of an integer type its largest number.
    public var largestFinite: Double {
        switch self {
        case .float32, .complex64: Double(Float.greatestFiniteMagnitude)
        case .float64, .complex128: .greatestFiniteMagnitude
        case .float16: 65504
        case .bfloat16: 3.3895313892515355e38
        case .float8E4M3: 448
        case .float8E5M2: 57344
        case .int8: 127
        case .uint8: 255
        case .int32: 2_147_483_647
        case .int64: Double(Int64.max)
        case .bool: 1
        }
    }

    /// The distance from 1 to the next larger number of a float type; 0 for other types.
    public var epsilon: Double {
        switch self {
        case .float32, .complex64: Double(Float.ulpOfOne)
        case .float64, .complex128: .ulpOfOne
        case .float16: 0.0009765625
        case .bfloat16: 0.0078125
        case .float8E4M3: 0.125
        case .float8E5M2: 0.25
        default: 0
        }
    }
}

/// The part after the point, with the sign of x: x - trunc(x). Elementwise.
public func frac(_ x: Tensor) -> Tensor { x - trunc(x) }

/// The nearest number with `decimals` decimals (negative: tens, hundreds …), halves to even. Elementwise.
public func round(_ x: Tensor, decimals: Int) -> Tensor {
    if decimals == 0 || !x.dtype.isFloatingPoint { return round(x) }
    var scale = 1.0
    for _ in 0..<Swift.abs(decimals) { scale *= 10 }
    return decimals > 0 ? round(x * scale) / scale : round(x / scale) * scale
}

/// Degrees as radians. Elementwise.
public func radians(fromDegrees x: Tensor) -> Tensor { x.asFloatingPoint("radians") * (Double.pi / 180) }
/// Radians as degrees. Elementwise.
public func degrees(fromRadians x: Tensor) -> Tensor { x.asFloatingPoint("degrees") * (180 / Double.pi) }
