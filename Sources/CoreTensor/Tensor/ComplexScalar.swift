public import ComplexModule

// Swift Numerics' complex numbers as elements.

extension Complex: TensorElements where RealType: TensorScalar {
    /// Itself.
    public typealias Scalar = Self
}

extension Complex: TensorScalar where RealType: TensorScalar {
    /// `complex128` for `Double` parts, otherwise `complex64`.
    public static var tensorDType: DType { RealType.memoryDType.complex }
    /// `complex64` or `complex128`, which two numbers side by side are in memory.
    public static var memoryDType: DType { RealType.memoryDType.complex }
    /// The real part.
    public var asDouble: Double { real.asDouble }
    /// The real part, cut towards zero.
    public var asInt: Int { real.asInt }
    /// The imaginary part.
    public var asImaginary: Double { imaginary.asDouble }
    /// The complex type beside any: `complex128` beside `float64`.
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype.complex }
}
